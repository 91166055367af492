"""Tables on which table generators are known to crash, loop or fill the memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaven.generators import catalog
from leaven.generators.conditions import parse
from leaven.generators.contract import Budget
from leaven.generators.errors import ConditionError, FitError
from leaven.generators.schema import Column, ColumnType, Schema

from .planted import SCHEMA, frame, write

QUICK = {
    "distillation": {"trees": 10},
    "ctgan": {"epochs": 2},
    "tvae": {"epochs": 2},
    "copula_gan": {"epochs": 2},
}


def table(columns: dict[str, tuple[ColumnType, object]], target: str) -> tuple[pd.DataFrame, Schema]:
    schema = Schema(
        columns=tuple(Column(name=name, type=kind, nullable=True) for name, (kind, _) in columns.items()),
        target=target,
    )
    return pd.DataFrame({name: values for name, (_, values) in columns.items()}), schema


def cases(rows: int = 20) -> dict[str, tuple[pd.DataFrame, Schema]]:
    rng = np.random.default_rng(0)
    label: tuple[ColumnType, object] = ("category", np.array(["a", "b"] * (rows // 2), dtype=object))
    number: tuple[ColumnType, object] = ("number", rng.normal(size=rows))
    category: tuple[ColumnType, object] = (
        "category",
        rng.choice(np.array(["7", "08", ""], dtype=object), rows),
    )
    rare = np.array(["a"] * (rows - 1) + ["b"], dtype=object)
    return {
        "only the label": table({"y": label}, "y"),
        "nothing varies": table({"x": ("number", np.ones(rows)), "y": ("category", ["a"] * rows)}, "y"),
        "no categories but the label": table(
            {"x": number, "z": ("number", rng.random(rows)), "y": label}, "y"
        ),
        "no numbers": table({"x": category, "y": label}, "y"),
        "a label with one row": table({"x": number, "c": category, "y": ("category", rare)}, "y"),
        "almost all missing": table(
            {"x": ("number", np.where(np.arange(rows) < 2, 1.5, np.nan)), "c": category, "y": label}, "y"
        ),
        "infinite numbers": table(
            {"x": ("number", np.where(np.arange(rows) % 5 == 0, np.inf, rng.random(rows))), "y": label}, "y"
        ),
        "integer label": table(
            {"x": number, "y": ("integer", pd.array(rng.integers(3, 5, rows), dtype="Int64"))}, "y"
        ),
        "boolean label": table({"x": number, "y": ("boolean", pd.array([True, False] * (rows // 2)))}, "y"),
        "odd names": table({"": number, "a#b.c": category, "Größe\n'\"": number, "y": label}, "y"),
    }


@pytest.mark.parametrize("case", list(cases()))
@pytest.mark.parametrize("name", ["gaussian_copula", "smote", "distillation", "tvae", "ctgan"])
def test_small_and_odd_tables(name: str, case: str, tmp_path: Path) -> None:
    rows, schema = cases()[case]
    train = write(tmp_path / "train.parquet", rows, schema)
    generator = catalog.get(name)(QUICK.get(name))
    generator.fit(train, seed=1, threads=1)
    made = generator.sample(30, seed=2)
    assert list(made.dtypes) == list(train.frame().dtypes) and list(made.columns) == schema.names
    for column in schema.of("category"):
        assert set(made[column].dropna()) <= set(rows[column])
    for column in schema.of("number"):
        assert not np.isinf(made[column]).any()


def test_copula_gan_without_numbers(tmp_path: Path) -> None:
    rows, schema = cases()["no numbers"]
    generator = catalog.get("copula_gan")(QUICK["copula_gan"])
    generator.fit(write(tmp_path / "train.parquet", rows, schema), seed=1, threads=1)
    assert len(generator.sample(5, seed=1)) == 5


@pytest.mark.parametrize("name", ["gaussian_copula", "ctgan", "tvae", "smote"])
def test_many_categories_fit_in_bounded_memory(name: str, tmp_path: Path) -> None:
    rows = frame(3000)
    rows["colour = ä"] = [f"shop {i}" for i in range(3000)]
    generator = catalog.get(name)(QUICK.get(name) and {**QUICK[name], "epochs": 1})
    report = generator.fit(write(tmp_path / "train.parquet", rows), seed=1, threads=1)
    made = generator.sample(200, seed=1)
    assert made["colour = ä"].str.startswith("shop ").all() and made["colour = ä"].nunique() > 10
    if name != "smote":
        assert any("rare categories" in note for note in report.notes)
    asked = parse(["colour = ä=shop 2999"], SCHEMA)
    if name == "gaussian_copula":
        assert set(generator.sample(20, seed=1, conditions=asked)["colour = ä"]) == {"shop 2999"}


def test_smote_needs_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, schema = table({"x": ("number", rng.random(90)), "y": ("number", rng.random(90))}, "y")
    with pytest.raises(FitError, match="smote needs classes, but target 'y' is of type number"):
        catalog.get("smote")().fit(write(tmp_path / "train.parquet", rows, schema), seed=1)


def test_smote_says_which_classes_are_too_small(tmp_path: Path) -> None:
    labels = np.array(["a"] * 20 + ["b"] * 4 + ["c"], dtype=object)
    rng = np.random.default_rng(0)
    rows, schema = table({"x": ("number", rng.random(25)), "y": ("category", labels)}, "y")
    generator = catalog.get("smote")()
    report = generator.fit(write(tmp_path / "train.parquet", rows, schema), seed=1)
    assert any("'c' has one train row, which can only be copied" in note for note in report.notes)
    assert any("'b' has 4 train rows, so 3 neighbours instead of 5" in note for note in report.notes)
    made = generator.sample(2000, seed=1)
    shares = made["y"].value_counts(normalize=True)
    assert shares["a"] == pytest.approx(0.8, abs=0.04) and shares["c"] == pytest.approx(0.04, abs=0.02)
    assert set(made["x"][made["y"] == "c"]) == {rows["x"].iloc[-1]}


def test_smote_stays_between_neighbours_of_one_class(tmp_path: Path) -> None:
    # Two far-apart clusters of one class: whoever mixes them lands between.
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 0.1, 50), rng.normal(100, 0.1, 50), rng.normal(50, 0.1, 50)])
    labels = np.array(["a"] * 100 + ["b"] * 50, dtype=object)
    rows, schema = table({"x": ("number", x), "y": ("category", labels)}, "y")
    generator = catalog.get("smote")()
    generator.fit(write(tmp_path / "train.parquet", rows, schema), seed=1)
    made = generator.sample(1000, seed=2)
    assert ((made["x"] - 50).abs() > 40)[made["y"] == "a"].all()
    assert ((made["x"] - 50).abs() < 1)[made["y"] == "b"].all()
    assert made["x"].nunique() > 900


def test_a_hopeless_yield_is_an_error_not_a_loop(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 4000
    x = rng.normal(size=count)
    rows, schema = table(
        {
            "x": ("number", x),
            "z": ("number", -x + 0.001 * rng.normal(size=count)),
            "y": ("category", rng.choice(np.array(["a", "b"], dtype=object), count)),
        },
        "y",
    )
    generator = catalog.get("gaussian_copula")()
    generator.fit(write(tmp_path / "train.parquet", rows, schema), seed=1, threads=1)
    with pytest.raises(
        ConditionError, match=r"gaussian_copula makes too few rows that meet 'x>2.0' and 'z>1.5': 0 of"
    ):
        generator.sample(10, seed=1, conditions=parse(["x>2", "z>1.5"], schema))


def test_copula_draws_by_a_rare_condition_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 5000
    rare = rng.random(count) < 0.04
    label = np.where(rare, "yes", "no").astype(object)
    x = rng.normal(np.where(rare, 3, 0), 1)
    rows, schema = table({"x": ("number", x), "y": ("category", label)}, "y")
    generator = catalog.get("gaussian_copula")()
    generator.fit(write(tmp_path / "train.parquet", rows, schema), seed=1, threads=1)
    free = generator.sample(50_000, seed=5)
    calls: list[int] = []
    make = generator._make
    generator._make = lambda count, **more: calls.append(count) or make(count, **more)
    for text, inside in [("y=yes", free["y"] == "yes"), ("x>=2", free["x"] >= 2)]:
        made = generator.sample(2000, seed=1, conditions=parse([text], schema))
        # Drawn directly, and from the same distribution as by waiting for them.
        assert abs(made["x"].mean() - free["x"][inside].mean()) < 0.1
        assert abs((made["y"] == "yes").mean() - (free["y"][inside] == "yes").mean()) < 0.04
    assert sum(calls) < 4400


def test_copula_shrinks_to_its_budget_and_replays(tmp_path: Path) -> None:
    train = write(tmp_path / "train.parquet", frame(30_000))
    generator = catalog.get("gaussian_copula")()
    report = generator.fit(train, seed=1, threads=1, budget=Budget(seconds=0.2))
    assert report.stopped_by == "budget" and 500 <= report.steps < 30_000
    again = catalog.get("gaussian_copula")()
    assert again.fit(train, seed=1, threads=1, budget=Budget(steps=report.steps)).steps == report.steps
    pd.testing.assert_frame_equal(generator.sample(50, seed=1), again.sample(50, seed=1))


def test_ctgan_asks_for_categories_as_often_as_train_has_them(tmp_path: Path) -> None:
    # ctgan itself asks by the logarithm of their counts, and for one category only in the first column.
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(2000) < 0.05, "rare", "usual").astype(object)
    first = rng.choice(np.array(["p", "q", "r"], dtype=object), 2000)
    rows, schema = table({"c": ("category", first), "y": ("category", labels)}, "y")
    generator = catalog.get("ctgan")({"epochs": 1})
    generator.fit(write(tmp_path / "train.parquet", rows, schema), seed=1, threads=1)
    sampler = generator.model._model._data_sampler
    asked = sampler.sample_original_condvec(20_000).mean(axis=0)
    shares = [*[(first == value).mean() / 2 for value in pd.unique(first)], 0.475, 0.025]
    np.testing.assert_allclose(np.sort(asked), np.sort(shares), atol=0.015)
    told = generator.model._model._transformer.convert_column_name_value_to_id("x1", "v1")
    vector = sampler.generate_cond_from_condition_column_info(told, 1)[0]
    assert vector[:3].sum() == 0 and vector[3:].sum() == 1


def test_parameters_are_checked() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="multiple of pac"):
        catalog.get("ctgan")({"batch_size": 64, "pac": 10})
    with pytest.raises(ValidationError, match="epoch"):
        catalog.get("tvae")({"epoch": 3})
