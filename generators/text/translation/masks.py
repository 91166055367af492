"""What must come through a translation unchanged: names, numbers, addresses, code, smileys and words that a model never
saw.

Each is replaced by a placeholder that the embedded models have learned to copy, and put back afterwards. A translation
that lost one, or has one that was never there, is no translation; one may come several times.
"""

import bisect
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from leaven.generators.text.plain import WORD

MOST = 6  # placeholders in one text
HEADLINE = 5  # words that all begin with a capital
PLACEHOLDERS = tuple(f"<x{number}>" for number in range(1, MOST + 1))
_MARK = re.compile(r"<x(\d)>")
# Pictures and what joins them: arrows to dingbats, emoji, variation selectors, flags.
_EMOJI = r"[\u00a9\u00ae\u2190-\u2bff\u3030\u303d\ufe0e\ufe0f\u200d\u20e3\U0001f000-\U0001faff\U000e0020-\U000e007f]++"
_EMOTICON = r"(?:[:;=][-'^]?[()\[\]DPpOo|/\\*3]++|<3++|\^_?\^)"
_HEAD = re.compile(rf"(?:(?:{_EMOJI}|{_EMOTICON}(?!\S))\s*)*+")
_SMILEY = re.compile(rf"{_EMOJI}|{_EMOTICON}")
# Quantifiers are bounded or possessive: what matches nothing must not cost the square of its length.
_FIXED = re.compile(
    r"<x\d>"
    r"|(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?)]"
    r"|[\w.+-]{1,64}+@[\w-]++(?:\.[\w-]++)++"
    rf"|{_EMOJI}|(?<!\S){_EMOTICON}(?!\S)"
    r"|`[^`\n]+`|\{\{?[^{}\n]*\}?\}|</?[A-Za-z][^<>\n]*>|%[sd]\b|\$\{\w+\}|\$[A-Za-z_]\w*"
    r"|[@#]\w+"
    r"|\+?\(?\d[\d ()-]{5,40}\d(?!\w)"
    r"|(?:[$£€¥]|(?<!\d))\d(?:[\d.,:/-]*\d)?(?:\s?[%€£$°])?(?!\w)"
    r"|(?<!\w)[^\W\d]*+\d\w*+|(?<!\w)(?=\w+?_\w)\w++"
)
_BEFORE_SENTENCE = '.!?:;"(-'


class Masked(NamedTuple):
    """A text with placeholders, and what they stand for in their order."""

    text: str
    kept: tuple[str, ...]


def mask(text: str, known: Collection[str] | None = None, *, capitals: bool = True) -> Masked:
    """Replace what must stay as it is.

    Args:
        text: in plain form.
        known: words, in small letters, that a model has learned; others are replaced too. None: all are known.
        capitals: whether they are a sign of a name. They are none in German, in a headline, or where somebody shouts.
    """
    capitals = capitals and not (shouted(text) or _headline(text))
    spans = [match.span() for match in _FIXED.finditer(text)]
    ends = [end for _, end in spans]
    names: list[tuple[int, int]] = []
    for match in WORD.finditer(text):
        next_one = bisect.bisect_left(ends, match.start() + 1)
        inside = next_one < len(spans) and spans[next_one][0] < match.end()
        if inside or not _stays(match, text, known, capitals):
            continue
        start, end = match.span()
        if names and match[0][0].isupper() and text[names[-1][1] : start] == " ":
            start = names.pop()[0]  # New York is one name
        names.append((start, end))
    apart: list[tuple[int, int]] = []
    for start, end in sorted(spans + names):
        if not apart or start >= apart[-1][1]:
            apart.append((start, end))
    kept = _kept([text[start:end] for start, end in apart])
    pieces, place = [], 0
    for start, end in apart:
        if text[start:end] in kept:
            pieces += [text[place:start], PLACEHOLDERS[kept.index(text[start:end])]]
            place = end
    return Masked("".join([*pieces, text[place:]]), kept)


def _kept(values: Sequence[str]) -> tuple[str, ...]:
    """The values that get a placeholder, in their order: each that looks like one, since it would be taken for one, and
    the first of the others. None where too many look like one, so that all stay as they stand."""
    different = list(dict.fromkeys(values))
    alike = [value for value in different if _MARK.fullmatch(value)]
    if len(alike) > MOST:
        return ()
    others = [value for value in different if value not in alike][: MOST - len(alike)]
    return tuple(value for value in different if value in alike or value in others)


def trimmed(text: str) -> tuple[str, str, str]:
    """What stands before a sentence of smileys, the sentence, and what stands behind it of them."""
    start = _HEAD.match(text).end()  # type: ignore[union-attr]
    end = len(text)
    for match in reversed(list(_SMILEY.finditer(text, start))):
        if text[match.end() : end].strip():
            break
        end = match.start()
    end = max(start, start + len(text[start:end].rstrip()))
    return text[:start], text[start:end], text[end:]


def shouted(text: str) -> bool:
    """Whether several words stand in capitals alone."""
    return text.isupper() and len(WORD.findall(text)) > 1


def _headline(text: str) -> bool:
    """Whether each of many words begins with a capital."""
    words = WORD.findall(text)
    return len(words) >= HEADLINE and all(word[0].isupper() for word in words)


def _stays(match: re.Match[str], text: str, known: Collection[str] | None, capitals: bool) -> bool:
    """Whether a word is a name, or unknown."""
    word, before = match[0], text[: match.start()].rstrip()
    first = not before or before[-1] in _BEFORE_SENTENCE
    if capitals and word[0].isupper() and not first and len(word) > 1:
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
