"""Train texts translated into another language and back (Sennrich, Haddow and Birch 2016; Edunov et al. 2018).

Each sentence is translated once, with several alternatives in both directions; a synthetic text takes one way for each
of its sentences, by its own seed. So more texts cost nothing more until the ways are used up, a rerun costs nothing at
all, and the size of a batch changes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.seeds import derive
from leaven.generators.text.base import Ask, TextGenerator
from leaven.generators.text.calls import Calls
from leaven.generators.text.endpoint_parameters import EndpointParameters
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
        self._pivots: dict[str, list[str]] = {}  # by sentence, of each of its ways

    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        """Translate every train text there and back, so that sampling only chooses.

        The shorter sentences come first; where the clock ends it, those that were not reached stay as they are.
        """
        different = dict.fromkeys(s for text in self.texts for s in self._sentences(text))
        sentences = sorted(different, key=lambda text: (len(text), text))
        there, back = self._translators()
        calls, report, count = Calls(), Report(), self.parameters.alternatives
        part, reached = max(1, there.batch // count), 0  # so that there is a batch to be translated back
        # A replay goes no further than its fit went.
        most = min(budget.steps or len(sentences), len(sentences))
        while reached < most:
            until = min(reached + part, most)
            pivots = translate(there, sentences[reached:until], count, calls, report)
            returned = translate(
                back, [one for found in pivots.values() for one in found], count, calls, report
            )
            for sentence, found in pivots.items():
                ways = _ranked(sentence, {pivot: returned[pivot] for pivot in found})
                self._ways[sentence], self._pivots[sentence] = list(ways), list(ways.values())
            reached = until
            progress(reached / len(sentences), f"{self.name}: {there.source} to {there.target} and back")
            if budget.spent(reached):
                break
        progress(1.0, f"{self.name}: {report.kept:,} of {report.asked:,} translations were known from before")
        notes = [*self._notes(report), *([back.told] if back.told else [])]
        if reached == len(sentences):
            return Fit(notes=notes)
        told = f"time was left for {reached:,} of {len(sentences):,} sentences; the others stay as they are"
        return Fit(steps=reached, stopped_by="budget", notes=[*notes, told])

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
        kept = {"ways": self._ways, "pivots": self._pivots}
        (directory / WAYS).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    def _load(self, directory: Path) -> None:
        kept = json.loads((directory / WAYS).read_text(encoding="utf-8"))
        self._ways, self._pivots = kept["ways"], kept.get("pivots", {})  # older ones did not keep them

    def _make(self, asked: Sequence[Ask]) -> list[str]:
        return [self._one(ask) for ask in asked]

    def through(self, text: str, made: str) -> str | None:
        """The translations by which `made` came of the train text `text`; None where that cannot be told."""
        reached = {0: ""}  # where in `made` the ways so far can end -> their translations
        for sentence in self._sentences(text):
            ways = self._ways.get(sentence) or [sentence]
            pivots = self._pivots.get(sentence) or [""] * len(ways)
            reached = {
                start + len(way) + 1: f"{before} {pivot}".strip()
                for start, before in reached.items()
                for way, pivot in zip(ways, pivots, strict=True)
                if made.startswith(f"{way} ", start) or made[start:] == way
            }
        return reached.get(len(made) + 1) or None

    def _one(self, ask: Ask) -> str:
        """The train text by one of its ways; the earlier ones come first over the replicates. A sentence that has no
        other way stays as it is."""
        sentences = self._sentences(self.texts[ask.source])
        if not any(self._ways.get(sentence) for sentence in sentences):
            return ""
        ways = [self._ways.get(sentence) or [sentence] for sentence in sentences]
        rng = np.random.default_rng(derive(ask.seed, "ways"))
        if len(ways) == 1:
            return ways[0][ask.replicate % len(ways[0])]
        return " ".join(found[int(rng.integers(len(found)))] for found in ways)


def _ranked(sentence: str, found: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The ways of a sentence, each once and with its translation, those by likely ones first, without those that end
    where they began."""
    ways: dict[str, tuple[int, str]] = {}
    for there, (pivot, returned) in enumerate(found.items()):
        for back, text in enumerate(returned):
            if there + back < ways.get(text, (99, ""))[0]:
                ways[text] = (there + back, pivot)
    new = [text for text in ways if text.casefold().strip(".!? ") != sentence.casefold().strip(".!? ")]
    return {text: ways[text][1] for text in sorted(new, key=lambda text: ways[text][0])}
