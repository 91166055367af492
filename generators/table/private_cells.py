"""Cells of a column of numbers from noisy histograms: first which powers of two occur, then finer where rows are.

The grid does not depend on the rows: octaves [2^k, 2^(k+1)), of which those are kept whose noisy count passes the
threshold of open lists, cut into equal parts level by level where many rows lie (as PrivTree cuts space; Zhang,
Xiao and Xie 2016), and merged again until a cell has its share of rows. Within a cell, values count as uniform.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from leaven.generators.table.cells import DISTINCT, Cells

if TYPE_CHECKING:
    from leaven.generators.table.private_columns import Counter

SPLITS = 2  # levels below the octaves
HISTOGRAMS = 1 + SPLITS  # noisy histograms of one column
WAYS = 32  # parts that a bin is cut into, at most
CLEAR = 4.0  # a part should have so many standard deviations of noise
LARGEST = 2.0**1000
_SHIFT = 1100  # above the exponent of every float


@dataclass
class Leaf:
    """Numbers in [low, high), on the whole numbers' grid or not; `low == high`: exactly 0."""

    low: float
    high: float
    count: float


@dataclass
class Leaves:
    """The cells of one column by rising position, and the noisy number of missing values."""

    leaves: list[Leaf]
    whole: bool
    missing: float

    @property
    def counts(self) -> np.ndarray:
        """Noisy rows of each cell, above 0."""
        return np.maximum([leaf.count for leaf in self.leaves], 0.5)

    def cells(self, unit: float, origin: float, decimals: int | None) -> Cells:
        """As cells of the column's own numbers: grid number * `unit` + `origin`."""

        def real(values: np.ndarray) -> list[float]:
            made = values * unit + origin
            return (made if decimals is None else np.round(made, decimals)).tolist()

        lows, highs, inside, ends, stepped = [], [], [], [], []
        for leaf in self.leaves:
            last = leaf.high - 1 if self.whole else leaf.high
            number = last - leaf.low + 1
            lows += real(np.array([leaf.low]))
            highs += real(np.array([last]))
            if last <= leaf.low or (self.whole and number <= DISTINCT):
                own = leaf.low + np.arange(number if self.whole else 1)
                inside.append(real(own))
                ends.append(((np.arange(len(own)) + 1) / len(own)).tolist())
                stepped.append(True)
            else:
                half = 0.5 if self.whole else 0.0  # each whole number takes as much room as another
                inside.append([float(leaf.low - half) * unit + origin, float(last + half) * unit + origin])
                ends.append([0.0, 1.0])
                stepped.append(False)
        return Cells(lows=lows, highs=highs, inside=inside, ends=ends, stepped=stepped)


def learn(values: np.ndarray, missing: int, whole: bool, counter: "Counter", rows: int, most: int) -> Leaves:
    """Learn about `most` cells at most.

    Args:
        values: present values, float (n,); whole numbers if `whole`.
        missing: how many values are missing (exact; counted with noise here).
        counter: makes the noisy histograms; `HISTOGRAMS` of them are used, whatever the values.
        rows: train rows, a public number.
    """
    values = np.clip(values, -LARGEST, LARGEST)
    leaves, absent = _octaves(values, missing, whole, counter)
    target = max(rows / most, 3 * counter.noise)
    for level in range(SPLITS):
        leaves = _split(values, leaves, whole, counter, 0.0 if level == 0 else 2 * target)
    return Leaves(_merge(_trim(leaves, counter.noise), target), whole, absent)


def _octaves(values: np.ndarray, missing: int, whole: bool, counter: "Counter") -> tuple[list[Leaf], float]:
    exponent = np.frexp(np.abs(values))[1] + _SHIFT
    keys = np.where(values == 0, 0, np.where(values < 0, -exponent, exponent))
    found, counts = np.unique(keys, return_counts=True)
    noisy = counter([*counts.tolist(), missing])
    leaves = []
    for key, count in zip(found.tolist(), noisy[:-1].tolist(), strict=True):
        if count <= counter.threshold:
            continue
        if key == 0:
            leaves.append(Leaf(0.0, 1.0 if whole else 0.0, count))
            continue
        high = 2.0 ** (abs(key) - _SHIFT)
        low = high / 2
        if key > 0:
            leaves.append(Leaf(low, high, count))
        else:
            shift = 1.0 if whole else 0.0  # [-high + 1, -low] in whole numbers
            leaves.append(Leaf(-high + shift, -low + shift, count))
    return leaves, float(noisy[-1])


def _split(
    values: np.ndarray, leaves: list[Leaf], whole: bool, counter: "Counter", above: float
) -> list[Leaf]:
    """Cut the leaves with more than `above` rows into parts that the noise leaves visible."""
    made: list[tuple[Leaf, list[Leaf]]] = []
    for leaf in leaves:
        ways = int(min(WAYS, leaf.count / (CLEAR * counter.noise), leaf.high - leaf.low if whole else WAYS))
        if leaf.count <= above or ways < 2 or leaf.low == leaf.high:
            made.append((leaf, []))
            continue
        edges = np.linspace(leaf.low, leaf.high, ways + 1)
        if whole:
            edges = np.rint(edges)
        made.append((leaf, [Leaf(a, b, 0.0) for a, b in pairwise(edges)]))
    parts = [part for _, children in made for part in children]
    lows = np.array([part.low for part in parts])
    highs = np.array([part.high for part in parts])
    exact = np.zeros(len(parts))
    if parts:
        at = np.maximum(np.searchsorted(lows, values, "right") - 1, 0)
        inside = (values >= lows[at]) & (values < highs[at])
        exact = np.bincount(at[inside], minlength=len(parts)).astype(float)
    for part, count in zip(parts, counter(exact), strict=True):
        part.count = float(count)
    result = []
    for leaf, children in made:
        if children:  # the parts add up to the whole, which is known better than their sum
            off = (leaf.count - sum(part.count for part in children)) / len(children)
            for part in children:
                part.count += off
        result += children or [leaf]
    return result


def _trim(leaves: list[Leaf], noise: float) -> list[Leaf]:
    """Without the leaves at both ends that are not clearly more than noise."""

    def first(counts: list[float]) -> int:
        summed = np.cumsum(counts)
        clear = np.flatnonzero(summed > 3 * noise * np.sqrt(np.arange(len(counts)) + 1))
        return int(clear[0]) if len(clear) else 0

    counts = [leaf.count for leaf in leaves]
    start, stop = first(counts), len(counts) - first(counts[::-1])
    return leaves[start:stop] if start < stop else leaves


def _merge(leaves: list[Leaf], target: float) -> list[Leaf]:
    """Neighbours together until they have `target` rows; a leaf that alone has as many stays alone."""
    made: list[Leaf] = []
    for leaf in leaves:
        last = made[-1] if made else None
        touches = last is not None and last.high == leaf.low and last.low < last.high and leaf.low < leaf.high
        if last is not None and touches and last.count < target and leaf.count < target:
            made[-1] = Leaf(last.low, leaf.high, last.count + leaf.count)
        else:
            made.append(leaf)
    kept: list[Leaf] = []
    for leaf in made:  # what is left over between two full cells joins the one before
        last = kept[-1] if kept else None
        if last is not None and leaf.count < target / 3 and last.high == leaf.low and last.low < last.high:
            single = last.high - last.low <= 1
            if not single:
                kept[-1] = Leaf(last.low, leaf.high, last.count + leaf.count)
                continue
        kept.append(leaf)
    return kept
