"""A version of images: what stands in it, and that training jobs get images out of it whichever way they read."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import leaven
from leaven.generators.image.pixels import to_array
from leaven.generators.rows import Rows
from leaven.pipelines.stage import file_digest
from leaven.pipelines.version import Version

from .conftest import SHAPE, pictures


def test_images_are_png_files_and_synthetic_ones_say_so(released_images: Path, images: Any) -> None:
    made = pq.read_table(released_images / "data/synthetic/00001.parquet")
    assert made.column_names == ["image", "label", "_generator", "_source_row", "_seed"]
    with Image.open(io.BytesIO(made["image"][3]["bytes"].as_py())) as image:
        assert image.text == {"Leaven": "synthetic; generator=diffusion; seed=11"} and image.size == (10, 8)
    real = pq.read_table(released_images / "data/real/train.parquet")
    with Image.open(io.BytesIO(real["image"][0]["bytes"].as_py())) as image:
        assert image.info == {}
    assert json.loads(made.schema.metadata[b"huggingface"])["info"]["features"] == {
        "image": {"_type": "Image"},
        "label": {"dtype": "string", "_type": "Value"},
        "_generator": {"dtype": "string", "_type": "Value"},
        "_source_row": {"dtype": "int64", "_type": "Value"},
        "_seed": {"dtype": "int64", "_type": "Value"},
    }
    back = Rows(released_images / "data/real/train.parquet", images.schema).frame()
    assert back.equals(pictures(120, 1))


def test_what_was_rejected_is_kept_as_images(released_images: Path) -> None:
    fault, *screened = pq.read_table(released_images / "rejected.parquet").to_pylist()
    assert (fault["_value"], fault["_reason"], fault["image"]) == ("dark/3.png", "is cut off", None)
    assert len(screened) == 4
    with Image.open(io.BytesIO(screened[0]["image"]["bytes"])) as image:
        assert image.text == {"Leaven": "synthetic; generator=diffusion; seed=9"}


def test_equal_pixels_and_seeds_give_equal_files(images: Any, tmp_path: Path) -> None:
    one, two = images.release(tmp_path / "one"), images.release(tmp_path / "two")
    for name in ("data/real/train.parquet", "data/synthetic/00000.parquet", "rejected.parquet"):
        assert file_digest(one.path / name) == file_digest(two.path / name)
    assert not images.release(tmp_path / "one").new


def test_row_groups_stay_small(images: Any) -> None:
    from leaven.generators.schema import Column, Schema
    from leaven.pipelines.kinds.image.layout import Layout

    def groups(*shape: int) -> int:
        return Layout(Schema(columns=(Column(name="i", type="image", shape=shape),), target="i")).group_rows

    assert groups(28, 28, 1) == 1_000 and groups(256, 256, 3) == 42


def test_a_frame_has_images_as_pillow_does(released_images: Path) -> None:
    train = leaven.load(released_images)
    assert len(train) == 230 and list(train) == ["image", "label"]
    stacked = np.stack(train["image"])
    assert stacked.shape == (230, *SHAPE) and stacked.dtype == np.uint8
    assert np.array_equal(stacked[:120], to_array(pictures(120, 1)["image"], SHAPE))
    assert Image.fromarray(train["image"][0]).size == (10, 8)
    marked = leaven.load(released_images, split="synthetic", provenance=True)
    assert set(marked["_seed"]) == {10, 11} and marked["image"][0].shape == SHAPE
    table = leaven.load(released_images, format="arrow")
    assert table.num_rows == 230 and b"huggingface" in table.schema.metadata


def test_datasets_gives_images_and_numbered_labels(
    released_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()

    def load(config: str) -> Any:
        return datasets.load_dataset(str(released_images), config, cache_dir=str(tmp_path))

    real, made, both = load("real"), load("synthetic"), load("augmented")
    assert {split: len(rows) for split, rows in real.items()} == {"train": 120, "validation": 30, "test": 50}
    assert len(made["train"]) == 80 and len(both["train"]) == 230 and len(both["test"]) == 50
    for rows in (real["train"], made["train"], both["train"]):
        assert rows.features["label"].names == ["a bright/one", "dark"]
        image = rows[0]["image"]
        assert isinstance(image, Image.Image) and image.mode == "RGB" and image.size == (10, 8)
        assert rows[0]["label"] == int(np.asarray(image).mean() < 120)
    assert made["train"][0]["image"].text["Leaven"].startswith("synthetic; ")
    assert both["train"][0]["_generator"] is None and both["train"][229]["_generator"] == "diffusion"
    plain = datasets.Dataset(leaven.load(released_images, format="arrow"))
    assert isinstance(plain[0]["image"], Image.Image) and plain[0]["label"] in ("dark", "a bright/one")


def test_torch_gets_floats_and_classes(released_images: Path) -> None:
    import torch
    from torch.utils.data import DataLoader

    mixed = leaven.mix(released_images, ratio=0.2, seed=3)
    assert len(mixed) == 180 and int(mixed.synthetic.sum()) == 30 and mixed.features.dtype == torch.uint8
    image, label = mixed[0]
    assert image.shape == (3, 8, 10) and image.dtype == torch.float32 and 0 <= image.min() <= image.max() <= 1
    first = pictures(120, 1)
    assert torch.equal(image, torch.from_numpy(to_array(first["image"], SHAPE)[0]).permute(2, 0, 1) / 255)
    assert mixed.classes[int(label)] == leaven.load(released_images)["label"][0]
    for images, labels in DataLoader(mixed, batch_size=64, shuffle=True):
        assert ((images.mean((1, 2, 3)) < 0.47) == (labels == 1)).all()
    images, labels = next(iter(DataLoader(mixed.held_out("test"), batch_size=50)))
    assert images.shape == (50, 3, 8, 10) and images.max() <= 1 and labels.dtype == torch.int64


def test_croissant_reads_images(released_images: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(released_images / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    made = list(dataset.records("synthetic"))
    assert len(made) == 80 and made[0]["synthetic/image"].size == (10, 8)


def test_card_and_report_speak_of_images(released_images: Path) -> None:
    card = (released_images / "README.md").read_text(encoding="utf-8")
    assert "dtype: image" in card and "- image-classification" in card and "class_label" in card
    assert "80 synthetic images beside the real images" in card and " rows" not in card
    html = (released_images / "report.html").read_text(encoding="utf-8")
    assert (
        "A classifier trained with 80 synthetic images" in html and " rows" not in html.partition("<pre")[0]
    )


def test_a_run_reads_a_version(released_images: Path, images: Any, tmp_path: Path) -> None:
    """The released files are a source as any other."""
    from leaven.pipelines.kinds.image import reader

    recipe = images.recipe.model_copy(deep=True)
    recipe.source.path = str(released_images / "data/real/train.parquet")
    found = reader.read(recipe, tmp_path, tmp_path)
    assert found["rows"] == 120 and found["rejected"] == 0
    labels = [pq.read_table(path)["label"] for path in (tmp_path / "rows.parquet", images.real["train"][0])]
    assert labels[0].equals(labels[1])


def test_a_version_knows_its_layout(released: Path, released_images: Path) -> None:
    assert Version.at(released).layout.same and not Version.at(released_images).layout.same
