"""Images of every sort are read as pixels; what cannot be read is set aside with its reason, or refused in one line."""

import io
import json
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leaven.generators.errors import InputError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.pipelines.kinds.image import decode as decoding
from leaven.pipelines.kinds.image import reader
from leaven.pipelines.kinds.image.decode import Fault, decode, look
from leaven.pipelines.kinds.image.reader import read
from leaven.pipelines.recipe import Recipe

RNG = np.random.default_rng(0)


def encoded(pixels: np.ndarray, form: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **how)
    return out.getvalue()


def grey(side: int = 16) -> np.ndarray:
    return RNG.integers(0, 256, (side, side), dtype=np.uint8)


def ingest(
    folder: Path, path: str, target: str | None = None, **source: Any
) -> tuple[dict, Schema, list, pd.DataFrame]:
    recipe = Recipe.model_validate(
        {
            "name": "pictures",
            "source": {"kind": "image", "path": path, **source},
            "task": {} if target is None else {"target": target},
        }
    )
    out = folder / "out"
    out.mkdir(exist_ok=True)
    result = read(recipe, folder, out)
    schema = Schema.model_validate_json((out / "schema.json").read_text())
    rejected = pq.read_table(out / "rejected.parquet").to_pylist()
    return result, schema, rejected, Rows(out / "rows.parquet", schema).frame()


def pixels(frame: pd.DataFrame, schema: Schema) -> np.ndarray:
    shape = schema["image"].shape
    assert shape is not None
    return np.stack([np.frombuffer(image, np.uint8).reshape(shape) for image in frame["image"]])


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Six grey images in each of two class folders."""
    for label in ("cat", "dog"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "set" / label / f"{number}.png").write_bytes(encoded(grey()))
    return tmp_path / "set"


def test_a_folder_for_each_class(tmp_path: Path, classes: Path) -> None:
    (classes / "dog" / "more").mkdir()
    (classes / "dog" / "more" / "6.jpg").write_bytes(encoded(grey(), "JPEG"))
    (classes / "notes.txt").write_text("beside the folders")
    result, schema, rejected, frame = ingest(tmp_path, "set")
    assert schema["image"].shape == (16, 16, 1) and not rejected
    assert frame["label"].value_counts().to_dict() == {"dog": 7, "cat": 6}
    first = np.asarray(Image.open(classes / "cat" / "0.png"))
    assert (pixels(frame, schema)[0, :, :, 0] == first).all()
    assert result["task"]["classes"] == ["cat", "dog"] and "notes.txt" in result["warnings"][0]
    again = ingest(tmp_path, "set")[0]
    assert again["digest"] == result["digest"]


def test_sizes_and_colours_are_brought_together(tmp_path: Path, classes: Path) -> None:
    wide = RNG.integers(0, 256, (40, 24, 3), dtype=np.uint8)
    (classes / "cat" / "wide.png").write_bytes(encoded(wide))
    result, schema, _, _ = ingest(tmp_path, "set")
    assert schema["image"].shape == (64, 64, 3)  # none was asked for, and they differ
    assert "16 x 16 to 24 x 40" in result["warnings"][0] and "source.resolution" in result["warnings"][0]
    _, schema, _, frame = ingest(tmp_path, "set", resolution=8)
    assert schema["image"].shape == (8, 8, 3)
    made = pixels(frame, schema)[frame["label"].eq("cat").to_numpy()][-1]
    assert np.abs(made.mean((0, 1)) - wide.mean((0, 1))).max() < 3  # antialiased: the mean stays


def test_what_files_can_be(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    assert (decode(encoded(deep), 8, 1)[..., 0] == np.round(deep / 257)).all()
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4, :, 3] = 255  # black above, nothing below
    made = decode(encoded(clear), 8, 3)
    assert (made[:4] == 0).all() and (made[4:] == 255).all()
    ink = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(ink, "JPEG")
    assert np.abs(decode(ink.getvalue(), 8, 3).astype(int) - [255, 0, 0]).max() < 40
    indexed = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), (10, 200, 30), np.uint8)).quantize(4).save(indexed, "GIF")
    assert (decode(indexed.getvalue(), 8, 3) == (10, 200, 30)).all()
    turned = grey(8)[:, :6]
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    data = encoded(turned, exif=exif)
    assert (look(data).width, look(data).height) == (8, 6)
    assert (decode(data, 8, 1) == decode(encoded(np.rot90(turned, 3)), 8, 1)).all()


def huge() -> bytes:
    """The header of a PNG of 50,000 x 50,000 pixels."""
    data = encoded(grey())
    header = (50_000).to_bytes(4, "big") * 2 + data[24:29]
    return data[:16] + header + zlib.crc32(b"IHDR" + header).to_bytes(4, "big") + data[33:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (huge(), "pixels; expected at most 50,000,000"),
        (encoded(grey(64), "JPEG")[:400], "damaged or cut off"),
        (encoded(grey(64))[:300], "damaged or cut off"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a drawing"),
        (b"just some text", "not an image"),
        (b"", "is empty"),
    ],
    ids=["huge", "cut", "cut png", "svg", "text", "empty"],
)
def test_a_broken_file_is_set_aside(tmp_path: Path, classes: Path, data: bytes, reason: str) -> None:
    (classes / "cat" / "broken.png").write_bytes(data)
    result, _, rejected, frame = ingest(tmp_path, "set")
    assert result["rejected"] == 1 and len(frame) == 12
    assert rejected[0]["value"] == "cat/broken.png" and reason in rejected[0]["reason"]


def test_the_number_of_pixels_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 255)
    with pytest.raises(Fault, match="has 16 x 16 pixels; expected at most 255"):
        decode(encoded(grey()), 8, 1)


def test_links_out_of_the_folder_are_refused(tmp_path: Path, classes: Path) -> None:
    (tmp_path / "secret.png").write_bytes(encoded(grey()))
    (classes / "cat" / "link.png").symlink_to(tmp_path / "secret.png")
    (classes / "cat" / "inside.png").symlink_to(classes / "dog" / "0.png")
    _, _, rejected, frame = ingest(tmp_path, "set")
    assert [(row["value"], row["reason"]) for row in rejected] == [
        ("cat/link.png", "leads out of the folder")
    ]
    assert len(frame) == 13
    (tmp_path / "away").mkdir()
    (classes / "fox").symlink_to(tmp_path / "away")
    with pytest.raises(InputError, match="class folder 'fox' is a link out of the folder"):
        ingest(tmp_path, "set")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "fox").mkdir(), "class folder 'fox' is empty"),
        (
            lambda folder: (folder / "cat").rename(folder / "Dog"),
            "'Dog' and 'dog' differ in upper and lower case",
        ),
        (
            lambda folder: [file.unlink() for file in sorted((folder / "cat").iterdir())[1:]],
            "class 'cat' of column 'label' has 1 rows",
        ),
        (
            lambda folder: (
                [file.write_text("no image") for file in (folder / "cat").iterdir()]
                + [file.write_text("no image") for file in (folder / "dog").iterdir()]
            ),
            "12 of 12 images cannot be used; the first is cat/0.png",
        ),
    ],
    ids=["empty", "case", "one", "none"],
)
def test_a_folder_that_cannot_be_meant(tmp_path: Path, classes: Path, change: Any, told: str) -> None:
    change(classes)
    with pytest.raises(InputError, match=told):
        ingest(tmp_path, "set")


def test_no_folders_at_all(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="has no folders; expected one for each class"):
        ingest(tmp_path, "set")


def test_csv_of_path_and_label(tmp_path: Path, classes: Path) -> None:
    (tmp_path / "out.png").write_bytes(encoded(grey()))
    rows = [f"{label}/{number}.png,{label}" for label in ("cat", "dog") for number in range(6)]
    rows += ["../out.png,cat", "cat/9.png,cat", ",dog", "cat/1.png,"]
    (classes / "list.csv").write_text("path,animal\n" + "\n".join(rows))
    result, schema, rejected, frame = ingest(tmp_path, "set/list.csv", target="animal")
    assert len(frame) == 12 and schema.target == "animal" and result["rejected"] == 4
    assert [row["reason"] for row in rejected] == [
        "leads out of the folder",
        "is not there",
        "has no path",
        "target is missing",
    ]
    with pytest.raises(InputError, match="has no column 'animl'; did you mean 'animal'"):
        ingest(tmp_path, "set/list.csv", target="animl")


def test_parquet_in_the_hugging_face_layout(tmp_path: Path) -> None:
    images = [{"bytes": encoded(grey()), "path": None} for _ in range(13)]
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table({"image": images, "label": [0] * 6 + [1] * 6 + [2]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "set.parquet")
    _, _, rejected, frame = ingest(tmp_path, "set.parquet")
    assert frame["label"].value_counts().to_dict() == {"cat": 6, "dog": 6}
    assert rejected[0]["value"] == "row 12" and "label 2 has no name; there are 2" in rejected[0]["reason"]
    pq.write_table(pa.table({"image": [1, 2], "label": [0, 1]}), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="'image' is of type int64; expected the bytes"):
        ingest(tmp_path, "bad.parquet")


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 1), (16, 16, 3), (16, 16, 4)], ids=str)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_npz_with_x_and_y(tmp_path: Path, shape: tuple[int, ...], kind: Any) -> None:
    x = RNG.integers(0, np.iinfo(kind).max + 1, (12, *shape)).astype(kind)
    np.savez_compressed(tmp_path / "set.npz", x=x, y=np.arange(12) % 2)
    result, schema, _, frame = ingest(tmp_path, "set.npz")
    assert schema["image"].shape == (16, 16, 3 if shape[2:] in ((3,), (4,)) else 1)
    assert result["task"]["classes"] == ["0", "1"] and schema.target == "label"
    if shape[2:] != (4,):
        expected = np.round(x / 257) if kind is np.uint16 else x
        assert (pixels(frame, schema).reshape(x.shape) == expected).all()


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": np.array([{}, {}], dtype=object), "y": np.arange(2)}, "pickled objects"),
        ({"x": np.zeros((4, 8, 8), np.uint8)}, "has no array 'y'; expected x and y, found 'x'"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.arange(3)}, "4 images and labels of the shape"),
        ({"x": np.zeros((4, 8, 8)), "y": np.arange(4)}, "x is of type float64; expected uint8 or uint16"),
        ({"x": np.zeros((4, 8, 8, 2), np.uint8), "y": np.arange(4)}, "x has the shape"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.array([0, 1, -1, 0])}, "row 2 has the label -1"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.zeros(4)}, "labels are of type float64"),
    ],
    ids=["pickle", "no y", "lengths", "fractions", "channels", "negative", "label type"],
)
def test_npz_that_cannot_be_meant(tmp_path: Path, arrays: dict[str, np.ndarray], told: str) -> None:
    np.savez(tmp_path / "set.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=told):
        ingest(tmp_path, "set.npz")


@pytest.mark.parametrize("name", ["set.zip", "set.npz", "set.parquet", "set.csv"])
def test_a_file_of_another_sort(tmp_path: Path, name: str) -> None:
    start = {"set.npz": b"PK\x03\x04", "set.parquet": b"PAR1"}.get(name, b"")
    (tmp_path / name).write_bytes(start + b"\x00\x01garbage")
    with pytest.raises(InputError, match=name):
        ingest(tmp_path, name)


def test_memory_does_not_grow_with_the_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_BATCH_BYTES", 2**18)
    peaks = []
    for rows in (200, 2_000):
        x = RNG.integers(0, 256, (rows, 64, 64), dtype=np.uint8)
        np.savez(tmp_path / f"{rows}.npz", x=x, y=np.arange(rows) % 2)
        del x
        recipe = Recipe.model_validate(
            {"name": "many", "source": {"kind": "image", "path": f"{rows}.npz"}, "task": {"target": "label"}}
        )
        out = tmp_path / f"out{rows}"
        out.mkdir()
        tracemalloc.start()
        read(recipe, tmp_path, out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]
