"""Diversity: do synthetic rows reach everything that real rows reach? Each number stands between two controls."""

from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.schema import Schema
from leaven.pipelines.quality.controls import Arms, between
from leaven.pipelines.quality.encode import Encoder, as_labels
from leaven.pipelines.quality.fidelity import Neighbourhoods
from leaven.pipelines.quality.neighbours import row_keys
from leaven.pipelines.task import Task

RARE = 0.05  # a category is rare up to this share of the rows


def measure(
    schema: Schema,
    task: Task,
    *,
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    max_rows: int = 10_000,
) -> dict[str, dict[str, Any]]:
    """How much of the real rows' variety the synthetic rows have.

    Arguments, result and errors as for `fidelity.measure`. `category_coverage` is left out where there are
    none, `class_spread` where the task is no classification.
    """
    arms = Arms.draw(train, synthetic, fresh, seed, max_rows)
    encoder = Encoder.fit(schema, arms.reference)
    results = {
        "coverage": between(
            arms,
            Neighbourhoods(encoder, arms.reference.iloc[: arms.rows]).coverage,
            arms.independent,
            better="higher",
            what="share of train rows that have a synthetic row among their nearest "
            "(ceiling: independent columns)",
        ),
        "distinct_rows": between(
            arms,
            lambda rows: len(np.unique(row_keys(schema, rows))) / len(rows),
            arms.collapsed,
            better="higher",
            what="share of rows that are left when repeated ones are counted once "
            "(ceiling: one row again and again)",
        ),
    }
    rare = rare_categories(encoder, arms.reference)
    if rare:
        results["category_coverage"] = between(
            arms,
            lambda rows: rare_coverage(encoder, rare, rows),
            arms.collapsed,
            better="higher",
            what=f"share of train's rare categories (up to {RARE:.0%} of rows) that occur "
            "(ceiling: one row again and again)",
        )
    if task.type == "classification":
        results["class_spread"] = between(
            arms,
            lambda rows: class_spread(encoder, task, arms.reference, rows),
            arms.collapsed,
            better="higher",
            what="spread of the rows of one class against train's, at most 1, mean over classes "
            "(ceiling: one row again and again)",
        )
    return results


def rare_categories(encoder: Encoder, real: pd.DataFrame) -> list[np.ndarray]:
    """For each discrete column the codes of its rare categories; empty if there are none anywhere."""
    codes = encoder.codes(real)
    found = []
    for column in codes.T:
        values, counts = np.unique(column[column > 0], return_counts=True)
        found.append(values[counts <= RARE * len(column)])
    return found if any(len(values) for values in found) else []


def rare_coverage(encoder: Encoder, rare: list[np.ndarray], rows: pd.DataFrame) -> float:
    """Share of the rare categories that occur in `rows`."""
    codes = encoder.codes(rows)
    hits = sum(int(np.isin(values, codes[:, j]).sum()) for j, values in enumerate(rare))
    return hits / sum(len(values) for values in rare)


def class_spread(encoder: Encoder, task: Task, real: pd.DataFrame, rows: pd.DataFrame) -> float:
    """Mean over classes of the ratio of spreads (root of the total variance), each at most 1."""
    spreads = [_spreads(encoder, task, frame) for frame in (real, rows)]
    ratios = [
        min(1.0, spreads[1].get(label, 0.0) / spread) for label, spread in spreads[0].items() if spread > 0
    ]
    return float(np.mean(ratios)) if ratios else 1.0


def _spreads(encoder: Encoder, task: Task, frame: pd.DataFrame) -> dict[str, float]:
    labels, points = as_labels(frame[task.target]), encoder.space(frame)
    result = {}
    for label in task.classes:
        inside = points[labels == label]
        if len(inside) > 1:
            result[label] = float(np.sqrt(inside.var(axis=0, ddof=1).sum()))
    return result
