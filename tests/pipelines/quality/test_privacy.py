"""Privacy: what leaks must stand out, what does not must not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality import privacy
from leaven.pipelines.quality.attacks import Neighbours, auc
from leaven.pipelines.quality.controls import independent_columns
from leaven.pipelines.task import Task

GATES = {"copies": 0.005, "worst_attack": 0.02}  # the default margins


def measure(mixed: Any, synthetic: pd.DataFrame, **frames: Any) -> dict[str, dict[str, Any]]:
    frames = {"train": mixed.rows(400, 1), "held_out": mixed.rows(120, 2), **frames}
    return privacy.measure(mixed.schema, mixed.task, synthetic=synthetic, seed=3, **frames)


def passes(found: dict[str, dict[str, Any]], name: str) -> bool:
    """As the gates judge."""
    entry = found[name]
    return entry["value"] <= entry["floor"] + 2 * entry["noise"] + GATES[name]


def multivariate_normal(mixed: Any, train: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """A small honest model: normal within each label, categories drawn at their shares within the label."""
    random = np.random.default_rng(seed)
    parts = []
    for label, group in train.groupby("label"):
        rows = round(count * len(group) / len(train))
        numbers = group[["x", "y", "n"]].astype(float)
        drawn = random.multivariate_normal(numbers.mean(), numbers.cov(), size=rows)
        part = pd.DataFrame(drawn, columns=["x", "y", "n"]).assign(id="new", label=label)
        part["n"] = part["n"].round().astype("Int64")
        part.loc[random.random(rows) < 0.1, "y"] = np.nan
        for name in ("colour", "flag", "day"):
            part[name] = group[name].iloc[random.integers(len(group), size=rows)].array
        parts.append(part[mixed.schema.names])
    return pd.concat(parts, ignore_index=True)


def test_every_entry_stands_between_its_controls(mixed: Any) -> None:
    found = measure(mixed, mixed.rows(400, 3))
    assert {"copies", "near_copies", "distance_to_closest_record", "worst_attack"} <= set(found)
    assert sum(name.endswith("_attack") for name in found) >= 3
    for name, entry in found.items():
        assert set(entry) == {"value", "floor", "ceiling", "better", "what", "noise"}
        assert entry["better"] == "lower"
        assert 0 < entry["noise"] < 0.2, name
        assert entry["ceiling"] > entry["floor"] + 2 * entry["noise"] + 0.1, name
    attacks = [entry["value"] for name, entry in found.items() if name.endswith("_attack")]
    assert found["worst_attack"]["value"] == max(attacks)


@pytest.mark.parametrize("seed", range(6))
def test_fresh_rows_independent_columns_and_an_honest_model_pass(mixed: Any, seed: int) -> None:
    train, held_out = mixed.rows(200, 10 + seed), mixed.rows(50, 20 + seed)
    for synthetic in (
        mixed.rows(200, 30 + seed),
        independent_columns(train, seed),
        multivariate_normal(mixed, train, 200, seed),
    ):
        found = measure(mixed, synthetic, train=train, held_out=held_out)
        assert passes(found, "copies")
        assert passes(found, "worst_attack"), found["worst_attack"]


def test_a_memoriser_is_caught(mixed: Any) -> None:
    train = mixed.rows(400, 1)
    found = measure(mixed, mixed.jittered(train, 400, 5, 0.005))
    assert not passes(found, "worst_attack")
    assert found["worst_attack"]["value"] > 0.75
    assert found["near_copies"]["value"] > 0.5
    assert found["distance_to_closest_record"]["value"] > 0.9
    assert found["copies"]["value"] < 0.2  # only the rows without y keep every value; the others moved


def test_copies_are_caught_and_stand_at_the_ceiling(mixed: Any) -> None:
    train = mixed.rows(400, 1)
    found = measure(mixed, mixed.resampled(train, 400, 5))
    assert not passes(found, "copies")
    assert not passes(found, "worst_attack")
    assert found["copies"]["value"] == 1.0
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(entry["ceiling"], abs=0.06), name


def test_a_few_copies_among_honest_rows_are_caught(mixed: Any) -> None:
    mostly = pd.concat([mixed.rows(380, 7), mixed.rows(400, 1).iloc[:20]], ignore_index=True)
    found = measure(mixed, mostly)
    assert found["copies"]["value"] == pytest.approx(0.05)
    assert not passes(found, "copies")


def test_screening_cannot_be_seen_as_privacy_of_a_memoriser(mixed: Any) -> None:
    """A model near its train rows but never within the near-copy tolerance is caught by the attacks."""
    found = measure(mixed, mixed.jittered(mixed.rows(400, 1), 400, 5, 0.1))
    assert not passes(found, "worst_attack")


def repeating(count: int, seed: int) -> pd.DataFrame:
    """A third of the rows take one of 400 values, some often and most seldom; the others are all different."""
    random = np.random.default_rng(seed)
    spots = np.random.default_rng(0).normal(size=(400, 2))
    share = 1 / np.arange(1, 401)
    frame = random.normal(size=(count, 2))
    repeated = random.random(count) < 0.35
    frame[repeated] = spots[random.choice(400, repeated.sum(), p=share / share.sum())]
    label = np.where(frame[:, 0] > 0.5, "b", "a").astype(object)
    return pd.DataFrame({"x": frame[:, 0], "y": frame[:, 1], "label": label})


REPEATING = Schema(
    columns=(
        Column(name="x", type="number"),
        Column(name="y", type="number"),
        Column(name="label", type="category"),
    ),
    target="label",
)
TASK = Task(target="label", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")


def judged(train: pd.DataFrame, held_out: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return privacy.measure(REPEATING, TASK, train=train, held_out=held_out, synthetic=synthetic, seed=1)


@pytest.mark.parametrize("seed", range(3))
def test_where_real_rows_repeat_fresh_ones_are_at_the_floor(seed: int) -> None:
    train, held_out = repeating(1500, 10 + seed), repeating(500, 20 + seed)
    equal = set(train.x) & set(held_out.x)
    assert held_out.x.isin(equal).mean() > 0.25
    fresh = judged(train, held_out, repeating(1500, 30 + seed))
    assert passes(fresh, "copies")
    assert passes(fresh, "worst_attack")
    assert fresh["copies"]["value"] > 0.01  # some rows do repeat a train row: that alone is no leak
    copied = judged(train, held_out, train.sample(1500, replace=True, random_state=seed, ignore_index=True))
    assert not passes(copied, "copies")
    assert not passes(copied, "worst_attack")


@pytest.mark.parametrize("seed", range(3))
def test_a_split_that_keeps_repeated_rows_on_one_side_raises_no_alarm(seed: int) -> None:
    """Then no held-out row ever equals a train row, and a good generator is nearer to train by construction."""
    both = repeating(2000, 40 + seed)
    aside = np.random.default_rng(seed).random(both.x.nunique()) < 0.25
    held = pd.Series(pd.factorize(both.x)[0]).map(pd.Series(aside)).to_numpy()
    train, held_out = both[~held].reset_index(drop=True), both[held].reset_index(drop=True)
    # A good generator of what it saw: the other half of rows from the same distribution, without the held-out spots.
    fresh = repeating(3000, 50 + seed)
    fresh = fresh[~fresh.x.isin(held_out.x)].iloc[: len(train)].reset_index(drop=True)
    found = judged(train, held_out, fresh)
    assert passes(found, "copies")
    assert passes(found, "worst_attack"), found["worst_attack"]
    assert not passes(judged(train, held_out, train), "worst_attack")


def test_later_rows_held_out_raise_no_alarm(mixed: Any) -> None:
    """A split by time: held-out rows lie elsewhere, and the generator rightly stays with train."""
    train, later = mixed.rows(400, 1), mixed.rows(120, 2)
    drifted = later.assign(x=later.x + 0.3, y=later.y + 0.3)
    found = measure(mixed, mixed.rows(400, 3), train=train, held_out=drifted)
    assert found["worst_attack"]["value"] > 0.6  # against 0.5 it would be called a leak
    assert passes(found, "worst_attack")
    copied = measure(mixed, mixed.resampled(train, 400, 3), train=train, held_out=drifted)
    assert not passes(copied, "worst_attack")


def test_where_copies_would_not_stand_out_it_says_so(mixed: Any) -> None:
    train, later = mixed.rows(400, 1), mixed.rows(120, 2)
    elsewhere = later.assign(x=later.x + 3.0, y=later.y + 3.0)
    found = measure(mixed, mixed.rows(400, 3), train=train, held_out=elsewhere)["worst_attack"]
    assert "even copies hardly stand out" in found["what"]
    assert "stand out" not in measure(mixed, mixed.rows(400, 3))["worst_attack"]["what"]


def test_same_seed_same_numbers(mixed: Any) -> None:
    synthetic = mixed.rows(200, 3)
    assert measure(mixed, synthetic) == measure(mixed, synthetic)


def test_row_limit_keeps_the_verdict(mixed: Any) -> None:
    train = mixed.rows(900, 1)
    leaking = mixed.jittered(train, 900, 5, 0.005)
    assert not passes(measure(mixed, leaking, train=train, max_rows=200), "worst_attack")


def test_too_few_rows_are_refused(mixed: Any) -> None:
    with pytest.raises(ValueError, match="at least 4"):
        measure(mixed, mixed.rows(10, 1), held_out=mixed.rows(3, 2))
    with pytest.raises(ValueError, match="some synthetic"):
        measure(mixed, mixed.rows(10, 1).iloc[:0])
    found = measure(mixed, mixed.rows(1, 1), train=mixed.rows(4, 3), held_out=mixed.rows(4, 2))
    assert all(np.isfinite(entry["value"]) for entry in found.values())


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert auc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert auc(np.array([0.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(1.5 / 4)


def test_neighbours_among_some_rows() -> None:
    corpus = np.array([[0.0], [1.0], [2.0], [5.0]])
    lists = Neighbours.of(np.array([[0.1]]), corpus)
    assert lists.among(np.array([False, True, False, True]), 2)[0] == pytest.approx([0.9, 4.9])
    assert lists.among(np.array([False, False, True, False]), 2)[0] == pytest.approx([1.9, 4.9])
