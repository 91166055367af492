"""What a row's label is likely to be: unlike models, each made steady for few rows, averaged.

Logistic regression, a random forest, extremely randomised trees and boosted trees err in unlike ways where rows are
few; the mean of their log-probabilities ranked unseen rows better than each of the classifiers by which lift is
measured, in every cell of adult, shoppers and mammography that was tried.
"""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

MOST_COLUMNS = 100  # one-hot columns of a discrete column; rarer codes share the last
CLIP = (0.005, 0.995)  # numbers are drawn in to these quantiles: a tail must not rule the linear model
LEAST_CHANCE = 1e-3  # of a class, by one model: no model may rule a class out
STAGES = 150  # of boosted trees, for two classes


class Matrix:
    """Coded rows -> float32 (rows, columns): numbers standardised, codes one-hot."""

    def __init__(self, numbers: np.ndarray, codes: np.ndarray, levels: list[int]):
        ends = np.quantile(numbers, CLIP, axis=0) if numbers.shape[1] else np.empty((2, 0))
        self._low: np.ndarray = ends[0]
        self._high: np.ndarray = ends[1]
        drawn_in = np.clip(numbers, self._low, self._high)
        self._mean, spread = drawn_in.mean(axis=0), drawn_in.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._place = []
        for column, count in enumerate(levels):
            often = np.argsort(-np.bincount(codes[:, column], minlength=count), kind="stable")
            place = np.full(count, min(count, MOST_COLUMNS) - 1)
            place[often[: MOST_COLUMNS - 1]] = np.arange(min(count, MOST_COLUMNS - 1))
            self._place.append(place)

    def __call__(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        scaled = (np.clip(numbers, self._low, self._high) - self._mean) / self._spread
        # One constant column, so that a table without features has a matrix too.
        parts = [np.zeros((len(numbers), 1), np.float32), scaled.astype(np.float32)]
        rows = np.arange(len(codes))
        for column, place in enumerate(self._place):
            one = np.zeros((len(codes), place.max() + 1), np.float32)
            one[rows, place[codes[:, column]]] = 1.0
            parts.append(one)
        return np.hstack(parts)


class Teacher:
    """Says how likely each class is, or which value a number has, for coded rows.

    There is one ensemble for each fold of the train rows, learned from the other folds. A row that started from a
    train row is asked of the ensemble that has not seen it: one that has would only repeat its label.
    """

    def __init__(self, ensembles: list[list[Any]], classes: int, matrix: Matrix):
        self._ensembles, self._classes, self._matrix = ensembles, classes, matrix
        self.residuals = np.zeros(1)  # of a numeric target, on train rows that were not seen

    @classmethod
    def learn(
        cls,
        numbers: np.ndarray,
        codes: np.ndarray,
        levels: list[int],
        labels: np.ndarray,
        folds: np.ndarray,
        *,
        count: int,
        classes: int,
        trees: int,
        balance: float,
        seed: int,
    ) -> "Teacher":
        """Learn from labelled rows, on one thread.

        Args:
            numbers, codes, levels: features of the rows, see `Matrix`.
            labels: class codes below `classes`, or target values where `classes` is 0, (rows,).
            folds: the fold of each row, (rows,), and `count`, how many there are; one fold is one ensemble that
                has seen every row.
            trees: in each of an ensemble's two forests.
            balance: weight of a class of n rows goes with n ** -balance: 1 makes classes weigh the same.
            seed: of everything random.
        """
        matrix = Matrix(numbers, codes, levels)
        features = matrix(numbers, codes)
        made = cls([], classes, matrix)
        for fold in range(count):
            others = (folds != fold) | (count == 1)
            with threadpool_limits(1):
                made._ensembles.append(
                    _classifiers(features[others], labels[others], trees, balance, seed)
                    if classes
                    else _regressors(features[others], labels[others], trees, seed)
                )
        if not classes:
            made.residuals = np.sort(labels - made._means(features, folds))
        return made

    def chances(self, numbers: np.ndarray, codes: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """Log-chances of the classes up to a constant, float64 (rows, classes); very low for one that was not seen.

        `folds` says for each row which ensemble to ask.
        """
        features = self._matrix(numbers, codes)
        total = np.full((len(features), self._classes), np.log(LEAST_CHANCE))
        for fold in np.unique(folds):
            own, models = folds == fold, self._ensembles[fold]
            with threadpool_limits(1):
                logs = [np.log(np.clip(m.predict_proba(features[own]), LEAST_CHANCE, 1)) for m in models]
            total[np.ix_(own, models[0].classes_)] = np.mean(logs, axis=0)
        return total

    def values(self, numbers: np.ndarray, codes: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """The expected target, float64 (rows,)."""
        return self._means(self._matrix(numbers, codes), folds)

    def _means(self, features: np.ndarray, folds: np.ndarray) -> np.ndarray:
        found = np.empty(len(features))
        for fold in np.unique(folds):
            own = folds == fold
            with threadpool_limits(1):
                found[own] = np.mean([m.predict(features[own]) for m in self._ensembles[fold]], axis=0)
        return found


def spread(labels: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for each row, int (rows,), each class (or range of values) spread evenly."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    made = np.empty(len(labels), int)
    made[order] = np.arange(len(labels)) % folds
    return made


def _classifiers(
    features: np.ndarray, labels: np.ndarray, trees: int, balance: float, seed: int
) -> list[Any]:
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    known, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(known) == 1:
        return [DummyClassifier(strategy="prior").fit(features, labels)]
    weight = (len(labels) / counts[place]) ** balance
    forest: dict[str, Any] = {"n_estimators": trees, "min_samples_leaf": 3, "random_state": seed}
    models = [
        LogisticRegression(C=0.1, max_iter=300),
        RandomForestClassifier(**forest),
        ExtraTreesClassifier(**forest),
        GradientBoostingClassifier(n_estimators=max(20, 2 * STAGES // len(known)), **_boosting(seed)),
    ]
    return [model.fit(features, labels, sample_weight=weight / weight.mean()) for model in models]


def _regressors(features: np.ndarray, labels: np.ndarray, trees: int, seed: int) -> list[Any]:
    from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import Ridge

    forest: dict[str, Any] = {"n_estimators": trees, "min_samples_leaf": 2, "max_features": 0.4}
    models = [
        Ridge(alpha=10.0),
        RandomForestRegressor(**forest, random_state=seed),
        ExtraTreesRegressor(**forest, random_state=seed),
        GradientBoostingRegressor(n_estimators=STAGES, **_boosting(seed)),
    ]
    return [model.fit(features, labels) for model in models]


def _boosting(seed: int) -> dict[str, Any]:
    """Small trees on half of the rows and a third of the columns each: no stage can learn rows by heart."""
    return {
        "learning_rate": 0.05,
        "max_depth": 3,
        "min_samples_leaf": 3,
        "subsample": 0.5,
        "max_features": 0.3,
        "random_state": seed,
    }
