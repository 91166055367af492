"""What endpoints were asked, and whether a budget is used up."""

import threading
from typing import Any

from leaven.generators.text.endpoint_parameters import EndpointParameters


class Spent:
    """Tokens so far, and what they cost; what failed alone, and the shortest that was said of it."""

    def __init__(self, parameters: EndpointParameters):
        self._parameters, self._lock = parameters, threading.Lock()
        self.requests = self.asked = self.answered = self.estimated = self.useless = self.refused = 0
        self._such = self._why = ""

    def add(self, asked: int, answered: int, *, estimated: bool = False) -> None:
        """Count a request; `estimated`: its tokens are."""
        with self._lock:
            self.requests += 1
            self.asked += asked
            self.answered += answered
            self.estimated += estimated

    def add_useless(self, answer: str) -> None:
        """Count an answer that held no texts."""
        with self._lock:
            self.useless += 1
            self._such = _shorter(answer, self._such)

    def add_refused(self, why: str) -> None:
        """Count a question that was refused, which costs nothing."""
        with self._lock:
            self.refused += 1
            self._why = _shorter(why, self._why)

    @property
    def cost(self) -> float | None:
        """In the currency of the price; None where there is no price."""
        price = self._parameters.price
        return None if price is None else (self.asked * price[0] + self.answered * price[1]) / 1e6

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        limit, cost = self._parameters, self.cost
        tokens = limit.max_tokens is not None and self.asked + self.answered >= limit.max_tokens
        return tokens or (limit.max_cost is not None and cost is not None and cost >= limit.max_cost)

    def told(self) -> str:
        """In words."""
        cost = self.cost
        told = f"{self.requests:,} requests, {self.asked:,} tokens asked and {self.answered:,} answered"
        told += f", cost {cost:.4g}" if cost is not None else ""
        if self.estimated:
            told += f"; the endpoint did not count those of {self.estimated:,}: estimated"
        if self.refused:
            told += f"; it refused {self.refused:,} questions, such as: {short(self._why, 150)}"
        if self.useless:
            such = f", such as {short(self._such, 60)!r}" if self._such else ""
            told += f"; {self.useless:,} answers held no JSON array of texts{such}"
        return told


_together: dict[tuple[Any, ...], Spent] = {}  # of this process, by where and how much may be asked


def spent_together(limit: EndpointParameters) -> Spent:
    """What all endpoints of this process with the same limits have spent."""
    place = (limit.url, limit.model, limit.max_tokens, limit.max_cost, limit.price)
    return _together.setdefault(place, Spent(limit))


def forget_spent() -> None:
    """Begin all budgets of this process anew."""
    _together.clear()


def _shorter(one: str, other: str) -> str:
    """The shorter of two texts, of those that say anything; the same in whatever order they come."""
    return min((text for text in (one, other) if text), key=lambda text: (len(text), text), default="")


def short(text: str, most: int) -> str:
    """A text on one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"
