"""What the benchmark of a GPU counts and prints."""

import argparse
from pathlib import Path
from typing import Any

import image_gpu
import numpy as np
import pytest
from image_gpu import line, operations

RNG = np.random.default_rng(0)
DATA = {
    "x_train": RNG.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8),
    "y_train": np.repeat(np.arange(2), 30),
}


def counted(batch: int) -> float:
    parameters = {"batch": batch, "width": 16, "blocks": 1, "precision": "fp32", "augment": 0.0}
    options = argparse.Namespace(parameters=parameters, seed=0, device="cpu", threads=1)
    return operations("diffusion", DATA, options)


def test_a_step_of_twice_the_images_is_twice_the_work() -> None:
    once = counted(8)
    assert once > 1e6
    assert 1.9 < counted(16) / once < 2.1


def test_a_line_says_how_far_a_fit_came() -> None:
    record = {
        "name": "vae",
        "minutes": 2.0,
        "accuracy": 0.8123,
        "fd_resnet9": 12.3456,
        "steps": 5,
        "images_per_second": 1234.5,
        "images_seen": 12800,
        "share_of_peak": 0.123,
    }
    assert line(record).split() == ["vae", "2.00", "0.8123", "12.35", "1234", "12,800", "12.3%"]
    assert line({"name": "real", "minutes": 0.0, "accuracy": 0.9, "fd_resnet9": 0.5}).split()[-1] == "0.50"


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, float]] = []

    def measured(name: str, data: Any, options: argparse.Namespace, judge: Any) -> dict[str, Any]:
        made.append((name, options.fit))
        fitted = {"steps": 5, "fit_seconds": 2.0, "images_per_second": 9.0} if name == "vae" else {}
        return {"name": name, "accuracy": 0.5, "fd_resnet9": 1.0, **fitted}

    monkeypatch.setattr(image_gpu, "measure", measured)
    monkeypatch.setattr(image_gpu, "load", lambda options: DATA)
    monkeypatch.setattr(image_gpu, "peak", lambda device: 1e9)
    monkeypatch.setattr(image_gpu, "operations", lambda *_: 1e6)

    def run(**other: Any) -> list[dict[str, Any]]:
        asked = {
            "minutes": 2.0,
            "shares": [1.0, 0.5],
            "generators": ["vae"],
            "fit": 0.0,
            "batch": 8,
            "seed": 0,
        }
        options = argparse.Namespace(**asked | other, out=tmp_path, device="cpu", threads=1)
        return image_gpu.run(options)

    first = run()
    assert made == [("real", 0.0), ("pca", 0.0), ("vae", 60.0), ("vae", 120.0)]
    assert run() == first and len(made) == 4
    run(seed=1)
    assert len(made) == 8
