"""Columns that a sum or a formula determines: they are not learned but computed, so that they are right in every row.

Where train misses values of such a column in other rows than where its inputs are missing, it is learned too, for
its missing values, and the computed value takes the place of the drawn one wherever there is one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field

from leaven.generators.conditions import Conditions
from leaven.generators.constraints import Formula, Sum
from leaven.generators.errors import InputError
from leaven.generators.numbers import LARGEST_INTEGER, decimals_of, floats
from leaven.generators.schema import ColumnType, Schema
from leaven.generators.table.chased import NEAR
from leaven.generators.table.coding import Coding, plain
from leaven.generators.table.coding import learn as learn_coding


class Step(BaseModel):
    """One computed column."""

    name: str
    place: int  # number of its constraint
    coding: Coding  # what train shows of it
    decimals: int | None = None
    learned: bool = False  # whether it is learned as well, for its missing values


def order(constraints: Sequence[Any], schema: Schema) -> list[tuple[str, int]]:
    """(column, number of its constraint), in the order in which they are computed.

    A sum gives its total, or, where that is the target, one of its parts: the target must be learned.

    Raises:
        InputError: a column that two constraints determine, a circle of columns, or a formula for the target.
    """
    found: dict[str, int] = {}
    sums = [number for number, one in enumerate(constraints) if isinstance(one, Sum)]
    formulas = [number for number, one in enumerate(constraints) if isinstance(one, Formula)]
    taken = {constraints[n].determined for n in [*sums, *formulas]} - {schema.target}
    for number in sorted([*sums, *formulas]):
        one = constraints[number]
        name = one.determined
        if name == schema.target:
            if isinstance(one, Formula):
                raise InputError(
                    f"constraints.{number}: '{name}' is the target, which is learned: no formula can give it; "
                    "leave the constraint out"
                )
            name = _part(one, schema, taken)
            taken.add(name)
        if name in found:
            raise InputError(
                f"constraints.{number}: column '{name}' is determined by constraints.{found[name]} already"
            )
        found[name] = number
    return _sorted(found, constraints)


def _part(total: Sum, schema: Schema, taken: set[str]) -> str:
    """The last part that nothing else determines, one with decimals where the total has them."""
    free = [name for name in total.parts if name not in taken] or total.parts
    same = [name for name in free if schema[name].type == schema[total.total].type]
    return (same or free)[-1]


def _sorted(found: dict[str, int], constraints: Sequence[Any]) -> list[tuple[str, int]]:
    needs = {name: {n for n in constraints[place].columns_used if n != name} for name, place in found.items()}
    for name, place in found.items():
        one = constraints[place]
        if isinstance(one, Formula) and name in one.arithmetic.columns:
            raise InputError(f"constraints.{place}: column '{name}' follows from itself")
    done: list[str] = []
    while len(done) < len(found):
        ready = [n for n in found if n not in done and not needs[n] & (set(found) - set(done))]
        if not ready:
            circle = sorted((place, name) for name, place in found.items() if name not in done)
            names = ", ".join(f"'{name}'" for _, name in circle)
            raise InputError(
                f"constraints.{circle[0][0]}: columns {names} follow from one another in a circle"
            )
        done += ready
    return [(name, found[name]) for name in done]


class Derivation(BaseModel):
    """The computed columns of a table, in order."""

    steps: list[Step] = Field(default_factory=list)

    @classmethod
    def learn(cls, frame: pd.DataFrame, constraints: Sequence[Any], schema: Schema) -> "Derivation":
        """From train rows that keep the constraints."""
        steps = []
        for name, place in order(constraints, schema):
            column, kind = frame[name], schema[name].type
            coding = learn_coding(plain(column, kind), name, kind, most=None, few=0)
            if coding.form == "empty":
                continue
            values = floats(column)
            told = np.isfinite(_computed(constraints[place], name, frame))
            steps.append(
                Step(
                    name=name,
                    place=place,
                    coding=coding,
                    decimals=decimals_of(values[np.isfinite(values)]),
                    learned=not np.array_equal(told, np.isfinite(values)),
                )
            )
        return cls(steps=steps)

    @property
    def codings(self) -> dict[str, Coding]:
        """What train shows of the computed columns."""
        return {step.name: step.coding for step in self.steps}

    def rest(self, schema: Schema) -> Schema:
        """The schema without the columns that are not learned."""
        gone = {step.name for step in self.steps if not step.learned}
        return schema.model_copy(update={"columns": tuple(c for c in schema if c.name not in gone)})

    def notes(self, constraints: Sequence[Any]) -> list[str]:
        """What the report says of them."""
        return [
            f"column '{step.name}' is computed ({constraints[step.place].kind}), not drawn"
            for step in self.steps
        ]

    def add(
        self,
        frame: pd.DataFrame,
        constraints: Sequence[Any],
        conditions: Conditions = (),
        parts: Mapping[str, Coding] | None = None,
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Drawn rows with the computed columns, and which of them stay within train's bounds, bool (rows,).

        Where `conditions` ask for a total and the codings of its `parts` are given, a sum very near to it becomes
        it, by a change of one part: equal totals hardly come by chance.
        """
        inside = np.ones(len(frame), dtype=bool)
        for step in self.steps:
            constraint = constraints[step.place]
            if isinstance(constraint, Sum) and parts and step.name == constraint.total:
                frame = _towards(frame, constraint, step, conditions, parts)
            values = _computed(constraint, step.name, frame)
            if step.learned:
                drawn = floats(frame[step.name])
                values = np.where(np.isnan(drawn) | np.isnan(values), drawn, values)
            if step.decimals is not None:
                values = np.round(values, step.decimals)
            frame = frame.assign(**{step.name: _typed(values, step.coding.type)})
            inside &= _within(values, step.coding)
        return frame, inside


def put(frame: pd.DataFrame, name: str, constraint: Any, coding: Coding, rows: np.ndarray) -> np.ndarray:
    """Set one column of a constraint to what follows from the others, in the given rows where that can be told.

    Returns:
        Which rows then stand within train's bounds, bool (rows,).
    """
    old, values = floats(frame[name]), _computed(constraint, name, frame)
    values = _rounded(values, coding)
    values = np.where(rows & np.isfinite(values), values, old)
    frame[name] = _typed(values, coding.type)
    return _within(values, coding)


def _computed(constraint: Any, name: str, rows: pd.DataFrame) -> np.ndarray:
    return constraint.computed(rows) if name == constraint.determined else constraint.left_for(name, rows)


def _towards(
    frame: pd.DataFrame, constraint: Sum, step: Step, conditions: Conditions, parts: Mapping[str, Coding]
) -> pd.DataFrame:
    """Change one part where the sum is very near to an asked-for total."""
    asked = [value for one in conditions if one.column == step.name and one.op == "=" for value in one.values]
    fixed = {one.column for one in conditions}
    free = [n for n in constraint.parts if n not in fixed and n in parts and parts[n].form == "numeric"]
    if not asked or not free:
        return frame
    part = max(free, key=lambda name: (parts[name].type == "number", _spread(parts[name])))
    for value in asked:
        missing = float(value) - constraint.computed(frame)
        near = np.abs(missing) <= NEAR * _spread(step.coding)
        changed = _rounded(floats(frame[part]) + np.where(near, missing, 0.0), parts[part])
        take = near & _within(changed, parts[part])
        new = np.where(take, changed, floats(frame[part]))
        frame = frame.assign(**{part: _typed(new, parts[part].type)})
    return frame


def _rounded(values: np.ndarray, coding: Coding) -> np.ndarray:
    decimals = 0 if coding.type == "integer" else coding.decimals
    return values if decimals is None else np.round(values, decimals)


def _spread(coding: Coding) -> float:
    return float((coding.maximum or 0) - (coding.minimum or 0))


def _typed(values: np.ndarray, kind: ColumnType) -> Any:
    if kind == "number":
        return values
    missing = np.isnan(values)
    whole = np.clip(np.where(missing, 0.0, values), -LARGEST_INTEGER, LARGEST_INTEGER)
    return pd.arrays.IntegerArray(np.rint(whole).astype("int64"), missing)


def _within(values: np.ndarray, coding: Coding) -> np.ndarray:
    assert coding.minimum is not None and coding.maximum is not None
    slack = 1e-9 * (coding.maximum - coding.minimum)
    missing = np.isnan(values)
    inside = (values >= coding.minimum - slack) & (values <= coding.maximum + slack)
    return np.where(missing, coding.missing > 0, inside)
