"""What image networks share: a batch that does not fit into memory is halved, batches depend on the step alone."""

import mmap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from leaven.generators.errors import FitError
from leaven.generators.image.network import LEAST_BATCH, Data, NetworkGenerator
from leaven.generators.image.pixels import read, to_column
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=(4, 4, 1)), Column(name="label", type="category")),
    target="label",
)


class Mean(NetworkGenerator):
    """Learns one number; its batches fit into memory up to `room` images."""

    name = "mean"
    room = 8

    def _build(self) -> nn.Module:
        return nn.Linear(1, 1)

    def _loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        if len(images) > self.room:
            raise torch.cuda.OutOfMemoryError("too much")
        found: Tensor = (network(images.mean((1, 2, 3))[:, None]) - 1).square().mean()
        return found

    def _draw(self, network: nn.Module, labels: Tensor, generator: torch.Generator) -> Tensor:
        return torch.zeros(len(labels), 1, 4, 4)


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    import pyarrow.parquet as pq

    pixels = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), dtype=np.uint8)
    labels = np.resize(np.array(["a", "b"], dtype=object), 30)
    frame = pd.DataFrame({"image": to_column(pixels), "label": labels})
    pq.write_table(to_arrow(frame, SCHEMA), tmp_path / "train.parquet")
    return Rows(tmp_path / "train.parquet", SCHEMA)


def test_a_batch_that_does_not_fit_is_halved_and_told(rows: Rows) -> None:
    report = Mean({"batch": 32, "steps": 5}).fit(rows, seed=1, threads=1)
    assert report.steps == 5
    assert [note for note in report.notes if "did not fit" in note] == [
        "32 images at once did not fit into the GPU's memory; 16 do",
        "16 images at once did not fit into the GPU's memory; 8 do",
    ]


def test_a_batch_that_never_fits_ends_the_fit(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mean, "room", LEAST_BATCH - 1)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        Mean({"batch": 16, "steps": 5}).fit(rows, seed=1, threads=1)


def test_every_image_comes_once_before_any_comes_again(rows: Rows) -> None:
    pixels = np.arange(10, dtype=np.uint8).repeat(16).reshape(10, 4, 4, 1)
    data = Data(pixels, np.zeros(10, dtype=np.int64), 5, 3, "cpu")
    kept = len(data)
    seen = torch.cat([data.batch(step)[0][:, 0, 0, 0] for step in range(kept)])
    values, counts = seen.unique(return_counts=True)
    assert len(values) == kept and set(counts.tolist()) == {5}
    assert data.batch(3)[0].equal(Data(pixels, np.zeros(10, dtype=np.int64), 5, 3, "cpu").batch(3)[0])


def test_many_images_lie_in_a_mapped_file_and_are_learned_from_alike(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, labels = read(rows)
    monkeypatch.setattr("leaven.generators.image.pixels.IN_MEMORY", 100)
    monkeypatch.setattr("leaven.generators.image.pixels.BATCH_BYTES", 7 * 16)
    mapped, texts = read(rows)
    assert whole.base is None and isinstance(mapped.base.base.obj, mmap.mmap)  # type: ignore[union-attr]
    assert np.array_equal(mapped, whole) and texts.tolist() == labels.tolist() and len(texts) == 30
    one, other = (Data(some, np.arange(30) % 2, 8, 3, "cpu") for some in (whole, mapped))
    assert one.batch(5)[0].equal(other.batch(5)[0])
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(FitError, match=r"GiB of pixels do not fit into .*: No space left"):
        read(rows)


def full(*_: object) -> None:
    """A disk without room."""
    raise OSError(28, "No space left on device")
