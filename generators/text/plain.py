"""Texts as they are compared and translated: one form for what looks the same."""

import re
import unicodedata

_QUOTES = str.maketrans(
    {"‘": "'", "’": "'", "‛": "'", "ʼ": "'", "′": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
     "–": "-", "—": "-", "−": "-", "…": "...", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200b": "",
     "\ufeff": ""}
)  # fmt: skip
_SPACE = re.compile(r"\s+")
NOUNS_IN_CAPITALS = ("de", "lb")  # languages in which a capital is no sign of a name
WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


def plain(text: str) -> str:
    """Compatible characters in one form (NFKC), straight quotes, single spaces."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text.translate(_QUOTES))).strip()


def words(text: str) -> list[str]:
    """The words of a text, as they stand: letters, with apostrophes and hyphens between them."""
    return WORD.findall(text)
