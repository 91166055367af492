"""Train texts said in other words by a language model: a local one, by folder or name, or one behind an endpoint.

Every answer is kept by content, so that a rerun asks nothing again.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.errors import FitError, ModelError
from leaven.generators.seeds import derive
from leaven.generators.text.base import Ask, TextGenerator
from leaven.generators.text.calls import Calls, key
from leaven.generators.text.endpoint import Endpoint, EndpointParameters
from leaven.generators.text.plain import plain
from leaven.generators.text.prompts import prompt

MADE = "paraphrases.json"


class ParaphraseParameters(Parameters):
    """Parameters of paraphrase."""

    endpoint: EndpointParameters | None = Field(
        None, description="a model behind an endpoint: url, model, and limits"
    )
    model: str | None = Field(
        None,
        description="a local model, folder or name: a seq2seq model, or a causal one that follows instructions",
    )
    alternatives: int = Field(4, ge=1, le=20, description="paraphrases of each text")
    prompt: int = Field(1, ge=1, description="version of the prompt")
    prefix: str = Field("paraphrase: ", description="what a seq2seq model expects before a text")

    @model_validator(mode="after")
    def _one_model(self) -> "ParaphraseParameters":
        if (self.endpoint is None) == (self.model is None):
            raise ValueError("name either an endpoint or a model")
        return self


class Paraphrase(TextGenerator):
    """Train texts in other words."""

    name = "paraphrase"
    Parameters = ParaphraseParameters

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self._made: dict[str, list[str]] = {}  # by label and text

    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        """Ask for paraphrases of every train text, so that sampling only chooses."""
        asked = list(
            dict.fromkeys(zip((self.classes[label] for label in self.labels), self.texts, strict=True))
        )
        writer = self._writer()
        settings = {**writer.digest, "count": self.parameters.alternatives, "prompt": self.parameters.prompt}
        calls = Calls()
        answers: dict[bytes, list[str] | None] = {}

        def key_of(item: tuple[str, str]) -> bytes:
            return key("paraphrase", settings, *item)

        def ask(items: list[tuple[str, str]]) -> list[list[str] | None]:
            return writer.write(items, [derive(seed_of(item), "paraphrase") for item in items])

        def seed_of(item: tuple[str, str]) -> int:
            return derive(*item)

        stopped = False
        for batch in calls.through(asked, key_of, ask, writer.batch):
            answers |= batch
            progress(len(answers) / len(asked), f"{self.name}: {len(answers):,} of {len(asked):,} texts")
            stopped = writer.stopped or (budget.seconds is not None and budget.spent(0))
            if stopped or writer.failed:
                break
        if writer.failed:  # only now, so that what was answered before is kept
            raise writer.failed
        for item in asked:
            found = [plain(text) for text in answers.get(key_of(item)) or []]
            self._made[_place(*item)] = [text for text in found if text.casefold() != item[1].casefold()]
        if not any(self._made.values()):
            raise FitError(f"{self.name}: no paraphrase was made ({writer.told()})")
        missing = sum(not found for found in self._made.values())
        notes = [writer.told()] if writer.told() else []
        notes += [f"{missing:,} of {len(asked):,} texts have no paraphrase"] if missing else []
        return Fit(
            notes=notes + (["the budget ended it before all texts were asked about"] if stopped else [])
        )

    def _writer(self) -> Any:
        asked = self.parameters
        if asked.endpoint is not None:
            return EndpointWriter(Endpoint(asked.endpoint), asked.alternatives, asked.prompt)
        from leaven.generators.text.local_writer import LocalWriter

        return LocalWriter(
            asked.model, asked.alternatives, asked.prefix, asked.prompt, self.device, self.threads
        )

    def _make(self, asked: Sequence[Ask]) -> list[str]:
        made = []
        for ask in asked:
            found = self._made.get(_place(self.classes[ask.label], self.texts[ask.source]), [])
            made.append(found[ask.replicate % len(found)] if found else "")
        return made

    def _save(self, directory: Path) -> None:
        (directory / MADE).write_text(json.dumps(self._made, ensure_ascii=False), encoding="utf-8")

    def _load(self, directory: Path) -> None:
        self._made = json.loads((directory / MADE).read_text(encoding="utf-8"))


class EndpointWriter:
    """Paraphrases by a model behind an endpoint."""

    def __init__(self, endpoint: Endpoint, count: int, version: int):
        self._endpoint, self._count, self._version = endpoint, count, version
        self.batch = 4 * endpoint.parameters.concurrency
        self.digest = endpoint.parameters.digest
        self.stopped = False
        self.failed: ModelError | None = None

    def write(self, items: Sequence[tuple[str, str]], seeds: Sequence[int]) -> list[list[str] | None]:
        """Paraphrases of each (label, text), None where there is no answer."""
        prompts = [
            prompt("paraphrase", self._version, count=str(self._count), label=label, text=text)
            for label, text in items
        ]
        made: list[list[str] | None] = []
        try:
            made.extend(self._endpoint.lists(prompts, seeds))
        except ModelError as error:
            self.failed = error
        self.stopped = self._endpoint.spent.over
        return [*made, *[None] * (len(prompts) - len(made))]

    def told(self) -> str:
        """What it took."""
        spent = self._endpoint.spent
        return f"the endpoint was asked: {spent.told()}" if spent.requests else ""


def _place(label: str, text: str) -> str:
    return f"{label}\n{text}"
