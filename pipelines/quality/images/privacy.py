"""Privacy of images: copies of train images, memorisation and membership attacks, on images before screening.

A network knows what it has learned from, so distances from train images to others say nothing in its features. They
are taken where the extractor has not learned from the train image, and in pixels, from which nothing was learned.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leaven.generators.image.pixels import image_column
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality.attacks import ATTACKS, SMOOTH, Neighbours
from leaven.pipelines.quality.controls import draw
from leaven.pipelines.quality.images.arms import held, pixels_of
from leaven.pipelines.quality.images.closeness import PIXELS, NearCopies, Space, spaces
from leaven.pipelines.quality.membership import Lists, membership
from leaven.pipelines.quality.neighbours import Copies, nearest
from leaven.pipelines.quality.repeats import share
from leaven.pipelines.task import Task

if TYPE_CHECKING:
    from leaven.pipelines.kinds.image.extractor import Extractor

NEAR = 0.01  # share of real images that come as near to a train image as a near copy


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    held_out: pd.DataFrame,
    seed: int,
    max_rows: int = 10_000,
    extractor: "Extractor",
) -> dict[str, dict[str, Any]]:
    """Copies, memorisation and attacks. These attacks failed or succeeded: nothing here proves privacy.

    Args:
        schema: the columns, one of them of images.
        task: unused here; every measure takes one.
        train: what the generator learned from: the members.
        synthetic: its images before screening.
        held_out: real images that neither it nor the extractor saw: the non-members.
        seed: of samples and splits.
        max_rows: at most so many train and synthetic images are searched, and half so many held-out ones; exact copies
            are looked for in all of train. Of large images fewer: see `arms.held`.
        extractor: pixels -> features.

    Returns:
        NAME -> {value, floor, ceiling, better, what, noise}. `noise` is the standard error of what fresh real
        images give at these numbers of images. The ceiling is images drawn from train with replacement.

    Raises:
        ValueError: fewer than 4 train or held-out images, or no synthetic ones.
    """
    if min(len(train), len(held_out)) < 4 or synthetic.empty:
        raise ValueError("privacy needs at least 4 train and 4 held-out images and some synthetic ones")
    max_rows = min(max_rows, held(schema))
    only = Schema(columns=(image_column(schema),), target=schema.target)  # a copy is one whatever its label
    exact = Copies(only, train)
    members = draw(train, max_rows, derive(seed, "train"))
    synthetic = draw(synthetic, max_rows, derive(seed, "synthetic"))
    held_out = draw(held_out, max(2, max_rows // 2), derive(seed, "held_out"))
    real, made, others = (pixels_of(schema, frame) for frame in (members, synthetic, held_out))
    found = spaces(extractor, real)
    near = NearCopies(found, real, NEAR)
    return {
        "copies": share(
            exact.mask(synthetic),
            max(float(exact.mask(held_out).mean()), exact.expected),
            exact.unique_share,
            len(train),
            "share of synthetic images that equal a train image which stands only once in train "
            "(floor: held-out images, or train images left out one at a time)",
        ),
        "near_copies": share(
            near.mask(made),
            max(float(near.mask(others).mean()), near.expected),
            near.unique_share,
            len(others),
            f"share of synthetic images nearer to a train image than all but about {NEAR:.0%} of real ones come, in "
            f"pixels or the features of {extractor.name}, against that one's distance to its own nearest "
            "(floor: held-out images, or train images left out one at a time)",
        ),
        **_memorisation(near, made, others, extractor.name),
        **_attacks(found, real, made, others, derive(seed, "splits")),
    }


def _memorisation(
    near: NearCopies, made: np.ndarray, others: np.ndarray, name: str
) -> dict[str, dict[str, Any]]:
    """The complement of AuthPct, in the features of networks that have not seen the train images."""
    pairs = [
        (space, close)
        for space, close in zip(near.spaces, near.closeness, strict=True)
        if space.name != PIXELS
    ]
    if not pairs:
        return {}
    value, floor = (
        np.any([close(space.project(pixels)) < 1 for space, close in pairs], axis=0)
        for pixels in (made, others)
    )
    several = f", by one of {len(pairs)} networks that each have not seen a part of train" * (len(pairs) > 1)
    entry = share(
        value,
        float(floor.mean()),
        near.unique_share,
        len(others),
        "share of synthetic images nearer to a train image than that one's nearest other train image: 1 - AuthPct, in "
        f"the features of {name}{several} (floor: held-out images)",
    )
    return {"memorisation": entry}


def _attacks(
    found: list[Space], real: np.ndarray, made: np.ndarray, others: np.ndarray, seed: int
) -> dict[str, dict[str, Any]]:
    named: dict[str, list[Lists]] = {}
    measured_in: dict[str, str] = {}
    for space in found:
        prefix = "pixel_" if space.name == PIXELS else ""
        named.setdefault(prefix, []).append(_lists(space, real, made, others))
        for attack in ATTACKS:
            measured_in[prefix + attack] = PIXELS if prefix else f"the features of {space.name}"
    entries = membership(named, seed)
    for name, where in measured_in.items():
        entries[name]["what"] += f"; distances in {where}"
    return entries


def _lists(space: Space, real: np.ndarray, made: np.ndarray, others: np.ndarray) -> Lists:
    corpus, synthetic, held_out = (space.project(pixels) for pixels in (real, made, others))
    corpus = corpus[space.rows]
    every, members = np.arange(len(held_out)), np.arange(len(corpus))
    return Lists(
        members_in_train=Neighbours.of(corpus, corpus, own=members),
        others_in_train=Neighbours.of(held_out, corpus),
        members_in_held_out=Neighbours.of(corpus, held_out),
        others_in_held_out=Neighbours.of(held_out, held_out, own=every),
        members_in_synthetic=nearest(corpus, synthetic, SMOOTH)[0],
        others_in_synthetic=nearest(held_out, synthetic, SMOOTH)[0],
        train_rows=len(corpus),
        drawn_rows=max(1, round(len(made) * len(corpus) / len(real))),
    )
