"""Features of images, computed once for each image: measures and screens ask for the same ones one after another."""

import hashlib
from collections.abc import Callable

import numpy as np

MOST_BYTES = 128 * 2**20  # of features that are kept; the oldest go first


def keys(pixels: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each image, uint64 (rows,)."""
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return np.frombuffer(digests, dtype=np.uint64)


class Remembered:
    """A function from uint8 (rows, height, width, channels) to (rows, dimensions), and what it gave, as float32.

    What it gives for an image must not depend on the others beside it.
    """

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]):
        self._function = function
        self._kept: dict[int, np.ndarray] = {}

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        asked = keys(pixels).tolist()
        new = [row for row, key in enumerate(asked) if key not in self._kept]
        if new or not asked:
            made = np.asarray(self._function(pixels[new] if len(new) < len(asked) else pixels))
            if len(new) == len(asked):
                found = made.astype(np.float32)
            else:
                places = {row: place for place, row in enumerate(new)}
                found = np.stack(
                    [made[places[row]] if row in places else self._kept[key] for row, key in enumerate(asked)]
                ).astype(np.float32)
            self._keep([asked[row] for row in new], found[new])
            return found
        return np.stack([self._kept[key] for key in asked])

    def _keep(self, new: list[int], found: np.ndarray) -> None:
        self._kept.update(zip(new, found, strict=True))
        most = MOST_BYTES // max(1, found[:1].nbytes)
        for key in list(self._kept)[: max(0, len(self._kept) - most)]:
            del self._kept[key]
