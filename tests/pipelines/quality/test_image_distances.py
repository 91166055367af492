"""Fréchet's and the kernel's distance: known values, and those of torchmetrics with the same features."""

import numpy as np
import pytest

from leaven.pipelines.quality.points import distances


def points(rows: int, dimensions: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    return random.normal(size=(rows, dimensions)) @ mixed + random.normal(size=dimensions)


def test_frechet_of_normal_distributions_that_are_known() -> None:
    """Means 3 apart along one axis, deviations 1 and 2 along the other: 9 + (2 - 1)²."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 200_000, 2))
    assert distances.frechet(a, b * [1, 2] + [3, 0]) == pytest.approx(10, rel=0.01)
    assert distances.frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_refuses_fewer_samples_than_dimensions() -> None:
    with pytest.raises(ValueError, match="found 5 of 5 dimensions"):
        distances.frechet(points(5, 5, 1), points(50, 5, 2))


def test_kernel_distance_is_unbiased() -> None:
    """Between samples of one distribution it is 0 in the mean, so often below; of another it is not."""
    same = [distances.kernel(points(40, 4, 1), points(40, 4, 1) + 0, 0)]
    assert same[0] < 0, "the same points: what is left is what the unbiased estimate takes off"
    random = np.random.default_rng(3)
    drawn = [distances.kernel(*random.normal(size=(2, 40, 4)), seed) for seed in range(200)]
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / np.sqrt(200)
    assert distances.kernel(random.normal(size=(40, 4)), random.normal(size=(40, 4)) + 1, 0) > max(drawn)


def test_kernel_distance_by_subsets_is_near_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = points(400, 4, 1), points(400, 4, 2)
    whole = distances.kernel(a, b, 0)
    monkeypatch.setattr(distances, "SUBSET_ROWS", 100)
    found = distances.kernel(a, b, 0)
    assert found == pytest.approx(whole, rel=0.1) and found != whole
    with pytest.raises(ValueError, match="at least 2"):
        distances.kernel(a[:1], b, 0)


def test_components_are_as_many_as_the_samples_carry() -> None:
    real = points(300, 40, 1)
    few = distances.Components.fit(real, 100, "x")
    assert few is not None and few.name == "x, 8 principal components"
    assert few(real).shape == (300, 8)
    assert np.cov(few(real), rowvar=False) == pytest.approx(
        np.diag(np.var(few(real), axis=0, ddof=1)), abs=1e-9
    )
    enough = distances.Components.fit(real, 320, "x")
    assert enough is not None and enough.name == "x"
    assert enough(real) == pytest.approx(real)
    assert distances.Components.fit(real, 15, "x") is None


def test_as_torchmetrics() -> None:
    """The same features through FID and KID of torchmetrics, one image a row of features."""
    torch = pytest.importorskip("torch")
    fid = pytest.importorskip("torchmetrics.image.fid")
    kid = pytest.importorskip("torchmetrics.image.kid")

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, images: "torch.Tensor") -> "torch.Tensor":
            return images.flatten(1).double()

    a, b = points(150, 12, 1), points(150, 12, 2)
    images = [torch.from_numpy(rows).reshape(-1, 3, 2, 2) for rows in (a, b)]
    ours = {"frechet": distances.frechet(a, b), "kernel": distances.kernel(a, b, 0)}

    frechet = fid.FrechetInceptionDistance(feature=Flat(), normalize=False, input_img_size=(3, 2, 2))
    frechet.set_dtype(torch.float64)
    kernel = kid.KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=150)
    for metric in (frechet, kernel):
        metric.update(images[0], real=True)
        metric.update(images[1], real=False)
    assert ours["frechet"] == pytest.approx(float(frechet.compute()), rel=1e-6)
    assert ours["kernel"] == pytest.approx(float(kernel.compute()[0]), rel=1e-5)
