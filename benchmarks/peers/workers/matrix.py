"""Rows as a matrix of numbers and back, for libraries that take nothing else: no leaven in here."""

import numpy as np
import pandas as pd
from harness import Request


class Matrix:
    """Categories and booleans as codes, numbers and dates (in seconds) as they are, missing NaN.

    The coded columns come first, in the order of `names`; `coded` says how many there are.
    """

    def __init__(self, request: Request):
        frame = request.frame()
        categories = request.of("category", "boolean")
        numbers = request.of("number", "integer", "date")
        self.names = [*categories, *numbers]
        self.coded = len(categories)
        self.whole = [name in request.of("integer", "date") for name in self.names]
        self.levels: dict[str, np.ndarray] = {}
        self.dates = set(request.of("date"))
        columns = []
        for name in categories:
            codes, levels = pd.factorize(frame[name], sort=True)
            self.levels[name] = np.asarray(levels, dtype=object)
            columns.append(np.where(codes < 0, np.nan, codes))
        for name in numbers:
            values = frame[name]
            if name in self.dates:
                values = values.astype("datetime64[s]").astype("int64").where(values.notna())
            columns.append(values.to_numpy("float64"))
        self.values = np.column_stack(columns)
        self.known = [np.unique(column[~np.isnan(column)]) for column in self.values.T]

    def frame(self, values: np.ndarray) -> pd.DataFrame:
        """A library's rows as a data frame; codes are rounded and kept inside the levels."""
        made = {}
        for place, name in enumerate(self.names):
            column = np.asarray(values[:, place], dtype="float64")
            if name in self.levels:
                levels = self.levels[name]
                code = np.clip(np.nan_to_num(np.round(column)), 0, len(levels) - 1).astype(int)
                made[name] = np.where(np.isnan(column), None, levels[code])
            elif name in self.dates:
                made[name] = pd.to_datetime(np.round(column), unit="s")
            else:
                made[name] = snapped(column, self.known[place])
        return pd.DataFrame(made)


def snapped(column: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Numbers that single precision has moved off a known one are put back: not the method's doing."""
    if not len(known):
        return column
    above = np.clip(np.searchsorted(known, column), 1, max(1, len(known) - 1))
    pairs = np.stack([known[above - 1], known[np.minimum(above, len(known) - 1)]])
    near = np.where(np.abs(pairs[0] - column) <= np.abs(pairs[1] - column), pairs[0], pairs[1])
    return np.where(np.abs(near - column) <= 1e-6 * np.abs(near), near, column)
