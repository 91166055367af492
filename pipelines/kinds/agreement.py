"""The label screen, or curation: a synthetic row stays if what its label says fits what the rest of it says.

Rows are judged by a cross-fitted ensemble of train, by its confidence in the row's own label and by its uncertainty,
as in Data-IQ (Seedat, Crabbé, Bica and van der Schaar 2022) and CLLM (Seedat, Huynh, van Breugel and van der Schaar
2024). How strict the screen should be differs from generator to generator, so it is tried on validation rows.
"""

import copy
import functools
from collections.abc import Callable
from typing import Protocol, Self

import numpy as np
import pandas as pd

from leaven.pipelines.task import Task

# Share of the real rows of a class, asked out of fold, that reach the confidence, and that stay below the uncertainty,
# of each level. Letting 95 % pass let nearly all rows of a copula pass too, and its lift on adult cut to 30 rows of the
# minority fell from +0.007 to -0.062 ROC AUC.
PASSING = {"mild": (0.75, 0.9), "strict": (0.5, 0.75)}
PASSING_LOWERED = 0.5  # where a number is given as the threshold

Level = float | str | bool


class Ensemble(Protocol):
    """What judges rows: classifiers of several kinds (or views), cross-fitted on train.

    Attributes:
        unseen: what they say of each train row, asked of those alone that have not learned from it: (kinds, rows,
            classes), or (kinds, rows) for regression. NaN where none could be fitted.
        labels: class codes or target values of those rows, (rows,).
    """

    unseen: np.ndarray
    labels: np.ndarray

    @property
    def known(self) -> bool:
        """Whether anything could be learned."""

    def says(self, frame: pd.DataFrame) -> np.ndarray:
        """What each kind says of other rows: (kinds, rows, classes), or (kinds, rows)."""

    def labels_of(self, frame: pd.DataFrame) -> np.ndarray:
        """Class codes, -1 where the label is missing or unknown; target values, NaN where missing: (rows,)."""


class LabelAgreement:
    """Lets rows pass by level:

    - `mild` and `strict` compare a row with the real rows of its class, asked out of fold. Its confidence, the mean of
      P(own label) over the kinds of classifiers, must be that of three quarters, or half, of them; its uncertainty, the
      standard deviation between the kinds, at most that of 90 %, or three quarters, of them. For regression the same of
      exp(-r² / 2σ²), of the residual r and the error out of fold σ.
    - A number is the least P(own label) / P(likeliest label), lowered for a class until half of its real rows pass:
      an ensemble that saw few rows of a class doubts every row of it.
    - False lets all pass.

    Where there are too few train rows to learn from, every row passes, and so do rows of a class of which no real row
    was asked about: nothing is known that they could be compared with. Else a row whose label is missing or unknown
    passes at no level but False. The ensemble is fitted when a row is judged for the first time.
    """

    name = "label_agreement"

    def __init__(self, task: Task, ensemble: Callable[[], Ensemble], threshold: Level):
        self.level = threshold
        self._judge = functools.cache(lambda: _Judge(task, ensemble()))

    def at(self, level: Level) -> Self:
        """The same screen at another level; what is fitted serves both."""
        other = copy.copy(self)
        other.level = level
        return other

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """Why each row must go, object (rows,); empty text where it may stay."""
        if self.level is False or not len(frame):
            return np.full(len(frame), "", dtype=object)
        sure, certain = self._judge().passed(frame, self.level)
        unsure = np.where(certain, "", f"{self.name}: uncertain")
        return np.where(sure, unsure, self.name).astype(object)

    def late(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows have a confidence no higher than half of the real rows of their class that pass, bool (rows,).

        All do where there are too few train rows to learn from.
        """
        return self._judge().late(frame, self.level)


class _Judge:
    """The fitted ensemble, and the scores that real rows get from it, out of fold."""

    def __init__(self, task: Task, ensemble: Ensemble):
        self._task = task
        self._ensemble = ensemble
        self._sigma = self._error()
        unseen, labels = self._ensemble.unseen, self._ensemble.labels
        asked = np.isfinite(unseen).reshape(len(unseen), len(labels), -1).all(axis=(0, 2))
        self._codes = (
            labels[asked].astype(int) if task.type == "classification" else np.zeros(asked.sum(), int)
        )
        self._real = self._scores(unseen[:, asked], labels[asked])

    def passed(self, frame: pd.DataFrame, level: Level) -> tuple[np.ndarray, np.ndarray]:
        """Which rows' labels agree, and which are certain, both bool (rows,)."""
        if not self._ensemble.known:
            return np.ones(len(frame), bool), np.ones(len(frame), bool)
        known, codes, scores = self._asked(frame)
        sure, certain = self._pass(scores, codes, level)
        return known & sure, certain

    def late(self, frame: pd.DataFrame, level: Level) -> np.ndarray:
        """Which rows' confidence is no higher than the median over the real rows of the class that pass."""
        if not self._ensemble.known:
            return np.ones(len(frame), bool)
        passing = np.ones(len(self._codes), bool)
        if level is not False:
            passing = np.logical_and(*self._pass(self._real, self._codes, level))
        known, codes, scores = self._asked(frame)
        return known & (scores[1] <= self._reached(1, 0.5, np.inf, passing)[codes])

    def _asked(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which rows have a known label, bool (rows,); their codes, 0 for others; their scores (3, rows)."""
        labels = self._ensemble.labels_of(frame)
        regression = self._task.type == "regression"
        known = np.isfinite(labels) if regression else labels >= 0
        scores = np.zeros((3, len(frame)))
        scores[:, known] = self._scores(self._ensemble.says(frame[known]), labels[known])
        return known, np.where(known & (not regression), labels, 0).astype(int), scores

    def _pass(self, scores: np.ndarray, codes: np.ndarray, level: Level) -> tuple[np.ndarray, np.ndarray]:
        """Which of the rows that got these scores have labels that agree, and which are certain, both bool (rows,)."""
        relative, own, spread = scores
        if not isinstance(level, str):
            least = np.minimum(float(level), self._reached(0, 1 - PASSING_LOWERED, -np.inf))
            return relative >= least[codes], np.ones(len(codes), bool)
        passing, certain = PASSING[level]
        sure = own >= self._reached(1, 1 - passing, -np.inf)[codes]
        return sure, spread <= self._reached(2, certain, np.inf)[codes]

    def _reached(
        self, score: int, share: float, otherwise: float, among: np.ndarray | None = None
    ) -> np.ndarray:
        """The quantile of a score over the real rows of each class, (classes,), or (1,) for regression."""
        found = np.full(max(len(self._task.classes), 1), otherwise)
        codes = self._codes if among is None else np.where(among, self._codes, -1)
        for code in np.unique(codes[codes >= 0]):
            found[code] = np.quantile(self._real[score][codes == code], share)
        return found

    def _error(self) -> float:
        """Root mean square error out of fold, of the mean over kinds; 0 for classification."""
        if self._task.type != "regression" or not self._ensemble.known:
            return 0.0
        return float(np.sqrt(np.nanmean((self._ensemble.unseen.mean(axis=0) - self._ensemble.labels) ** 2)))

    def _scores(self, says: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """How labels agree with what an ensemble says, (3, rows): relative to the likeliest label; confidence;
        uncertainty."""
        if self._task.type == "regression":
            # A target that is known exactly has no error to measure residuals by.
            sigma = self._sigma or np.finfo(float).tiny
            middle = np.exp(-((labels - says.mean(axis=0)) ** 2) / (2 * sigma**2))
            own = np.exp(-((labels - says) ** 2) / (2 * sigma**2))
            return np.stack([middle, own.mean(axis=0), own.std(axis=0)])
        rows, codes = np.arange(len(labels)), labels.astype(int)
        shares, own = says.mean(axis=0), says[:, rows, codes]
        return np.stack([shares[rows, codes] / shares.max(axis=1), own.mean(axis=0), own.std(axis=0)])
