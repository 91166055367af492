"""What all generators for images share: reading, classes, conditions, files."""

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from leaven.generators import classes
from leaven.generators.conditions import Conditions
from leaven.generators.contract import SOURCE, Budget, Fit, Generator, Progress, silent
from leaven.generators.errors import FitError
from leaven.generators.image.pixels import image_column, read, to_column
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive

STATE = "generator.json"


class ImageGenerator(Generator):
    """Base of the generators for images. A subclass learns from pixels and labels, and makes pixels for labels.

    Attributes:
        shape: height, width, channels.
        classes: labels in sorted order; `counts`: train rows of each.
    """

    kind: ClassVar[Literal["table", "image", "text"]] = "image"

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self.shape = (0, 0, 0)
        self.classes: list[str] = []
        self.counts: list[int] = []
        self.threads = 1

    def fit(
        self,
        rows: Rows,
        *,
        seed: int,
        budget: Budget | None = None,
        device: str = "cpu",
        threads: int = 2,
        progress: Progress = silent,
    ) -> Fit:
        self.schema, self.threads = rows.schema, threads
        progress(0.0, f"{self.name}: reading train images")
        if not len(rows):
            raise FitError(f"{self.name}: there are no train images to learn from")
        pixels, texts = read(rows)
        self.shape = pixels.shape[1:]
        labels, distinct = pd.factorize(texts, sort=True)
        self.classes = [str(label) for label in distinct]
        self.counts = np.bincount(labels, minlength=len(distinct)).tolist()
        report = self._learn(
            pixels, labels, seed=seed, budget=budget or Budget(), device=device, progress=progress
        )
        report.rows = report.rows or len(labels)
        progress(1.0, f"{self.name}: fitted")
        return report

    def sample(self, count: int, *, seed: int, conditions: Conditions = (), offset: int = 0) -> pd.DataFrame:
        if self.schema is None:
            raise FitError(f"{self.name} is not fitted yet")
        labels = classes.draw(self, self.classes, self.counts, count, derive(seed, "labels"), conditions)
        pixels, sources = self._make(labels, derive(seed, "draw"))
        column = image_column(self.schema).name
        texts = np.array(self.classes, dtype=object)[labels]
        frame = pd.DataFrame({column: to_column(pixels), self.schema.target: texts})
        if sources is not None:
            frame[SOURCE] = sources
        return frame[[*self.schema.names, *([SOURCE] if sources is not None else [])]]

    def save(self, directory: Path) -> None:
        assert self.schema is not None
        state = {
            "generator": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "schema": self.schema.model_dump(mode="json"),
            "shape": self.shape,
            "classes": self.classes,
            "counts": self.counts,
            "threads": self.threads,
        }
        (directory / STATE).write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        self._save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        made = cls(state["parameters"])
        made.schema = Schema.model_validate(state["schema"])
        height, width, channels = state["shape"]
        made.shape, made.threads = (height, width, channels), state["threads"]
        made.classes, made.counts = state["classes"], state["counts"]
        made._load(directory)
        return made

    @abstractmethod
    def _learn(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        *,
        seed: int,
        budget: Budget,
        device: str,
        progress: Progress,
    ) -> Fit:
        """Learn from uint8 (rows, height, width, channels) and classes int64 (rows,)."""

    @abstractmethod
    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """An image for each label, uint8 (count, height, width, channels); for an editor also the train rows."""

    @abstractmethod
    def _save(self, directory: Path) -> None:
        """Write what was learned."""

    @abstractmethod
    def _load(self, directory: Path) -> None:
        """Read what `_save` wrote."""
