"""Fidelity of images: do synthetic ones look real? Floor: fresh real images; ceiling: noise, or wrong labels."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.images.arms import draw
from leaven.pipelines.quality.points.fidelity import compare
from leaven.pipelines.task import Task

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor


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
    """Distances of synthetic images from train images in the features of `extractor`.

    Args:
        schema: the columns, one of them of images.
        task: gives the classes.
        train: what the generator learned from.
        synthetic: the images to judge.
        fresh: real images that no generator saw; they take the place of the synthetic ones for the floor.
        seed: of the samples, the subsets and the noise.
        max_rows: at most so many images of each; the three arms always have equally many.
        extractor: pixels -> features.

    Returns:
        NAME -> {value, floor, ceiling, better, what}. Fréchet's distances are taken in as many principal components
        of train as the images carry, and left out where they carry fewer than two, or where less than half of the
        classes have enough images.

    Raises:
        ValueError: one of the frames is empty.
    """
    arms = draw(
        schema, extractor, train=train, synthetic=synthetic, fresh=fresh, seed=seed, max_rows=max_rows
    )
    return compare(arms, task)
