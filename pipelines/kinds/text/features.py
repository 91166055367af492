"""Texts as classifiers take them: as they are, for those that count words, or as points of a sentence encoder."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.text.base import as_texts, text_column
from leaven.generators.text.encoder import encode
from leaven.pipelines.kinds.labels import codes
from leaven.pipelines.quality.texts.same import same_keys
from leaven.pipelines.task import Task


class Features:
    """Turns rows into arrays. Nothing is learned here: what counts words learns them from each arm's own texts."""

    def __init__(self, schema: Schema, task: Task):
        self.schema, self.task = schema, task
        self.columns = [text_column(schema)]

    def texts(self, frame: pd.DataFrame) -> list[str]:
        """The texts; empty where missing."""
        return as_texts(frame[self.columns[0]])

    def matrix(self, frame: pd.DataFrame, uses: str) -> Any:
        """`points`: float32 (rows, dimensions) of the sentence encoder; anything else: the texts, object (rows,)."""
        texts = self.texts(frame)
        return encode(texts) if uses == "points" else np.array(texts, dtype=object)

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Codes int64 (rows,) in the order of `task.classes`, -1 for any other label."""
        return codes(self.task, frame[self.task.target])

    def keys(self, frame: pd.DataFrame) -> np.ndarray:
        """A number per row, uint64 (rows,), equal for texts that say the same with the same label."""
        return same_keys(self.texts(frame)) * np.uint64(1_000_003) + self.labels(frame).astype(np.uint64)
