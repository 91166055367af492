"""The target as the data has it: which task it makes, which classes, which metric, and what is wrong with it."""

from collections.abc import Mapping

from leaven.generators.errors import InputError
from leaven.generators.schema import Column
from leaven.pipelines.recipe import Task as Asked
from leaven.pipelines.recipe_errors import nearest
from leaven.pipelines.task import Task

LEAST_PER_CLASS = 5
"""Rows that a class needs: one each in validation and test, and three to train on."""

MAX_CLASSES = 500
_FEW = 20  # distinct integers that are still taken for classes
_MANY = 100  # distinct numbers that are no classes, whatever the recipe says
_BINARY_METRICS = ("roc_auc", "average_precision", "f1")
_RARE = 0.05  # share of the minority under which average precision is the metric


def task_type(asked: Asked, column: Column, distinct: int, whole: bool, example: str) -> str:
    """Classification or regression, from the recipe or from the target's values.

    Args:
        asked: the recipe's task.
        column: the target as understood.
        distinct: number of its distinct values.
        whole: whether all its numbers are whole ones.
        example: a value, for errors.

    Raises:
        InputError: the target cannot be predicted, or not in the way that the recipe says.
    """
    name = column.name
    if column.type in ("date", "text", "identifier"):
        raise InputError(
            f"task.target: column '{name}' is of type {column.type} (such as {example!r}); "
            "expected classes or numbers"
        )
    if distinct == 0:
        raise InputError(f"task.target: column '{name}' has no values")
    numeric = column.type in ("number", "integer")
    if asked.type == "regression":
        if not numeric:
            raise InputError(
                f"task.type: regression needs numbers, but column '{name}' is of type {column.type} "
                f"(such as {example!r}); say classification"
            )
        if distinct < 3:
            raise InputError(
                f"task.type: regression needs a target with many values, but column '{name}' has {distinct}"
            )
        return "regression"
    if asked.type == "classification":
        if numeric and distinct > _MANY:
            raise InputError(
                f"task.type: classification, but column '{name}' has {distinct:,} distinct numbers "
                f"(such as {example}); say regression"
            )
        return "classification"
    if not numeric:
        return "classification"
    return "classification" if distinct <= _FEW and whole else "regression"


def understand(asked: Asked, column: Column, kind: str, counts: Mapping[str, int]) -> tuple[Task, list[str]]:
    """The task with its classes and metric, and warnings.

    Args:
        asked: the recipe's task.
        column: the target.
        kind: `classification` or `regression`.
        counts: rows of each class label (of usable rows).

    Raises:
        InputError: one class, a class with too few rows, an unknown positive class, or a metric for another task.
    """
    if kind == "regression":
        if asked.metric not in (None, "r2"):
            raise InputError(f"task.metric: '{asked.metric}' is for classification; regression has 'r2'")
        if asked.positive is not None:
            raise InputError("task.positive: regression has no classes; leave it out")
        return Task(target=column.name, type="regression", metric="r2"), []
    classes = tuple(sorted(counts))
    _check_classes(column.name, counts)
    if asked.metric == "r2" or (asked.metric in _BINARY_METRICS and len(classes) > 2):
        use = "macro_f1, balanced_accuracy or accuracy" if len(classes) > 2 else "roc_auc"
        raise InputError(f"task.metric: '{asked.metric}' does not fit {len(classes)} classes; use {use}")
    warnings: list[str] = []
    if asked.positive is not None and asked.positive not in classes:
        from difflib import get_close_matches

        near = get_close_matches(asked.positive, classes, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"the classes are {', '.join(classes[:10])}"
        raise InputError(f"task.positive: column '{column.name}' has no class '{asked.positive}'; {hint}")
    if len(classes) > 2:
        if asked.positive is not None:
            warnings.append("task.positive is not used: there are more than two classes")
        return Task(
            target=column.name,
            type="classification",
            metric=asked.metric or "macro_f1",
            classes=classes,
        ), warnings
    # Equal counts: the later label, so that 1, True and yes are positive.
    positive = asked.positive or max(classes, key=lambda label: (-counts[label], label))
    share = min(counts.values()) / sum(counts.values())
    metric = asked.metric or ("average_precision" if share < _RARE else "roc_auc")
    return Task(
        target=column.name, type="classification", metric=metric, classes=classes, positive=positive
    ), warnings


def same_labels(task: Task, field: str, file: str, labels: Mapping[str, int]) -> None:
    """A file of its own has the classes of the main one, each of them; a regression has none.

    Raises:
        InputError: a class too many or too few; names it.
    """
    if task.type != "classification":
        return
    unknown, absent = sorted(set(labels) - set(task.classes)), sorted(set(task.classes) - set(labels))
    if unknown:
        raise InputError(
            f"{field}: {file} has the class '{unknown[0]}' in column '{task.target}', which the rows to learn from do "
            f"not have; {nearest(unknown[0], task.classes)}"
        )
    if absent:
        raise InputError(f"{field}: {file} has no row of class '{absent[0]}' of column '{task.target}'")


def _check_classes(name: str, counts: Mapping[str, int]) -> None:
    if len(counts) < 2:
        only = next(iter(counts), None)
        raise InputError(f"task.target: column '{name}' has one class only ('{only}'); expected at least two")
    if len(counts) > MAX_CLASSES:
        raise InputError(
            f"task.target: column '{name}' has {len(counts):,} classes; expected at most {MAX_CLASSES} "
            "(is it the right column, or a regression?)"
        )
    rare = [
        label for label in sorted(counts, key=lambda k: (counts[k], k)) if counts[label] < LEAST_PER_CLASS
    ]
    if rare:
        others = f" (and {len(rare) - 1} more)" if len(rare) > 1 else ""
        raise InputError(
            f"task.target: class '{rare[0]}' of column '{name}' has {counts[rare[0]]} rows{others}; expected at least "
            f"{LEAST_PER_CLASS}, so that train, validation and test all have some: merge it or leave it out"
        )
