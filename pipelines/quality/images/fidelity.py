"""Fidelity of images: do synthetic ones look real? Floor: fresh real images; ceiling: noise, or wrong labels."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality.balls import NEIGHBOURS, Balls
from leaven.pipelines.quality.images.arms import Arms, Images
from leaven.pipelines.quality.images.distances import Components, frechet, kernel
from leaven.pipelines.task import Task

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor

LEAST_OF_CLASS = 32  # images of a class on either side for a Fréchet distance of its own: 4 components
NOISE = "ceiling: each pixel normal with train's mean and deviation"
SHUFFLED = "ceiling: fresh real images with shuffled labels"


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int = 10_000,
    extractor: "Extractor",
) -> dict[str, dict[str, Any]]:
    """Distances of synthetic images from train images in the features of `extractor`.

    Args:
        schema: the columns, one of them of images.
        task: gives the classes.
        train: what the generator learned from.
        synthetic: the images to judge.
        fresh: real images that no generator saw; they take the place of the synthetic ones for the floor.
        seed: of the samples, the subsets and the noise.
        max_rows: at most so many images of each; the three arms always have equally many.
        extractor: pixels -> features.

    Returns:
        NAME -> {value, floor, ceiling, better, what}. Fréchet's distances are taken in as many principal components
        of train as the images carry, and left out where they carry fewer than two, or where less than half of the
        classes have enough images.

    Raises:
        ValueError: one of the frames is empty.
    """
    arms = Arms.draw(
        schema, extractor, train=train, synthetic=synthetic, fresh=fresh, seed=seed, max_rows=max_rows
    )
    bad, like = arms.noise(), arms.like()
    seen = extractor.name
    balls = Balls(_unit(arms, like))
    results = {
        "precision": arms.between(
            lambda images: balls.holds(_unit(arms, images)),
            bad,
            better="higher",
            what=f"share of synthetic images that lie in the neighbourhood (the {NEIGHBOURS} nearest) of some train "
            f"image, in the features of {seen} ({NOISE})",
        ),
        "density": arms.between(
            lambda images: balls.density(_unit(arms, images)),
            bad,
            better="higher",
            what=f"how many train images' neighbourhoods (their {NEIGHBOURS} nearest) a synthetic image lies in, "
            f"against what is expected of train images, 1, in the features of {seen} ({NOISE})",
        ),
        "label_agreement": arms.between(
            Vote(arms).agreement,
            arms.relabelled(),
            better="higher",
            what=f"share of synthetic images with the label that most of their {NEIGHBOURS} nearest train images "
            f"have, in the features of {seen} ({SHUFFLED})",
        ),
    }
    if arms.rows >= 2:
        results["kernel_distance"] = arms.between(
            lambda images: kernel(arms.reference.points, images.points, derive(seed, "subsets")),
            bad,
            better="lower",
            what=f"KD({seen}): squared maximum mean discrepancy between synthetic and train images under KID's cubic "
            f"kernel, unbiased, so that it can be below 0 ({NOISE})",
        )
    results |= _frechet(arms, bad)
    results |= _class_frechet(arms, task)
    return results


def scale(points: np.ndarray) -> float:
    """The root of the total variance: distances are told in it, whatever an extractor's units are."""
    return float(np.sqrt(points.var(axis=0).sum())) or 1.0


def _unit(arms: Arms, images: Images) -> np.ndarray:
    return images.points / scale(arms.reference.points)


def _frechet(arms: Arms, bad: Images) -> dict[str, dict[str, Any]]:
    components = Components.fit(arms.reference.points, arms.rows, arms.extractor.name)
    if components is None:
        return {}
    reference = components(arms.reference.points)
    entry = arms.between(
        lambda images: frechet(reference, components(images.points)),
        bad,
        better="lower",
        what=f"FD({components.name}): Fréchet's distance between synthetic and train images ({NOISE})",
    )
    return {"frechet_distance": entry}


def _class_frechet(arms: Arms, task: Task) -> dict[str, dict[str, Any]]:
    """Fréchet's distance within a class, mean over the classes that have enough images in every arm."""
    shuffled, sets = arms.relabelled(), (arms.reference, arms.synthetic, arms.fresh)
    rows = {label: min(int((one.labels == label).sum()) for one in sets) for label in task.classes}
    rows = {label: count for label, count in rows.items() if count >= LEAST_OF_CLASS}
    if len(rows) < max(1, len(task.classes) / 2):
        return {}
    components = Components.fit(arms.reference.points, min(rows.values()), arms.extractor.name)
    assert components is not None

    def mean(images: Images) -> float:
        found = []
        for label, count in rows.items():
            real, own = (components(one.points[one.labels == label]) for one in (arms.reference, images))
            found.append(frechet(real, own[:count]))
        return float(np.mean(found))

    without = len(task.classes) - len(rows)
    left_out = f"; {without} of {len(task.classes)} have too few" if without else ""
    entry = arms.between(
        mean,
        shuffled,
        better="lower",
        what=f"FD({components.name}) between synthetic and train images of one class, mean over classes{left_out} "
        f"({SHUFFLED})",
    )
    return {"class_frechet_distance": entry}


class Vote:
    """What label the nearest train images have."""

    def __init__(self, arms: Arms):
        from sklearn.neighbors import KNeighborsClassifier

        reference = arms.reference
        self._vote = KNeighborsClassifier(min(NEIGHBOURS, len(reference)))
        self._vote.fit(reference.points, reference.labels.astype(str))

    def agreement(self, images: Images) -> float:
        """Share of images whose own label wins."""
        return float((self._vote.predict(images.points) == images.labels.astype(str)).mean())
