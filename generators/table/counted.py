"""Counts over all rows of a long table, where a sample would take frequent values for rare ones."""

from collections import Counter

import pyarrow.compute as pc

from leaven.generators.rows import Rows
from leaven.generators.table.prepare import Preparation


def recount(preparation: Preparation, rows: Rows, most: int, target: str) -> None:
    """Count categories and missing values batch by batch, and put them in place of those of a sample.

    Args:
        preparation: codings learned from a sample; changed in place.
        rows: all train rows.
        most: categories of a column with a code of their own; the target's all have one.
        target: the target's name.
    """
    counts: dict[str, Counter[str]] = {}
    missing: Counter[str] = Counter()
    total = 0
    for name, coding in preparation.codings.items():
        if coding.type == "category":
            counts[name] = Counter()
    for batch in rows.batches():
        total += batch.num_rows
        for name in preparation.codings:
            column = batch.column(name)
            missing[name] += column.null_count
            if name in counts:
                found = pc.value_counts(column.drop_null())
                values, sizes = found.field(0).to_pylist(), found.field(1).to_pylist()
                counts[name].update(dict(zip(values, sizes, strict=True)))
    for name, coding in preparation.codings.items():
        coding.missing = missing[name] / max(total, 1)
        if not counts.get(name):
            continue
        ranked = sorted(counts[name].items(), key=lambda item: (-item[1], item[0]))
        kept = len(ranked) if name == target or len(ranked) <= most else most - 1
        coding.form = "constant" if len(ranked) == 1 and not coding.missing else "discrete"
        coding.values, coding.counts = [v for v, _ in ranked[:kept]], [c for _, c in ranked[:kept]]
        coding.rest, coding.rest_counts = [v for v, _ in ranked[kept:]], [c for _, c in ranked[kept:]]
