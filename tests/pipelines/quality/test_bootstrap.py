"""The interval: planted truths, pairing, few seeds, folds, speed."""

import time

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from leaven.pipelines.quality import bootstrap
from leaven.pipelines.quality.scores import Scores

from .planted_scores import BINARY, direct, task


def truth(lift: float) -> float:
    """The lift of `direct`'s arms over endless rows and seeds."""
    scores = direct(200_000, 99, lift, seeds=20)
    values = [scores.values(arm) for arm in ("augmented", "real")]
    return float(np.mean([values[0][name].mean() - values[1][name].mean() for name in values[0]]))


@pytest.mark.parametrize(("lift", "sign"), [(0.5, 1), (0.0, 0), (-0.5, -1)])
def test_planted_lift_is_seen(lift: float, sign: int) -> None:
    found = bootstrap.difference([direct(800, 1, lift, 5)], "augmented", "real", BINARY, 500, 1)
    assert found.low < found.value < found.high
    assert (found.low > 0) - (found.high < 0) == sign


@pytest.mark.parametrize(("lift", "noise"), [(0.4, 0.3), (0.0, 0.3), (0.0, 1.5)])
def test_coverage(lift: float, noise: float) -> None:
    """A small version of benchmarks/interval_coverage.py. Noise that belongs to a row and a seed together must
    not be counted twice."""
    expected = 0.0 if lift == 0 else truth(lift)
    covered = 0
    for simulation in range(200):
        scores = direct(200, 1000 + simulation, lift, 5, noise)
        found = bootstrap.difference([scores], "augmented", "real", BINARY, 200, simulation)
        covered += found.low <= expected <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_value_is_the_plain_metric_with_equal_learners() -> None:
    scores = direct(300, 3, 0.2, 4)
    found = bootstrap.arms([scores], BINARY, 200, 1)["real"]
    outputs = scores.outputs["real"]
    steady = roc_auc_score(scores.labels, outputs["steady"][0, :, 0])
    random = np.mean([roc_auc_score(scores.labels, one[:, 0]) for one in outputs["random"]])
    assert found.value == pytest.approx((steady + random) / 2)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_equal_arms_differ_by_nothing_at_all() -> None:
    scores = direct(300, 4, 0.0, 5)
    scores.outputs["augmented"] = scores.outputs["real"]
    assert bootstrap.difference([scores], "augmented", "real", BINARY, 200, 1) == (0, 0, 0, 0)


def test_pairing_narrows_the_difference() -> None:
    scores = direct(400, 5, 0.1, 5)
    arms = bootstrap.arms([scores], BINARY, 400, 1)
    paired = bootstrap.difference([scores], "augmented", "real", BINARY, 400, 1)
    assert paired.se < 0.8 * np.hypot(arms["real"].se, arms["augmented"].se)


def test_seeds_widen_the_interval_and_few_of_them_by_students_t() -> None:
    def one(values: list[float]) -> bootstrap.Interval:
        rng = np.random.default_rng(1)
        labels = rng.integers(0, 2, 5000)
        scores = Scores.empty(BINARY, labels)
        noise = rng.normal(size=5000)
        outputs = np.stack([labels * shift + noise for shift in values])[:, :, None]
        scores.outputs = {
            "a": {"random": outputs},
            "b": {"random": noise[None, :, None].repeat(len(values), 0)},
        }
        return bootstrap.difference([scores], "a", "b", BINARY, 500, 1)

    same, apart = one([1.0] * 5), one([0.0, 0.5, 1.0, 1.5, 2.0])
    assert apart.se > 5 * same.se
    # Five seeds carry the variance: t with four degrees of freedom, 2.78 standard errors.
    assert (apart.high - apart.low) / (2 * apart.se) > 2.4
    assert (same.high - same.low) / (2 * same.se) == pytest.approx(1.96, abs=0.15)


def test_folds_are_scored_each_by_itself_and_averaged() -> None:
    folds = [direct(150, seed, 0.5, 3) for seed in range(4)]
    single = [bootstrap.difference([f], "augmented", "real", BINARY, 300, 1) for f in folds]
    both = bootstrap.difference(folds, "augmented", "real", BINARY, 300, 1)
    assert both.value == pytest.approx(np.mean([one.value for one in single]))
    assert both.se < 0.7 * np.mean([one.se for one in single])


def test_rare_positives_never_vanish_from_a_draw() -> None:
    rng = np.random.default_rng(1)
    labels = np.zeros(500, int)
    labels[:3] = 1
    scores = Scores.empty(task("average_precision"), labels)
    scores.outputs["real"] = {"steady": (rng.normal(size=500) + 2 * labels)[None, :, None]}
    found = bootstrap.arms([scores], task("average_precision"), 300, 1)["real"]
    assert np.isfinite(found).all()


def test_equal_seeds_give_equal_intervals() -> None:
    scores = direct(200, 7, 0.1, 3)
    first, again = (bootstrap.arms([scores], BINARY, 200, 9) for _ in range(2))
    assert first == again
    assert first != bootstrap.arms([scores], BINARY, 200, 10)


@pytest.mark.parametrize("metric", ["macro_f1", "r2"])
def test_other_metrics_cover_their_value(metric: str) -> None:
    rng = np.random.default_rng(3)
    this = task(metric, 3 if metric == "macro_f1" else 0)
    labels = rng.integers(0, 3, 400) if this.classes else rng.normal(size=400)
    wrong = rng.random((5, 400)) < 0.3
    made = np.where(wrong, rng.integers(0, 3, (5, 400)), labels) if this.classes else labels + wrong
    scores = Scores.empty(this, labels)
    scores.outputs["real"] = {"random": made[:, :, None]}
    found = bootstrap.arms([scores], this, 300, 1)["real"]
    assert found.low < found.value < found.high and found.high - found.low < 0.2


def test_speed() -> None:
    """Six arms, three learners, five seeds, 16,000 rows: 1,000 draws must take well under a minute."""
    rng = np.random.default_rng(1)
    labels = (rng.random(16_000) < 0.25).astype(int)
    scores = Scores.empty(BINARY, labels)
    for arm in range(6):
        made = rng.normal(size=(3, 5, 16_000, 1)) + labels[:, None]
        scores.outputs[str(arm)] = {str(learner): made[learner] for learner in range(3)}
    start = time.process_time()
    bootstrap.arms([scores], BINARY, 100, 1)
    assert time.process_time() - start < 4  # a tenth of the draws
