"""Privacy of texts: copies and attacks, with a sentence encoder's distances."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.text.encoder import NAME, encode
from leaven.pipelines.quality.attacks import ATTACKS, SMOOTH, Neighbours
from leaven.pipelines.quality.controls import draw
from leaven.pipelines.quality.membership import Lists, membership
from leaven.pipelines.quality.neighbours import nearest
from leaven.pipelines.quality.repeats import share
from leaven.pipelines.quality.texts.arms import texts_of
from leaven.pipelines.quality.texts.near import NearTexts
from leaven.pipelines.quality.texts.same import same_keys
from leaven.pipelines.task import Task


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    held_out: pd.DataFrame,
    seed: int,
    max_rows: int = 5_000,
) -> dict[str, dict[str, Any]]:
    """Copies and attacks. These attacks failed or succeeded: nothing here proves privacy.

    Args:
        schema: the columns, one of them of texts.
        task: unused here; every measure takes one.
        train: what the generator learned from: the members.
        synthetic: its texts before screening.
        held_out: real texts that it did not see: the non-members.
        seed: of samples and splits.
        max_rows: at most so many train and synthetic texts are searched, and half so many held-out ones.

    Returns:
        NAME -> {value, floor, ceiling, better, what, noise}. `noise` is the standard error of what fresh real texts
        give at these numbers. The ceiling is texts drawn from train with replacement.

    Raises:
        ValueError: fewer than 4 train or held-out texts, or no synthetic ones.
    """
    if min(len(train), len(held_out)) < 4 or synthetic.empty:
        raise ValueError("privacy needs at least 4 train and 4 held-out texts and some synthetic ones")
    real, made, others = (
        texts_of(schema, draw(frame, most, derive(seed, name)))
        for name, frame, most in (
            ("train", train, max_rows),
            ("synthetic", synthetic, max_rows),
            ("held_out", held_out, max(2, max_rows // 2)),
        )
    )
    keys, counts = np.unique(same_keys(texts_of(schema, train)), return_counts=True)
    unique, twice = keys[counts == 1], float(2 * (counts == 2).sum() / len(train))
    once = float(len(unique) / len(train))
    near = NearTexts()
    for text in real:
        near.add(text)
    members, synthetic_points, held = (encode(texts).astype(np.float64) for texts in (real, made, others))
    return {
        "copies": share(
            np.isin(same_keys(made), unique),
            max(float(np.isin(same_keys(others), unique).mean()), twice),
            once,
            len(train),
            "share of synthetic texts that equal a train text which stands only once in train, but for capitals, "
            "spaces and quotes (floor: held-out texts, or train texts left out one at a time)",
        ),
        "near_copies": share(
            np.array([near.has(text) for text in made]),
            max(float(np.mean([near.has(text) for text in others])), twice),
            once,
            len(others),
            "share of synthetic texts that have nine tenths of their shingles of four letters in common with a train "
            "text (floor: held-out texts)",
        ),
        **_attacks(members, synthetic_points, held, derive(seed, "splits")),
    }


def _attacks(real: np.ndarray, made: np.ndarray, others: np.ndarray, seed: int) -> dict[str, dict[str, Any]]:
    lists = Lists(
        members_in_train=Neighbours.of(real, real, own=np.arange(len(real))),
        others_in_train=Neighbours.of(others, real),
        members_in_held_out=Neighbours.of(real, others),
        others_in_held_out=Neighbours.of(others, others, own=np.arange(len(others))),
        members_in_synthetic=nearest(real, made, SMOOTH)[0],
        others_in_synthetic=nearest(others, made, SMOOTH)[0],
        train_rows=len(real),
        drawn_rows=len(made),
    )
    entries = membership({"": [lists]}, seed)
    for attack in ATTACKS:
        entries[attack]["what"] += f"; distances in the features of {NAME}"
    return entries
