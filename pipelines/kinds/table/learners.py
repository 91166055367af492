"""The classifiers with which lift is measured on tables, each with one fixed setting.

One setting is a grid of one: every arm gets the same search, and none wins by a luckier one. The settings are
sound from 50 rows to 100,000 rather than best anywhere; what is compared is rows, not learners.
"""

import functools
from collections.abc import Callable
from typing import Any

from leaven.pipelines.kinds.learner import Learner, pick
from leaven.pipelines.kinds.table.features import Uses
from leaven.pipelines.task import Task

TREES, FEWER_TREES = 100, 30  # of a forest; the fewer where many of them are averaged
ROUNDS, FEWER_ROUNDS = 100, 50  # of boosting; the fewer with steps twice as long
NEWTON_WIDTH = 400  # coefficients up to which the exact Newton step is cheaper than a gradient search


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
    """The learners named, or all of the house; see `learner.pick`."""
    classes = len(task.classes) if task.type == "classification" else 0
    known = {}
    for name in names(task.type):
        uses, random, make, _ = _KNOWN[name]
        known[name] = Learner(name, uses, random, classes, make, _QUICK.get(name))
    return pick(names_asked, known, task.type, classes, others=list(_KNOWN))
