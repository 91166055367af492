"""What the benchmark of a GPU counts and prints."""

import argparse

import numpy as np
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
