"""Empirical marginals: a column to its ranks in (0, 1), evenly spread, and back."""

import numpy as np
from pydantic import BaseModel

KNOTS = 1000


class Marginal(BaseModel):
    """The distribution of one numeric column.

    With at most `KNOTS` distinct values each has its own step, so that atoms stay atoms; otherwise quantiles,
    between which values are interpolated.
    """

    values: list[float]  # rising
    ends: list[float]  # share of rows up to and with each value
    stepped: bool

    @classmethod
    def learn(cls, values: np.ndarray) -> "Marginal":
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) <= KNOTS:
            return cls(
                values=distinct.tolist(), ends=(np.cumsum(counts) / len(values)).tolist(), stepped=True
            )
        ends = np.linspace(0, 1, KNOTS + 1)
        return cls(values=np.quantile(values, ends).tolist(), ends=ends.tolist(), stepped=False)

    @staticmethod
    def ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Ranks of the learned values themselves, ties in random order, float (rows,) in (0, 1)."""
        order = np.lexsort((rng.random(len(values)), values))
        ranks = np.empty(len(values))
        ranks[order] = (np.arange(len(values)) + 0.5) / len(values)
        return ranks

    def invert(self, ranks: np.ndarray) -> np.ndarray:
        """Ranks -> values, float (rows,)."""
        values, ends = np.asarray(self.values), np.asarray(self.ends)
        if not self.stepped:
            return np.interp(ranks, ends, values)
        return values[np.minimum(np.searchsorted(ends, ranks), len(values) - 1)]

    def span(self, low: float, high: float) -> tuple[float, float]:
        """The ranks whose values lie in [low, high]; empty (equal ends) if there are none."""
        values, ends = np.asarray(self.values), np.asarray(self.ends)
        first, last = np.searchsorted(values, low, "left"), np.searchsorted(values, high, "right")
        if self.stepped:
            edges = np.concatenate([[0.0], ends])
            return float(edges[first]), float(edges[last])
        below = 0.0 if first == 0 else ends[first - 1]
        above = 1.0 if last == len(values) else ends[last]
        return float(below), float(above)
