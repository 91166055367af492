"""A column of numbers as cells: repeated values are cells of their own, the rest is cut at quantiles.

A cell keeps how its values lie within it, so that a drawn cell becomes a number without smoothing atoms away.
"""

import numpy as np
from pydantic import BaseModel

KNOTS = 17  # quantiles kept of a cell's values
DISTINCT = 64  # a cell with fewer distinct values that repeat keeps them as they are
REPEATS = 3.0  # rows per distinct value from which values count as repeating


class Cells(BaseModel):
    """The cells of one column, by rising position. Values are plain numbers (dates: microseconds since 1970).

    Cell `i` spans `lows[i]` to `highs[i]`, both included; equal ends are an atom. `inside[i]` are values within
    it and `ends[i]` the share of its rows up to each; `stepped[i]` says that only these values occur.
    """

    lows: list[float]
    highs: list[float]
    inside: list[list[float]]
    ends: list[list[float]]
    stepped: list[bool]

    @classmethod
    def learn(cls, values: np.ndarray, most: int) -> "Cells":
        """Cut present values, float (rows,), into at most about `most` cells."""
        distinct, counts = np.unique(values, return_counts=True)
        if len(distinct) <= most:
            return cls._of([(value, value, np.array([value]), np.array([1])) for value in distinct])
        heavy = counts >= len(values) / most
        atoms = [(value, value, np.array([value]), np.array([1])) for value in distinct[heavy]]
        light, sizes = distinct[~heavy], counts[~heavy]
        # Quantiles of what is left; equal values stay together.
        pieces = max(1, most - len(atoms))
        place = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
        number = np.minimum((place * pieces).astype(int), pieces - 1)
        starts = np.flatnonzero(np.diff(number, prepend=-1))
        spans = []
        for start, stop in zip(starts, [*starts[1:], len(light)], strict=True):
            own, rows = light[start:stop], sizes[start:stop]
            spans.append((own[0], own[-1], own, rows))
        return cls._of(sorted([*atoms, *spans], key=lambda cell: (cell[0], cell[1])))

    @classmethod
    def _of(cls, cells: list[tuple[float, float, np.ndarray, np.ndarray]]) -> "Cells":
        inside, ends, stepped = [], [], []
        for _, _, own, rows in cells:
            share = np.cumsum(rows) / rows.sum()
            few = len(own) == 1 or (len(own) <= DISTINCT and rows.sum() / len(own) >= REPEATS)
            if few:
                inside.append(own.tolist())
                ends.append(share.tolist())
            else:
                marks = np.linspace(0, 1, min(KNOTS, len(own)))
                middle = (share - rows / rows.sum() / 2 - share[0] / 2) / max(1 - share[0], 1e-12)
                middle = (middle - middle[0]) / (middle[-1] - middle[0])
                inside.append(np.interp(marks, middle, own).tolist())
                ends.append(marks.tolist())
            stepped.append(few)
        return cls(
            lows=[float(cell[0]) for cell in cells],
            highs=[float(cell[1]) for cell in cells],
            inside=inside,
            ends=ends,
            stepped=stepped,
        )

    def __len__(self) -> int:
        return len(self.lows)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Present values -> numbers of their cells, int (rows,); what lies between two cells goes to the nearer."""
        lows, highs = np.asarray(self.lows), np.asarray(self.highs)
        atom = lows == highs
        places = np.flatnonzero(atom)
        found = np.full(len(values), -1)
        if len(places):
            at = np.minimum(np.searchsorted(lows[places], values), len(places) - 1)
            same = lows[places][at] == values
            found[same] = places[at[same]]
        spans = np.flatnonzero(~atom)
        left = np.flatnonzero(found < 0)
        every = spans if len(spans) else np.arange(len(lows))
        low, high = lows[every], highs[every]
        at = np.clip(np.searchsorted(low, values[left], "right") - 1, 0, len(every) - 1)
        after = np.minimum(at + 1, len(every) - 1)
        nearer = (low[after] - values[left]) < (values[left] - high[at])
        found[left] = every[np.where((values[left] > high[at]) & nearer, after, at)]
        return found

    def share(self, low: float, high: float) -> np.ndarray:
        """Share of each cell's rows whose values lie in [low, high], float (cells,)."""
        first, last = self._window(low, high)
        return np.clip(last - first, 0.0, 1.0)

    def _window(self, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """The part of each cell within [low, high], as shares of its rows."""
        first, last = np.zeros(len(self)), np.zeros(len(self))
        for i, (values, ends) in enumerate(zip(self.inside, self.ends, strict=True)):
            if self.highs[i] < low or self.lows[i] > high:
                continue
            if self.stepped[i]:
                before = [0.0, *ends]
                first[i] = before[int(np.searchsorted(values, low, "left"))]
                last[i] = before[int(np.searchsorted(values, high, "right"))]
            else:
                first[i] = 0.0 if low <= values[0] else float(np.interp(low, values, ends))
                last[i] = 1.0 if high >= values[-1] else float(np.interp(high, values, ends))
                if last[i] == first[i] and low <= high:  # one point of a stretch
                    last[i] = min(1.0, first[i] + 1e-9)
                    first[i] = last[i] - 1e-9
        return first, last

    def draw(
        self, cells: np.ndarray, rng: np.random.Generator, low: float = -np.inf, high: float = np.inf
    ) -> np.ndarray:
        """A value within each cell, and within [low, high] where the cell reaches into it, float (rows,)."""
        first, last = (np.zeros(len(self)), np.ones(len(self)))
        if np.isfinite(low) or np.isfinite(high):
            a, b = self._window(low, high)
            reaches = b > a
            first, last = np.where(reaches, a, first), np.where(reaches, b, last)
        u = first[cells] + rng.random(len(cells)) * (last - first)[cells]
        drawn = np.asarray(self.lows)[cells]
        wide = np.flatnonzero(np.array([len(own) > 1 for own in self.inside])[cells])
        if len(wide):
            order = wide[np.argsort(cells[wide], kind="stable")]
            numbers, starts = np.unique(cells[order], return_index=True)
            for number, start, stop in zip(numbers, starts, [*starts[1:], len(order)], strict=True):
                rows, own, ends = order[start:stop], self.inside[number], self.ends[number]
                if self.stepped[number]:
                    at = np.minimum(np.searchsorted(ends, u[rows], "right"), len(own) - 1)
                    drawn[rows] = np.asarray(own)[at]
                else:
                    drawn[rows] = np.interp(u[rows], ends, own)
        return drawn
