"""Panels of images that a report can be drawn with."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.image.panels import panels
from leaven.pipelines.task import Task


def schema(*shape: int) -> Schema:
    columns = (Column(name="image", type="image", shape=shape), Column(name="label", type="category"))  # type: ignore[arg-type]
    return Schema(columns=columns, target="label")


def task(*classes: str) -> Task:
    return Task(target="label", type="classification", metric="macro_f1", classes=tuple(sorted(classes)))


def frame(pixels: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"image": to_column(pixels), "label": labels.astype(object)})


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: uint8 (1797, 8, 8, 1) and their labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * 15.9).astype(np.uint8)[..., None], found.target.astype(str)


def blobs(count: int, side: int, classes: list[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour images: a disc whose colour and place follow from the class, on a slope of colours."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    y, x = np.mgrid[0:side, 0:side] / side
    angle = 2 * np.pi * labels / len(classes)
    centre = 0.5 + 0.22 * np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(0, 0.05, (count, 2))
    disc = (x - centre[:, 0, None, None]) ** 2 + (y - centre[:, 1, None, None]) ** 2 < 0.06
    ground = random.uniform(60, 160, (count, 1, 1, 3)) + 60 * x[None, :, :, None]
    colour = 127 + 120 * np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle)], 1)
    made = np.where(disc[..., None], colour[:, None, None, :], ground) + random.normal(
        0, 8, (count, side, side, 3)
    )
    return np.clip(made, 0, 255).astype(np.uint8), np.array(classes)[labels]


def drawn(pixels: np.ndarray, labels: np.ndarray, folder: Path, **more: Any) -> dict[str, Any]:
    """Panels of images: half of them real, the others noisy and called synthetic; the first is a copy."""
    random = np.random.default_rng(0)
    order = random.permutation(len(pixels))
    third = len(order) // 3
    parts = [(pixels[part], labels[part]) for part in np.split(order, [third, 2 * third])]
    (real, real_labels), (fresh, fresh_labels), (made, made_labels) = parts
    made = np.clip(made + random.normal(0, 14, made.shape), 0, 255).astype(np.uint8)
    made[0], made_labels[0] = real[0], real_labels[0]
    of, about = schema(*pixels.shape[1:]), task(*np.unique(labels))
    rejected = to_arrow(frame(made[:60], made_labels[:60]), of)
    reasons = np.array(["label_agreement", "near_copies", "label_agreement"] * 20)
    pq.write_table(rejected.append_column("_reason", pa.array(reasons)), folder / "rejected.parquet")
    walk = np.stack([(1 - share) * made[:3] + share * made[3:6] for share in np.linspace(0, 1, 8)])
    losses = [
        {
            "step": step,
            "train": 0.2 + 3 / (1 + step / 50),
            "held_out": 0.3 + 3 / (1 + step / 50),
            "penalty": step % 7,
        }
        for step in range(0, 2000, 20)
    ]

    def probabilities(images: np.ndarray) -> np.ndarray:
        means = np.stack([real[real_labels == name].mean(0) for name in about.classes]).reshape(
            len(about.classes), -1
        )
        apart = np.square(images.reshape(len(images), 1, -1) / 64 - means / 64).mean(2)
        weights = np.exp(-apart * 8)
        return weights / weights.sum(1, keepdims=True)

    given: dict[str, Any] = {
        "train": frame(real, real_labels),
        "synthetic": frame(made, made_labels),
        "fresh": frame(fresh, fresh_labels),
        "probabilities": probabilities,
        "rejected": [folder / "rejected.parquet"],
        "walk": walk.astype(np.uint8),
        "losses": losses,
    }
    return panels(of, about, **{**given, **more})


__all__ = ["blobs", "digits", "drawn", "frame", "schema", "task", "to_array"]
