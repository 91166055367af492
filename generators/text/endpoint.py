"""A language model behind an endpoint that speaks OpenAI's protocol: vLLM, llama.cpp, Ollama, or a hosted one.

The key comes from the environment alone and is never shown or kept. Several requests are on their way at once; what
fails in passing is tried again, as the server asks. Tokens are counted, and a budget of them, or of money, stops the
rest: what has been answered by then is kept.
"""

import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from leaven.generators.contract import Parameters
from leaven.generators.errors import ModelError

KEYS = ("LEAVEN_API_KEY", "OPENAI_API_KEY")  # variables that the key is read from
_ARRAY = re.compile(r"\[.*\]", re.S)


class EndpointParameters(BaseModel):
    """Where the model is, and how much may be asked of it."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="base of the protocol, such as http://localhost:8000/v1")
    model: str = Field(min_length=1, description="name of the model there")
    temperature: float = Field(0.9, ge=0, le=2, description="of sampling")
    concurrency: int = Field(8, ge=1, le=256, description="requests on their way at once")
    retries: int = Field(4, ge=0, le=20, description="of a request that fails in passing")
    timeout: float = Field(60.0, gt=0, description="seconds for an answer")
    max_tokens: int | None = Field(
        None, gt=0, description="tokens, of questions and answers, after which it stops"
    )
    price: tuple[float, float] | None = Field(
        None, description="of a million tokens asked and answered, in any currency"
    )
    max_cost: float | None = Field(None, gt=0, description="cost after which it stops; needs a price")

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not re.match(r"https?://[^/@\s]+", value) or "@" in value.split("/")[2]:
            raise ValueError("expected http://HOST/... or https://HOST/..., without a name or key in it")
        return value.rstrip("/")

    @property
    def digest(self) -> dict[str, Any]:
        """What answers depend on."""
        return {"url": self.url, "model": self.model, "temperature": self.temperature}


class ModelOrEndpoint(Parameters):
    """Parameters of a generator that has one of the two write."""

    endpoint: EndpointParameters | None = Field(
        None, description="a model behind an endpoint: url, model, and limits"
    )
    model: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.endpoint is None) == (self.model is None):
            raise ValueError("name either an endpoint or a model")
        return self


class Spent:
    """Tokens so far, and what they cost; answers that held no texts, and the shortest that said anything."""

    def __init__(self, parameters: EndpointParameters):
        self._parameters, self._lock = parameters, threading.Lock()
        self.requests = self.asked = self.answered = self.useless = 0
        self._such = ""

    def add(self, asked: int, answered: int) -> None:
        """Count a request."""
        with self._lock:
            self.requests += 1
            self.asked += asked
            self.answered += answered

    def add_useless(self, answer: str) -> None:
        """Count an answer that held no texts."""
        with self._lock:
            self.useless += 1
            said = [text for text in (answer, self._such) if text]
            self._such = min(said, key=lambda text: (len(text), text), default="")

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
        if self.useless:
            such = f", such as {_short(self._such, 60)!r}" if self._such else ""
            told += f"; {self.useless:,} answers held no JSON array of texts{such}"
        return told


class Endpoint:
    """Asks a model for lists of texts."""

    def __init__(self, parameters: EndpointParameters):
        self.parameters, self.spent = parameters, Spent(parameters)
        self._key = next((os.environ[name] for name in KEYS if os.environ.get(name)), "none")

    def lists(self, prompts: Sequence[str], seeds: Sequence[int]) -> Iterator[list[str] | None]:
        """The array of texts that answers each prompt, in order.

        None where there is no answer: it was no array of texts, and fails alone, or the budget is used up.

        Raises:
            ModelError: the endpoint is down, refuses the key, or does not know the model.
        """
        with ThreadPoolExecutor(self.parameters.concurrency) as pool:
            yield from pool.map(self._list, prompts, seeds)

    def _list(self, prompt: str, seed: int) -> list[str] | None:
        if self.spent.over:
            return None
        import openai

        limit = self.parameters
        try:
            said = self._client.chat.completions.create(
                model=limit.model,
                messages=[{"role": "user", "content": prompt}],
                temperature=limit.temperature,
                seed=seed % 2**31,
            )
        except openai.AuthenticationError:
            raise ModelError(
                f"endpoint {limit.url}: refuses the key (401); it is read from {' or '.join(KEYS)}"
            ) from None
        except openai.APIStatusError as error:
            raise ModelError(
                f"endpoint {limit.url}: answers with {error.status_code} ({self._said(error)})"
            ) from None
        except openai.APIConnectionError as error:
            slow = isinstance(error, openai.APITimeoutError)
            told = f"gives no answer in {limit.timeout:g} s" if slow else "cannot be reached"
            raise ModelError(f"endpoint {limit.url}: {told}, tried {limit.retries + 1} times") from None
        except (openai.OpenAIError, ValueError):
            return None
        usage = getattr(said, "usage", None)
        self.spent.add(getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0)
        choices = getattr(said, "choices", None)
        answer = (choices[0].message.content or "") if choices else ""
        texts = texts_in(answer)
        if not texts:
            self.spent.add_useless(self._hidden(answer))
        return texts or None

    @property
    def _client(self) -> Any:
        if not hasattr(self, "_made"):
            import openai

            limit = self.parameters
            self._made = openai.OpenAI(
                base_url=limit.url, api_key=self._key, timeout=limit.timeout, max_retries=limit.retries
            )
        return self._made

    def _said(self, error: Any) -> str:
        """What a server said of an error, short and without the key."""
        return _short(self._hidden(str(getattr(error, "message", error))), 150)

    def _hidden(self, told: str) -> str:
        return told.replace(self._key, "***") if self._key != "none" else told


def _short(text: str, most: int) -> str:
    """A text on one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


def texts_in(answer: str) -> list[str]:
    """The texts of the JSON array in an answer, each once; none where there is no array of texts."""
    found = _ARRAY.search(answer)
    try:
        array = json.loads(found[0]) if found else []
    except ValueError:
        return []
    texts = [" ".join(one.split()) for one in array if isinstance(one, str)]
    return list(dict.fromkeys(text for text in texts if text))
