"""Learners: probabilities in the order of the classes, seeded, sound on few rows, and a user's own."""

import time

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.table.learners import learners, names
from leaven.pipelines.task import Task

TWO = Task(target="y", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")
THREE = Task(target="y", type="classification", metric="macro_f1", classes=("a", "b", "c"))
NUMBER = Task(target="y", type="regression", metric="r2")


def data(rows: int, seed: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    return rng.normal(size=(rows, 5)) + y[:, None] * 0.8, y


@pytest.mark.parametrize("name", names("classification"))
def test_learns_from_fifty_rows(name: str) -> None:
    (learner,) = learners(TWO, [name])
    X, y = data(50, 1)
    asked, truth = data(1000, 2)
    found = learner.fit_predict(X, y, None, asked, 1, 1)
    assert found.shape == (1000, 2)
    assert found.sum(1) == pytest.approx(np.ones(1000))
    assert roc_auc_score(truth, found[:, 1]) > 0.8


@pytest.mark.parametrize("name", names("regression"))
def test_regression(name: str) -> None:
    (learner,) = learners(NUMBER, [name])
    rng = np.random.default_rng(1)
    X = rng.normal(size=(700, 3))
    y = X @ [1.0, -1.0, 0.5] + 0.1 * rng.normal(size=700)
    assert r2_score(y[500:], learner.fit_predict(X[:500], y[:500], None, X[500:], 1, 1)) > 0.8


@pytest.mark.parametrize("name", names("classification"))
def test_a_class_unseen_has_probability_zero_and_a_single_class_is_certain(name: str) -> None:
    (learner,) = learners(THREE, [name])
    X, y = data(60, 1)
    found = learner.fit_predict(X, np.where(y == 1, 2, 0), None, X, 1, 1)
    assert found.shape == (60, 3) and (found[:, 1] == 0).all()
    only = learner.fit_predict(X, np.full(60, 2), None, X, 1, 1)
    assert (only == [0, 0, 1]).all()


@pytest.mark.parametrize("name", names("classification"))
def test_seeds(name: str) -> None:
    (learner,) = learners(TWO, [name])
    X, y = data(200, 1)
    first, again, other = (learner.fit_predict(X, y, None, X, seed, 1) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any() == learner.random


@pytest.mark.parametrize("name", names("classification"))
def test_weights_move_the_probabilities(name: str) -> None:
    (learner,) = learners(TWO, [name])
    X, y = data(200, 1)
    asked, _ = data(1000, 2)
    plain = learner.fit_predict(X, y, None, asked, 1, 1)
    heavy = learner.fit_predict(X, y, np.where(y == 1, 20.0, 1.0), asked, 1, 1)
    assert heavy[:, 1].mean() > plain[:, 1].mean() + 0.05


def test_missing_numbers_that_train_rows_did_not_have() -> None:
    X, y = data(100, 1)
    asked = X.copy()
    asked[:, 0] = np.nan
    for learner in learners(TWO):
        if learner.uses == "tree":
            assert np.isfinite(learner.fit_predict(X, y, None, asked, 1, 1)).all()


def test_speed() -> None:
    X, y = data(30_000, 1)
    for learner in learners(TWO):
        start = time.process_time()
        learner.fit_predict(X, y, None, X[:1000], 1, 1)
        assert time.process_time() - start < 15, learner.name


def margins_only() -> object:
    from sklearn.svm import LinearSVC

    return LinearSVC()


def forest() -> object:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(n_estimators=10)


def nothing() -> None:
    return None


def neighbours() -> object:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier()


def test_learners_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])
    X, y = data(300, 1)
    for name, random in (("mine:margins_only", True), ("mine:forest", True), ("mine:neighbours", False)):
        (learner,) = learners(TWO, [name])
        assert learner.random == random and learner.name == name
        found = learner.fit_predict(X, y, np.ones(300), X, 1, 1)
        assert found.sum(1) == pytest.approx(np.ones(300))
        assert roc_auc_score(y, found[:, 1]) > 0.85
    (own,) = learners(TWO, ["mine:forest"])
    asked, _ = data(300, 2)
    assert (own.fit_predict(X, y, None, asked, 1, 1) != own.fit_predict(X, y, None, asked, 2, 1)).any()
    with pytest.raises(InputError, match="gives no estimator"):
        learners(TWO, ["mine:nothing"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["random_forrest"], "did you mean 'random_forest'"),
        (["ridge"], "not for classification"),
        (["nowhere_at_all:make"], "cannot be imported"),
        (["random_forest", "random_forest"], "named twice"),
    ],
)
def test_unknown_names_are_refused(asked: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        learners(TWO, asked)
