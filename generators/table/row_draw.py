"""Typed rows from an any-order network: what is asked and what must hold, heeded while a row is drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions
from leaven.generators.constraints import Inequality
from leaven.generators.seeds import derive, seeded
from leaven.generators.table.combined import Combination
from leaven.generators.table.ordered import OrderedPairs
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.vocabulary import Vocabulary

MASK_CELLS = 2**25  # rows drawn at once × tokens of a column: bounds memory where columns have many


class RowDraw:
    """Draws the cells of rows that are not known, chunk by chunk."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        preparation: Preparation,
        constraints: Sequence[Any],
        combinations: Sequence[Combination],
        drawer: Any,
        threads: int,
    ):
        """`drawer`: an `any_order_draw.Drawer`, or None where there is nothing to draw."""
        self._words, self._ready, self._drawer, self._threads = vocabulary, preparation, drawer, threads
        self._inequalities = [c for c in constraints if isinstance(c, Inequality)]
        self._combinations = list(combinations)

    def rows(
        self,
        tokens: np.ndarray,
        known: np.ndarray,
        *,
        chunk: int,
        seed: int,
        conditions: Conditions = (),
        given: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Typed rows with everything drawn that is not known.

        Args:
            tokens: int64 (rows, columns); read where known.
            known: bool (rows, columns).
            chunk: rows drawn at once.
            seed: of the draws.
            conditions: on the drawn columns.
            given: the rows whose missing cells are filled in; then no cell is drawn as missing.
        """
        widest = max((self._words.size(name, self._ready) for name in self._words.columns), default=1)
        chunk = int(np.clip(MASK_CELLS // widest, 256, chunk))
        parts = []
        for number, start in enumerate(range(0, max(len(tokens), 1), chunk)):
            part = slice(start, start + chunk)
            own = None if given is None else given.iloc[part].reset_index(drop=True)
            parts.append(self._chunk(tokens[part], known[part], derive(seed, number), conditions, own))
        return pd.concat(parts, ignore_index=True)

    def _chunk(
        self,
        tokens: np.ndarray,
        known: np.ndarray,
        seed: int,
        conditions: Conditions,
        given: pd.DataFrame | None,
    ) -> pd.DataFrame:
        words, ready = self._words, self._ready
        rng = np.random.default_rng(derive(seed, "values"))
        pairs = OrderedPairs(self._inequalities, words, ready, rng, conditions)
        pairs.given(tokens, known, given)
        among = [combination.among(conditions) for combination in self._combinations]
        if self._drawer is not None and len(tokens):
            asked = self._asked(conditions, given is not None, pairs, among, known)
            with seeded(derive(seed, "draw"), self._threads):
                tokens = self._drawer.draw(tokens, known, asked, derive(seed, "tokens"))
        made = words.decode(tokens, ready, rng, conditions)
        pairs.put(made)
        for combination, inside in zip(self._combinations, among, strict=True):
            picked = combination.draw(tokens, inside, rng)
            some = picked >= 0  # the others are drawn again, as rows that break a constraint
            for name in combination.columns:
                own = combination.rows[name].iloc[np.maximum(picked, 0)].reset_index(drop=True)
                made[name] = made[name].where(~some, own)
        return pd.DataFrame(made, index=pd.RangeIndex(len(tokens)))

    def _asked(
        self,
        conditions: Conditions,
        filling: bool,
        pairs: OrderedPairs,
        among: Sequence[np.ndarray],
        known: np.ndarray,
    ) -> Any:
        """What the drawer is told: weights of tokens, which columns come first, and what ties columns together."""
        from leaven.generators.table.any_order_draw import Asked

        words, combinations = self._words, self._combinations
        tied = pairs.columns | {name for combination in combinations for name in combination.columns}
        standing = known.copy()

        def mask(column: int, tokens: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
            name = words.columns[column]
            held = pairs.mask(column, rows)
            for combination, inside in zip(combinations, among, strict=True):
                if name in combination.columns:
                    own = combination.allowed(tokens[rows], standing[rows], name, inside)
                    held = own if held is None else held * own
            return held

        def drawn(column: int, rows: np.ndarray, tokens: np.ndarray) -> None:
            standing[rows, column] = True
            pairs.drawn(column, rows, tokens)

        weights = self._weights(conditions, filling)
        names = dict.fromkeys(condition.column for condition in conditions)
        places = [words.columns.index(name) for name in names if name in words.columns]
        sets = [place for place in places if (weights[place] > 0).sum() > 1]
        single = [place for place in places if place not in sets]
        free = [place for place in sets if words.columns[place] not in tied]
        return Asked(
            weights=weights,
            first=single + sets,
            single=single,
            jointly=free if len(free) > 1 else (),
            mask=mask if tied else None,
            drawn=drawn if tied else None,
            order=range(len(words.columns)),
        )

    def _weights(self, conditions: Conditions, filling: bool) -> Mapping[int, np.ndarray]:
        """Column -> the share of each token that will do, for columns of which not every token does."""
        words, ready = self._words, self._ready
        weights = {}
        for place, name in enumerate(words.columns):
            own = words.drawable(name, ready)
            absent = words.absent(name, ready)
            if filling and absent is not None:
                own[absent] = 0.0
            asked = [condition for condition in conditions if condition.column == name]
            if asked:
                own = own * words.weigh(asked, ready)
            if asked or not own.all():
                weights[place] = own
        return weights
