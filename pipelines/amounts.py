"""How many rows: the recipe's `amount` turned into orders for rows, and orders into shards."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from leaven.generators import conditions
from leaven.generators.conditions import Conditions
from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.pipelines.recipe import Amount
from leaven.pipelines.task import Task

EVEN = 1.5  # times the smallest class up to which the largest one counts as equally large


class Order(BaseModel):
    """So many rows that meet these conditions."""

    model_config = ConfigDict(frozen=True)

    rows: int
    conditions: Conditions = ()


class Plan(BaseModel):
    """One amount to try: its orders, and how the report names it."""

    model_config = ConfigDict(frozen=True)

    amount: dict[str, Any]  # as the recipe says it: {"ratio": 0.25}
    orders: tuple[Order, ...]

    @property
    def rows(self) -> int:
        return sum(order.rows for order in self.orders)

    @property
    def label(self) -> str:
        (key, value), *others = self.amount.items()
        return " ".join([f"{key} {value}", *(str(other) for _, other in others)])

    @property
    def nested(self) -> bool:
        """Whether the first rows are the rows of a smaller amount."""
        return len(self.orders) == 1


class Shard(BaseModel):
    """A part of an order that is sampled at once. `index` counts over the whole plan, top-ups included."""

    model_config = ConfigDict(frozen=True)

    index: int
    rows: int
    offset: int  # number of its first row in the whole
    conditions: Conditions = ()


def plans(
    amount: Amount, schema: Schema, task: Task, counts: Mapping[str, int], share: float = 1.0
) -> list[Plan]:
    """The amounts to try, settled, for a train set with these rows per class (`{"": rows}` for regression).

    `share` scales absolute numbers of rows to a train set that is smaller than the recipe's, as in folds.

    Raises:
        InputError: classes that do not exist, or `balance` without classes.
    """
    where = conditions.parse(amount.where, schema)
    if amount.ratio is not None:
        return _by_ratio(amount, schema, task, counts, where)
    if amount.rows is not None:
        rows = max(1, round(amount.rows * share))
        return [Plan(amount={"rows": amount.rows}, orders=(Order(rows=rows, conditions=where),))]
    if task.type != "classification":
        raise InputError(
            "amount: per_class and balance need classes, but the task is a regression; give ratio or rows"
        )
    if amount.per_class is not None:
        unknown = [label for label in amount.per_class if label not in task.classes]
        if unknown:
            raise InputError(
                f"amount.per_class: '{unknown[0]}' is not a class of '{task.target}'; the classes are "
                f"{', '.join(task.classes[:20])}"
            )
        wanted = {label: max(1, round(rows * share)) for label, rows in amount.per_class.items()}
        return [_by_class({"per_class": amount.per_class}, wanted, schema, task, where)]
    largest = max(counts.values())
    missing = {label: largest - count for label, count in counts.items() if count < largest}
    if not missing:
        raise InputError(
            "amount.balance: every class has as many rows already; give ratio, rows or per_class"
        )
    return [_by_class({"balance": True}, missing, schema, task, where)]


def _by_ratio(
    amount: Amount, schema: Schema, task: Task, counts: Mapping[str, int], where: Conditions
) -> list[Plan]:
    """Each ratio with the classes' own shares, and with equal ones, as the recipe says."""
    assert amount.ratio is not None and amount.ratio != "auto"
    shares = amount.shares if amount.shares and task.type == "classification" else ["natural"]
    total, found = sum(counts.values()), []
    known = [label for label, count in counts.items() if count]
    for ratio in sorted(set(amount.ratio)):
        rows = max(1, round(ratio * total))
        if "natural" in shares:
            found.append(Plan(amount={"ratio": ratio}, orders=(Order(rows=rows, conditions=where),)))
        if "balanced" in shares:
            each = {label: max(1, round(rows / len(known))) for label in known}
            found.append(_by_class({"ratio": ratio, "shares": "balanced"}, each, schema, task, where))
    return found


def settled(amount: Amount, task: Task, counts: Mapping[str, int], ratio: float) -> Amount:
    """The amount with `ratio` in place of `auto`, and without balanced shares where there are no classes, or all of
    them are about equally large already.

    `counts` are of all rows that choices are made with, so that every fold tries the same.
    """
    if amount.ratio is None:
        return amount
    known = [count for count in counts.values() if count]
    even = task.type != "classification" or max(known) <= EVEN * min(known)
    shares = ["natural"] if amount.shares and even else amount.shares
    return amount.model_copy(
        update={"ratio": [ratio] if amount.ratio == "auto" else amount.ratio, "shares": shares}
    )


def _by_class(
    amount: dict[str, Any], wanted: Mapping[str, int], schema: Schema, task: Task, where: Conditions
) -> Plan:
    orders = [
        Order(rows=wanted[label], conditions=(conditions.equals(schema, task.target, label), *where))
        for label in sorted(wanted)
    ]
    return Plan(amount=amount, orders=tuple(orders))


def shards(orders: tuple[Order, ...], shard_rows: int, index: int = 0, offset: int = 0) -> list[Shard]:
    """Orders cut into shards of at most `shard_rows` rows, numbered from `index`."""
    cut: list[Shard] = []
    for order in orders:
        left = order.rows
        while left > 0:
            rows = min(left, shard_rows)
            cut.append(Shard(index=index, rows=rows, offset=offset, conditions=order.conditions))
            index, offset, left = index + 1, offset + rows, left - rows
    return cut
