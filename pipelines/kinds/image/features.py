"""Images as classifiers take them: pixels for networks, one flat row of numbers for a user's own estimator."""

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.kinds.image.remembered import keys
from leaven.pipelines.kinds.labels import codes
from leaven.pipelines.quality.images.arms import pixels_of
from leaven.pipelines.task import Task


class Features:
    """Turns rows into arrays. Nothing is learned: pixels are what they are."""

    def __init__(self, schema: Schema, task: Task):
        self.schema, self.task = schema, task

    def pixels(self, frame: pd.DataFrame) -> np.ndarray:
        """uint8 (rows, height, width, channels)."""
        return pixels_of(self.schema, frame)

    def matrix(self, frame: pd.DataFrame, uses: str) -> np.ndarray:
        """`pixels`: uint8 (rows, height, width, channels); anything else: float32 (rows, pixels) in 0 to 1."""
        pixels = self.pixels(frame)
        return pixels if uses == "pixels" else pixels.reshape(len(pixels), -1).astype(np.float32) / 255

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Codes int64 (rows,) in the order of `task.classes`, -1 for any other label."""
        return codes(self.task, frame[self.task.target])

    def keys(self, frame: pd.DataFrame) -> np.ndarray:
        """A number per row, uint64 (rows,), equal for images that are equal in pixels and label."""
        return keys(self.pixels(frame)) * np.uint64(1_000_003) + self.labels(frame).astype(np.uint64)
