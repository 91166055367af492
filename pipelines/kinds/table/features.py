"""Tables as numbers for classifiers: one matrix for linear learners, one for trees. Fitted on real train rows only."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.kinds.labels import codes
from leaven.pipelines.task import Task

Uses = Literal["linear", "tree"]

MOST_CODES = 250  # categories of a column that trees tell apart; the rest is one code, "other"
MOST_COLUMNS = 100  # one-hot columns of one category column, "other" and "missing" among them
RARE = 2_000  # a category is told apart if it has at least rows / RARE rows
CLIP = 0.001  # numbers beyond these quantiles of the real train rows are drawn in, for linear learners only
DENSE_WIDTH = 200  # wider linear matrices are sparse


class Features:
    """Turns rows into matrices. Identifiers, free text and the target are never features.

    A category never seen, a column that is all missing, infinities and dates out of range are taken, not refused:
    synthetic rows must be scored, however odd they are.
    """

    def __init__(self, schema: Schema, task: Task):
        self.schema, self.task = schema, task

    def fit(self, reference: pd.DataFrame) -> "Features":
        """Learn categories, medians and scales from the real train rows, with the house's types (`rows.to_frame`)."""
        columns = [column for column in self.schema.features if column.name in reference.columns]
        self.columns = [column.name for column in columns]
        self.categories = {
            c.name: _frequent(reference[c.name]) for c in columns if c.type in ("category", "boolean")
        }
        self.dates = [c.name for c in columns if c.type == "date"]
        self.numbers = [c.name for c in columns if c.type in ("number", "integer")]
        numbers = self._numbers(reference)
        with np.errstate(all="ignore"):
            self._low, self._high = _quantiles(numbers)
        self._encoder: Any = self._linear_encoder().fit(self._clipped(numbers, self._codes(reference)))
        return self

    def matrix(self, frame: pd.DataFrame, uses: Uses) -> Any:
        """The matrix of the kind that a learner uses, (rows, columns)."""
        return self.linear(frame) if uses == "linear" else self.tree(frame)

    def tree(self, frame: pd.DataFrame) -> np.ndarray:
        """Numbers as they are, categories as codes by falling frequency, missing NaN: float64 (rows, columns)."""
        codes = self._codes(frame)
        return np.concatenate([self._numbers(frame), np.where(codes < 0, np.nan, codes)], axis=1)

    def linear(self, frame: pd.DataFrame) -> Any:
        """Numbers imputed, flagged where missing, clipped and standardised; categories one-hot. Dense or CSR."""
        made = self._encoder.transform(self._clipped(self._numbers(frame), self._codes(frame)))
        if made.shape[1] <= DENSE_WIDTH:
            return made.toarray() if hasattr(made, "toarray") else np.asarray(made)
        return made

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Codes in the order of `task.classes`, -1 for any other label; for regression float64 with NaN."""
        target = frame[self.task.target]
        if self.task.type == "regression":
            values = pd.to_numeric(target, errors="coerce").to_numpy(float, na_value=np.nan)
            return np.where(np.isfinite(values), values, np.nan)
        return codes(self.task, target)

    def keys(self, frame: pd.DataFrame) -> np.ndarray:
        """A number per row, uint64 (rows,), equal for rows that are equal in all features and the target."""
        total = np.zeros(len(frame), np.uint64)
        for name in [*self.columns, self.task.target]:
            values = frame[name]
            text = values.astype(object).where(values.notna(), None)
            hashed = pd.util.hash_array(text.map(str).to_numpy(object))
            total = total * np.uint64(1_000_003) + hashed  # wraps around, as a hash may
        return total

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        """Numbers and what dates say, float64 (rows, columns), missing NaN."""
        parts = [frame[name].to_numpy(float, na_value=np.nan) for name in self.numbers]
        for name in self.dates:
            date = pd.to_datetime(frame[name], errors="coerce")
            days = (date - pd.Timestamp(0)).dt.total_seconds() / 86_400
            parts += [part.to_numpy(float) for part in (days, date.dt.month, date.dt.dayofweek, date.dt.hour)]
        if not parts:
            return np.empty((len(frame), 0))
        made = np.stack(parts, axis=1)
        made[~np.isfinite(made)] = np.nan
        return made

    def _codes(self, frame: pd.DataFrame) -> np.ndarray:
        """Category codes, int64 (rows, columns): -1 missing, the last code of a column "other"."""
        parts = []
        for name, known in self.categories.items():
            codes, distinct = pd.factorize(frame[name])
            place = {value: code for code, value in enumerate(known)}
            by_code = [place.get(str(value), len(known)) for value in distinct]
            parts.append(np.array([*by_code, -1], dtype=np.int64)[codes])
        return np.stack(parts, axis=1) if parts else np.empty((len(frame), 0), np.int64)

    def _clipped(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """What the linear encoder takes: clipped numbers, then codes of at most MOST_COLUMNS values a column."""
        last = np.minimum([len(known) for known in self.categories.values()], MOST_COLUMNS - 2)
        short = np.minimum(codes, last) if codes.shape[1] else codes
        return np.concatenate([np.clip(numbers, self._low, self._high), short], axis=1)

    def _linear_encoder(self) -> Any:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        width = len(self._low)
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
        )
        codes = OneHotEncoder(handle_unknown="ignore")
        parts = [
            ("numbers", numbers, list(range(width))),
            ("codes", codes, list(range(width, width + len(self.categories)))),
        ]
        return ColumnTransformer([part for part in parts if part[2]], sparse_threshold=1.0)


def _frequent(values: pd.Series) -> list[str]:
    """The categories worth a code of their own, most frequent first (ties by name): at most MOST_CODES."""
    counts = values.value_counts()
    counts = counts[counts >= len(values) / RARE]
    ranked = sorted(
        zip((str(value) for value in counts.index), counts, strict=True), key=lambda x: (-x[1], x[0])
    )
    return [value for value, _ in ranked[:MOST_CODES]]


def _quantiles(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which values each column is kept: its outer quantiles; no bounds where it is all missing."""
    if not numbers.shape[1]:
        return np.empty(0), np.empty(0)
    empty = np.isnan(numbers).all(0)
    filled = np.where(empty, 0.0, numbers)
    low, high = np.nanquantile(filled, [CLIP, 1 - CLIP], axis=0)
    return np.where(empty, -np.inf, low), np.where(empty, np.inf, high)
