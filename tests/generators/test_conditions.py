"""Conditions: read from text, typed by the schema, and what they hold for."""

import numpy as np
import pandas as pd
import pytest

from leaven.generators.conditions import Condition, equals, met, parse
from leaven.generators.errors import ConditionError
from leaven.generators.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="a", type="integer"),
        Column(name="a>b", type="number"),
        Column(name="when", type="date"),
        Column(name="ok", type="boolean"),
        Column(name="kind", type="category"),
        Column(name="id", type="identifier"),
    ),
    target="kind",
)
FRAME = pd.DataFrame(
    {
        "a": pd.array([1, 2, None], dtype="Int64"),
        "a>b": [0.5, np.nan, 2.0],
        "when": pd.to_datetime(["2020-01-01", None, "2021-01-01"]).astype("datetime64[us]"),
        "ok": pd.array([True, None, False], dtype="boolean"),
        "kind": pd.Series(["x", None, "y=z"], dtype=object),
        "id": ["1", "2", "3"],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a=1", [0]),
        ("a!=1", [1]),
        ("a>=1", [0, 1]),
        ("a > 1", [1]),
        ("a>b<1", [0]),
        ("a>b=0.5|2", [0, 2]),
        ("when<2020-06-01", [0]),
        ("ok=TRUE", [0]),
        ("ok!=1", [2]),
        ("kind=y=z", [2]),
        ("kind!=x", [2]),
    ],
)
def test_rows_that_meet_a_condition(text: str, rows: list[int]) -> None:
    (condition,) = parse([text], SCHEMA)
    assert np.flatnonzero(condition.mask(FRAME)).tolist() == rows


def test_a_missing_value_meets_nothing() -> None:
    for text in ("a<100", "a!=5", "a>b!=7", "kind!=q", "ok!=true", "when>1900-01-01"):
        (condition,) = parse([text], SCHEMA)
        empty = FRAME[condition.column].isna()
        assert not condition.mask(FRAME)[empty.to_numpy()].any()


def test_all_conditions_are_met_together() -> None:
    assert met(parse(["a>=1", "ok=true"], SCHEMA), FRAME).tolist() == [True, False, False]
    assert met((), FRAME).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nope=1", "there is no column 'nope'"),
        ("a", "not of the form"),
        ("a=x", "is of type integer; 'x' is not"),
        ("ok=perhaps", "is of type boolean"),
        ("when=soon", "is of type date"),
        ("kind<x", "needs a number or a date"),
        ("id=1", "is identifier: it is not learned"),
    ],
)
def test_refused_texts_say_why(text: str, said: str) -> None:
    with pytest.raises(ConditionError, match=said):
        parse([text], SCHEMA)


def test_equals_takes_the_columns_type() -> None:
    assert equals(SCHEMA, "a", "7") == Condition(column="a", values=(7,))
    assert equals(SCHEMA, "ok", True).values == (True,)


def test_dates_with_a_zone_and_dates_that_are_none() -> None:
    schema = Schema(columns=(Column(name="d", type="date"), Column(name="y", type="category")), target="y")
    (asked,) = parse(["d>=2020-01-01T01:00:00+01:00"], schema)
    assert asked.values[0] == pd.Timestamp("2020-01-01")
    for empty in ("d>=", "d=NaT"):
        with pytest.raises(ConditionError, match="'d' is of type date"):
            parse([empty], schema)


def test_a_drawn_number_becomes_the_nearest_of_those_asked_for() -> None:
    from leaven.generators.table.chased import exact
    from leaven.generators.table.coding import learn

    values = pd.Series([0.0, 7298.0, 7688.0, 7690.0, 50_000.0])
    coding = learn(values, "g", "number", None, 0)
    schema = Schema(columns=(Column(name="g", type="number"), Column(name="y", type="category")), target="y")
    asked = parse(["g=7298|7688|7690"], schema)
    drawn = pd.DataFrame({"g": [7298.0, 7688.0, 7690.0, 7689.5, 7300.0, 20_000.0]})
    assert exact(drawn, asked, {"g": coding})["g"].tolist() == [7298, 7688, 7690, 7690, 7298, 20_000]
