"""Thresholds: one weight a class, found on out-of-fold probabilities, so that moving a threshold is not learning.

The decided class is the one with the largest `probability * weight`. For two classes that is a plain threshold.
"""

import numpy as np

from leaven.generators.seeds import derive
from leaven.pipelines.quality import metrics

SMALLEST = 1e-7  # probability below which rows are no longer told apart
MOST_ROWS = 5_000  # more rows do not move a threshold
MOST_CUTS = 200
PASSES = 3  # over the classes; the weights of more than two classes depend on each other


def tune(metric: str, labels: np.ndarray, probabilities: np.ndarray, positive: int, seed: int) -> np.ndarray:
    """Weights (classes,) that maximise a decision metric.

    The optimum on few rows is a noisy one; the median over bootstrap draws of the rows is steadier.

    Args:
        metric: one of `metrics.DECISIONS`.
        labels: class codes (rows,).
        probabilities: (rows, classes), of rows that the classifier has not seen.
        positive: code of the positive class.
        seed: of the draws.
    """
    rng = np.random.default_rng(derive("thresholds", seed))
    if len(labels) > MOST_ROWS:
        picked = rng.choice(len(labels), MOST_ROWS, replace=False)
        labels, probabilities = labels[picked], probabilities[picked]
    if len(np.unique(labels)) < 2:
        return np.ones(probabilities.shape[1])
    logs = np.log(np.clip(probabilities, SMALLEST, None))
    classes = logs.shape[1]
    found = []
    for _ in range(max(1, min(15, 60 // classes))):
        # No class may vanish from a draw.
        drawn = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels))) + 0.01
        offsets = np.zeros(classes)
        for code in [positive] if classes == 2 else list(range(classes)) * PASSES:
            offsets[code] = (
                _best_offset(metric, labels, logs + offsets, code, drawn, positive) + offsets[code]
            )
        found.append(offsets - offsets.mean())
    return np.exp(np.median(found, axis=0))


def for_shares(metric: str, shares: np.ndarray) -> np.ndarray:
    """Weights (classes,) for probabilities of a classifier that learned from every class equally often.

    Args:
        metric: one of `metrics.DECISIONS`.
        shares: of the classes among the real rows, (classes,).
    """
    known = np.maximum(shares, SMALLEST)
    if metric == "balanced_accuracy":
        return np.ones(len(shares))
    # F1 lies between the two: a rare class counts as much as a frequent one, but false alarms count too.
    return known if metric == "accuracy" else np.sqrt(known)


def decide(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The decided class codes (rows,)."""
    return np.argmax(np.log(np.clip(probabilities, SMALLEST, None)) + np.log(weights), axis=1)


def _best_offset(
    metric: str, labels: np.ndarray, logs: np.ndarray, code: int, weight: np.ndarray, positive: int
) -> float:
    """What to add to column `code` of `logs` (rows, classes) so that the metric is best; all cuts in one pass."""
    classes = logs.shape[1]
    rest = logs.copy()
    rest[:, code] = -np.inf
    rival = rest.argmax(1)
    margin = rest[np.arange(len(rest)), rival] - logs[:, code]  # the row turns to `code` above this offset
    levels = np.unique(margin)
    if len(levels) > MOST_CUTS:
        levels = np.unique(np.quantile(levels, np.linspace(0, 1, MOST_CUTS)))
    cuts = np.concatenate([[levels[0] - 1], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1]])
    turned_at = np.searchsorted(cuts, margin, side="left")  # first cut at or above the margin

    def upto(mask: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Weight of the masked rows that have turned, by cut and class: (classes, cuts)."""
        flat = turned_at[mask] * classes + column[mask]
        sums = np.bincount(flat, weight[mask], minlength=len(cuts) * classes)
        return sums.reshape(len(cuts), classes).cumsum(0).T

    everything = np.ones(len(labels), bool)
    own = np.full(len(labels), code)
    by_label = np.bincount(labels, weight, minlength=classes)[:, None]
    by_rival = np.bincount(rival, weight, minlength=classes)[:, None]
    right_before = np.bincount(labels[labels == rival], weight[labels == rival], minlength=classes)[:, None]
    hits = right_before - upto(labels == rival, rival) + upto(labels == code, own)
    decided = by_rival - upto(everything, rival) + upto(everything, own)
    reached = metrics.from_counts(metric, hits, decided, np.broadcast_to(by_label, hits.shape), positive)
    best = np.flatnonzero(reached >= reached.max() - 1e-12)
    return float(cuts[best[len(best) // 2]])
