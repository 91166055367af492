"""The label screen: a row's label must agree with what classifiers make of its other columns."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.encode import Encoder, as_labels, as_numbers
from leaven.pipelines.task import Task
from leaven.pipelines.threads import limited

FOLDS = 5
# Real rows of a class that must pass, out of fold. On adult cut to 30 rows of the minority, letting 95 % pass let
# nearly all rows of a copula pass too, and the lift fell from +0.007 to -0.062 ROC AUC.
PASSING = 0.5


class LabelAgreement:
    """Boosted trees, one per fold of train, classes weighed equally; a row's score is the mean over them.

    Classification keeps a row if P(its label) / P(likeliest label) >= `threshold`. Regression keeps it if
    exp(-r² / 2σ²) >= `threshold`, where r is the residual and σ the error out of fold. The threshold of a class is
    lowered until half of the real rows of the class would pass it, out of fold: trees that saw few rows of a class
    doubt every row of it. Trees that see too few rows to learn from let every row pass. The mean over folds keeps
    single train rows from deciding.
    """

    name = "label_agreement"

    def __init__(
        self, schema: Schema, task: Task, train: pd.DataFrame, *, threshold: float, seed: int, threads: int
    ):
        self._task, self._threshold, self._threads = task, threshold, threads
        self._encoder = Encoder.fit(schema, train)
        self._models: list[Any] = []
        self._lowest: dict[
            str, float
        ] = {}  # class -> the threshold that real rows of it pass; "" for regression
        self._sigma = 0.0
        known = train[train[task.target].notna()].reset_index(drop=True)
        features, categorical = self._encoder.tree_input(known, without=task.target)
        if len(known) < 2 * FOLDS or not features.shape[1]:
            return
        fit = self._fit_classes if task.type == "classification" else self._fit_values
        options = {"categorical_features": categorical, "early_stopping": False, "random_state": seed}
        with limited(threads, len(known)):
            fit(features, known[task.target], {**options, "max_iter": 100, "max_leaf_nodes": 15})

    def _fit_classes(self, features: np.ndarray, target: pd.Series, options: dict[str, Any]) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.model_selection import StratifiedKFold

        labels = as_labels(target).astype(str)
        unseen = np.full(len(labels), np.nan)
        smallest = int(np.unique(labels, return_counts=True)[1].min())
        folds = int(np.clip(smallest, 2, FOLDS))
        for rows in _splits(StratifiedKFold, folds, features, labels, options["random_state"]):
            if len(np.unique(labels[rows[0]])) < 2:
                continue
            model = HistGradientBoostingClassifier(class_weight="balanced", **options)
            self._models.append(model.fit(features[rows[0]], labels[rows[0]]))
            unseen[rows[1]] = self._agreement([model], features[rows[1]], labels[rows[1]])
        for label in np.unique(labels):
            self._lower(str(label), unseen[labels == label])

    def _fit_values(self, features: np.ndarray, target: pd.Series, options: dict[str, Any]) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.model_selection import KFold

        values = as_numbers(target)
        squares = []
        for train, held in _splits(KFold, FOLDS, features, values, options["random_state"]):
            model = HistGradientBoostingRegressor(**options).fit(features[train], values[train])
            self._models.append(model)
            squares.append((model.predict(features[held]) - values[held]) ** 2)
        together = np.concatenate(squares)
        self._sigma = float(np.sqrt(together.mean()))
        if self._sigma > 0:
            self._lower("", np.exp(-together / (2 * self._sigma**2)))

    def _lower(self, label: str, unseen: np.ndarray) -> None:
        """Note the agreement that real rows reach out of fold."""
        known = unseen[np.isfinite(unseen)]
        self._lowest[label] = float(np.quantile(known, 1 - PASSING)) if len(known) else 0.0

    def scores(self, frame: pd.DataFrame) -> np.ndarray:
        """How well each row's label agrees, 0 to 1 (rows,); 0 where it is missing or no known class."""
        if frame.empty:
            return np.empty(0)
        if not self._models:
            return np.ones(len(frame))
        features, _ = self._encoder.tree_input(frame, without=self._task.target)
        with limited(self._threads, len(frame)):
            if self._task.type == "regression":
                return self._value_scores(features, as_numbers(frame[self._task.target]))
            return self._agreement(self._models, features, as_labels(frame[self._task.target]))

    def _agreement(self, models: list[Any], features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """P(own label) / P(likeliest label), mean over models (rows,); 0 where the label is no known class."""
        position = {label: j for j, label in enumerate(self._task.classes)}
        shares = np.zeros((len(features), len(position)))
        for model in models:
            columns = [position[label] for label in model.classes_]
            shares[:, columns] += model.predict_proba(features)
        own = np.array([position.get(label, -1) for label in labels])
        mine = np.where(own < 0, 0.0, shares[np.arange(len(own)), own])
        return mine / shares.max(axis=1)

    def _value_scores(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        expected = np.mean([model.predict(features) for model in self._models], axis=0)
        residual = np.where(np.isnan(values), np.inf, values - expected)
        if self._sigma == 0:
            return (residual == 0).astype(float)
        return np.exp(-(residual**2) / (2 * self._sigma**2))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        if self._task.type == "regression":
            least = np.full(len(frame), min(self._threshold, self._lowest.get("", self._threshold)))
        else:
            lowest = [
                self._lowest.get(str(label), self._threshold) for label in as_labels(frame[self._task.target])
            ]
            least = np.minimum(self._threshold, np.array(lowest, dtype=float))
        # A label that is missing or unknown agrees with nothing, however low the threshold.
        scores = self.scores(frame)
        return np.where((scores >= least) & (scores > 0), "", self.name).astype(object)


def _splits(splitter: Any, folds: int, features: np.ndarray, target: np.ndarray, seed: int) -> Any:
    import warnings

    with warnings.catch_warnings():
        # A class with a single row is in no other fold; the models that lack it give it no probability.
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(splitter(folds, shuffle=True, random_state=seed).split(features, target))
