"""Golden tests: every metric under row weights equals scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk

from leaven.generators.errors import InputError
from leaven.pipelines.quality import metrics

from .planted_scores import task

ROWS, DRAWS = 300, 7


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    made = np.random.default_rng(1).integers(0, 4, (ROWS, DRAWS)).astype(float)
    made[:, 0] = 1
    return made


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.8])
def test_ranking_metrics(weights: np.ndarray, ties: bool, share: float) -> None:
    rng = np.random.default_rng(2)
    labels = (rng.random(ROWS) < share).astype(int)
    score = rng.normal(size=ROWS) + labels
    if ties:
        score = score.round(0)
    for name, golden in (("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)):
        found = metrics.prepare(name, labels, score[:, None], 2, 1)(weights)
        expected = [golden(labels, score, sample_weight=weights[:, d]) for d in range(DRAWS)]
        assert found == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize("classes", [2, 5])
def test_decision_metrics(weights: np.ndarray, classes: int) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, classes, ROWS)
    decided = np.where(rng.random(ROWS) < 0.6, labels, rng.integers(0, classes, ROWS))

    def golden(name: str, w: np.ndarray) -> float:
        if name == "macro_f1":
            return sk.f1_score(labels, decided, average="macro", sample_weight=w)
        if name == "f1":
            return sk.f1_score(labels, decided, pos_label=1, sample_weight=w)
        function = sk.accuracy_score if name == "accuracy" else sk.balanced_accuracy_score
        return function(labels, decided, sample_weight=w)

    for name in metrics.DECISIONS:
        if name == "f1" and classes > 2:
            continue
        found = metrics.prepare(name, labels, decided[:, None], classes, 1)(weights)
        assert found == pytest.approx([golden(name, weights[:, d]) for d in range(DRAWS)]), name


def test_r2_far_from_zero(weights: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    labels = 1e6 + rng.normal(size=ROWS)
    predicted = labels + 0.5 * rng.normal(size=ROWS)
    found = metrics.prepare("r2", labels, predicted[:, None], 0, 0)(weights)
    expected = [sk.r2_score(labels, predicted, sample_weight=weights[:, d]) for d in range(DRAWS)]
    assert found == pytest.approx(expected, abs=1e-7)


def test_ranking_of_many_classes_is_the_mean_of_one_against_the_rest(weights: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, ROWS)
    outputs = rng.dirichlet(np.ones(3), ROWS) + 0.4 * np.eye(3)[labels]
    found = metrics.prepare("roc_auc", labels, outputs, 4, 3)(weights)  # the fourth class has no row
    expected = [
        np.mean([sk.roc_auc_score(labels == c, outputs[:, c], sample_weight=weights[:, d]) for c in range(3)])
        for d in range(DRAWS)
    ]
    assert found == pytest.approx(expected)


def test_one_class_only_is_undefined_not_wrong() -> None:
    found = metrics.prepare("roc_auc", np.ones(5, int), np.arange(5.0)[:, None], 2, 1)(np.ones((5, 2)))
    assert np.isnan(found).all()


def test_per_class() -> None:
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 2, ROWS)
    score = rng.normal(size=ROWS) + labels
    found = metrics.per_class("roc_auc", labels, score[:, None], 2, 1)
    assert found[1] == pytest.approx(sk.average_precision_score(labels, score))
    assert found[0] == pytest.approx(sk.average_precision_score(1 - labels, -score))
    decided = (score > 0.5).astype(int)
    assert metrics.per_class("macro_f1", labels, decided[:, None], 2, 1) == pytest.approx(
        sk.f1_score(labels, decided, average=None)
    )


def test_a_metric_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="r2"):
        metrics.check(task("roc_auc", 0))
    with pytest.raises(InputError, match="macro_f1"):
        metrics.check(task("f1", 3))
    metrics.check(task("f1", 2))
