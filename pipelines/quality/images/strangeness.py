"""How far images lie from all train images, against how far real ones do: what is out of distribution.

The distance to the k-th nearest train image in the features of a network, brought to length 1 (Sun, Ming, Zhu and Li,
"Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022).
"""

import numpy as np

from leaven.pipelines.quality.images.closeness import PIXELS, Space
from leaven.pipelines.quality.neighbours import nearest

DEPTH = 3  # k


class Strangeness:
    """Images farther from train than all but a share of real ones, whose distances are those of train images, each left
    out in turn and asked where nothing was learned from it.

    A distance is told by the usual one in its space; the mean over the spaces counts.
    """

    def __init__(self, found: list[Space], train: np.ndarray, share: float):
        self._spaces = [space for space in found if space.name != PIXELS]
        self._corpora = [_directions(space.project(train)[space.rows]) for space in self._spaces]
        left_out = [nearest(points, points, DEPTH, own=np.arange(len(points)))[0] for points in self._corpora]
        self._usual = [float(np.median(distances[:, -1])) or 1.0 for distances in left_out]
        told = [distances[:, -1] / usual for distances, usual in zip(left_out, self._usual, strict=True)]
        self._bound = float(np.quantile(np.concatenate(told), 1 - share)) if told else np.inf

    def mask(self, pixels: np.ndarray) -> np.ndarray:
        """Which images are out of distribution, bool (rows,)."""
        told = [
            nearest(_directions(space.project(pixels)), corpus, DEPTH)[0][:, -1] / usual
            for space, corpus, usual in zip(self._spaces, self._corpora, self._usual, strict=True)
        ]
        if not told:
            return np.zeros(len(pixels), dtype=bool)
        return np.asarray(np.mean(told, axis=0) > self._bound)


def _directions(points: np.ndarray) -> np.ndarray:
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
