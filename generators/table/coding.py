"""One column: what train rows show of it, and how it is coded for a model."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from leaven.generators.conditions import Condition
from leaven.generators.numbers import decimals_of, floats
from leaven.generators.schema import ColumnType


class Coding(BaseModel):
    """What train rows show of one column, and how it is coded. Dates are integers: microseconds since 1970."""

    name: str
    type: ColumnType
    form: Literal["discrete", "numeric", "constant", "empty"]
    missing: float = 0.0  # share of rows
    drawn: bool = False  # missing values are not learned but drawn at random, by their share
    values: list[Any] = Field(default_factory=list)  # those with a code of their own, the most frequent first
    counts: list[int] = Field(default_factory=list)
    rest: list[Any] = Field(default_factory=list)  # those that share one code
    rest_counts: list[int] = Field(default_factory=list)
    minimum: int | float | None = None
    maximum: int | float | None = None
    median: int | float | None = None
    decimals: int | None = None  # of a number; None: as they come
    resolution: int = 1  # of a date, in microseconds
    origin: float = 0.0  # the coded value is (value - origin) / scale
    scale: float = 1.0

    @property
    def other(self) -> int | None:
        """The code that the values in `rest` share."""
        return len(self.values) if self.rest else None

    @property
    def absent(self) -> int | None:
        """The code of a missing value in a discrete column."""
        return len(self.values) + bool(self.rest) if self.marked else None

    @property
    def marked(self) -> bool:
        """Whether the coded rows say which values are missing."""
        return self.missing > 0 and not self.drawn

    @property
    def levels(self) -> int:
        """Number of codes of a discrete column."""
        return len(self.values) + bool(self.rest) + self.marked

    def typed(self, values: Any) -> pd.Series:
        """Plain values (None or NaN: missing) -> the house's type for the column."""
        if self.type == "number":
            return pd.Series(values, dtype="float64")
        if self.type == "integer":
            return pd.Series(pd.array(values, dtype="Int64"))
        if self.type == "boolean":
            return pd.Series(pd.array(values, dtype="boolean"))
        if self.type == "date":
            whole = pd.Series(pd.array(values, dtype="Int64"))
            stamps = whole.fillna(0).to_numpy(dtype="int64").astype("datetime64[us]")
            stamps[whole.isna().to_numpy()] = np.datetime64("NaT")
            return pd.Series(stamps)
        return pd.Series(values, dtype=object)

    def matching(self, condition: Condition, values: list[Any]) -> np.ndarray:
        """Which of the plain `values` meet the condition, bool (values,)."""
        if not values:
            return np.zeros(0, dtype=bool)
        return condition.mask(pd.DataFrame({self.name: self.typed(values)}))


def plain(series: pd.Series, kind: ColumnType) -> pd.Series:
    """A typed column as plain values: dates as Int64 microseconds, infinite numbers as missing."""
    if kind == "date":
        stamps = series.astype("datetime64[us]")
        return stamps.astype("int64").astype("Int64").mask(stamps.isna().to_numpy())
    if kind == "number":
        return series.astype("float64").replace([np.inf, -np.inf], np.nan)
    return series


def plain_floats(series: pd.Series, kind: ColumnType) -> np.ndarray:
    """A typed column of numbers or dates as float (rows,), missing values as NaN; dates: microseconds."""
    return floats(plain(series, kind))


def step(coding: Coding) -> float:
    """The smallest difference that the column shows; 0 when unknown."""
    if coding.type == "number":
        return 0.0 if coding.decimals is None else 10.0**-coding.decimals
    return float(coding.resolution)


def learn(values: pd.Series, name: str, kind: ColumnType, most: int | None, few: int) -> Coding:
    """Learn one column's coding.

    Args:
        values: plain values of train rows.
        name: the column's name.
        kind: its type.
        most: values of a discrete column with a code of their own; None: all.
        few: a number, integer or date with at most so many distinct values is discrete.
    """
    present = values.dropna()
    base: dict[str, Any] = {"name": name, "type": kind, "missing": 1 - len(present) / max(len(values), 1)}
    if present.empty:
        return Coding(form="empty", **base)
    if kind in ("number", "integer", "date"):
        ends = {"minimum": _python(present.min()), "maximum": _python(present.max())}
        base |= ends | {"median": float(np.median(present.to_numpy(dtype="float64")))}
        # The counts of a long column are only worth making when they can be few.
        many = few == 0 or present.iloc[:10_000].nunique() > few or present.nunique() > few
        if many and ends["minimum"] != ends["maximum"]:
            exact = {"decimals": decimals_of(present.to_numpy(dtype="float64"))} if kind == "number" else {}
            exact |= {"resolution": _resolution(present)} if kind == "date" else {}
            return Coding(form="numeric", **base, **exact)
    counts = present.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    found, sizes = counts.index.tolist(), counts.tolist()
    if len(found) == 1 and not base["missing"]:
        return Coding(form="constant", **base, values=found, counts=sizes)
    kept = len(found) if most is None or len(found) <= most else most - 1
    return Coding(
        form="discrete",
        **base,
        values=found[:kept],
        counts=sizes[:kept],
        rest=found[kept:],
        rest_counts=sizes[kept:],
    )


def _resolution(values: pd.Series) -> int:
    whole = values.to_numpy(dtype="int64")
    for unit in (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000):
        if not (whole % unit).any():
            return unit
    return 1


def _python(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
