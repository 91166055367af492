"""The gain over folds that are drawn several times: its value, and whether its standard error is the spread it has."""

import numpy as np
import pytest

from leaven.pipelines.quality import repeated
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.task import Task

from .planted_scores import BINARY, task

ROWS, FOLDS = 120, 5


def drawn(seed: int, drawings: int, *, lift: float, single: float, of: Task = BINARY) -> list[Scores]:
    """Folds over the same rows: what a row is, what a drawing makes of it, and what a fold's own fit adds for all."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(ROWS) % 3 == 0).astype(int)
    steady = {"real": rng.normal(size=ROWS), "augmented": rng.normal(size=ROWS)}
    shared, folds = rng.normal(size=ROWS), []
    for _ in range(drawings):
        order = rng.permutation(ROWS)
        for fold in range(FOLDS):
            own = np.sort(order[fold::FOLDS])
            scores = Scores.empty(of, labels[own])
            scores.keys = own.astype(np.uint64)
            for arm, shift in (("real", 1.0), ("augmented", 1.0 + lift)):
                fit = 1 + single * rng.normal()
                said = shift * fit * labels[own] + shared[own] + 0.4 * steady[arm][own]
                noise = 0.6 * rng.normal(size=(2, len(own)))
                scores.outputs[arm] = {name: (said + noise[n])[None, :, None] for n, name in enumerate("ab")}
            folds.append(scores)
    return folds


@pytest.mark.parametrize("drawings", [2, 4])
@pytest.mark.parametrize("single", [0.0, 0.5])
def test_the_standard_error_is_the_spread_of_gains_over_new_data(drawings: int, single: float) -> None:
    found = [
        repeated.difference(drawn(s, drawings, lift=0.3, single=single), "augmented", "real")
        for s in range(150)
    ]
    spread = np.std([one.value for one in found])
    expected = np.sqrt(np.mean([one.se**2 for one in found]))
    assert 0.85 * spread < expected < 1.3 * spread
    inside = [one.low < np.mean([other.value for other in found]) < one.high for one in found]
    assert np.mean(inside) > (0.88 if drawings > 2 else 0.8)


def test_more_drawings_make_the_gain_more_certain() -> None:
    few, many = (
        np.mean(
            [
                repeated.difference(drawn(s, d, lift=0.3, single=0.3), "augmented", "real").se
                for s in range(30)
            ]
        )
        for d in (2, 6)
    )
    assert many < 0.9 * few


def test_equal_arms_gain_nothing_for_certain() -> None:
    folds = drawn(0, 3, lift=0.0, single=0.0)
    for fold in folds:
        fold.outputs["augmented"] = fold.outputs["real"]
    found = repeated.difference(folds, "augmented", "real")
    assert abs(found.value) < 1e-12 and found.se < 1e-9


def test_drawings_are_told_by_rows_that_come_up_again() -> None:
    folds = drawn(0, 3, lift=0.0, single=0.0)
    assert repeated.drawings(folds) == [0] * 5 + [1] * 5 + [2] * 5
    assert repeated.drawings(folds[:5]) == [0] * 5


@pytest.mark.parametrize("metric", ["average_precision", "macro_f1", "r2"])
def test_other_metrics(metric: str) -> None:
    of = task(metric, 0 if metric == "r2" else 2)
    folds = drawn(1, 2, lift=0.8, single=0.1, of=of)
    for fold in folds:
        if metric == "macro_f1":
            fold.outputs = {
                arm: {name: (said > 0.7).astype(np.int32) for name, said in learners.items()}
                for arm, learners in fold.outputs.items()
            }
    found = repeated.difference(folds, "augmented", "real")
    assert np.isfinite(found.value) and found.se > 0 and found.low < found.value < found.high
