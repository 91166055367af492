"""Mixes of train images: made of two images, believed by the ensemble, the same after a kill."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.generators.contract import SOURCE, Budget, silent
from leaven.generators.image import distillation
from leaven.generators.image.distillation import Distillation
from leaven.generators.image.pixels import to_array
from leaven.generators.rows import Rows
from tests.generators.test_image_contract import CLASSES, SHAPE, right, write


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return write(tmp_path_factory.mktemp("planted") / "train.parquet")


def fitted(
    rows: Rows, budget: Budget | None = None, progress: Any = silent, **parameters: Any
) -> Distillation:
    made = Distillation({"steps": 60, "networks": 2, "flip": False, **parameters})
    made.fit(rows, seed=3, threads=1, budget=budget, progress=progress)
    return made


@pytest.fixture(scope="module")
def learned(rows: Rows) -> Distillation:
    return fitted(rows, same=0.0, least=0.1)


def test_mixes_are_kept_for_the_class_that_the_ensemble_sees(rows: Rows, learned: Distillation) -> None:
    made = learned.sample(400, seed=1)
    assert right(made, SHAPE) > 0.9
    learned.networks, kept = (
        [],
        learned.networks,
    )  # nobody is asked: any mix that starts from the class will do
    try:
        assert right(learned.sample(400, seed=1), SHAPE) < 0.85
    finally:
        learned.networks = kept


def test_a_blend_is_of_its_source_and_another_image(rows: Rows) -> None:
    made = fitted(rows, overlay=0.0, least=0.6, steps=10).sample(20, seed=1)
    real = to_array(rows.frame()["image"], SHAPE).astype(float)
    labels = rows.frame()["label"].to_numpy()
    for image, source, label in zip(to_array(made["image"], SHAPE), made[SOURCE], made["label"], strict=True):
        assert labels[source] == label
        # image = s * source + (1 - s) * other: find the share that fits best for each other image
        towards = (real - real[source]).reshape(len(real), -1)
        moved = (image - real[source]).ravel()
        norms = (towards**2).sum(1)
        shares = np.divide(towards @ moved, norms, out=np.zeros(len(real)), where=norms > 0)
        errors = np.abs(shares[:, None] * towards - moved).max(1)
        best = int(errors.argmin())
        assert errors[best] <= 1.0 and -0.01 <= shares[best] <= 0.41


def test_a_piece_of_another_image_lies_over_its_source(rows: Rows) -> None:
    made = fitted(rows, overlay=1.0, least=0.5, steps=10).sample(20, seed=1)
    real = to_array(rows.frame()["image"], SHAPE)
    for image, source in zip(to_array(made["image"], SHAPE), made[SOURCE], strict=True):
        same = (image == real[source]).mean()
        either = ((image == real[source]) | (image == real)).reshape(len(real), -1).mean(1)
        assert same >= 0.45 and either.max() == 1.0


def test_a_short_budget_pays_fewer_steps_and_is_replayed(rows: Rows) -> None:
    made = Distillation({"steps": 100_000, "flip": False})
    report = made.fit(rows, seed=3, threads=1, budget=Budget(seconds=2.0))
    assert report.stopped_by == "budget" and report.steps < 2_000
    assert f"{report.steps:,} of 100,000 steps" in report.notes[0]
    again = fitted(rows, Budget(steps=report.steps), steps=100_000)
    pd.testing.assert_frame_equal(made.sample(20, seed=1), again.sample(20, seed=1))


class Killed(Exception):
    """Stands for a process that ends in the middle of a fit."""


def test_a_killed_fit_keeps_the_networks_that_have_learned(rows: Rows, tmp_path: Path) -> None:
    folder = tmp_path / "state"

    def kill(share: float, text: str) -> None:
        if "1 of 2 networks" in text:
            raise Killed

    with pytest.raises(Killed):
        fitted(rows, Budget(checkpoint=folder), kill)
    assert json.loads((folder / "plan.json").read_text()) == {"steps": 60}
    told: list[str] = []
    resumed = fitted(rows, Budget(checkpoint=folder), lambda share, text: told.append(text))
    assert not any("0 of 2" in text for text in told) and any("1 of 2" in text for text in told)
    assert not folder.exists()
    pd.testing.assert_frame_equal(resumed.sample(30, seed=1), fitted(rows).sample(30, seed=1))


def test_processes_beside_change_nothing(rows: Rows) -> None:
    made = Distillation({"steps": 20})
    made.fit(rows, seed=3, threads=2)
    alone = Distillation({"steps": 20})
    alone.fit(rows, seed=3, threads=1)
    pd.testing.assert_frame_equal(made.sample(20, seed=1), alone.sample(20, seed=1))


def test_mirrored_images_are_learned_from_where_they_help(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted classes are left and right quadrants: mirrored they are of another class."""
    made = fitted(rows, flip=None, steps=100)
    assert not made.flip
    monkeypatch.setattr(distillation, "_right", lambda of, *_: float(of.flip))
    assert fitted(rows, flip=None, steps=10).flip


def test_one_class_needs_no_ensemble(tmp_path: Path) -> None:
    made = fitted(write(tmp_path / "train.parquet", SHAPE, (9,)))
    assert not made.networks and set(made.sample(5, seed=1)["label"]) == {CLASSES[0]}
