"""The cells of the image benchmarks: real images cut small, each with a fixed test set that nothing learns from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leaven.generators.seeds import derive

MOST_TEST = 4_000


@dataclass(frozen=True)
class Cell:
    """So many images of each class of a dataset, train and validation together; None: half of what there is."""

    dataset: str
    each: int | None

    @property
    def name(self) -> str:
        return f"{self.dataset}_{self.each or 'half'}"


CELLS = {
    cell.name: cell
    for cell in (
        Cell("fashion", 10),
        Cell("fashion", 50),
        Cell("fashion", 100),
        Cell("tiles", None),
        Cell("cifar", 25),
        Cell("cifar", 100),
    )
}

Images = tuple[np.ndarray, np.ndarray]
"""uint8 (n, h, w[, c]) and labels (n,)."""


def load(folder: Path, dataset: str) -> tuple[Images, Images | None]:
    """All images of a dataset, and those of a test set of its own."""
    file = {"fashion": "fashion_mnist", "tiles": "magnetic_tile_64", "cifar": "cifar10_lossless_4k"}[dataset]
    with np.load(folder / f"{file}.npz", allow_pickle=False) as arrays:
        if dataset == "fashion":
            return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
        return (arrays["x"], arrays["y"]), None


def draw(folder: Path, cell: Cell, seed: int) -> tuple[Images, Images]:
    """Images to work with and test images; the same test images for all cells of a dataset and seed.

    Without a test set of its own, half of every class is for the test. Larger cells hold the images of smaller ones.
    """
    (x, y), own_test = load(folder, cell.dataset)
    rng = np.random.default_rng(derive("image lift", cell.dataset, seed))
    order = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    if own_test is None:
        test = np.concatenate([own[: len(own) // 2] for own in order])
        pool = [own[len(own) // 2 :] for own in order]
        tests = x[test], y[test]
    else:
        picked = rng.permutation(len(own_test[1]))[:MOST_TEST]
        pool, tests = order, (own_test[0][picked], own_test[1][picked])
    few = rng.permutation(np.concatenate([own[: cell.each] for own in pool]))
    return (x[few], y[few]), tests
