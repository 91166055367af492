"""Train texts translated into another language and back (Sennrich, Haddow and Birch 2016; Edunov et al. 2018).

Each sentence is translated once, with several alternatives in both directions; a synthetic text takes one way for each
of its sentences, by its own seed. So more texts cost nothing more until the ways are used up, a rerun costs nothing at
all, and the size of a batch changes nothing.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.seeds import derive
from leaven.generators.text.base import Ask, TextGenerator
from leaven.generators.text.calls import Calls
from leaven.generators.text.endpoint import EndpointParameters
from leaven.generators.text.plain import plain
from leaven.generators.text.translation import translators
from leaven.generators.text.translation.texts import Report, split, translate

WAYS = "ways.json"


class BackTranslationParameters(Parameters):
    """Parameters of back_translation."""

    pivot: str = Field("fr", description="language in between, as two letters")
    language: str = Field("en", description="language of the texts, as two letters")
    translator: str = Field(
        "embedded",
        description="embedded: Leaven's own small models; marian: OPUS-MT by name; a folder or a name with {source} "
        "and {target} in it; or apertium",
    )
    endpoint: EndpointParameters | None = Field(
        None, description="a model behind an endpoint that translates instead: url, model, and limits"
    )
    alternatives: int = Field(
        4, ge=1, le=16, description="translations of a sentence in each direction, from the likeliest on"
    )
    engine: Literal["ctranslate2", "transformers"] = Field(
        "ctranslate2", description="what runs a Marian model; transformers is several times slower"
    )


class BackTranslation(TextGenerator):
    """Train texts by way of another language."""

    name = "back_translation"
    Parameters = BackTranslationParameters

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self._ways: dict[str, list[str]] = {}  # by sentence
        self._through: dict[str, str] = {}

    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        """Translate every train text there and back, so that sampling only chooses."""
        sentences = list(dict.fromkeys(s for text in self.texts for s in self._sentences(text)))
        there, back = self._translators()
        calls, report, count = Calls(), Report(), self.parameters.alternatives
        pivots = translate(
            there, sentences, count, calls, report,
            lambda share: progress(0.5 * share, f"{self.name}: {there.source} to {there.target}"),
        )  # fmt: skip
        returned = translate(
            back, [pivot for found in pivots.values() for pivot in found], count, calls, report,
            lambda share: progress(0.5 + 0.5 * share, f"{self.name}: {back.source} to {back.target}"),
        )  # fmt: skip
        for sentence, found in pivots.items():
            self._ways[sentence] = _ranked(sentence, [returned[pivot] for pivot in found])
        self._through = {sentence: found[0] for sentence, found in pivots.items() if found}
        progress(1.0, f"{self.name}: {report.kept:,} of {report.asked:,} translations were known from before")
        return Fit(notes=[*self._notes(report), *([back.told] if back.told else [])])

    def _translators(self) -> Any:
        asked = self.parameters
        return translators.pair(
            asked.translator, asked.language, asked.pivot, engine=asked.engine, endpoint=asked.endpoint,
            device=self.device, threads=self.threads
        )  # fmt: skip

    def _notes(self, report: Report) -> list[str]:
        """What a reader must know, which is the same however much was known from before."""
        lost = sum(not ways for ways in self._ways.values())
        if not lost:
            return []
        told = ", ".join(f"{fault} {count:,}" for fault, count in sorted(report.faults.items()))
        return [
            f"{lost:,} of {len(self._ways):,} sentences have no other way there and back"
            + (f" ({told})" if told else "")
        ]

    def _sentences(self, text: str) -> list[str]:
        return split(plain(text), self.parameters.language)

    def _save(self, directory: Path) -> None:
        kept = {"ways": self._ways, "through": self._through}
        (directory / WAYS).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    def _load(self, directory: Path) -> None:
        kept = json.loads((directory / WAYS).read_text(encoding="utf-8"))
        self._ways, self._through = kept["ways"], kept["through"]

    def _make(self, asked: Sequence[Ask]) -> list[str]:
        return [self._one(ask) for ask in asked]

    def through(self, text: str) -> str | None:
        """The likeliest translation of a train text, by which it came back."""
        found = [self._through.get(sentence) for sentence in self._sentences(text)]
        return " ".join(one for one in found if one) or None

    def _one(self, ask: Ask) -> str:
        """The train text by one of its ways; the earlier ones come first over the replicates."""
        sentences = self._sentences(self.texts[ask.source])
        ways = [self._ways.get(sentence, []) for sentence in sentences]
        if not all(ways):
            return ""
        rng = np.random.default_rng(derive(ask.seed, "ways"))
        if len(ways) == 1:
            return ways[0][ask.replicate % len(ways[0])]
        return " ".join(found[int(rng.integers(len(found)))] for found in ways)


def _ranked(sentence: str, found: Sequence[Sequence[str]]) -> list[str]:
    """The ways of a sentence, each once, those by likely translations first, those that end where they began last."""
    ways: dict[str, int] = {}
    for there, returned in enumerate(found):
        for back, text in enumerate(returned):
            ways[text] = min(ways.get(text, 99), there + back)
    new = [text for text in ways if text.casefold().strip(".!? ") != sentence.casefold().strip(".!? ")]
    return sorted(new, key=lambda text: ways[text])
