"""The manifold of some rows as balls around each, out to its k-th nearest other row: who lies in them, who is reached.

Precision and recall as Kynkäänniemi et al. 2019, density and coverage as Naeem et al. 2020.
"""

from collections.abc import Iterator

import numpy as np

from leaven.pipelines.quality.neighbours import DIGITS, nearest

NEIGHBOURS = 5  # Naeem et al. 2020 use 5
DENSITY_ROWS = 4_000  # rows whose density is looked at: the mean needs no more


class Balls:
    """A ball around each of `points` (rows, dimensions), float64, out to its k-th nearest other point."""

    def __init__(self, points: np.ndarray):
        self.points = points
        self._squared = (points**2).sum(axis=1)
        if len(points) < 2:
            self.radius = np.zeros(len(points))
            self._weight = np.ones(len(points))
            return
        distances, _ = nearest(points, points, NEIGHBOURS + 1, own=np.arange(len(points)))
        k = min(NEIGHBOURS, distances.shape[1])
        self.radius = distances[:, k - 1]
        self._weight = np.full(len(points), 1 / k)
        # A ball that holds more than its k rows, because rows repeat, weighs less by that: else a value that
        # stands 300 times would count 300 times in each of its rows.
        tied = np.flatnonzero(distances[:, -1] == self.radius)
        if len(tied):
            counts = sum(block[:, tied].sum(axis=0) for block in self._inside(points))
            self._weight[tied] = 1 / np.maximum(1, counts - 1)

    def density(self, rows: np.ndarray) -> float:
        """Mean number of balls that a row lies in, by k: about 1 for rows like the points."""
        return float(
            np.concatenate([block @ self._weight for block in self._inside(rows[:DENSITY_ROWS])]).mean()
        )

    def coverage(self, rows: np.ndarray) -> float:
        """Share of balls that hold a row; the rim counts, so that repeated points can be covered."""
        distances, _ = nearest(self.points, rows, 1)
        return float((distances[:, 0] <= self.radius).mean())

    def holds(self, rows: np.ndarray) -> float:
        """Share of rows that lie in some ball: precision of the rows, or recall where the balls are theirs."""
        return float(np.concatenate([block.any(axis=1) for block in self._inside(rows)]).mean())

    def _inside(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Which rows lie in which balls, bool (1,000 rows or fewer, points) at a time."""
        bound = (self.radius + 10.0**-DIGITS) ** 2
        for start in range(0, len(rows), 1000):
            block = rows[start : start + 1000]
            squared = (block**2).sum(axis=1)[:, None] - 2 * block @ self.points.T + self._squared
            yield squared <= bound
