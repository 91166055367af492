"""Diversity of images: do synthetic ones reach all that real ones reach? A generator that has collapsed shows here."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.balls import NEIGHBOURS, Balls
from leaven.pipelines.quality.images.arms import Arms, Images
from leaven.pipelines.quality.images.fidelity import scale
from leaven.pipelines.quality.neighbours import nearest
from leaven.pipelines.task import Task

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor

LEAST_OF_CLASS = 3  # images of a class on either side without which its spread says nothing
COLLAPSED = "ceiling: one image of each class again and again"


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int = 10_000,
    extractor: "Extractor",
) -> dict[str, dict[str, Any]]:
    """How much of the real images' variety the synthetic ones have, in the features of `extractor`.

    Arguments, result and errors as for `fidelity.measure`. `class_spread` and `class_spacing` are left out where no
    class has 3 images in every arm, or all of its train images look the same.
    """
    arms = Arms.draw(
        schema, extractor, train=train, synthetic=synthetic, fresh=fresh, seed=seed, max_rows=max_rows
    )
    bad, like, unit = arms.collapsed(), arms.like(), scale(arms.reference.points)
    balls, seen = Balls(like.points / unit), extractor.name
    results = {
        "recall": arms.between(
            lambda images: Balls(images.points / unit).holds(like.points / unit),
            bad,
            better="higher",
            what=f"share of train images that lie in the neighbourhood (the {NEIGHBOURS} nearest) of some synthetic "
            f"image, in the features of {seen} ({COLLAPSED})",
        ),
        "coverage": arms.between(
            lambda images: balls.coverage(images.points / unit),
            bad,
            better="higher",
            what="share of train images that have a synthetic image among their nearest, in the features of "
            f"{seen} ({COLLAPSED})",
        ),
        "distinct_rows": arms.between(
            lambda images: len(np.unique(_flat(images), axis=0)) / len(images),
            bad,
            better="higher",
            what=f"share of images that are left when repeated ones are counted once ({COLLAPSED})",
        ),
    }
    within = Within(arms, task)
    if within.rows:
        results["class_spread"] = arms.between(
            within.spread,
            bad,
            better="higher",
            what="spread of the images of one class against train's, mean over classes; 1: as much, in the features "
            f"of {seen} ({COLLAPSED})",
        )
        results["class_spacing"] = arms.between(
            within.spacing,
            bad,
            better="higher",
            what="distance from an image to the nearest other one of its class against train's, mean over classes; "
            f"1: as much, low where images repeat with small changes, in the features of {seen} ({COLLAPSED})",
        )
    return results


def _flat(images: Images) -> np.ndarray:
    """Each image as one value, void (rows,)."""
    pixels = np.ascontiguousarray(images.pixels).reshape(len(images), -1)
    return pixels.view(np.dtype((np.void, pixels.shape[1])))


class Within:
    """How far images of one class lie from each other, against as many train images of the class.

    Attributes:
        rows: label -> images that are looked at in every arm.
    """

    def __init__(self, arms: Arms, task: Task):
        self._unit = scale(arms.reference.points)
        sets = (arms.reference, arms.synthetic, arms.fresh)
        counts = {label: min(int((one.labels == label).sum()) for one in sets) for label in task.classes}
        self.rows = {label: count for label, count in counts.items() if count >= LEAST_OF_CLASS}
        self._spread = {label: _spread(self._of(arms.reference, label)) for label in self.rows}
        self._spacing = {label: _spacing(self._of(arms.reference, label)) for label in self.rows}
        both = [label for label in self.rows if self._spread[label] > 0 and self._spacing[label] > 0]
        self.rows = {label: self.rows[label] for label in both}

    def spread(self, images: Images) -> float:
        """Root of the total variance against train's, mean over classes."""
        return float(np.mean([_spread(self._of(images, label)) / self._spread[label] for label in self.rows]))

    def spacing(self, images: Images) -> float:
        """Mean distance to the nearest other image against train's, mean over classes."""
        return float(
            np.mean([_spacing(self._of(images, label)) / self._spacing[label] for label in self.rows])
        )

    def _of(self, images: Images, label: str) -> np.ndarray:
        return images.points[images.labels == label][: self.rows[label]] / self._unit


def _spread(points: np.ndarray) -> float:
    return float(np.sqrt(points.var(axis=0, ddof=1).sum())) if len(points) > 1 else 0.0


def _spacing(points: np.ndarray) -> float:
    if len(points) < 2:
        return 0.0
    return float(nearest(points, points, 1, own=np.arange(len(points)))[0].mean())
