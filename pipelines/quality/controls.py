"""The rows between which a number stands: as many fresh real ones (floor) and known-bad ones (ceiling)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from leaven.generators.seeds import derive


def draw(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """At most `rows` rows of `frame` without replacement, in random order."""
    picked = np.random.default_rng(seed).permutation(len(frame))[:rows]
    return frame.iloc[picked].reset_index(drop=True)


def independent_columns(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every column shuffled on its own: the shapes stay, everything between columns is gone."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {name: frame[name].iloc[random.permutation(len(frame))].reset_index(drop=True) for name in frame}
    )


def collapsed(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """One row again and again: what a generator makes that has collapsed."""
    row = int(np.random.default_rng(seed).integers(len(frame)))
    return frame.iloc[np.full(rows, row)].reset_index(drop=True)


@dataclass
class Arms:
    """Train rows to compare with, and three sets of `rows` rows each to be compared with them."""

    reference: pd.DataFrame
    synthetic: pd.DataFrame
    fresh: pd.DataFrame
    rows: int
    seed: int

    @classmethod
    def draw(
        cls, train: pd.DataFrame, synthetic: pd.DataFrame, fresh: pd.DataFrame, seed: int, max_rows: int
    ) -> "Arms":
        """As many rows of each as the smallest has, at most `max_rows`.

        Raises:
            ValueError: one of the frames is empty.
        """
        rows = min(len(train), len(synthetic), len(fresh), max_rows)
        if not rows:
            raise ValueError("a fidelity number needs train, synthetic and fresh real rows; one has none")
        return cls(
            reference=draw(train, max_rows, derive(seed, "reference")),
            synthetic=draw(synthetic, rows, derive(seed, "synthetic")),
            fresh=draw(fresh, rows, derive(seed, "fresh")),
            rows=rows,
            seed=seed,
        )

    @property
    def independent(self) -> pd.DataFrame:
        """`rows` rows with the columns of train, each shuffled on its own."""
        return independent_columns(self.reference, derive(self.seed, "independent")).iloc[: self.rows]

    @property
    def collapsed(self) -> pd.DataFrame:
        """`rows` times one train row."""
        return collapsed(self.reference, self.rows, derive(self.seed, "collapsed"))


def between(
    arms: Any,
    score: Callable[[Any], float],
    bad: Any,
    *,
    better: Literal["lower", "higher"],
    what: str,
) -> dict[str, Any]:
    """One number of the report with its floor and ceiling.

    `arms` has `synthetic` and `fresh` rows, of whatever type `score` takes; `bad` is the known-bad generator's.
    """
    return {
        "value": float(score(arms.synthetic)),
        "floor": float(score(arms.fresh)),
        "ceiling": float(score(bad)),
        "better": better,
        "what": what,
    }
