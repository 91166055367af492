"""How far images lie from all train images, against how far real ones do: what is out of distribution."""

import numpy as np

from leaven.pipelines.quality.images.closeness import PIXELS, Space, pooled
from leaven.pipelines.quality.neighbours import nearest

FOLDS = 3
DETAIL = 32  # side to which pixels are averaged where their detail is looked at
CARRIED = 0.9  # of the variance, by the components that detail is compared with
FITTED_ROWS = 1_000  # train images from which the components are learned


class Strangeness:
    """Images that are stranger than all but a share of real ones, in any of three ways:

    - far from all train images in pixels;
    - far from them in features brought to length 1 (Sun, Ming, Zhu and Li, ICML 2022), for any of the networks;
    - with detail that train images do not have: what is left of the pixels beside train's principal components. Noise
      lies near the middle of all images, where the other two do not find it.

    The bounds are those of train images, each left out in turn and asked where nothing was learned from it. The share
    is divided over the ways and networks, so that about that share of fresh real images is strange in any.
    """

    def __init__(self, found: list[Space], train: np.ndarray, share: float):
        self._spaces = found
        self._corpora = [_directions(space, train[space.rows]) for space in found]
        left_out = [
            nearest(points, points, 1, own=np.arange(len(points)))[0][:, 0] for points in self._corpora
        ]
        # Distances in one network are no distances in another: they are told by the usual one, and share a bound.
        self._usual = [float(np.median(distances)) or 1.0 for distances in left_out]
        told: dict[str, list[np.ndarray]] = {}
        for space, distances, usual in zip(found, left_out, self._usual, strict=True):
            told.setdefault(space.name, []).append(distances / usual)
        self._detail = Detail(train)
        beyond = 1 - share / (len(found) + 1)
        self._bounds = {
            name: float(np.quantile(np.concatenate(parts), beyond)) for name, parts in told.items()
        }
        self._most_detail = float(np.quantile(self._detail.left_out, beyond))

    def mask(self, pixels: np.ndarray) -> np.ndarray:
        """Which images are out of distribution, bool (rows,)."""
        strange = self._detail(pixels) > self._most_detail
        for space, corpus, usual in zip(self._spaces, self._corpora, self._usual, strict=True):
            distances = nearest(_directions(space, pixels), corpus, 1)[0][:, 0]
            strange |= distances / usual > self._bounds[space.name]
        return strange


def _directions(space: Space, pixels: np.ndarray) -> np.ndarray:
    points = space.project(pixels)
    if space.name == PIXELS:
        return points
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


class Detail:
    """The length of what is left of an image's pixels beside the principal components of train images.

    Attributes:
        left_out: of train images, each by components that were learned without it: (rows,).
    """

    def __init__(self, train: np.ndarray):
        rows = train[:: max(1, len(train) // FITTED_ROWS)]
        points, fold = pooled(rows, DETAIL), np.arange(len(rows)) % FOLDS
        self._components = [_components(points[fold != held]) for held in range(FOLDS)]
        self.left_out = np.empty(len(points))
        for held, components in enumerate(self._components):
            self.left_out[fold == held] = _left(points[fold == held], *components)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """float64 (rows,), mean over the folds."""
        points = pooled(pixels, DETAIL)
        return np.asarray(np.mean([_left(points, *components) for components in self._components], axis=0))


def _components(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the axes (components, dimensions) that carry most of the variance."""
    mean = points.mean(axis=0)
    centred = points - mean
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    total = float(variances.sum())
    if total == 0.0:
        return mean, np.empty((0, points.shape[1]))
    count = int(np.searchsorted(np.cumsum(variances) / total, CARRIED)) + 1
    return mean, (vectors[:, :count] / np.sqrt(variances[:count])).T @ centred


def _left(points: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    centred = points - mean
    return np.asarray(np.linalg.norm(centred - centred @ axes.T @ axes, axis=1))
