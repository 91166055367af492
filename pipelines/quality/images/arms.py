"""Train images to compare with, and the sets of as many images that a number stands between, as features."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leaven.generators.image.pixels import image_column, image_shape, to_array
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality import controls
from leaven.pipelines.quality.encode import as_labels
from leaven.pipelines.quality.points.arms import Arms, Points

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor

MOST_BYTES = 2**29  # of pixels of one set of images
BLOCK = 256  # images that are computed at a time


NOISE = "ceiling: each pixel normal with train's mean and deviation"


def draw(
    schema: Schema,
    extractor: "Extractor",
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int,
) -> Arms:
    """As many images of each as the smallest has, at most `max_rows`; of train at most `max_rows`.

    Of large images fewer: see `held`.

    Raises:
        ValueError: one of the frames is empty.
    """
    drawn = controls.Arms.draw(train, synthetic, fresh, seed, min(max_rows, held(schema)))
    real = pixels_of(schema, drawn.reference)
    noise = _noise(real, drawn.rows, derive(seed, "noise"))
    reference = Points(as_labels(drawn.reference[schema.target]), extractor(real), real)
    return Arms(
        reference=reference,
        synthetic=points(schema, drawn.synthetic, extractor),
        fresh=points(schema, drawn.fresh, extractor),
        bad=Points(reference.labels[: drawn.rows], extractor(noise), noise),
        bad_told=NOISE,
        rows=drawn.rows,
        space=extractor.name,
        noun="image",
        seed=seed,
    )


def _noise(real: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Images whose pixels are normal with train's mean and deviation, whatever the class."""
    random = np.random.default_rng(seed)
    mean, deviation = (of(real, axis=0, dtype=np.float64) for of in (np.mean, np.std))
    pixels = np.empty((rows, *real.shape[1:]), dtype=np.uint8)
    for start in range(0, rows, BLOCK):
        block = pixels[start : start + BLOCK]
        block[:] = np.clip(np.rint(random.standard_normal(block.shape) * deviation + mean), 0, 255)
    return pixels


def points(schema: Schema, frame: pd.DataFrame, extractor: "Extractor") -> Points:
    """A frame's images as pixels and features."""
    pixels = pixels_of(schema, frame)
    return Points(as_labels(frame[schema.target]), extractor(pixels), pixels)


def held(schema: Schema) -> int:
    """How many images of a set are held in memory at most."""
    return max(1, MOST_BYTES // int(np.prod(image_shape(schema))))


def pixels_of(schema: Schema, frame: pd.DataFrame) -> np.ndarray:
    """A frame's images, uint8 (rows, height, width, channels)."""
    return to_array(frame[image_column(schema).name], image_shape(schema))
