"""Distillation: labels better than train's, rows that hug no train row, direct draws of rare classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators import catalog
from leaven.generators.conditions import met, parse
from leaven.generators.schema import Column, Schema
from leaven.generators.table.mingling import Bundle, Mingler
from leaven.generators.table.teacher import spread

from .planted import write

SCHEMA = Schema(
    columns=(
        Column(name="x", type="number"),
        Column(name="z", type="number"),
        Column(name="shop", type="category"),
        Column(name="y", type="category"),
    ),
    target="y",
)


def table(count: int, seed: int, flipped: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows in which `y` is "yes" where x + z > 0, except for a share of labels flipped; and the true labels."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, count))
    true = x + z > 0
    label = true ^ (rng.random(count) < flipped)
    shop = rng.choice(np.array(["a", "b", "c"], dtype=object), count)
    return pd.DataFrame(
        {"x": x, "z": z, "shop": shop, "y": np.where(label, "yes", "no").astype(object)}
    ), true


def fitted(rows: pd.DataFrame, folder: Path, schema: Schema = SCHEMA, **more: Any) -> Any:
    constraints = more.pop("constraints", ())
    generator = catalog.get("distillation")({"trees": 30, **more}, constraints)
    generator.fit(write(folder / "train.parquet", rows, schema), seed=3, threads=1)
    return generator


def test_labels_are_better_than_those_learned_from(tmp_path: Path) -> None:
    rows, true = table(200, seed=1, flipped=0.2)
    made = fitted(rows, tmp_path).sample(2000, seed=1)
    right = (made["y"] == "yes") == (made["x"] + made["z"] > 0)
    clear = (made["x"] + made["z"]).abs() > 0.5
    assert ((rows["y"] == "yes") == true).mean() == pytest.approx(0.8, abs=0.06)
    assert right.mean() > 0.87 and right[clear].mean() > 0.95


def test_an_ensemble_that_has_seen_the_row_repeats_its_label(tmp_path: Path) -> None:
    # Rows exactly on train rows, labels pure noise: one ensemble knows them by heart, those of folds do not.
    rng = np.random.default_rng(0)
    rows, _ = table(200, seed=2, flipped=0.0)
    rows["y"] = rng.choice(np.array(["no", "yes"], dtype=object), 200)
    same = {}
    for folds in (1, 5):
        generator = fitted(rows, tmp_path, folds=folds)
        labels = generator.labels.astype(int)
        chance = generator._chance(*_features(generator), labels, generator.folds)
        same[folds] = (chance > 0.5).mean()
    assert same[1] > 0.8 and same[5] < 0.65


def _features(generator: Any) -> tuple[np.ndarray, np.ndarray]:
    return generator.mingler.numbers, generator.mingler.codes


def test_ten_rows_of_a_class_are_enough_and_drawn_directly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rare = np.arange(800) < 10
    rows = pd.DataFrame(
        {
            "x": rng.normal(np.where(rare, 4, 0), 1),
            "z": rng.normal(size=800),
            "shop": rng.choice(np.array(["a", "b", "c"], dtype=object), 800),
            "y": np.where(rare, "yes", "no").astype(object),
        }
    )
    generator, calls = fitted(rows, tmp_path), []
    make = generator._make
    generator._make = lambda count, **more: calls.append(count) or make(count, **more)
    made = generator.sample(1000, seed=1, conditions=parse(["y=yes"], SCHEMA))
    assert calls == [1000] and set(made["y"]) == {"yes"}
    assert made["x"].mean() > 1.5
    own = generator.sample(1000, seed=1, conditions=parse(["y=yes", "x<2", "shop=a"], SCHEMA))
    assert sum(calls[1:]) < 1500 and (own["x"] < 2).all() and set(own["shop"]) == {"a"}


def test_no_row_hugs_a_train_row(tmp_path: Path) -> None:
    rows, _ = table(300, seed=4, flipped=0.1)
    fresh, _ = table(300, seed=5, flipped=0.1)
    made = fitted(rows, tmp_path).sample(300, seed=1)

    def nearest(some: pd.DataFrame) -> float:
        gaps = some[["x", "z"]].to_numpy()[:, None] - rows[["x", "z"]].to_numpy()
        return float(np.median(np.sqrt((gaps**2).sum(axis=2)).min(axis=1)))

    assert nearest(made) > 0.7 * nearest(fresh)


def test_no_row_is_a_copy_where_values_repeat(tmp_path: Path) -> None:
    # Five columns of three values each: many mingled rows would be train rows again.
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(5)]
    columns = (*(Column(name=name, type="category") for name in names), Column(name="y", type="category"))
    rows = pd.DataFrame({name: rng.choice(np.array(list("abc"), dtype=object), 100) for name in names})
    rows["y"] = rng.choice(np.array(["no", "yes"], dtype=object), 100)
    made = fitted(rows, tmp_path, Schema(columns=columns, target="y")).sample(500, seed=1)
    once = rows[~rows.duplicated(names, keep=False)]
    copies = len(made.merge(once[names], on=names)) / len(made)
    assert len(once) > 50 and copies < 0.02


def test_a_class_with_one_row_is_not_copied(tmp_path: Path) -> None:
    rows, _ = table(100, seed=4, flipped=0.0)
    rows.loc[0, "y"] = "odd"
    made = fitted(rows, tmp_path).sample(50, seed=1, conditions=parse(["y=odd"], SCHEMA))
    assert set(made["y"]) == {"odd"} and made["x"].nunique() > 40


def test_a_numeric_target_follows_its_features_and_meets_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, _ = table(300, seed=6, flipped=0.0)
    rows["y"] = 3 * rows["x"] + rng.normal(size=300)
    rows.loc[:20, "y"] = np.nan
    columns = (*SCHEMA.columns[:3], Column(name="y", type="number", nullable=True))
    schema = Schema(columns=columns, target="y")
    generator = fitted(rows, tmp_path, schema)
    made = generator.sample(1000, seed=1)
    assert np.corrcoef(made["x"], made["y"])[0, 1] > 0.9 and made["y"].notna().all()
    conditions = parse(["y>=2", "x<1.5"], schema)
    made = generator.sample(200, seed=1, conditions=conditions)
    assert met(conditions, made).all()


def test_tied_columns_move_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, _ = table(200, seed=7, flipped=0.0)
    rows["z"] = rows["x"] + rng.exponential(0.1, 200)
    ties = [{"kind": "inequality", "low": "x", "high": "z"}]
    generator, calls = fitted(rows, tmp_path, constraints=ties), []
    make = generator._make
    generator._make = lambda count, **more: calls.append(count) or make(count, **more)
    made = generator.sample(500, seed=1)
    assert (made["x"] <= made["z"]).all() and sum(calls) == 500


def test_only_named_files_without_pickles(tmp_path: Path) -> None:
    rows, _ = table(60, seed=8, flipped=0.1)
    generator = fitted(rows, tmp_path)
    (tmp_path / "saved").mkdir()
    generator.save(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"generator.json", "distillation.npz"}


def test_numbers_that_stand_often_stay_and_none_leaves_its_bounds() -> None:
    rng = np.random.default_rng(0)
    zeros = np.where(rng.random(400) < 0.7, 0.0, rng.exponential(1.0, 400))
    level = rng.integers(1, 4, 400).astype(float)
    numbers = np.column_stack([zeros, level, rng.normal(size=400)])
    mingler = Mingler.learn(
        numbers,
        np.zeros((400, 0), np.int32),
        np.zeros(numbers.shape, bool),
        [],
        tuple(Bundle((j,), ()) for j in range(3)),
        neighbours=20,
        rng=rng,
    )
    made, _ = mingler.draw(rng.integers(400, size=4000), rng, swap=0.9, jitter=0.05)
    assert (made[:, 0] == 0).mean() == pytest.approx((zeros == 0).mean(), abs=0.05)
    assert set(made[:, 1]) == {1.0, 2.0, 3.0}
    assert len(np.unique(made[:, 2])) > 3900
    assert made.min(axis=0) == pytest.approx(numbers.min(axis=0), abs=0.3)
    assert (made.min(axis=0) >= numbers.min(axis=0)).all() and (made.max(axis=0) <= numbers.max(axis=0)).all()


def test_folds_spread_classes_evenly() -> None:
    labels = np.array([0.0] * 90 + [1.0] * 10)
    folds = spread(labels, 5, np.random.default_rng(0))
    assert [int((labels[folds == fold] == 1).sum()) for fold in range(5)] == [2] * 5
