"""Fidelity against the library's own numbers and against rows whose faults are known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality import fidelity
from leaven.pipelines.quality.controls import Arms, independent_columns
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.task import Task


def measure(mixed: Any, synthetic: pd.DataFrame, **options: Any) -> dict[str, dict[str, Any]]:
    frames = {"train": mixed.rows(1500, 1), "fresh": mixed.rows(800, 2), "seed": 5, **options}
    return fidelity.measure(mixed.schema, mixed.task, synthetic=synthetic, **frames)


def test_numbers_equal_the_library(mixed: Any) -> None:
    from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
    from sdmetrics.single_column import KSComplement, TVComplement

    real, made = mixed.rows(900, 1), independent_columns(mixed.rows(700, 2), 3)
    made["x"] = made["x"] * 1.3
    made.loc[:100, "colour"] = "new"
    schema = Schema(
        columns=(Column(name="x", type="number"), Column(name="colour", type="category")), target="colour"
    )
    encoder = Encoder.fit(schema, real)
    shapes = (
        1
        - (KSComplement.compute(real["x"], made["x"]) + TVComplement.compute(real["colour"], made["colour"]))
        / 2
    )
    assert fidelity.column_shapes(encoder, real, made) == pytest.approx(shapes, abs=1e-6)

    def coded(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"x": encoder.bins(frame)[:, 0], "colour": frame["colour"]})

    trend = 1 - ContingencySimilarity.compute(coded(real), coded(made))
    assert fidelity.Pairs(encoder, real, 0).error(made) == pytest.approx(trend)
    numbers = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="number")), target="y")
    trend = 1 - CorrelationSimilarity.compute(real[["x", "y"]], made[["x", "y"]])
    assert fidelity.Pairs(Encoder.fit(numbers, real), real, 0).error(made) == pytest.approx(trend)


def test_fresh_rows_are_at_the_floor_and_independent_columns_at_the_ceiling(mixed: Any) -> None:
    fresh = measure(mixed, mixed.rows(800, 3))
    bad = measure(mixed, independent_columns(mixed.rows(800, 3), 4))
    for name in ("detection", "pair_trends", "density"):
        width = abs(fresh[name]["ceiling"] - fresh[name]["floor"])
        assert width > {"detection": 0.3, "pair_trends": 0.1, "density": 0.3}[name]
        assert abs(fresh[name]["value"] - fresh[name]["floor"]) < 0.25 * width
        assert abs(bad[name]["value"] - bad[name]["ceiling"]) < 0.25 * width
    assert fresh["detection"]["floor"] == pytest.approx(0.5, abs=0.06)
    assert fresh["density"]["floor"] == pytest.approx(1, abs=0.15)
    # Shapes cannot tell: shuffled columns have the right ones. The report shows just that.
    assert bad["column_shapes"]["value"] < 2 * bad["column_shapes"]["floor"]


def test_every_entry_says_what_it_is(mixed: Any) -> None:
    for entry in measure(mixed, mixed.rows(300, 3)).values():
        assert set(entry) == {"value", "floor", "ceiling", "better", "what"}
        assert entry["better"] in ("lower", "higher")
        assert len(entry["what"]) > 20


def test_copies_of_real_rows_are_not_told_apart(mixed: Any) -> None:
    found = measure(mixed, mixed.resampled(mixed.rows(1500, 1), 800, 9))
    assert found["detection"]["value"] == pytest.approx(0.5, abs=0.07)


def test_very_many_categories_do_not_give_fresh_rows_away() -> None:
    schema = Schema(
        columns=(Column(name="name", type="category"), Column(name="x", type="number")), target="x"
    )
    task = Task(target="x", type="regression", metric="r2")

    def rows(seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        names = np.array([f"n{i}" for i in random.integers(50_000, size=600)], dtype=object)
        return pd.DataFrame({"name": names, "x": random.normal(size=600)})

    found = fidelity.measure(schema, task, train=rows(1), synthetic=rows(2), fresh=rows(3), seed=1)
    assert found["detection"]["floor"] == pytest.approx(0.5, abs=0.06)
    assert found["detection"]["value"] == pytest.approx(0.5, abs=0.06)
    assert found["density"]["floor"] == pytest.approx(1, abs=0.2)


def test_missing_values_count_as_a_shape(mixed: Any) -> None:
    whole = measure(mixed, mixed.rows(800, 3).fillna({"y": 0.1}))
    kept = measure(mixed, mixed.rows(800, 3))
    assert whole["column_shapes"]["value"] > kept["column_shapes"]["value"] + 0.005
    gone = mixed.rows(800, 3).assign(y=np.nan, colour=None)
    columns = 7
    assert measure(mixed, gone)["column_shapes"]["value"] > (0.9 + 1.0) / columns


def test_a_column_that_became_constant_is_an_error(mixed: Any) -> None:
    flat = measure(mixed, mixed.rows(800, 3).assign(x=0.0))
    assert flat["pair_trends"]["value"] > flat["pair_trends"]["floor"] + 0.05
    assert np.isfinite(flat["column_shapes"]["value"])


def test_outliers_do_not_move_the_bins(mixed: Any) -> None:
    one_far = mixed.rows(800, 3)
    one_far.loc[0, "n"] = 10**9
    near = measure(mixed, mixed.rows(800, 3))["pair_trends"]["value"]
    # Correlations of that one column change by themselves; joint tables with categories must not.
    schema = Schema(
        columns=(Column(name="n", type="integer"), Column(name="colour", type="category")), target="colour"
    )
    real = mixed.rows(1500, 1)
    pairs = fidelity.Pairs(Encoder.fit(schema, real), real, 0)
    assert pairs.error(one_far) == pytest.approx(pairs.error(mixed.rows(800, 3)), abs=0.003)
    assert near < 0.1


def test_arms_have_equally_many_rows(mixed: Any) -> None:
    train, synthetic, fresh = mixed.rows(300, 1), mixed.rows(500, 2), mixed.rows(90, 3)
    arms = Arms.draw(train, synthetic, fresh, seed=1, max_rows=200)
    assert {len(arms.synthetic), len(arms.fresh), len(arms.independent), len(arms.collapsed)} == {90}
    assert len(arms.reference) == 200
    with pytest.raises(ValueError, match="one has none"):
        Arms.draw(train, synthetic.iloc[:0], fresh, seed=1, max_rows=200)


def test_same_seed_same_numbers_and_frames_untouched(mixed: Any) -> None:
    synthetic = mixed.rows(300, 3)
    before = synthetic.copy(deep=True)
    assert measure(mixed, synthetic) == measure(mixed, synthetic)
    pd.testing.assert_frame_equal(synthetic, before)


def test_few_rows_give_numbers_all_the_same(mixed: Any) -> None:
    found = measure(mixed, mixed.rows(8, 3), train=mixed.rows(20, 1), fresh=mixed.rows(6, 2))
    assert all(np.isfinite(entry[arm]) for entry in found.values() for arm in ("value", "floor", "ceiling"))


def test_many_columns_sample_their_pairs_and_say_so() -> None:
    random = np.random.default_rng(0)
    schema = Schema(columns=tuple(Column(name=f"c{i}", type="number") for i in range(100)), target="c0")
    task = Task(target="c0", type="regression", metric="r2")
    frames = [pd.DataFrame(random.normal(size=(200, 100)), columns=schema.names) for _ in range(3)]
    found = fidelity.measure(
        schema, task, train=frames[0], synthetic=frames[1], fresh=frames[2], seed=1, max_rows=200
    )
    assert "400 of 4950 pairs" in found["pair_trends"]["what"]


def test_one_column_has_no_pairs() -> None:
    schema = Schema(columns=(Column(name="c", type="category"),), target="c")
    frame = pd.DataFrame({"c": np.array(["a", "b"] * 50, dtype=object)})
    task = Task(target="c", type="classification", metric="roc_auc", classes=("a", "b"))
    found = fidelity.measure(schema, task, train=frame, synthetic=frame, fresh=frame, seed=1)
    assert "pair_trends" not in found
    assert found["column_shapes"]["value"] == pytest.approx(0, abs=1e-9)
