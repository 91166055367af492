"""What all generators of texts share: they keep the train texts, and make texts for classes."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pandas as pd

from leaven.generators import classes
from leaven.generators.conditions import Conditions
from leaven.generators.contract import SOURCE, Budget, Fit, Generator, Progress, silent
from leaven.generators.errors import FitError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive

STATE = "generator.json"


def text_column(schema: Schema) -> str:
    """Name of the column of texts.

    Raises:
        FitError: there is none.
    """
    found = schema.of("text")
    if not found:
        raise FitError("the rows have no column of texts")
    return found[0]


def as_texts(column: pd.Series) -> list[str]:
    """The texts of a column; empty where missing."""
    return ["" if text is None else str(text) for text in column]


class Ask(NamedTuple):
    """A synthetic text to be made: from a train text, or for a class alone.

    Attributes:
        source: the train text, counted from 0; -1 where it is made from nothing.
        label: class code.
        replicate: about how many synthetic texts start from the same train text before it, earlier shards counted;
            how many of this shard are made of nothing for the same class before it.
        seed: of this text alone.
    """

    source: int
    label: int
    replicate: int
    seed: int


class TextGenerator(Generator):
    """Base of the generators for texts.

    Attributes:
        texts, labels: the train texts with their class codes int64 (rows,).
        classes: labels in sorted order; `counts`: train rows of each.
    """

    kind: ClassVar[Literal["table", "image", "text"]] = "text"
    role: ClassVar[Literal["sampler", "editor"]] = "editor"

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self.texts: list[str] = []
        self.labels = np.empty(0, dtype=np.int64)
        self.classes: list[str] = []
        self.counts: list[int] = []
        self.threads, self.device = 1, "cpu"

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
        self.schema, self.threads, self.device = rows.schema, threads, device
        frame = rows.frame()
        if not len(frame):
            raise FitError(f"{self.name}: there are no train texts to learn from")
        codes, distinct = pd.factorize(frame[self.schema.target], sort=True)
        self.texts = [str(text) for text in frame[text_column(self.schema)]]
        self.labels = codes.astype(np.int64)
        self.classes = [str(label) for label in distinct]
        self.counts = np.bincount(codes, minlength=len(distinct)).tolist()
        report = self._learn(seed=seed, budget=budget or Budget(), progress=progress)
        report.rows = report.rows or len(self.texts)
        progress(1.0, f"{self.name}: fitted")
        return report

    def to(self, device: str) -> Self:
        self.device = device
        return self

    def sample(self, count: int, *, seed: int, conditions: Conditions = (), offset: int = 0) -> pd.DataFrame:
        if self.schema is None:
            raise FitError(f"{self.name} is not fitted yet")
        labels = classes.draw(self, self.classes, self.counts, count, derive(seed, "labels"), conditions)
        asked = self._asked(labels, seed, offset)
        made = self._make(asked)
        frame = pd.DataFrame(
            {
                text_column(self.schema): np.array(made, dtype=object),
                self.schema.target: np.array(self.classes, dtype=object)[labels],
            }
        )
        if self.role == "editor":
            frame[SOURCE] = np.array([ask.source for ask in asked], dtype=np.int64)
        return frame[[*self.schema.names, *([SOURCE] if self.role == "editor" else [])]]

    def _asked(self, labels: np.ndarray, seed: int, offset: int) -> list[Ask]:
        """An editor starts from a train text of each label's class: all of a class in turn, in a random order, before
        one comes again. What earlier shards had of a text does not come first again."""
        sources = np.full(len(labels), -1, dtype=np.int64)
        replicates = np.zeros(len(labels), dtype=np.int64)
        for label in np.unique(labels):
            places = np.flatnonzero(labels == label)
            if self.role == "sampler":
                replicates[places] = np.arange(len(places))
                continue
            own = np.flatnonzero(self.labels == label)
            order = np.random.default_rng(derive(seed, "sources", int(label))).permutation(own)
            sources[places] = np.resize(order, len(places))
            replicates[places] = offset // len(self.texts) + np.arange(len(places)) // len(own)
        return [
            Ask(int(source), int(label), int(replicate), derive(seed, place))
            for place, (source, label, replicate) in enumerate(zip(sources, labels, replicates, strict=True))
        ]

    def save(self, directory: Path) -> None:
        assert self.schema is not None
        state = {
            "generator": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "schema": self.schema.model_dump(mode="json"),
            "classes": self.classes,
            "counts": self.counts,
            "threads": self.threads,
            "texts": self.texts,
            "labels": self.labels.tolist(),
        }
        (directory / STATE).write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        self._save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        made = cls(state["parameters"])
        made.schema = Schema.model_validate(state["schema"])
        made.classes, made.counts, made.threads = state["classes"], state["counts"], state["threads"]
        made.texts, made.labels = state["texts"], np.array(state["labels"], dtype=np.int64)
        made._load(directory)
        return made

    @abstractmethod
    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        """Learn from `texts` and `labels`, or make what sampling needs."""

    @abstractmethod
    def _make(self, asked: Sequence[Ask]) -> list[str]:
        """A text for each, empty where none could be made (which a screen drops, with its reason)."""

    def _save(self, directory: Path) -> None:
        """Write what was learned besides."""
        return

    def _load(self, directory: Path) -> None:
        """Read what `_save` wrote."""
        return
