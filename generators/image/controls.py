"""Known-bad on purpose: what a generator of images must be told apart from."""

import numpy as np

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.image.kept import KeepsImages
from leaven.generators.seeds import derive

NOISE = 2  # of 255: a grey level more or less


class Memoriser(KeepsImages):
    """Train images with noise that nobody sees: what a generator makes that has learned its images by heart."""

    name = "memoriser"
    arrays = "memory.npz"

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
        self._keep(pixels, labels)
        return Fit()

    def _make(self, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        rng = np.random.default_rng(derive(seed, "memories"))
        sources = np.array([rng.choice(np.flatnonzero(self.labels == label)) for label in labels], dtype=int)
        noise = rng.integers(-NOISE, NOISE + 1, (len(labels), *self.shape))
        return np.clip(self.pixels[sources] + noise, 0, 255).astype(np.uint8), None
