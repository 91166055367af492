"""Which conditions train rows make possible, said before anything is drawn."""

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.conditions import Condition, Conditions
from leaven.generators.errors import ConditionError
from leaven.generators.schema import Schema
from leaven.generators.table.coding import Coding, step
from leaven.generators.table.prepare import as_number


def check(conditions: Conditions, codings: Mapping[str, Coding], schema: Schema) -> None:
    """Refuse what no train row shows, as the `codings` of its columns tell.

    Raises:
        ConditionError: names the condition, what train has instead, and the nearest value.
    """
    for condition in conditions:
        if condition.column not in schema:
            raise ConditionError(
                f"condition '{condition}': there is no column '{condition.column}'; the columns are "
                f"{', '.join(schema.names)}"
            )
        coding = codings.get(condition.column)
        if coding is None:
            raise ConditionError(
                f"condition '{condition}': column '{condition.column}' is of type "
                f"{schema[condition.column].type}: it is not learned, so rows cannot be asked for by it"
            )
        if coding.form == "empty":
            raise ConditionError(
                f"condition '{condition}': column '{coding.name}' is empty in every train row"
            )
        if coding.form == "numeric":
            _numeric(condition, coding)
        else:
            _discrete(condition, coding)
    for name in dict.fromkeys(condition.column for condition in conditions):
        _together([condition for condition in conditions if condition.column == name], codings[name])


def _together(asked: list[Condition], coding: Coding) -> None:
    """Refuse conditions on one column that no value meets together: `age>=60` and `age<30`."""
    if len(asked) < 2:
        return
    values: list[Any] = [*coding.values, *coding.rest]
    if coding.form == "numeric":  # what a set of orders leaves has an end at, or next to, one of these
        assert coding.minimum is not None and coding.maximum is not None
        exact = coding.type != "number"  # whole numbers may be beyond what floats can tell apart
        ends = [value if isinstance(value, int) else as_number(value) for c in asked for value in c.values]
        least = step(coding) or 1e-9 * (coding.maximum - coding.minimum)
        near = [
            (int(end) + way * int(least)) if exact else end + way * least
            for end in [*ends, coding.minimum, coding.maximum]
            for way in (-1, 0, 1)
        ]
        values = [value for value in near if coding.minimum <= value <= coding.maximum]
    inside = np.ones(len(values), dtype=bool)
    for condition in asked:
        inside &= coding.matching(condition, values)
    if not inside.any():
        told = " and ".join(f"'{condition}'" for condition in asked)
        raise ConditionError(
            f"no train row can meet {told} together: no value of column '{coding.name}' is left"
        )


def _discrete(condition: Condition, coding: Coding) -> None:
    known = [*coding.values, *coding.rest]
    if condition.op == "=":
        for value in condition.values:
            alone = Condition(column=condition.column, values=(value,))
            if not coding.matching(alone, known).any():
                raise ConditionError(
                    f"condition '{condition}': no train row has '{value}' in column '{coding.name}'"
                    f"{_near(str(value), coding, known)}; train has {_some(coding, known)}"
                )
    elif not coding.matching(condition, known).any():
        raise ConditionError(
            f"condition '{condition}': no train row meets it; column '{coding.name}' has {_some(coding, known)}"
        )


def _numeric(condition: Condition, coding: Coding) -> None:
    ends = [coding.minimum, coding.maximum]
    # An order holds for some value if it holds for an end; `=` asks for a value between them.
    possible = bool(coding.matching(condition, ends).any())
    if condition.op == "=":
        low, high = coding.typed(ends)
        possible = all(low <= value <= high for value in condition.values)
    elif condition.op == "!=":
        possible = True
    if not possible:
        raise ConditionError(
            f"condition '{condition}': column '{coding.name}' runs from {_shown(coding, coding.minimum)} to "
            f"{_shown(coding, coding.maximum)} in train"
        )


def _near(value: str, coding: Coding, known: list) -> str:
    if coding.type != "category":
        return ""
    near = difflib.get_close_matches(value, [str(other) for other in known[:10_000]], n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def _some(coding: Coding, known: list, most: int = 8) -> str:
    shown = ", ".join(_shown(coding, value) for value in known[:most])
    return f"{shown} and {len(known) - most:,} more" if len(known) > most else shown


def _shown(coding: Coding, value: object) -> str:
    if coding.type == "date":
        return str(pd.Timestamp(np.datetime64(int(value), "us")))  # type: ignore[call-overload]
    return str(value)
