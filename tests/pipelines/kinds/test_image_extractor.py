"""Extractors that a user names, and the default one, which is trained once."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.image import crossfit
from leaven.pipelines.kinds.image.extractor import Extractor, make, named

from ..quality.planted_images import SCHEMA, TASK, blobs, pixels

torch = pytest.importorskip("torch")


class Means(torch.nn.Module):  # type: ignore[misc, name-defined]
    """The mean of each channel, and the height that came in."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
        height = torch.full((images.shape[0], 1), images.shape[2], dtype=images.dtype)
        return torch.cat([images.mean(dim=(2, 3)), height], dim=1)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "means.pt"
    torch.jit.script(Means()).save(str(path))
    return path


def test_a_torchscript_file_takes_three_channels_of_the_side_asked_for(script: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(200, 10, 14, 3)).astype(np.uint8)
    plain = named(str(script))
    assert plain.name == "means.pt"
    assert plain(images)[:, :3] == pytest.approx(images.mean(axis=(1, 2)) / 255, abs=1e-5)
    assert set(plain(images)[:, 3]) == {10.0} and set(named(f"{script}@24")(images)[:, 3]) == {24.0}
    grey = plain(images[..., :1])
    assert grey[:, 0] == pytest.approx(grey[:, 2]) and grey.dtype == np.float64


def test_a_factory_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = types.ModuleType("own_extractors")
    own.means = lambda: lambda images: images.mean(axis=(1, 2))  # type: ignore[attr-defined]
    own.none = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_extractors", own)
    found = named("own_extractors:means")
    assert found.name == "own_extractors:means"
    images = pixels(blobs(5, 1))
    assert found(images) == pytest.approx(images.mean(axis=(1, 2)))
    assert [rows.all() for _, rows in found.spaces(images)] == [True], "it has learned from none of them"
    with pytest.raises(InputError, match="gives a int"):
        named("own_extractors:none")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("resnet8", "unknown extractor 'resnet8'; expected resnet9, torchvision:NAME"),
        ("no_such_module:factory", "cannot be imported"),
        ("nowhere/inception.pt", "there is no file at nowhere/inception.pt"),
        ("nowhere/inception.pt@7", "the side in 'nowhere/inception.pt@7' is '7'; expected"),
        ("nowhere/inception.pt@big", "expected a whole number from 8 to 1024"),
    ],
)
def test_wrong_names_get_one_line(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        named(text)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_torchscript_or_do_not_fit_get_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("not a network")
    with pytest.raises(InputError, match=r"text\.pt is no TorchScript file") as caught:
        named(str(tmp_path / "text.pt"))
    assert "\n" not in str(caught.value)
    torch.jit.script(torch.nn.Linear(4, 2)).save(str(tmp_path / "linear.pt"))
    with pytest.raises(InputError, match=r"fails on images of the shape \(5, 3, 12, 12\)") as caught:
        named(str(tmp_path / "linear.pt"))(pixels(blobs(5, 1)))
    assert "\n" not in str(caught.value)


def test_torchvision_missing_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match="needs torchvision, which is not installed"):
        named("torchvision:resnet18")


@pytest.mark.parametrize("made", [np.zeros(5), np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_what_is_no_matrix_of_finite_numbers_is_refused(made: Any) -> None:
    with pytest.raises(InputError, match="expected finite numbers, one row for each image"):
        Extractor("odd", lambda images: made)(pixels(blobs(5, 1)))


def test_the_default_is_trained_once_and_equal_bytes_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossfit, "STEPS", 6)
    trained: list[int] = []
    before = crossfit.resnet.train

    def count(*args: Any, **options: Any) -> Any:
        trained.append(1)
        return before(*args, **options)

    monkeypatch.setattr(crossfit.resnet, "train", count)
    train, fresh = blobs(30, 1), pixels(blobs(10, 2))
    found = make("resnet9", SCHEMA, TASK, train, threads=1)
    assert found.name == "resnet9" and not trained
    features = found(fresh)
    assert features.shape[0] == 10 and features.dtype == np.float64
    assert make("resnet9", SCHEMA, TASK, train.copy(), threads=1) is found
    assert (found(fresh) == features).all() and len(trained) == 1
    crossfit._kept.clear()
    again = make("resnet9", SCHEMA, TASK, train, threads=1)
    assert (again(fresh) == features).all() and len(trained) == 2
    other = make("resnet9", SCHEMA, TASK, blobs(30, 3), threads=1)
    assert (other(fresh) != features).any()
