"""Typed rows -> columns that any model can learn, and back.

Identifiers, free text, constant and empty columns are left out and put back. What a model sees has safe names
and holds no missing value:

- `x3`: column 3 of the schema, as a float (numeric) or as an integer code (discrete);
- `m3`: 1 where column 3, which is numeric, is missing (only if it ever is). A discrete column has a code for it.

Everything here is learned from train rows, and is JSON.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from leaven.generators.conditions import Condition, Conditions
from leaven.generators.numbers import LARGEST_INTEGER, floats
from leaven.generators.schema import Schema
from leaven.generators.table import coding as column_coding
from leaven.generators.table.coding import Coding, plain, step


class Preparation(BaseModel):
    """The codings of all learnable columns, and what ties columns together."""

    codings: dict[str, Coding]  # by the schema's column name
    keys: dict[str, str]  # column name -> name of its coded column
    linked: list[tuple[str, str]] = Field(default_factory=list)  # low, high: coded on one scale

    @classmethod
    def learn(
        cls,
        frame: pd.DataFrame,
        schema: Schema,
        *,
        max_categories: int | None = None,
        discrete_up_to: int = 2,
        discrete: Iterable[str] = (),
        linked: Iterable[tuple[str, str]] = (),
        draw_missing: bool = False,
    ) -> "Preparation":
        """Learn the codings from train rows.

        Args:
            frame: train rows with the house's types.
            schema: their schema.
            max_categories: categories with a code of their own; rarer ones share one. None: no limit. The
                target's are never shared.
            discrete_up_to: a number or integer column with at most so many distinct values is discrete.
            discrete: columns that must be discrete whatever their type.
            linked: pairs (low, high) that must stay comparable when coded.
            draw_missing: missing values are not for the model to learn, but drawn by their share.
        """
        linked = [(low, high) for low, high in linked if schema[low].learnable and schema[high].learnable]
        tied = {name for pair in linked for name in pair}
        forced = set(discrete) - tied
        codings = {}
        for column in schema:
            if not column.learnable:
                continue
            few = 0 if column.name in tied else discrete_up_to
            if column.name == schema.target and column.type == "integer":
                few = max(few, 50)  # an integer label with few values is a class
            codings[column.name] = column_coding.learn(
                plain(frame[column.name], column.type),
                column.name,
                column.type,
                most=None if column.name == schema.target or column.name in forced else max_categories,
                few=10**9 if column.name in forced else few,
            )
            codings[column.name].drawn = draw_missing
        keys = {column.name: f"x{i}" for i, column in enumerate(schema) if column.learnable}
        linked = [pair for pair in linked if all(codings[name].form == "numeric" for name in pair)]
        made = cls(codings=codings, keys=keys, linked=linked)
        made._scale()
        return made

    def _scale(self) -> None:
        """Coded numbers run from 0 to 1; linked columns, and all dates, share an origin."""
        groups: list[set[str]] = [{name} for name, c in self.codings.items() if c.form == "numeric"]
        for low, high in self.linked:
            joined = [group for group in groups if group & {low, high}]
            groups = [group for group in groups if not group & {low, high}] + [set().union(*joined)]
        for group in groups:
            lows = [float(self.codings[name].minimum or 0) for name in group]
            highs = [float(self.codings[name].maximum or 0) for name in group]
            scale = max(highs) / 2 - min(lows) / 2  # halves: the spread itself may overflow
            for name in group:
                self.codings[name].origin = min(lows)
                self.codings[name].scale = scale * 2 if np.isfinite(scale * 2) else scale

    @property
    def discrete(self) -> dict[str, int]:
        """Coded discrete columns -> number of levels (the missing-indicators have two)."""
        found = {}
        for name, coding in self.codings.items():
            if coding.form == "discrete":
                found[self.keys[name]] = coding.levels
            elif coding.form == "numeric" and coding.marked:
                found[_indicator(self.keys[name])] = 2
        return found

    @property
    def numeric(self) -> list[str]:
        """Coded numeric columns."""
        return [self.keys[name] for name, coding in self.codings.items() if coding.form == "numeric"]

    def encode(self, frame: pd.DataFrame, seed: int | None) -> pd.DataFrame:
        """Typed rows -> coded rows: float64 and int64 columns without missing values.

        A missing number becomes one drawn from the present ones, or the median when `seed` is None.
        """
        rng = np.random.default_rng(seed)
        coded: dict[str, np.ndarray] = {}
        filled: dict[str, np.ndarray] = {}
        for name, coding in self.codings.items():
            key, values = self.keys[name], plain(frame[name], coding.type)
            if coding.form == "discrete":
                coded[key] = _codes(values, coding, rng)
            elif coding.form == "numeric":
                numbers = floats(values)
                numbers = numbers / coding.scale - coding.origin / coding.scale
                empty = np.isnan(numbers)
                if empty.any():
                    middle = float(coding.median or 0) / coding.scale - coding.origin / coding.scale
                    present = numbers[~empty] if not empty.all() else np.array([middle])
                    numbers[empty] = middle if seed is None else rng.choice(present, empty.sum())
                coded[key], filled[name] = numbers, empty
                if coding.marked:
                    coded[_indicator(key)] = empty.astype("int64")
        self._mend(coded, filled)
        return pd.DataFrame(coded, index=pd.RangeIndex(len(frame)))

    def _mend(self, coded: dict[str, np.ndarray], filled: dict[str, np.ndarray]) -> None:
        """Filled-in numbers must not break an order that real ones keep."""
        for low, high in self.linked * 2:
            left, right = coded[self.keys[low]], coded[self.keys[high]]
            wrong = left > right
            take = wrong & filled[low]
            left[take] = right[take]
            take = wrong & filled[high] & ~take
            right[take] = left[take]

    def decode(self, coded: pd.DataFrame, seed: int, conditions: Conditions = ()) -> pd.DataFrame:
        """Coded rows -> typed rows of the learnable columns, within train's bounds and decimals.

        Values that share a code are drawn by their train counts, among those that meet the conditions.
        """
        rng = np.random.default_rng(seed)
        columns = {}
        for name, coding in self.codings.items():
            key = self.keys[name]
            if coding.form == "empty":
                columns[name] = coding.typed([None] * len(coded))
            elif coding.form == "constant":
                columns[name] = coding.typed([coding.values[0]] * len(coded))
            elif coding.form == "discrete":
                asked = [condition for condition in conditions if condition.column == name]
                columns[name] = discrete_values(coded[key].to_numpy(), coding, asked, rng)
            else:
                empty = coded[_indicator(key)].to_numpy() == 1 if coding.marked else None
                numbers = np.clip(coded[key].to_numpy(dtype="float64"), -1.0, 2.0)
                columns[name] = numeric_values(numbers * coding.scale + coding.origin, coding, empty)
            if coding.drawn and coding.missing and coding.form in ("discrete", "numeric"):
                columns[name] = columns[name].mask(rng.random(len(coded)) < coding.missing)
        return pd.DataFrame(columns, index=pd.RangeIndex(len(coded)))

    def codes(self, condition: Condition) -> np.ndarray:
        """Codes of a discrete column that can meet the condition."""
        coding = self.codings[condition.column]
        inside = coding.matching(condition, coding.values)
        if coding.rest:
            inside = np.append(inside, coding.matching(condition, coding.rest).any())
        return np.flatnonzero(inside)

    def windows(self, condition: Condition) -> list[tuple[float, float]]:
        """Intervals of a coded numeric column that can meet the condition (all of them for `!=`)."""
        coding = self.codings[condition.column]
        half = 0.5 * step(coding)
        values = [as_number(value) for value in condition.values]
        if condition.op == "=":
            spans = [(value - half, value + half) for value in values]
        elif condition.op in ("<", "<="):
            spans = [(-np.inf, values[0] + (half if condition.op == "<=" else -half))]
        elif condition.op in (">", ">="):
            spans = [(values[0] - (half if condition.op == ">=" else -half), np.inf)]
        else:
            spans = [(-np.inf, np.inf)]
        return [tuple((end - coding.origin) / coding.scale for end in span) for span in spans]  # type: ignore[misc]


def _indicator(key: str) -> str:
    return "m" + key[1:]


def as_number(value: Any) -> float:
    """A condition's value as a plain number; dates: microseconds since 1970."""
    if isinstance(value, pd.Timestamp):
        return float(value.as_unit("us").asm8.astype("int64"))  # `value` is always in nanoseconds
    return float(value)


def _codes(values: pd.Series, coding: Coding, rng: np.random.Generator) -> np.ndarray:
    missing = values.isna().to_numpy()
    codes = pd.Index(coding.values, dtype=object).get_indexer(pd.Index(values.astype(object)))
    codes = codes.astype("int64")
    unknown = codes < 0
    codes[unknown] = coding.other if coding.other is not None else 0
    if coding.absent is not None:
        codes[missing] = coding.absent
    elif missing.any():
        sizes = np.array([*coding.counts, sum(coding.rest_counts)], dtype=float)
        codes[missing] = rng.choice(len(sizes), missing.sum(), p=sizes / sizes.sum())
    return codes


def discrete_values(
    codes: np.ndarray, coding: Coding, conditions: list[Condition], rng: np.random.Generator
) -> pd.Series:
    """Codes of a discrete column -> typed values; those that share a code are drawn by their train counts."""
    # One place more: for a token of values that are too rare to be shown.
    known = np.array([*coding.values, *[None] * (coding.levels - len(coding.values) + 1)], dtype=object)
    values = known[codes]
    if coding.other is not None:
        shared = codes == coding.other
        inside = np.ones(len(coding.rest), dtype=bool)
        for condition in conditions:
            inside &= coding.matching(condition, coding.rest)
        weights = np.asarray(coding.rest_counts, dtype=float) * (inside if inside.any() else 1)
        drawn = rng.choice(len(coding.rest), shared.sum(), p=weights / weights.sum())
        values[shared] = np.array(coding.rest, dtype=object)[drawn]
    return coding.typed(values)


def numeric_values(numbers: np.ndarray, coding: Coding, empty: np.ndarray | None) -> pd.Series:
    """Plain numbers (dates: microseconds) -> typed values within train's bounds and decimals; missing where `empty`."""
    assert coding.minimum is not None and coding.maximum is not None and coding.median is not None
    numbers = np.where(np.isfinite(numbers), numbers, coding.median)
    if coding.type == "number":
        if coding.decimals is not None:
            numbers = np.round(numbers, coding.decimals)
        numbers = np.clip(numbers, coding.minimum, coding.maximum)
        return pd.Series(numbers if empty is None else np.where(empty, np.nan, numbers))
    whole = np.rint(numbers / coding.resolution) * coding.resolution
    whole = np.clip(whole, -LARGEST_INTEGER, LARGEST_INTEGER).astype("int64")
    whole = np.clip(whole, int(coding.minimum), int(coding.maximum))
    masked = pd.arrays.IntegerArray(whole, np.zeros(len(whole), dtype=bool) if empty is None else empty)
    return coding.typed(masked)
