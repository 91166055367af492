"""Fidelity and diversity of images: bad generators of every kind must show in the number that is meant for them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.pipelines.kinds.image.extractor import Extractor
from leaven.pipelines.quality.images import arms, diversity, fidelity

from .planted_images import SCHEMA, TASK, blobs, collapsed, frame, memorised, noise, pixels, projector

HIGHER = ("precision", "density", "label_agreement")
LOWER = ("kernel_distance", "frechet_distance", "class_frechet_distance")


def measure(module: Any, synthetic: pd.DataFrame, **changed: Any) -> dict[str, dict[str, Any]]:
    asked = {"train": blobs(400, 1), "fresh": blobs(300, 2), "seed": 3, "extractor": projector(), **changed}
    found: dict[str, dict[str, Any]] = module.measure(SCHEMA, TASK, synthetic=synthetic, **asked)
    return found


def share(entry: dict[str, Any]) -> float:
    """0 at the floor, 1 at the ceiling."""
    return float((entry["value"] - entry["floor"]) / (entry["ceiling"] - entry["floor"]))


def test_fresh_images_are_at_the_floor_and_noise_is_far() -> None:
    fresh, bad = measure(fidelity, blobs(300, 4)), measure(fidelity, noise(300, 4))
    assert set(fresh) == {*HIGHER, *LOWER}
    for name, entry in fresh.items():
        assert set(entry) == {"value", "floor", "ceiling", "better", "what"}
        assert entry["better"] == ("higher" if name in HIGHER else "lower")
        assert "directions" in entry["what"], "every number names the extractor"
        assert abs(share(entry)) < 0.15, name
        assert share(bad[name]) > 0.6, name
        assert all(np.isfinite(entry[arm]) for arm in ("value", "floor", "ceiling"))


def test_wrong_labels_show_within_classes_alone() -> None:
    right = blobs(300, 4)
    wrong = right.assign(label=right["label"].map({"high": "left", "left": "right", "right": "high"}))
    found, before = measure(fidelity, wrong), measure(fidelity, right)
    for name in ("label_agreement", "class_frechet_distance"):
        assert share(found[name]) > 0.9, name
    for name in ("precision", "frechet_distance", "kernel_distance"):
        assert found[name] == before[name]


def test_frechet_says_in_how_many_components_or_is_left_out() -> None:
    few = measure(fidelity, blobs(40, 4))
    assert "FD(directions, 4 principal components)" in few["frechet_distance"]["what"]
    assert "class_frechet_distance" not in few
    assert "FD(directions)" in measure(fidelity, blobs(300, 4))["frechet_distance"]["what"]
    fewest = measure(fidelity, blobs(10, 4))
    assert set(fewest) == {*HIGHER, "kernel_distance"}
    assert set(measure(fidelity, blobs(1, 4))) == set(HIGHER)


def test_a_class_with_too_few_images_is_named_as_left_out() -> None:
    made = blobs(300, 4)
    rare = made[(made["label"] != "left") | (made.index < 60)].reset_index(drop=True)
    assert "1 of 3 have too few" in measure(fidelity, rare)["class_frechet_distance"]["what"]


def test_memorised_images_look_perfect() -> None:
    """Why privacy is measured beside: train images with a little noise have the fidelity of real ones, and more."""
    found = measure(fidelity, memorised(blobs(400, 1), 300, 5))
    assert found["precision"]["value"] >= found["precision"]["floor"]


def test_a_collapsed_generator_shows_in_every_number_of_diversity() -> None:
    fresh = measure(diversity, blobs(300, 4))
    assert set(fresh) == {"recall", "coverage", "distinct_rows", "class_spread", "class_spacing"}
    for name, entry in fresh.items():
        assert abs(share(entry)) < 0.15, name
        assert entry["better"] == "higher"
    found = measure(diversity, collapsed(blobs(400, 1), 300, 5))
    for name in ("recall", "coverage", "class_spread", "class_spacing"):
        assert share(found[name]) > 0.7, name
    same = blobs(300, 4).iloc[np.arange(300) % 30].reset_index(drop=True)
    assert measure(diversity, same)["distinct_rows"]["value"] == pytest.approx(0.1)


def test_a_few_images_again_and_again_keep_their_spread_but_not_their_spacing() -> None:
    """Thirty modes of a class spread as wide as the class: what gives them away is that images repeat."""
    modes = memorised(blobs(90, 7), 300, 5)
    found = measure(diversity, modes)
    assert abs(share(found["class_spread"])) < 0.2
    assert share(found["class_spacing"]) > 0.4


def test_a_forgotten_class_lowers_coverage() -> None:
    made = blobs(500, 4)
    without = made[made["label"] != "left"].iloc[:300].reset_index(drop=True)
    found = measure(diversity, without)
    assert found["coverage"]["value"] < found["coverage"]["floor"] - 0.2
    assert found["recall"]["value"] < found["recall"]["floor"] - 0.1


def test_same_seed_same_numbers_and_units_do_not_matter() -> None:
    synthetic = blobs(100, 4)
    assert measure(fidelity, synthetic) == measure(fidelity, synthetic)
    small = projector()
    grown = projector()
    grown._features = lambda images: 1e-4 * small(images)
    for module, names in ((fidelity, HIGHER), (diversity, ("recall", "coverage", "class_spread"))):
        found, again = measure(module, synthetic), measure(module, synthetic, extractor=grown)
        for name in names:
            assert found[name]["value"] == pytest.approx(again[name]["value"], abs=0.02), name


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="one has none"):
        measure(fidelity, blobs(10, 1).iloc[:0])


def test_images_all_alike_give_numbers() -> None:
    grey = frame(np.full_like(pixels(blobs(60, 1)), 90), blobs(60, 1)["label"].to_numpy())
    for module in (fidelity, diversity):
        for entry in measure(module, grey, train=grey, fresh=grey).values():
            assert np.isfinite([entry["value"], entry["floor"], entry["ceiling"]]).all()


def test_of_large_images_fewer_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms, "MOST_BYTES", 144 * 50)
    asked: list[int] = []
    extractor = projector()
    counted = Extractor("counted", lambda images: asked.append(len(images)) or extractor(images))  # type: ignore[func-returns-value]
    measure(fidelity, blobs(100, 4), extractor=counted)
    assert asked == [50] * 4, "train, synthetic and fresh images, and the noise"
