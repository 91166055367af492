"""Privacy of images: a memoriser is caught, fresh real images are not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from leaven.pipelines.kinds.image import crossfit
from leaven.pipelines.kinds.image.extractor import make
from leaven.pipelines.quality.images import privacy
from leaven.pipelines.quality.images.closeness import Closeness, NearCopies, pooled, spaces

from .planted_images import (
    SCHEMA,
    TASK,
    blobs,
    frame,
    memorised,
    noise,
    pixels,
    projector,
    resampled,
)

GATES = {"copies": 0.005, "near_copies": 0.01, "worst_attack": 0.02}  # the default margins


def measure(synthetic: pd.DataFrame, **changed: Any) -> dict[str, dict[str, Any]]:
    asked = {"train": blobs(300, 1), "held_out": blobs(120, 2), "extractor": projector(), **changed}
    return privacy.measure(SCHEMA, TASK, synthetic=synthetic, seed=3, **asked)


def passes(found: dict[str, dict[str, Any]], name: str) -> bool:
    """As the gates judge."""
    entry = found[name]
    return bool(entry["value"] <= entry["floor"] + 2 * entry["noise"] + GATES[name])


def test_every_entry_stands_between_its_controls() -> None:
    found = measure(blobs(300, 3))
    attacks = {
        f"{space}{name}_attack" for space in ("", "pixel_") for name in ("nearest", "relative", "density")
    }
    assert set(found) == {"copies", "near_copies", "memorisation", "worst_attack", *attacks}
    for name, entry in found.items():
        assert set(entry) == {"value", "floor", "ceiling", "better", "what", "noise"}
        assert entry["better"] == "lower" and 0 < entry["noise"] < 0.2
        assert entry["ceiling"] > entry["floor"] + 2 * entry["noise"] + 0.1, name
    assert found["worst_attack"]["value"] >= max(found[name]["value"] for name in attacks) - 1e-9
    assert "pixels" in found["pixel_nearest_attack"]["what"]
    assert "directions" in found["nearest_attack"]["what"] and "directions" in found["memorisation"]["what"]


@pytest.mark.parametrize("seed", range(4))
def test_fresh_images_and_noise_pass(seed: int) -> None:
    train, held_out = blobs(200, 10 + seed), blobs(80, 20 + seed)
    for synthetic in (blobs(200, 30 + seed), noise(200, seed)):
        found = measure(synthetic, train=train, held_out=held_out)
        assert all(passes(found, name) for name in GATES), {name: found[name] for name in GATES}


def test_a_memoriser_is_caught() -> None:
    found = measure(memorised(blobs(300, 1), 300, 5))
    assert found["copies"]["value"] == 0.0, "the noise makes no image equal to its original"
    assert found["near_copies"]["value"] == 1.0 and found["memorisation"]["value"] == 1.0
    assert not passes(found, "near_copies") and not passes(found, "worst_attack")


def test_copies_are_caught_whatever_their_label_and_stand_at_the_ceiling() -> None:
    copied = resampled(blobs(300, 1), 300, 5)
    found = measure(copied.assign(label="left"))
    assert found["copies"]["value"] == 1.0 and not passes(found, "copies")
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(entry["ceiling"], abs=0.06), name


def test_a_few_memorised_images_among_honest_ones_are_caught() -> None:
    mostly = pd.concat([blobs(270, 7), memorised(blobs(300, 1), 30, 5)], ignore_index=True)
    found = measure(mostly)
    assert found["near_copies"]["value"] == pytest.approx(0.1, abs=0.03)
    assert not passes(found, "near_copies") and passes(found, "copies")


def test_memorised_but_changed_too_much_for_a_near_copy_the_attacks_catch_it() -> None:
    averaged = (pixels(blobs(300, 1)).astype(float) * 0.8) + 0.2 * pixels(blobs(300, 9))
    found = measure(frame(averaged, blobs(300, 1)["label"].to_numpy()))
    assert not passes(found, "worst_attack")


def test_where_train_repeats_itself_there_is_no_telling_a_copy() -> None:
    twice = pd.concat([blobs(100, 1), blobs(100, 1)], ignore_index=True)
    found = measure(blobs(200, 3), train=twice)
    assert found["copies"]["ceiling"] == 0.0 and found["near_copies"]["ceiling"] == 0.0
    assert found["copies"]["value"] == 0.0


def test_a_network_that_knows_train_raises_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the features of a network, train images lie where it learned to put them; in those of networks that have not
    seen them, fresh images pass and a memoriser does not."""
    monkeypatch.setattr(crossfit, "STEPS", 15)
    train = blobs(120, 1)
    extractor = make("resnet9", SCHEMA, TASK, train, threads=1)
    real = pixels(train)
    judged = extractor.spaces(real)
    assert np.sum([rows for _, rows in judged], axis=0).tolist() == [1] * 120, (
        "each image is unseen by one network"
    )
    fresh = measure(blobs(150, 3), train=train, extractor=extractor)
    caught = measure(memorised(train, 150, 5), train=train, extractor=extractor)
    assert all(passes(fresh, name) for name in GATES), {name: fresh[name] for name in GATES}
    assert not passes(caught, "near_copies") and not passes(caught, "worst_attack")
    assert caught["memorisation"]["value"] > fresh["memorisation"]["floor"] + 0.1


def test_closeness_is_told_by_how_close_real_images_come_there() -> None:
    corpus = np.array([[0.0], [1.0], [4.5], [9.0], [20.0], [20.0]])
    close = Closeness(corpus)
    assert close(np.array([[0.0], [0.5], [7.1], [8.0], [20.0]])) == pytest.approx(
        [0, 0.5, 1.9 / 4.5, 1 / 4.5, np.inf]
    )
    # Without itself: 0 is 1 from 1, whose nearest other is then 4.5; 4.5 is 3.5 from 1, which is 1 from 0.
    assert close.left_out[:3] == pytest.approx([1 / 3.5, 1 / 4.5, 3.5])
    assert close.repeated.tolist() == [False] * 4 + [True] * 2


def test_about_the_share_of_fresh_images_is_a_near_copy() -> None:
    train = pixels(blobs(1500, 1))
    near = NearCopies(spaces(projector(), train), train, 0.05)
    assert 0.02 < near.mask(pixels(blobs(1500, 2))).mean() < 0.09
    assert near.expected == pytest.approx(0.05, abs=0.01)


def test_pooling_keeps_what_pixels_say_and_odd_sides() -> None:
    grey = np.full((2, 40, 33, 3), 51, dtype=np.uint8)
    assert pooled(grey) == pytest.approx(0.2)
    assert pooled(grey).shape == (2, 14 * 11 * 3)
    small = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8, 1)
    assert pooled(small) == pytest.approx(small.reshape(2, -1) / 255)


def test_row_limit_keeps_the_verdict_and_too_few_rows_are_refused() -> None:
    assert not passes(measure(memorised(blobs(300, 1), 300, 5), max_rows=100), "near_copies")
    with pytest.raises(ValueError, match="at least 4"):
        measure(blobs(10, 1), held_out=blobs(3, 2))
    with pytest.raises(ValueError, match="some synthetic"):
        measure(blobs(10, 1).iloc[:0])
    found = measure(blobs(1, 1), train=blobs(4, 3), held_out=blobs(4, 2))
    assert all(np.isfinite(entry["value"]) for entry in found.values())


def test_same_seed_same_numbers() -> None:
    synthetic = blobs(60, 3)
    assert measure(synthetic) == measure(synthetic)
