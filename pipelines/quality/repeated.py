"""The gain of an arm over folds that were drawn several times, each row held out once in every drawing.

The gain is the mean over folds. Its variance has two parts. *Rows*: how the gain hangs on each held-out row is its
derivative by the row's weight (the infinitesimal jackknife; Efron and Stein 1981), summed over all folds that the row
was held out in, so that what only one drawing makes of a row averages out. *Drawings*: how the gain varies from one
drawing to the next, in which folds, generators and learners are all made anew, as far as the first part does not hold
it already. The interval is Student's, with Satterthwaite's degrees of freedom: few drawings tell their variance badly.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from leaven.pipelines.quality.bootstrap import LEVEL, Interval
from leaven.pipelines.quality.scores import Scores

STEP = 1e-4  # of a row's weight


def drawings(folds: Sequence[Scores]) -> list[int]:
    """Number of the drawing that each fold belongs to: a new one starts where a row comes up again."""
    found: list[int] = []
    seen: set[int] = set()
    number = 0
    for fold in folds:
        own = set(fold.keys.tolist())
        if seen & own:
            number, seen = number + 1, set()
        seen |= own
        found.append(number)
    return found


def difference(folds: Sequence[Scores], a: str, b: str) -> Interval:
    """Arm `a` minus arm `b`, the mean over folds, learners and seeds, with its interval.

    Args:
        folds: of several drawings, with `keys`.
    """
    from scipy import stats

    changes = [_change(fold, a, b) for fold in folds]
    usable = [n for n, (value, _) in enumerate(changes) if np.isfinite(value)]
    if not usable:
        return Interval(*[float("nan")] * 4)
    value = float(np.mean([changes[n][0] for n in usable]))
    rows, strata = _numbered([folds[n] for n in usable])
    of_drawing = np.array(drawings(folds))[usable]
    drawn = np.unique(of_drawing)
    by_drawing, slopes = np.zeros(len(drawn)), np.zeros((len(drawn), len(strata)))
    for n, own, drawing in zip(usable, rows, np.searchsorted(drawn, of_drawing), strict=True):
        share = 1 / int((of_drawing == drawn[drawing]).sum())
        by_drawing[drawing] += share * changes[n][0]
        slopes[drawing, own] += share * changes[n][1]
    of_rows, of_drawings, degrees = _spread(slopes.mean(axis=0), strata), 0.0, np.inf
    if len(drawn) > 1:
        # What a drawing alone makes of rows shows in both parts; it is taken out of the second.
        alone = float(np.mean([_spread(one, strata) for one in slopes])) - of_rows
        both = max(0.0, alone) / (len(drawn) - 1)
        of_drawings = max(0.0, float(by_drawing.var(ddof=1)) / len(drawn) - both)
    if of_drawings:
        degrees = (len(drawn) - 1) * ((of_rows + of_drawings) / of_drawings) ** 2
    se = float(np.sqrt(of_rows + of_drawings))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * se
    return Interval(value, value - reach, value + reach, se)


def _numbered(folds: Sequence[Scores]) -> tuple[list[np.ndarray], np.ndarray]:
    """The number of each fold's rows, equal for a row in all folds, and the class of each number, (numbers,).

    Rows that are alike lie in one fold together: the first of them is the first again in another drawing.
    """
    known: dict[tuple[int, int], int] = {}
    classes: list[float] = []
    found = []
    for fold in folds:
        twins: Counter[int] = Counter()
        numbers = []
        for key, label in zip(fold.keys.tolist(), fold.labels.tolist(), strict=True):
            name = (key, twins[key])
            twins[key] += 1
            if name not in known:
                known[name] = len(known)
                classes.append(label if fold.classes else 0)
            numbers.append(known[name])
        found.append(np.array(numbers, int))
    return found, np.array(classes)


def _spread(slopes: np.ndarray, strata: np.ndarray) -> float:
    """The variance that drawing rows anew within their classes gives to a sum with these slopes, (rows,)."""
    total = 0.0
    for label in np.unique(strata):
        own = slopes[strata == label]
        if len(own) > 1:
            total += len(own) / (len(own) - 1) * float(((own - own.mean()) ** 2).sum())
    return total


def _change(scores: Scores, a: str, b: str) -> tuple[float, np.ndarray]:
    """Arm `a` minus arm `b` on one fold, mean over learners and seeds, and its derivative by rows' weights (rows,)."""
    count = len(scores.labels)
    weights = np.ones((count, count + 1))
    weights[np.arange(count), np.arange(1, count + 1)] += STEP
    total = np.zeros(count + 1)
    for arm, sign in ((a, 1), (b, -1)):
        learners = scores.outputs[arm]
        for seeds in learners.values():
            for one in seeds:
                total += sign * scores.scorer(one)(weights) / (len(seeds) * len(learners))
    return float(total[0]), (total[1:] - total[0]) / STEP
