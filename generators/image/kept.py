"""What generators share that start from train images: they keep them, and choose some of each class."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from leaven.generators.image.base import ImageGenerator
from leaven.generators.seeds import derive


class KeepsImages(ImageGenerator):
    """Base of generators that keep train images.

    Attributes:
        pixels: uint8 (rows, height, width, channels); `labels`: their classes int64 (rows,).
        arrays: the file in which they are kept.
    """

    arrays: ClassVar[str]

    def _keep(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels, self.labels = pixels, labels

    def _sources(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """A train image of each label's class, int64 (count,)."""
        rng = np.random.default_rng(derive(seed, "sources"))
        sources = np.empty(len(labels), dtype=np.int64)
        for label in np.unique(labels):
            asked = labels == label
            sources[asked] = rng.choice(np.flatnonzero(self.labels == label), asked.sum())
        return sources

    def _save(self, directory: Path) -> None:
        np.savez_compressed(directory / self.arrays, pixels=self.pixels, labels=self.labels)

    def _load(self, directory: Path) -> None:
        with np.load(directory / self.arrays, allow_pickle=False) as arrays:
            self.pixels, self.labels = arrays["pixels"], arrays["labels"]
