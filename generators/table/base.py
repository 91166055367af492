"""What all generators for tables share: reading, preparing, conditions, constraints, identifiers, files.

A method fills in `_learn` (from coded rows) and `_draw` (coded rows), or, when it deals in real rows, `_make`.
"""

import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import Field, TypeAdapter

from leaven.generators.conditions import Conditions, met
from leaven.generators.constraints import Constraint, FixedCombinations, Inequality
from leaven.generators.contract import Budget, Fit, Generator, Parameters, Progress, silent
from leaven.generators.errors import FitError, InputError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.table import chased, identifiers, possible
from leaven.generators.table import complete as completion
from leaven.generators.table.derived import Derivation
from leaven.generators.table.prepare import Preparation

STATE = "generator.json"
BATCH_ROWS = 50_000  # rows drawn at once: bounds memory whatever the count
TRY_ROWS = 20_000  # rows drawn before a low yield is called hopeless
LEAST_YIELD = 1 / 2000
_CONSTRAINTS: TypeAdapter[Any] = TypeAdapter(list[Constraint])


class TableParameters(Parameters):
    """Parameters of every generator for tables."""

    max_rows: int = Field(
        1_000_000, ge=1, description="learns from at most so many train rows, a random sample"
    )


class TableGenerator(Generator):
    """Base of the generators for tables."""

    kind = "table"
    Parameters = TableParameters
    keeps_constraints: ClassVar[bool] = True
    """Whether rows that break a constraint are drawn again."""

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, _CONSTRAINTS.validate_python(list(constraints)))
        self.preparation: Preparation | None = None
        self.identifiers: dict[str, identifiers.Pattern] = {}
        self.derived = Derivation()
        self.learned: list[Any] = [None] * len(self.constraints)
        self.threads = 1

    # What a method fills in

    @abstractmethod
    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        """Learn from typed train rows of the columns in `self.inner`; `self.preparation` stands."""

    def _draw(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        """About `count` coded rows. May use the conditions, need not meet them. Needless where `_make` is given."""
        raise TypeError(f"{self.name} gives neither _draw nor _make")

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        """About `count` typed rows of the learnable columns. May use the conditions, need not meet them."""
        coded = self._draw(count, seed=derive(seed, "draw"), conditions=conditions)
        return self._ready.decode(coded, derive(seed, "decode"), conditions)

    def _save(self, directory: Path) -> None:
        """Write what the method learned."""

    def _load(self, directory: Path) -> None:
        """Read what `_save` wrote."""

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        return Preparation.learn(frame, schema)

    # The contract

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
        budget = budget or Budget()
        self.schema, self.threads = rows.schema, threads
        progress(0.0, f"{self.name}: reading train rows")
        total = len(rows)
        if total == 0:
            raise FitError(f"{self.name}: there are no train rows to learn from")
        frame = self._read(rows, derive(seed, "rows"))
        used = min(total, self.parameters.max_rows)
        notes = [] if used == total else [f"learned from {used:,} of {total:,} train rows"]
        frame = self._without_broken(frame, notes)
        self.identifiers = {
            column.name: identifiers.learn(rows, column)
            for column in self.schema
            if column.type == "identifier"
        }
        self.derived = Derivation.learn(frame, self.constraints, self.schema)
        notes += self.derived.notes(self.constraints)
        frame = frame[self.inner.names]
        self.preparation = self._prepare(frame, self.inner)
        if texts := self.schema.of("text"):
            notes.append(f"free text is not written, so it is missing in every row: {', '.join(texts)}")
        for name, coding in self.preparation.codings.items():
            if coding.rest:
                notes.append(f"column '{name}': {len(coding.rest):,} rare categories are learned as one")
        report = self._learn(frame, seed=seed, budget=budget, device=device, progress=progress)
        report.rows = report.rows or len(frame)
        report.notes = notes + report.notes
        progress(1.0, f"{self.name}: fitted in {budget.elapsed:.0f} s")
        return report

    def sample(self, count: int, *, seed: int, conditions: Conditions = (), offset: int = 0) -> pd.DataFrame:
        ready = self._ready
        assert self.schema is not None
        possible.check(conditions, {**ready.codings, **self.derived.codings}, self.schema)
        asked = tuple(one for one in conditions if one.column in ready.codings)  # of the learned columns
        parts: list[pd.DataFrame] = []
        kept = made = turn = 0
        # Rows that meet each one, and at the end those whose computed columns stay within train's bounds.
        alone = np.zeros(len(conditions) + len(self.constraints) + 1, dtype=int)
        while kept < count or not parts:
            rate = min(1.0, (kept + 1) / made) if made else 1.0
            size = int(min(BATCH_ROWS, max(1, np.ceil((count - kept) / rate * 1.1 if made else count))))
            frame = self._make(size, seed=derive(seed, "batch", turn), conditions=asked)
            frame = chased.exact(frame, asked, ready.codings)
            frame, inside = self.derived.add(frame, self.constraints, conditions, ready.codings)
            alone[-1] += inside.sum()
            inside &= met(conditions, frame)
            for place, condition in enumerate(conditions):
                alone[place] += condition.mask(frame).sum()
            if self.keeps_constraints:
                for place, (constraint, learned) in enumerate(
                    zip(self.constraints, self.learned, strict=True)
                ):
                    holds = constraint.holds(frame, learned)
                    alone[len(conditions) + place] += holds.sum()
                    inside &= holds
            parts.append(frame[inside])
            kept, made, turn = kept + int(inside.sum()), made + size, turn + 1
            if kept < count and made >= TRY_ROWS and kept / made < LEAST_YIELD:
                raise chased.too_few(self.name, conditions, self.constraints, alone, kept, made)
        frame = pd.concat(parts, ignore_index=True).head(count)
        return self._finish(frame, offset)

    def complete(self, frame: pd.DataFrame, *, seed: int, offset: int = 0) -> pd.DataFrame:
        """Rows with their missing cells filled in, by draws given the other cells of each row.

        A cell counts as missing where it is empty or its column is not there, even where train has missing values
        too. Cells with a value stay as they are. Columns that train never fills, and free text, stay missing.

        Args:
            frame: typed rows; columns may be left out.
            seed: of the draws.
            offset: number of the first row, for new identifiers.

        Returns:
            As many rows with all of the schema's columns. Constraints hold wherever a cell was filled in.

        Raises:
            InputError: the generator cannot do this, or `frame` has a column that is not known.
            ConditionError: a row's given cells leave no values that keep the constraints.
        """
        if type(self)._complete is TableGenerator._complete:
            raise InputError(f"{self.name} cannot fill in missing cells; use autoregressive")
        return completion.complete(self, frame, seed=seed, offset=offset)

    def _complete(self, frame: pd.DataFrame, *, seed: int) -> pd.DataFrame:
        """As many typed rows of the learned columns, their missing cells drawn given the others."""
        raise TypeError(f"{self.name} does not give _complete")

    def save(self, directory: Path) -> None:
        assert self.schema is not None
        state = {
            "generator": self.name,
            "parameters": self.parameters.model_dump(mode="json"),
            "constraints": [constraint.model_dump(mode="json") for constraint in self.constraints],
            "learned": self.learned,
            "schema": self.schema.model_dump(mode="json"),
            "preparation": self._ready.model_dump(mode="json"),
            "derived": self.derived.model_dump(mode="json"),
            "identifiers": {name: p.model_dump(mode="json") for name, p in self.identifiers.items()},
            "threads": self.threads,
        }
        text = json.dumps(state, ensure_ascii=False, allow_nan=False)
        (directory / STATE).write_text(text, encoding="utf-8")
        self._save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        made = cls(state["parameters"], state["constraints"])
        made.learned, made.threads = state["learned"], state["threads"]
        made.schema = Schema.model_validate(state["schema"])
        made.preparation = Preparation.model_validate(state["preparation"])
        made.derived = Derivation.model_validate(state.get("derived", {}))
        made.identifiers = {
            name: identifiers.Pattern.model_validate(pattern)
            for name, pattern in state["identifiers"].items()
        }
        made._load(directory)
        return made

    # Shared parts

    def _read(self, rows: Rows, seed: int) -> pd.DataFrame:
        """The train rows that are held in memory while learning."""
        return rows.frame(self.parameters.max_rows, seed)

    @property
    def _ready(self) -> Preparation:
        if self.preparation is None:
            raise FitError(f"{self.name} is not fitted yet")
        return self.preparation

    @property
    def inner(self) -> Schema:
        """The schema of what is learned: without the columns that a sum or a formula gives."""
        assert self.schema is not None
        return self.derived.rest(self.schema)

    def _without_broken(self, frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
        """Train rows that break a constraint teach the wrong thing."""
        inside = np.ones(len(frame), dtype=bool)
        for place, constraint in enumerate(self.constraints):
            self.learned[place] = constraint.learn(frame)
            holds = constraint.holds(frame, self.learned[place])
            if not holds.any():
                raise FitError(f"{self.name}: no train row keeps the constraint {chased.told(constraint)}")
            inside &= holds
        if inside.all():
            return frame
        if not inside.any():
            raise FitError(f"{self.name}: no train row keeps all constraints")
        notes.append(f"left out {(~inside).sum():,} train rows that break a constraint")
        return frame[inside].reset_index(drop=True)

    def _finish(self, frame: pd.DataFrame, offset: int) -> pd.DataFrame:
        """Add identifiers and empty texts, and put the columns in the schema's order."""
        assert self.schema is not None
        columns = {}
        for column in self.schema:
            if column.type == "identifier":
                made = self.identifiers[column.name].make(len(frame), offset)
                columns[column.name] = made
            elif column.type == "text":
                columns[column.name] = pd.Series([None] * len(frame), dtype=object)
            else:
                columns[column.name] = frame[column.name]
        return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))

    def _ordered_pairs(self, schema: Schema) -> list[tuple[str, str]]:
        return [
            (constraint.low, constraint.high)
            for constraint in self.constraints
            if isinstance(constraint, Inequality)
            and constraint.low in schema
            and constraint.high in schema
            and schema[constraint.low].type == schema[constraint.high].type
        ]

    def _combined(self) -> list[Sequence[str]]:
        """Columns that only come in train's combinations; without the computed ones."""
        found = [
            [name for name in c.columns if name in self.inner]
            for c in self.constraints
            if isinstance(c, FixedCombinations)
        ]
        return [names for names in found if len(names) > 1]
