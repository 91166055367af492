"""Amounts become orders, orders become shards."""

from typing import Any

import pytest

from leaven.generators.errors import InputError
from leaven.generators.schema import Column, Schema
from leaven.pipelines.amounts import plans, settled, shards
from leaven.pipelines.recipe import Amount
from leaven.pipelines.task import Task

SCHEMA = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="category")), target="y")
TASK = Task(target="y", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")
COUNTS = {"a": 90, "b": 10}


def test_ratios_are_tried_from_small_to_large() -> None:
    found = plans(Amount(ratio=[1.0, 0.25]), SCHEMA, TASK, COUNTS)
    assert [plan.rows for plan in found] == [25, 100]
    assert found[0].amount == {"ratio": 0.25}


def test_shares_are_tried_beside_each_other() -> None:
    natural, balanced = plans(settled(Amount(), TASK, COUNTS, 1.0), SCHEMA, TASK, COUNTS)
    assert natural.amount == {"ratio": 1.0} and natural.rows == 100 and natural.nested
    assert balanced.amount == {"ratio": 1.0, "shares": "balanced"} and not balanced.nested
    assert [(order.rows, str(order.conditions[0])) for order in balanced.orders] == [(50, "y=a"), (50, "y=b")]


def test_a_ratio_keeps_natural_shares_unless_asked_otherwise() -> None:
    assert [plan.label for plan in plans(Amount(ratio=[0.5]), SCHEMA, TASK, COUNTS)] == ["ratio 0.5"]
    both = Amount(ratio=[0.5], shares="balanced")  # type: ignore[arg-type]
    assert [plan.label for plan in plans(both, SCHEMA, TASK, COUNTS)] == ["ratio 0.5 balanced"]


def test_classes_that_are_equally_large_are_balanced_as_they_are() -> None:
    assert settled(Amount(), TASK, {"a": 52, "b": 48}, 1.0).shares == ["natural"]
    assert settled(Amount(), TASK, COUNTS, 1.0).shares == ["natural", "balanced"]
    numbers = Task(target="x", type="regression", metric="r2")
    assert settled(Amount(), numbers, {"": 50}, 1.0).shares == ["natural"]


def test_balance_fills_up_to_the_largest_class() -> None:
    (plan,) = plans(Amount(balance=True), SCHEMA, TASK, COUNTS)
    assert [(order.rows, str(order.conditions[0])) for order in plan.orders] == [(80, "y=b")]


def test_per_class_and_share() -> None:
    (plan,) = plans(Amount(per_class={"b": 500}), SCHEMA, TASK, COUNTS, share=0.5)
    assert plan.rows == 250 and plan.amount == {"per_class": {"b": 500}}


def test_where_joins_every_order() -> None:
    (plan,) = plans(Amount(rows=10, where=["x>=3"]), SCHEMA, TASK, COUNTS)
    assert str(plan.orders[0].conditions[0]) == "x>=3.0"


@pytest.mark.parametrize(
    ("amount", "counts", "part"),
    [
        ({"per_class": {"c": 5}}, COUNTS, "'c' is not a class"),
        ({"balance": True}, {"a": 5, "b": 5}, "every class has as many"),
        ({"rows": 5, "where": ["z=1"]}, COUNTS, "no column 'z'"),
    ],
)
def test_what_cannot_be_made_is_refused(amount: dict[str, Any], counts: dict[str, int], part: str) -> None:
    with pytest.raises(InputError, match=part):
        plans(Amount(**amount), SCHEMA, TASK, counts)


def test_shards_cover_the_orders_in_order() -> None:
    (plan,) = plans(Amount(per_class={"a": 250, "b": 120}), SCHEMA, TASK, COUNTS)
    cut = shards(plan.orders, 100)
    assert [shard.rows for shard in cut] == [100, 100, 50, 100, 20]
    assert [shard.index for shard in cut] == [0, 1, 2, 3, 4]
    assert [shard.offset for shard in cut] == [0, 100, 200, 250, 350]
    assert str(cut[3].conditions[0]) == "y=b"
