"""Rows as numbers, for distances, counts and trees. Fitted on train rows only; identifiers and text are left out."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema

# Quantile bins of a number where it is compared with a category: with few rows fewer, else all is noise.
BINS = (3, 10)
TREE_CATEGORIES = 250  # scikit-learn's boosted trees take at most 255 categories a column
SLOTS = 512  # width of the one-hot part of a row in the space of distances, all columns together
OFTEN = 5  # rows from which a category has a slot of its own in that space
FAR = 10.0  # spreads from the median at which a number is cut off, so that no tail rules all distances


def as_numbers(series: pd.Series) -> np.ndarray:
    """A number, integer or date column as float64, NaN where missing (dates in seconds)."""
    if pd.api.types.is_datetime64_any_dtype(series):
        values = series.to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(series.isna().to_numpy(), np.nan, values)
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def as_labels(series: pd.Series) -> np.ndarray:
    """A category, boolean or integer column as text, None where missing (`str(value)`, as `Task.classes`)."""
    values = series.to_numpy(dtype=object)
    missing = series.isna().to_numpy()
    return np.array([None if gone else str(v) for v, gone in zip(values, missing, strict=True)], dtype=object)


def robust_spread(values: np.ndarray) -> float:
    """Standard deviation as the quartiles tell it; where they coincide, the wider quantiles; 1 for a constant."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 1.0
    low, first, third, high = np.quantile(values, [0.05, 0.25, 0.75, 0.95])
    for spread in ((third - first) / 1.349, (high - low) / 3.29, float(values.std())):
        if spread > 0:
            return float(spread)
    return 1.0


@dataclass
class Encoder:
    """Turns rows into matrices. Make one with `Encoder.fit`.

    `numeric` are the number, integer and date columns, `discrete` the category and boolean columns.
    """

    numeric: list[str]
    discrete: list[str]
    categories: dict[str, pd.Index]  # most frequent first
    frequent: dict[str, int]  # how many of them have at least OFTEN rows
    edges: dict[str, np.ndarray]
    centre: np.ndarray
    spread: np.ndarray
    has_missing: np.ndarray  # bool (numeric,)

    @classmethod
    def fit(cls, schema: Schema, train: pd.DataFrame) -> "Encoder":
        numeric = schema.of("number", "integer", "date")
        discrete = schema.of("category", "boolean")
        numbers = [as_numbers(train[name]) for name in numeric]
        finite = [values[np.isfinite(values)] for values in numbers]
        bins = int(np.clip(np.sqrt(len(train)) / 8, *BINS))
        inner = np.linspace(0, 1, bins + 1)[1:-1]
        counts = {name: train[name].dropna().astype(object).value_counts() for name in discrete}
        return cls(
            numeric=numeric,
            discrete=discrete,
            categories={name: found.index for name, found in counts.items()},
            frequent={name: int((found >= OFTEN).sum()) for name, found in counts.items()},
            edges={
                name: np.unique(np.quantile(values, inner)) if len(values) else np.empty(0)
                for name, values in zip(numeric, finite, strict=True)
            },
            centre=np.array([np.median(values) if len(values) else 0.0 for values in finite]),
            spread=np.array([robust_spread(values) for values in finite]),
            has_missing=np.array([bool(np.isnan(values).any()) for values in numbers], dtype=bool),
        )

    def numbers(self, frame: pd.DataFrame) -> np.ndarray:
        """The numeric columns, float64 (rows, numeric), NaN where missing."""
        if not self.numeric:
            return np.empty((len(frame), 0))
        return np.column_stack([as_numbers(frame[name]) for name in self.numeric])

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """The discrete columns, int64 (rows, discrete): 0 missing, 1… by frequency, last + 1 not in train."""
        result = np.zeros((len(frame), len(self.discrete)), dtype=np.int64)
        for j, name in enumerate(self.discrete):
            known = self.categories[name]
            found = known.get_indexer(pd.Index(frame[name].astype(object))) + 1
            found[found == 0] = len(known) + 1
            result[:, j] = np.where(frame[name].isna().to_numpy(), 0, found)
        return result

    def bins(self, frame: pd.DataFrame) -> np.ndarray:
        """The numeric columns in train's quantile bins, int64 (rows, numeric): 0 missing, 1… the bins."""
        result = np.zeros((len(frame), len(self.numeric)), dtype=np.int64)
        for j, name in enumerate(self.numeric):
            values = as_numbers(frame[name])
            inside = np.searchsorted(self.edges[name], values, side="right") + 1
            result[:, j] = np.where(np.isnan(values), 0, inside)
        return result

    def tree_input(self, frame: pd.DataFrame, without: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """For boosted trees: float64 (rows, columns) and which of the columns are categorical.

        Categories are codes by frequency; rare ones beyond the trees' limit share one code; missing and
        unknown ones are NaN. `without` leaves a column out (the target).
        """
        numeric = [j for j, name in enumerate(self.numeric) if name != without]
        discrete = [j for j, name in enumerate(self.discrete) if name != without]
        codes = self.codes(frame)[:, discrete].astype(np.float64)
        known = np.array([len(self.categories[self.discrete[j]]) for j in discrete])
        codes[(codes == 0) | (codes > known)] = np.nan
        codes = np.minimum(codes, TREE_CATEGORIES) - 1
        matrix = np.hstack([self.numbers(frame)[:, numeric], codes])
        return matrix, np.arange(matrix.shape[1]) >= len(numeric)

    def space(self, frame: pd.DataFrame) -> np.ndarray:
        """Points for Euclidean distances, float32 (rows, dimensions).

        A number one robust spread away, another category, or missing against present each count 1. Categories
        that are seldom in train, or not there at all, are spread over shared slots by the hash of their text:
        this bounds the width, and treats those that train happens to have like those that it has not.
        """
        scaled = np.clip((self.numbers(frame) - self.centre) / self.spread, -FAR, FAR)
        missing = np.isnan(scaled)
        parts = [np.where(missing, 0.0, scaled).astype(np.float32), missing[:, self.has_missing]]
        codes = self.codes(frame)
        budget = max(8, SLOTS // max(1, len(self.discrete)))
        for j, name in enumerate(self.discrete):
            known = len(self.categories[name])
            own = self.frequent[name] if known < budget else min(self.frequent[name], budget // 2)
            shared = min(budget - own, known - own + 1)
            column = codes[:, j]
            others = column > own
            if others.any():
                text = frame[name].astype(object).to_numpy()[others].astype(str).astype(object)
                column = column.copy()
                column[others] = own + 1 + (pd.util.hash_array(text) % np.uint64(shared)).astype(np.int64)
            slots = own + 1 + shared
            hot = np.zeros((len(frame), slots), dtype=np.float32)
            hot[np.arange(len(frame)), column] = np.sqrt(0.5)
            parts.append(hot)
        return np.hstack(parts, dtype=np.float32)
