"""Ways to use a candidate: an amount and a screen, each tried beside the others with the same fitted generator."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from leaven.generators.schema import Schema
from leaven.pipelines import amounts, kinds
from leaven.pipelines.amounts import Plan
from leaven.pipelines.recipe import Recipe, Screen
from leaven.pipelines.task import Task


class Way(BaseModel):
    """An amount of rows and the screen that they pass."""

    model_config = ConfigDict(frozen=True)

    plan: Plan
    screen: Screen

    @property
    def label(self) -> str:
        """As progress and reports name it: `ratio 1, strict`."""
        level = self.screen.label_agreement
        return self.plan.label + (f", {level}" if level is not False else "")


def settled(recipe: Recipe, generator: str, schema: Schema, task: Task, counts: Mapping[str, int]) -> Recipe:
    """The recipe with what it leaves to `auto` settled for a generator: the ratio, and the levels of the label screen.

    `counts` are the rows per class that choices are made with, so that every fold tries the same.
    """
    ratio = kinds.get(recipe.source.kind).usual_ratio(generator, schema, sum(counts.values()))
    amount = amounts.settled(recipe.amount, task, counts, ratio)
    return recipe.model_copy(update={"amount": amount, "screen": settled_screen(recipe, generator)})


def settled_screen(recipe: Recipe, generator: str) -> Screen:
    """The recipe's screen with the levels that `auto` stands for with a generator."""
    screen = recipe.screen
    if screen.label_agreement != "auto":
        return screen
    levels = kinds.get(recipe.source.kind).usual_levels(generator)
    return screen.model_copy(update={"label_agreement": list(levels)})


def ways(
    recipe: Recipe, schema: Schema, task: Task, counts: Mapping[str, int], share: float = 1.0
) -> list[Way]:
    """Every amount of a settled recipe at every level of its screen. Arguments and errors as in `amounts.plans`."""
    plans = amounts.plans(recipe.amount, schema, task, counts, share)
    return [Way(plan=plan, screen=screen) for plan in plans for screen in recipe.screen.levels()]


@dataclass(frozen=True)
class Batch:
    """Ways whose rows are made together: the largest one's rows, of which the others take the first."""

    plan: Plan
    screen: Screen
    numbers: tuple[int, ...]


def batches(asked: Mapping[int, Way]) -> list[Batch]:
    """Numbered ways, put together where a smaller amount is the beginning of a larger one."""
    together: dict[tuple[object, ...], list[int]] = {}
    for number, way in asked.items():
        alike = "ratio" if way.plan.nested else way.plan.label
        together.setdefault((alike, way.screen.label_agreement), []).append(number)
    made = []
    for numbers in together.values():
        largest = max((asked[number].plan for number in numbers), key=lambda plan: plan.rows)
        made.append(Batch(largest, asked[numbers[0]].screen, tuple(numbers)))
    return made
