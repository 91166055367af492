"""A prepared table's two sides: the features, as two matrices, and the target."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from leaven.generators.table.coding import Coding
from leaven.generators.table.mingling import Bundle
from leaven.generators.table.prepare import Preparation


class Sides:
    """Names the coded columns of each side, splits coded rows into sides, and joins them again.

    Attributes:
        target: the target's coding; None where it is computed from other columns, or never varies.
        key: the target's coded column.
        numeric, discrete: coded columns of the features; `levels` of each discrete one.
    """

    def __init__(self, preparation: Preparation, target: str):
        coding = preparation.codings.get(target)
        self.target: Coding | None = (
            coding if coding is not None and coding.form in ("discrete", "numeric") else None
        )
        self.key = preparation.keys.get(target, "")
        own = {self.key, _mark(self.key)}
        self.numeric = [key for key in preparation.numeric if key not in own]
        self.discrete = [key for key in preparation.discrete if key not in own]
        self.levels = [preparation.discrete[key] for key in self.discrete]
        self._preparation = preparation

    @property
    def classes(self) -> int:
        """Number of the target's classes; 0 where it has none."""
        return len(self.target.values) if self.target is not None and self.target.form == "discrete" else 0

    def split(self, coded: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The features: numbers float64 (rows, numeric), codes int32 (rows, discrete)."""
        return coded[self.numeric].to_numpy(dtype=np.float64), coded[self.discrete].to_numpy(dtype=np.int32)

    def missing(self, coded: pd.DataFrame) -> np.ndarray:
        """Which of the features' numbers are filled in, bool (rows, numeric)."""
        made = np.zeros((len(coded), len(self.numeric)), dtype=bool)
        for place, key in enumerate(self.numeric):
            if _mark(key) in coded:
                made[:, place] = coded[_mark(key)] == 1
        return made

    def labels(self, coded: pd.DataFrame) -> np.ndarray:
        """Class codes or coded values of the target, float64 (rows,), NaN where it is missing; 0 without a target."""
        if self.target is None:
            return np.zeros(len(coded))
        values = coded[self.key].to_numpy(dtype=float)
        if self.classes:
            return np.where(values < self.classes, values, np.nan)
        return np.where(coded[_mark(self.key)] == 1, np.nan, values) if self.target.marked else values

    def join(self, numbers: np.ndarray, codes: np.ndarray, labels: np.ndarray | None = None) -> pd.DataFrame:
        """Coded rows. Without labels the target is what it is most often, or anything."""
        everything = (*self._preparation.numeric, *self._preparation.discrete)
        columns: dict[str, np.ndarray] = {key: np.zeros(len(numbers), dtype=int) for key in everything}
        columns |= {key: numbers[:, place] for place, key in enumerate(self.numeric)}
        columns |= {key: codes[:, place] for place, key in enumerate(self.discrete)}
        if labels is not None and self.target is not None:
            unknown = np.isnan(labels)
            if self.classes:
                absent = self.target.absent or 0
                columns[self.key] = np.where(unknown, absent, labels).astype(int)
            else:
                columns[self.key] = np.where(unknown, 0.0, labels)
                if self.target.marked:
                    columns[_mark(self.key)] = unknown.astype(int)
        return pd.DataFrame(columns, index=pd.RangeIndex(len(numbers)))

    def bundles(self, tied: Iterable[Iterable[str]]) -> tuple[Bundle, ...]:
        """A bundle for each column (its mark of missing values with it), one for columns that are `tied`."""
        keys: Mapping[str, str] = self._preparation.keys
        groups = [{name} for name in keys]
        for names in map(set, tied):
            joined = [group for group in groups if group & names]
            groups = [group for group in groups if not group & names] + [set().union(*joined)]
        made = []
        for group in groups:
            own = {key for name in group for key in (keys[name], _mark(keys[name]))}
            numbers = tuple(place for place, key in enumerate(self.numeric) if key in own)
            codes = tuple(place for place, key in enumerate(self.discrete) if key in own)
            if numbers or codes:
                made.append(Bundle(numbers, codes, fixed=len(group) > 1))
        return tuple(made)


def _mark(key: str) -> str:
    """The coded column that says where a number is missing."""
    return "m" + key[1:]
