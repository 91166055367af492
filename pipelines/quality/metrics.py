"""Metrics of predictions under row weights, fast enough for thousands of bootstrap draws.

Everything that does not depend on the weights (sorting, ties, which class was decided) is done once by `prepare`;
what it returns scores a block of draws at a time. Weights are (rows, draws), so that a row's draws lie together.
"""

from collections.abc import Callable

import numpy as np

from leaven.generators.errors import InputError
from leaven.pipelines.task import Task

RANKING = ("roc_auc", "average_precision")  # need an order of the rows, no threshold
DECISIONS = ("macro_f1", "balanced_accuracy", "accuracy", "f1")  # need a decided class for each row
REGRESSION = ("r2",)

RUN = 64  # rows in a run of `_cumulative`

Scorer = Callable[[np.ndarray], np.ndarray]
"""weights (rows, draws) -> metric (draws,); NaN where it is undefined."""


def check(task: Task) -> None:
    """Whether the metric fits the task.

    Raises:
        InputError: it does not; says which metrics do.
    """
    fitting: tuple[str, ...] = REGRESSION if task.type == "regression" else RANKING + DECISIONS
    if task.type == "classification" and len(task.classes) > 2:
        fitting = tuple(name for name in fitting if name != "f1")
    if task.metric not in fitting:
        kind = "regression" if task.type == "regression" else f"{len(task.classes)} classes"
        raise InputError(
            f"task.metric: '{task.metric}' is not a metric for {kind}; there are: {', '.join(fitting)}"
        )


def positive_index(task: Task) -> int:
    """Index of the positive class in `task.classes`; the last one where none is named (0 for regression)."""
    return task.classes.index(task.positive) if task.positive else max(len(task.classes) - 1, 0)


def roc_auc(positive: np.ndarray, score: np.ndarray) -> Scorer:
    """Area under the ROC curve; ties count half (the Mann-Whitney form).

    Args:
        positive: bool (rows,), which rows are of the positive class.
        score: (rows,), higher means rather positive.
    """
    # The smaller class looks up its place among the larger one: the fewer look-ups.
    flip = positive.sum() > len(positive) / 2
    few, many = (~positive, positive) if flip else (positive, ~positive)
    few_rows, many_rows = np.flatnonzero(few), np.flatnonzero(many)
    many_rows = many_rows[np.argsort(score[many_rows], kind="stable")]
    few_rows = few_rows[np.argsort(score[few_rows], kind="stable")]  # look-ups in order: kind to the cache
    below = np.searchsorted(score[many_rows], score[few_rows], side="left")
    not_above = np.searchsorted(score[many_rows], score[few_rows], side="right")
    tied = bool((below != not_above).any())

    def area(weights: np.ndarray) -> np.ndarray:
        upto = _cumulative(weights[many_rows])
        won = upto[below]
        if tied:
            won = (won + upto[not_above]) / 2
        own = weights[few_rows]
        share = _divide(np.einsum("rd,rd->d", own, won), own.sum(0) * upto[-1])
        return 1 - share if flip else share

    return area


def average_precision(positive: np.ndarray, score: np.ndarray) -> Scorer:
    """Mean over the positive rows of the precision at their score (tied rows enter together), as in scikit-learn."""
    found, others = np.flatnonzero(positive), np.flatnonzero(~positive)
    found = found[np.argsort(-score[found], kind="stable")]
    others = others[np.argsort(-score[others], kind="stable")]
    at_found = np.searchsorted(-score[found], -score[found], side="right")
    at_others = np.searchsorted(-score[others], -score[found], side="right")

    def precision(weights: np.ndarray) -> np.ndarray:
        own = weights[found]
        right = _cumulative(own)
        wrong = _cumulative(weights[others])[at_others]
        hits = right[at_found]
        return _divide(np.einsum("rd,rd->d", own, _divide(hits, hits + wrong, 0.0)), right[-1])

    return precision


def counts(labels: np.ndarray, decided: np.ndarray, classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """Weighted counts of hits, decisions and labels of each class: weights (rows, draws) -> (3, classes, draws)."""
    from scipy import sparse

    rows = np.arange(len(labels))
    hit = labels == decided
    places = np.concatenate([labels[hit], classes + decided, 2 * classes + labels])
    columns = np.concatenate([rows[hit], rows, rows])
    table = sparse.csr_matrix((np.ones(len(places)), (places, columns)), shape=(3 * classes, len(labels)))
    return lambda weights: (table @ weights).reshape(3, classes, -1)


def from_counts(
    metric: str, hits: np.ndarray, decided: np.ndarray, labels: np.ndarray, positive: int
) -> np.ndarray:
    """A decision metric from counts, each (classes, ...) -> (...). Classes without labelled rows do not count."""
    if metric == "accuracy":
        return _divide(hits.sum(0), labels.sum(0))
    present = labels.reshape(len(labels), -1).max(1) > 0
    if metric == "balanced_accuracy":
        return _divide(hits[present], labels[present]).mean(0)
    f1 = _divide(2 * hits, decided + labels, 0.0)
    return f1[positive] if metric == "f1" else f1[present].mean(0)


def r2(labels: np.ndarray, predicted: np.ndarray) -> Scorer:
    """Coefficient of determination."""
    squares = (labels - predicted) ** 2
    centred = labels - labels.mean()  # keeps the difference of large sums exact
    parts = np.stack([squares, centred**2, centred, np.ones(len(labels))])

    def determination(weights: np.ndarray) -> np.ndarray:
        missed, total, linear, rows = parts @ weights
        return 1 - _divide(missed, total - linear**2 / rows)

    return determination


def prepare(metric: str, labels: np.ndarray, outputs: np.ndarray, classes: int, positive: int) -> Scorer:
    """The metric of one classifier's outputs as a function of row weights.

    Args:
        metric: a name of RANKING, DECISIONS or REGRESSION.
        labels: (rows,), class codes or target values.
        outputs: (rows, 1): score of the positive class, decided class or predicted value; (rows, classes) where
            a ranking metric is asked for with more than two classes (the mean of one class against the rest).
        classes: number of classes; positive: code of the positive class.
    """
    if metric == "r2":
        return r2(labels, outputs[:, 0])
    if metric in DECISIONS:
        count = counts(labels, outputs[:, 0].astype(int), classes)

        def decision(weights: np.ndarray) -> np.ndarray:
            hits, decided, own = count(weights)
            return from_counts(metric, hits, decided, own, positive)

        return decision
    if metric not in RANKING:
        raise InputError(
            f"unknown metric '{metric}'; there are: {', '.join(RANKING + DECISIONS + REGRESSION)}"
        )
    ranking = roc_auc if metric == "roc_auc" else average_precision
    if outputs.shape[1] == 1:
        return ranking(labels == positive, outputs[:, 0])
    present = [code for code in range(classes) if 0 < (labels == code).sum() < len(labels)]
    scorers = [ranking(labels == code, outputs[:, code]) for code in present]
    return lambda weights: np.mean([scorer(weights) for scorer in scorers], axis=0)


def per_class(
    metric: str, labels: np.ndarray, outputs: np.ndarray, classes: int, positive: int
) -> np.ndarray:
    """How well each class is told apart, (classes,): F1 for decision metrics, average precision for ranking ones."""
    once = np.ones((len(labels), 1))
    if metric in DECISIONS:
        hits, decided, own = counts(labels, outputs[:, 0].astype(int), classes)(once)
        values = _divide(2 * hits, decided + own, 0.0)[:, 0]
        return np.where(own[:, 0] > 0, values, np.nan)
    if outputs.shape[1] == 1:  # two classes: the other one is ranked by the same score, backwards
        outputs = np.stack(
            [outputs[:, 0] * (1 if code == positive else -1) for code in range(classes)], axis=1
        )
    found = [average_precision(labels == code, outputs[:, code])(once)[0] for code in range(classes)]
    return np.array(found)


def _cumulative(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, ... rows, (at least rows + 1, draws); the last of all is repeated to the end.

    Many short runs side by side, then their starts: five times as fast as one long `np.cumsum` down the rows.
    """
    rows, draws = weights.shape
    runs = -(-rows // RUN)
    sums = np.zeros((runs * RUN + 1, draws), weights.dtype)
    sums[1 : rows + 1] = weights
    run = sums[1:].reshape(runs, RUN, draws)
    for place in range(1, RUN):
        run[:, place] += run[:, place - 1]
    run[1:] += np.cumsum(run[:-1, -1], axis=0)[:, None]
    return sums


def _divide(above: np.ndarray, below: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """`above / below`, and `otherwise` where `below` is 0."""
    return np.divide(above, below, out=np.full_like(below, otherwise, dtype=float), where=below != 0)
