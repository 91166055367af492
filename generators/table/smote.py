"""SMOTE-NC: rows between a train row and one of its nearest neighbours of the same class.

Chawla, Bowyer, Hall and Kegelmeyer, "SMOTE: Synthetic Minority Over-sampling Technique", JAIR 16 (2002),
section 6.1. imbalanced-learn's `SMOTENC` makes a balanced set in one call and searches neighbours in each; here
they are searched once, at the fit, so that shards are cheap, and classes keep their natural shares unless
conditions say otherwise.
"""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from leaven.generators.conditions import Conditions, met
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import ConditionError, FitError
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.table.base import TableGenerator, TableParameters
from leaven.generators.table.prepare import Preparation

ARRAYS = "smote.npz"
MOST_LEVELS, HASHED_LEVELS = 200, 64
CHUNK = 2_000  # rows whose neighbours are searched at once, between two looks at the clock


class SmoteParameters(TableParameters):
    """Parameters of SMOTE-NC."""

    max_rows: int = Field(
        50_000, ge=2, description="learns from at most so many train rows: the search is quadratic in them"
    )
    k_neighbors: int = Field(5, ge=1, le=100, description="neighbours of a row that it may move towards")


class Smote(TableGenerator):
    """SMOTE-NC. A value is missing where the train row that it started from misses it."""

    name = "smote"
    Parameters = SmoteParameters

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        return Preparation.learn(frame, schema, linked=self._ordered_pairs(schema))

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        assert self.schema is not None
        target = self._ready.codings[self.schema.target]
        if target.form not in ("discrete", "constant"):
            raise FitError(
                f"smote needs classes, but target '{target.name}' is of type {target.type} with a range of values"
            )
        self.__dict__.pop("typed", None)
        coded = self._ready.encode(frame, seed=None)
        self._columns(coded)
        classes = (
            coded[self._ready.keys[target.name]].to_numpy()
            if target.form == "discrete"
            else np.zeros(len(frame))
        )
        space = self._space()
        rng = np.random.default_rng(derive(seed, "order"))
        k = self.parameters.k_neighbors
        self.neighbours = np.full((len(frame), k), -1, dtype=np.int32)
        steps, notes, cut = 0, [], False
        queue = _chunks(classes, rng)
        for members, chunk in queue:
            if steps and budget.spent(steps):
                cut = True
                break
            self.neighbours[chunk] = _nearest(space, members, chunk, k, self.threads)
            steps += 1
            progress(steps / len(queue), f"smote: neighbours of {steps * CHUNK:,} rows")
        self.bases = np.flatnonzero((self.neighbours >= 0).any(axis=1)).astype(np.int32)
        for label, size in zip(*np.unique(classes, return_counts=True), strict=True):
            shown = target.values[int(label)] if int(label) < len(target.values) else "missing"
            if size == 1:
                notes.append(f"class '{shown}' has one train row, which can only be copied")
            elif size <= k:
                notes.append(
                    f"class '{shown}' has {size} train rows, so {size - 1} neighbours instead of {k}"
                )
        if cut:
            notes.append(
                f"the budget ended the search: {len(self.bases):,} of {len(frame):,} rows are started from"
            )
        self.weights = self._weights(classes)
        return Fit(steps=steps, stopped_by="budget" if cut else "done", notes=notes)

    def _columns(self, coded: pd.DataFrame) -> None:
        """Split coded rows into numbers (rows, numeric) and codes (rows, discrete)."""
        self.numbers = coded[self._ready.numeric].to_numpy(dtype=np.float64)
        self.codes = coded[list(self._ready.discrete)].to_numpy(dtype=np.int32)

    def _space(self) -> np.ndarray:
        """Where rows lie near each other, float32 (rows, dimensions): numbers by their standard deviation, and a
        differing category as far as the median deviation of numbers, which is 1 here."""
        spread = self.numbers.std(axis=0)
        # One constant dimension, so that a table in which nothing varies has a space too.
        parts: list[np.ndarray] = [
            np.zeros((len(self.codes), 1)),
            self.numbers / np.where(spread > 0, spread, 1),
        ]
        for place, levels in enumerate(self._ready.discrete.values()):
            codes = self.codes[:, place].astype(np.int64)
            if levels > MOST_LEVELS:  # too many to unfold: a hash keeps most differences apart
                codes, levels = codes * 2654435761 % 2**32 % HASHED_LEVELS, HASHED_LEVELS
            one = np.zeros((len(codes), levels), dtype=np.float32)
            one[np.arange(len(one)), codes] = np.sqrt(0.5)
            parts.append(one)
        return np.hstack([part.astype(np.float32) for part in parts])

    def _weights(self, classes: np.ndarray) -> np.ndarray:
        """Chance of each base: classes keep their train shares even if the search was cut."""
        own = classes[self.bases]
        labels, place, found = np.unique(own, return_inverse=True, return_counts=True)
        share = np.array([(classes == label).sum() for label in labels]) / found
        return share[place] / share[place].sum()

    def _draw(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        bases = self._bases(count, rng, conditions)
        near = self.neighbours[bases]
        known = (near >= 0).sum(axis=1)
        picked = near[np.arange(count), rng.integers(0, np.maximum(known, 1))]
        picked = np.where(known > 0, picked, bases)
        gap = rng.random((count, 1))
        numbers = self.numbers[bases] + gap * (self.numbers[picked] - self.numbers[bases])
        codes = np.column_stack(
            [self._vote(column, bases, near, rng) for column in range(self.codes.shape[1])]
            or [np.zeros((count, 0), dtype=np.int32)]
        )
        made = pd.DataFrame(numbers, columns=self._ready.numeric)
        return pd.concat([made, pd.DataFrame(codes, columns=list(self._ready.discrete))], axis=1)

    def _make(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        made = super()._make(count, seed=seed, conditions=conditions)
        if conditions:  # a value that moved out of its condition stays where its row started
            start = self._bases(count, np.random.default_rng(derive(seed, "draw")), conditions)
            kept = self.typed.iloc[start].reset_index(drop=True)
            for condition in conditions:
                outside = ~condition.mask(made)
                made.loc[outside, condition.column] = kept.loc[outside, condition.column]
        return made

    def _bases(self, count: int, rng: np.random.Generator, conditions: Conditions) -> np.ndarray:
        """Train rows to start from: the first thing drawn from `rng`, so it can be drawn again."""
        bases, weights = self.bases, self.weights
        if conditions:
            inside = met(conditions, self.typed.iloc[bases])
            if not inside.any():
                told = " and ".join(f"'{condition}'" for condition in conditions)
                raise ConditionError(f"smote starts from train rows, and none of them meets {told}")
            bases, weights = bases[inside], weights[inside] / weights[inside].sum()
        return bases[rng.choice(len(bases), count, p=weights)]

    def _vote(self, column: int, bases: np.ndarray, near: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The neighbours' most frequent code, ties at random; missing where the base misses it."""
        own = self.codes[bases, column]
        key = list(self._ready.discrete)[column]
        if key.startswith("m"):
            return own
        coding = next(c for name, c in self._ready.codings.items() if self._ready.keys[name] == key)
        votes = np.where(near >= 0, self.codes[near, column], -1)
        if coding.absent is not None:
            votes = np.where(votes == coding.absent, -1, votes)
        counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2) + 0.5 * rng.random(votes.shape)
        counts = np.where(votes < 0, -1, counts)
        first = counts.argmax(axis=1)
        rows = np.arange(len(own))
        winner = np.where(counts[rows, first] >= 0, votes[rows, first], own)
        return winner if coding.absent is None else np.where(own == coding.absent, own, winner)

    @functools.cached_property
    def typed(self) -> pd.DataFrame:
        """The train rows that rows start from, as they come out (rows, learnable columns)."""
        numbers = pd.DataFrame(self.numbers, columns=self._ready.numeric)
        codes = pd.DataFrame(self.codes, columns=list(self._ready.discrete))
        return self._ready.decode(pd.concat([numbers, codes], axis=1), 0)

    def _save(self, directory: Path) -> None:
        np.savez(
            directory / ARRAYS,
            numbers=self.numbers,
            codes=self.codes,
            neighbours=self.neighbours,
            bases=self.bases,
            weights=self.weights,
        )

    def _load(self, directory: Path) -> None:
        with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
            self.numbers, self.codes = arrays["numbers"], arrays["codes"]
            self.neighbours, self.bases = arrays["neighbours"], arrays["bases"]
            self.weights = arrays["weights"]


def _chunks(classes: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows of a class, chunk of them) in an order in which every class comes early."""
    found = []
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        order = rng.permutation(members)
        found += [(i, members, order[i : i + CHUNK]) for i in range(0, len(order), CHUNK)]
    return [(members, chunk) for _, members, chunk in sorted(found, key=lambda part: part[0])]


def _nearest(space: np.ndarray, members: np.ndarray, chunk: np.ndarray, k: int, threads: int) -> np.ndarray:
    """The `k` nearest rows of the same class, without the row itself; -1 fills up a small class."""
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    found = np.full((len(chunk), k), -1, dtype=np.int32)
    k = min(k, len(members) - 1)
    if k == 0:
        found[:, 0] = chunk
        return found
    with threadpool_limits(threads):
        search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(space[members])
        near = members[search.kneighbors(space[chunk], return_distance=False)]
    # Among exact duplicates the row itself need not come first.
    own = near == chunk[:, None]
    own[~own.any(axis=1), -1] = True
    found[:, :k] = near[~own].reshape(len(chunk), k)
    return found
