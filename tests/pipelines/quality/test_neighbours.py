"""Encoding, copies, near copies and nearest neighbours."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality.encode import Encoder, as_labels, as_numbers, robust_spread
from leaven.pipelines.quality.neighbours import Copies, NearCopies, nearest, row_keys

TINY = Schema(
    columns=(
        Column(name="x", type="number", nullable=True),
        Column(name="c", type="category", nullable=True),
    ),
    target="c",
)


def tiny(*values: tuple[float | None, str | None]) -> pd.DataFrame:
    xs, cs = zip(*values, strict=True)
    return pd.DataFrame({"x": np.array(xs, dtype=float), "c": np.array(cs, dtype=object)})


def test_equal_rows_have_equal_keys_and_others_do_not() -> None:
    frame = tiny((0.0, "a"), (-0.0, "a"), (None, "a"), (0.0, None), (0.0, ""), (1.0, "a"))
    keys = row_keys(TINY, frame)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5


def test_identifiers_do_not_make_rows_differ(mixed: Any) -> None:
    frame = mixed.rows(50, 1)
    assert (row_keys(mixed.schema, frame) == row_keys(mixed.schema, frame.assign(id="new"))).all()
    assert len(np.unique(row_keys(mixed.schema, mixed.rows(2000, 2)))) == 2000


def test_swapped_values_of_two_columns_are_no_copy() -> None:
    schema = Schema(
        columns=(Column(name="a", type="category"), Column(name="b", type="category")), target="b"
    )
    keys = row_keys(schema, pd.DataFrame({"a": ["u", "v"], "b": ["v", "u"]}, dtype=object))
    assert keys[0] != keys[1]


def test_only_copies_of_rows_that_stand_once_count() -> None:
    train = tiny((1.0, "a"), (2.0, "a"), (2.0, "a"), (None, "b"))
    copies = Copies(TINY, train)
    asked = tiny((1.0, "a"), (2.0, "a"), (None, "b"), (1.0, "b"), (None, "a"))
    assert copies.mask(asked).tolist() == [True, False, True, False, False]
    assert copies.unique_share == 0.5
    assert copies.expected == 0.5  # leaving out one of the two equal rows, it is a copy of the other


def test_copies_from_batches_equal_copies_from_all(mixed: Any) -> None:
    train = pd.concat([mixed.rows(200, 1), mixed.rows(200, 1).iloc[:50]], ignore_index=True)
    whole = Copies(mixed.schema, train)
    parts = Copies.of(mixed.schema, (train.iloc[start : start + 70] for start in range(0, 250, 70)))
    assert (whole.mask(train) == parts.mask(train)).all()
    assert whole.mask(train).sum() == 150


def test_near_copies_by_hand() -> None:
    # The quartiles of 0, 10, … 100 lie 50 apart: a tolerance of 1 % is 0.37.
    train = tiny(*((10.0 * i, "a") for i in range(11)), (5.0, "b"), (None, "b"))
    near = NearCopies(TINY, train, 0.01)
    asked = tiny((10.3, "a"), (10.5, "a"), (10.3, "b"), (5.0, "b"), (None, "b"), (None, "a"), (np.inf, "a"))
    assert near.mask(asked).tolist() == [True, False, False, True, True, False, False]


def test_a_row_with_a_neighbour_in_train_is_not_protected() -> None:
    train = tiny(*((10.0 * i, "a") for i in range(11)), (50.1, "a"))
    near = NearCopies(TINY, train, 0.01)
    assert near.mask(tiny((50.05, "a"), (60.05, "a"))).tolist() == [False, True]
    assert near.expected == pytest.approx(2 / 12)


def test_near_copies_agree_with_comparing_all_pairs(mixed: Any) -> None:
    train, asked, share = mixed.rows(300, 1), mixed.rows(300, 2), 0.4
    encoder = Encoder.fit(mixed.schema, train)

    def close(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
        left, right = (
            np.hstack([encoder.codes(frame), np.isnan(encoder.numbers(frame))]) for frame in (a, b)
        )
        same = (left[:, None] == right[None]).all(axis=2)
        apart = np.abs(encoder.numbers(a)[:, None] - encoder.numbers(b)[None]) / encoder.spread
        return same & ((apart <= share) | np.isnan(apart)).all(axis=2)

    unique = close(train, train).sum(axis=1) == 1
    expected = (close(asked, train) & unique).any(axis=1)
    near = NearCopies(mixed.schema, train, share)
    assert 10 < expected.sum() < 290
    assert (near.mask(asked) == expected).all()
    assert near.unique_share == unique.mean()


def test_near_copies_without_numbers_are_exact_copies() -> None:
    schema = Schema(columns=(Column(name="c", type="category"),), target="c")
    train = pd.DataFrame({"c": ["a", "b", "b"]}, dtype=object)
    near = NearCopies(schema, train, 0.01)
    assert near.mask(pd.DataFrame({"c": ["a", "b", "z"]}, dtype=object)).tolist() == [True, False, False]
    assert near.mask(train.iloc[:0]).tolist() == []


@pytest.mark.parametrize("width", [3, 20])  # a tree, and all pairs
def test_nearest_finds_the_nearest(width: int) -> None:
    random = np.random.default_rng(0)
    corpus = random.normal(size=(200, width)).astype(np.float32)
    points = random.normal(size=(50, width)).astype(np.float32)
    expected = np.sort(np.linalg.norm(points[:, None].astype(float) - corpus[None], axis=2), axis=1)[:, :4]
    distances, indices = nearest(points, corpus, 4)
    assert np.allclose(distances, expected, atol=1e-5)
    assert (nearest(corpus, corpus, 1)[0] == 0).all()
    assert indices.shape == (50, 4)


def test_nearest_leaves_the_row_itself_out_even_among_its_copies() -> None:
    corpus = np.repeat(np.array([[0.0, 0.0], [3.0, 4.0]]), [10, 1], axis=0)
    own = np.arange(11)
    distances, indices = nearest(corpus, corpus, 3, own=own)
    assert distances.shape == (11, 3)
    assert (distances[:10] == 0).all()
    assert np.allclose(distances[10], 5)
    assert not (indices == own[:, None]).any()
    few, _ = nearest(corpus[:2], corpus[:2], 5, own=np.arange(2))
    assert few.shape == (2, 1)


def test_robust_spread() -> None:
    assert robust_spread(np.random.default_rng(0).normal(scale=3, size=20_000)) == pytest.approx(3, rel=0.05)
    assert robust_spread(np.repeat([0.0, 7.0], [95, 5])) > 0  # quartiles coincide
    assert robust_spread(np.zeros(5)) == 1.0
    assert robust_spread(np.array([np.nan])) == 1.0


def test_labels_are_the_texts_of_the_task() -> None:
    assert as_labels(pd.Series([True, None], dtype="boolean")).tolist() == ["True", None]
    assert as_labels(pd.Series([3, None], dtype="Int64")).tolist() == ["3", None]


def test_dates_are_seconds_and_missing_ones_nan() -> None:
    dates = pd.Series(np.array(["2024-01-01", "NaT", "2024-01-02"], dtype="datetime64[us]"))
    values = as_numbers(dates)
    assert values[2] - values[0] == 86400
    assert np.isnan(values[1])


def test_codes_bins_and_tree_input() -> None:
    train = tiny(*((float(i), "often" if i % 3 else "seldom") for i in range(300)))
    encoder = Encoder.fit(TINY, train)
    asked = tiny((None, None), (-5.0, "often"), (999.0, "seldom"), (150.0, "new"))
    assert encoder.codes(asked)[:, 0].tolist() == [0, 1, 2, 3]
    bins = encoder.bins(asked)[:, 0]
    assert bins[0] == 0
    assert bins[1] == 1
    assert bins[2] == bins.max() > bins[3] > 1
    features, categorical = encoder.tree_input(asked, without="c")
    assert features.shape == (4, 1)
    assert not categorical.any()
    features, categorical = encoder.tree_input(asked)
    assert categorical.tolist() == [False, True]
    assert np.isnan(features[[0, 3], 1]).all()


def test_a_column_of_very_many_categories_stays_bounded() -> None:
    values = np.array([f"c{i}" for i in range(20_000)], dtype=object)
    train = pd.DataFrame({"x": np.arange(20_000.0), "c": values})
    encoder = Encoder.fit(TINY, train)
    space = encoder.space(train.iloc[:1000])
    assert space.shape[1] < 600
    features, _ = encoder.tree_input(train)
    assert np.nanmax(features[:, 1]) < 255


def test_a_category_that_train_lacks_is_as_far_as_one_that_it_has() -> None:
    """Else fresh rows with names of their own would all look alike, and train rows would stand out."""
    names = np.array([f"c{i}" for i in range(3000)], dtype=object)
    frame = pd.DataFrame({"x": np.zeros(3000), "c": names})
    encoder = Encoder.fit(TINY, frame.iloc[:1500])
    seen, unseen = (encoder.space(part).astype(float) for part in (frame.iloc[:1500], frame.iloc[1500:]))
    apart = [np.mean([np.linalg.norm(a - b) for a, b in itertools.pairwise(s)]) for s in (seen, unseen)]
    assert apart[0] == pytest.approx(apart[1], abs=0.02)
    assert apart[0] > 0.95


def test_distance_counts_spreads_categories_and_missing_alike() -> None:
    train = tiny(*((float(i), "a" if i % 2 else "b") for i in range(100)), (None, "a"))
    encoder = Encoder.fit(TINY, train)
    here, there, other, gone = encoder.space(
        tiny((50.0, "a"), (50.0 + encoder.spread[0], "a"), (50.0, "b"), (None, "a"))
    ).astype(float)
    assert np.linalg.norm(here - there) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(here - other) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(here - gone) == pytest.approx(1, abs=0.02)
