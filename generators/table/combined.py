"""Columns that only take combinations of values seen together in train (fixed combinations)."""

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions, met
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.vocabulary import Vocabulary


class Combination:
    """The combinations of some columns: which tokens stand together, and which values share these tokens."""

    def __init__(
        self, rows: pd.DataFrame, counts: np.ndarray, vocabulary: Vocabulary, preparation: Preparation
    ):
        """`rows`: the distinct combinations of typed values. `counts`: how often each stands in train."""
        self.rows, self.counts, self.columns = rows, counts, list(rows.columns)
        tokens, _ = vocabulary.encode(rows, preparation)
        self.places = {name: vocabulary.columns.index(name) for name in self.columns}
        self.tokens = {name: tokens[:, place].astype(np.int64) for name, place in self.places.items()}
        self.sizes = {name: vocabulary.size(name, preparation) for name in self.columns}
        self.shown = np.ones(len(rows), dtype=bool)
        for name in self.columns:
            if name in vocabulary.hidden:
                self.shown &= self.tokens[name] != self.sizes[name] - 1

    def keep_shown(self) -> None:
        """Forget the combinations with a value that is too rare to be shown."""
        self.rows, self.counts = self.rows[self.shown].reset_index(drop=True), self.counts[self.shown]
        self.tokens = {name: tokens[self.shown] for name, tokens in self.tokens.items()}
        self.shown = self.shown[self.shown]

    def among(self, conditions: Conditions) -> np.ndarray:
        """Which combinations may be drawn under the conditions, bool (combinations,)."""
        return self.shown & met(tuple(c for c in conditions if c.column in self.columns), self.rows)

    def allowed(self, tokens: np.ndarray, known: np.ndarray, name: str, among: np.ndarray) -> np.ndarray:
        """Which tokens of column `name` stand with what is known of the row, bool (rows, tokens).

        `tokens` and `known` are (rows, columns of the vocabulary), `among` is (combinations,).
        """
        made = np.zeros((len(tokens), self.sizes[name]), dtype=bool)
        patterns, place = np.unique(known[:, list(self.places.values())], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            rows = np.flatnonzero(place.ravel() == number)
            before = [n for n, stands in zip(self.places, pattern, strict=True) if stands]
            made[rows] = self._allowed(tokens[rows], before, name, among)
        return made

    def _allowed(self, tokens: np.ndarray, known: list[str], name: str, among: np.ndarray) -> np.ndarray:
        mine, theirs = self._keys(tokens, known, among)
        distinct, place = np.unique(mine, return_inverse=True)
        at = np.searchsorted(distinct, theirs)
        at[at == len(distinct)] = 0
        same = distinct[at] == theirs if len(distinct) else np.zeros(len(theirs), bool)
        table = np.zeros((len(distinct), self.sizes[name]), dtype=bool)
        table[at[same], self.tokens[name][among][same]] = True
        return table[place]

    def draw(self, tokens: np.ndarray, among: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For each row's tokens a combination that has them, by its count; -1 where there is none; int (rows,)."""
        mine, theirs = self._keys(tokens, self.columns, among)
        order = np.argsort(theirs, kind="stable")
        if not len(order):
            return np.full(len(tokens), -1)
        keys, numbers = theirs[order], np.flatnonzero(among)[order]
        ends = np.cumsum(self.counts[numbers])
        first, last = np.searchsorted(keys, mine, "left"), np.searchsorted(keys, mine, "right")
        below = np.where(first > 0, ends[np.maximum(first - 1, 0)], 0)
        above = np.where(last > 0, ends[np.maximum(last - 1, 0)], 0)
        picked = np.searchsorted(ends, below + rng.random(len(mine)) * (above - below), "right")
        return np.where(last > first, numbers[np.minimum(picked, len(numbers) - 1)], -1)

    def _keys(self, tokens: np.ndarray, names: list[str], among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A number for each row's tokens of the columns, and for each combination's, equal where the tokens are."""
        key = np.zeros(len(tokens) + int(among.sum()), dtype=np.int64)
        for name in names:
            own = np.concatenate([tokens[:, self.places[name]].astype(np.int64), self.tokens[name][among]])
            # Renumbered at each column, so that no product of sizes overflows.
            key = np.unique(key * self.sizes[name] + own, return_inverse=True)[1].ravel()
        return key[: len(tokens)], key[len(tokens) :]
