"""Rows with missing cells -> whole rows: given cells stay, computed columns and constraints hold."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.constraints import Sum
from leaven.generators.errors import ConditionError, InputError
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.generators.table import derived
from leaven.generators.table.chased import told

TRIES = 50  # draws of a row before its given cells count as impossible


def complete(generator: Any, frame: pd.DataFrame, *, seed: int, offset: int = 0) -> pd.DataFrame:
    """The rows of `frame` with every missing cell filled in; see `TableGenerator.complete`."""
    schema: Schema = generator.schema
    unknown = [name for name in frame.columns if name not in schema]
    if unknown:
        raise InputError(f"there is no column '{unknown[0]}'; the columns are {', '.join(schema.names)}")
    frame = frame.reset_index(drop=True)
    given = pd.DataFrame(
        {
            name: frame[name].notna().to_numpy() if name in frame else np.zeros(len(frame), bool)
            for name in schema.names
        },
        index=frame.index,
    )
    made: pd.DataFrame | None = None
    left = np.arange(len(frame))
    fault = np.zeros(0, dtype=object)
    for turn in range(TRIES):
        part, fault = _try(generator, frame.iloc[left], given.iloc[left], derive(seed, "complete", turn))
        if made is None:
            made = part
        else:
            made.iloc[left] = part
        left, fault = left[fault != ""], fault[fault != ""]
        if not len(left):
            break
    else:
        raise ConditionError(
            f"row {left[0] + 1}: {generator.name} finds no values for the missing cells that keep {fault[0]} "
            f"({len(left):,} of {len(frame):,} rows)"
        )
    assert made is not None
    made = generator._finish(made, offset)
    for name in schema.of("identifier", "text"):
        if name in frame:
            made[name] = _kept(made[name], frame[name], given[name])
    return made


def _try(
    generator: Any, frame: pd.DataFrame, given: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """One draw of the missing cells, and for each row what it breaks, object (rows,), empty if nothing."""
    frame, given = frame.reset_index(drop=True), given.reset_index(drop=True)
    codings = {**generator._ready.codings, **generator.derived.codings}
    learned = [name for name in frame.columns if name in generator._ready.codings]
    made = generator._complete(frame[learned], seed=seed)
    for step in generator.derived.steps:
        if step.name not in made:
            made[step.name] = step.coding.typed([None] * len(made))
    for name in codings:
        if name in frame:
            made[name] = _kept(made[name], frame[name], given[name])
    fault = np.full(len(made), "", dtype=object)
    for step in generator.derived.steps:
        constraint = generator.constraints[step.place]
        others = [step.name]
        if isinstance(constraint, Sum):  # whatever is missing follows from the rest
            others = list(dict.fromkeys([step.name, constraint.total, *reversed(constraint.parts)]))
        free = np.ones(len(made), dtype=bool)
        for name in others:
            take = free & ~given[name].to_numpy()
            inside = derived.put(made, name, constraint, codings[name], take)
            drawn = ~given[[other for other in constraint.columns_used if other != name]].all(axis=1)
            fault[take & ~inside & drawn.to_numpy() & (fault == "")] = (
                f"{told(constraint)} within train's range"
            )
            free &= ~take
    for constraint, known in zip(generator.constraints, generator.learned, strict=True):
        own = given[constraint.columns_used].all(axis=1).to_numpy()  # as it was given, right or wrong
        broken = ~constraint.holds(made, known) & ~own & (fault == "")
        fault[broken] = told(constraint)
    return made, fault


def _kept(made: pd.Series, frame: pd.Series, given: pd.Series) -> pd.Series:
    return made.where(~given.to_numpy(), frame)
