"""Train texts said in other words by a language model: a local one, by folder or name, or one behind an endpoint.

Every answer is kept by content, so that a rerun asks nothing again.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError
from leaven.generators.text.asking import Answers, EndpointWriter, Writer, answers_to
from leaven.generators.text.base import Ask, TextGenerator
from leaven.generators.text.endpoint import Endpoint
from leaven.generators.text.endpoint_parameters import ModelOrEndpoint
from leaven.generators.text.plain import plain
from leaven.generators.text.prompts import prompt

MADE = "paraphrases.json"


class ParaphraseParameters(ModelOrEndpoint):
    """Parameters of paraphrase."""

    model: str | None = Field(
        None,
        description="a local model, folder or name: a seq2seq model, or a causal one that follows instructions",
    )
    alternatives: int = Field(4, ge=1, le=20, description="paraphrases of each text")
    prompt: int = Field(1, ge=1, description="version of the prompt")
    prefix: str = Field("paraphrase: ", description="what a seq2seq model expects before a text")


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
        answers = answers_to(
            "paraphrase",
            asked,
            writer,
            {"count": self.parameters.alternatives, "prompt": self.parameters.prompt},
            budget=budget,
            progress=lambda done: progress(
                done / len(asked), f"{self.name}: {done:,} of {len(asked):,} texts"
            ),
        )
        self._made = {}
        for item, said in zip(asked, answers.texts, strict=True):
            found = [plain(text) for text in said]
            self._made[_place(*item)] = [text for text in found if text.casefold() != item[1].casefold()]
        told = writer.told()
        if not any(self._made.values()):
            raise FitError(f"{self.name}: no paraphrase was made ({told or _nothing_told(answers)})")
        missing = sum(not found for found in self._made.values())
        notes = [told] if told else []
        notes += [f"{missing:,} of {len(asked):,} texts have no paraphrase"] if missing else []
        return answers.report(notes, "the budget ended it before all texts were asked about")

    def _writer(self) -> Writer:
        asked = self.parameters
        if asked.endpoint is not None:
            return EndpointWriter(Endpoint(asked.endpoint), self._prompt)
        from leaven.generators.text.local_writer import LocalWriter

        return LocalWriter(
            asked.model, asked.alternatives, asked.prefix, asked.prompt, self.device, self.threads
        )

    def _prompt(self, item: tuple[str, str]) -> str:
        label, text = item
        count = str(self.parameters.alternatives)
        return prompt("paraphrase", self.parameters.prompt, count=count, label=label, text=text)

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


def _place(label: str, text: str) -> str:
    return f"{label}\n{text}"


def _nothing_told(answers: Answers) -> str:
    """Why there is no text, where the writer has nothing to tell."""
    if answers.ended_by == "clock":
        return f"the clock ended it after {answers.asked:,} texts"
    return f"{answers.asked:,} texts were asked about"
