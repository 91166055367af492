"""What must hold in every row of a table, as a recipe says it (`constraints:`) and as generators and screens use it."""

from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from leaven.generators.formula import Formula as Arithmetic
from leaven.generators.numbers import decimals_of, floats


class _Constraint(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def columns_used(self) -> list[str]:
        raise TypeError("a constraint names its columns")

    def holds(self, rows: pd.DataFrame, learned: Any = None) -> np.ndarray:
        """Which rows keep the constraint, bool (rows,). Rows with a missing value in a used column do."""
        raise TypeError("a constraint says when it holds")

    def learn(self, rows: pd.DataFrame) -> Any:
        """What `holds` needs from train rows (JSON-serialisable), or None."""
        return None


class Inequality(_Constraint):
    """`low` <= `high` in every row (or < when strict)."""

    kind: Literal["inequality"]
    low: str = Field(description="column with the smaller value")
    high: str = Field(description="column with the larger value")
    strict: bool = False

    @property
    def columns_used(self) -> list[str]:
        return [self.low, self.high]

    def holds(self, rows: pd.DataFrame, learned: Any = None) -> np.ndarray:
        low, high = rows[self.low], rows[self.high]
        inside = (low < high) if self.strict else (low <= high)
        return inside.fillna(True).to_numpy(dtype=bool) | (low.isna() | high.isna()).to_numpy()


class Range(_Constraint):
    """`minimum` <= `column` <= `maximum`; either end may be left out."""

    kind: Literal["range"]
    column: str
    minimum: float | None = None
    maximum: float | None = None

    @property
    def columns_used(self) -> list[str]:
        return [self.column]

    def holds(self, rows: pd.DataFrame, learned: Any = None) -> np.ndarray:
        values = rows[self.column]
        inside = pd.Series(True, index=rows.index)
        if self.minimum is not None:
            inside &= (values >= self.minimum).fillna(True).astype(bool)
        if self.maximum is not None:
            inside &= (values <= self.maximum).fillna(True).astype(bool)
        return inside.to_numpy(dtype=bool) | values.isna().to_numpy()


class FixedCombinations(_Constraint):
    """Only combinations of values that stand together in some train row."""

    kind: Literal["fixed_combinations"]
    columns: list[str] = Field(min_length=2)

    @property
    def columns_used(self) -> list[str]:
        return self.columns

    def learn(self, rows: pd.DataFrame) -> Any:
        unique = rows[self.columns].drop_duplicates()
        return sorted({self._key(row) for row in unique.itertuples(index=False, name=None)})

    def holds(self, rows: pd.DataFrame, learned: Any = None) -> np.ndarray:
        known = set(learned or ())
        keys = [self._key(row) in known for row in rows[self.columns].itertuples(index=False, name=None)]
        return np.array(keys, dtype=bool)

    @staticmethod
    def _key(values: tuple[Any, ...]) -> str:
        return "\x1f".join("" if pd.isna(value) else str(value) for value in values)


class Positive(_Constraint):
    """`column` > 0 (or >= 0 when not strict)."""

    kind: Literal["positive"]
    column: str
    strict: bool = False

    @property
    def columns_used(self) -> list[str]:
        return [self.column]

    def holds(self, rows: pd.DataFrame, learned: Any = None) -> np.ndarray:
        values = rows[self.column]
        inside = (values > 0) if self.strict else (values >= 0)
        return inside.fillna(True).to_numpy(dtype=bool) | values.isna().to_numpy()


class _Determined(_Constraint):
    """One column follows from others, up to the decimals that it is written with."""

    @property
    def determined(self) -> str:
        """The column that follows from the others."""
        raise TypeError("a constraint that determines a column names it")

    def computed(self, rows: pd.DataFrame) -> np.ndarray:
        """What the determined column should be, float (rows,); NaN where it cannot be told."""
        raise TypeError("a constraint that determines a column computes it")

    def learn(self, rows: pd.DataFrame) -> Any:
        values = floats(rows[self.determined])
        present = values[np.isfinite(values)]
        whole = isinstance(rows[self.determined].dtype, pd.Int64Dtype)
        largest = float(np.abs(present).max()) if len(present) else 0.0
        return {"decimals": 0 if whole else decimals_of(present), "largest": largest}

    def holds(self, rows: pd.DataFrame, learned: Any = None) -> np.ndarray:
        """Rows whose value is the computed one, within half of the column's last decimal."""
        learned = learned or self.learn(rows)
        values = floats(rows[self.determined])
        used = rows[self.columns_used].isna().any(axis=1).to_numpy()
        off = np.abs(self.computed(rows) - values)
        if learned["decimals"] is None:
            slack = 1e-6 * np.abs(values) + 1e-9 * learned["largest"]
        else:
            slack = 0.5 * 10.0 ** -learned["decimals"] * (1 + 1e-6) + 1e-9 * np.abs(values)
        return (off <= slack) | used


class Sum(_Determined):
    """`total` = the sum of `parts`."""

    kind: Literal["sum"]
    total: str = Field(description="column with the sum")
    parts: list[str] = Field(min_length=2, description="columns that add up to it")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = self.columns_used
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' stands twice in the sum")
        return self

    @property
    def columns_used(self) -> list[str]:
        return [self.total, *self.parts]

    @property
    def determined(self) -> str:
        return self.total

    def computed(self, rows: pd.DataFrame) -> np.ndarray:
        return np.sum([floats(rows[name]) for name in self.parts], axis=0)

    def left_for(self, part: str, rows: pd.DataFrame) -> np.ndarray:
        """What `part` must be, given the total and the other parts, float (rows,)."""
        others = [floats(rows[name]) for name in self.parts if name != part]
        return floats(rows[self.total]) - np.sum(others, axis=0)


class Formula(_Determined):
    """`column` = `expression` in every row: `price * quantity`."""

    kind: Literal["formula"]
    column: str = Field(description="column with the result")
    expression: str = Field(
        description="arithmetic on columns: + - * / **, abs, floor, ceil, log, exp, sqrt, round, min, max; "
        "odd names between backticks"
    )

    @field_validator("expression")
    @classmethod
    def _readable(cls, text: str) -> str:
        Arithmetic(text)
        return text

    @property
    def arithmetic(self) -> Arithmetic:
        """The parsed expression."""
        return Arithmetic(self.expression)

    @property
    def columns_used(self) -> list[str]:
        return list(dict.fromkeys([self.column, *self.arithmetic.columns]))

    @property
    def determined(self) -> str:
        return self.column

    def computed(self, rows: pd.DataFrame) -> np.ndarray:
        made = self.arithmetic.evaluate({name: floats(rows[name]) for name in self.arithmetic.columns})
        return np.broadcast_to(made, len(rows))


Constraint = Annotated[
    Inequality | Range | FixedCombinations | Positive | Sum | Formula, Field(discriminator="kind")
]
