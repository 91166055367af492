"""Columns that a sum or a formula determines: computed in every row, whatever the generator and what is asked of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators import catalog
from leaven.generators.conditions import parse
from leaven.generators.constraints import Formula, Sum
from leaven.generators.errors import ConditionError, InputError
from leaven.generators.schema import Column, Schema
from leaven.generators.table.derived import order
from leaven.generators.table.possible import check
from leaven.generators.table.prepare import Preparation

from .planted import write

SCHEMA = Schema(
    columns=(
        Column(name="value €", type="number"),
        Column(name="rent", type="number"),
        Column(name="food", type="number"),
        Column(name="total", type="number"),
        Column(name="heads", type="integer"),
        Column(name="y", type="category"),
    ),
    target="y",
)
SUM: dict[str, Any] = {"kind": "sum", "total": "total", "parts": ["rent", "food"]}
FORMULA = {"kind": "formula", "column": "value €", "expression": "round(total / heads, 1)"}
MORE = {"kind": "inequality", "low": "rent", "high": "total"}
QUICK = {"epochs": 1, "batch_size": 100}
SETTINGS: dict[str, Any] = {
    "tvae": QUICK,
    "ctgan": QUICK,
    "copula_gan": QUICK,
    "autoregressive": {"epochs": 2, "bins": 32},
    "distillation": {"trees": 20},
}


def budget(count: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rent, food = rng.gamma(2, 30, count).round(2), rng.gamma(2, 10, count).round(2)
    heads, total = rng.integers(1, 9, count), (rent + food).round(2)
    return pd.DataFrame(
        {
            "value €": (total / heads).round(1),
            "rent": rent,
            "food": food,
            "total": total,
            "heads": pd.array(heads, dtype="Int64"),
            "y": np.where(total > 70, "high", "low").astype(object),
        }
    )


def fitted(name: str, folder: Path, rows: pd.DataFrame, schema: Schema = SCHEMA, *rules: Any) -> Any:
    generator: Any = catalog.get(name)(SETTINGS.get(name), rules or [FORMULA, SUM, MORE])
    generator.report = generator.fit(write(folder / "rows.parquet", rows, schema), seed=1, threads=1)
    return generator


def kept(generator: Any, made: pd.DataFrame) -> bool:
    pairs = zip(generator.constraints, generator.learned, strict=True)
    return all(constraint.holds(made, learned).all() for constraint, learned in pairs)


@pytest.mark.parametrize("name", catalog.names("table"))
def test_every_generator_keeps_them_without_losing_rows(name: str, tmp_path: Path) -> None:
    rows = budget()
    generator = fitted(name, tmp_path, rows)
    assert "column 'total' is computed (sum), not drawn" in generator.report.notes
    drawn = []
    make = generator._make
    generator._make = lambda size, **asked: drawn.append(size) or make(size, **asked)
    made = generator.sample(300, seed=2)
    assert kept(generator, made) and made["total"].nunique() > 100
    assert sum(drawn) <= 600  # the yield
    assert list(made.columns) == SCHEMA.names and made.dtypes.equals(rows.dtypes)
    for column in ("total", "value €"):
        assert made[column].between(rows[column].min(), rows[column].max()).all()
        assert np.array_equal(made[column].round(2), made[column])
    (tmp_path / "saved").mkdir()
    generator.save(tmp_path / "saved")
    pd.testing.assert_frame_equal(made, catalog.get(name).load(tmp_path / "saved").sample(300, seed=2))


@pytest.mark.parametrize("name", ["smote", "gaussian_copula", "independent_columns"])
@pytest.mark.parametrize("asked", [["total>=100"], ["total=80"], ["value €<12", "y=low"], ["total=80|90.5"]])
def test_conditions_on_them_are_met(name: str, asked: list[str], tmp_path: Path) -> None:
    generator = fitted(name, tmp_path, budget())
    conditions = parse(asked, SCHEMA)
    made = generator.sample(60, seed=3, conditions=conditions)
    assert len(made) == 60 and kept(generator, made)
    assert all(condition.mask(made).all() for condition in conditions)


def test_conditions_that_train_never_meets_are_refused(tmp_path: Path) -> None:
    generator = fitted("bootstrap", tmp_path, budget())
    with pytest.raises(ConditionError, match=r"column 'total' runs from .* in train"):
        generator.sample(5, seed=1, conditions=parse(["total>1e6"], SCHEMA))


@pytest.mark.parametrize(
    ("asked", "possible"),
    [
        (["heads>=3", "heads<4"], True),
        (["heads>3", "heads<4"], False),
        (["heads=3|4", "heads!=3"], True),
        (["heads=3|4", "heads>4"], False),
        (["rent>30", "rent<30.01"], False),  # rents have two decimals
        (["rent>=30", "rent<=30"], True),
        (["total>80", "total<=60"], False),
        (["y=high|low", "y!=high"], True),
        (["y=high", "y=low"], False),
    ],
)
def test_conditions_that_exclude_each_other_are_refused_at_once(asked: list[str], possible: bool) -> None:
    rows = budget()
    preparation = Preparation.learn(rows, SCHEMA)
    if possible:
        check(parse(asked, SCHEMA), preparation.codings, SCHEMA)
    else:
        with pytest.raises(ConditionError, match=f"no train row can meet '{asked[0].split('=')[0][:4]}"):
            check(parse(asked, SCHEMA), preparation.codings, SCHEMA)


@pytest.mark.parametrize("name", ["bootstrap", "gaussian_copula", "independent_columns"])
def test_a_target_that_is_a_total_is_learned_and_a_part_computed(name: str, tmp_path: Path) -> None:
    rows, schema = budget(), SCHEMA.model_copy(update={"target": "total"})
    generator = fitted(name, tmp_path, rows, schema, SUM)
    assert "total" in generator.preparation.codings and "food" not in generator.preparation.codings
    made = generator.sample(200, seed=2)
    assert kept(generator, made)
    assert made["food"].between(rows["food"].min(), rows["food"].max()).all()


def test_missing_values_come_as_in_train(tmp_path: Path) -> None:
    rows = budget(2000)
    rng = np.random.default_rng(1)
    rows.loc[rng.random(len(rows)) < 0.3, "food"] = np.nan  # the total is known all the same
    rows.loc[rng.random(len(rows)) < 0.2, "total"] = np.nan  # the parts are
    generator = fitted("bootstrap", tmp_path, rows, SCHEMA, SUM)
    made = generator.sample(3000, seed=1)
    assert kept(generator, made)
    for column, share in {"food": 0.3, "total": 0.2}.items():
        assert made[column].isna().mean() == pytest.approx(share, abs=0.03)
    assert (made["food"].isna() & made["total"].notna()).mean() == pytest.approx(0.24, abs=0.03)


def test_missing_inputs_make_the_computed_one_missing(tmp_path: Path) -> None:
    rows = budget()
    rows.loc[:99, ["food", "total"]] = np.nan
    generator = fitted("independent_columns", tmp_path, rows, SCHEMA, SUM)
    assert "total" not in generator.preparation.codings
    made = generator.sample(500, seed=1)
    assert made["total"].isna().equals(made["food"].isna())
    assert made["total"].isna().mean() == pytest.approx(0.2, abs=0.06)


def test_train_rows_that_break_a_sum_are_left_out(tmp_path: Path) -> None:
    rows = budget()
    rows.loc[:9, "total"] += 5
    rows.loc[:4, "value €"] = 0.0
    generator = fitted("smote", tmp_path, rows, SCHEMA, SUM)
    assert "left out 10 train rows that break a constraint" in generator.report.notes


def a_sum(total: str, *parts: str) -> Sum:
    return Sum(kind="sum", total=total, parts=list(parts))


def a_formula(column: str, expression: str) -> Formula:
    return Formula(kind="formula", column=column, expression=expression)


def test_the_order_follows_the_dependence() -> None:
    rules = [
        a_formula("value €", "total / heads"),
        a_sum("total", "rent", "food"),
        a_formula("food", "2 * heads"),
    ]
    assert [name for name, _ in order(rules, SCHEMA)] == ["food", "total", "value €"]


@pytest.mark.parametrize(
    ("target", "rules", "said"),
    [
        (
            "y",
            [a_sum("total", "rent", "food"), a_formula("total", "heads * 3")],
            "constraints.1: column 'total' is determined by constraints.0 already",
        ),
        (
            "y",
            [a_sum("total", "rent", "food"), a_formula("rent", "total - food")],
            "constraints.0: columns 'total', 'rent' follow from one another in a circle",
        ),
        ("y", [a_formula("total", "total * 1")], "constraints.0: column 'total' follows from itself"),
        ("total", [a_formula("total", "rent + food")], "constraints.0: 'total' is the target"),
        (
            "total",
            [a_sum("total", "rent", "food"), a_formula("food", "heads"), a_formula("rent", "heads")],
            "is determined by constraints.0 already",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(target: str, rules: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        order(rules, SCHEMA.model_copy(update={"target": target}))
