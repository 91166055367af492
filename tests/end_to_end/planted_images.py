"""Images with a known truth, and test-only generators whose worth is known beforehand."""

from pathlib import Path

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.image.base import ImageGenerator

SIDE = 10
CLASSES = ("falling", "flat", "rising")


def process(labels: np.ndarray, seed: int) -> np.ndarray:
    """A faint bar through noise for each label, uint8 (n, SIDE, SIDE, 1): the class is how it leans."""
    rng = np.random.default_rng(seed)
    angle = (labels - 1) * np.pi / 4 + rng.normal(scale=0.12, size=len(labels))
    down, across = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    place = rng.uniform(-2.5, 2.5, (2, len(labels), 1, 1))
    turned = (down - place[0]) * np.cos(angle)[:, None, None] + (across - place[1]) * np.sin(angle)[
        :, None, None
    ]
    bar = rng.uniform(45, 110, (len(labels), 1, 1)) * np.exp(-((turned / 0.9) ** 2))
    made = 70 + bar + rng.normal(scale=32, size=(*bar.shape[:1], SIDE, SIDE))
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)[..., None]


def write(folder: Path, each: int = 10, held_out: int = 200, seed: int = 1) -> Path:
    """npz files of few images to learn from and many held-out ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, count) in enumerate({"train": each, "test": held_out}.items()):
        labels = np.resize(np.arange(3), 3 * count)
        np.savez(
            folder / f"{name}.npz", x=process(labels, seed + number)[..., 0], y=np.array(CLASSES)[labels]
        )
    return folder


class Oracle(ImageGenerator):
    """Draws from the planted process itself: the best generator there can be."""

    name = "oracle"
    turn = 0  # how far labels are turned away from the truth

    def _learn(
        self,
        pixels: np.ndarray,
        labels: np.ndarray,
        *,
        seed: int,
        budget: Budget,
        device: str,
        progress: Progress,
    ) -> Fit:
        return Fit()

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        truth = np.array([CLASSES.index(label) for label in self.classes])
        return process((truth[labels] + self.turn) % 3, seed % 2**32), None

    def _save(self, directory: Path) -> None: ...

    def _load(self, directory: Path) -> None: ...


class Liar(Oracle):
    """The same with every label wrong."""

    name, turn = "liar", 1
