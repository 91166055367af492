"""What must hold in every row of a table, as a recipe says it (`constraints:`) and as generators and screens use it."""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field


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


Constraint = Annotated[Inequality | Range | FixedCombinations | Positive, Field(discriminator="kind")]
