"""Classes of rows that have nothing else to be asked for by: images and texts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions
from leaven.generators.contract import Generator
from leaven.generators.errors import ConditionError


def draw(
    generator: Generator,
    classes: Sequence[str],
    counts: Sequence[int],
    count: int,
    seed: int,
    conditions: Conditions,
) -> np.ndarray:
    """A class for each row, at train's shares, among those asked for; int64 (count,).

    Args:
        generator: who is asked, for the messages.
        classes, counts: labels, and train rows of each.
        count: rows.
        seed: of the classes drawn.
        conditions: on the class.

    Raises:
        ConditionError: a condition on anything but the class, or one that no class meets.
    """
    assert generator.schema is not None
    shares, target = np.array(counts, dtype=float), generator.schema.target
    for condition in conditions:
        if condition.column != target:
            raise ConditionError(
                f"{generator.name}: condition '{condition}' is not on the class; {generator.kind}s can be asked for "
                f"by '{target}' alone"
            )
        shares[~condition.mask(pd.DataFrame({target: classes}))] = 0
    if not shares.any():
        told = " and ".join(f"'{condition}'" for condition in conditions)
        raise ConditionError(f"{generator.name}: no class meets {told}; there are {', '.join(classes[:20])}")
    return np.random.default_rng(seed).choice(len(shares), count, p=shares / shares.sum())
