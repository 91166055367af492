"""Train images to compare with, and the sets of as many images that a number stands between, as features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from leaven.generators.image.pixels import image_column, image_shape, to_array
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality import controls
from leaven.pipelines.quality.encode import as_labels

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor

MOST_BYTES = 2**29  # of pixels of one set of images
BLOCK = 256  # images that are computed at a time


@dataclass
class Images:
    """Images with their labels and features.

    Attributes:
        pixels: uint8 (rows, height, width, channels).
        labels: text (rows,), None where missing.
        points: float64 (rows, dimensions), as the extractor gives them.
    """

    pixels: np.ndarray
    labels: np.ndarray
    points: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray | slice) -> "Images":
        return Images(self.pixels[rows], self.labels[rows], self.points[rows])

    def relabelled(self, seed: int) -> "Images":
        """The same images, their labels shuffled."""
        shuffled = self.labels[np.random.default_rng(seed).permutation(len(self))]
        return Images(self.pixels, shuffled, self.points)


@dataclass
class Arms:
    """Train images to compare with, and three sets of `rows` images each to be compared with them."""

    reference: Images
    synthetic: Images
    fresh: Images
    rows: int
    extractor: "Extractor"
    seed: int

    @classmethod
    def draw(
        cls,
        schema: Schema,
        extractor: "Extractor",
        *,
        train: pd.DataFrame,
        synthetic: pd.DataFrame,
        fresh: pd.DataFrame,
        seed: int,
        max_rows: int,
    ) -> "Arms":
        """As many images of each as the smallest has, at most `max_rows`; of train at most `max_rows`.

        Of large images fewer: see `held`.

        Raises:
            ValueError: one of the frames is empty.
        """
        drawn = controls.Arms.draw(train, synthetic, fresh, seed, min(max_rows, held(schema)))
        return cls(
            reference=images(schema, drawn.reference, extractor),
            synthetic=images(schema, drawn.synthetic, extractor),
            fresh=images(schema, drawn.fresh, extractor),
            rows=drawn.rows,
            extractor=extractor,
            seed=seed,
        )

    def like(self) -> Images:
        """As many train images as the other arms have."""
        return self.reference.take(slice(self.rows))

    def noise(self) -> Images:
        """Images whose pixels are normal with train's mean and deviation, whatever the class; labels as often."""
        random = np.random.default_rng(derive(self.seed, "noise"))
        real = self.reference.pixels
        mean, deviation = (of(real, axis=0, dtype=np.float64) for of in (np.mean, np.std))
        pixels = np.empty((self.rows, *real.shape[1:]), dtype=np.uint8)
        for start in range(0, self.rows, BLOCK):
            block = pixels[start : start + BLOCK]
            block[:] = np.clip(np.rint(random.standard_normal(block.shape) * deviation + mean), 0, 255)
        return Images(pixels, self.like().labels, self.extractor(pixels))

    def relabelled(self) -> Images:
        """The fresh images with their labels shuffled."""
        return self.fresh.relabelled(derive(self.seed, "labels"))

    def collapsed(self) -> Images:
        """Each class as often as in train, one train image of it again and again."""
        labels = self.like().labels
        classes, first, codes = np.unique(labels.astype(str), return_index=True, return_inverse=True)
        assert len(classes) == len(first)
        return self.reference.take(first[codes])

    def between(
        self, score: Callable[[Images], float], bad: Images, *, better: Literal["lower", "higher"], what: str
    ) -> dict[str, Any]:
        """One number of the report with its floor and ceiling; `bad` is the known-bad generator's images."""
        return controls.between(self, score, bad, better=better, what=what)


def images(schema: Schema, frame: pd.DataFrame, extractor: "Extractor") -> Images:
    """A frame's images as arrays and features."""
    pixels = pixels_of(schema, frame)
    return Images(pixels, as_labels(frame[schema.target]), extractor(pixels))


def held(schema: Schema) -> int:
    """How many images of a set are held in memory at most."""
    return max(1, MOST_BYTES // int(np.prod(image_shape(schema))))


def pixels_of(schema: Schema, frame: pd.DataFrame) -> np.ndarray:
    """A frame's images, uint8 (rows, height, width, channels)."""
    return to_array(frame[image_column(schema).name], image_shape(schema))
