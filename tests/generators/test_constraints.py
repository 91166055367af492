"""What must hold in every row: what it holds for, and generators that keep it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaven.generators import catalog
from leaven.generators.constraints import FixedCombinations, Formula, Inequality, Positive, Range, Sum
from leaven.generators.errors import FitError
from leaven.generators.schema import Column, Schema

from .planted import write

SCHEMA = Schema(
    columns=(
        Column(name="start", type="integer"),
        Column(name="end", type="integer", nullable=True),
        Column(name="city", type="category"),
        Column(name="land", type="category"),
        Column(name="price", type="number"),
        Column(name="y", type="category"),
    ),
    target="y",
)
CONSTRAINTS = [
    {"kind": "inequality", "low": "start", "high": "end"},
    {"kind": "fixed_combinations", "columns": ["city", "land"]},
    {"kind": "range", "column": "price", "minimum": 1.0, "maximum": 50.0},
    {"kind": "positive", "column": "start"},
]


def rows_with_rules(count: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    start = rng.integers(0, 100, count)
    city = rng.choice(["Paris", "Lyon", "Rome", "Turin", "Bonn"], count)
    land = pd.Series(city).map({"Paris": "F", "Lyon": "F", "Rome": "I", "Turin": "I", "Bonn": "D"})
    end = np.where(rng.random(count) < 0.2, None, start + rng.integers(0, 5, count))
    return pd.DataFrame(
        {
            "start": pd.array(start, dtype="Int64"),
            "end": pd.array(end, dtype="Int64"),
            "city": city.astype(object),
            "land": land.astype(object),
            "price": rng.uniform(1, 50, count).round(1),
            "y": np.where(start > 50, "late", "early").astype(object),
        }
    )


def test_inequality() -> None:
    rows = pd.DataFrame(
        {"a": pd.array([1, 2, 3, None], dtype="Int64"), "b": pd.array([2, 2, 1, 1], dtype="Int64")}
    )
    assert Inequality(kind="inequality", low="a", high="b").holds(rows).tolist() == [True, True, False, True]
    strict = Inequality(kind="inequality", low="a", high="b", strict=True)
    assert strict.holds(rows).tolist() == [True, False, False, True]


def test_range_and_positive() -> None:
    rows = pd.DataFrame({"a": [-1.0, 0.0, 5.0, np.nan]})
    assert Range(kind="range", column="a", minimum=0, maximum=4).holds(rows).tolist() == [
        False,
        True,
        False,
        True,
    ]
    assert Positive(kind="positive", column="a").holds(rows).tolist() == [False, True, True, True]
    assert Positive(kind="positive", column="a", strict=True).holds(rows).tolist() == [
        False,
        False,
        True,
        True,
    ]


def test_fixed_combinations() -> None:
    rows = pd.DataFrame({"a": ["x", "y", None], "b": ["1", "2", "2"]}, dtype=object)
    rule = FixedCombinations(kind="fixed_combinations", columns=["a", "b"])
    learned = rule.learn(rows)
    other = pd.DataFrame({"a": ["x", "x", None], "b": ["1", "2", "2"]}, dtype=object)
    assert rule.holds(other, learned).tolist() == [True, False, True]


def test_sum_within_the_decimals_of_its_total() -> None:
    rule = Sum(kind="sum", total="t", parts=["a", "b"])
    rows = pd.DataFrame(
        {"a": [0.1, 1.0, 1.0, np.nan], "b": [0.2, 2.0, 2.004, 1.0], "t": [0.3, 3.01, 3.0, 9.0]}
    )
    assert rule.holds(rows).tolist() == [True, False, True, True]
    whole = pd.DataFrame({"a": [1, 1], "b": [2, 2], "t": pd.array([3, 4], dtype="Int64")})
    assert rule.holds(whole).tolist() == [True, False]
    exact = pd.DataFrame(
        {"a": [1 / 3, 1 / 3], "b": [1 / 7, 1 / 7], "t": [1 / 3 + 1 / 7, 1 / 3 + 1 / 7 + 1e-5]}
    )
    assert rule.holds(exact).tolist() == [True, False]
    assert rule.holds(rows, {"decimals": 1, "largest": 9.0}).tolist() == [True, True, True, True]


def test_formula_holds_where_it_can_be_computed() -> None:
    rule = Formula(kind="formula", column="rate", expression="part / `the whole`")
    rows = pd.DataFrame(
        {"part": [1.0, 1.0, 1.0, 1.0], "the whole": [4.0, 3.0, 0.0, 0.0], "rate": [0.25, 0.25, np.nan, 0.5]}
    )
    assert rule.columns_used == ["rate", "part", "the whole"]
    # Nothing can be said of a missing value; but a value that the formula cannot give breaks it.
    assert rule.holds(rows).tolist() == [True, False, True, False]


def test_a_sum_names_each_column_once() -> None:
    with pytest.raises(ValueError, match="'a' stands twice in the sum"):
        Sum(kind="sum", total="a", parts=["a", "b"])
    with pytest.raises(ValueError, match="at least 2 items"):
        Sum(kind="sum", total="a", parts=["b"])


@pytest.mark.parametrize("name", ["gaussian_copula", "tvae", "ctgan", "smote", "bootstrap"])
def test_generators_keep_the_constraints(name: str, tmp_path: Path) -> None:
    settings = {"epochs": 8, "batch_size": 100} if name in ("tvae", "ctgan") else None
    generator = catalog.get(name)(settings, CONSTRAINTS)
    report = generator.fit(write(tmp_path / "rows.parquet", rows_with_rules(), SCHEMA), seed=1, threads=1)
    assert not any("refused" in note for note in report.notes)
    made = generator.sample(300, seed=2)
    for constraint, learned in zip(generator.constraints, generator.learned, strict=True):
        assert constraint.holds(made, learned).all()
    assert len(made) == 300 and made["city"].nunique() > 1
    (tmp_path / "saved").mkdir()
    generator.save(tmp_path / "saved")
    pd.testing.assert_frame_equal(made, catalog.get(name).load(tmp_path / "saved").sample(300, seed=2))


def test_train_rows_that_break_a_constraint_are_left_out(tmp_path: Path) -> None:
    rows = rows_with_rules(50)
    rows.loc[:9, "price"] = 99.0
    generator = catalog.get("bootstrap")(None, CONSTRAINTS)
    report = generator.fit(write(tmp_path / "rows.parquet", rows, SCHEMA), seed=1)
    assert report.rows == 40 and "left out 10 train rows" in report.notes[0]
    rows["price"] = 99.0
    with pytest.raises(FitError, match=r"no train row keeps the constraint range\(price\)"):
        generator.fit(write(tmp_path / "rows.parquet", rows, SCHEMA), seed=1)
