"""Small images with a known structure: a blob for each class, whose place, size and brightness vary."""

import numpy as np
import pandas as pd

from leaven.generators.image.pixels import to_array, to_column
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.image.extractor import Extractor
from leaven.pipelines.task import Task

SIDE = 12
SHAPE = (SIDE, SIDE, 1)
CLASSES = ("high", "left", "right")
PLACES = np.array([[3.0, 6.0], [8.0, 3.0], [8.0, 9.0]])
SCHEMA = Schema(
    columns=(Column(name="image", type="image", shape=SHAPE), Column(name="label", type="category")),
    target="label",
)
TASK = Task(target="label", type="classification", metric="macro_f1", classes=CLASSES)


def blobs(count: int, seed: int) -> pd.DataFrame:
    """Fresh real images."""
    random = np.random.default_rng(seed)
    codes = random.integers(len(CLASSES), size=count)
    centre = PLACES[codes] + random.normal(size=(count, 2))
    width = random.uniform(1.2, 2.6, size=(count, 2))
    bright = random.uniform(120, 240, size=count)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    down = ((rows - centre[:, 0, None, None]) / width[:, 0, None, None]) ** 2
    across = ((columns - centre[:, 1, None, None]) / width[:, 1, None, None]) ** 2
    drawn = bright[:, None, None] * np.exp(-(down + across) / 2) + 5 * random.normal(size=down.shape)
    return frame(drawn[..., None], np.array(CLASSES, dtype=object)[codes])


def frame(pixels: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Images of any numbers, cut to 0 to 255, as rows."""
    return pd.DataFrame({"image": to_column(np.clip(np.rint(pixels), 0, 255)), "label": labels})


def pixels(rows: pd.DataFrame) -> np.ndarray:
    return to_array(rows["image"], SHAPE)


def resampled(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Images drawn with replacement: what a generator makes that only copies."""
    picked = np.random.default_rng(seed).integers(len(rows), size=count)
    return frame(pixels(rows)[picked], rows["label"].to_numpy()[picked])


def memorised(rows: pd.DataFrame, count: int, seed: int, noise: float = 2.0) -> pd.DataFrame:
    """Images drawn with replacement, with noise that nobody sees."""
    made = resampled(rows, count, seed)
    random = np.random.default_rng(seed)
    return frame(pixels(made) + noise * random.normal(size=(count, *SHAPE)), made["label"].to_numpy())


def noise(count: int, seed: int) -> pd.DataFrame:
    """Images of nothing."""
    random = np.random.default_rng(seed)
    return frame(
        random.integers(0, 256, size=(count, *SHAPE)), random.choice(np.array(CLASSES, object), count)
    )


def collapsed(rows: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """One image of each class again and again, with noise that nobody sees."""
    one = rows.groupby("label").head(1).reset_index(drop=True)
    return memorised(one, count, seed)


def projector(dimensions: int = 8) -> Extractor:
    """An extractor that has learned nothing: random directions of the pixels."""
    directions = np.random.default_rng(0).normal(size=(SIDE * SIDE, dimensions)) / SIDE
    return Extractor("directions", lambda images: images.reshape(len(images), -1) / 64 @ directions)
