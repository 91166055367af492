"""Diversity of texts: do synthetic ones reach all that real ones reach, in other words than their own?"""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.points.arms import Points
from leaven.pipelines.quality.points.diversity import COLLAPSED, compare
from leaven.pipelines.quality.texts.arms import draw
from leaven.pipelines.task import Task


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int = 5_000,
) -> dict[str, dict[str, Any]]:
    """How much of the real texts' variety the synthetic ones have. Arguments and result as for `fidelity.measure`."""
    arms = draw(schema, train=train, synthetic=synthetic, fresh=fresh, seed=seed, max_rows=max_rows)
    bad = arms.collapsed()
    found = compare(arms, task)
    for size, noun in ((1, "words"), (2, "pairs of words")):
        found[f"distinct_{size}"] = arms.between(
            lambda rows, size=size: distinct(rows, size),  # type: ignore[misc]
            bad,
            better="higher",
            what=f"different {noun} as a share of all {noun}, over as many texts (distinct-{size}; {COLLAPSED})",
        )
    return found


def distinct(rows: Points, size: int) -> float:
    """Different runs of `size` words as a share of all (Li et al. 2016)."""
    runs = [
        tuple(words[place : place + size])
        for words in (str(text).lower().split() for text in rows.content)
        for place in range(len(words) - size + 1)
    ]
    return len(set(runs)) / len(runs) if runs else float(np.nan)
