"""A cross-fitted ensemble: what classifiers of several kinds make of rows, each asked about rows it has not seen."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.seeds import derive
from leaven.pipelines.task import Task
from leaven.pipelines.threads import limited

FOLDS = 5

Make = Callable[[int, Task, int, int, int], Any]
"""Number of the kind, task, columns of its matrix, seed and threads -> a classifier or regressor."""

FEW, REMEMBERED = 10_000, 8  # rows up to which answers are kept, and how many of them


class Ensemble:
    """A model of each kind for each fold of train, fitted on the rows outside of the fold.

    Attributes:
        unseen: what the members say of each train row that has a label, asked of those alone that have not learned
            from it: (kinds, rows, classes), or (kinds, rows) for regression. NaN where no member could be fitted.
        labels: class codes or target values of those rows, (rows,).
        known: whether anything could be learned.
    """

    def __init__(
        self,
        features: Any,
        task: Task,
        train: pd.DataFrame,
        kinds: Sequence[str],
        make: Make,
        *,
        seed: int,
        threads: int,
    ):
        """`features`: of the kind of data, fitted on train; `kinds`: for each kind of model the matrix that it uses."""
        self._task, self._threads, self._kinds = task, threads, kinds
        self._features = features
        labels = self._features.labels(train)
        usable = np.isfinite(labels) if task.type == "regression" else labels >= 0
        rows, self.labels = train[usable].reset_index(drop=True), labels[usable]
        self._members: list[list[Any]] = [[] for _ in kinds]
        self._said_before: dict[str, np.ndarray] = {}  # the levels of a screen ask about the same rows
        self.unseen = np.full((len(kinds), *self._shape(len(rows))), np.nan)
        if len(rows) < 2 * FOLDS or not features.columns:
            return
        with limited(threads, len(rows)) as count:
            matrices = {uses: self._features.matrix(rows, uses) for uses in dict.fromkeys(kinds)}
            for fold, (learn, held) in enumerate(_splits(task, self.labels, seed)):
                own = self.labels[learn]
                if task.type == "classification" and len(np.unique(own)) < 2:
                    continue
                for kind, uses in enumerate(kinds):
                    width = int(np.prod(matrices[uses].shape[1:]))
                    member = make(kind, task, width, derive(seed, "member", fold), count)
                    member.fit(matrices[uses][learn], own)
                    self._members[kind].append(member)
                    self.unseen[kind][held] = self._said(member, matrices[uses][held])

    @property
    def known(self) -> bool:
        return bool(self._members[0])

    def says(self, frame: pd.DataFrame) -> np.ndarray:
        """What each kind says of other rows, mean over its folds: (kinds, rows, classes), or (kinds, rows)."""
        found = np.zeros((len(self._kinds), *self._shape(len(frame))))
        if not len(frame):
            return found
        key = hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()
        if key in self._said_before:
            return self._said_before[key]
        with limited(self._threads, len(frame)):
            matrices = {uses: self._features.matrix(frame, uses) for uses in dict.fromkeys(self._kinds)}
            for kind, uses in enumerate(self._kinds):
                for member in self._members[kind]:
                    found[kind] += self._said(member, matrices[uses]) / len(self._members[kind])
        if len(frame) <= FEW:
            self._said_before = dict([*self._said_before.items(), (key, found)][-REMEMBERED:])
        return found

    def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Class codes, -1 where the label is missing or unknown; target values, NaN where missing: (rows,)."""
        return self._features.labels(frame)

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows,) if self._task.type == "regression" else (rows, len(self._task.classes))

    def _said(self, member: Any, matrix: Any) -> np.ndarray:
        if self._task.type == "regression":
            return np.asarray(member.predict(matrix), float)
        made = np.zeros(self._shape(matrix.shape[0]))
        made[:, np.asarray(member.classes_, int)] = member.predict_proba(matrix)
        return made


def _splits(task: Task, labels: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import warnings

    from sklearn.model_selection import KFold, StratifiedKFold

    if task.type == "regression":
        return KFold(FOLDS, shuffle=True, random_state=seed).split(labels)
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    folds = int(np.clip(smallest, 2, FOLDS))
    with warnings.catch_warnings():
        # A class with a single row is in no other fold; the models that lack it give it no probability.
        warnings.filterwarnings("ignore", message="The least populated class")
        split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
        return iter(list(split))
