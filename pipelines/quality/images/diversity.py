"""Diversity of images: do synthetic ones reach all that real ones reach? A generator that has collapsed shows here."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.images.arms import draw
from leaven.pipelines.quality.points.diversity import compare
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
    """How much of the real images' variety the synthetic ones have, in the features of `extractor`.

    Arguments, result and errors as for `fidelity.measure`. `class_spread` and `class_spacing` are left out where no
    class has 3 images in every arm, or all of its train images look the same.
    """
    arms = draw(
        schema, extractor, train=train, synthetic=synthetic, fresh=fresh, seed=seed, max_rows=max_rows
    )
    return compare(arms, task)
