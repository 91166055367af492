"""The classifiers with which lift is measured on tables, each with one fixed setting.

One setting is a grid of one: every arm gets the same search, and none wins by a luckier one. The settings are
sound from 50 rows to 100,000 rather than best anywhere; what is compared is rows, not learners.
"""

import difflib
import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.table.features import Uses
from leaven.pipelines.task import Task

TREES, FEWER_TREES = 100, 30  # of a forest; the fewer where many of them are averaged
ROUNDS, FEWER_ROUNDS = 100, 50  # of boosting; the fewer with steps twice as long
NEWTON_WIDTH = 400  # coefficients up to which the exact Newton step is cheaper than a gradient search

# Rows from which threads pay: below, they wait for each other longer than they work.
FOREST_THREADS, SUM_THREADS = 2_000, 50_000


@dataclass(frozen=True)
class Learner:
    """A way to learn: `make(seed, threads, X, classes)` returns a fresh scikit-learn style estimator.

    `random`: whether two seeds give two classifiers; if not, it counts once. `make_quick`: the same at less cost and
    with more of its own noise, for means over many fits; `make` where there is none.
    """

    name: str
    uses: Uses
    random: bool
    classes: int  # 0 for regression
    make: Callable[[int, int, Any, int], Any]
    make_quick: Callable[[int, int, Any, int], Any] | None = None

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


def solver(width: int, classes: int) -> str:
    """The cheaper search for the coefficients of a logistic regression."""
    return "newton-cholesky" if width * max(classes - 1, 1) <= NEWTON_WIDTH else "lbfgs"


def boosting(classes: int, most: int) -> dict[str, Any]:
    """Settings of boosted trees, of at most so many rounds."""
    # No early stopping: it would draw its own validation rows. Small leaves, so that 50 rows can be split at all;
    # few leaves and a ridge on them, so that 50 rows are not learned by heart. Many classes take fewer rounds,
    # since each round grows a tree for every class.
    rounds = most if classes <= 2 else max(20, min(most, 400 // classes))
    return {
        "max_iter": rounds,
        "learning_rate": 0.1 if rounds >= 60 else 0.2,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 5,
        "l2_regularization": 1.0,
        "early_stopping": False,
    }


def _logistic_regression(seed: int, threads: int, X: Any, classes: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1.0, solver=solver(X.shape[1], classes), max_iter=200)


def _ridge(seed: int, threads: int, X: Any, classes: int) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=1.0, solver="auto", random_state=0)


def _random_forest(seed: int, threads: int, X: Any, classes: int, trees: int = TREES) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    # Leaves of three rows: steadier probabilities than fully grown trees, from 60 rows and from 30,000.
    shared = {"n_estimators": trees, "min_samples_leaf": 3, "n_jobs": threads, "random_state": seed}
    if classes:
        return RandomForestClassifier(max_features="sqrt", **shared)
    return RandomForestRegressor(max_features=0.4, **shared)


def _boosted_tree(seed: int, threads: int, X: Any, classes: int, most: int = ROUNDS) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    shared = {**boosting(classes, most), "random_state": 0}
    return HistGradientBoostingClassifier(**shared) if classes else HistGradientBoostingRegressor(**shared)


_KNOWN: dict[str, tuple[Uses, bool, Callable[..., Any], tuple[str, ...]]] = {
    "logistic_regression": ("linear", False, _logistic_regression, ("classification",)),
    "ridge": ("linear", False, _ridge, ("regression",)),
    "random_forest": ("tree", True, _random_forest, ("classification", "regression")),
    "boosted_tree": ("tree", False, _boosted_tree, ("classification", "regression")),
}


_QUICK: dict[str, Callable[[int, int, Any, int], Any]] = {
    "random_forest": functools.partial(_random_forest, trees=FEWER_TREES),
    "boosted_tree": functools.partial(_boosted_tree, most=FEWER_ROUNDS),
}


def names(task_type: str) -> list[str]:
    """The learners of the house for classification or regression."""
    return [name for name, (_, _, _, types) in _KNOWN.items() if task_type in types]


def learners(task: Task, names_asked: list[str] | None = None) -> list[Learner]:
    """The learners named, or all of the house.

    A name with a colon, `module:factory`, is a learner of your own: `factory()` returns a scikit-learn style
    estimator. It is random if it has a `random_state`, and gets the linear matrix unless the factory has
    `uses = "tree"`.

    Raises:
        InputError: no such learner (names the nearest), one for the other type of task, or one named twice.
    """
    known, classes = names(task.type), len(task.classes) if task.type == "classification" else 0
    made: list[Learner] = []
    for name in known if names_asked is None else names_asked:
        if any(learner.name == name for learner in made):
            raise InputError(f"utility.learners: '{name}' is named twice; each learner counts once")
        if ":" in name:
            made.append(_own(name, classes))
        elif name in known:
            uses, random, make, _ = _KNOWN[name]
            made.append(Learner(name, uses, random, classes, make, _QUICK.get(name)))
        elif name in _KNOWN:
            raise InputError(
                f"utility.learners: '{name}' is not for {task.type}; there are: {', '.join(known)}"
            )
        else:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = (
                f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}, or module:factory"
            )
            raise InputError(f"utility.learners: unknown learner '{name}'; {hint}")
    return made


def _own(name: str, classes: int) -> Learner:
    """A user's learner, `module:factory`."""
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
