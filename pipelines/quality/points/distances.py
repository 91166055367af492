"""Distances between two sets of points in feature space: Fréchet's (as FID) and the kernel's (as KID).

FID: Heusel et al. 2017. KID: Bińkowski et al. 2018. The names FID and KID are those of Inception's features; here the
extractor is named instead.
"""

from dataclasses import dataclass

import numpy as np

PER_DIMENSION = 8  # samples for each dimension: with fewer, Fréchet's distance is mostly its own bias
SUBSETS, SUBSET_ROWS = 100, 1_000  # as torch-fidelity and torchmetrics


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet's distance of normal distributions fitted to two sets of points, (rows, dimensions) each.

    Raises:
        ValueError: there are not more points than dimensions, so that a covariance would be singular.
    """
    rows, dimensions = min(len(a), len(b)), a.shape[1]
    if rows <= dimensions:
        raise ValueError(
            f"Fréchet's distance needs more samples than dimensions; found {rows:,} of {dimensions:,} dimensions"
        )
    covariances = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (a, b)]
    # tr((S_a S_b)^(1/2)) is the sum of the singular values of S_a^(1/2) S_b^(1/2): no root of a matrix that is
    # not symmetric, and nothing complex.
    roots = [_root(covariance) for covariance in covariances]
    overlap = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    apart = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(max(0.0, apart + sum(np.trace(one) for one in covariances) - 2 * overlap))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def kernel(a: np.ndarray, b: np.ndarray, seed: int) -> float:
    """The unbiased squared maximum mean discrepancy under the kernel (x·y / dimensions + 1)³, mean over subsets.

    Two sets of points, (rows, dimensions) each. Where they have no more than `SUBSET_ROWS` rows it is computed once,
    on as many of each. It can be below 0.

    Raises:
        ValueError: fewer than 2 points on a side.
    """
    rows = min(len(a), len(b), SUBSET_ROWS)
    if rows < 2:
        raise ValueError(f"a kernel distance needs at least 2 samples on each side; found {rows}")
    random = np.random.default_rng(seed)
    whole = rows == len(a) == len(b)
    found = []
    for _ in range(1 if whole else SUBSETS):
        x, y = (points[random.choice(len(points), rows, replace=False)] for points in (a, b))
        found.append(_discrepancy(x, y))
    return float(np.mean(found))


def _discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    rows, dimensions = x.shape
    xx, yy, xy = ((p @ q.T / dimensions + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
    within = sum(one.sum() - np.trace(one) for one in (xx, yy))
    return float(within / (rows * (rows - 1)) - 2 * xy.mean())


@dataclass
class Components:
    """Principal components of some points: what Fréchet's distance is taken in where samples are few.

    Attributes:
        name: of the extractor, with the number of components where there are fewer than dimensions.
    """

    name: str
    mean: np.ndarray
    axes: np.ndarray  # (dimensions, components)

    @classmethod
    def fit(cls, points: np.ndarray, rows: int, name: str) -> "Components | None":
        """As many components of `points` as `rows` samples carry, a power of two, or all dimensions.

        None where they carry fewer than 2.
        """
        dimensions = points.shape[1]
        if rows >= PER_DIMENSION * dimensions:
            return cls(name, np.zeros(dimensions), np.eye(dimensions))
        count = rows // PER_DIMENSION
        if count < 2:
            return None
        count = min(2 ** int(np.log2(count)), len(points) - 1)
        mean = points.mean(axis=0)
        _, _, rotated = np.linalg.svd(points - mean, full_matrices=False)
        return cls(f"{name}, {count} principal components", mean, rotated[:count].T)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """float64 (rows, components)."""
        return (points - self.mean) @ self.axes
