"""What the report draws of a table: each column's values and the associations of pairs, real against synthetic.

JSON only, so that a report can be drawn again from `report.json`.
"""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Column, Schema
from leaven.pipelines.task import Task

MAX_COLUMNS = 24  # drawn, the worst first
MAX_PAIRED = 16  # columns of the association matrices
MAX_BARS = 8  # categories drawn; the rest share one bar
MAX_BINS = 24
MAX_ROWS = 5_000  # for associations, which settle long before
OTHER = "(all others)"
_OTHER_CODE = 30  # categories told apart in associations


def panels(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Histograms, bars and association matrices.

    Args:
        fresh: real rows that no generator has seen; how far they are from train rows is the floor.

    Returns:
        `columns`: the target, then the columns that differ most, each with `name`, `kind` (`histogram` with `edges`,
        or `bars` with `labels`), shares `real`, `synthetic` and `fresh`, their `missing` shares and their
        `distance` (total variation, 0 the same, 1 disjoint); `left_out`: how many columns are not among them;
        `association`: `names`, matrices `real` and `synthetic` in [0, 1], and the mean `gap` of synthetic and fresh.
    """
    frames = {"real": train, "synthetic": synthetic, **({"fresh": fresh} if fresh is not None else {})}
    found = [_column(column, frames) for column in schema if column.learnable]
    found.sort(key=lambda panel: (panel["name"] != task.target, -panel["distance"]["synthetic"]))
    return {
        "columns": found[:MAX_COLUMNS],
        "left_out": max(0, len(found) - MAX_COLUMNS),
        "association": _association(schema, task, frames),
    }


def _column(column: Column, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    series = {name: frame[column.name] for name, frame in frames.items()}
    missing = {name: float(values.isna().mean()) if len(values) else 0.0 for name, values in series.items()}
    if column.type in ("category", "boolean"):
        shape, shares = _bars({name: values.dropna().astype(str) for name, values in series.items()})
    else:
        values = {name: numbers(part) for name, part in series.items()}
        shape, shares = _histogram(
            {name: part[np.isfinite(part)] for name, part in values.items()}, column.type
        )
    distance = {
        name: 0.5 * abs(missing[name] - missing["real"])
        + 0.5 * float(np.abs(share * (1 - missing[name]) - shares["real"] * (1 - missing["real"])).sum())
        for name, share in shares.items()
        if name != "real"
    }
    return {
        "name": column.name,
        "type": column.type,
        **shape,
        **{name: _rounded(share) for name, share in shares.items()},
        "missing": {name: round(share, 4) for name, share in missing.items()},
        "distance": {name: round(value, 4) for name, value in distance.items()},
    }


def _bars(series: dict[str, pd.Series]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    counts = {name: values.value_counts() for name, values in series.items()}
    labels = [str(label) for label in counts["real"].index]
    # One more category than fits would make a bar for "others" that holds just one: draw that one instead.
    shown = labels if len(labels) <= MAX_BARS + 1 else labels[:MAX_BARS]
    shares = {}
    for name, found in counts.items():
        part = found.reindex(shown, fill_value=0).to_numpy(dtype=float)
        shares[name] = np.append(part, found.sum() - part.sum()) / max(found.sum(), 1)
    if not any(share[-1] > 0 for share in shares.values()):
        return {"kind": "bars", "labels": shown}, {name: share[:-1] for name, share in shares.items()}
    return {"kind": "bars", "labels": [*shown, OTHER]}, shares


def _histogram(values: dict[str, np.ndarray], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Shared bins. The outer ones hold everything beyond the middle 99 % of the real values."""
    real = values["real"]
    if not len(real):
        edges = np.array([0.0, 1.0])
    else:
        low, high = np.quantile(real, [0.005, 0.995])
        distinct = np.unique(real)
        if kind == "integer" and high - low < MAX_BINS:
            edges = np.arange(low, high + 2) - 0.5
        elif low == high:
            width = max(abs(low) * 0.05, 0.5)
            edges = (
                np.array([low - width, low + width]) if len(distinct) == 1 else np.linspace(*_ends(real), 11)
            )
        else:
            middle = real[(real >= low) & (real <= high)]
            bins = min(MAX_BINS, max(8, len(np.histogram_bin_edges(middle, "sturges")) * 2))
            edges = np.linspace(low, high, bins + 1)
    shares = {
        name: np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] / max(len(part), 1)
        for name, part in values.items()
    }
    return {"kind": "histogram", "edges": [float(edge) for edge in edges]}, shares


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _association(schema: Schema, task: Task, frames: dict[str, pd.DataFrame]) -> dict[str, Any] | None:
    if any(len(frame) < 3 for frame in frames.values()):
        return None
    sampled = {
        name: frame.sample(MAX_ROWS, random_state=0) if len(frame) > MAX_ROWS else frame
        for name, frame in frames.items()
    }
    columns = [schema[task.target], *schema.features]
    real = {column.name: _prepared(sampled["real"][column.name], column) for column in columns}
    strength = {column.name: associated(real[task.target], real[column.name]) for column in columns[1:]}
    names = [task.target, *sorted(strength, key=lambda name: -strength[name])[: MAX_PAIRED - 1]]
    kept = [column for column in columns if column.name in names]
    matrices = {}
    for which, frame in sampled.items():
        parts = [real[c.name] if which == "real" else _prepared(frame[c.name], c) for c in kept]
        matrix = np.eye(len(parts))
        for i in range(len(parts)):
            for j in range(i):
                matrix[i, j] = matrix[j, i] = associated(parts[i], parts[j])
        matrices[which] = matrix
    below = np.tril_indices(len(kept), -1)
    gap = {
        name: round(float(np.abs(matrix - matrices["real"])[below].mean()), 4) if len(kept) > 1 else 0.0
        for name, matrix in matrices.items()
        if name != "real"
    }
    return {
        "names": [column.name for column in kept],
        "real": [_rounded(row, 3) for row in matrices["real"]],
        "synthetic": [_rounded(row, 3) for row in matrices["synthetic"]],
        "gap": gap,
        "left_out": len(columns) - len(kept),
    }


def numbers(values: pd.Series) -> np.ndarray:
    """Numbers, integers and dates (as days) as float64, missing NaN."""
    if pd.api.types.is_datetime64_any_dtype(values):
        # Whole days since 1970 with their fraction; NaT becomes NaN.
        return ((values - pd.Timestamp(0)) / pd.Timedelta(days=1)).to_numpy(dtype=float)
    return values.to_numpy(dtype=float, na_value=np.nan)


def _prepared(values: pd.Series, column: Column) -> tuple[str, np.ndarray]:
    """`("number", ranks)` or `("category", codes)`, with NaN and -1 where missing."""
    if column.type in ("category", "boolean"):
        text = values.astype(object).where(values.notna(), None)
        order = pd.Series(text).dropna().astype(str).value_counts().index[:_OTHER_CODE]
        codes = {label: code for code, label in enumerate(order)}
        return "category", np.array([-1 if v is None else codes.get(str(v), _OTHER_CODE) for v in text])
    return "number", pd.Series(numbers(values)).rank().to_numpy()


def associated(first: tuple[str, np.ndarray], second: tuple[str, np.ndarray]) -> float:
    """How much two columns go together, 0 (not at all) to 1, over rows where both are there.

    |Spearman's correlation| for two numbers, Cramér's V for two categories, the correlation ratio (of ranks) for
    one of each.
    """
    if first[0] == "category" and second[0] == "number":
        first, second = second, first
    (kind, a), (other, b) = first, second
    there = (np.isfinite(a) if kind == "number" else a >= 0) & (
        np.isfinite(b) if other == "number" else b >= 0
    )
    a, b = a[there], b[there]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    if other == "number":
        return float(abs(np.corrcoef(a, b)[0, 1]))
    if kind == "number":
        count = np.bincount(b)
        mean = np.bincount(b, weights=a) / np.maximum(count, 1)
        return float(np.sqrt((count * (mean - a.mean()) ** 2).sum() / ((a - a.mean()) ** 2).sum()))
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    expected = table.sum(1, keepdims=True) * table.sum(0) / len(a)
    chi2 = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / (len(a) * (min(table.shape) - 1))))


def _rounded(values: np.ndarray, digits: int = 5) -> list[float]:
    return [round(float(value), digits) for value in values]
