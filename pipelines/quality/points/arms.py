"""Points to compare with, and the sets of as many points that a number stands between."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from leaven.generators.seeds import derive
from leaven.pipelines.quality import controls


@dataclass
class Points:
    """Rows with their labels, features, and what tells them apart where features don't.

    Attributes:
        labels: text (rows,), None where missing.
        points: float64 (rows, dimensions).
        content: any array (rows, ...) in which equal rows are equal.
    """

    labels: np.ndarray
    points: np.ndarray
    content: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> "Points":
        return Points(self.labels[rows], self.points[rows], self.content[rows])

    def relabelled(self, seed: int) -> "Points":
        """The same rows, their labels shuffled."""
        shuffled = self.labels[np.random.default_rng(seed).permutation(len(self))]
        return Points(shuffled, self.points, self.content)


@dataclass
class Arms:
    """Train rows to compare with, and three sets of `rows` rows each to be compared with them.

    Attributes:
        bad: rows of a known-bad generator, and what it is called.
        space: name of the features; `noun`: what a row is called.
    """

    reference: Points
    synthetic: Points
    fresh: Points
    bad: Points
    bad_told: str
    rows: int
    space: str
    noun: str
    seed: int
    unit: float = field(init=False)  # the root of train's total variance: distances are told in it

    def __post_init__(self) -> None:
        self.unit = float(np.sqrt(self.reference.points.var(axis=0).sum())) or 1.0

    def like(self) -> Points:
        """As many train rows as the other arms have."""
        return self.reference.take(slice(self.rows))

    def relabelled(self) -> Points:
        """The fresh rows with their labels shuffled."""
        return self.fresh.relabelled(derive(self.seed, "labels"))

    def collapsed(self) -> Points:
        """Each class as often as in train, one train row of it again and again."""
        labels = self.like().labels
        classes, first, codes = np.unique(labels.astype(str), return_index=True, return_inverse=True)
        assert len(classes) == len(first)
        return self.reference.take(first[codes])

    def scaled(self, points: Points) -> np.ndarray:
        """Points in units of train's spread."""
        return points.points / self.unit

    def between(
        self, score: Callable[[Points], float], bad: Points, *, better: Literal["lower", "higher"], what: str
    ) -> dict[str, Any]:
        """One number of the report with its floor and ceiling; `bad` is the known-bad generator's rows."""
        return controls.between(self, score, bad, better=better, what=what)
