"""Feature rows near train rows: each column from the row itself or from a neighbour, numbers moved a little.

MUNGE of Bucila, Caruana and Niculescu-Mizil, "Model compression", KDD 2006, with two changes: the partner is drawn
for every column out of the nearest rows, so that no row hugs a single train row, and numbers move along their ranks,
so that values that stand often stay as they are, and bounds and gaps are kept.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_LEVELS, HASHED_LEVELS = 200, 64
RANK_SPREAD = np.sqrt(12.0)  # ranks in (0, 1) times this have a standard deviation of 1


@dataclass(frozen=True)
class Bundle:
    """Coded columns that are taken from one row together."""

    numbers: tuple[int, ...]
    codes: tuple[int, ...]
    fixed: bool = False  # its numbers are not moved


@dataclass
class Mingler:
    """Train rows, ready to be mingled.

    Attributes:
        numbers: float64 (rows, numeric); codes: int32 (rows, discrete).
        ranks: (rows, numeric) in (0, 1), ties in random order; NaN where a number is missing.
        neighbours: int32 (rows, k), nearest first.
    """

    numbers: np.ndarray
    codes: np.ndarray
    ranks: np.ndarray
    neighbours: np.ndarray
    bundles: tuple[Bundle, ...]

    def __post_init__(self) -> None:
        present = [self.numbers[~np.isnan(self.ranks[:, j]), j] for j in range(self.numbers.shape[1])]
        self._sorted = [np.sort(values) for values in present]
        self._atoms = [2 * len(np.unique(values)) <= len(values) for values in present]

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        """Up to which number each neighbour gives: row 7's lie between 7 and 8, so that all are in order."""
        chances = _evened(self.neighbours)
        return (np.cumsum(chances, axis=1) + np.arange(len(chances))[:, None]).ravel()

    @classmethod
    def learn(
        cls,
        numbers: np.ndarray,
        codes: np.ndarray,
        missing: np.ndarray,
        levels: Sequence[int],
        bundles: tuple[Bundle, ...],
        *,
        neighbours: int,
        rng: np.random.Generator,
    ) -> "Mingler":
        """From coded train rows.

        Args:
            numbers: (rows, numeric), filled in where `missing`, bool of the same shape.
            codes: (rows, discrete), and how many `levels` each column has.
            bundles: every column stands in one.
            neighbours: nearest rows that a row may take values from.
            rng: orders ties.
        """
        ranks = np.full(numbers.shape, np.nan)
        middles = np.full(numbers.shape, 0.5)  # equal values have equal ones: distances must not be random
        for j in range(numbers.shape[1]):
            own = np.flatnonzero(~missing[:, j])
            values = numbers[own, j]
            order = np.lexsort((rng.random(len(own)), values))
            ranks[own[order], j] = (np.arange(len(own)) + 0.5) / max(len(own), 1)
            ordered = np.sort(values)
            ends = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
            middles[own, j] = ends / (2 * max(len(own), 1))
        near = _nearest(_space(middles, codes, levels), neighbours)
        return cls(numbers, codes.astype(np.int32), ranks, near, bundles)

    def draw(
        self, bases: np.ndarray, rng: np.random.Generator, *, swap: float, jitter: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """A row near each of the `bases`: numbers (count, numeric) and codes (count, discrete).

        Args:
            bases: train rows to start from, (count,).
            rng: of everything random.
            swap: chance that a bundle comes from a neighbour.
            jitter: standard deviation of the move of a number, in ranks.
        """
        count, k = len(bases), self.neighbours.shape[1]
        numbers = np.empty((count, self.numbers.shape[1]))
        codes = np.empty((count, self.codes.shape[1]), dtype=np.int32)
        for bundle in self.bundles:
            picked = np.searchsorted(self._ends, bases + rng.random(count)) - bases * k
            donor = self.neighbours[bases, np.clip(picked, 0, k - 1)]
            source = np.where(rng.random(count) < swap, donor, bases)
            codes[:, list(bundle.codes)] = self.codes[source][:, list(bundle.codes)]
            for j in bundle.numbers:
                moved = self.ranks[source, j] + jitter * rng.normal(size=count)
                numbers[:, j] = self.numbers[source, j] if bundle.fixed else self._valued(moved, source, j)
        return numbers, codes

    def copies(self, numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Which rows equal a train row that stands there only once, bool (rows,)."""
        own, times = np.unique(_bytes(self.numbers, self.codes), return_counts=True)
        return np.isin(_bytes(numbers, codes), own[times == 1])

    def _valued(self, ranks: np.ndarray, source: np.ndarray, column: int) -> np.ndarray:
        """Ranks -> values of the column, reflected at the ends; a missing one keeps what it was filled with."""
        known = self._sorted[column]
        if not len(known):
            return self.numbers[source, column]
        inside = np.clip(1 - np.abs(1 - np.abs(ranks)), 0.0, 1.0)
        place = inside * len(known)
        if self._atoms[column]:
            step = np.nan_to_num(place).astype(int)
            values = known[np.minimum(step, len(known) - 1)]
        else:
            values = np.interp(place - 0.5, np.arange(len(known)), known)
        return np.where(np.isnan(ranks), self.numbers[source, column], values)


def _evened(neighbours: np.ndarray, turns: int = 100) -> np.ndarray:
    """Chance of each neighbour to give a value, (rows, k), so that all rows give about equally many.

    Even chances would thin out rare values: they lie off the crowd, and few rows have them among their nearest.
    Row and column sums are scaled to 1 in turn (Sinkhorn and Knopp 1967), as far as the neighbourhoods allow.
    """
    rows = len(neighbours)
    weight = np.ones(rows)
    for _ in range(turns):
        chances = weight[neighbours]
        chances /= chances.sum(axis=1, keepdims=True)
        given = np.bincount(neighbours.ravel(), chances.ravel(), rows)
        if np.abs(given - 1).max() < 0.01:
            break
        weight = np.clip(weight / np.maximum(given, 1e-3), 1e-4, 1e4)
    chances = weight[neighbours]
    return chances / chances.sum(axis=1, keepdims=True)


def _bytes(numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Each row as one value that can be compared, (rows,)."""
    parts = [np.zeros((len(numbers), 1)), numbers + 0.0, codes.astype(float)]  # + 0.0 turns -0.0 into 0.0
    rows = np.ascontiguousarray(np.hstack(parts))
    return rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()


def _space(ranks: np.ndarray, codes: np.ndarray, levels: Sequence[int]) -> np.ndarray:
    """Where rows lie near each other, float32 (rows, dimensions): numbers by rank, so that no tail rules, and a
    differing category one standard deviation away."""
    parts = [np.zeros((len(ranks), 1), dtype=np.float32), (ranks * RANK_SPREAD).astype(np.float32)]
    for place, count in enumerate(levels):
        column = codes[:, place].astype(np.int64)
        if count > MOST_LEVELS:  # too many to unfold: a hash keeps most differences apart
            column, count = column * 2654435761 % 2**32 % HASHED_LEVELS, HASHED_LEVELS
        one = np.zeros((len(column), count), dtype=np.float32)
        one[np.arange(len(one)), column] = np.sqrt(0.5)
        parts.append(one)
    return np.hstack(parts)


def _nearest(space: np.ndarray, k: int) -> np.ndarray:
    """The `k` nearest other rows, int32 (rows, k); a table of one row has itself."""
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    k = min(k, len(space) - 1)
    if k == 0:
        return np.zeros((len(space), 1), dtype=np.int32)
    with threadpool_limits(1):  # sums depend on threads
        search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(space)
        near = search.kneighbors(space, return_distance=False)
    own = near == np.arange(len(space))[:, None]
    own[~own.any(axis=1), -1] = True  # among exact duplicates the row itself need not come first
    return near[~own].reshape(len(space), k).astype(np.int32)
