"""Intervals: a crossed bootstrap over held-out rows and learner seeds, paired between arms.

Each draw resamples the held-out rows within their classes and the seeds of each random learner; the same rows and
seeds are drawn for all arms. Learners count equally; several folds are scored each by itself and then averaged.
Two corrections make the width right where there is little to draw from:

- n things drawn from n vary too little by (n - 1) / n. Rows: n - 1 are drawn of n (Rao and Wu 1988). Seeds: their
  deviations are stretched by sqrt(k / (k - 1)).
- What a row does under one seed only (their interaction) is met by the drawing of rows and again by that of seeds
  (Owen 2007, The pigeonhole bootstrap). It is estimated and taken out of the second.

A normal quantile is too short when few seeds carry the variance; deviations are stretched to Student's t with the
degrees of freedom of Satterthwaite.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from leaven.generators.seeds import derive
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.task import Task

BLOCK = 4_000_000  # weights held at once (rows times draws)
LEVEL = 0.95


class Interval(NamedTuple):
    """A value with its 95 % interval and standard error."""

    value: float
    low: float
    high: float
    se: float


class Resampled(NamedTuple):
    """The metric of one arm and learner on one fold: each seed's value (seeds,), and under each draw of the
    rows (seeds, draws)."""

    values: np.ndarray
    drawn: np.ndarray


def arms(folds: Sequence[Scores], task: Task, draws: int, seed: int) -> dict[str, Interval]:
    """The interval of every arm's own score.

    Args:
        folds: scores with the same arms and learners, one per fold.
        task: of the scores.
        draws: bootstrap draws.
        seed: of the draws; equal seeds draw the same rows for all arms.
    """
    names = folds[0].arms
    resampled = [resample(fold, names, draws, seed, number) for number, fold in enumerate(folds)]
    bounds = (0.0, 1.0) if task.metric != "r2" else (-np.inf, 1.0)
    made = {}
    for name in names:
        found = _interval([fold[name] for fold in resampled], draws, seed)
        made[name] = found._replace(low=max(found.low, bounds[0]), high=min(found.high, bounds[1]))
    return made


def difference(folds: Sequence[Scores], a: str, b: str, task: Task, draws: int, seed: int) -> Interval:
    """The interval of arm `a` minus arm `b`, paired in rows and seeds. Arguments as in `arms`."""
    paired = []
    for number, fold in enumerate(folds):
        found = resample(fold, [a, b], draws, seed, number)
        paired.append(
            {
                learner: Resampled(
                    found[a][learner].values - found[b][learner].values,
                    found[a][learner].drawn - found[b][learner].drawn,
                )
                for learner in found[a]
            }
        )
    return _interval(paired, draws, seed)


def joint(scores: Scores, draws: int, seed: int) -> dict[str, tuple[float, np.ndarray]]:
    """Every arm's value and its draws (draws,), drawn jointly: for statistics of several arms of one fold."""
    resampled = resample(scores, scores.arms, draws, seed, 0)
    made = {}
    for name, learners in resampled.items():
        parts = _parts([learners], draws, seed)
        made[name] = (parts.value, parts.value + parts.rows + sum(parts.seeds))
    return made


def resample(
    scores: Scores, names: Sequence[str], draws: int, seed: int, fold: int = 0
) -> dict[str, dict[str, Resampled]]:
    """arm -> learner -> the metric of each seed under each draw of the held-out rows."""
    scorers = {
        (name, learner): [scores.scorer(one) for one in seeds]
        for name in names
        for learner, seeds in scores.outputs[name].items()
    }
    drawn: dict[tuple[str, str], list[np.ndarray]] = {key: [] for key in scorers}
    for weights in _row_weights(scores, draws, derive("rows", seed, fold)):
        for key, of_seeds in scorers.items():
            drawn[key].append(np.stack([scorer(weights) for scorer in of_seeds]))
    once = np.ones((len(scores.labels), 1))
    made: dict[str, dict[str, Resampled]] = {name: {} for name in names}
    for (name, learner), of_seeds in scorers.items():
        values = np.array([scorer(once)[0] for scorer in of_seeds])
        made[name][learner] = Resampled(values, np.concatenate(drawn[name, learner], axis=1))
    return made


def _row_weights(scores: Scores, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of row weights, float32 or float64 (rows, some draws): n - 1 rows drawn of the n of each class."""
    labels = scores.labels
    strata = (
        [np.flatnonzero(labels == label) for label in np.unique(labels)] if scores.classes else [slice(None)]
    )
    # Sums of a hundred thousand weights still keep six digits in single precision.
    dtype = np.float32 if len(labels) <= 100_000 else np.float64
    rng = np.random.default_rng(seed)
    block = max(1, min(128, BLOCK // max(len(labels), 1)))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        weights = np.ones((len(labels), size), dtype)
        for stratum in strata:
            rows = len(labels) if isinstance(stratum, slice) else len(stratum)
            if rows > 1:
                picked = rng.integers(0, rows, (rows - 1, size)) * size + np.arange(size)
                counts = np.bincount(picked.ravel(), minlength=rows * size).reshape(rows, size)
                weights[stratum] = counts * (rows / (rows - 1))
        yield weights


class _Parts(NamedTuple):
    """A statistic, its deviations by rows (draws,) and by the seeds of each fold and learner [(draws,)], and the
    degrees of freedom of each of the latter."""

    value: float
    rows: np.ndarray
    seeds: list[np.ndarray]
    freedom: list[int]


def _parts(folds: Sequence[dict[str, Resampled]], draws: int, seed: int) -> _Parts:
    """Mean over folds and learners, taken apart into what rows and what seeds contribute."""
    defined = [fold for fold in folds if all(np.isfinite(one.values).all() for one in fold.values())]
    if not defined:
        return _Parts(float("nan"), np.full(draws, np.nan), [], [])
    share = 1 / (len(defined) * len(defined[0]))
    value, rows, seeds, freedom = 0.0, np.zeros(draws), [], []
    for number, fold in enumerate(defined):
        for learner, (values, drawn) in fold.items():
            deviation = drawn - drawn.mean(axis=1, keepdims=True)
            value += share * values.mean()
            rows += share * deviation.mean(axis=0)
            k = len(values)
            spread = values.var(ddof=1) if k > 1 else 0.0
            if spread > 0:
                interaction = (deviation.var(axis=1).mean() - deviation.mean(axis=0).var()) * k / (k - 1)
                kept = np.sqrt(max(0.0, 1 - max(interaction, 0.0) / spread))
                rng = np.random.default_rng(derive("seeds", seed, number, learner))
                chosen = rng.multinomial(k, np.full(k, 1 / k), size=draws) / k
                stretched = kept * np.sqrt(k / (k - 1)) * (chosen @ (values - values.mean()))
                seeds.append(share * stretched)
                freedom.append(k - 1)
    return _Parts(value, rows, seeds, freedom)


def _interval(folds: Sequence[dict[str, Resampled]], draws: int, seed: int) -> Interval:
    from scipy import stats

    value, rows, seeds, freedom = _parts(folds, draws, seed)
    if np.isnan(value):
        return Interval(*[float("nan")] * 4)
    by_seeds = [part.var() for part in seeds]
    total = rows.var() + sum(by_seeds)
    doubt = sum(variance**2 / k for variance, k in zip(by_seeds, freedom, strict=True))
    degrees = total**2 / doubt if doubt else np.inf
    tail = (1 + LEVEL) / 2
    stretch = stats.t.ppf(tail, degrees) / stats.norm.ppf(tail)
    deviations = rows + sum(seeds)
    low, high = value + stretch * np.quantile(deviations, [1 - tail, tail])
    return Interval(float(value), float(low), float(high), float(deviations.std()))
