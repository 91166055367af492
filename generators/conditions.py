"""Conditions on sampled rows: `income=>50K`, `age>=30`, `colour=red|blue`."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from leaven.generators.errors import ConditionError
from leaven.generators.schema import Schema

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
_PATTERN = re.compile(r"^(?P<column>.+?)\s*(?P<op>>=|<=|!=|=|<|>)\s*(?P<value>.*)$", re.S)
_ORDERED = ("number", "integer", "date")


class Condition(BaseModel):
    """One column's condition. `values` has one value, or several alternatives for `=` and `!=`."""

    model_config = ConfigDict(frozen=True)

    column: str
    op: Operator = "="
    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.column}{self.op}{'|'.join(str(value) for value in self.values)}"

    def mask(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows of `frame` meet the condition, bool (rows,). A missing value meets none."""
        series = frame[self.column]
        if self.op in ("=", "!="):
            inside = series.isin(self.values).to_numpy(dtype=bool, na_value=False)
            return inside if self.op == "=" else ~inside & series.notna().to_numpy()
        value = self.values[0]
        compare = {"<": series.lt, "<=": series.le, ">": series.gt, ">=": series.ge}[self.op]
        return compare(value).fillna(False).to_numpy(dtype=bool)


Conditions = tuple[Condition, ...]


def met(conditions: Conditions, frame: pd.DataFrame) -> np.ndarray:
    """Which rows meet all conditions, bool (rows,)."""
    inside = np.ones(len(frame), dtype=bool)
    for condition in conditions:
        inside &= condition.mask(frame)
    return inside


def parse(texts: Sequence[str], schema: Schema) -> Conditions:
    """`col=value` texts -> conditions with values of the column's type.

    Raises:
        ConditionError: unknown column, or a value that is not of the column's type.
    """
    return tuple(_parse_one(text, schema) for text in texts)


def equals(schema: Schema, column: str, value: Any) -> Condition:
    """The condition that `column` has `value`, converted to the column's type."""
    return Condition(column=column, values=(_convert(value, schema, column),))


def _parse_one(text: str, schema: Schema) -> Condition:
    # The longest column name that starts the text wins: names may hold `=` or `<` themselves.
    for name in sorted(schema.names, key=len, reverse=True):
        rest = text[len(name) :].lstrip()
        found = re.match(r"(>=|<=|!=|=|<|>)\s*(.*)$", rest, re.S) if text.startswith(name) else None
        if found:
            op, value = found.groups()
            many = value.split("|") if op in ("=", "!=") and "|" in value else [value]
            if op not in ("=", "!=") and schema[name].type not in _ORDERED:
                raise ConditionError(
                    f"condition '{text}': '{op}' needs a number or a date, but column '{name}' is of type "
                    f"{schema[name].type}"
                )
            return Condition(column=name, op=op, values=tuple(_convert(v, schema, name) for v in many))
    found = _PATTERN.match(text)
    if not found:
        raise ConditionError(f"condition '{text}' is not of the form column=value")
    raise ConditionError(
        f"condition '{text}': there is no column '{found['column']}'; the columns are {', '.join(schema.names)}"
    )


def _convert(value: Any, schema: Schema, name: str) -> Any:
    kind = schema[name].type
    try:
        if kind == "number":
            if np.isnan(number := float(value)):
                raise ValueError("no number")
            return number
        if kind == "integer":
            return int(str(value))
        if kind == "date":
            stamp = pd.Timestamp(value)
            if pd.isna(stamp):
                raise ValueError("no date")
            return (stamp.tz_convert("UTC").tz_localize(None) if stamp.tz else stamp).as_unit("us")
        if kind == "boolean":
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
    except (ValueError, KeyError, OverflowError) as error:
        raise ConditionError(f"column '{name}' is of type {kind}; '{value}' is not") from error
    if kind in ("identifier", "text"):
        raise ConditionError(
            f"column '{name}' is {kind}: it is not learned, so rows cannot be asked for by it"
        )
    return str(value)
