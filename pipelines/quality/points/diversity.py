"""Diversity of rows as points: do synthetic ones reach all that real ones reach? What has collapsed shows here."""

from typing import Any

import numpy as np

from leaven.pipelines.quality.balls import NEIGHBOURS, Balls
from leaven.pipelines.quality.neighbours import nearest
from leaven.pipelines.quality.points.arms import Arms, Points
from leaven.pipelines.task import Task

LEAST_OF_CLASS = 3  # rows of a class on either side without which its spread says nothing
COLLAPSED = "ceiling: one row of each class again and again"


def compare(arms: Arms, task: Task) -> dict[str, dict[str, Any]]:
    """How much of the real rows' variety the synthetic ones have.

    Result as for `fidelity.compare`. `class_spread` and `class_spacing` are left out where no class has 3 rows in
    every arm, or all of its train rows are at one point.
    """
    bad, like = arms.collapsed(), arms.like()
    balls, seen, noun = Balls(arms.scaled(like)), arms.space, arms.noun
    results = {
        "recall": arms.between(
            lambda rows: Balls(arms.scaled(rows)).holds(arms.scaled(like)),
            bad,
            better="higher",
            what=f"share of train {noun}s that lie in the neighbourhood (the {NEIGHBOURS} nearest) of some synthetic "
            f"{noun}, in the features of {seen} ({COLLAPSED})",
        ),
        "coverage": arms.between(
            lambda rows: balls.coverage(arms.scaled(rows)),
            bad,
            better="higher",
            what=f"share of train {noun}s that have a synthetic {noun} among their nearest, in the features of "
            f"{seen} ({COLLAPSED})",
        ),
        "distinct_rows": arms.between(
            lambda rows: _distinct(rows),
            bad,
            better="higher",
            what=f"share of {noun}s that are left when repeated ones are counted once ({COLLAPSED})",
        ),
    }
    within = Within(arms, task)
    if within.rows:
        results["class_spread"] = arms.between(
            within.spread,
            bad,
            better="higher",
            what=f"spread of the {noun}s of one class against train's, mean over classes; 1: as much, in the features "
            f"of {seen} ({COLLAPSED})",
        )
        results["class_spacing"] = arms.between(
            within.spacing,
            bad,
            better="higher",
            what=f"distance from one {noun} to the nearest other one of its class against train's, mean over classes; "
            f"1: as much, low where {noun}s repeat with small changes, in the features of {seen} ({COLLAPSED})",
        )
    return results


def _distinct(rows: Points) -> float:
    """Share of rows that are left when repeated ones are counted once."""
    flat = np.ascontiguousarray(rows.content).reshape(len(rows), -1)
    if flat.dtype != object:
        flat = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize)))
    return len(set(flat[:, 0].tolist())) / len(rows)


class Within:
    """How far rows of one class lie from each other, against as many train rows of the class.

    Attributes:
        rows: label -> rows that are looked at in every arm.
    """

    def __init__(self, arms: Arms, task: Task):
        self._unit = arms.unit
        sets = (arms.reference, arms.synthetic, arms.fresh)
        counts = {label: min(int((one.labels == label).sum()) for one in sets) for label in task.classes}
        self.rows = {label: count for label, count in counts.items() if count >= LEAST_OF_CLASS}
        self._spread = {label: _spread(self._of(arms.reference, label)) for label in self.rows}
        self._spacing = {label: _spacing(self._of(arms.reference, label)) for label in self.rows}
        both = [label for label in self.rows if self._spread[label] > 0 and self._spacing[label] > 0]
        self.rows = {label: self.rows[label] for label in both}

    def spread(self, rows: Points) -> float:
        """Root of the total variance against train's, mean over classes."""
        return float(np.mean([_spread(self._of(rows, label)) / self._spread[label] for label in self.rows]))

    def spacing(self, rows: Points) -> float:
        """Mean distance to the nearest other row against train's, mean over classes."""
        return float(np.mean([_spacing(self._of(rows, label)) / self._spacing[label] for label in self.rows]))

    def _of(self, rows: Points, label: str) -> np.ndarray:
        return rows.points[rows.labels == label][: self.rows[label]] / self._unit


def _spread(points: np.ndarray) -> float:
    return float(np.sqrt(points.var(axis=0, ddof=1).sum())) if len(points) > 1 else 0.0


def _spacing(points: np.ndarray) -> float:
    if len(points) < 2:
        return 0.0
    return float(nearest(points, points, 1, own=np.arange(len(points)))[0].mean())
