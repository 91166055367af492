"""Texts that say their class: its label in words, and words that lie near to it for a sentence encoder.

With few texts of a class, its label tells more than another wording of them: what "location" or "lost card" means is
known to the encoder, and a classifier that gets it as rows learns it, whatever its own features are. The idea is that
of label names as the only labels (Meng et al. 2020, LOTClass, EMNLP), without any text but those of train.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from safetensors.numpy import load_file, save_file

from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.errors import FitError
from leaven.generators.seeds import derive
from leaven.generators.text.base import Ask, TextGenerator
from leaven.generators.text.encoder import WIDTH, class_means, encode
from leaven.generators.text.labels import apart, longer, may_be_short, spoken
from leaven.generators.text.vocabulary import points, vocabulary

SAID, AIMS = "said.json", "aims.safetensors"
APART = 0.1  # of a cosine, that a word may lie nearer to another class
MARGIN = 0.05  # of a cosine, by which a text must lie nearer to its own class than to any other
TRIES = 12  # draws of a text until it does
SINGLE, CALLED = (
    0.5,
    0.25,
)  # share of texts that are one word, and of those with what the class is called
SPREAD = 0.1  # of a cosine, by which a word is drawn e times less often


class ClassWordsParameters(Parameters):
    """Parameters of class_words."""

    meanings: dict[str, str] = Field(
        default_factory=dict,
        description="what a class means, where its label does not say so: {HUM: a person, ENTY: a thing}",
    )
    words: int = Field(16, ge=1, le=500, description="words near to a class that its texts are made of")


class ClassWords(TextGenerator):
    """What a class is called, alone and with words near to it."""

    name = "class_words"
    role: ClassVar[Literal["sampler", "editor"]] = "sampler"
    Parameters = ClassWordsParameters

    def __init__(self, parameters: Any = None, constraints: Any = ()):
        super().__init__(parameters, constraints)
        self._said: list[str] = []  # by class, what it is called; empty where nothing is known
        self._words: list[list[str]] = []  # by class, nearest first
        self._weights: list[list[float]] = []
        self._aims = np.empty((0, WIDTH), np.float32)  # where each class's texts shall lie for the encoder

    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        meanings = self.parameters.meanings
        unknown = sorted(set(meanings) - set(self.classes))
        if unknown:
            raise FitError(
                f"{self.name}: meanings: there is no class '{unknown[0]}'; there are {', '.join(self.classes[:20])}"
            )
        progress(0.1, f"{self.name}: looking for words")
        known = points(self.threads)
        directions = self._apart()
        from_labels = apart(
            [self._called(label, known @ own) for label, own in zip(self.classes, directions, strict=True)]
        )
        self._said = [
            " ".join(meanings[label].split()) if label in meanings else said
            for label, said in zip(self.classes, from_labels, strict=True)
        ]
        self._words, self._weights = [], []
        called = encode(self._said, self.threads)
        named = np.array([bool(said) for said in self._said])[:, None]
        self._aims = np.where(named, called, directions).astype(np.float32)
        near = known @ self._aims.T
        best = near.max(axis=1) - APART  # a word that says another class would say nothing of this one
        for code, said in enumerate(self._said):
            self._choose(said, np.where(near[:, code] >= best, near[:, code], -np.inf).astype(float))
        silent = [label for label, said in zip(self.classes, self._said, strict=True) if not said]
        return Fit(notes=[_told(silent, len(self.classes))] if silent else [])

    def _choose(self, said: str, near: np.ndarray) -> None:
        """Take a class's words, those that are nearest, and how often each is drawn."""
        first = np.argsort(-near, kind="stable")[: self.parameters.words + 1]
        places = [place for place in first if vocabulary()[place] != said and np.isfinite(near[place])]
        places = places[: self.parameters.words]
        weights = np.exp((near[places] - near[places].max(initial=-1)) / SPREAD)
        self._words.append([vocabulary()[place] for place in places])
        self._weights.append((weights / weights.sum()).tolist())

    def _apart(self) -> np.ndarray:
        """What sets each class's texts apart from the others' for the encoder: directions (classes, 384)."""
        means = class_means(self.texts, self.labels, len(self.classes), self.threads)
        means -= means.mean(axis=0)
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)

    @staticmethod
    def _called(label: str, near: np.ndarray) -> str:
        return longer(label, vocabulary(), near) if may_be_short(label) else spoken(label)

    def _make(self, asked: Sequence[Ask]) -> list[str]:
        """What a class is called, once; then texts that say it: another is drawn for one that lies as near to a
        neighbour. After so many draws it is what the class is called, again."""
        made = [self._said[ask.label] for ask in asked]
        left = [
            place
            for place, ask in enumerate(asked)
            if self._words[ask.label] and (ask.replicate or not made[place])
        ]
        for turn in range(TRIES):
            drawn = {place: self._one(asked[place], turn) for place in left}
            own = self._own([(asked[place].label, text) for place, text in drawn.items()])
            for (place, text), says in zip(drawn.items(), own, strict=True):
                if says or not made[place]:  # of a class without a name, the first draw is as good as any
                    made[place] = text
            left = [place for place, says in zip(left, own, strict=True) if not says]
        return made

    def _own(self, drawn: Sequence[tuple[int, str]]) -> list[bool]:
        """Whether each text lies nearer to its class, by the margin, than to all others."""
        if not drawn:
            return []
        texts, which = np.unique([text for _, text in drawn], return_inverse=True)
        near = (encode([str(text) for text in texts], self.threads) @ self._aims.T)[which]
        own = np.arange(len(drawn)), np.array([label for label, _ in drawn])
        mine = near[own]
        near[own] = -1.0
        return [bool(says) for says in mine - near.max(axis=1) >= MARGIN]

    def _one(self, ask: Ask, turn: int) -> str:
        """A word, two of them, or one with what the class is called."""
        said, words = self._said[ask.label], self._words[ask.label]
        rng = np.random.default_rng(derive(ask.seed, turn))
        if len(words) == 1:
            return words[0]
        first, second = (words[place] for place in rng.choice(len(words), 2, p=self._weights[ask.label]))
        drawn = rng.random()
        if drawn < SINGLE:
            return first
        one, other = (said, first) if said and drawn < SINGLE + CALLED else (first, second)
        return first if other in one.split() else f"{one} {other}"

    def _save(self, directory: Path) -> None:
        kept = {"said": self._said, "words": self._words, "weights": self._weights}
        (directory / SAID).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        save_file({"aims": np.ascontiguousarray(self._aims)}, directory / AIMS)

    def _load(self, directory: Path) -> None:
        kept = json.loads((directory / SAID).read_text(encoding="utf-8"))
        self._said, self._words, self._weights = kept["said"], kept["words"], kept["weights"]
        self._aims = load_file(directory / AIMS)["aims"]


def _told(silent: list[str], classes: int) -> str:
    return (
        f"the labels of {len(silent):,} of {classes:,} classes have no words of their own ({', '.join(silent[:5])}): "
        "theirs are those that set their texts apart; `meanings` says what a class means"
    )
