"""Images on demand: a Parquet file in the layout of datasets, or a folder for each class."""

import csv
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leaven.flows.sample_more import sample_more
from leaven.generators.errors import InputError
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.rows import Rows
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.image.folder import folder_names
from leaven.pipelines.kinds.image.layout import Layout
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=(8, 8, 1)), Column(name="label", type="category")),
    target="label",
)
TASK = Task(target="label", type="classification", metric="accuracy", classes=("../up", "cat", "dog"))


class Noise:
    """A generator of noise; the label is the first pixel's place among the classes."""

    def sample(self, count: int, *, seed: int, conditions: Any, offset: int) -> pd.DataFrame:
        pixels = np.random.default_rng(seed).integers(0, 3, (count, 8, 8, 1), dtype=np.uint8)
        labels = np.array(TASK.classes, dtype=object)[pixels[:, 0, 0, 0]]
        return pd.DataFrame({"image": to_column(pixels), "label": labels})


@pytest.fixture
def version() -> Any:
    return SimpleNamespace(
        name="pets",
        id="1",
        manifest={"generator": {"generator": "noise"}},
        report={},
        schema=SCHEMA,
        task=TASK,
        layout=Layout(SCHEMA),
        generator=Noise,
    )


def test_a_parquet_file(version: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        made = sample_more(version, 50, tmp_path / f"{name}.parquet", shard_rows=20, screened=False)
        assert made["rows"] == 50
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    table = pq.read_table(tmp_path / "one.parquet")
    assert table.column_names == ["image", "label"] and b"huggingface" in table.schema.metadata
    with Image.open(io.BytesIO(table["image"][49]["bytes"].as_py())) as image:
        assert image.text["Leaven"].startswith("synthetic; generator=noise; seed=")
    frame = Rows(tmp_path / "one.parquet", SCHEMA).frame()
    assert (np.array(TASK.classes)[to_array(frame["image"], (8, 8, 1))[:, 0, 0, 0]] == frame["label"]).all()
    assert {path.name for path in tmp_path.iterdir()} == {"one.parquet", "two.parquet"}


def test_a_folder_for_each_class(version: Any, tmp_path: Path) -> None:
    sample_more(version, 30, tmp_path / "pets", shard_rows=20, screened=False)
    sample_more(version, 30, tmp_path / "pets.parquet", shard_rows=20, screened=False)
    files = sorted((tmp_path / "pets").glob("*/*.png"))
    with (tmp_path / "pets" / "labels.csv").open(newline="") as file:
        labels = {row["folder"]: row["label"] for row in csv.DictReader(file)}
    assert {path.parent.name for path in files} == set(labels) and set(labels.values()) == set(TASK.classes)
    frame = Rows(tmp_path / "pets.parquet", SCHEMA).frame()
    pixels = to_array(frame["image"], (8, 8, 1))
    assert sorted(int(path.stem) for path in files) == list(range(30))
    for path in files:
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), pixels[int(path.stem), :, :, 0])
            assert image.text["Leaven"].startswith("synthetic; ")
        assert labels[path.parent.name] == frame["label"][int(path.stem)]


def test_what_cannot_be_written_is_refused_before_anything_is_made(version: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file that ends in \.parquet or a folder"):
        sample_more(version, 3, tmp_path / "pets.csv")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; expected a new or an empty folder"):
        sample_more(version, 3, tmp_path / "full")
    with pytest.raises(InputError, match="its folder does not exist"):
        sample_more(version, 3, tmp_path / "no" / "pets")
    assert {path.name for path in tmp_path.rglob("*")} == {"full", "mine.txt"}


def test_an_empty_folder_is_filled_and_a_failure_leaves_nothing(version: Any, tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    version.generator = lambda: SimpleNamespace(sample=lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sample_more(version, 3, tmp_path / "pets", screened=False)
    assert [path.name for path in tmp_path.rglob("*")] == ["pets"]
    version.generator = Noise
    sample_more(version, 3, tmp_path / "pets", screened=False)
    assert len(list((tmp_path / "pets").glob("*/*.png"))) == 3


def test_folders_have_safe_and_distinct_names() -> None:
    labels = ["cat", "Cat", "..", "a/b", "a_b", "", "con", "NUL.txt", "é" * 90, "x" * 300, " lead", "日本"]
    names = folder_names(labels)
    assert names["日本"] == "日本" and {names["cat"], names["Cat"]} & {"cat", "Cat"}
    assert names["a_b"] == "a_b" and names["a/b"].startswith("a_b-")
    folded = [name.casefold() for name in names.values()]
    assert len(set(folded)) == len(labels)
    for name in names.values():
        assert name and not set('/\\:*?"<>|') & set(name) and len(name.encode()) < 100
        assert not name.startswith((".", " ")) and name.partition(".")[0].casefold() not in ("con", "nul")
    assert names == folder_names(reversed(labels))
