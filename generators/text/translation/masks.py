"""What must come through a translation unchanged: names, numbers, addresses, code and words that a model never saw.

Each is replaced by a placeholder that the embedded models have learned to copy, and put back afterwards. A translation
that lost one, or has one twice, is no translation.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from leaven.generators.text.plain import WORD

MOST = 6  # placeholders in one text
PLACEHOLDERS = tuple(f"<x{number}>" for number in range(1, MOST + 1))
_MARK = re.compile(r"<x(\d)>")
_FIXED = re.compile(
    r"<x\d>"
    r"|(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?)]"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|`[^`\n]+`|\{\{?[^{}\n]*\}?\}|</?[A-Za-z][^<>\n]*>|%[sd]\b|\$\{\w+\}|\$[A-Za-z_]\w*"
    r"|[@#]\w+"
    r"|\+?\(?\d[\d ()-]{5,}\d(?!\w)"
    r"|[$£€¥]?\d(?:[\d.,:/-]*\d)?(?:\s?[%€£$°])?(?!\w)"
    r"|\w*\d\w*|\w+_\w+"
)
_SENTENCE_END = re.compile(r"[.!?:;\"(-]\s*$")


class Masked(NamedTuple):
    """A text with placeholders, and what they stand for in their order."""

    text: str
    kept: tuple[str, ...]


def mask(text: str, known: Collection[str] | None = None) -> Masked:
    """Replace what must stay as it is.

    Args:
        text: in plain form.
        known: words, in small letters, that a model has learned; others are replaced too. None: all are known.
    """
    found: dict[str, str] = {}
    spans = [match.span() for match in _FIXED.finditer(text)]
    names: list[tuple[int, int]] = []
    for match in WORD.finditer(text):
        inside = any(start < match.end() and match.start() < end for start, end in spans)
        if inside or not _stays(match, text, known):
            continue
        start, end = match.span()
        if names and match[0][0].isupper() and text[names[-1][1] : start] == " ":
            start = names.pop()[0]  # New York is one name
        names.append((start, end))
    pieces, place = [], 0
    for start, end in sorted(spans + names):
        if start < place:
            continue
        value = text[start:end]
        if value not in found.values():
            if len(found) == MOST:
                continue
            found[PLACEHOLDERS[len(found)]] = value
        mark = next(mark for mark, kept in found.items() if kept == value)
        pieces += [text[place:start], mark]
        place = end
    return Masked("".join([*pieces, text[place:]]), tuple(found.values()))


def _stays(match: re.Match[str], text: str, known: Collection[str] | None) -> bool:
    """Whether a word is a name, or unknown."""
    word, before = match[0], text[: match.start()]
    first = not before.strip() or _SENTENCE_END.search(before)
    if word[0].isupper() and not first and len(word) > 1:
        return True
    return known is not None and not (word.lower() in known or _parts_known(word.lower(), known))


def _parts_known(word: str, known: Collection[str]) -> bool:
    """`isn't`, `top-up`: known where their parts are."""
    parts = re.split(r"['-]", word)
    return len(parts) > 1 and all(part in known or len(part) == 1 for part in parts)


def unmask(text: str, kept: tuple[str, ...]) -> str | None:
    """Put back what the placeholders stand for; None where one is missing or was never there."""
    used = {int(number) for number in _MARK.findall(text)}
    if used != set(range(1, len(kept) + 1)):
        return None
    return _MARK.sub(lambda match: kept[int(match[1]) - 1], text)
