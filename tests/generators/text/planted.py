"""Translators that the tests make: each word has a word in the other language, and some have two on the way back."""

from collections.abc import Sequence

from leaven.generators.text.translation.contract import Translator

SYNONYMS = {"big": "large", "small": "little", "quick": "fast", "begin": "start"}


class There(Translator):
    """Words with `xx` behind them."""

    source, target, digest = "en", "xx", "planted-there"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str]]:
        self.asked += sentences
        return [[" ".join(f"{word}xx" for word in sentence.split())] for sentence in sentences]


class Back(Translator):
    """The words again; the alternative has synonyms."""

    source, target, digest = "xx", "en", "planted-back"

    def translate(self, sentences: Sequence[str], count: int) -> list[list[str]]:
        made = []
        for sentence in sentences:
            words = [word.removesuffix("xx") for word in sentence.split()]
            made.append([" ".join(words), " ".join(SYNONYMS.get(word, word) for word in words)][:count])
        return made
