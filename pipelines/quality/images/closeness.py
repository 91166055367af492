"""How close images come to train images, against how close real ones come to each other where they stand.

A distance is told by that from the train image to its own nearest other one: 0 for a copy, about 1 for a fresh real
image. Below 1 is what AuthPct calls not authentic (Alaa, van Breugel, Saveliev and van der Schaar, ICML 2022), which
real images often are: what counts is how often, against held-out ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leaven.pipelines.quality.images.arms import BLOCK
from leaven.pipelines.quality.neighbours import nearest

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor

PIXELS = "pixels"  # the name of their space
POOLED = 16  # side to which pixels are averaged for distances: finer detail is mostly noise
LEAST = 4  # train images without which a space says nothing


@dataclass
class Space:
    """A space of distances and the train images in it that nothing there has learned from.

    Attributes:
        name: `pixels`, or of an extractor.
        project: pixels -> points.
        rows: which of the train images these are, bool (train images,).
    """

    name: str
    project: Callable[[np.ndarray], np.ndarray]
    rows: np.ndarray


def spaces(extractor: "Extractor", train: np.ndarray) -> list[Space]:
    """The space of pixels, and those of an extractor, for train images uint8 (rows, height, width, channels).

    Those with fewer than 4 train images are left out.
    """
    found = [Space(PIXELS, pooled, np.ones(len(train), dtype=bool))]
    found += [Space(extractor.name, project, rows) for project, rows in extractor.spaces(train)]
    return [space for space in found if space.rows.sum() >= LEAST]


def pooled(pixels: np.ndarray, side: int = POOLED) -> np.ndarray:
    """Pixels in 0 to 1, averaged over blocks to a side of at most that: float64 (rows, dimensions)."""
    parts = [_pooled(pixels[start : start + BLOCK], side) for start in range(0, len(pixels), BLOCK)]
    return np.concatenate(parts) if parts else _pooled(pixels, side)


def _pooled(pixels: np.ndarray, side: int) -> np.ndarray:
    rows, height, width, channels = pixels.shape
    down, across = -(-height // side), -(-width // side)
    wide = np.pad(pixels, ((0, 0), (0, -height % down), (0, -width % across), (0, 0)), "edge")
    blocks = wide.reshape(rows, wide.shape[1] // down, down, wide.shape[2] // across, across, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float64).reshape(rows, -1) / 255


class Closeness:
    """Distances to the nearest of some train images, told by that one's distance to its own nearest other one.

    Attributes:
        left_out: of each train image, in place of a synthetic one, as if it were none of them: (rows,).
        repeated: which train images stand twice: there is no telling a copy of them, bool (rows,).
    """

    def __init__(self, corpus: np.ndarray):
        self._corpus = corpus
        rows = np.arange(len(corpus))
        distances, indices = nearest(corpus, corpus, 2, own=rows)
        self._own = distances[:, 0]
        self.repeated = self._own == 0
        near = indices[:, 0]
        mutual = indices[near, 0] == rows
        self.left_out = _told(distances[:, 0], np.where(mutual, distances[near, 1], distances[near, 0]))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """float64 (rows,): 0 for a copy, about 1 for a fresh real image, infinite at an image that stands twice."""
        distances, indices = nearest(points, self._corpus, 1)
        return _told(distances[:, 0], self._own[indices[:, 0]])


def _told(distances: np.ndarray, own: np.ndarray) -> np.ndarray:
    told = np.full(len(distances), np.inf)
    np.divide(distances, own, out=told, where=own > 0)
    return told


class NearCopies:
    """Images nearer to a train image, in some space, than all but a share of real ones come.

    The bounds are those of train images, each left out in turn. The share is divided over the spaces, so that of fresh
    real images about that share is nearer in any of them.

    Attributes:
        expected: share of train images that are nearer, each left out in turn.
        unique_share: share of train images a copy of which is one.
    """

    def __init__(self, found: list[Space], train: np.ndarray, share: float):
        self.spaces = found
        self.closeness = [Closeness(space.project(train)[space.rows]) for space in found]
        left_out: dict[str, list[np.ndarray]] = {}
        for space, close in zip(found, self.closeness, strict=True):
            left_out.setdefault(space.name, []).append(close.left_out)
        self._bound = {
            name: float(np.quantile(np.concatenate(parts), share / len(found), method="lower"))
            for name, parts in left_out.items()
        }
        near, unique = np.zeros((2, len(train)), dtype=bool)
        for space, close in zip(found, self.closeness, strict=True):
            near[space.rows] |= close.left_out < self._bound[space.name]
            unique[space.rows] |= ~close.repeated
        self.expected, self.unique_share = float(near.mean()), float(unique.mean())

    def mask(self, pixels: np.ndarray) -> np.ndarray:
        """Which images are near copies, bool (rows,)."""
        near = np.zeros(len(pixels), dtype=bool)
        for space, close in zip(self.spaces, self.closeness, strict=True):
            near |= close(space.project(pixels)) < self._bound[space.name]
        return near
