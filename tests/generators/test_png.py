"""Images as PNG files: nothing is lost, equal images give equal bytes, and the files say that they are synthetic."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leaven.generators.errors import InputError
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.image.png import STORED, decode, encode, to_files, to_pixels
from leaven.generators.rows import Rows, to_arrow, to_frame
from leaven.generators.schema import Column, Schema


def images(count: int, channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 256, (count, 9, 12, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_is_lost(channels: int) -> None:
    pixels = images(5, channels)
    files = to_files(pixels, [None, "a", "b", "c", "d"])
    assert files.type == STORED and files.equals(to_files(pixels, [None, "a", "b", "c", "d"]))
    with Image.open(io.BytesIO(files[1]["bytes"].as_py())) as image:
        assert image.text == {"Leaven": "a"} and image.mode == ("L" if channels == 1 else "RGB")
        assert image.size == (12, 9)
    back = to_pixels(pa.chunked_array([files[:2], files[2:]]), (9, 12, channels))
    assert back.equals(pa.array(to_column(pixels)))
    assert to_pixels(files[3:], (9, 12, channels)).to_pylist() == back[3:].to_pylist()


def test_missing_stays_missing() -> None:
    files = pa.concat_arrays(
        [to_files(images(1, 1), [None]), pa.nulls(1, STORED), to_files(images(1, 1), [None])]
    )
    assert to_pixels(files, (9, 12, 1)).is_valid().to_pylist() == [True, False, True]
    assert len(to_pixels(pa.nulls(0, STORED), (9, 12, 1))) == 0


def test_what_is_no_png_of_the_size_is_refused() -> None:
    with pytest.raises(InputError, match="has 12 x 9 pixels; expected 8 x 8"):
        decode(encode(images(1, 3)[0]), (8, 8, 3))
    with pytest.raises(InputError, match="no PNG that can be read"):
        decode(b"GIF89a", (8, 8, 3))
    with pytest.raises(InputError, match="no PNG that can be read"):
        decode(encode(images(1, 3)[0])[:-40], (9, 12, 3))


def test_rows_of_pixels_and_of_files_are_the_same_frame(tmp_path: Path) -> None:
    pixels = images(40, 3)
    schema = Schema(
        columns=(Column(name="image", type="image", shape=(9, 12, 3)), Column(name="label", type="category")),
        target="label",
    )
    raw = pa.table(
        {"image": pa.array(to_column(pixels)), "label": pa.array([f"c{n % 3}" for n in range(40)])},
    )
    stored = raw.set_column(0, "image", to_files(pixels, [None] * 40))
    for name, table in {"raw": raw, "stored": stored}.items():
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=7)
    frames = [Rows(tmp_path / f"{name}.parquet", schema).frame() for name in ("raw", "stored")]
    assert frames[0].equals(frames[1]) and to_arrow(frames[1], schema).equals(raw.cast(schema.arrow()))
    assert np.array_equal(to_array(frames[1]["image"], (9, 12, 3)), pixels)
    some = [Rows(tmp_path / f"{name}.parquet", schema).frame(11, seed=3) for name in ("raw", "stored")]
    assert len(some[0]) == 11 and some[0].equals(some[1])
    assert to_frame(stored.slice(5, 0), schema).empty
