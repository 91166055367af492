"""The adversarial generator: what its states are judged by, what it says of a collapse, which shapes it takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from leaven.generators.image.gan import Gan
from leaven.generators.image.gan_networks import Discriminator, Generator, augmented, levels, patch
from leaven.generators.image.likeness import Likeness
from leaven.generators.image.pixels import to_column
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SHAPE = (12, 12, 1)
SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=SHAPE), Column(name="label", type="category")),
    target="label",
)
QUICK: dict[str, Any] = {
    "width": 16, "latent": 8, "batch": 16, "rate": 2e-3, "steps": 300, "ramp": 50, "every": 50
}  # fmt: skip


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth images: a bright spot, on the left or on the right, of any height and brightness."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    rows, columns = np.mgrid[:12, :12]
    high, beside = rng.uniform(2, 9, count), 3 + 5 * labels
    away = (rows - high[:, None, None]) ** 2 + (columns - beside[:, None, None]) ** 2
    pixels = rng.uniform(120, 255, (count, 1, 1)) * np.exp(-away / 8)
    return pixels[..., None].astype(np.uint8), labels


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    pixels, labels = drawn(120, 0)
    frame = pd.DataFrame(
        {"image": to_column(pixels), "label": np.array(["left", "right"], dtype=object)[labels]}
    )
    path = tmp_path_factory.mktemp("spots") / "train.parquet"
    pq.write_table(to_arrow(frame, SCHEMA), path)
    return Rows(path, SCHEMA)


def tensors(pixels: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(labels)


def test_likeness_is_best_for_fresh_real_images_and_sees_classes() -> None:
    images, labels = tensors(*drawn(200, 1))
    fresh, asked = tensors(*drawn(200, 2))
    judge = Likeness(images, labels)
    same = judge.distance(fresh, asked)
    assert abs(same) < 0.05
    assert judge.distance(fresh, 1 - asked) > 10 * abs(same)
    assert judge.distance(fresh[:2].repeat(100, 1, 1, 1), asked) > 10 * abs(same)
    assert judge.distance(torch.rand(200, 1, 12, 12) * 2 - 1, asked) > 10 * abs(same)


def test_spread_tells_a_collapsed_class() -> None:
    images, labels = tensors(*drawn(200, 1))
    made, asked = tensors(*drawn(200, 2))
    made = torch.where((asked == 1)[:, None, None, None], made[1:2], made)
    found = Likeness(images, labels).spreads(made, asked)
    assert found[0] == pytest.approx(1, abs=0.15) and found[1] < 0.01


def test_the_best_state_is_kept_and_a_collapse_is_told(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = Gan(QUICK)
    report = fitted.fit(rows, seed=4, threads=1)
    looks = [loss["distance"] for loss in report.losses]
    assert len(looks) == 6 and min(looks) < 0.4 * looks[0]
    assert not any("collapse" in note for note in report.notes)
    monkeypatch.setattr(
        Gan, "_draw", lambda self, network, labels, _: network(torch.zeros(len(labels), 8), labels)
    )
    stuck = Gan({**QUICK, "steps": 3})
    assert any("collapse" in note and "'left'" in note for note in stuck.fit(rows, seed=4, threads=1).notes)


def test_a_state_that_is_worse_is_not_kept(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    short = Gan({**QUICK, "steps": 50})
    short.fit(rows, seed=4, threads=1)
    answers = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(Likeness, "distance", lambda *given: torch.tensor(next(answers)))
    longer = Gan({**QUICK, "steps": 150})
    longer.fit(rows, seed=4, threads=1)
    pd.testing.assert_frame_equal(short.sample(8, seed=1), longer.sample(8, seed=1))


@pytest.mark.parametrize(
    "shape", [(8, 8, 1), (28, 28, 1), (33, 20, 3), (64, 64, 3), (65, 65, 1), (256, 250, 3)]
)
def test_networks_take_every_shape(shape: tuple[int, int, int]) -> None:
    made = Generator(shape, 3, 8, 8)(torch.randn(2, 8), torch.tensor([0, 2]))
    assert made.shape == (2, shape[2], *shape[:2])
    assert Discriminator(shape, 3, 8)(made, torch.tensor([0, 2])).shape == (2,)
    assert max(levels(shape)[0]) <= 8 and max(levels(shape)[-1]) * patch(shape) >= max(shape[:2])


def test_augmented_images_pass_gradients_and_are_drawn_by_the_generator_alone() -> None:
    images = (torch.rand(6, 3, 9, 11) * 2 - 1).requires_grad_()
    one = augmented(images, 1.0, torch.Generator().manual_seed(3))
    assert torch.equal(one, augmented(images, 1.0, torch.Generator().manual_seed(3)))
    assert not torch.equal(one, augmented(images, 1.0, torch.Generator().manual_seed(4)))
    one.sum().backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    assert augmented(images, 0.0, torch.Generator()) is images


def test_saved_weights_are_the_generators_alone(rows: Rows, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    fitted = Gan({**QUICK, "steps": 2})
    fitted.fit(rows, seed=4, threads=1)
    fitted.save(tmp_path)
    kept = load_file(tmp_path / "network.safetensors")
    assert set(kept) == set(Generator(SHAPE, 2, 8, 16).state_dict())
