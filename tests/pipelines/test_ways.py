"""Ways: every amount at every level, and which of them are made together."""

from leaven.generators.schema import Column, Schema
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.task import Task
from leaven.pipelines.ways import batches, settled, ways

SCHEMA = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="category")), target="y")
TASK = Task(target="y", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")


def recipe(**settings: object) -> Recipe:
    base = {"name": "ways", "source": {"kind": "table", "path": "rows.csv"}, "task": {"target": "y"}}
    return Recipe.model_validate(base | settings)


COUNTS = {"a": 90, "b": 10}


def labels(asked: Recipe, generator: str = "autoregressive", rows: int = 1) -> list[str]:
    counts = {label: count * rows for label, count in COUNTS.items()}
    return [way.label for way in ways(settled(asked, generator, SCHEMA, TASK, counts), SCHEMA, TASK, COUNTS)]


def test_every_amount_is_tried_at_every_level() -> None:
    assert labels(recipe()) == [
        "ratio 1.0",
        "ratio 1.0, mild",
        "ratio 1.0, strict",
        "ratio 1.0 balanced",
        "ratio 1.0 balanced, mild",
        "ratio 1.0 balanced, strict",
    ]
    assert labels(recipe(amount={"ratio": [0.25, 1]}, screen={"label_agreement": 0.1})) == [
        "ratio 0.25, 0.1",
        "ratio 1.0, 0.1",
    ]
    assert labels(recipe(amount={"rows": 5}, screen={"label_agreement": [False, 0.5, False]})) == [
        "rows 5",
        "rows 5, 0.5",
    ]


def test_what_is_left_to_auto_is_what_has_paid_for_the_generator() -> None:
    copula = [
        "ratio 1.0, mild",
        "ratio 1.0, strict",
        "ratio 1.0 balanced, mild",
        "ratio 1.0 balanced, strict",
    ]
    assert labels(recipe(), "gaussian_copula") == copula
    assert labels(recipe(), "distillation") == ["ratio 10.0", "ratio 10.0 balanced"]
    assert labels(recipe(), "distillation", rows=10) == ["ratio 3.0", "ratio 3.0 balanced"]
    assert labels(recipe(), "distillation", rows=100) == ["ratio 1.0", "ratio 1.0 balanced"]
    asked = recipe(amount={"ratio": 0.5}, screen={"label_agreement": [False, 0.5]})  # who asks for it gets it
    assert labels(asked, "gaussian_copula") == ["ratio 0.5", "ratio 0.5, 0.5"]


def test_a_smaller_amount_takes_the_first_rows_of_a_larger_one() -> None:
    asked = recipe(
        amount={"ratio": [0.25, 1], "shares": ["natural", "balanced"]}, screen={"label_agreement": False}
    )
    numbered = dict(enumerate(ways(asked, SCHEMA, TASK, COUNTS)))
    made = {batch.numbers: batch.plan.label for batch in batches(numbered)}
    # Rows of balanced classes come class by class: the first of them are of one class.
    assert made == {(0, 2): "ratio 1.0", (1,): "ratio 0.25 balanced", (3,): "ratio 1.0 balanced"}


def test_levels_are_made_apart() -> None:
    numbered = dict(enumerate(ways(settled(recipe(), "tvae", SCHEMA, TASK, COUNTS), SCHEMA, TASK, COUNTS)))
    assert [batch.numbers for batch in batches(numbered)] == [(n,) for n in range(6)]
