"""The screens for synthetic rows of a table. Each says why a row must go, or lets it pass.

A screen is an object with `name` and `reasons(frame)`: an object array (rows,) that is empty text for rows that
pass and otherwise a short text, always the same for the same fault, because reports count them. Screens see
train rows only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from leaven.generators.rows import Rows, to_frame
from leaven.generators.schema import Column, Schema
from leaven.generators.seeds import derive
from leaven.pipelines.kinds.table.agreement import LabelAgreement
from leaven.pipelines.quality.encode import as_numbers
from leaven.pipelines.quality.neighbours import Copies, NearCopies
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.task import Task

NEAR_ROWS = 1_000_000  # train rows that near copies are looked for among; a sample of larger tables
LABEL_ROWS = 20_000  # train rows that the label classifiers learn from


class Screen(Protocol):
    """What every screen is."""

    name: str

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """Why each row must go, object (rows,); empty text where it may stay."""


def make(
    schema: Schema, task: Task, recipe: Recipe, *, train: Sequence[Path], seed: int, threads: int
) -> list[Screen]:
    """The screens that the recipe leaves on, fitted on train, the cheap ones first.

    The label screen stands at the first of the recipe's levels; `at` gives it at another one.
    """
    rows, asked = Rows(list(train), schema), recipe.screen
    screens: list[Screen] = []
    if asked.type_and_range:
        screens.append(TypeAndRange(rows))
    if asked.constraints and recipe.constraints:
        screens.append(Constraints(recipe.constraints, rows))
    if asked.copies:
        screens.append(ExactCopies(rows))
    if asked.near_copies is not False:
        near = rows.frame(NEAR_ROWS, seed=derive(seed, "near_copies"))
        screens.append(Near(schema, near, asked.near_copies))
    if [one.label_agreement for one in asked.levels()] != [False]:
        known = rows.frame(LABEL_ROWS, seed=derive(seed, "label_agreement"))
        seeds = {"seed": derive(seed, "label_agreement"), "threads": threads}
        screens.append(LabelAgreement(schema, task, known, threshold=asked.level, **seeds))
    return screens


def _all_or_nothing(keep: np.ndarray, reason: str) -> np.ndarray:
    return np.where(keep, "", reason).astype(object)


class TypeAndRange:
    """Numbers and dates between train's least and greatest, categories that train has, nothing newly missing."""

    name = "type_and_range"

    def __init__(self, rows: Rows):
        self._columns = [column for column in rows.schema if column.learnable]
        self._bounds: dict[str, tuple[float, float]] = {}
        self._known: dict[str, set[Any]] = {}
        self._missing: set[str] = set()
        for batch in rows.batches():
            frame = to_frame(batch, rows.schema)
            for column in self._columns:
                self._learn(column, frame[column.name])

    def _learn(self, column: Column, series: pd.Series) -> None:
        name = column.name
        if series.isna().any():
            self._missing.add(name)
        if column.type in ("category", "boolean"):
            self._known.setdefault(name, set()).update(series.dropna().unique())
            return
        values = as_numbers(series)
        values = values[np.isfinite(values)]
        if len(values):
            low, high = self._bounds.get(name, (np.inf, -np.inf))
            self._bounds[name] = (min(low, values.min()), max(high, values.max()))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        found = np.full(len(frame), "", dtype=object)
        for column in self._columns:
            series = frame[column.name]
            missing = series.isna().to_numpy()
            if column.type in ("category", "boolean"):
                keep = series.isin(self._known.get(column.name, set())).to_numpy(dtype=bool)
            else:
                low, high = self._bounds.get(column.name, (np.inf, -np.inf))
                slack = 1e-9 * (high - low) if high >= low else 0.0  # rounding, not a value of its own
                values = as_numbers(series)
                with np.errstate(invalid="ignore"):
                    keep = (values >= low - slack) & (values <= high + slack)
            keep = np.where(missing, column.name in self._missing, keep)
            found[~keep & (found == "")] = f"{self.name}: {column.name}"
        return found


class Constraints:
    """The recipe's constraints."""

    name = "constraint"

    def __init__(self, constraints: Sequence[Any], rows: Rows):
        self._constraints = []
        for constraint in constraints:
            used = to_frame(rows.table(constraint.columns_used), rows.schema)
            self._constraints.append((constraint, constraint.learn(used)))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        found = np.full(len(frame), "", dtype=object)
        for constraint, learned in self._constraints:
            keep = constraint.holds(frame, learned)
            found[~keep & (found == "")] = f"{self.name}: {describe(constraint)}"
        return found


def describe(constraint: Any) -> str:
    """A constraint as a short text: `low<=high`, `0<=age<=120`, `total=net+tax`, `city+country seen together`."""
    if constraint.kind == "sum":
        return f"{constraint.total}={'+'.join(constraint.parts)}"
    if constraint.kind == "formula":
        return f"{constraint.column}={constraint.expression}"
    if constraint.kind == "inequality":
        return f"{constraint.low}{'<' if constraint.strict else '<='}{constraint.high}"
    if constraint.kind == "range":
        low = "" if constraint.minimum is None else f"{constraint.minimum:g}<="
        high = "" if constraint.maximum is None else f"<={constraint.maximum:g}"
        return f"{low}{constraint.column}{high}"
    if constraint.kind == "positive":
        return f"{constraint.column}{'>' if constraint.strict else '>='}0"
    return f"{'+'.join(constraint.columns_used)} seen together"


class ExactCopies:
    """Rows that equal a train row which stands only once in train."""

    name = "copy"

    def __init__(self, rows: Rows):
        self._copies = Copies.of(rows.schema, (to_frame(batch, rows.schema) for batch in rows.batches()))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        return _all_or_nothing(~self._copies.mask(frame), self.name)


class Near:
    """Rows that nearly equal a train row which has no other near it."""

    name = "near_copy"

    def __init__(self, schema: Schema, train: pd.DataFrame, share: float):
        self._copies = NearCopies(schema, train, share)

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        return _all_or_nothing(~self._copies.mask(frame), self.name)
