"""Membership attacks: given a row and the synthetic rows, was the row in train? Scores only; privacy.py judges.

Everything is read off lists of nearest neighbours that are computed once, so that many random splits of the
held-out rows cost next to nothing.
"""

from dataclasses import dataclass

import numpy as np

from leaven.pipelines.quality.neighbours import nearest

DEPTH = 32  # neighbours kept per row: a half of the rows still leaves five but for one row in 100,000
SMOOTH = 5  # neighbours over which the density attack averages


@dataclass
class Neighbours:
    """For each row its nearest rows of a corpus, nearest first."""

    distances: np.ndarray  # float64 (rows, depth)
    indices: np.ndarray  # int (rows, depth)

    @classmethod
    def of(cls, points: np.ndarray, corpus: np.ndarray, own: np.ndarray | None = None) -> "Neighbours":
        return cls(*nearest(points, corpus, DEPTH, own))

    def among(self, allowed: np.ndarray, count: int) -> np.ndarray:
        """Distances to the nearest `count` rows of the corpus that are `allowed`, (rows, count).

        Where a list ends before that, its last distance stands for the missing ones: they are no nearer.
        """
        inside = allowed[self.indices]
        order = np.argsort(~inside, axis=1, kind="stable")[:, :count]
        found = np.take_along_axis(inside, order, axis=1)
        distances = np.take_along_axis(self.distances, order, axis=1)
        return np.where(found, distances, self.distances[:, -1:])

    def take(self, rows: np.ndarray) -> "Neighbours":
        return Neighbours(self.distances[rows], self.indices[rows])


ATTACKS = {
    "nearest_attack": "the nearer the nearest synthetic row, the likelier a member",
    "relative_attack": "nearest synthetic row against the nearest real row that nobody trained on",
    "density_attack": "density of synthetic rows against density of real rows that nobody trained on "
    f"(as DOMIAS, van Breugel et al. 2023, over {SMOOTH} neighbours)",
}


def scores(to_synthetic: np.ndarray, to_reference: np.ndarray) -> dict[str, np.ndarray]:
    """The attacks' scores, higher for likelier members, each (rows,); members and others in one call.

    Args:
        to_synthetic: distances to the nearest synthetic rows, (rows, SMOOTH or fewer), nearest first.
        to_reference: likewise to real rows that are neither members nor asked about.
    """
    # Distances far below the usual one say no more than 0 does.
    grain = 1e-3 * (float(np.median(to_reference[:, 0])) or float(np.median(to_reference)) or 1.0)
    synthetic, reference = np.log(to_synthetic + grain), np.log(to_reference + grain)
    return {
        "nearest_attack": -synthetic[:, 0],
        "relative_attack": reference[:, 0] - synthetic[:, 0],
        "density_attack": reference.mean(axis=1) - synthetic.mean(axis=1),
    }


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Area under the ROC curve of telling members from others by score; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([members, others]))
    above = ranks[: len(members)].sum() - len(members) * (len(members) + 1) / 2
    return float(above / (len(members) * len(others)))
