"""Codes and their transformer: probabilities that are ones, and what likelihoods tell of images."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from leaven.generators import catalog
from leaven.generators.errors import ConditionError, InputError
from leaven.generators.image.autoregressive import Autoregressive
from leaven.generators.image.code_networks import Autoencoder, Transformer, logistic_nats
from leaven.generators.image.pixels import to_column
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SHAPE = (10, 10, 1)
SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=SHAPE), Column(name="label", type="category")),
    target="label",
)
NAMES = np.array(["left", "right"], dtype=object)
QUICK: dict[str, Any] = {
    "width": 32, "depth": 2, "numbers": 4, "coder_width": 16, "coder_steps": 150, "batch": 16, "rate": 3e-3,
    "steps": 400, "dropout": 0, "augment": 0,
}  # fmt: skip


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar on the left or on the right, of any brightness, on some noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = rng.integers(0, 40, (count, *SHAPE))
    for image, label, bright in zip(pixels, labels, rng.integers(100, 210, count), strict=True):
        image[:, 5 * label + 1 : 5 * label + 4] += bright
    return pixels.astype(np.uint8), labels


def write(path: Path, pixels: np.ndarray, labels: np.ndarray) -> Rows:
    frame = pd.DataFrame({"image": to_column(pixels), "label": NAMES[labels]})
    pq.write_table(to_arrow(frame, SCHEMA), path)
    return Rows(path, SCHEMA)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Autoregressive:
    model = Autoregressive(QUICK)
    model.fit(write(tmp_path_factory.mktemp("bars") / "train.parquet", *drawn(120, 0)), seed=2, threads=1)
    return model


def test_probabilities_of_a_pixel_sum_to_one() -> None:
    values = torch.arange(256).double()[:, None] / 127.5 - 1
    mean = torch.tensor([-1.0, -0.3, 0.9, 3.0]).double()
    for spread in (-6.0, -3.0, 0.0):
        logs = -logistic_nats(values, mean, torch.full_like(mean, spread))
        assert torch.allclose(logs.exp().sum(0), torch.ones(4).double(), atol=2e-3)


def transformer() -> Transformer:
    torch.manual_seed(0)
    made = Transformer(6, 3, 4, classes=2, changes=1, width=32, depth=2, dropout=0.2).eval()
    for parameter in made.parameters():  # far from the quiet start, where all codes are as likely
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made


def test_no_number_sees_a_later_one() -> None:
    network, labels, changes = transformer(), torch.tensor([0, 1]), torch.zeros(2, 1)
    codes = torch.randint(0, 4, (2, 6, 3))
    before = network.nats(codes, labels, changes)
    for place in range(6):
        for number in range(3):
            other = codes.clone()
            other[:, place, number] = (other[:, place, number] + 1) % 4
            after = network.nats(other, labels, changes)
            same = torch.isclose(before, after, atol=1e-5).all(0).flatten()
            assert same[: place * 3 + number].all() and not same[place * 3 + number :].all()


def test_codes_are_drawn_with_the_probabilities_that_are_learned() -> None:
    network = transformer()
    count = 20_000
    labels, changes = torch.ones(count, dtype=torch.int64), torch.zeros(count, 1)
    with torch.no_grad():
        codes = network.draw(labels, changes, 1.0, torch.Generator().manual_seed(0))
        expected = network.nats(codes[:2000], labels[:2000], changes[:2000])
        # The likelihood that drawn codes have on average is the entropy: compare with that of the first number.
        first = torch.bincount(codes[:, 0, 0], minlength=4) / count
        probabilities = torch.stack(
            [
                network.nats(torch.full((1, 6, 3), value), labels[:1], changes[:1])[0, 0, 0]
                for value in range(4)
            ]
        )
        assert torch.allclose(first, torch.exp(-probabilities), atol=0.02)
        # With almost no randomness each number is the likeliest one, given those before it.
        certain = network.draw(labels[:3], changes[:3], 1e-6, torch.Generator().manual_seed(1))
        least = network.nats(certain, labels[:3], changes[:3])
        for value in range(4):
            for place in range(6):
                other = certain.clone()
                other[:, place, 2] = value
                assert (
                    network.nats(other, labels[:3], changes[:3])[:, place, 2] >= least[:, place, 2] - 1e-4
                ).all()
    assert expected.mean() > least.mean()


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (33, 20, 3), (64, 64, 3), (256, 250, 1)], ids=str)
def test_codes_there_and_back_in_every_shape(shape: tuple[int, int, int]) -> None:
    coder = Autoencoder(shape, 4, 5, 16)
    codes, values = coder.rounded(torch.rand(2, shape[2], *shape[:2]) * 2 - 1)
    assert codes.min() >= 0 and codes.max() < 5 and codes.shape[1] <= 256
    assert torch.allclose(coder.values(codes), values, atol=1e-5)
    mean, spread = coder.images(values)
    assert mean.shape == spread.shape == (2, shape[2], *shape[:2])


def test_likelihood_ranks_images(fitted: Autoregressive) -> None:
    pixels, labels = drawn(60, 1)
    own = fitted.log_likelihood(pixels, NAMES[labels])
    noise = np.random.default_rng(3).integers(0, 256, pixels.shape).astype(np.uint8)
    assert own.shape == (60,) and own.dtype == np.float64 and np.isfinite(own).all()
    assert own.min() > fitted.log_likelihood(noise, NAMES[labels]).max()
    assert (
        own > fitted.log_likelihood(pixels, NAMES[1 - labels])
    ).mean() > 0.95  # an image with its own class
    assert -own.mean() / np.log(2) / 100 < 8  # bits of a pixel: fewer than stored ones
    np.testing.assert_allclose(fitted.log_likelihood(pixels[:7], NAMES[labels][:7]), own[:7], rtol=0.02)


def test_likelihood_tells_what_was_learned_by_heart(tmp_path: Path) -> None:
    pixels, labels = drawn(24, 0)
    model = catalog.get("autoregressive", "image")({**QUICK, "numbers": 8})
    model.fit(write(tmp_path / "train.parquet", pixels, labels), seed=2, threads=1)
    others, theirs = drawn(200, 5)
    known = model.log_likelihood(pixels, NAMES[labels])  # type: ignore[attr-defined]
    unknown = model.log_likelihood(others, NAMES[theirs])  # type: ignore[attr-defined]
    assert (known[:, None] > unknown).mean() > 0.9


def test_likelihood_refuses(fitted: Autoregressive) -> None:
    pixels, labels = drawn(4, 1)
    with pytest.raises(
        InputError, match=r"images are uint8 of the shape \(9, 10, 1\); expected uint8 \(10, 10, 1\)"
    ):
        fitted.log_likelihood(pixels[:, 1:], NAMES[labels])
    with pytest.raises(ConditionError, match="there is no class 'above'; the classes are left, right"):
        fitted.log_likelihood(pixels, np.array(["above"] * 4))


def test_likelihood_is_the_same_after_loading(fitted: Autoregressive, tmp_path: Path) -> None:
    pixels, labels = drawn(20, 1)
    fitted.save(tmp_path)
    loaded = Autoregressive.load(tmp_path)
    before, after = (model.log_likelihood(pixels, NAMES[labels]) for model in (fitted, loaded))
    np.testing.assert_array_equal(before, after)
