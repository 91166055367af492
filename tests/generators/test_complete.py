"""Rows with missing cells: given cells stay, computed columns and constraints hold, impossible rows are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators import catalog
from leaven.generators.errors import ConditionError, InputError
from leaven.generators.schema import Column, Schema
from leaven.generators.table.controls import IndependentColumns

from .planted import write

SCHEMA = Schema(
    columns=(
        Column(name="id", type="identifier"),
        Column(name="net", type="number"),
        Column(name="tax", type="number"),
        Column(name="total", type="number"),
        Column(name="items", type="integer"),
        Column(name="each", type="number"),
        Column(name="y", type="category"),
    ),
    target="y",
)
RULES = [
    {"kind": "sum", "total": "total", "parts": ["net", "tax"]},
    {"kind": "formula", "column": "each", "expression": "total / items"},
    {"kind": "inequality", "low": "tax", "high": "net"},
]


class Filler(IndependentColumns):
    """Fills a cell with any train value of its column."""

    name = "filler"

    def _complete(self, frame: pd.DataFrame, *, seed: int) -> pd.DataFrame:
        return self._make(len(frame), seed=seed, conditions=())


def invoices(count: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    net, rate = rng.uniform(10, 90, count).round(2), rng.choice([0.07, 0.19], count)
    tax, items = (net * rate).round(2), rng.integers(1, 5, count)
    total = (net + tax).round(2)
    return pd.DataFrame(
        {
            "id": [f"i{n}" for n in range(count)],
            "net": net,
            "tax": tax,
            "total": total,
            "items": pd.array(items, dtype="Int64"),
            "each": total / items,
            "y": np.where(rate > 0.1, "full", "less").astype(object),
        }
    )


@pytest.fixture
def filler(tmp_path: Path) -> Any:
    made = Filler(None, RULES)
    made.fit(write(tmp_path / "rows.parquet", invoices(), SCHEMA), seed=1)
    return made


def test_whole_rows_with_given_cells_as_they_were(filler: Any) -> None:
    given = invoices(60).drop(columns=["each", "y"])
    given.loc[::2, "tax"] = np.nan  # follows from net and total, which are given
    given.loc[::3, ["net", "total"]] = np.nan
    given.loc[5:, "id"] = None
    made = filler.complete(given, seed=1)
    assert list(made.columns) == SCHEMA.names and made.notna().all().all()
    for name in given:
        known = given[name].notna()
        pd.testing.assert_series_equal(made.loc[known, name], given.loc[known, name], check_names=False)
    for constraint, learned in zip(filler.constraints, filler.learned, strict=True):
        assert constraint.holds(made, learned).all()
    real = invoices(60)
    alone = given["tax"].isna() & given["net"].notna()
    assert np.allclose(made.loc[alone, "tax"], real.loc[alone, "tax"])
    assert made["id"].is_unique
    pd.testing.assert_frame_equal(made, filler.complete(given, seed=1))
    assert not made.equals(filler.complete(given, seed=2))


def test_given_cells_that_break_a_rule_are_left_as_they_are(filler: Any) -> None:
    given = invoices(3).drop(columns=["y", "each"])
    given["total"] = [1.0, 2.0, 3.0]
    made = filler.complete(given, seed=1)
    assert made["total"].tolist() == [1.0, 2.0, 3.0] and made["net"].equals(given["net"])


def test_a_row_that_leaves_nothing_to_fill_in_is_named(filler: Any) -> None:
    given = invoices(4)[["total", "y"]]
    given.loc[2, "total"] = 200.0  # beyond any net and tax of train
    with pytest.raises(ConditionError, match=r"row 3: filler finds no values .* sum\(total, net, tax\)"):
        filler.complete(given, seed=1)


def test_columns_may_all_be_left_out(filler: Any) -> None:
    made = filler.complete(pd.DataFrame(index=range(20)), seed=1)
    assert len(made) == 20 and made.notna().all().all()
    assert len(filler.complete(invoices(0), seed=1)) == 0


def test_an_unknown_column_is_refused(filler: Any) -> None:
    with pytest.raises(InputError, match="there is no column 'taxes'"):
        filler.complete(pd.DataFrame({"taxes": [1.0]}), seed=1)


def test_generators_that_cannot_say_so(tmp_path: Path) -> None:
    other = catalog.get("bootstrap")()
    other.fit(write(tmp_path / "rows.parquet", invoices(), SCHEMA), seed=1)
    with pytest.raises(InputError, match="bootstrap cannot fill in missing cells; use autoregressive"):
        other.complete(invoices(2), seed=1)  # type: ignore[attr-defined]


def test_the_autoregressive_fills_in(tmp_path: Path) -> None:
    model: Any = catalog.get("autoregressive")({"epochs": 3, "bins": 16}, RULES)
    model.fit(write(tmp_path / "rows.parquet", invoices(), SCHEMA), seed=1, threads=1)
    given = invoices(30)[["net", "y"]]
    made = model.complete(given, seed=1)
    assert made[["net", "y"]].equals(given) and made.notna().all().all()
    for constraint, learned in zip(model.constraints, model.learned, strict=True):
        assert constraint.holds(made, learned).all()
