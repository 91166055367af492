"""Asking a writer about many items: in batches, past what is known from before, until its budget is used up."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from leaven.generators.contract import Budget
from leaven.generators.errors import ModelError
from leaven.generators.seeds import derive
from leaven.generators.text.calls import Calls, key
from leaven.generators.text.endpoint import Endpoint

Item = TypeVar("Item")


class Writer(Protocol):
    """What writes texts.

    Attributes:
        batch: items that are asked about at once.
        digest: all that its answers depend on besides the items.
        stopped: whether its budget is used up.
        failed: why it answers no more.
    """

    batch: int
    stopped: bool
    failed: ModelError | None

    @property
    def digest(self) -> dict[str, Any]: ...

    def write(self, items: Sequence[Any], seeds: Sequence[int]) -> list[list[str] | None]:
        """Texts for each item, None where there is no answer."""

    def told(self) -> str:
        """What it took, in words; empty where there is nothing to tell."""


def answers_to(
    purpose: str,
    items: Sequence[Item],
    writer: Writer,
    settings: dict[str, Any],
    *,
    budget: Budget,
    progress: Callable[[int], None],
) -> tuple[list[list[str]], bool]:
    """The texts that a writer has for each item, and whether a budget ended it before all were asked about.

    Args:
        purpose: of the texts: one of the things that an answer is known by.
        items: rows of texts and numbers that JSON can hold, each once.
        writer: who is asked about those that are not known from before. An item's seed is made of what it says, so
            that answers do not depend on what is asked beside it.
        settings: what answers depend on besides the writer's digest and the item.
        budget: its clock.
        progress: called with the items that have been asked about.

    Raises:
        ModelError: the writer failed for good; what it answered before is kept.
    """
    parts = {**writer.digest, **settings}

    def key_of(item: Any) -> bytes:
        return key(purpose, parts, *item)

    def written(part: list[Any]) -> list[list[str] | None]:
        return writer.write(part, [derive(derive(*item), purpose) for item in part])

    answers: dict[bytes, list[str] | None] = {}
    stopped = False
    for batch in Calls().through(items, key_of, written, writer.batch):
        answers |= batch
        progress(len(answers))
        stopped = writer.stopped or (budget.seconds is not None and bool(budget.spent(0)))
        if stopped or writer.failed:
            break
    if writer.failed:  # only now, so that what was answered before is kept
        raise writer.failed
    found = [answers.get(key_of(item)) for item in items]
    return [texts or [] for texts in found], stopped and None in found


class EndpointWriter:
    """A model behind an endpoint, that is asked with a prompt for each item."""

    def __init__(self, endpoint: Endpoint, prompt: Callable[[Any], str]):
        self._endpoint, self._prompt = endpoint, prompt
        self.batch = 4 * endpoint.parameters.concurrency
        self.digest = endpoint.parameters.digest
        self.stopped = False
        self.failed: ModelError | None = None

    def write(self, items: Sequence[Any], seeds: Sequence[int]) -> list[list[str] | None]:
        """The texts in its answers."""
        made: list[list[str] | None] = []
        try:
            made.extend(self._endpoint.lists([self._prompt(item) for item in items], seeds))
        except ModelError as error:
            self.failed = error
        self.stopped = self._endpoint.spent.over
        return [*made, *[None] * (len(items) - len(made))]

    def told(self) -> str:
        """What it took."""
        spent = self._endpoint.spent
        return f"the endpoint was asked: {spent.told()}" if spent.requests else ""
