"""A cross-fitted ensemble: what classifiers of three kinds make of rows, each asked about rows it has not seen."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.kinds.table.features import Features, Uses
from leaven.pipelines.kinds.table.learners import boosting, solver
from leaven.pipelines.task import Task
from leaven.pipelines.threads import limited

FOLDS = 5
KINDS: tuple[Uses, ...] = ("linear", "tree", "tree")  # linear, forest, boosted: what their matrix is
FEW, REMEMBERED = 10_000, 8  # rows up to which answers are kept, and how many of them
TREES, ROUNDS = 20, 30  # of a member: the mean over all members is what counts


class Ensemble:
    """One linear model, forest and boosted tree for each fold of train, fitted on the rows outside of the fold.

    Classes weigh equally, so that a rare one can be the likeliest.

    Attributes:
        unseen: what the members say of each train row that has a label, asked of those alone that have not learned
            from it: (kinds, rows, classes), or (kinds, rows) for regression. NaN where no member could be fitted.
        labels: class codes or target values of those rows, (rows,).
        known: whether anything could be learned.
    """

    def __init__(self, schema: Schema, task: Task, train: pd.DataFrame, *, seed: int, threads: int):
        self._task, self._threads = task, threads
        self._features = Features(schema, task).fit(train)
        labels = self._features.labels(train)
        usable = np.isfinite(labels) if task.type == "regression" else labels >= 0
        rows, self.labels = train[usable].reset_index(drop=True), labels[usable]
        self._members: list[list[Any]] = [[] for _ in KINDS]
        self._said_before: dict[str, np.ndarray] = {}  # the levels of a screen ask about the same rows
        self.unseen = np.full((len(KINDS), *self._shape(len(rows))), np.nan)
        if len(rows) < 2 * FOLDS or not self._features.columns:
            return
        with limited(threads, len(rows)) as count:
            matrices = {uses: self._features.matrix(rows, uses) for uses in dict.fromkeys(KINDS)}
            for fold, (learn, held) in enumerate(_splits(task, self.labels, seed)):
                own = self.labels[learn]
                if task.type == "classification" and len(np.unique(own)) < 2:
                    continue
                for kind, uses in enumerate(KINDS):
                    width = matrices[uses].shape[1]
                    member = _member(kind, task, width, derive(seed, "member", fold), count)
                    member.fit(matrices[uses][learn], own)
                    self._members[kind].append(member)
                    self.unseen[kind][held] = self._said(member, matrices[uses][held])

    @property
    def known(self) -> bool:
        return bool(self._members[0])

    def says(self, frame: pd.DataFrame) -> np.ndarray:
        """What each kind says of other rows, mean over its folds: (kinds, rows, classes), or (kinds, rows)."""
        found = np.zeros((len(KINDS), *self._shape(len(frame))))
        if not len(frame):
            return found
        key = hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()
        if key in self._said_before:
            return self._said_before[key]
        with limited(self._threads, len(frame)):
            matrices = {uses: self._features.matrix(frame, uses) for uses in dict.fromkeys(KINDS)}
            for kind, uses in enumerate(KINDS):
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


def _member(kind: int, task: Task, width: int, seed: int, threads: int) -> Any:
    from sklearn import ensemble, linear_model

    classes = len(task.classes)
    boosted = {**boosting(classes, ROUNDS), "random_state": seed}
    forest = {"n_estimators": TREES, "min_samples_leaf": 3, "n_jobs": threads, "random_state": seed}
    if task.type == "regression":
        return (
            linear_model.Ridge(alpha=1.0),
            ensemble.ExtraTreesRegressor(max_features=0.4, **forest),
            ensemble.HistGradientBoostingRegressor(**boosted),
        )[kind]
    return (
        linear_model.LogisticRegression(
            C=0.3, class_weight="balanced", solver=solver(width, classes), max_iter=200
        ),
        ensemble.ExtraTreesClassifier(class_weight="balanced", **forest),
        ensemble.HistGradientBoostingClassifier(class_weight="balanced", **boosted),
    )[kind]


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
