"""What `auto` tries, by size: few candidates, each of which exists and none of which is a control."""

import pytest

from leaven.generators import catalog
from leaven.generators.schema import Column, Schema
from leaven.pipelines.kinds.table.kind import ENOUGH, FEW, auto_candidates, usual_levels, usual_ratio
from leaven.pipelines.recipe import LEVELS
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(Column(name="x", type="number"), Column(name="y", type="category")),
    target="y",
)
CLASSES = Task(target="y", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")
NUMBER = Task(target="x", type="regression", metric="r2")


def names(task: Task, rows: int) -> list[str]:
    return [candidate.generator for candidate in auto_candidates(SCHEMA, task, rows)]


@pytest.mark.parametrize("task", [CLASSES, NUMBER], ids=["classes", "number"])
@pytest.mark.parametrize("rows", [20, ENOUGH - 1, ENOUGH, FEW, FEW + 1, 10**6])
def test_size_decides(task: Task, rows: int) -> None:
    tried = names(task, rows)
    assert ("distillation" in tried) == (rows <= FEW)
    assert ("autoregressive" in tried) == (rows >= ENOUGH)
    assert ("gaussian_copula" in tried) == (rows > FEW or task is NUMBER)
    # Every further one costs five fits, and makes the best on validation more of a lucky one.
    assert 1 <= len(tried) <= 3 and len(set(tried)) == len(tried)
    for name in tried:
        assert not catalog.entry(name, "table").control


def test_every_generator_has_levels_and_a_ratio() -> None:
    for name in catalog.names("table"):
        assert set(usual_levels(name)) <= set(LEVELS) and usual_levels(name)
        ratios = [usual_ratio(name, SCHEMA, rows) for rows in (20, 400, 401, 1_500, 1_501, 10**6)]
        assert ratios == ([10, 10, 3, 3, 1, 1] if name == "distillation" else [1] * 6)


def test_no_size_is_beyond_what_a_candidate_learns_from() -> None:
    limit = catalog.get("distillation").Parameters().max_rows  # type: ignore[attr-defined]
    assert limit >= FEW
