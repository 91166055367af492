"""Known-bad on purpose: what a generator of images must be told apart from."""

from pathlib import Path

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.image.base import ImageGenerator
from leaven.generators.seeds import derive

ARRAYS = "memory.npz"
NOISE = 2  # of 255: a grey level more or less


class Memoriser(ImageGenerator):
    """Train images with noise that nobody sees: what a generator makes that has learned its images by heart."""

    name = "memoriser"

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
        self.pixels, self.labels = pixels.copy(), labels
        return Fit()

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        rng = np.random.default_rng(derive(seed, "memories"))
        sources = np.array([rng.choice(np.flatnonzero(self.labels == label)) for label in labels], dtype=int)
        noise = rng.integers(-NOISE, NOISE + 1, (len(labels), *self.shape))
        return np.clip(self.pixels[sources] + noise, 0, 255).astype(np.uint8), None

    def _save(self, directory: Path) -> None:
        np.savez_compressed(directory / ARRAYS, pixels=self.pixels, labels=self.labels)

    def _load(self, directory: Path) -> None:
        with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
            self.pixels, self.labels = arrays["pixels"], arrays["labels"]
