"""Known-bad generators, for comparison: each fails in one known way, so a report that misses it is wrong."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pydantic import Field

from leaven.generators.conditions import Conditions, met
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import ConditionError
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Schema
from leaven.generators.table.base import TableGenerator, TableParameters

ROWS = "rows.parquet"


class _KeepsRows(TableGenerator):
    """Keeps the train rows themselves, in memory and on disk."""

    keeps_constraints: ClassVar[bool] = False

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        self.rows = frame[list(self._ready.codings)]
        return Fit()

    def _save(self, directory: Path) -> None:
        pq.write_table(to_arrow(self.rows, self._kept), directory / ROWS)

    def _load(self, directory: Path) -> None:
        self.rows = Rows(directory / ROWS, self._kept).frame()

    @property
    def _kept(self) -> Schema:
        return self.inner.model_copy(update={"columns": tuple(c for c in self.inner if c.learnable)})

    def _picked(self, count: int, rng: np.random.Generator, conditions: Conditions) -> pd.DataFrame:
        inside = np.flatnonzero(met(conditions, self.rows))
        if not len(inside):
            told = " and ".join(f"'{condition}'" for condition in conditions)
            raise ConditionError(f"{self.name} draws train rows, and none of them meets {told}")
        return self.rows.iloc[rng.choice(inside, count)].reset_index(drop=True)


class Bootstrap(_KeepsRows):
    """Train rows drawn with replacement: they can add nothing that weights could not."""

    name = "bootstrap"

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        return self._picked(count, np.random.default_rng(seed), conditions)


class MemoriserParameters(TableParameters):
    """Parameters of the memoriser."""

    noise: float = Field(
        1e-3, ge=0, le=1, description="noise on numbers, as a share of the column's standard deviation"
    )


class Memoriser(_KeepsRows):
    """Train rows with almost invisible noise: must fail every privacy gate."""

    name = "memoriser"
    Parameters = MemoriserParameters

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        picked = self._picked(count, rng, conditions)
        coded = self._ready.encode(picked, seed)
        for key in self._ready.numeric:
            coded[key] += rng.normal(0.0, self.parameters.noise * self._spread(key), count)
        noisy = self._ready.decode(coded, seed)
        for name, coding in self._ready.codings.items():
            if coding.form != "numeric":  # categories as they are, whatever shares a code
                noisy[name] = picked[name]
        for condition in conditions:  # noise must not carry a row over an asked-for bound
            outside = ~condition.mask(noisy)
            noisy.loc[outside, condition.column] = picked.loc[outside, condition.column]
        return noisy

    def _spread(self, key: str) -> float:
        name = next(name for name, own in self._ready.keys.items() if own == key)
        coding = self._ready.codings[name]
        values = self.rows[name].dropna()
        values = values.astype("int64") if coding.type == "date" else values
        return float(values.astype("float64").std(ddof=0)) / coding.scale


class IndependentColumns(_KeepsRows):
    """Each column drawn on its own from its train values: right shapes, no dependence."""

    name = "independent_columns"

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        columns = {}
        for name in self.rows.columns:
            asked = tuple(condition for condition in conditions if condition.column == name)
            inside = np.flatnonzero(met(asked, self.rows))
            if not len(inside):
                told = " and ".join(f"'{condition}'" for condition in asked)
                raise ConditionError(f"{self.name}: no train row meets {told}")
            columns[name] = self.rows[name].iloc[rng.choice(inside, count)].reset_index(drop=True)
        return pd.DataFrame(columns)
