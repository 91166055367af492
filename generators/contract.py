"""The contract of every generator: fit, sample (or edit), save, load.

A *sampler* makes rows from nothing; an *editor* makes rows from source rows. Nothing in this room knows of
stores, reports or schedules.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from leaven.generators.conditions import Conditions
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema

SOURCE = "_source_row"  # the column in which an editor says from which train row it started

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1, NaN when unknown) and a short text. Where it has an attribute `picture`, that is
called now and then with images as they are drawn so far, uint8 (n, height, width, channels), and how many stand side
by side."""


def silent(share: float, text: str) -> None:
    """The progress that says nothing."""


class Parameters(BaseModel):
    """Base of every generator's own parameters, which stand beside `generator:` in the recipe."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Budget:
    """How long a fit may take: by the clock, or, in a replay, by the steps that an earlier fit took.

    The clock starts when the object is made. `checkpoint`: folder in which a fit that can may keep its state, to go
    on from there after a kill; `before`: seconds that it had taken by then.
    """

    def __init__(
        self, seconds: float | None = None, steps: int | None = None, checkpoint: Path | None = None
    ):
        self.seconds, self.steps, self.checkpoint = seconds, steps, checkpoint
        self.before = 0.0
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.before + time.monotonic() - self._start

    def spent(self, steps: int) -> bool:
        """Whether a fit that has taken `steps` steps must stop now."""
        if self.steps is not None:
            return steps >= self.steps
        return self.seconds is not None and self.elapsed >= self.seconds


class Fit(BaseModel):
    """What a fit reports. `steps` replays it when the clock ended it (`stopped_by == "budget"`)."""

    steps: int = 0
    stopped_by: Literal["done", "budget"] = "done"
    rows: int = 0  # rows learned from
    notes: list[str] = Field(default_factory=list)
    losses: list[dict[str, float]] = Field(default_factory=list)
    privacy: dict[str, Any] | None = None  # what a differentially private fit was asked for and has spent


class Generator(ABC):
    """Base of all generators. A subclass sets the class variables and fills in the four methods."""

    name: ClassVar[str]
    kind: ClassVar[Literal["table", "image", "text"]]
    role: ClassVar[Literal["sampler", "editor"]] = "sampler"
    Parameters: ClassVar[type[Parameters]] = Parameters

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        """`parameters`: an instance of `Parameters`, a mapping, or None. `constraints`: see `constraints.py`."""
        if not isinstance(parameters, BaseModel):
            parameters = self.Parameters.model_validate(parameters or {})
        self.parameters = parameters
        self.constraints = tuple(constraints)
        self.schema: Schema | None = None

    @abstractmethod
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
        """Learn from `rows` (train rows only). Stops at its best state when `budget` is spent.

        Raises:
            FitError: the rows cannot be learned from (says why).
        """

    @abstractmethod
    def sample(self, count: int, *, seed: int, conditions: Conditions = (), offset: int = 0) -> pd.DataFrame:
        """Exactly `count` new rows, with the schema's columns, order and types, that meet all `conditions`.

        `offset` is the number of the first row in the whole that this shard is part of: new identifiers
        depend on it, so that they are unique over shards.

        Raises:
            ConditionError: a condition cannot be met; says which one and why.
        """

    def to(self, device: str) -> Self:
        """Draw on this device from now on, where the method can."""
        return self

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the fitted generator into the (existing, empty) directory."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path) -> "Generator":
        """Read what `save` wrote. Callers check digests first: a file here may be a pickle."""
