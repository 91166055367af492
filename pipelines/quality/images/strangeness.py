"""How far images lie from all train images, against how far real ones do: what is out of distribution."""

import numpy as np

from leaven.pipelines.quality.images.closeness import Space
from leaven.pipelines.quality.neighbours import nearest


class Strangeness:
    """Images whose nearest train image is farther than that of all but a share of real ones, in pixels or in features.

    The distances of real ones are those of train images, each left out in turn and asked where nothing was learned from
    it. A distance is told by the usual one in its space, and the mean over the spaces of one name counts; the share is
    divided over the names, so that no more than about that share of fresh real images is far in any.
    """

    def __init__(self, found: list[Space], train: np.ndarray, share: float):
        self._spaces = found
        self._corpora = [space.project(train)[space.rows] for space in found]
        self._usual, told = [], {space.name: np.empty(0) for space in found}
        for space, points in zip(found, self._corpora, strict=True):
            distances = nearest(points, points, 1, own=np.arange(len(points)))[0][:, 0]
            self._usual.append(float(np.median(distances)) or 1.0)
            told[space.name] = np.append(told[space.name], distances / self._usual[-1])
        self._bounds = {
            name: float(np.quantile(distances, 1 - share / len(told))) for name, distances in told.items()
        }

    def mask(self, pixels: np.ndarray) -> np.ndarray:
        """Which images are out of distribution, bool (rows,)."""
        far = np.zeros(len(pixels), dtype=bool)
        for name, bound in self._bounds.items():
            told = [
                nearest(space.project(pixels), corpus, 1)[0][:, 0] / usual
                for space, corpus, usual in zip(self._spaces, self._corpora, self._usual, strict=True)
                if space.name == name
            ]
            far |= np.mean(told, axis=0) > bound
        return far
