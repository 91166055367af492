"""What drawing again needs: numbers near to asked-for ones become them, and a yield that is hopeless is said."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions
from leaven.generators.errors import ConditionError
from leaven.generators.table.coding import Coding, step

NEAR = 0.01  # of a column's spread: so near to an asked-for number a drawn one counts as it


def exact(frame: pd.DataFrame, conditions: Conditions, codings: Mapping[str, Coding]) -> pd.DataFrame:
    """A drawn number very near to the asked-for one becomes it: equal floats never come by chance."""
    for condition in conditions:
        coding = codings[condition.column]
        if condition.op != "=" or coding.form != "numeric":
            continue
        drawn = frame[coding.name]
        nearest: pd.Series | None = None  # of several numbers asked for, the nearest one may claim a row
        for value in condition.values:
            off = (drawn - value).abs()
            if nearest is None:
                wanted, nearest = pd.Series([value] * len(drawn), index=drawn.index, dtype=drawn.dtype), off
            else:
                closer = (off < nearest).fillna(False).to_numpy(dtype=bool)
                wanted, nearest = wanted.mask(closer, value), nearest.mask(closer, off)
        if nearest is not None:
            near = (nearest <= _tolerance(coding)).fillna(False).to_numpy(dtype=bool)
            frame[coding.name] = drawn.mask(near, wanted)
    return frame


def _tolerance(coding: Coding) -> Any:
    assert coding.minimum is not None and coding.maximum is not None
    spread = max(NEAR * (coding.maximum - coding.minimum), step(coding) / 2)
    return pd.Timedelta(microseconds=spread) if coding.type == "date" else spread


def too_few(
    name: str, conditions: Conditions, constraints: Sequence[Any], alone: np.ndarray, kept: int, made: int
) -> ConditionError:
    """The error that a generator makes too few rows that meet all that is asked.

    Args:
        name: of the generator.
        conditions: what was asked.
        constraints: what must hold besides.
        alone: drawn rows that meet each condition, each constraint, and the range of computed columns.
        kept: drawn rows that meet all.
        made: drawn rows.
    """
    names = [f"condition '{c}'" for c in conditions] + [f"constraint {told(c)}" for c in constraints]
    names.append("the range of the computed columns")
    rarest = int(np.argmin(alone))
    together = " and ".join(f"'{condition}'" for condition in conditions) or "the constraints"
    return ConditionError(
        f"{name} makes too few rows that meet {together}: {kept:,} of {made:,} drawn; {names[rarest]} "
        f"alone held in {alone[rarest]:,}. Ask for less, or use a generator that draws by it (autoregressive)"
    )


def told(constraint: Any) -> str:
    """A constraint as a person says it: `inequality(start, end)`."""
    return f"{constraint.kind}({', '.join(constraint.columns_used)})"
