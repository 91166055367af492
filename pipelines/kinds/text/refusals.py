"""What a recipe or a file of texts may not ask for or hold."""

from collections.abc import Sequence
from typing import Any

from leaven.generators.errors import InputError
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.recipe_errors import nearest

_RESERVED = ("_generator", "_source_row", "_seed", "_reason", "_origin", "_row", "_column", "_value")


def refuse_doubled(source: Any) -> None:
    seen: dict[str, int] = {}
    for number, name in enumerate(source.names, 1):
        if name in seen:
            line = "" if source.typed else " line 1"
            raise InputError(
                f"{source.path.name}{line}: the name '{name}' stands over columns {seen[name]} and {number}; "
                "expected different names"
            )
        seen[name] = number


def refuse_unfit(recipe: Recipe, text: str) -> None:
    """What a recipe may ask of tables alone is refused, not ignored."""
    kept = (text, recipe.task.target)
    if recipe.task.type == "regression":
        raise InputError("task.type: texts have classes; regression is for tables")
    if recipe.split.time is not None:
        raise InputError(
            f"split.time: column '{recipe.split.time}': texts are not divided by time; divide them yourself and name "
            "the files (split.validation_path, split.test_path)"
        )
    if recipe.source.columns:
        name = next(iter(recipe.source.columns))
        raise InputError(
            f"source.columns: column '{name}' is given a type; texts and labels have theirs (types are for tables)"
        )
    for name in kept:
        if name in recipe.source.drop:
            raise InputError(
                f"source.drop: column '{name}' is the column of texts or labels; it cannot be left out"
            )


def check_dropped(source: Any, drop: Sequence[str]) -> None:
    for name in drop:
        if name not in source.names and not source.typed:  # a dropped Parquet column has not even been opened
            raise InputError(
                f"source.drop: {source.path.name} has no column '{name}'; {nearest(name, source.names)}"
            )


def check_names(source: Any, text: str, target: str, field: str) -> None:
    if text == target:
        raise InputError(f"task.target: '{target}' is the column of texts; expected the column of labels")
    for asked, name in (("source.text", text), ("task.target", target)):
        if name not in source.names:
            place = asked if field == "source.path" else field
            raise InputError(
                f"{place}: {source.path.name} has no column '{name}'; {nearest(name, source.names)}"
            )
        if name in _RESERVED:
            raise InputError(f"{asked}: the name '{name}' is kept for synthetic rows; rename the column")
