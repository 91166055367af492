"""What must be the same in a text and the one that it was made from, and what must not."""

import re

from leaven.generators.text.plain import plain
from leaven.generators.text.translation.masks import mask
from leaven.generators.text.translation.texts import repeats

TIMES, SLACK = 3.0, 20  # how many times as long, and characters more than that
SAME = 0.97  # of the letters in order, from which a text is its source again
_WORDS_FOR_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: str(number) for number, word in enumerate(_WORDS_FOR_NUMBERS.split(" "))}
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_WORDS = re.compile(r"[a-z]+")
_TOKENS = re.compile(r"\w+")


def lengthened(text: str, source: str) -> str:
    """`length` where a text is many times as long as its source, or a fraction of it."""
    ours, theirs = len(text), len(source)
    return "length" if ours > TIMES * theirs + SLACK or theirs > TIMES * ours + SLACK else ""


def repeated(text: str, source: str) -> str:
    """`repetition` where words follow each other again and again, more often than in the source."""
    return "repetition" if repeats(text) > max(3, repeats(source)) else ""


def changed(text: str, source: str, *, capitals: bool = True) -> str:
    """`number` where a text has other numbers than its source; `name` where it lost an address, code or a name.

    Args:
        capitals: whether they are a sign of a name.
    """
    ours, theirs = plain(text), plain(source)
    if _numbers(ours, theirs) != _numbers(theirs, ours):
        return "number"
    lost, new = _names(theirs, ours, capitals), _names(ours, theirs, capitals)
    return "name" if lost or new else ""


def _names(text: str, other: str, capitals: bool) -> list[str]:
    """Names, addresses and code of a text that the other does not have."""
    low = other.casefold()
    kept = mask(text, capitals=capitals).kept
    return [value for value in kept if not _DIGITS.search(value) and value.casefold() not in low]


def _numbers(text: str, other: str) -> set[str]:
    """The numbers in a text; words for numbers count where the other text has the digits."""
    found = {number.rstrip(".,:") for number in _DIGITS.findall(text)}
    words = {_NUMBERS[word] for word in _WORDS.findall(text.lower()) if word in _NUMBERS}
    return found | (words & set(_DIGITS.findall(other)))


def hardly_changed(text: str, source: str) -> bool:
    """Whether a text has its source's words, whatever the capitals and punctuation, or all but a few of its letters."""
    from rapidfuzz.fuzz import ratio

    ours, theirs = plain(text).casefold(), plain(source).casefold()
    return _TOKENS.findall(ours) == _TOKENS.findall(theirs) or ratio(ours, theirs) >= 100 * SAME
