"""What the report draws of a table: shared bins, shares that add up, associations that were planted."""

import json

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.table import panels as module
from leaven.pipelines.kinds.table.panels import associated, panels
from leaven.pipelines.task import Task

TASK = Task(target="y", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")


def table(**columns: tuple[str, object]) -> tuple[Schema, pd.DataFrame]:
    schema = Schema(columns=tuple(Column(name=n, type=k) for n, (k, _) in columns.items()), target="y")  # type: ignore[arg-type]
    return schema, pd.DataFrame({name: values for name, (_, values) in columns.items()})


def draw(count: int, seed: int, shift: float = 0.0) -> tuple[Schema, pd.DataFrame]:
    random = np.random.default_rng(seed)
    y = np.where(random.random(count) < 0.5, "a", "b").astype(object)
    x = random.normal(shift, 1, count)
    x[0] = np.nan
    return table(
        same=("number", random.normal(size=count)),
        x=("number", x),
        twice=("number", 2 * x),
        constant=("integer", pd.array([7] * count, dtype="Int64")),
        empty=("number", np.full(count, np.nan)),
        flag=("boolean", pd.array(y == "b", dtype="boolean")),
        many=("category", np.array([f"v{n % 50}" for n in range(count)], dtype=object)),
        when=("date", (np.datetime64("2020-01-01") + random.integers(0, 99, count)).astype("datetime64[us]")),
        note=("text", np.array(["free"] * count, dtype=object)),
        y=("category", y),
    )


def test_shares_distances_and_associations() -> None:
    schema, train = draw(800, 1)
    found = panels(schema, TASK, train=train, synthetic=draw(800, 2, shift=3.0)[1], fresh=draw(400, 3)[1])
    json.dumps(found, allow_nan=False)
    columns = {panel["name"]: panel for panel in found["columns"]}
    assert next(iter(columns)) == "y" and {*list(columns)[1:3]} == {"x", "twice"} and "note" not in columns
    for panel in columns.values():
        for which in ("real", "synthetic", "fresh"):
            total = sum(panel[which])
            assert total == pytest.approx(0.0 if panel["name"] == "empty" else 1.0, abs=1e-3)
            assert len(panel[which]) == (
                len(panel["labels"]) if panel["kind"] == "bars" else len(panel["edges"]) - 1
            )
    assert columns["x"]["distance"]["synthetic"] > 0.8 > 0.2 > columns["x"]["distance"]["fresh"]
    assert columns["constant"]["distance"]["synthetic"] == 0
    assert columns["empty"]["missing"]["real"] == 1 and columns["empty"]["distance"]["synthetic"] == 0
    assert (
        columns["many"]["labels"][-1] == module.OTHER
        and len(columns["many"]["labels"]) == module.MAX_BARS + 1
    )

    names, real = found["association"]["names"], np.array(found["association"]["real"])
    at = {name: names.index(name) for name in names}
    assert real[at["x"], at["twice"]] == pytest.approx(1) and real[at["flag"], at["y"]] == pytest.approx(
        1, abs=0.01
    )
    assert real[at["x"], at["same"]] < 0.15 and real[at["constant"], at["x"]] == 0
    assert (real == real.T).all() and found["association"]["gap"]["fresh"] < 0.1


def test_a_column_that_went_missing_differs() -> None:
    schema, train = table(
        x=("number", np.arange(100.0)), y=("category", np.array(["a", "b"] * 50, dtype=object))
    )
    synthetic = train.assign(x=np.where(np.arange(100) < 40, np.nan, train["x"]))
    found = panels(schema, TASK, train=train, synthetic=synthetic)
    panel = next(panel for panel in found["columns"] if panel["name"] == "x")
    assert panel["missing"] == {"real": 0.0, "synthetic": 0.4} and panel["distance"]["synthetic"] >= 0.4


def test_far_values_fall_into_the_outer_bins() -> None:
    schema, train = table(
        x=("number", np.linspace(0, 1, 500)), y=("category", np.array(["a", "b"] * 250, dtype=object))
    )
    synthetic = train.assign(x=1e12)
    panel = next(
        p for p in panels(schema, TASK, train=train, synthetic=synthetic)["columns"] if p["name"] == "x"
    )
    assert panel["synthetic"][-1] == 1 and panel["edges"][-1] <= 1


def test_wide_tables_stay_small() -> None:
    random = np.random.default_rng(0)
    columns = {f"c{n}": ("number", random.normal(size=60)) for n in range(60)}
    schema, train = table(**columns, y=("category", np.array(["a", "b"] * 30, dtype=object)))
    found = panels(schema, TASK, train=train, synthetic=train)
    assert len(found["columns"]) == module.MAX_COLUMNS and found["left_out"] == 61 - module.MAX_COLUMNS
    assert len(found["association"]["names"]) == module.MAX_PAIRED


def test_the_correlation_ratio_between_a_category_and_a_number() -> None:
    codes = np.repeat([0, 1], 50)
    ranks = np.arange(100.0)
    between = 50 * 2 * 25.0**2  # both means are 25 away from the middle
    expected = np.sqrt(between / ((ranks - 49.5) ** 2).sum())
    assert associated(("category", codes), ("number", ranks)) == pytest.approx(expected)
    assert associated(("number", ranks), ("category", np.zeros(100, dtype=int))) == 0
