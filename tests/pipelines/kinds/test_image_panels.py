"""What the report draws of images: the right ones, the same ones again, and never too many bytes."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leaven.generators.image.pixels import to_column
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.image.panels import MAX_CLASSES, MAX_POINTS, SHOWN, nearest, panels
from leaven.pipelines.kinds.image.sheets import sheet, strip, thumbnails
from leaven.pipelines.task import Task

CLASSES = ("a", "b", "c")


def rows(pixels: np.ndarray, labels: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame({"image": to_column(pixels), "label": np.array(labels, dtype=object)})


def noise(count: int, seed: int, shape: tuple[int, int, int] = (9, 7, 1)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def schema(shape: tuple[int, int, int] = (9, 7, 1)) -> Schema:
    columns = (Column(name="image", type="image", shape=shape), Column(name="label", type="category"))
    return Schema(columns=columns, target="label")


def task(*classes: str) -> Task:
    return Task(target="label", type="classification", metric="macro_f1", classes=classes or CLASSES)


def opened(drawn: dict[str, Any]) -> np.ndarray:
    kind, _, data = drawn["src"].partition(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def labels(count: int) -> list[str]:
    return [CLASSES[n % 3] for n in range(count)]


def test_a_copy_is_found_and_stands_beside_its_original() -> None:
    train, made = noise(60, 1), noise(40, 2)
    made[17] = train[5]
    given = {"train": rows(train, labels(60)), "fresh": rows(noise(50, 3), labels(50))}
    found = panels(schema(), task(), synthetic=rows(made, labels(40)), **given)
    near = found["pictures"]["neighbours"]
    assert near["space"] == "pixels" and near["compared"] == [40, 60] and near["closest"] == SHOWN
    assert near["pairs"][0] == {"label": labels(40)[17], "real": labels(60)[5], "distance": 0.0}
    assert all(pair["distance"] > 0.3 for pair in near["pairs"][1:]) and near["median"] == pytest.approx(
        1, abs=0.2
    )
    cut = opened(near["sheet"])
    assert cut.shape == (9, 7 * 2 * len(near["pairs"])) and np.array_equal(cut[:, :7], made[17, :, :, 0])
    assert np.array_equal(cut[:, 7:14], train[5, :, :, 0])

    def darkest(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).min(1, keepdims=True)

    other = panels(
        schema(), task(), synthetic=rows(made, labels(40)), **given, extractor=darkest, space="darkest"
    )
    assert other["pictures"]["neighbours"]["space"] == "darkest"
    assert other["pictures"]["neighbours"]["pairs"] != near["pairs"]


def test_nearest_is_exact_for_what_is_all_but_equal() -> None:
    reference = np.random.default_rng(0).normal(size=(300, 20)) + 1_000
    moved = reference[:270] + 1e-3
    place, apart = nearest(moved, reference)
    assert (place == np.arange(270)).all() and np.abs(apart - 1e-3 * np.sqrt(20)).max() < 1e-3


def test_equal_rows_are_drawn_equally_and_are_json() -> None:
    given = {"train": rows(noise(50, 1), labels(50)), "synthetic": rows(noise(50, 2), labels(50))}
    found = panels(schema(), task(), **given, seed=4)
    assert json.dumps(found, allow_nan=False) == json.dumps(panels(schema(), task(), **given, seed=4))
    assert found != panels(schema(), task(), **given, seed=5)
    assert found["losses"] is None and found["pictures"]["walk"] is None
    assert found["pictures"]["confidence"] is None and found["pictures"]["rejected"] == []
    assert found["pictures"]["neighbours"]["median"] is None, "no number without its control"


def test_sheets_show_each_class_as_it_is() -> None:
    brightness = {"a": 10, "b": 120, "c": 250}

    def plain(names: list[str]) -> Any:
        return rows(np.stack([np.full((9, 7, 1), brightness[name], np.uint8) for name in names]), names)

    found = panels(schema(), task(), train=plain(labels(60)), synthetic=plain(["a"] * 3 + ["c"] * 90))[
        "pictures"
    ]
    assert [one["label"] for one in found["classes"]] == list(CLASSES) and found["left_out"] == 0
    for one in found["classes"]:
        assert one["real"]["count"] == 20 and one["real"]["pixelated"]
        seen = opened(one["real"])
        assert set(seen[..., 0][seen[..., 1] > 0]) == {brightness[one["label"]]}
    assert [one["synthetic"]["count"] for one in found["classes"]] == [3, 0, 90]
    assert "src" not in found["classes"][1]["synthetic"]
    assert opened(found["classes"][0]["synthetic"]).shape[1] == opened(found["classes"][0]["real"]).shape[1]


def test_confidence_orders_images() -> None:
    made = noise(30, 1)
    sure = np.linspace(0, 1, 30)
    sure[::2] = sure[::2][::-1]

    def probabilities(pixels: np.ndarray) -> np.ndarray:
        assert np.array_equal(pixels, made)
        own = np.array([CLASSES.index(label) for label in labels(30)])
        found = np.repeat((1 - sure)[:, None] / 2, 3, 1)
        found[np.arange(30), own] = sure
        return found

    given = {"train": rows(noise(9, 2), labels(9)), "synthetic": rows(made, labels(30))}
    found = panels(schema(), task(), **given, probabilities=probabilities)["pictures"]["confidence"]
    shares = [one["share"] for one in found["worst"]]
    assert (
        shares == pytest.approx(sorted(sure)[:SHOWN], abs=1e-4)
        and found["worst"][0]["seen_as"] != found["worst"][0]["label"]
    )
    assert {one["label"] for one in found["best"][:3]} == set(CLASSES), "in turns"
    cut = opened(found["sheet"])
    assert np.array_equal(cut[:, 7 * SHOWN : 7 * SHOWN + 7], made[int(np.argmin(sure)), :, :, 0])


def test_rejected_images_stand_under_their_reason(tmp_path: Path) -> None:
    made = noise(50, 1)
    made[:, 0, 0, 0] = np.arange(50)
    reasons = np.array(["copies"] * 3 + ["label_agreement"] * 47, dtype=object)
    table = to_arrow(rows(made, labels(50)), schema()).append_column("_reason", pa.array(reasons))
    paths = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    pq.write_table(table[:20], paths[0])
    pq.write_table(table[20:], paths[1], row_group_size=7)
    given = {"train": rows(noise(9, 2), labels(9)), "synthetic": rows(noise(9, 3), labels(9))}
    found = panels(schema(), task(), **given, rejected=paths)["pictures"]["rejected"]
    assert [(one["reason"], one["count"]) for one in found] == [("label_agreement", 47), ("copies", 3)]
    for one in found:
        numbers = opened(one["sheet"])[0, ::7]
        assert [labels(50)[number] for number in numbers] == one["labels"]
        assert {reasons[number] for number in numbers} == {one["reason"]}
    assert found[1]["sheet"]["count"] == 3 and found[0]["sheet"]["count"] == SHOWN


def test_a_walk_goes_from_left_to_right() -> None:
    walk = noise(8, 1).reshape(4, 2, 9, 7, 1)
    given = {"train": rows(noise(9, 2), labels(9)), "synthetic": rows(noise(9, 3), labels(9))}
    found = panels(schema(), task(), **given, walk=walk)["pictures"]["walk"]
    seen = opened(found)
    assert (found["steps"], found["walks"]) == (4, 2) and seen.shape[:2] == (2 * 10 - 1, 4 * 8 - 1)
    assert np.array_equal(seen[10:, 8:15, 0], walk[1, 1, :, :, 0])


def test_curves_are_thinned_and_leave_out_what_is_no_number() -> None:
    losses = [
        {"step": n, "train": 1 / (1 + n), "held_out": float("nan") if n % 2 else 2.0} for n in range(999)
    ]
    given = {"train": rows(noise(9, 2), labels(9)), "synthetic": rows(noise(9, 3), labels(9))}
    found = panels(schema(), task(), **given, losses=losses)["losses"]
    assert found["x"] == "step" and [curve["name"] for curve in found["curves"]] == ["train", "held_out"]
    train, held_out = (np.array(curve["points"]) for curve in found["curves"])
    assert len(train) == MAX_POINTS and (np.diff(train[:, 1]) < 0).all() and (held_out[:, 1] == 2).all()


def test_the_worst_case_stays_small(tmp_path: Path) -> None:
    """Noise in colour, which no format makes small, of many classes."""
    shape, names = (128, 128, 3), [f"class {n:02}" for n in range(30)]
    pixels = noise(120, 1, shape)
    images = rows(pixels, [names[n % 30] for n in range(120)])
    rejected = to_arrow(images, schema(shape)).append_column(
        "_reason", pa.array([f"r{n % 9}" for n in range(120)])
    )
    pq.write_table(rejected, tmp_path / "rejected.parquet")
    found = panels(
        schema(shape),
        task(*names),
        train=images,
        synthetic=images,
        probabilities=lambda pixels: np.full((len(pixels), 30), 1 / 30),
        rejected=[tmp_path / "rejected.parquet"],
        walk=pixels[:32].reshape(8, 4, *shape),
    )
    assert len(found["pictures"]["classes"]) == MAX_CLASSES and found["pictures"]["left_out"] == 6
    assert len(json.dumps(found)) < 2_700_000


def test_thumbnails_keep_proportions_and_small_images() -> None:
    assert thumbnails(noise(2, 1, (256, 128, 3))).shape == (2, 64, 32, 3)
    small = noise(2, 1, (64, 20, 1))
    assert thumbnails(small) is small
    flat = np.full((1, 200, 200, 1), 7, np.uint8)
    assert (thumbnails(flat) == 7).all()


def test_colour_stays_colour() -> None:
    pixels = noise(3, 1, (8, 8, 3))
    assert np.array_equal(opened(sheet(pixels, 10**6, 3))[:, :8, :3], pixels[0])
    assert np.array_equal(opened(strip(pixels, 10**6))[:, 8:16], pixels[1])
    assert sheet(pixels, 100, 3)["src"].startswith("data:image/webp")
