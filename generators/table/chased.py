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
        for value in condition.values:
            near = (drawn - value).abs() <= _tolerance(coding)
            frame.loc[near.fillna(False).to_numpy(dtype=bool), coding.name] = value
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
