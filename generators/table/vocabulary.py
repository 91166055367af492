"""A table's rows as tokens, and back: one token per value, cell of numbers, or missing value."""

import numpy as np
import pandas as pd
from pydantic import BaseModel

from leaven.generators.conditions import Condition, Conditions
from leaven.generators.schema import Schema
from leaven.generators.table.cells import Cells
from leaven.generators.table.coding import Coding, plain, plain_floats
from leaven.generators.table.prepare import Preparation, as_number, discrete_values, numeric_values

MOST_TOKENS = 65_535  # of one column: tokens are kept as 16-bit numbers


class Vocabulary(BaseModel):
    """The tokens of every learned column, in `columns`' order.

    A discrete column has a token per value, one that the less frequent values share, one for missing, and one for
    values too rare to be shown, which is learned but never drawn. A column of numbers has a token per cell.
    """

    columns: list[str]
    cells: dict[str, Cells]
    hidden: dict[str, int]  # columns with values too rare to be shown -> how many train rows have one

    @classmethod
    def learn(
        cls, frame: pd.DataFrame, preparation: Preparation, bins: int, hidden: dict[str, int], last: str
    ) -> "Vocabulary":
        """Learn the cells from train rows; the column `last` (the target) stands last."""
        columns = [name for name, c in preparation.codings.items() if c.form in ("discrete", "numeric")]
        columns.sort(key=lambda name: name == last)
        cells = {}
        for name in columns:
            if preparation.codings[name].form == "numeric":
                values = plain_floats(frame[name], preparation.codings[name].type)
                cells[name] = Cells.learn(values[np.isfinite(values)], bins)
        return cls(columns=columns, cells=cells, hidden=hidden)

    def ordered(self, name: str) -> int:
        """How many of the column's tokens, from the first, stand for rising numbers."""
        return len(self.cells[name]) if name in self.cells else 0

    def size(self, name: str, preparation: Preparation) -> int:
        """Number of tokens of a column."""
        coding = preparation.codings[name]
        if name in self.cells:
            return len(self.cells[name]) + coding.marked
        return coding.levels + (name in self.hidden)

    def encode(self, frame: pd.DataFrame, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
        """Typed rows -> tokens uint16 (rows, columns), and which are known: a missing value of a column that
        train never missed is not, nor is a column that the frame lacks; bool (rows, columns)."""
        tokens = np.zeros((len(frame), len(self.columns)), dtype=np.uint16)
        known = np.ones(tokens.shape, dtype=bool)
        for j, name in enumerate(self.columns):
            if name not in frame:
                known[:, j] = False
                continue
            coding = preparation.codings[name]
            if name in self.cells:
                values = plain_floats(frame[name], coding.type)
                missing = ~np.isfinite(values)
                tokens[~missing, j] = self.cells[name].encode(values[~missing])
            else:
                series = plain(frame[name], coding.type)
                missing = series.isna().to_numpy()
                found = pd.Index(coding.values, dtype=object).get_indexer(pd.Index(series.astype(object)))
                unknown = found < 0
                shared = coding.other
                if coding.rest and unknown.any():
                    rest = series[unknown].isin(coding.rest).to_numpy()
                    found[np.flatnonzero(unknown)[rest]] = shared
                    unknown = found < 0
                rare = unknown & ~missing
                found[unknown] = coding.levels if name in self.hidden else 0
                known[rare, j] = name in self.hidden
                tokens[:, j] = found
            absent = self.absent(name, preparation)
            if absent is not None:
                tokens[missing, j] = absent
            else:
                known[missing, j] = False
        return tokens, known

    def decode(
        self, tokens: np.ndarray, preparation: Preparation, rng: np.random.Generator, conditions: Conditions
    ) -> dict[str, pd.Series]:
        """Tokens (rows, columns) -> typed columns, within the conditions where the token reaches into them."""
        made: dict[str, pd.Series] = {}
        for j, name in enumerate(self.columns):
            asked = [condition for condition in conditions if condition.column == name]
            made[name] = self.decode_column(name, tokens[:, j], preparation, rng, asked)
        for name, coding in preparation.codings.items():
            if coding.form == "constant":
                made[name] = coding.typed([coding.values[0]] * len(tokens))
            elif coding.form == "empty":
                made[name] = coding.typed([None] * len(tokens))
        return made

    def decode_column(
        self,
        name: str,
        tokens: np.ndarray,
        preparation: Preparation,
        rng: np.random.Generator,
        asked: list[Condition],
    ) -> pd.Series:
        """One column's tokens (rows,) -> typed values."""
        coding = preparation.codings[name]
        if name not in self.cells:
            return discrete_values(tokens.astype(np.int64), coding, asked, rng)
        cells = self.cells[name]
        missing = tokens >= len(cells)
        low, high = window(asked, coding)
        values = cells.draw(np.where(missing, 0, tokens).astype(np.int64), rng, low, high)
        for condition in asked:
            if condition.op == "=":  # a cell holds more than the numbers asked for
                for cell, shares in self._alternatives(condition).items():
                    rows = np.flatnonzero(tokens == cell)
                    odds = np.array(list(shares.values()))
                    values[rows] = rng.choice(np.array(list(shares)), len(rows), p=odds / odds.sum())
        return numeric_values(values, coding, missing if coding.marked else None)

    def absent(self, name: str, preparation: Preparation) -> int | None:
        """The token of a missing value."""
        coding = preparation.codings[name]
        return (len(self.cells[name]) if coding.marked else None) if name in self.cells else coding.absent

    def weigh(self, asked: list[Condition], preparation: Preparation) -> np.ndarray:
        """The share of each token's rows that meet all of one column's conditions, float (tokens,)."""
        name = asked[0].column
        made = np.min([self._weights(condition, preparation) for condition in asked], axis=0)
        if name in self.cells:  # two ends together may leave less than either
            cells = self.cells[name]
            low, high = window(asked, preparation.codings[name])
            if np.isfinite(low) and np.isfinite(high):
                made[: len(cells)] = np.minimum(made[: len(cells)], cells.share(low, high))
        return np.asarray(made)

    def _weights(self, condition: Condition, preparation: Preparation) -> np.ndarray:
        name = condition.column
        coding, made = preparation.codings[name], np.zeros(self.size(name, preparation))
        if name not in self.cells:
            made[: len(coding.values)] = coding.matching(condition, coding.values)
            if coding.rest:
                inside = coding.matching(condition, coding.rest)
                made[len(coding.values)] = np.average(inside, weights=coding.rest_counts)
            return made
        cells = self.cells[name]
        if condition.op == "=":
            for cell, shares in self._alternatives(condition).items():
                made[cell] = sum(shares.values())
        elif condition.op == "!=":
            made[: len(cells)] = 1.0
            for value in condition.values:
                made[: len(cells)] -= cells.share(as_number(value), as_number(value)) * (
                    np.asarray(cells.lows) == np.asarray(cells.highs)
                )
        else:
            made[: len(cells)] = cells.share(*window([condition], coding))
        return made

    def _alternatives(self, condition: Condition) -> dict[int, dict[float, float]]:
        """Cell -> the numbers asked for that lie in it, each with its share of the cell's rows."""
        cells = self.cells[condition.column]
        numbers = np.unique([as_number(value) for value in condition.values])
        made: dict[int, dict[float, float]] = {}
        for cell, value in zip(cells.encode(numbers), numbers, strict=True):
            share = float(cells.share(value, value)[cell])
            made.setdefault(int(cell), {})[float(value)] = max(share, 1e-9)
        return made

    def drawable(self, name: str, preparation: Preparation) -> np.ndarray:
        """1 for tokens that may be drawn, 0 for the one of rare values, float (tokens,)."""
        made = np.ones(self.size(name, preparation))
        if name in self.hidden:
            made[-1] = 0.0
        return made


def window(asked: list[Condition], coding: Coding) -> tuple[float, float]:
    """The ends, both included, that ordered conditions leave to a column of numbers."""
    low, high = -np.inf, np.inf
    for condition in asked:
        value = as_number(condition.values[0])
        if condition.op == ">=":
            low = max(low, value)
        elif condition.op == ">":
            low = max(low, np.nextafter(value, np.inf))
        elif condition.op == "<=":
            high = min(high, value)
        elif condition.op == "<":
            high = min(high, np.nextafter(value, -np.inf))
    return low, high


def hide_rare(preparation: Preparation, schema: Schema, below: int) -> tuple[dict[str, int], list[str]]:
    """Take categories seen in fewer than `below` train rows out of the codings; the target's stay.

    Returns:
        Column -> train rows whose value was taken out, and notes for the report.
    """
    hidden, notes = {}, []
    for name, coding in preparation.codings.items():
        if coding.type != "category" or coding.form != "discrete" or name == schema.target:
            continue
        counts = [*coding.counts, *coding.rest_counts]
        rows = sum(count for count in counts if count < below)
        if not rows:
            continue
        if max(counts) < below:
            notes.append(
                f"column '{name}': no value stands in {below} train rows, so its values are drawn as they are; "
                "make it an identifier or text if they point at persons"
            )
            continue
        gone = sum(count < below for count in counts)
        notes.append(
            f"column '{name}': {gone:,} values in fewer than {below} train rows each are never drawn"
        )
        kept = [(v, c) for v, c in zip(coding.values, coding.counts, strict=True) if c >= below]
        rest = [(v, c) for v, c in zip(coding.rest, coding.rest_counts, strict=True) if c >= below]
        coding.values, coding.counts = [v for v, _ in kept], [c for _, c in kept]
        coding.rest, coding.rest_counts = [v for v, _ in rest], [c for _, c in rest]
        hidden[name] = rows
    return hidden, notes
