"""The cheap ways with images, which synthetic ones must beat: albumentations, drawn anew for every batch."""

from typing import Any

import pandas as pd

from leaven.generators.image.policy import Redraw
from leaven.generators.schema import Schema
from leaven.pipelines.quality.utility import Arm
from leaven.pipelines.task import Task


def classic_arms(
    task: Task,
    schema: Schema,
    real: pd.DataFrame,
    extra: list[pd.DataFrame],
    seed: int,
    own: dict[str, Any] | None = None,
) -> list[Arm]:
    """The classic arms over real images and `extra` ones: TrivialAugment, the same with mirrored images, and the
    user's own pipeline, if there is one."""
    frames = [real, *extra]
    arms = [
        Arm("trivial_augment", frames, redraw=Redraw()),
        Arm("trivial_augment_mirror", frames, redraw=Redraw(flip=True)),
    ]
    return [*arms, Arm("own_pipeline", frames, redraw=Redraw(own))] if own else arms
