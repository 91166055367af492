"""Fidelity of rows as points: do synthetic ones look real? Floor: fresh real rows; ceiling: a known-bad generator's."""

from typing import Any

import numpy as np

from leaven.generators.seeds import derive
from leaven.pipelines.quality.balls import NEIGHBOURS, Balls
from leaven.pipelines.quality.points.arms import Arms, Points
from leaven.pipelines.quality.points.distances import Components, frechet, kernel
from leaven.pipelines.task import Task

LEAST_OF_CLASS = 32  # rows of a class on either side for a Fréchet distance of its own: 4 components


def compare(arms: Arms, task: Task) -> dict[str, dict[str, Any]]:
    """Distances of synthetic rows from train rows.

    Returns:
        NAME -> {value, floor, ceiling, better, what}. Fréchet's distances are taken in as many principal components
        of train as the rows carry, and left out where they carry fewer than two, or where less than half of the
        classes have enough rows.
    """
    bad, like = arms.bad, arms.like()
    seen, noun = arms.space, arms.noun
    balls = Balls(arms.scaled(like))
    results = {
        "precision": arms.between(
            lambda rows: balls.holds(arms.scaled(rows)),
            bad,
            better="higher",
            what=f"share of synthetic {noun}s that lie in the neighbourhood (the {NEIGHBOURS} nearest) of some train "
            f"{noun}, in the features of {seen} ({arms.bad_told})",
        ),
        "density": arms.between(
            lambda rows: balls.density(arms.scaled(rows)),
            bad,
            better="higher",
            what=f"how many train {noun}s' neighbourhoods (their {NEIGHBOURS} nearest) a synthetic {noun} lies in, "
            f"against what is expected of train {noun}s, 1, in the features of {seen} ({arms.bad_told})",
        ),
        "label_agreement": arms.between(
            Vote(arms).agreement,
            arms.relabelled(),
            better="higher",
            what=f"share of synthetic {noun}s with the label that most of their {NEIGHBOURS} nearest train {noun}s "
            f"have, in the features of {seen} ({shuffled_told(arms)})",
        ),
    }
    if arms.rows >= 2:
        results["kernel_distance"] = arms.between(
            lambda rows: kernel(arms.reference.points, rows.points, derive(arms.seed, "subsets")),
            bad,
            better="lower",
            what=f"KD({seen}): squared maximum mean discrepancy between synthetic and train {noun}s under KID's cubic "
            f"kernel, unbiased, so that it can be below 0 ({arms.bad_told})",
        )
    results |= _frechet(arms, bad)
    results |= _class_frechet(arms, task)
    return results


def shuffled_told(arms: Arms) -> str:
    """What the ceiling of labels is called."""
    return f"ceiling: fresh real {arms.noun}s with shuffled labels"


def _frechet(arms: Arms, bad: Points) -> dict[str, dict[str, Any]]:
    components = Components.fit(arms.reference.points, arms.rows, arms.space)
    if components is None:
        return {}
    reference = components(arms.reference.points)
    entry = arms.between(
        lambda rows: frechet(reference, components(rows.points)),
        bad,
        better="lower",
        what=f"FD({components.name}): Fréchet's distance between synthetic and train {arms.noun}s ({arms.bad_told})",
    )
    return {"frechet_distance": entry}


def _class_frechet(arms: Arms, task: Task) -> dict[str, dict[str, Any]]:
    """Fréchet's distance within a class, mean over the classes that have enough rows in every arm."""
    shuffled, sets = arms.relabelled(), (arms.reference, arms.synthetic, arms.fresh)
    rows = {label: min(int((one.labels == label).sum()) for one in sets) for label in task.classes}
    rows = {label: count for label, count in rows.items() if count >= LEAST_OF_CLASS}
    if len(rows) < max(1, len(task.classes) / 2):
        return {}
    components = Components.fit(arms.reference.points, min(rows.values()), arms.space)
    assert components is not None

    def mean(asked: Points) -> float:
        found = []
        for label, count in rows.items():
            real, own = (components(one.points[one.labels == label]) for one in (arms.reference, asked))
            found.append(frechet(real, own[:count]))
        return float(np.mean(found))

    without = len(task.classes) - len(rows)
    left_out = f"; {without} of {len(task.classes)} have too few" if without else ""
    entry = arms.between(
        mean,
        shuffled,
        better="lower",
        what=f"FD({components.name}) between synthetic and train {arms.noun}s of one class, mean over "
        f"classes{left_out} ({shuffled_told(arms)})",
    )
    return {"class_frechet_distance": entry}


class Vote:
    """What label the nearest train rows have."""

    def __init__(self, arms: Arms):
        from sklearn.neighbors import KNeighborsClassifier

        reference = arms.reference
        self._vote = KNeighborsClassifier(min(NEIGHBOURS, len(reference)))
        self._vote.fit(reference.points, reference.labels.astype(str))

    def agreement(self, rows: Points) -> float:
        """Share of rows whose own label wins."""
        return float((self._vote.predict(rows.points) == rows.labels.astype(str)).mean())
