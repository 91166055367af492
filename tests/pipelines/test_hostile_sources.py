"""Sources that are made to do harm, addresses and files that unfold to fill memory: refused, or set aside."""

import gzip
import io
import resource
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leaven.generators.errors import InputError
from leaven.pipelines.ingest import ingest
from leaven.pipelines.kinds.files import unpacked
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.recipe_file import load_recipe

HUGE = 400 * 2**20  # bytes that a bomb unfolds to
LEEWAY = 250 * 2**20  # that reading one may take


def recipe(kind: str, path: str) -> Recipe:
    more = {"image": {}, "table": {"task": {"target": "y"}}, "text": {"task": {"target": "y"}}}[kind]
    return Recipe.model_validate({"name": "hostile", "source": {"kind": kind, "path": path}, **more})


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://localhost/x.csv",
        "HTTP://10.0.0.1/x.csv",
        "ftp://h/x.csv",
    ],
)
@pytest.mark.parametrize("field", ["source.path", "split.test_path"])
def test_addresses_are_never_fetched(tmp_path: Path, url: str, field: str, monkeypatch: Any) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("socket.socket.connect", never)
    (tmp_path / "rows.csv").write_text("x,y\n1,a\n")
    paths = {"source.path": "rows.csv", "split.test_path": "rows.csv"} | {field: url}
    file = tmp_path / "recipe.yaml"
    file.write_text(
        f"name: hostile\nsource: {{kind: table, path: '{paths['source.path']}'}}\n"
        f"split: {{test_path: '{paths['split.test_path']}'}}\ntask: {{target: y}}\n"
    )
    with pytest.raises(InputError, match=rf"{field}: '{url}' is an address in the web, and none is fetched"):
        load_recipe(file)
    asked = recipe("table", paths["source.path"])
    asked.split.test_path = paths["split.test_path"]
    with pytest.raises(InputError, match=f"{field}: .* none is fetched") as caught:
        ingest(asked, tmp_path, tmp_path / "work")
    assert caught.value.exit_code == 2 and not (tmp_path / "work").exists()


def packed(name: str, opened: Callable[..., Any], head: bytes, body: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        with opened(folder / name, "wb") as file:
            file.write(head)
            for _ in range(HUGE // len(body)):
                file.write(body)
        return name

    return make


def zstd(path: Path, _: str) -> Any:
    return pa.CompressedOutputStream(str(path), "zstd")


def npz(member: str, count: int) -> Callable[[Path], str]:
    """An archive whose array `member` is all zeros."""

    def make(folder: Path) -> str:
        small = {"x": np.zeros((4, 8, 8), np.uint8), "y": np.arange(4)}
        with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in small.items():
                content = io.BytesIO()
                np.save(content, array)
                if name != member:
                    archive.writestr(f"{name}.npy", content.getvalue())
            with archive.open(f"{member}.npy", "w", force_zip64=True) as file:
                shape = (count, 8, 8) if member == "x" else (count,)
                kind = "|u1" if member == "x" else "<i8"
                np.lib.format.write_array_header_1_0(
                    file, {"descr": kind, "fortran_order": False, "shape": shape}
                )
                for _ in range(HUGE >> 20):
                    file.write(bytes(2**20))
        return "bomb.npz"

    return make


def parquet(column: str, kind: pa.DataType, value: Any) -> Callable[[Path], str]:
    """A column of long, equal values, which is packed to next to nothing."""

    def make(folder: Path) -> str:
        values = pa.array([value] * 40, kind)
        table = pa.table({column: values, "label": ["a", "b"] * 20, "y": ["a", "b"] * 20})
        pq.write_table(
            table, folder / "bomb.parquet", compression="zstd", use_dictionary=False, write_statistics=False
        )
        return "bomb.parquet"

    return make


ZEROS = bytes(HUGE // 40)
BOMBS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "a table of one endless line": ("table", packed("b.csv.gz", gzip.open, b"x,y\n", b"0" * 2**20)),
    "a table of endless lines": ("table", packed("b.csv.zst", zstd, b"x,y\n", b"1,a\n" * 2**18)),
    "texts, one endless line": ("text", packed("b.jsonl.gz", gzip.open, b'{"text": "', b"0" * 2**20)),
    "texts, endless lines": (
        "text",
        packed("b.jsonl.gz", gzip.open, b"", b'{"text": "' + b"a" * 2**20 + b'", "y": "b"}\n'),
    ),
    "labels of an archive": ("image", npz("y", HUGE // 8)),
    "pixels of an archive": ("image", npz("x", HUGE // 64)),
    "a table's column": ("table", parquet("x", pa.string(), "0" * (HUGE // 40))),
    "a column of images": ("image", parquet("image", pa.binary(), ZEROS)),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_it_fills_memory(bomb: str, tmp_path: Path) -> None:
    kind, make = BOMBS[bomb]
    name = make(tmp_path)
    assert (tmp_path / name).stat().st_size < HUGE / 200
    # In a process of its own: what counts is the most memory that it ever had.
    script = f"""
        import resource
        from pathlib import Path
        from leaven.generators.errors import InputError
        from leaven.pipelines.ingest import ingest
        from leaven.pipelines import kinds
        from leaven.pipelines.recipe import Recipe
        kinds.get({kind!r})
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        asked = Recipe.model_validate_json({recipe(kind, name).model_dump_json()!r})
        before = peak()
        try:
            ingest(asked, Path({str(tmp_path)!r}), Path({str(tmp_path / "work")!r}))
        except InputError as error:
            print(peak() - before, error, sep="|")
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    grown, _, told = said.stdout.partition("|")
    assert ("times as many" in told or "is longer than" in told) and name in told, said.stdout
    assert int(grown) < LEEWAY
    assert not (tmp_path / "work").exists()


def vast_png(side: int) -> bytes:
    """A PNG of so many white pixels a side, in some kilobytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    squeeze = zlib.compressobj(9)
    lines = b"".join(squeeze.compress(bytes(1 + side // 8)) for _ in range(side)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_000, 40_000])  # beyond our bound, and beyond Pillow's
def test_an_image_of_too_many_pixels_is_set_aside_and_counted(tmp_path: Path, side: int) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(8):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / label / f"{number}.png")
    vast = vast_png(side)
    assert len(vast) < 2 * 2**20
    (tmp_path / "set" / "cat" / "vast.png").write_bytes(vast)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    record = ingest(recipe("image", "set"), tmp_path, tmp_path / "work")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 100 * 2**20
    assert record.result["rows"] == 16 and record.result["rejected"] == 1
    (set_aside,) = pq.read_table(record.path("rejected.parquet")).to_pylist()
    assert set_aside["value"] == "cat/vast.png" and "pixels" in set_aside["reason"]


def test_what_is_merely_well_packed_is_read(tmp_path: Path) -> None:
    """A long table that repeats itself, and small files, whatever their ratio."""
    unpacked.refuse_bomb(tmp_path, unpacked.FREE_BYTES, 1)
    unpacked.refuse_bomb(tmp_path, 2 * unpacked.FREE_BYTES, unpacked.FREE_BYTES // 50)
    with gzip.open(tmp_path / "rows.csv.gz", "wt") as file:
        file.write("x,y\n" + "1,a\n2,b\n" * 100_000)
    record = ingest(recipe("table", "rows.csv.gz"), tmp_path, tmp_path / "work")
    assert record.result["rows"] == 200_000
