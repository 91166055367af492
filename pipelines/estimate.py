"""About how long a run takes, good to a factor of two or three."""

from collections.abc import Sequence
from typing import Any, Protocol

from leaven.pipelines.folds import AGAIN, seeds_of
from leaven.pipelines.recipe import Candidate, Recipe

_RACE = 0.6  # of the ways in all folds that are left in the race
_START = 10.0  # Prefect, report


class Costs(Protocol):
    """What a kind's parts of a run take, in seconds."""

    @property
    def quick(self) -> float:
        """An arm's share of `learn` while candidates are compared."""

    @property
    def least_seeds(self) -> int:
        """Seeds in each fold at least."""

    def fit(self, candidate: Candidate, rows: int, limit: float) -> float:
        """One fit of a candidate; `limit` is the budget that stops it."""

    def sample(self, candidate: Candidate, rows: int) -> float:
        """So many synthetic rows."""

    def learn(self, rows: int) -> float:
        """An arm of so many rows once, all learners together."""

    def judge(self, rows: int) -> float:
        """Fidelity, diversity, privacy and screen of one candidate."""


def estimate(
    recipe: Recipe,
    candidates: Sequence[Candidate],
    *,
    rows: dict[str, int],
    costs: Costs,
    folds: int,
    drawings: int = 1,
    amounts: Sequence[Sequence[int]],
) -> float:
    """Seconds of a whole run from nothing.

    Args:
        recipe: budgets and repeats.
        candidates: those that will be tried.
        rows: of train, validation and test.
        costs: of the kind.
        folds: fits of each candidate at most; `drawings`: how often folds are drawn for them, unless that takes long.
        amounts: for each candidate the synthetic rows of every amount at every level of the screen.
    """
    learn_from = rows["train"] + (rows["validation"] * (folds - 1) // folds if folds > 1 else 0)

    def arm(count: int) -> float:
        count = min(count, recipe.utility.max_rows)
        return recipe.utility.repeats * costs.learn(count)

    def tried(count: int) -> float:
        """An arm in one fold, while candidates are compared."""
        seeds = seeds_of(recipe.utility.repeats, folds, costs.least_seeds)
        return costs.quick * seeds / recipe.utility.repeats * arm(count)

    left = _RACE if folds > 1 else 1.0
    judge = costs.judge(learn_from)
    fold, judged = 4 * tried(learn_from), 0.0  # real rows alone, and the classic ways
    for candidate, own in zip(candidates, amounts, strict=True):
        one = costs.fit(candidate, learn_from, recipe.budget.fit)
        one += costs.sample(candidate, sum(own))
        one += left * sum(tried(learn_from + count) for count in own)
        fold, judged = fold + one, judged + judge
    whole = folds // drawings
    drawn = next((n for n in range(1, drawings) if n * whole * fold > AGAIN * recipe.budget.total), drawings)
    total = min(drawn * whole * fold + judged, recipe.budget.total)
    if candidates:
        slowest = max(costs.fit(c, learn_from + rows["validation"], recipe.budget.fit) for c in candidates)
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
