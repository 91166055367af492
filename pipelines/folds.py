"""Folds for cross-validation over train and validation, and the half of them that the worth is measured at."""

import math

import numpy as np

from leaven.generators.seeds import derive
from leaven.pipelines import assignment
from leaven.pipelines.assignment import Units
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.split_content import TRAIN, VALIDATION, Content
from leaven.pipelines.task import Task

SMALL_VALIDATION = 1_000
"""With fewer validation rows, choices are made by cross-validation over train + validation."""


REPEATS = ((400, 4), (1_500, 2))
"""Up to so many rows of train + validation, the folds are drawn so often: where rows are few, which of them a fold
leaves out moves a gain more than the gain is large, and fits take little time."""

AGAIN = 0.05  # share of budget.total up to which the folds so far are cheap enough to be drawn again


def repeats_of(rows: int) -> int:
    """How often folds are drawn over so many rows."""
    return next((repeats for most, repeats in REPEATS if rows <= most), 1)


def seeds_of(repeats: int, folds: int, least: int) -> int:
    """Seeds of a random learner in each fold: all together at least `repeats`, and at least `least` in each. Without
    folds two: many validation rows say more than further seeds."""
    return max(math.ceil(repeats / folds), least) if folds > 1 else min(repeats, 2)


def half_of(drawn: Units, content: Content, inside: np.ndarray, seed: int) -> np.ndarray:
    """A stratified half of the rows `inside`, bool (rows,)."""
    chosen = np.zeros(len(inside), dtype=bool)
    units, of_row = np.unique(drawn.of_row[inside], return_inverse=True)
    part = assignment.draw(
        Units(of_row, drawn.keys[units]), content.strata[inside], [0.5], derive("half", seed)
    )
    chosen[np.flatnonzero(inside)] = part[of_row] == 0
    return chosen


def folds_of(
    recipe: Recipe, content: Content, drawn: Units, parts: np.ndarray, given: list[str], task: Task
) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """Rows to learn from and to score on, of each fold, one drawing of the folds after the other, and how many drawings
    there are; no fold where validation is large enough or given."""
    if "validation" in given or int((parts == VALIDATION).sum()) >= SMALL_VALIDATION:
        return [], 1
    inside = np.isin(parts, [TRAIN, VALIDATION])
    if content.times is not None:
        return _folds_in_time(recipe.utility.folds, content, inside, task), 1
    units, of_row = np.unique(drawn.of_row[inside], return_inverse=True)
    labels = content.strata[inside]
    most = recipe.utility.folds
    if task.type == "classification":
        # Every fold must score every class.
        pairs = np.unique(np.stack([of_row, labels]), axis=1)
        most = min(most, int(np.bincount(pairs[1]).min()))

    def draw(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        of_unit = assignment.draw(Units(of_row, drawn.keys[units]), labels, [1 / count] * (count - 1), seed)
        number = np.full(len(parts), -1)
        number[np.flatnonzero(inside)] = of_unit[of_row]
        return [(inside & (number != k), inside & (number == k)) for k in range(count)]

    for count in range(min(most, len(units)), 1, -1):
        folds = draw(count, derive("folds", recipe.split.seed))
        if _usable(folds, content, task):
            for repeat in range(1, repeats_of(int(inside.sum()))):
                again = draw(count, derive("folds", recipe.split.seed, repeat))
                folds += again if _usable(again, content, task) else []
            return folds, len(folds) // count
    return [], 1


def _folds_in_time(
    most: int, content: Content, inside: np.ndarray, task: Task
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each fold learns from all rows before the block that it scores."""
    assert content.times is not None
    times = content.times
    for count in range(most, 1, -1):
        edges = np.quantile(times[inside], np.linspace(0, 1, count + 2)[1:-1], method="higher")
        block = np.searchsorted(np.unique(edges), times, side="right")
        folds = [
            (inside & (block < k), inside & (block == k)) for k in range(1, int(block[inside].max()) + 1)
        ]
        if len(folds) > 1 and _usable(folds, content, task):
            return folds
    return []


def _usable(folds: list[tuple[np.ndarray, np.ndarray]], content: Content, task: Task) -> bool:
    least = len(task.classes) if task.type == "classification" else 1
    for pair in folds:
        for rows in pair:
            found = len(np.unique(content.strata[rows])) if task.type == "classification" else int(rows.sum())
            if found < least:
                return False
    return True
