"""Coded rows: safe, without missing values, and decoded to what they were."""

import json

import numpy as np
import pandas as pd
import pytest

from leaven.generators.conditions import parse
from leaven.generators.schema import Column, ColumnType, Schema
from leaven.generators.table.prepare import Preparation

from .planted import SCHEMA, frame


def one(values: object, kind: ColumnType, **options: object) -> tuple[Preparation, pd.DataFrame]:
    schema = Schema(columns=(Column(name="v", type=kind), Column(name="y", type="category")), target="y")
    rows = pd.DataFrame({"v": values})
    rows["y"] = pd.Series(["a", "b"] * len(rows), dtype=object).head(len(rows))
    return Preparation.learn(rows, schema, **options), rows  # type: ignore[arg-type]


def test_planted_rows_come_back() -> None:
    rows = frame(300)
    prepared = Preparation.learn(rows, SCHEMA)
    coded = prepared.encode(rows, seed=1)
    assert not coded.isna().any().any()
    assert all(name[0] in "xm" and name[1:].isdigit() for name in coded.columns)
    assert set(coded.columns) == {*prepared.discrete, *prepared.numeric}
    back = prepared.decode(coded, seed=2)
    learned = [column.name for column in SCHEMA if column.learnable]
    pd.testing.assert_frame_equal(back, rows[learned])


def test_preparation_is_json() -> None:
    rows = frame(100)
    prepared = Preparation.learn(rows, SCHEMA)
    again = Preparation.model_validate(
        json.loads(json.dumps(prepared.model_dump(mode="json"), allow_nan=False))
    )
    pd.testing.assert_frame_equal(prepared.encode(rows, 1), again.encode(rows, 1))
    assert again == prepared


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.1, 0.25, 3.0, np.nan], "number"),
        ([1e300, -1e300, 5.0, 7.0], "number"),
        ([1e-12, 2e-12, 3e-12, 9e-12], "number"),
        (pd.array([2**63 - 1, -(2**63), 0, 5], dtype="Int64"), "integer"),
        (pd.array([10, 20, None, 40], dtype="Int64"), "integer"),
        (np.array(["0001-01-02", "9999-12-31", "2000-01-01", "NaT"], dtype="datetime64[us]"), "date"),
    ],
)
def test_awkward_numbers(values: object, kind: ColumnType) -> None:
    prepared, rows = one(values, kind)
    coded = prepared.encode(rows, seed=0)
    key = prepared.keys["v"]
    assert np.isfinite(coded[key]).all() and coded[key].between(-1e-9, 2).all()
    back = prepared.decode(coded, seed=0)["v"]
    assert back.isna().tolist() == rows["v"].isna().tolist()
    if kind == "date":
        assert (back.dropna() - rows["v"].dropna()).abs().max() < pd.Timedelta(seconds=1)
    else:
        left, right = back.dropna().astype(float), rows["v"].dropna().astype(float)
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-15 * (right.max() / 2 - right.min() / 2))


def test_infinite_numbers_are_missing() -> None:
    prepared, rows = one([1.0, 2.0, np.inf, -np.inf, 3.0], "number")
    assert prepared.codings["v"].maximum == 3.0 and prepared.codings["v"].missing == pytest.approx(0.4)
    assert prepared.decode(prepared.encode(rows, 0), 0)["v"].isna().sum() == 2


def test_values_that_models_invent_are_brought_back() -> None:
    prepared, rows = one(pd.array([1, 5, 9, 13], dtype="Int64"), "integer")
    coded = prepared.encode(rows, 0)
    coded[prepared.keys["v"]] = [np.nan, np.inf, -7.0, 0.3]
    back = prepared.decode(coded, 0)["v"]
    assert back.notna().all() and back.between(1, 13).all() and back[3] == 5


def test_many_categories_share_a_code_and_come_back_by_frequency() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"city {i}" for i in range(30_000)], dtype=object)
    weights = 1 / np.arange(1, 30_001)
    values = pd.Series(names[rng.choice(30_000, 60_000, p=weights / weights.sum())], dtype=object)
    prepared, rows = one(values, "category", max_categories=50)
    assert prepared.discrete[prepared.keys["v"]] == 50
    back = prepared.decode(prepared.encode(rows, 0), seed=3)["v"]
    assert set(back) <= set(values)
    rare = values.value_counts().index[49]
    assert abs((back == rare).sum() - (values == rare).sum()) < 5 * np.sqrt((values == rare).sum())
    schema = Schema(
        columns=(Column(name="v", type="category"), Column(name="y", type="category")), target="y"
    )
    asked = parse(["v=city 29999|city 700"], schema)
    coded = prepared.encode(rows, 0)
    seen = set(values) & {"city 29999", "city 700"}
    shared = coded[prepared.keys["v"]] == prepared.codings["v"].other
    assert set(prepared.decode(coded[shared], 1, asked)["v"]) == seen


def test_drawn_missing_values_keep_their_share() -> None:
    rows = frame(3000)
    prepared = Preparation.learn(rows, SCHEMA, draw_missing=True)
    coded = prepared.encode(rows, 1)
    assert not any(name.startswith("m") for name in coded)
    back = prepared.decode(coded, 2)
    for name in ("size", "ok", "colour = ä"):
        assert back[name].isna().mean() == pytest.approx(rows[name].isna().mean(), abs=0.03)


def test_linked_columns_keep_their_order_when_coded() -> None:
    schema = Schema(
        columns=(
            Column(name="low", type="integer"),
            Column(name="high", type="integer"),
            Column(name="y", type="category"),
        ),
        target="y",
    )
    rng = np.random.default_rng(0)
    low = rng.integers(0, 50, 200)
    rows = pd.DataFrame(
        {
            "low": pd.array(low, dtype="Int64"),
            "high": pd.array(
                np.where(rng.random(200) < 0.3, None, low + rng.integers(0, 9, 200)), dtype="Int64"
            ),
            "y": ["a", "b"] * 100,
        }
    )
    prepared = Preparation.learn(rows, schema, linked=[("low", "high")])
    coded = prepared.encode(rows, 4)
    assert (coded["x0"] <= coded["x1"]).all()
