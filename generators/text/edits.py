"""Small edits of words, the classic augmentation: EDA (Wei and Zou, EMNLP 2019) and AEDA (Karimi et al. 2021).

EDA swaps, deletes and repeats words, and puts synonyms in their place or beside them where WordNet is there. AEDA only
puts punctuation between words.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from leaven.generators.contract import Budget, Fit, Parameters, Progress
from leaven.generators.text.base import Ask, TextGenerator

MARKS = (".", ";", "?", ":", "!", ",")
SHARE = 0.1  # of the words that EDA changes
MOST_MARKS = 1 / 3  # of the words, that AEDA puts in at most

Method = Literal["eda", "aeda"]


class EditsParameters(Parameters):
    """Parameters of edits."""

    method: Method = Field(
        "eda", description="eda: words swapped, deleted, replaced; aeda: punctuation put in"
    )
    share: float = Field(SHARE, gt=0, le=1, description="eda: share of the words that are changed")


class Edits(TextGenerator):
    """Train texts with some words changed. Each depends on its own seed alone."""

    name = "edits"
    Parameters = EditsParameters

    def _learn(self, *, seed: int, budget: Budget, progress: Progress) -> Fit:
        missing = self.parameters.method == "eda" and not synonyms_there()
        return Fit(notes=["WordNet is not installed: words are not replaced by synonyms"] if missing else [])

    def _make(self, asked: Sequence[Ask]) -> list[str]:
        return [
            edited(self.texts[ask.source], ask.seed, self.parameters.method, self.parameters.share)
            for ask in asked
        ]


def edited(text: str, seed: int, method: Method = "eda", share: float = SHARE) -> str:
    """A text with small edits; one without words as it is."""
    rng = np.random.default_rng(seed)
    words = text.split()
    if not words:
        return text
    return " ".join(_aeda(words, rng) if method == "aeda" else _eda(words, rng, share))


def _eda(words: list[str], rng: np.random.Generator, share: float) -> list[str]:
    """One kind of edit, in as many places as the share says, at least one."""
    count = max(1, round(share * len(words)))
    kinds = [_swapped, _deleted, _repeated]
    if synonyms_there():
        kinds += [_replaced, _inserted]
    return kinds[rng.integers(len(kinds))](list(words), count, rng)


def _swapped(words: list[str], count: int, rng: np.random.Generator) -> list[str]:
    if len(words) < 2:
        return words
    for _ in range(count):
        one, other = rng.choice(len(words), 2, replace=False)
        words[one], words[other] = words[other], words[one]
    return words


def _deleted(words: list[str], count: int, rng: np.random.Generator) -> list[str]:
    keep = len(words) - min(count, len(words) - 1)
    return [words[place] for place in sorted(rng.choice(len(words), keep, replace=False))]


def _repeated(words: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Words of the text put in at other places: what is left of random insertion without synonyms."""
    for _ in range(count):
        words.insert(int(rng.integers(len(words) + 1)), words[int(rng.integers(len(words)))])
    return words


def _replaced(words: list[str], count: int, rng: np.random.Generator) -> list[str]:
    for place in rng.permutation(len(words)):
        found = synonyms(words[place].lower())
        if found and count:
            words[place] = found[int(rng.integers(len(found)))]
            count -= 1
    return words


def _inserted(words: list[str], count: int, rng: np.random.Generator) -> list[str]:
    for place in rng.permutation(len(words))[:count]:
        found = synonyms(words[place].lower())
        if found:
            words.insert(int(rng.integers(len(words) + 1)), found[int(rng.integers(len(found)))])
    return words


def _aeda(words: list[str], rng: np.random.Generator) -> list[str]:
    """Punctuation before one to a third of the words."""
    count = int(rng.integers(1, max(1, int(len(words) * MOST_MARKS)) + 1))
    places = set(rng.choice(len(words), count, replace=False).tolist())
    made = []
    for place, word in enumerate(words):
        made += [MARKS[rng.integers(len(MARKS))], word] if place in places else [word]
    return made


@functools.cache
def _wordnet() -> Any:
    """NLTK's reader of WordNet, where both are there."""
    try:
        from nltk.corpus import wordnet

        wordnet.synsets("word")
    except (ImportError, LookupError):
        return None
    return wordnet


def synonyms_there() -> bool:
    """Whether WordNet can be asked."""
    return _wordnet() is not None


@functools.lru_cache(maxsize=50_000)
def synonyms(word: str) -> tuple[str, ...]:
    """Words that can stand for a word, sorted."""
    reader = _wordnet()
    if reader is None:
        return ()
    names = {
        lemma.name().replace("_", " ").lower() for sense in reader.synsets(word) for lemma in sense.lemmas()
    }
    return tuple(sorted(names - {word}))
