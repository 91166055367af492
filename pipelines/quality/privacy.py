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
from leaven.pipelines.quality.attacks import ATTACKS, SMOOTH, Neighbours, auc, scores
from leaven.pipelines.quality.controls import draw
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.quality.neighbours import Copies, NearCopies, nearest
from leaven.pipelines.task import Task

NEAR = 0.01  # a near copy's numbers lie within this share of their spread
SPLITS = 20  # random halves of the held-out rows
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
    train = draw(train, 10 * max_rows, derive(seed, "train"))
    synthetic = draw(synthetic, CORPUS * max_rows, derive(seed, "synthetic"))
    held_out = draw(held_out, max(2, max_rows // 2), derive(seed, "held_out"))
    return {
        **copies(schema, train, synthetic, held_out, max_rows),
        **_distances(schema, train.iloc[: CORPUS * max_rows], synthetic, held_out, seed, max_rows),
    }


def copies(
    schema: Schema, train: pd.DataFrame, synthetic: pd.DataFrame, held_out: pd.DataFrame, max_rows: int
) -> dict[str, dict[str, Any]]:
    """Exact and near copies of train rows that are unique in train."""
    exact, near = Copies(schema, train), NearCopies(schema, train, NEAR)
    what = {
        "copies": "share of synthetic rows that equal a train row which stands only once in train",
        "near_copies": "share of synthetic rows nearly equal to a train row that has no other near it: same "
        f"categories, numbers within {NEAR:.0%} of their spread",
    }
    results = {}
    for name, detector in (("copies", exact), ("near_copies", near)):
        rows = synthetic.iloc[: 2 * max_rows]
        # Real rows repeat each other: held-out rows show it, unless the split kept repeated rows on one side;
        # train rows left out one at a time show it then.
        floor = max(float(detector.mask(held_out).mean()), detector.expected)
        spread = floor * (1 - floor) + 1 / len(train)  # never 0: nothing seen in n rows is still about 1 in n
        results[name] = {
            "value": float(detector.mask(rows).mean()),
            "floor": floor,
            "ceiling": detector.unique_share,
            "better": "lower",
            "what": what[name] + " (floor: held-out rows, or train rows left out one at a time)",
            "noise": float(np.sqrt(spread * (1 / len(rows) + 1 / len(train)))),
        }
    return results


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
    )
    picked = made[: max(2, max_rows // 2)]
    return {
        "distance_to_closest_record": _closest(lists, picked, corpus, others, seed),
        **_membership(lists, len(made), seed),
    }


class Lists:
    """The neighbours of members (train rows) and others (held-out rows) in each set of rows."""

    def __init__(
        self,
        *,
        members_in_train: Neighbours,
        others_in_train: Neighbours,
        members_in_held_out: Neighbours,
        others_in_held_out: Neighbours,
        members_in_synthetic: np.ndarray,
        others_in_synthetic: np.ndarray,
        train_rows: int,
    ):
        self.members_in_train = members_in_train
        self.others_in_train = others_in_train
        self.members_in_held_out = members_in_held_out
        self.others_in_held_out = others_in_held_out
        self.members_in_synthetic = members_in_synthetic
        self.others_in_synthetic = others_in_synthetic
        self.train_rows = train_rows
        self.members = len(members_in_train.distances)
        self.others = len(others_in_train.distances)


def _membership(lists: Lists, synthetic_rows: int, seed: int) -> dict[str, dict[str, Any]]:
    """The attacks' AUC, each split of the held-out rows into non-members and the attacker's own reference."""
    random = np.random.default_rng(derive(seed, "attacks"))
    depth = min(SMOOTH, lists.others - 1, lists.train_rows - 1)
    found: dict[str, list[dict[str, float]]] = {"value": [], "floor": [], "ceiling": []}
    for _ in range(SPLITS):
        reference = _half(lists.others, random)
        asked = np.flatnonzero(~reference)
        near_members = lists.members_in_held_out.among(reference, depth)
        near_others = lists.others_in_held_out.take(asked).among(reference, depth)

        def attack(
            members: np.ndarray,
            others: np.ndarray,
            who: np.ndarray | slice,
            near_members: np.ndarray = near_members,
            near_others: np.ndarray = near_others,
        ) -> dict[str, float]:
            to_reference = np.concatenate([near_members[who], near_others])
            found = scores(np.concatenate([members, others]), to_reference)
            results = {
                name: auc(score[: len(members)], score[len(members) :]) for name, score in found.items()
            }
            return {**results, "worst_attack": max(results.values())}

        found["value"].append(
            attack(lists.members_in_synthetic, lists.others_in_synthetic[asked], slice(None))
        )
        # Fresh real rows in place of synthetic ones: half of train plays them, the other half are members.
        played = _half(lists.train_rows, random)
        who = np.flatnonzero(~played[: lists.members])
        found["floor"].append(
            attack(
                lists.members_in_train.take(who).among(played, depth),
                lists.others_in_train.take(asked).among(played, depth),
                who,
            )
        )
        # Copies: rows drawn from train with replacement; a member that was drawn has itself as the nearest.
        drawn = np.zeros(lists.train_rows, dtype=bool)
        drawn[random.integers(lists.train_rows, size=synthetic_rows)] = True
        rest = lists.members_in_train.among(drawn, depth)
        shifted = np.column_stack([np.zeros(len(rest)), rest])[:, : rest.shape[1]]
        copied = np.where(drawn[: lists.members, None], shifted, rest)
        found["ceiling"].append(
            attack(copied, lists.others_in_train.take(asked).among(drawn, depth), slice(None))
        )
    results = {}
    for name in ("worst_attack", *ATTACKS):
        how = ATTACKS.get(name, "the best of the membership attacks, split by split, on all arms")
        results[name] = {
            **{arm: float(np.mean([split[name] for split in splits])) for arm, splits in found.items()},
            "better": "lower",
            "what": f"AUC of telling train rows from held-out ones by the synthetic rows; 0.5: cannot ({how})",
            # Halves of both sides vary as much around the whole as the whole varies around the truth.
            "noise": float(np.std([split[name] for split in found["floor"]], ddof=1)),
        }
        blind = results[name]["ceiling"] < results[name]["floor"] + 4 * results[name]["noise"]
        if blind:
            results[name]["what"] += (
                "; held-out rows differ from train rows so much, or are so few, that even copies hardly stand out"
            )
    return results


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
        half = _half(lists.others, random)
        halves.append(share(own, lists.members_in_held_out.among(half, 1)[:, 0], int(half.sum())))
    return {
        "value": share(in_train.distances[:, 0], in_others.among(everything, 1)[:, 0], lists.others),
        "floor": share(own, lists.members_in_held_out.among(everything, 1)[:, 0], lists.others),
        "ceiling": share(np.zeros(lists.members), lists.members_in_held_out.distances[:, 0], lists.others),
        "better": "lower",
        "what": "share of synthetic rows nearer to a train row than to any held-out row, weighed as if there were "
        "as many of both; 0.5: no nearer (floor: train rows left out one at a time)",
        "noise": float(np.hypot(np.std(halves, ddof=1), 0.5 / np.sqrt(min(len(made), lists.others)))),
    }


def _half(rows: int, random: np.random.Generator) -> np.ndarray:
    """A random half of `rows`, bool (rows,)."""
    picked = np.zeros(rows, dtype=bool)
    picked[random.permutation(rows)[: rows // 2]] = True
    return picked
