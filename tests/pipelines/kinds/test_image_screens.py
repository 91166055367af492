"""The screens of images: each finds what was planted for it, and lets fresh real images pass."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.rows import to_arrow
from leaven.pipelines.kinds.image import crossfit, screens
from leaven.pipelines.kinds.image.crossfit import Ensemble, learned
from leaven.pipelines.kinds.image.remembered import Remembered, keys
from leaven.pipelines.recipe import Recipe

from ..quality.planted_images import (
    SCHEMA,
    SHAPE,
    TASK,
    blobs,
    frame,
    memorised,
    noise,
    pixels,
    projector,
)

TRAIN = 150
NAMES = ["copy", "duplicate", "near_copy", "out_of_distribution", "label_agreement"]


@pytest.fixture(scope="module")
def train_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("train") / "train.parquet"
    pq.write_table(to_arrow(blobs(TRAIN, 1), SCHEMA), path)
    return path


@pytest.fixture(scope="module")
def made(train_file: Path) -> Any:
    """The screens, by name; their networks learn for a few steps only."""
    patch = pytest.MonkeyPatch()
    patch.setattr(crossfit, "STEPS", 20)
    yield {one.name: one for one in make(train_file)}
    patch.undo()


def make(train_file: Path, **asked: Any) -> list[Any]:
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "source": {"kind": "image", "path": "x"},
            "device": "cpu",
            "screen": {"label_agreement": "mild", **asked},
        }
    )
    return list(screens.make(SCHEMA, TASK, recipe, train=[train_file], seed=1, threads=1))


def dropped(screen: Any, rows: pd.DataFrame) -> float:
    found = screen.reasons(rows)
    assert found.shape == (len(rows),) and found.dtype == object
    assert {text.partition(":")[0] for text in found} <= {"", screen.name}
    return float((found != "").mean())


def test_cheap_ones_first_and_nothing_is_fitted_before_an_image_is_judged(
    train_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a network is trained")

    monkeypatch.setattr(crossfit.resnet, "train", refuse)
    monkeypatch.setattr(crossfit, "_kept", type(crossfit._kept)())
    found = make(train_file)
    assert [one.name for one in found] == NAMES
    assert dropped(found[0], blobs(5, 2)) == 0.0
    with pytest.raises(AssertionError, match="is trained"):
        found[2].reasons(blobs(5, 2))


def test_screens_are_switched_off(train_file: Path) -> None:
    fields = ("copies", "duplicates", "near_copies", "out_of_distribution", "label_agreement")
    for field, name in zip(fields, NAMES, strict=True):
        assert [one.name for one in make(train_file, **{field: False})] == [n for n in NAMES if n != name]


def test_exact_copies_go_whatever_their_label(made: Any) -> None:
    copies = blobs(TRAIN, 1)
    assert dropped(made["copy"], copies.assign(label="left")) == 1.0
    assert dropped(made["copy"], blobs(50, 2)) == 0.0
    assert dropped(made["copy"], memorised(copies, 50, 3)) == 0.0


def test_a_copy_of_what_stands_twice_in_train_may_stay(tmp_path: Path) -> None:
    rows = pd.concat([blobs(20, 1), blobs(20, 1).iloc[:5]], ignore_index=True)
    pq.write_table(to_arrow(rows, SCHEMA), tmp_path / "train.parquet")
    copy = make(tmp_path / "train.parquet")[0]
    assert (copy.reasons(rows.iloc[:20]) == "").tolist() == [True] * 5 + [False] * 15


def test_duplicates_are_known_within_and_across_calls_until_judged_anew() -> None:
    screen = screens.Duplicates(SCHEMA)
    rows = blobs(6, 1)
    assert screen.reasons(rows.iloc[[0, 1, 0, 2, 2]]).tolist() == ["", "", "duplicate", "", "duplicate"]
    assert screen.reasons(rows.iloc[[3, 1]]).tolist() == ["", "duplicate"]
    assert dropped(screen.at("strict"), rows) == 0.0
    assert screen.reasons(rows.iloc[[3]]).tolist() == ["duplicate"]


def test_near_copies_go_and_fresh_images_stay(made: Any) -> None:
    assert dropped(made["near_copy"], memorised(blobs(TRAIN, 1), 100, 3)) == 1.0
    assert dropped(made["near_copy"], blobs(100, 2)) < 0.12
    assert len(made["near_copy"].reasons(blobs(3, 2).iloc[:0])) == 0


def test_images_of_something_else_are_out_of_distribution(made: Any) -> None:
    strange = made["out_of_distribution"]
    fresh = blobs(100, 2)
    assert dropped(strange, noise(100, 3)) > 0.95
    inverted = frame(255.0 - pixels(fresh), fresh["label"].to_numpy())
    assert dropped(strange, inverted) > 0.95
    grainy = frame(
        blurred(fresh) + 12 * np.random.default_rng(1).normal(size=(100, *SHAPE)), fresh["label"].to_numpy()
    )
    assert dropped(strange, grainy) > 0.6, "noise near the middle of all images"
    assert dropped(strange, fresh) < 0.1


def blurred(rows: pd.DataFrame) -> np.ndarray:
    """The mean image, for each row."""
    return np.broadcast_to(pixels(rows).mean(axis=0), (len(rows), *SHAPE))


def test_flipped_labels_go_the_more_the_stricter(made: Any) -> None:
    fresh = blobs(200, 2)
    wrong = fresh.assign(label=fresh["label"].map({"high": "left", "left": "right", "right": "high"}))
    agreement = made["label_agreement"]
    taken = [dropped(agreement.at(level), fresh) for level in (False, "mild", "strict")]
    assert taken[0] == 0.0 and 0.1 < taken[1] < 0.5 and taken[1] < taken[2] < 0.8
    for level in ("mild", "strict", 0.9):
        assert dropped(agreement.at(level), wrong) > 0.9, level
    assert dropped(agreement, fresh.assign(label="no such class")) == 1.0


def test_focus_keeps_those_of_which_the_ensemble_is_least_sure(made: Any) -> None:
    fresh = blobs(200, 2)
    agreement = made["label_agreement"]
    focus = screens.Focus(agreement)
    ensemble = agreement._judge()._ensemble
    own = ensemble.says(fresh).mean(axis=0)[np.arange(200), ensemble.labels_of(fresh)]
    for level in (False, "mild"):
        passed = agreement.at(level).reasons(fresh) == ""
        late = focus.at(level).reasons(fresh) == ""
        assert 0.2 < late[passed].mean() < 0.85, level
        for label in TASK.classes:
            of = (fresh["label"] == label).to_numpy()
            assert own[of & late].max() < own[of & ~late].min(), "a bound for each class"
    assert set(focus.reasons(fresh)) == {"", "focus: learned early"}


def test_an_ensemble_asks_of_each_train_image_the_network_that_has_not_seen_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Labels that follow from nothing: a network that peeked would be sure of them."""
    monkeypatch.setattr(crossfit, "STEPS", 60)
    train = blobs(60, 1)
    train["label"] = np.random.default_rng(5).permutation(train["label"])
    fitted = learned(SCHEMA, TASK, train, threads=1)
    found = Ensemble(SCHEMA, fitted)
    own = found.unseen[0][np.arange(60), found.labels]
    seen = found.says(train)[0][np.arange(60), found.labels]
    assert own.mean() < 0.45 < seen.mean()
    assert learned(SCHEMA, TASK, train.copy(), threads=1) is fitted, "the same rows are learned once"


def test_features_of_an_image_are_computed_once() -> None:
    asked: list[int] = []

    def count(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return images.reshape(len(images), -1).astype(float)

    remembered, rows = Remembered(count), pixels(blobs(10, 1))
    assert (remembered(rows[:6]) == rows[:6].reshape(6, -1)).all()
    assert (remembered(rows[::-1]) == rows[::-1].reshape(10, -1)).all()
    assert (remembered(rows[[3, 3, 9]]) == rows[[3, 3, 9]].reshape(3, -1)).all()
    assert asked == [6, 4]


def test_equal_images_are_seen_by_the_same_networks() -> None:
    twice = pd.concat([blobs(30, 1)] * 2, ignore_index=True)
    folds = learned(SCHEMA, TASK, twice, threads=1).folds
    assert (folds[:30] == folds[30:]).all() and set(folds) == {0, 1, 2}
    for label in TASK.classes:
        counts = np.bincount(folds[:30][(twice["label"] == label)[:30]], minlength=3)
        assert counts.max() - counts.min() <= 1


def test_too_few_train_images_judge_nobody(tmp_path: Path) -> None:
    pq.write_table(to_arrow(blobs(3, 1), SCHEMA), tmp_path / "train.parquet")
    found = make(tmp_path / "train.parquet", focus="late")
    assert found[-1].name == "focus"
    for one in (found[-2], found[-1]):
        assert dropped(one, blobs(10, 2)) == 0.0


def test_a_fixed_extractor_serves_as_well(train_file: Path) -> None:
    real = pixels(blobs(TRAIN, 1))
    near = screens.Near(SCHEMA, projector, lambda: real, 0.01)
    assert dropped(near, memorised(blobs(TRAIN, 1), 50, 3)) == 1.0
    strange = screens.OutOfDistribution(SCHEMA, projector, lambda: real, 0.01)
    assert dropped(strange, noise(50, 3)) == 1.0


def test_no_images_have_no_keys() -> None:
    """As in an arm without synthetic images, where a learner of the user's own asks for them."""
    assert keys(np.zeros((0, 8, 8, 1), np.uint8)).shape == (0,)
