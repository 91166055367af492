"""What is said of a table once it is understood: whether the constraints fit it, and what people see of its columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.generators.table import derived
from leaven.pipelines.kinds.table.infer import Understood
from leaven.pipelines.kinds.table.statistics import Statistics
from leaven.pipelines.kinds.table.write_rows import Written
from leaven.pipelines.recipe import Recipe


def check_constraints(recipe: Recipe, schema: Schema) -> None:
    """The constraints' columns have types that can keep them, and no two constraints determine one column.

    Raises:
        InputError: names the constraint, the column and its type.
    """
    for number, constraint in enumerate(recipe.constraints):
        types = {name: schema[name].type for name in constraint.columns_used}
        numeric = ("number", "integer")
        if constraint.kind in ("range", "positive", "sum", "formula"):
            wrong = [name for name, kind in types.items() if kind not in numeric]
            expected = "a number"
        elif constraint.kind == "inequality":
            dated = [name for name, kind in types.items() if kind == "date"]
            wrong = [name for name, kind in types.items() if kind not in (*numeric, "date")]
            if dated and len(dated) < len(types):
                wrong = wrong or dated
            expected = "two numbers or two dates"
        else:
            wrong = [name for name, kind in types.items() if kind in ("text", "identifier")]
            expected = "a column that is learned"
        if wrong:
            raise InputError(
                f"constraints.{number}: column '{wrong[0]}' is of type {types[wrong[0]]}; "
                f"{constraint.kind} needs {expected}"
            )
    derived.order(recipe.constraints, schema)


def profile_of(
    found: Mapping[str, Statistics], columns: Sequence[Understood], schema: Schema, main: Written
) -> dict[str, Any]:
    """What people see of each column. Values of identifiers and free text are not shown: they may name persons."""
    entries = []
    for how in columns:
        column, stats = schema[how.column.name], found[how.column.name]
        entry: dict[str, Any] = {
            "name": column.name,
            "type": column.type,
            "target": column.name == schema.target,
            "missing": main.missing[column.name],
            "distinct": int(stats.distinct),
            "distinct_exact": stats.distinct.exact,
            "note": how.note,
        }
        if column.type in ("number", "integer") and how.style == "plain":
            number = int if column.type == "integer" else float
            if stats.low is not None and stats.high is not None:
                entry["minimum"], entry["maximum"] = number(stats.low), number(stats.high)
        elif column.type == "date" and column.name in main.bounds:
            entry["minimum"], entry["maximum"] = main.bounds[column.name]
        elif column.type in ("category", "boolean") and stats.counts is not None:
            entry["top"] = [{"value": value, "count": count} for value, count in stats.counts.most_common(10)]
        entries.append(entry)
    if main.labels:
        target = next(entry for entry in entries if entry["target"])
        target["top"] = [{"value": value, "count": count} for value, count in main.labels.most_common()]
    return {"rows": main.rows, "columns": entries}
