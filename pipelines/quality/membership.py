"""How well membership attacks do with synthetic rows, with fresh real rows in their place, and with copies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leaven.generators.seeds import derive
from leaven.pipelines.quality.attacks import ATTACKS, SMOOTH, Neighbours, auc, scores

SPLITS = 20  # random halves of the held-out rows


@dataclass
class Lists:
    """The nearest rows of members (train rows) and others (held-out rows) in each set of rows."""

    members_in_train: Neighbours  # each left out of its own list
    others_in_train: Neighbours
    members_in_held_out: Neighbours
    others_in_held_out: Neighbours  # each left out of its own list
    members_in_synthetic: np.ndarray  # distances (members, SMOOTH or fewer)
    others_in_synthetic: np.ndarray
    train_rows: int  # the members are the first of these
    drawn_rows: int  # drawn from these with replacement for the ceiling, as many as there are synthetic ones

    @property
    def members(self) -> int:
        return len(self.members_in_train.distances)

    @property
    def others(self) -> int:
        return len(self.others_in_train.distances)


def half(rows: int, random: np.random.Generator) -> np.ndarray:
    """A random half of `rows`, bool (rows,)."""
    picked = np.zeros(rows, dtype=bool)
    picked[random.permutation(rows)[: rows // 2]] = True
    return picked


def membership(spaces: Mapping[str, Sequence[Lists]], seed: int) -> dict[str, dict[str, Any]]:
    """Each attack's AUC and the worst one's, averaged over random splits, with controls and noise.

    A split halves the held-out rows into non-members and real rows that the attacker has for reference.

    - value: the synthetic rows.
    - floor: half of train plays the synthetic rows, the other half are the members: nothing can leak.
    - ceiling: as many rows drawn from train with replacement.

    Args:
        spaces: what the attacks' names begin with in a space of distances -> the lists there, one for each part of the
            members. The held-out rows are the same in all of them.
        seed: of the splits.
    """
    random = np.random.default_rng(derive(seed, "attacks"))
    others = next(iter(spaces.values()))[0].others
    found: dict[str, list[dict[str, float]]] = {"value": [], "floor": [], "ceiling": []}
    for _ in range(SPLITS):
        reference = half(others, random)
        split: dict[str, dict[str, float]] = {arm: {} for arm in found}
        for prefix, parts in spaces.items():
            attacked = [_split(lists, reference, random) for lists in parts]
            for arm, results in split.items():
                for name in ATTACKS:
                    results[prefix + name] = float(np.mean([part[arm][name] for part in attacked]))
        for arm, results in split.items():
            found[arm].append({**results, "worst_attack": max(results.values())})
    names = found["value"][0]
    return {
        name: _entry(name, found) for name in ("worst_attack", *(n for n in names if n != "worst_attack"))
    }


def _split(lists: Lists, reference: np.ndarray, random: np.random.Generator) -> dict[str, dict[str, float]]:
    """Each arm's AUC of each attack, with this half of the held-out rows for reference."""
    depth = min(SMOOTH, lists.others - 1, lists.train_rows - 1)
    asked = np.flatnonzero(~reference)
    near_members = lists.members_in_held_out.among(reference, depth)
    near_others = lists.others_in_held_out.take(asked).among(reference, depth)
    others_in_train = lists.others_in_train.take(asked)
    value = _attack(lists.members_in_synthetic, lists.others_in_synthetic[asked], near_members, near_others)
    played = half(lists.train_rows, random)
    rest = np.flatnonzero(~played[: lists.members])
    floor = _attack(
        lists.members_in_train.take(rest).among(played, depth),
        others_in_train.among(played, depth),
        near_members[rest],
        near_others,
    )
    drawn = np.zeros(lists.train_rows, dtype=bool)
    drawn[random.integers(lists.train_rows, size=lists.drawn_rows)] = True
    copied = lists.members_in_train.among(drawn, depth)
    # A member that was drawn has itself as its nearest: 0 before the others.
    shifted = np.column_stack([np.zeros(len(copied)), copied])[:, :depth]
    ceiling = _attack(
        np.where(drawn[: lists.members, None], shifted, copied),
        others_in_train.among(drawn, depth),
        near_members,
        near_others,
    )
    return {"value": value, "floor": floor, "ceiling": ceiling}


def _attack(
    members: np.ndarray, others: np.ndarray, near_members: np.ndarray, near_others: np.ndarray
) -> dict[str, float]:
    """AUC of each attack, from distances to synthetic rows and to the reference."""
    all_scores = scores(np.concatenate([members, others]), np.concatenate([near_members, near_others]))
    return {name: auc(score[: len(members)], score[len(members) :]) for name, score in all_scores.items()}


def _entry(name: str, found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    arms = {arm: np.array([split[name] for split in splits]) for arm, splits in found.items()}
    value, floor, ceiling = (float(arms[arm].mean()) for arm in ("value", "floor", "ceiling"))
    # Halves of both sides vary around the whole as much as the whole varies around the truth.
    noise = float(arms["floor"].std(ddof=1))
    how = next(
        (what for attack, what in ATTACKS.items() if name.endswith(attack)),
        "the best of the attacks, split by split, in all three arms",
    )
    what = f"AUC of telling train rows from held-out ones by the synthetic rows; 0.5: cannot ({how})"
    if ceiling < floor + 4 * noise:
        what += (
            "; held-out rows differ from train rows so much, or are so few, that even copies hardly stand out"
        )
    return {
        "value": value,
        "floor": floor,
        "ceiling": ceiling,
        "better": "lower",
        "what": what,
        "noise": noise,
    }
