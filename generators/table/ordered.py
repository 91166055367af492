"""Pairs of number columns of which one never exceeds the other, kept while rows are drawn."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions
from leaven.generators.constraints import Inequality
from leaven.generators.table.coding import Coding, plain_floats, step
from leaven.generators.table.prepare import Preparation, numeric_values
from leaven.generators.table.vocabulary import Vocabulary


class OrderedPairs:
    """The values of the columns in inequalities, drawn as soon as their tokens are, so that partners can heed them."""

    def __init__(
        self,
        constraints: Sequence[Inequality],
        vocabulary: Vocabulary,
        preparation: Preparation,
        rng: np.random.Generator,
        conditions: Conditions,
    ):
        cells = vocabulary.cells
        self._pairs = [c for c in constraints if c.low in cells and c.high in cells]
        self._names = {name for pair in self._pairs for name in (pair.low, pair.high)}
        self._vocabulary, self._preparation, self._rng = vocabulary, preparation, rng
        self._conditions = conditions
        self._values: dict[str, np.ndarray] = {}

    @property
    def columns(self) -> set[str]:
        """The columns in a pair."""
        return self._names

    def given(self, tokens: np.ndarray, known: np.ndarray, frame: pd.DataFrame | None) -> None:
        """Start with what is known: the values of `frame` where it has any."""
        for name in sorted(self._names):
            self._values[name] = np.full(len(tokens), np.nan)
        for name in sorted(self._names):
            place = self._vocabulary.columns.index(name)
            rows = np.flatnonzero(known[:, place])
            if frame is not None and name in frame:
                coding = self._preparation.codings[name]
                values = plain_floats(frame[name], coding.type)
                self._values[name][rows] = values[rows]
            elif len(rows):
                self.drawn(place, rows, tokens[rows, place])

    def mask(self, column: int, rows: np.ndarray) -> np.ndarray | None:
        """The share of each token that keeps the pairs whose other column stands, (rows, tokens); None: no pair."""
        name = self._vocabulary.columns[column]
        if name not in self._names:
            return None
        low, high = self._ends(name, rows)
        cells = self._vocabulary.cells[name]
        lows, highs = np.asarray(cells.lows), np.asarray(cells.highs)
        wide = np.where(highs > lows, highs - lows, 1.0)
        above = np.clip((highs - low[:, None]) / wide, 0.0, 1.0)
        above = np.where(lows >= low[:, None], 1.0, np.where(highs < low[:, None], 0.0, above))
        below = np.clip((high[:, None] - lows) / wide, 0.0, 1.0)
        below = np.where(highs <= high[:, None], 1.0, np.where(lows > high[:, None], 0.0, below))
        inside = np.minimum(above, below)
        if self._preparation.codings[name].marked:
            inside = np.hstack([inside, np.ones((len(rows), 1))])
        return inside

    def drawn(self, column: int, rows: np.ndarray, tokens: np.ndarray) -> None:
        """Draw the values of new tokens, within the ends that the partners leave."""
        name = self._vocabulary.columns[column]
        if name not in self._names:
            return
        coding = self._preparation.codings[name]
        asked = [condition for condition in self._conditions if condition.column == name]
        series = self._vocabulary.decode_column(name, tokens, self._preparation, self._rng, asked)
        values = plain_floats(series, coding.type)
        low, high = self._ends(name, rows)
        cells = self._vocabulary.cells[name]
        place = np.minimum(tokens.astype(np.int64), len(cells) - 1)
        bottom = np.maximum(np.asarray(cells.lows)[place], low)
        top = np.minimum(np.asarray(cells.highs)[place], high)
        outside = ((values < low) | (values > high)) & (bottom <= top)
        if outside.any():
            anew = bottom + self._rng.random(len(values)) * (top - bottom)
            values = np.where(outside, self._on_grid(anew, bottom, top, coding), values)
        self._values[name][rows] = values

    def put(self, made: dict[str, pd.Series]) -> None:
        """Put the drawn values in place of those that the tokens gave."""
        for name, values in self._values.items():
            coding = self._preparation.codings[name]
            missing = made[name].isna().to_numpy()
            held = numeric_values(values, coding, missing if coding.marked else None)
            made[name] = held if not np.isnan(values[~missing]).any() else made[name]

    def _ends(self, name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest value that the partners allow, (rows,) each."""
        low, high = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
        for pair in self._pairs:
            if pair.high == name and pair.low in self._values:
                partner = self._values[pair.low][rows]
                low = np.fmax(low, np.nextafter(partner, np.inf) if pair.strict else partner)
            if pair.low == name and pair.high in self._values:
                partner = self._values[pair.high][rows]
                high = np.fmin(high, np.nextafter(partner, -np.inf) if pair.strict else partner)
        return low, high

    @staticmethod
    def _on_grid(values: np.ndarray, low: np.ndarray, high: np.ndarray, coding: Coding) -> np.ndarray:
        """Rounded as the column is, and still between the ends where a step lies between them."""
        least = step(coding)
        if not least:
            return np.clip(values, low, high)
        return np.clip(
            np.rint(values / least) * least, np.ceil(low / least) * least, np.floor(high / least) * least
        )
