"""A language model behind an endpoint that speaks OpenAI's protocol: vLLM, llama.cpp, Ollama, or a hosted one.

The key comes from the environment alone and is never shown or kept. Several requests are on their way at once; what
fails in passing is tried again, as the server asks; a question that it refuses fails alone. Tokens are counted, and a
budget of them, or of money, stops the rest: what has been answered by then is kept.
"""

import json
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from leaven.generators.errors import ModelError
from leaven.generators.text.endpoint_parameters import EndpointParameters
from leaven.generators.text.spent import Spent, short, spent_together

KEYS = ("LEAVEN_API_KEY", "OPENAI_API_KEY")  # variables that the key is read from
REFUSED = (400, 413, 422)  # of one question, such as one that is too long: the others may be answered
PER_TOKEN = 4  # characters, where a server does not count
_MALFORMED = (
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)  # what reading an answer may raise


class Endpoint:
    """Asks a model for lists of texts.

    Attributes:
        spent: what this endpoint was asked; its budget is shared by all of this process with the same limits.
        failed: why it answers no more: it is down, refuses the key, does not know the model.
    """

    def __init__(self, parameters: EndpointParameters):
        self.parameters, self.spent = parameters, Spent(parameters)
        self.failed: ModelError | None = None
        self._together, self._lock = spent_together(parameters), threading.Lock()
        self._key = next((os.environ[name] for name in KEYS if os.environ.get(name)), "none")
        self._made: Any = None

    @property
    def over(self) -> bool:
        """Whether the budget is used up."""
        return self._together.over

    def told(self) -> str:
        """What it took, in words; empty where nothing was asked."""
        parts = [f"the endpoint was asked: {self.spent.told()}"] if self._used else []
        if self.over and self._together.requests > self.spent.requests:
            parts.append(f"its budget is shared with other fits, together {self._together.told()}")
        return "; ".join(parts)

    @property
    def _used(self) -> bool:
        return bool(self.spent.requests or self.spent.refused)

    def lists(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[list[str] | None]:
        """The array of texts that answers each prompt.

        None where there is no answer: it was no array of texts, or the question was refused, which fail alone; or the
        budget is used up, or the endpoint failed for good, as `failed` then says.
        """
        try:
            client = self._client()
        except ModelError as error:
            self.failed = error
            return [None] * len(prompts)
        with ThreadPoolExecutor(self.parameters.concurrency) as pool:
            return list(pool.map(lambda prompt, seed: self._list(client, prompt, seed), prompts, seeds))

    def _list(self, client: Any, prompt: str, seed: int) -> list[str] | None:
        if self.failed or self.over:
            return None
        import openai

        limit = self.parameters
        try:
            said = client.chat.completions.create(
                model=limit.model,
                messages=[{"role": "user", "content": prompt}],
                temperature=limit.temperature,
                seed=seed % 2**31,
            )
        except openai.AuthenticationError:
            self._fail(f"refuses the key (401); it is read from {' or '.join(KEYS)}")
        except openai.APIStatusError as error:
            told = f"{error.status_code} ({self._said(error)})"
            if error.status_code in REFUSED:
                self.spent.add_refused(told)
            else:
                self._fail(f"answers with {told}")
        except openai.APIConnectionError as error:
            slow = isinstance(error, openai.APITimeoutError)
            told = f"gives no answer in {limit.timeout:g} s" if slow else "cannot be reached"
            self._fail(f"{told}, tried {limit.retries + 1} times")
        except (openai.OpenAIError, *_MALFORMED):
            return self._read(prompt, None)
        else:
            return self._read(prompt, said)
        return None

    def _read(self, prompt: str, said: Any) -> list[str] | None:
        """The texts of an answer, whatever it is; counts it."""
        answer = _content(said)
        usage = getattr(said, "usage", None)
        counted = [_count(usage, name) for name in ("prompt_tokens", "completion_tokens")]
        guessed = [-(-len(text) // PER_TOKEN) for text in (prompt, answer)]
        asked, answered = (own or guess for own, guess in zip(counted, guessed, strict=True))
        estimated = [asked, answered] != counted
        for spent in (self.spent, self._together):
            spent.add(asked, answered, estimated=estimated)
        texts = texts_in(answer)
        if not texts:
            self.spent.add_useless(self._hidden(answer))
        return texts or None

    def _fail(self, told: str) -> None:
        """Give up; what is on its way still comes in."""
        with self._lock:
            self.failed = self.failed or ModelError(f"endpoint {self.parameters.url}: {told}")

    def _client(self) -> Any:
        """The client, made once.

        Raises:
            ModelError: there can be none for this key or address.
        """
        if self._made is None:
            import openai

            limit = self.parameters
            if not (self._key.isascii() and self._key.isprintable()):
                raise ModelError(
                    f"endpoint {limit.url}: the key holds characters that no key can hold; "
                    f"it is read from {' or '.join(KEYS)}"
                )
            try:
                self._made = openai.OpenAI(
                    base_url=limit.url, api_key=self._key, timeout=limit.timeout, max_retries=limit.retries
                )
            except Exception as error:  # of openai, and of whatever library it reaches out by
                raise ModelError(f"endpoint {limit.url}: cannot be asked ({self._said(error)})") from None
        return self._made

    def _said(self, error: Any) -> str:
        """What a server said of an error, short and without the key."""
        return short(self._hidden(str(getattr(error, "message", error))), 150)

    def _hidden(self, told: str) -> str:
        return told.replace(self._key, "***") if self._key != "none" else told


def _content(said: Any) -> str:
    """What an answer says; empty where it is none."""
    try:
        content = said.choices[0].message.content
    except _MALFORMED:
        return ""
    return content if isinstance(content, str) else ""


def _count(usage: Any, name: str) -> int:
    """Tokens that a server counted; 0 where it did not."""
    value = getattr(usage, name, None)
    return value if isinstance(value, int) and value > 0 else 0


def texts_in(answer: str) -> list[str]:
    """The texts of the JSON array in an answer, each once; none where there is no array of texts."""
    start, end = answer.find("["), answer.rfind("]")
    try:
        array = json.loads(answer[start : end + 1]) if 0 <= start < end else []
    except (ValueError, RecursionError):
        return []
    texts = [_whole(" ".join(one.split())) for one in array if isinstance(one, str)]
    return list(dict.fromkeys(text for text in texts if text))


def _whole(text: str) -> str:
    """A text without halves of characters, which no file can hold."""
    return text.encode("utf-8", "ignore").decode("utf-8")
