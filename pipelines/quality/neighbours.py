"""Which rows are copies or near copies of train rows, and how far rows are from each other."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.encode import Encoder, as_numbers

_GAP = 4.0  # distance between groups of categories, in tolerances: anything above 1 keeps them apart
_REACH = 1.0 + 1e-9  # the tree's bound is exclusive, ours is not
DIGITS = 5  # decimals of distances
_BRUTE_FROM = 12  # dimensions from which comparing all pairs beats a tree


def row_keys(schema: Schema, frame: pd.DataFrame) -> np.ndarray:
    """A 64-bit hash of each row's learnable columns, uint64 (rows,): equal rows have equal keys.

    Identifiers are regenerated and text is not learned, so neither makes two rows differ.
    """
    keys = np.full(len(frame), 14695981039346656037, dtype=np.uint64)
    for column in schema:
        if not column.learnable:
            continue
        series = frame[column.name]
        missing = series.isna().to_numpy()
        if column.type == "integer":
            values = series.fillna(0).to_numpy(dtype=np.int64)
        elif column.type in ("number", "date"):
            values = np.where(missing, 0.0, as_numbers(series)) + 0.0  # + 0.0 turns -0.0 into 0.0
        elif column.type == "image":
            values = series.to_numpy(dtype=object)
        else:
            values = np.where(missing, "", series.astype(object).to_numpy()).astype(str).astype(object)
        hashed = pd.util.hash_array(values)
        hashed[missing] = 1
        keys = (keys ^ hashed) * np.uint64(1099511628211)
        keys ^= keys >> np.uint64(29)
    return keys


class Copies:
    """Exact copies of train rows that stand only once in train."""

    def __init__(self, schema: Schema, train: pd.DataFrame):
        self._schema = schema
        self._learn(row_keys(schema, train))

    @classmethod
    def of(cls, schema: Schema, batches: Iterable[pd.DataFrame]) -> "Copies":
        """From train rows in batches: only their keys, 8 bytes a row, are held."""
        copies = cls.__new__(cls)
        copies._schema = schema
        keys = [row_keys(schema, batch) for batch in batches]
        copies._learn(np.concatenate(keys) if keys else np.empty(0, dtype=np.uint64))
        return copies

    def _learn(self, keys: np.ndarray) -> None:
        values, counts = np.unique(keys, return_counts=True)
        self._unique = values[counts == 1]
        self.unique_share = float(len(self._unique) / max(1, len(keys)))
        # A row left out hits a row that is unique in the rest exactly if it stands twice.
        self.expected = float(2 * (counts == 2).sum() / max(1, len(keys)))

    def mask(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows of `frame` equal a unique train row, bool (rows,)."""
        return np.isin(row_keys(self._schema, frame), self._unique)


class NearCopies:
    """Near copies: categories and what is missing equal, each number or date within `share` of its spread.

    A train row with another train row that near is not unique, and rows near it are no copies of it. Numbers
    are scaled to the tolerance, the group of equal categories is one more coordinate, and a k-d tree with a
    bound answers under the largest-difference norm: time grows about linearly with rows.
    """

    def __init__(self, schema: Schema, train: pd.DataFrame, share: float):
        from scipy.spatial import cKDTree

        self._encoder = Encoder.fit(schema, train)
        self._tolerance = share * self._encoder.spread
        self._groups = pd.Index(pd.unique(self._group_keys(train)))
        points, _ = self._points(train)
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        count = min(3, len(points))
        distances, indices = tree.query(
            points, k=list(range(1, count + 1)), p=np.inf, distance_upper_bound=_REACH
        )
        others = np.isfinite(distances) & (indices != np.arange(len(points))[:, None])
        # With three answers one of them is the row itself, unless three others lie on the same spot.
        number = others.sum(axis=1)
        self.unique_share = float((number == 0).mean())
        # A row left out is a near copy if some row's only neighbour is that row.
        only = indices[number == 1][others[number == 1]]
        self.expected = float(len(np.unique(only)) / max(1, len(points)))
        unique = points[number == 0]
        self._tree = cKDTree(unique, balanced_tree=False, compact_nodes=False) if len(unique) else None

    def mask(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows of `frame` are near a unique train row, bool (rows,)."""
        result = np.zeros(len(frame), dtype=bool)
        if self._tree is None or frame.empty:
            return result
        points, known = self._points(frame)
        distances, _ = self._tree.query(points[known], k=1, p=np.inf, distance_upper_bound=_REACH)
        result[known] = np.isfinite(distances)
        return result

    def _group_keys(self, frame: pd.DataFrame) -> np.ndarray:
        discrete = np.hstack([self._encoder.codes(frame), np.isnan(self._encoder.numbers(frame))])
        if not discrete.shape[1]:
            return np.zeros(len(frame), dtype=np.uint64)
        return pd.util.hash_pandas_object(pd.DataFrame(discrete), index=False).to_numpy()

    def _points(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Points of the tree, and which rows belong to a group that train has."""
        group = self._groups.get_indexer(self._group_keys(frame))
        numbers = self._encoder.numbers(frame)
        known = (group >= 0) & ~np.isinf(numbers).any(axis=1)
        scaled = np.where(np.isfinite(numbers), (numbers - self._encoder.centre) / self._tolerance, 0.0)
        return np.column_stack([group * _GAP, scaled]), known


def nearest(
    points: np.ndarray, corpus: np.ndarray, k: int, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest rows of `corpus` for each of `points`, nearest first.

    Args:
        points: (rows, dimensions).
        corpus: (n, dimensions).
        k: how many; cut to what `corpus` has.
        own: for each point its index in `corpus`, which is left out (-1: it is not there).

    Returns:
        Distances (rows, k), float64 and rounded to `DIGITS`, and indices (rows, k).
    """
    from sklearn.neighbors import NearestNeighbors

    asked = min(k + (own is not None), len(corpus))
    algorithm = "brute" if corpus.shape[1] >= _BRUTE_FROM else "kd_tree"
    search = NearestNeighbors(n_neighbors=asked, algorithm=algorithm).fit(corpus)
    distances, indices = search.kneighbors(points)
    # Comparing all pairs by products leaves errors of about 1e-7, which would hide that rows are equal or as near.
    distances = np.round(distances.astype(np.float64), DIGITS)
    if own is not None:
        itself = indices == own[:, None]
        distances[itself] = np.inf
        # A point that its own copies crowded out of its list loses the last one instead.
        crowded = (own >= 0) & ~itself.any(axis=1)
        distances[crowded, -1] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    kept = order[:, : min(k, asked - (own is not None))] if own is not None else order
    return np.take_along_axis(distances, kept, axis=1), np.take_along_axis(indices, kept, axis=1)
