"""What learns from an arm's rows, whatever the kind: scikit-learn style estimators, and a user's own."""

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from leaven.generators.errors import InputError

# Rows from which threads pay: below, they wait for each other longer than they work.
FOREST_THREADS, SUM_THREADS = 2_000, 50_000


@dataclass(frozen=True)
class Learner:
    """A way to learn: `make(seed, threads, X, classes)` returns a fresh scikit-learn style estimator.

    `random`: whether two seeds give two classifiers; if not, it counts once. `make_quick`: the same at less cost and
    with more of its own noise, for means over many fits; `make` where there is none.
    """

    name: str
    uses: str  # which of the kind's matrices
    random: bool
    classes: int  # 0 for regression
    make: Callable[[int, int, Any, int], Any]
    make_quick: Callable[[int, int, Any, int], Any] | None = None

    beside: ClassVar[bool] = False  # whether several learn beside each other, each on one thread
    even: ClassVar[bool] = False  # learns from every class equally often, so that no threshold needs tuning

    def quick(self) -> "Learner":
        """The learner at less cost."""
        return replace(self, make=self.make_quick) if self.make_quick else self

    def fit_predict(
        self, X: Any, y: np.ndarray, weight: np.ndarray | None, X_score: Any, seed: int, threads: int
    ) -> np.ndarray:
        """Learn from the rows and predict others.

        Args:
            X: (rows, columns), at least one row.
            y: class codes or target values, (rows,).
            weight: (rows,), or None when all rows weigh the same.
            X_score: (rows to score, columns).
            seed: of all that is random in the learner.
            threads: at most so many.

        Returns:
            Probabilities (rows to score, classes), 0 for a class that `y` lacks; predictions (rows to score,) for
            regression.
        """
        from threadpoolctl import threadpool_limits

        rows = X_score.shape[0]
        if self.classes and len(np.unique(y)) == 1:
            return np.eye(self.classes)[np.full(rows, int(y[0]))]
        estimator = self.make(seed, threads if X.shape[0] >= FOREST_THREADS else 1, X, self.classes)
        with threadpool_limits(limits=threads if X.shape[0] >= SUM_THREADS else 1):
            self._fit(estimator, X, y, weight)
            if not self.classes:
                return np.asarray(estimator.predict(X_score), float)
            known = np.asarray(estimator.classes_, int)
            made = np.zeros((rows, self.classes))
            made[:, known] = self._probabilities(estimator, X_score, len(known))
        return made

    def _fit(self, estimator: Any, X: Any, y: np.ndarray, weight: np.ndarray | None) -> None:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.utils.validation import has_fit_parameter

        with warnings.catch_warnings():
            # A search cut short is cut short alike in every arm.
            warnings.simplefilter("ignore", ConvergenceWarning)
            if weight is not None and has_fit_parameter(estimator, "sample_weight"):
                estimator.fit(X, y, sample_weight=weight)
            else:
                estimator.fit(X, y)

    def _probabilities(self, estimator: Any, X: Any, classes: int) -> np.ndarray:
        if hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict_proba(X), float)
        if not hasattr(estimator, "decision_function"):
            raise InputError(
                f"utility.learners: '{self.name}' has neither predict_proba nor decision_function"
            )
        margins = np.asarray(estimator.decision_function(X), float)
        if margins.ndim == 1:
            margins = np.stack([-margins, margins], axis=1) / 2
        raised = np.exp(margins - margins.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)


def pick(
    asked: Sequence[str] | None,
    known: Mapping[str, Any],
    task_type: str,
    classes: int,
    others: Sequence[str] = (),
) -> list[Any]:
    """The learners named, or all known ones; each name once.

    Args:
        asked: names; one with a colon, `module:factory`, is a learner of the user's own.
        known: name -> learner of the house for this type of task.
        classes: of the task, 0 for regression.
        others: names that are for the other type of task.

    Raises:
        InputError: no such learner (names the nearest), one for the other type of task, or one named twice.
    """
    made: list[Any] = []
    for name in known if asked is None else asked:
        if any(learner.name == name for learner in made):
            raise InputError(f"utility.learners: '{name}' is named twice; each learner counts once")
        if name in known:
            made.append(known[name])
        elif ":" in name:
            made.append(own(name, classes))
        elif name in others:
            raise InputError(
                f"utility.learners: '{name}' is not for {task_type}; there are: {', '.join(known)}"
            )
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = (
                f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}, or module:factory"
            )
            raise InputError(f"utility.learners: unknown learner '{name}'; {hint}")
    return made


def own(name: str, classes: int) -> Learner:
    """A user's learner, `module:factory`: `factory()` returns a scikit-learn style estimator.

    It is random if it has a `random_state`, and gets the linear matrix unless the factory has `uses`.
    """
    module_name, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"utility.learners: '{name}' cannot be imported ({error}); expected module:factory"
        ) from None
    estimator: Any = factory() if callable(factory) else None
    if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
        raise InputError(
            f"utility.learners: '{name}' gives no estimator; expected a callable that returns one with fit and predict"
        )
    settings = estimator.get_params() if hasattr(estimator, "get_params") else {}
    random = "random_state" in settings

    def make(seed: int, threads: int, X: Any, classes: int) -> Any:
        fresh = factory()
        return fresh.set_params(random_state=seed) if random else fresh

    return Learner(name, getattr(factory, "uses", "linear"), random, classes, make)
