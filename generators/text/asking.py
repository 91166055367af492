"""Asking a writer about many items: in batches, past what is known from before, until its budget is used up."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from leaven.generators.contract import Budget, Fit
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


class Answers(NamedTuple):
    """What a writer had to say.

    Attributes:
        texts: for each item, none where it has no answer.
        asked: items that were asked about: where the clock ended it, these are the first ones.
        ended_by: what ended it before all were asked about, if anything: the clock, or the writer's own budget.
    """

    texts: list[list[str]]
    asked: int
    ended_by: Literal["nothing", "clock", "budget"]

    def report(self, notes: Sequence[str], ended: str) -> Fit:
        """The report of a fit that asked; `ended`: the note where not all were asked about."""
        if self.ended_by == "nothing":
            return Fit(notes=list(notes))
        if self.ended_by == "budget":  # more time would change nothing, so that this fit is done
            return Fit(notes=[*notes, ended])
        return Fit(steps=self.asked, stopped_by="budget", notes=[*notes, ended])


def answers_to(
    purpose: str,
    items: Sequence[Item],
    writer: Writer,
    settings: dict[str, Any],
    *,
    budget: Budget,
    progress: Callable[[int], None],
) -> Answers:
    """The texts that a writer has for each item.

    Where the clock ends it, only the first items have texts, up to one that was not asked about: so their number
    replays it, however much was known from before.

    Args:
        purpose: of the texts: one of the things that an answer is known by.
        items: rows of texts and numbers that JSON can hold, each once.
        writer: who is asked about those that are not known from before. An item's seed is made of what it says, so
            that answers do not depend on what is asked beside it.
        settings: what answers depend on besides the writer's digest and the item.
        budget: its clock, or the items that a replay may ask about.
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
    allowed = items if budget.steps is None else items[: budget.steps]
    for batch in Calls().through(allowed, key_of, written, writer.batch):
        answers |= batch
        progress(len(answers))
        late = budget.steps is None and budget.spent(0)
        if late or writer.stopped or writer.failed:
            break
    if writer.failed:  # only now, so that what was answered before is kept
        raise writer.failed
    keys = [key_of(item) for item in items]
    if writer.stopped:
        found = [answers.get(one) for one in keys]
        return Answers(
            [texts or [] for texts in found], len(answers), "budget" if None in found else "nothing"
        )
    asked = next((n for n, one in enumerate(keys) if one not in answers), len(keys))
    found = [answers[one] for one in keys[:asked]] + [None] * (len(keys) - asked)
    return Answers([texts or [] for texts in found], asked, "clock" if asked < len(keys) else "nothing")


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
        made = self._endpoint.lists([self._prompt(item) for item in items], seeds)
        self.stopped, self.failed = self._endpoint.over, self._endpoint.failed
        return made

    def told(self) -> str:
        """What it took."""
        return self._endpoint.told()
