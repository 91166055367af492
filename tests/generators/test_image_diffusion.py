"""Flow matching and the autoencoder: changes are told, evaluations counted, codes mixed within a class."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from leaven.generators.conditions import parse
from leaven.generators.contract import Budget
from leaven.generators.errors import FitError
from leaven.generators.image import augment, diffusion, network
from leaven.generators.image.diffusion import Diffusion, is_guided, times
from leaven.generators.image.network import Data, _held_out
from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.image.unet import UNet, layout
from leaven.generators.image.vae import VAE
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SHAPE = (8, 8, 1)
SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=SHAPE), Column(name="label", type="category")),
    target="label",
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Dark and light images, and a single one in a third class."""
    rng = np.random.default_rng(0)
    pixels = np.concatenate(
        [rng.integers(0, 90, (12, *SHAPE)), rng.integers(160, 256, (12, *SHAPE)), np.full((1, *SHAPE), 120)]
    ).astype(np.uint8)
    labels = np.array(["dark"] * 12 + ["light"] * 12 + ["single"], dtype=object)
    path = tmp_path_factory.mktemp("images") / "train.parquet"
    pq.write_table(to_arrow(pd.DataFrame({"image": to_column(pixels), "label": labels}), SCHEMA), path)
    return Rows(path, SCHEMA)


def test_what_is_done_to_an_image_is_told() -> None:
    images = torch.rand(400, 1, 9, 12, generator=torch.Generator().manual_seed(1))
    same, nothing = augment.changed(images, 0.0, torch.Generator().manual_seed(2))
    assert torch.equal(same, images) and not nothing.any()
    made, told = augment.changed(images, 0.15, torch.Generator().manual_seed(2))
    again, _ = augment.changed(images, 0.15, torch.Generator().manual_seed(2))
    assert torch.equal(made, again) and made.shape == images.shape
    assert told.abs().max() <= 1 and 0.1 < (told != 0).float().mean() < 0.2
    still, mirrored = (told == 0).all(1), (told[:, 0] == 1) & (told[:, 1:] == 0).all(1)
    assert still.sum() > 50 and mirrored.sum() > 5
    assert torch.equal(made[still], images[still])
    torch.testing.assert_close(made[mirrored], images[mirrored].flip(3), atol=1e-4, rtol=0)
    moved = ~still & ~mirrored
    assert ((made[moved] - images[moved]).abs().amax((1, 2, 3)) > 0.01).float().mean() > 0.95


def test_a_shift_moves_by_its_share_of_the_side() -> None:
    image = torch.full((600, 1, 25, 25), -1.0)
    image[:, :, 10:15, 10:15] = 1.0
    made, told = augment.changed(image, 0.3, torch.Generator().manual_seed(0))
    moved = (told[:, [0, 3, 4, 5]] == 0).all(1) & (told[:, 1] != 0)
    weight = (made[moved, 0] + 1) / 2
    middle = (weight * torch.arange(25)).sum((1, 2)) / weight.sum((1, 2))
    torch.testing.assert_close(middle, 12 - 25 * augment.SHIFT * told[moved, 1], atol=0.05, rtol=0)


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("evaluations", [3, 4, 7, 10, 50])
def test_times_run_from_noise_to_image_and_keep_to_the_evaluations(evaluations: int, guided: bool) -> None:
    grid = times(evaluations, guided)
    assert grid[0] == 1 and grid[-1] == 0 and sorted(grid, reverse=True) == grid
    asked = len(grid) - 1 + guided * sum(map(is_guided, grid[:-1]))
    assert evaluations - 2 <= asked <= evaluations


def test_evaluations_are_kept_and_guidance_does_something(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {}
    for scale in (1.0, 3.0):
        settings: dict[str, Any] = {"width": 16, "blocks": 1, "batch": 8, "guidance_scale": scale}
        generator = Diffusion(settings)
        generator.fit(rows, seed=1, threads=1, budget=Budget(steps=40))
        asked: list[int] = []
        assert generator.network is not None
        generator.network.register_forward_hook(
            lambda _, inputs, result, asked=asked: asked.append(len(result))  # type: ignore[misc]
        )
        made[scale] = generator.sample(10, seed=3)
        assert 0 < sum(asked) <= 10 * generator.draw_batch
    assert not made[1.0]["image"].equals(made[3.0]["image"])


def test_images_between_two_of_a_class(rows: Rows, tmp_path: Path) -> None:
    settings = {"width": 16, "latent": 4, "batch": 8, "rate": 3e-3, "steps": 150, "augment": 0.0}
    generator = VAE({**settings, "interpolate": True})
    generator.fit(rows, seed=1, threads=1)
    brightness = {}
    for label in ("dark", "light", "single"):
        made = generator.sample(30, seed=2, conditions=parse([f"label={label}"], SCHEMA))
        brightness[label] = to_array(made["image"], SHAPE).mean((1, 2, 3))
        assert generator.role == "editor"
        assert (rows.frame()["label"].to_numpy()[made["_source_row"]] == label).all()
    assert brightness["dark"].max() < 110 < 140 < brightness["light"].min()
    assert brightness["single"].std() < 1e-6  # there is nothing to be between
    before = generator.sample(20, seed=4)
    generator.save(tmp_path)
    pd.testing.assert_frame_equal(before, VAE.load(tmp_path).sample(20, seed=4))
    generator.parameters.interpolate = False
    assert generator.role == "sampler"
    assert not before["image"].equals(generator.sample(20, seed=4)["image"])


@pytest.mark.parametrize(
    "sides", [(8, 8), (28, 28), (33, 33), (32, 20), (64, 64), (130, 97), (256, 256)], ids=str
)
def test_the_network_takes_every_side_at_sensible_cost(sides: tuple[int, int]) -> None:
    made_for = UNet(3, sides, 1000, augment.TOLD, 16, 1)
    with torch.inference_mode():
        made = made_for(
            torch.rand(2, 3, *sides), torch.rand(2), torch.tensor([0, 1000]), torch.zeros(2, augment.TOLD)
        )
    assert made.shape == (2, 3, *sides)
    patch, widths = layout(max(sides), 64)
    assert max(sides) / patch / 2 ** (len(widths) - 1) <= 9


def test_held_out_images_are_spread_over_the_classes() -> None:
    labels = np.repeat(np.arange(6), [50, 30, 10, 10, 2, 1])
    held = _held_out(labels, np.random.default_rng(1))
    assert len(set(held)) == len(held) == 10
    assert np.bincount(labels[held], minlength=6).tolist()[4:] == [0, 0]
    assert (np.bincount(labels[held], minlength=6)[:4] >= 1).all()
    assert not len(_held_out(np.arange(20) % 2, np.random.default_rng(1)))


def test_a_batch_depends_on_its_step_alone_and_every_image_comes_once() -> None:
    pixels = np.arange(20, dtype=np.uint8).reshape(-1, 1, 1, 1)
    data, other = (Data(pixels, np.arange(20) % 2, 8, 3, "cpu") for _ in range(2))
    seen = [data.batch(step)[0].flatten() for step in range(5)]
    assert torch.equal(other.batch(4)[0].flatten(), seen[4])
    both = torch.cat(seen)
    assert len(both[:20].unique()) == 20 and len(both[20:].unique()) == 20


def test_training_that_nothing_watches_is_short(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "BLIND", 7)
    settings = {"width": 16, "blocks": 1, "batch": 8, "steps": 50}
    assert Diffusion(settings).fit(rows, seed=1, threads=1).steps == 7
    assert Diffusion(settings).fit(rows, seed=1, threads=1, budget=Budget(steps=9)).steps == 9


def test_a_compiled_network_learns_the_same(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"width": 16, "blocks": 1, "batch": 8, "steps": 5}
    calls: list[int] = []

    def counting(graph: torch.fx.GraphModule, examples: Any) -> Any:
        calls.append(len(examples))
        return graph.forward

    monkeypatch.setattr(diffusion, "COMPILER", counting)
    plain, compiled = Diffusion(settings), Diffusion({**settings, "compile": True})
    plain.fit(rows, seed=1, threads=1)
    assert not calls
    compiled.fit(rows, seed=1, threads=1)
    assert calls
    pd.testing.assert_frame_equal(plain.sample(8, seed=2), compiled.sample(8, seed=2))
    compiled.save(tmp_path)
    pd.testing.assert_frame_equal(plain.sample(8, seed=2), Diffusion.load(tmp_path).sample(8, seed=2))


def test_a_network_that_cannot_be_compiled_is_told(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: torch.fx.GraphModule, examples: Any) -> Any:
        raise OSError("no compiler on this machine")

    monkeypatch.setattr(diffusion, "COMPILER", broken)
    asked = Diffusion({"width": 16, "blocks": 1, "batch": 8, "steps": 5, "compile": True})
    with pytest.raises(FitError, match=r"compile: the network cannot be compiled here: .*no compiler"):
        asked.fit(rows, seed=1, threads=1)
