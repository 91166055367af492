"""What a row's label is likely to be: unlike models, each made steady for few rows, averaged.

Logistic regression, a random forest, extremely randomised trees and boosted trees err in unlike ways where rows are
few; the mean of their log-probabilities ranked unseen rows better than each of the classifiers by which lift is
measured, in every cell of adult, shoppers and mammography that was tried.
"""

from typing import Any

import numpy as np

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
    """Says how likely each class is, or which value a number has, for coded rows."""

    def __init__(self, models: list[Any], classes: int, matrix: Matrix):
        self._models, self._classes, self._matrix = models, classes, matrix
        self.residuals = np.zeros(1)

    @classmethod
    def learn(
        cls,
        numbers: np.ndarray,
        codes: np.ndarray,
        levels: list[int],
        labels: np.ndarray,
        *,
        classes: int,
        trees: int,
        balance: float,
        seed: int,
    ) -> "Teacher":
        """Learn from labelled rows, on one thread.

        Args:
            numbers, codes, levels: features of the rows, see `Matrix`.
            labels: class codes below `classes`, or target values where `classes` is 0, (rows,).
            trees: in each of the two forests.
            balance: weight of a class of n rows goes with n ** -balance: 1 makes classes weigh the same.
            seed: of everything random.
        """
        from threadpoolctl import threadpool_limits

        matrix = Matrix(numbers, codes, levels)
        features = matrix(numbers, codes)
        with threadpool_limits(1):
            if not classes:
                made = cls([model.fit(features, labels) for model in _regressors(trees, seed)], 0, matrix)
                unseen = np.mean([model.oob_prediction_ for model in made._models[1:3]], axis=0)
                made.residuals = np.sort((labels - unseen)[np.isfinite(unseen)])
                return made
            counts = np.bincount(labels, minlength=classes)
            weight = (len(labels) / counts[labels]) ** balance
            weight /= weight.mean()
            models = _classifiers(trees, int((counts > 0).sum()), seed)
            return cls(
                [model.fit(features, labels, sample_weight=weight) for model in models], classes, matrix
            )

    def chances(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Log-chances of the classes up to a constant, float64 (rows, classes); -inf for one that no row had."""
        from threadpoolctl import threadpool_limits

        features = self._matrix(numbers, codes)
        total = np.full((len(features), self._classes), -np.inf)
        known = self._models[0].classes_
        with threadpool_limits(1):
            logs = [np.log(np.clip(m.predict_proba(features), LEAST_CHANCE, 1)) for m in self._models]
        total[:, known] = np.mean(logs, axis=0)
        return total

    def values(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The expected target, float64 (rows,)."""
        from threadpoolctl import threadpool_limits

        features = self._matrix(numbers, codes)
        with threadpool_limits(1):
            return np.mean([model.predict(features) for model in self._models], axis=0)


def _classifiers(trees: int, classes: int, seed: int) -> list[Any]:
    from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    forest = {"n_estimators": trees, "min_samples_leaf": 3, "random_state": seed}
    return [
        LogisticRegression(C=0.1, max_iter=300),
        RandomForestClassifier(**forest),
        ExtraTreesClassifier(**forest),
        GradientBoostingClassifier(n_estimators=max(20, 2 * STAGES // classes), **_boosting(seed)),
    ]


def _regressors(trees: int, seed: int) -> list[Any]:
    from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import Ridge

    forest: dict[str, Any] = {
        "n_estimators": trees,
        "min_samples_leaf": 2,
        "bootstrap": True,
        "oob_score": True,
    }
    forest |= {"max_features": 0.4, "random_state": seed}
    return [
        Ridge(alpha=10.0),
        RandomForestRegressor(**forest),
        ExtraTreesRegressor(**forest),
        GradientBoostingRegressor(n_estimators=STAGES, **_boosting(seed)),
    ]


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
