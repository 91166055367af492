"""Diversity of rows whose variety is known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality import diversity
from leaven.pipelines.quality.controls import independent_columns
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.quality.fidelity import Neighbourhoods
from leaven.pipelines.task import Task


def measure(mixed: Any, synthetic: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return diversity.measure(
        mixed.schema,
        mixed.task,
        train=mixed.rows(1500, 1),
        synthetic=synthetic,
        fresh=mixed.rows(800, 2),
        seed=5,
    )


def test_fresh_rows_are_at_the_floor(mixed: Any) -> None:
    found = measure(mixed, mixed.rows(800, 3))
    assert set(found) == {"coverage", "distinct_rows", "category_coverage", "class_spread"}
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(entry["floor"], abs=0.05), name
        assert entry["ceiling"] < entry["floor"] - 0.1, name


def test_independent_columns_cover_less(mixed: Any) -> None:
    entry = measure(mixed, independent_columns(mixed.rows(800, 3), 1))["coverage"]
    assert entry["value"] == pytest.approx(entry["ceiling"], abs=0.06)


def test_a_generator_that_forgets_a_class_or_collapses_shows(mixed: Any) -> None:
    real = mixed.rows(1500, 3)
    one_class = measure(mixed, real[real.label == "a"].reset_index(drop=True))
    assert one_class["class_spread"]["value"] < 0.55
    assert one_class["coverage"]["value"] < one_class["coverage"]["floor"] - 0.05
    no_rare = measure(mixed, real[real.colour != "rare"].reset_index(drop=True))
    assert no_rare["category_coverage"]["value"] == 0
    assert no_rare["category_coverage"]["floor"] == 1
    few = measure(mixed, mixed.resampled(real.iloc[:20], 800, 1))
    assert few["distinct_rows"]["value"] == pytest.approx(20 / 800)
    assert few["coverage"]["value"] < 0.3


def test_shrunken_classes_show(mixed: Any) -> None:
    real = mixed.rows(800, 3)
    shrunk = real.assign(
        x=real.groupby("label").x.transform(lambda v: v.mean() + 0.1 * (v - v.mean())),
        y=real.groupby("label").y.transform(lambda v: v.mean() + 0.1 * (v - v.mean())),
    )
    found = measure(mixed, shrunk)["class_spread"]
    assert found["value"] < found["floor"] - 0.1


def test_coverage_and_density_equal_their_definition() -> None:
    random = np.random.default_rng(0)
    schema = Schema(columns=tuple(Column(name=name, type="number") for name in "xy"), target="y")
    real = pd.DataFrame(random.normal(size=(150, 2)), columns=["x", "y"])
    made = pd.DataFrame(random.normal(size=(150, 2)) * 0.7, columns=["x", "y"])
    encoder = Encoder.fit(schema, real)
    a, b = (encoder.space(frame).astype(float) for frame in (real, made))
    among = np.linalg.norm(a[:, None] - a[None], axis=2)
    radius = np.sort(among, axis=1)[:, 5]
    across = np.linalg.norm(b[:, None] - a[None], axis=2)
    balls = Neighbourhoods(encoder, real)
    assert balls.coverage(made) == pytest.approx((across.min(axis=0) <= radius).mean())
    assert balls.density(made) == pytest.approx((across <= radius).sum() / (5 * len(b)))


def test_repeated_rows_do_not_inflate_density(mixed: Any) -> None:
    """Half of the rows stand on one spot, in real and fresh rows alike: density stays about 1."""
    schema = Schema(columns=tuple(Column(name=name, type="number") for name in "xy"), target="y")

    def rows(seed: int) -> pd.DataFrame:
        frame = pd.DataFrame(np.random.default_rng(seed).normal(size=(400, 2)), columns=["x", "y"])
        frame.iloc[::2] = 0.5
        return frame

    balls = Neighbourhoods(Encoder.fit(schema, rows(1)), rows(1))
    assert balls.density(rows(2)) == pytest.approx(1, abs=0.15)
    assert balls.coverage(rows(2)) > 0.9


def test_tables_without_classes_or_rare_categories() -> None:
    schema = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="number")), target="y")
    task = Task(target="y", type="regression", metric="r2")
    frames = [
        pd.DataFrame(np.random.default_rng(seed).normal(size=(100, 2)), columns=["x", "y"])
        for seed in range(3)
    ]
    found = diversity.measure(
        schema, task, train=frames[0], synthetic=frames[1], fresh=frames[2], seed=1, max_rows=100
    )
    assert set(found) == {"coverage", "distinct_rows"}
