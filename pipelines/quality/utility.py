"""Utility: does a classifier get better for the synthetic rows? Arms are trained and asked about held-out rows.

All arms share learners, settings, seeds and held-out rows, so that they can be compared in pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.contract import Progress, silent
from leaven.generators.parallel import Call, Each, beside
from leaven.generators.seeds import derive
from leaven.pipelines.quality import metrics, thresholds
from leaven.pipelines.quality.scores import Scores
from leaven.pipelines.task import Task

__all__ = ["Arm", "Duplicate", "Scores", "by_learner", "duplicates", "per_class", "score_arms"]

FEW_ROWS = 1_000  # below, thresholds are tuned in FOLDS[0] folds, else in FOLDS[1]
FOLDS = (5, 3)

Resample = Callable[[pd.DataFrame, int], pd.DataFrame]


@dataclass(frozen=True)
class Arm:
    """One way to make a training set.

    Attributes:
        name: as reports show it.
        frames: rows it is made of. The frame that equals the `reference` of `score_arms` is its real part.
        class_weight: weigh classes equally.
        resample: `resample(rows, seed)` makes further rows out of the arm's rows (oversampling, SMOTE). A function,
            not rows: while thresholds are tuned it gets each fold's rows, and makes none of a held-out row.
        redraw: changes what a network is shown, anew for every batch (albumentations for images).
    """

    name: str
    frames: list[pd.DataFrame]
    class_weight: bool = False
    resample: Resample | None = None
    redraw: Any = None


def score_arms(
    kind: ModuleType | Any,
    schema: Any,
    task: Task,
    *,
    arms: Sequence[Arm],
    reference: pd.DataFrame,
    score: pd.DataFrame,
    learners: Sequence[Any],
    repeats: int,
    seed: int,
    max_rows: int,
    threads: int,
    each: Each | None = None,
    progress: Progress = silent,
) -> Scores:
    """Train every arm with every learner and score the held-out rows.

    Args:
        kind: module of the kind; its `features(schema, task, reference)` turns rows into matrices.
        schema: of the rows.
        task: what is predicted and by which metric.
        arms: ways to make a training set.
        reference: the real train rows. Features are fitted and thresholds tuned (out of fold) on them alone.
        score: the held-out rows. Rows without a known label are left out, here as everywhere.
        learners: see `kind.learners`.
        repeats: seeds of a random learner; one that is not random is trained once.
        seed: of everything random. Equal seeds give equal subsets, folds and learner seeds to all arms of all calls.
        max_rows: no arm trains on more rows. Real rows beyond half of it are thinned, stratified, and the other rows
            of an arm by as much, so that `real` means the same rows whatever it is compared with.
        threads: of a learner.
        each: like `map`; does the fits. On this machine when left out, networks `threads` at a time.
        progress: told the share of fits done.

    Raises:
        InputError: the metric does not fit the task.
    """
    metrics.check(task)
    features = kind.features(schema, task, reference)
    tunes = task.metric in metrics.DECISIONS and not all(learner.even for learner in learners)
    workshop = _Workshop(features, task, reference, seed, max_rows, tunes)
    labels = features.labels(score)
    known = _labelled(labels)
    held_out = score[known].reset_index(drop=True)
    scores = Scores.empty(task, labels[known])
    scores.keys = features.keys(held_out)
    asked = {uses: features.matrix(held_out, uses) for uses in dict.fromkeys(x.uses for x in learners)}
    seeds = {
        x.name: [derive("learner", seed, r) for r in range(repeats if x.random else 1)] for x in learners
    }
    total, done = len(arms) * sum(len(of) for of in seeds.values()), 0
    networks = all(learner.even for learner in learners)  # each on one thread, several beside each other

    def calls() -> Iterator[Call]:
        for arm in arms:
            training = workshop.training(arm)
            scores.trained[arm.name] = len(training.labels)
            for learner in learners:
                for learner_seed in seeds[learner.name]:
                    yield workshop.call(
                        training, learner, asked[learner.uses], learner_seed, 1 if networks else threads
                    )
            workshop.forget()

    if each is not None:
        said = iter(each(_called, calls()))
    else:
        said = beside(calls(), threads if networks and learners[0].beside else 1)
    for arm in arms:
        scores.outputs[arm.name] = {}
        for learner in learners:
            made = []
            for _ in seeds[learner.name]:
                progress(done / total, f"{arm.name}: {learner.name}")
                made.append(workshop.decided(next(said), learner))
                done += 1
            scores.outputs[arm.name][learner.name] = np.stack(made)
    progress(1.0, "scored")
    return scores


def _called(call: Call) -> Any:
    function, arguments = call
    return function(*arguments)


@dataclass
class _Training:
    """An arm's rows, ready for learners, and, where thresholds are tuned, those of each fold."""

    matrix: Callable[[str], Any]
    labels: np.ndarray
    weight: np.ndarray | None
    redraw: Any
    folds: list["_Training"]


class _Workshop:
    """Makes training sets out of arms and outputs out of training sets; keeps what arms share."""

    def __init__(
        self, features: Any, task: Task, reference: pd.DataFrame, seed: int, max_rows: int, tunes: bool
    ):
        self.features, self.task, self.seed, self.max_rows = features, task, seed, max_rows
        self.tunes = tunes
        self.reference = reference
        real = self._labelled_rows(reference)
        self.real = self._thinned(real, max(max_rows // 2, 1), "real")
        self.share = len(self.real) / max(len(real), 1)
        self.real_labels = features.labels(self.real)
        self._matrices: dict[tuple[int, str], tuple[pd.DataFrame, Any]] = {}
        if self.tunes:
            self.keys = features.keys(self.real)
            self.fold_count = FOLDS[0] if len(self.real) < FEW_ROWS else FOLDS[1]
            self.fold_of = self._folds()

    def training(self, arm: Arm) -> _Training:
        """The arm's whole training set, with its folds if thresholds have to be tuned."""
        others = list(arm.frames)
        place = next((n for n, frame in enumerate(others) if self._is_real(frame)), None)
        has_real = place is not None
        if place is not None:
            del others[place]  # only one: the real rows given twice are the real rows and duplicates of them
        extra = self._extra(others)
        parts = ([self.real] if has_real else []) + ([extra] if len(extra) else [])
        made = self._training(arm, parts, [None] * len(parts))
        if self.tunes:
            extra_folds = self._folds_of(extra)
            for fold in range(self.fold_count):
                kept = ([self.fold_of != fold] if has_real else []) + (
                    [extra_folds != fold] if len(extra) else []
                )
                made.folds.append(self._training(arm, parts, kept))
        return made

    def call(self, training: _Training, learner: Any, asked: Any, seed: int, threads: int) -> Call:
        """What asks a learner about the rows `asked`; `decided` makes outputs of the answer."""
        if self.tunes and not learner.even:
            return self._tuned, (training, learner, asked, seed, threads)
        if learner.even and len(training.labels):
            more = () if training.redraw is None else (training.redraw,)
            matrix = training.matrix(learner.uses)
            arguments = (matrix, training.labels, training.weight, asked, seed, threads, *more)
            return learner.fit_predict, arguments  # no part of the workshop goes along into another process
        return self._predicted, (training, learner, asked, seed, threads)

    def decided(self, said: np.ndarray, learner: Any) -> np.ndarray:
        """An answer as outputs (rows, outputs), see `Scores`."""
        if self.task.type == "regression":
            return said[:, None]
        if self.task.metric not in metrics.DECISIONS:
            return said if said.shape[1] > 2 else said[:, [metrics.positive_index(self.task)]]
        if learner.even:
            shares = np.bincount(self.real_labels, minlength=said.shape[1]) / len(self.real)
            weights = thresholds.for_shares(self.task.metric, shares)
            said = thresholds.decide(said, weights)
        return said[:, None].astype(np.int32)

    def _tuned(self, training: _Training, learner: Any, asked: Any, seed: int, threads: int) -> np.ndarray:
        """Decided classes (rows,), by thresholds that are tuned on the real rows out of fold."""
        said = self._predicted(training, learner, asked, seed, threads)
        unseen = np.zeros((len(self.real), said.shape[1]))
        real = self._matrix(self.real, learner.uses)
        for fold, part in enumerate(training.folds):
            own = self.fold_of == fold
            if not own.any():
                continue
            unseen[own] = self._predicted(part, learner, real[own], seed, threads)
        positive = metrics.positive_index(self.task)
        weights = thresholds.tune(self.task.metric, self.real_labels, unseen, positive, self.seed)
        return thresholds.decide(said, weights)

    def _predicted(
        self, training: _Training, learner: Any, asked: Any, seed: int, threads: int
    ) -> np.ndarray:
        if len(training.labels):
            matrix = training.matrix(learner.uses)
            return learner.fit_predict(matrix, training.labels, training.weight, asked, seed, threads)
        # Nothing to learn from: what is known without a classifier.
        rows = asked.shape[0]
        if self.task.type == "regression":
            return np.full(rows, self.real_labels.mean())
        return np.tile(
            np.bincount(self.real_labels, minlength=len(self.task.classes)) / len(self.real), (rows, 1)
        )

    def _training(self, arm: Arm, parts: list[pd.DataFrame], kept: list[np.ndarray | None]) -> _Training:
        """A training set of the kept rows of `parts` (None keeps all), resampled and weighted as the arm says."""
        rows = [part if keep is None else part[keep] for part, keep in zip(parts, kept, strict=True)]
        made = None
        if arm.resample is not None and any(len(part) for part in rows):
            joined = pd.concat(rows, ignore_index=True)
            made = self._labelled_rows(arm.resample(joined, derive("resample", self.seed)))
            made = made.iloc[: max(self.max_rows - len(joined), 0)]
        labels = [self.features.labels(part) for part in rows] + (
            [self.features.labels(made)] if made is not None else []
        )
        together = np.concatenate(labels) if labels else np.empty(0, int)

        def matrix(uses: str) -> Any:
            pieces = []
            for part, keep in zip(parts, kept, strict=True):
                whole = self._matrix(part, uses)
                pieces.append(whole if keep is None else whole[keep])
            if made is not None and len(made):
                pieces.append(self.features.matrix(made, uses))
            return _stack(pieces)

        weight = _equal_classes(together) if arm.class_weight and self.task.type == "classification" else None
        return _Training(matrix, together, weight, arm.redraw, [])

    def _matrix(self, frame: pd.DataFrame, uses: str) -> Any:
        """The frame's matrix, made once: arms share frames."""
        key = (id(frame), uses)
        if key not in self._matrices:
            self._matrices[key] = (frame, self.features.matrix(frame, uses))  # the frame keeps its id taken
        return self._matrices[key][1]

    def forget(self) -> None:
        """Drop the matrices of one arm's own rows."""
        self._matrices = {key: kept for key, kept in self._matrices.items() if kept[0] is self.real}

    def _is_real(self, frame: pd.DataFrame) -> bool:
        return frame is self.reference or (len(frame) == len(self.reference) and frame.equals(self.reference))

    def _labelled_rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        known = _labelled(self.features.labels(frame))
        return frame.reset_index(drop=True) if known.all() else frame[known].reset_index(drop=True)

    def _extra(self, frames: list[pd.DataFrame]) -> pd.DataFrame:
        """The arm's rows that are not real, thinned by as much as the real ones are."""
        if not frames:
            return self.real.iloc[:0]
        columns = [name for name in self.real.columns if all(name in frame.columns for frame in frames)]
        joined = self._labelled_rows(pd.concat([frame[columns] for frame in frames], ignore_index=True))
        limit = min(round(len(joined) * self.share), self.max_rows - len(self.real))
        return self._thinned(joined, limit, "extra")

    def _thinned(self, frame: pd.DataFrame, limit: int, what: str) -> pd.DataFrame:
        """At most `limit` rows, stratified by label."""
        if len(frame) <= limit:
            return frame
        rng = np.random.default_rng(derive("thin", what, self.seed))
        order = rng.permutation(len(frame))
        if self.task.type == "classification":
            labels = self.features.labels(frame)[order]
            place = pd.Series(labels).groupby(labels).cumcount().to_numpy()
            sizes = np.bincount(labels)
            order = order[np.argsort((place + 0.5) / sizes[labels], kind="stable")]
        return frame.iloc[np.sort(order[:limit])].reset_index(drop=True)

    def _folds(self) -> np.ndarray:
        """A fold for each real row, stratified; rows that are equal in all that a classifier sees share one."""
        _, first, group = np.unique(self.keys, return_index=True, return_inverse=True)
        rng = np.random.default_rng(derive("folds", self.seed))
        return _spread(self.real_labels[first], self.fold_count, rng)[group]

    def _folds_of(self, extra: pd.DataFrame) -> np.ndarray:
        """A fold for each other row: that of the real row it repeats, or a random one, stratified.

        Leaving out the fold's share keeps the proportion of real and other rows as it is in the whole arm.
        """
        rng = np.random.default_rng(derive("folds of extra", self.seed))
        folds = _spread(self.features.labels(extra), self.fold_count, rng)
        keys, first = np.unique(self.keys, return_index=True)
        own = self.features.keys(extra)
        place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
        repeats = keys[place] == own
        folds[repeats] = self.fold_of[first[place[repeats]]]
        return folds


class Duplicate:
    """Resamples an arm's real rows into duplicates: as many, with the same class counts, as its synthetic rows.

    Made of the rows that the arm has, so that duplicates bring no row that thinning had left out.
    """

    def __init__(self, real: pd.DataFrame, synthetic: pd.DataFrame, task: Task):
        self.task, self.ratio, self.synthetic = task, len(synthetic) / max(len(real), 1), synthetic

    def __call__(self, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        wanted = min(round(self.ratio * len(rows)), len(self.synthetic))
        like = (
            self.synthetic.sample(wanted, random_state=seed)
            if wanted < len(self.synthetic)
            else self.synthetic
        )
        return duplicates(rows, like, self.task, seed).sample(frac=1.0, random_state=seed)


def duplicates(real: pd.DataFrame, synthetic: pd.DataFrame, task: Task, seed: int) -> pd.DataFrame:
    """Real rows drawn again: as many as the synthetic ones, with the same class counts, each as evenly as can be.

    A class that no real row has is left out. The target of a regression has no classes: any real rows are drawn.
    """
    rng = np.random.default_rng(derive("duplicates", seed))
    if task.type == "regression":
        return real.iloc[_even(np.arange(len(real)), len(synthetic), rng)].reset_index(drop=True)
    own, wanted = real[task.target].map(str).to_numpy(), synthetic[task.target].map(str).to_numpy()
    labels, counts = np.unique(wanted[synthetic[task.target].notna()], return_counts=True)
    drawn = [_even(np.flatnonzero(own == label), n, rng) for label, n in zip(labels, counts, strict=True)]
    picked = np.concatenate(drawn) if drawn else np.empty(0, int)
    return real.iloc[np.sort(picked)].reset_index(drop=True)


def per_class(folds: Sequence[Scores], task: Task, arms: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """label -> arm -> how well the class is told apart, mean over folds, learners and seeds; {} for regression.

    F1 where the metric needs decisions, else average precision of the class against the rest. None where no
    held-out row has the label.
    """
    if task.type == "regression":
        return {}
    found = {}
    for arm in arms:
        by_fold = np.ma.masked_invalid(np.stack([fold.per_class(arm) for fold in folds]))
        found[arm] = by_fold.mean(axis=0).filled(np.nan)
    return {
        label: {arm: None if np.isnan(found[arm][code]) else float(found[arm][code]) for arm in arms}
        for code, label in enumerate(task.classes)
    }


def by_learner(
    folds: Sequence[Scores], task: Task, arms: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """arm -> learner -> the metric, mean over folds and seeds."""
    made: dict[str, dict[str, float]] = {}
    for arm in arms or folds[0].arms:
        values = [fold.values(arm) for fold in folds]
        made[arm] = {name: float(np.nanmean([v[name].mean() for v in values])) for name in values[0]}
    return made


def _labelled(labels: np.ndarray) -> np.ndarray:
    return ~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0


def _equal_classes(labels: np.ndarray) -> np.ndarray:
    """Weights (rows,) with mean 1 that give each class the same sum."""
    counts = np.bincount(labels)
    return len(labels) / (np.count_nonzero(counts) * counts[labels])


def _spread(labels: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Folds for rows, so that each class is spread evenly; where one class ends in the round, the next goes on."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    made = np.empty(len(labels), int)
    made[order] = np.arange(len(labels)) % folds
    return made


def _even(rows: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """`wanted` of `rows`, each as often as any other or once more."""
    if not len(rows):
        return rows
    whole, rest = divmod(wanted, len(rows))
    return np.concatenate([np.repeat(rows, whole), rng.choice(rows, rest, replace=False)])


def _stack(pieces: list[Any]) -> Any:
    if len(pieces) == 1:
        return pieces[0]
    if any(hasattr(piece, "tocsr") for piece in pieces):
        from scipy import sparse

        return sparse.vstack(pieces, format="csr")
    return np.concatenate(pieces)
