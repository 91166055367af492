"""About how long a run takes. Measured on a machine with two cores; good to a factor of two or three."""

import math
from collections.abc import Sequence
from typing import Any

from leaven.pipelines.recipe import Candidate, Recipe

# Seconds per row and column of one fit (and, where a generator trains in epochs, per epoch).
_FIT = {
    "autoregressive": 9e-5,
    "distillation": 1e-4,
    "gaussian_copula": 4e-5,
    "smote": 1e-6,
    "bootstrap": 1e-7,
    "independent_columns": 1e-6,
    "memoriser": 1e-6,
}
_EPOCH = {"tvae": 7.5e-6, "ctgan": 2.8e-5, "copula_gan": 3.0e-5}
_EPOCHS = 300
_SAMPLE = {"smote": 6e-5}  # seconds per row and column; the others:
_SAMPLE_OTHER = 4e-6
_LEARN = 6e-6  # seconds per row, column and repeat of one arm, all learners together
_LEARN_LEAST = 0.15  # seconds per repeat of one arm, however few its rows
_QUICK = 0.4  # of that, while candidates are compared
_RACE = 0.6  # of the ways in all folds that are left in the race
_JUDGE = 5e-5  # seconds per row and column of fidelity, diversity, privacy and screen, of one candidate
_JUDGE_LEAST = 5.0
_JUDGE_ROWS = 10_000  # more are not looked at
_START = 10.0  # Prefect, report


def fit_seconds(candidate: Candidate, rows: int, columns: int, limit: float) -> float:
    """One fit of a candidate; `limit` is the budget that stops it."""
    cells = rows * columns
    if candidate.generator in _EPOCH:
        epochs = candidate.parameters.get("epochs", _EPOCHS)
        seconds = _EPOCH[candidate.generator] * cells * (epochs if isinstance(epochs, int) else _EPOCHS)
    elif candidate.generator in _FIT:
        seconds = 1.0 + _FIT[candidate.generator] * cells
    else:
        return limit
    return min(seconds, limit)


def estimate(
    recipe: Recipe,
    candidates: Sequence[Candidate],
    *,
    rows: dict[str, int],
    columns: int,
    folds: int,
    amounts: Sequence[Sequence[int]],
) -> float:
    """Seconds of a whole run from nothing.

    Args:
        recipe: budgets and repeats.
        candidates: those that will be tried.
        rows: of train, validation and test.
        columns: number of columns.
        folds: fits of each candidate.
        amounts: for each candidate the synthetic rows of every amount at every level of the screen.
    """
    learn_from = rows["train"] + (rows["validation"] * (folds - 1) // folds if folds > 1 else 0)

    def arm(count: int) -> float:
        count = min(count, recipe.utility.max_rows)
        return recipe.utility.repeats * (_LEARN_LEAST + _LEARN * count * columns)

    def tried(count: int) -> float:
        """An arm in one fold, while candidates are compared."""
        seeds = math.ceil(recipe.utility.repeats / folds) if folds > 1 else min(recipe.utility.repeats, 2)
        return _QUICK * seeds / recipe.utility.repeats * arm(count)

    left = _RACE if folds > 1 else 1.0
    judge = _JUDGE_LEAST + _JUDGE * min(learn_from, _JUDGE_ROWS) * columns
    total = 4 * folds * tried(learn_from)  # real rows alone, and the classic ways
    for candidate, own in zip(candidates, amounts, strict=True):
        one = fit_seconds(candidate, learn_from, columns, recipe.budget.fit)
        one += _SAMPLE.get(candidate.generator, _SAMPLE_OTHER) * sum(own) * columns
        one += left * sum(tried(learn_from + count) for count in own)
        total += folds * one + judge
    total = min(total, recipe.budget.total)
    if candidates:
        slowest = max(
            fit_seconds(c, learn_from + rows["validation"], columns, recipe.budget.fit) for c in candidates
        )
        total += 1.5 * slowest + 10 * arm(2 * learn_from) + judge
    return _START + total


def human(seconds: float) -> str:
    """`about 40 seconds`, `about 12 minutes`, `about 3 hours`."""
    steps: list[tuple[float, str, Any]] = [
        (90, "seconds", 10),
        (5400, "minutes", 60),
        (float("inf"), "hours", 3600),
    ]
    for limit, unit, size in steps:
        if seconds < limit:
            count = max(10, round(seconds / 10) * 10) if unit == "seconds" else round(seconds / size)
            return f"about {count} {unit}"
    return ""
