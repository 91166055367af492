"""Privacy: copies of train rows and membership attacks, on rows before they are screened.

A number here is judged against what fresh real rows give, because real rows repeat each other too. Fresh rows
are train rows that are left out: they come from just the distribution that the generator saw, also where the
split is by time or keeps repeated rows on one side, so that held-out rows differ from train rows for reasons
that are not leaks.
"""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.quality.attacks import SMOOTH, Neighbours
from leaven.pipelines.quality.controls import draw
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.quality.membership import SPLITS, Lists, half, membership
from leaven.pipelines.quality.neighbours import Copies, NearCopies, nearest
from leaven.pipelines.task import Task

NEAR = 0.01  # a near copy's numbers lie within this share of their spread
CORPUS = 4  # train and synthetic rows that are searched, times max_rows


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    held_out: pd.DataFrame,
    seed: int,
    max_rows: int = 10_000,
) -> dict[str, dict[str, Any]]:
    """Copies and attacks. These attacks failed or succeeded: nothing here proves privacy.

    Args:
        schema: the columns; identifiers and text are not compared.
        task: unused here; every measure takes one.
        train: what the generator learned from: the members.
        synthetic: its rows before screening.
        held_out: real rows that it did not see: the non-members.
        seed: of samples and splits.
        max_rows: at most half so many members and non-members are attacked, and four times so many train
            and synthetic rows are searched.

    Returns:
        NAME -> {value, floor, ceiling, better, what, noise}. `noise` is the standard error of what fresh real
        rows give at these numbers of rows. The ceiling is rows drawn from train with replacement.

    Raises:
        ValueError: fewer than 4 train or held-out rows, or no synthetic ones.
    """
    if min(len(train), len(held_out)) < 4 or synthetic.empty:
        raise ValueError("privacy needs at least 4 train and 4 held-out rows and some synthetic ones")
    everything, train = train, draw(train, 10 * max_rows, derive(seed, "train"))
    synthetic = draw(synthetic, CORPUS * max_rows, derive(seed, "synthetic"))
    held_out = draw(held_out, max(2, max_rows // 2), derive(seed, "held_out"))
    return {
        **_copies(Copies(schema, everything), len(everything), synthetic, held_out, max_rows),
        **_copies(NearCopies(schema, train, NEAR), len(train), synthetic, held_out, max_rows),
        **_distances(schema, train.iloc[: CORPUS * max_rows], synthetic, held_out, seed, max_rows),
    }


def _copies(
    detector: Copies | NearCopies,
    train_rows: int,
    synthetic: pd.DataFrame,
    held_out: pd.DataFrame,
    max_rows: int,
) -> dict[str, dict[str, Any]]:
    """The share of rows that copy a train row which is unique in train."""
    near = isinstance(detector, NearCopies)
    rows = synthetic.iloc[: 2 * max_rows]
    # Real rows repeat each other: held-out rows show it, unless the split kept repeated rows on one side;
    # train rows left out one at a time show it then.
    floor = max(float(detector.mask(held_out).mean()), detector.expected)
    spread = floor * (1 - floor) + 1 / train_rows  # never 0: nothing seen in n rows is still about 1 in n
    what = (
        f"share of synthetic rows nearly equal to a train row that has no other near it: same categories, "
        f"numbers within {NEAR:.0%} of their spread"
        if near
        else "share of synthetic rows that equal a train row which stands only once in train"
    )
    entry = {
        "value": float(detector.mask(rows).mean()),
        "floor": floor,
        "ceiling": detector.unique_share,
        "better": "lower",
        "what": what + " (floor: held-out rows, or train rows left out one at a time)",
        "noise": float(np.sqrt(spread * (1 / len(rows) + 1 / train_rows))),
    }
    return {"near_copies" if near else "copies": entry}


def _distances(
    schema: Schema,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    held_out: pd.DataFrame,
    seed: int,
    max_rows: int,
) -> dict[str, dict[str, Any]]:
    encoder = Encoder.fit(schema, train)
    corpus, others, made = (encoder.space(frame) for frame in (train, held_out, synthetic))
    asked = corpus[: max(2, max_rows // 2)]  # train is in random order already
    every, itself = np.arange(len(others)), np.arange(len(asked))
    lists = Lists(
        members_in_train=Neighbours.of(asked, corpus, own=itself),
        others_in_train=Neighbours.of(others, corpus),
        members_in_held_out=Neighbours.of(asked, others),
        others_in_held_out=Neighbours.of(others, others, own=every),
        members_in_synthetic=nearest(asked, made, SMOOTH)[0],
        others_in_synthetic=nearest(others, made, SMOOTH)[0],
        train_rows=len(corpus),
        drawn_rows=len(made),
    )
    picked = made[: max(2, max_rows // 2)]
    return {
        "distance_to_closest_record": _closest(lists, picked, corpus, others, seed),
        **membership({"": [lists]}, seed),
    }


def _closest(
    lists: Lists, made: np.ndarray, corpus: np.ndarray, others: np.ndarray, seed: int
) -> dict[str, Any]:
    """Share of rows nearer to train than to held-out rows, weighed as if both had as many rows."""
    in_train, in_others = Neighbours.of(made, corpus), Neighbours.of(made, others)
    everything = np.ones(lists.others, dtype=bool)

    def share(train: np.ndarray, held_out: np.ndarray, rows: int) -> float:
        ties = float((train == held_out).mean())
        closer, farther = float((train < held_out).mean()) * rows, float((train > held_out).mean())
        both = closer + farther * lists.train_rows
        return ties / 2 + (1 - ties) * (closer / both if both else 0.5)

    own = lists.members_in_train.distances[:, 0]  # each train row left out in turn: a fresh row
    random = np.random.default_rng(derive(seed, "closest"))
    halves = []
    for _ in range(SPLITS):
        picked = half(lists.others, random)
        halves.append(share(own, lists.members_in_held_out.among(picked, 1)[:, 0], int(picked.sum())))
    return {
        "value": share(in_train.distances[:, 0], in_others.among(everything, 1)[:, 0], lists.others),
        "floor": share(own, lists.members_in_held_out.among(everything, 1)[:, 0], lists.others),
        "ceiling": share(np.zeros(lists.members), lists.members_in_held_out.distances[:, 0], lists.others),
        "better": "lower",
        "what": "share of synthetic rows nearer to a train row than to any held-out row, weighed as if there were "
        "as many of both; 0.5: no nearer (floor: train rows left out one at a time)",
        "noise": float(np.hypot(np.std(halves, ddof=1), 0.5 / np.sqrt(min(len(made), lists.others)))),
    }
