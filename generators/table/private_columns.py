"""Values, ranges and counts of single columns, learned from noisy histograms only.

What `Preparation`, `Coding` and `Cells` hold of a private fit comes from here: no exact count, end or value of a
train row gets into a model's files. Each histogram is one Gaussian mechanism; `private` says how they are counted.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.errors import FitError
from leaven.generators.schema import Column, Schema
from leaven.generators.table import private_cells
from leaven.generators.table.cells import Cells
from leaven.generators.table.coding import Coding, plain
from leaven.generators.table.prepare import Preparation
from leaven.generators.table.private import Ledger, Noise
from leaven.generators.table.vocabulary import MOST_TOKENS, Vocabulary

CLASSES = {"category": MOST_TOKENS, "boolean": 2, "integer": 50, "number": 2, "date": 2}  # of a target
ORIGIN = 946_684_800_000_000  # dates are counted from 2000, in microseconds, so that no scale comes from rows
UNITS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000, 1)  # of a date, in microseconds
DECIMALS = 9  # a number with more is kept as it comes
SEEN = 0.05  # share of rows from which a precision counts as the column's


@dataclass
class Learned:
    """The private counterpart of what is otherwise learned from rows as they are."""

    preparation: Preparation
    vocabulary: Vocabulary
    counts: dict[str, np.ndarray]  # column -> noisy rows of each of its tokens, all above 0
    noise: float  # standard deviation on every count
    histograms: int
    threshold: float  # noisy rows from which a value of an open list is kept
    notes: list[str] = field(default_factory=list)


class Counter:
    """Makes noisy histograms, and keeps to the number of them that was paid for."""

    def __init__(self, noise: float, threshold: float, paid: int, rng: np.random.Generator):
        self.noise, self.threshold = noise, threshold
        self._left, self._rng = paid, rng

    def __call__(self, counts: Any) -> np.ndarray:
        """Counts of one histogram, in which every row stands at most once -> noisy ones, whole numbers."""
        if self._left <= 0:
            raise RuntimeError("more histograms than the privacy accountant was told of")
        self._left -= 1
        counts = np.asarray(counts, dtype=float)
        # Rounded: the last bits of a float sum can tell the count (Mironov 2012).
        return np.rint(counts + self._rng.normal(0.0, self.noise, counts.shape))


def learn(
    frame: pd.DataFrame,
    schema: Schema,
    ledger: Ledger,
    noise: Noise,
    *,
    bins: int,
    max_categories: int,
    rare_below: int,
) -> Learned:
    """Learn all columns, and write what it costs down in the ledger."""
    target = schema.target
    columns = [column for column in schema if column.learnable]
    classes = _classes(frame, schema)
    paid = sum(_histograms(c, classes if c.name == target else None) for c in columns)
    lists = sum(c.type != "boolean" for c in columns if c.name != target or classes is None)
    sigma = ledger.noise_for(ledger.asked.preprocessing * ledger.asked.epsilon, 1.0, paid)
    ledger.add(sigma, times=paid)
    # Rounded up, as noisy counts are rounded too.
    from scipy import stats

    threshold = math.ceil(1 + sigma * float(stats.norm.isf(ledger.open_delta / max(lists, 1))))
    counter = Counter(sigma, max(threshold, rare_below), paid, noise.numpy())
    codings: dict[str, Coding] = {}
    cells: dict[str, Cells] = {}
    hidden: dict[str, int] = {}
    counts: dict[str, np.ndarray] = {}
    for column in columns:
        values = plain(frame[column.name], column.type)
        if column.name == target and classes is not None:
            made = _listed(values, column, ledger.rows, classes, counter)
        elif column.type == "boolean":
            made = _listed(values, column, ledger.rows, [False, True], counter)
        elif column.type == "category":
            made = _category(values, column, ledger.rows, counter, max_categories)
            if made[0].form == "discrete":
                hidden[column.name] = int(made[1][-1])
        else:
            found = _numeric(values, column, ledger.rows, counter, bins)
            made = found[:2]
            if found[2] is not None:
                cells[column.name] = found[2]
        codings[column.name], counts[column.name] = made
    return Learned(
        preparation=Preparation(
            codings=codings, keys={c.name: f"x{i}" for i, c in enumerate(schema) if c.learnable}
        ),
        vocabulary=Vocabulary(
            columns=sorted(
                (name for name, c in codings.items() if c.form != "empty"), key=lambda name: name == target
            ),
            cells=cells,
            hidden=hidden,
        ),
        counts=counts,
        noise=sigma,
        histograms=paid,
        threshold=counter.threshold,
        notes=[
            f"column '{name}': nothing of it stands in {counter.threshold:,.0f} rows, so with this epsilon it is "
            "missing in every row"
            for name, coding in codings.items()
            if coding.form == "empty"
        ],
    )


def _classes(frame: pd.DataFrame, schema: Schema) -> list[Any] | None:
    """The target's classes, which count as public; None for a target that is a quantity."""
    column = schema[schema.target]
    found = sorted(plain(frame[column.name], column.type).dropna().unique().tolist())
    if not found:
        raise FitError("privacy: the target is empty")
    if len(found) > CLASSES[column.type]:
        return None
    return [False, True] if column.type == "boolean" else found


def _histograms(column: Column, classes: list[Any] | None) -> int:
    """How many noisy histograms a column takes."""
    if classes is not None or column.type in ("category", "boolean"):
        return 1
    return private_cells.HISTOGRAMS + (column.type != "integer")


def _missing(column: Column, noisy: float, rows: int) -> float:
    """Share of missing values: never 0 where the schema allows them, so that a token of theirs is learned."""
    return float(np.clip(noisy, 0.5, rows) / rows) if column.nullable else 0.0


def _listed(
    values: pd.Series, column: Column, rows: int, known: list[Any], counter: Counter
) -> tuple[Coding, np.ndarray]:
    """A column whose values are known beforehand."""
    exact = [int((values == value).sum()) for value in known] + [int(values.isna().sum())]
    return _discrete(column, rows, known, counter(exact))


def _category(
    values: pd.Series, column: Column, rows: int, counter: Counter, most: int
) -> tuple[Coding, np.ndarray]:
    """A column whose values are an open list. Its last token stands for those that are not kept."""
    empty = values.isna().to_numpy()
    # Missing is one more key of the same histogram; unlike the others it is known beforehand.
    counted = values[~empty].value_counts().sort_index()
    noisy = counter([*counted.tolist(), int(empty.sum())])
    kept = [(v, c) for v, c in zip(counted.index, noisy[:-1], strict=True) if c > counter.threshold]
    kept = sorted(kept, key=lambda pair: -pair[1])[:most]
    if not kept:
        return Coding(name=column.name, type=column.type, form="empty", missing=1.0), np.zeros(0)
    coding, counts = _discrete(
        column, rows, [v for v, _ in kept], np.array([*(c for _, c in kept), noisy[-1]])
    )
    return coding, np.append(counts, max(rows - counts.sum(), 0.5))


def _discrete(column: Column, rows: int, values: list[Any], noisy: np.ndarray) -> tuple[Coding, np.ndarray]:
    """`noisy`: rows of each value, and last of the missing ones."""
    order = np.argsort(-noisy[:-1], kind="stable")
    counts = np.maximum(noisy[:-1][order], 0.5)
    missing = _missing(column, float(noisy[-1]), rows)
    coding = Coding(
        name=column.name,
        type=column.type,
        form="discrete",
        missing=missing,
        values=[values[place] for place in order],
        counts=[max(1, int(count)) for count in counts],
    )
    return coding, np.append(counts, missing * rows) if missing else counts


def _numeric(
    values: pd.Series, column: Column, rows: int, counter: Counter, bins: int
) -> tuple[Coding, np.ndarray, Cells | None]:
    present = values.dropna().to_numpy(dtype="float64")
    coding = Coding(name=column.name, type=column.type, form="numeric")
    unit: float | None = 1.0
    origin = 0.0
    if column.type == "date":
        finest = _finest(_date_units(present), counter, rows, len(UNITS))
        coding.resolution = UNITS[-1 if finest is None else finest]
        unit, origin = float(coding.resolution), float(ORIGIN)
    elif column.type == "number":
        coding.decimals = _finest(_decimals(present), counter, rows, DECIMALS)
        unit = None if coding.decimals is None else 10.0**-coding.decimals
    grid = (present - origin) if unit is None else np.rint((present - origin) / unit)
    made = private_cells.learn(grid, len(values) - len(present), unit is not None, counter, rows, bins)
    if not made.leaves:
        return coding.model_copy(update={"form": "empty", "missing": 1.0}), np.zeros(0), None
    cells = made.cells(1.0 if unit is None else unit, origin, coding.decimals)
    ends = [cells.lows[0], cells.highs[-1]]
    whole = column.type != "number"
    coding.minimum, coding.maximum = (round(ends[0]), round(ends[1])) if whole else (ends[0], ends[1])
    middle = int(np.searchsorted(np.cumsum(made.counts), made.counts.sum() / 2))
    coding.median = (cells.lows[middle] + cells.highs[middle]) / 2
    coding.missing = _missing(column, made.missing, rows)
    counts = np.append(made.counts, coding.missing * rows) if coding.missing else made.counts
    return coding, counts, cells


def _finest(keys: np.ndarray, counter: Counter, rows: int, most: int) -> int | None:
    """The finest precision (a key below `most`) that a fair share of rows has; None: finer than all, or unclear."""
    noisy = counter(np.bincount(keys, minlength=most + 1))
    seen = np.flatnonzero(noisy > max(3 * counter.noise, SEEN * rows))
    return int(seen[-1]) if len(seen) and seen[-1] < most else None


def _decimals(values: np.ndarray) -> np.ndarray:
    """How many decimals each number is written with, at most `DECIMALS`."""
    found = np.full(len(values), DECIMALS)
    for decimals in reversed(range(DECIMALS)):
        found[np.round(values, decimals) == values] = decimals
    return found


def _date_units(values: np.ndarray) -> np.ndarray:
    """The number of the coarsest unit that each date is a multiple of."""
    found = np.full(len(values), len(UNITS) - 1)
    for number in reversed(range(len(UNITS))):
        found[values % UNITS[number] == 0] = number
    return found
