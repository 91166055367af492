"""Texts through a translator: split into sentences, masked, looked up, translated, checked, put together again.

Nothing is cut short: a sentence too long for the model is split at a comma or a space. A sentence that cannot be
translated fails alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from leaven.generators.text.calls import Calls, key
from leaven.generators.text.plain import NOUNS_IN_CAPITALS, plain
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.masks import Masked, mask, shouted, trimmed, unmask

LONGEST = 300  # characters of a sentence, more are split
LEAST_RATIO, MOST_RATIO, SLACK = (
    0.4,
    2.5,
    20,
)  # of the lengths of a sentence and its translation, in letters
_ENDS = tuple(re.compile(mark) for mark in (r"[;:](?=\s)", r",(?=\s)", r"\s"))  # where a long sentence is cut
VERSION = 5  # of what is done with a sentence before and after the model: a new one translates all anew


@dataclass
class Report:
    """What a translation of many texts took."""

    asked: int = 0  # different sentences
    kept: int = 0  # of them answered before
    faults: dict[str, int] = field(default_factory=dict)


def split(text: str, language: str) -> list[str]:
    """The sentences of a text, none longer than `LONGEST` characters."""
    from sentencex import segment

    made: list[str] = []
    for line in text.splitlines():
        for sentence in segment(language, line):
            made += _pieces(sentence.strip())
    return [sentence for sentence in made if sentence]


def _pieces(sentence: str) -> list[str]:
    """A long sentence in several, at a semicolon, a comma or a space, but not within an address or a time."""
    made = []
    while len(sentence) > LONGEST:
        head = sentence[: LONGEST + 1]
        ends = [max((found.start() for found in marks.finditer(head)), default=-1) for marks in _ENDS]
        place = next((end for end in ends if end > LONGEST // 4), LONGEST - 1)
        made.append(sentence[: place + 1].strip())
        sentence = sentence[place + 1 :].strip()
    return [*made, sentence]


def translate(
    translator: Translator,
    sentences: Sequence[str],
    count: int,
    calls: Calls,
    report: Report | None = None,
) -> dict[str, list[str]]:
    """Translations of each different sentence that passed the checks, best first, at most `count`.

    A sentence without a letter, such as a number or a smiley, is its own translation.

    Args:
        translator: does the work; what it has answered before is not asked again.
        sentences: in any order, also several times.
        count: alternatives of each.
        calls: where answers are kept.
        report: counts what was done, where somebody wants to know.

    Raises:
        ModelError: the translator failed for good; what it answered before is kept.
    """
    report = report or Report()
    # like lengths beside each other
    different = sorted(dict.fromkeys(sentences), key=lambda text: (len(text), text))
    asked = [sentence for sentence in different if _speaks(sentence)]
    report.asked += len(asked)
    settings = [VERSION, translator.digest, translator.source, translator.target, count]
    keys = {sentence: key("translate", settings, sentence) for sentence in asked}
    answers: dict[bytes, dict[str, list[str]] | None] = {}
    work = calls.through(
        asked, keys.__getitem__, lambda part: _checked(translator, part, count), translator.batch
    )
    for turn, batch in enumerate(work):
        if translator.failed:  # only now, so that what was translated before is kept
            raise translator.failed
        report.kept += len(batch) if turn == 0 else 0
        answers |= batch
    found = {sentence: [sentence] for sentence in different}
    for sentence in asked:
        answer = answers[keys[sentence]] or {"ways": [], "faults": []}
        found[sentence] = answer["ways"]
        for fault in answer["faults"]:
            report.faults[fault] = report.faults.get(fault, 0) + 1
    return found


def _checked(
    translator: Translator, sentences: Sequence[str], count: int
) -> list[dict[str, list[str]] | None]:
    """For each sentence what passed of its translations and the faults of the rest; None where it has none yet."""
    masked = [
        _trimmed_and_masked(sentence, translator)
        if translator.learned_marks
        else ("", Masked(sentence, ()), "")
        for sentence in sentences
    ]
    different = list(dict.fromkeys(one.text for _, one, _ in masked))
    said = dict(zip(different, translator.translate(different, count), strict=True))
    return [
        _passed(sentence, parts, said[parts[1].text])
        for sentence, parts in zip(sentences, masked, strict=True)
    ]


def _trimmed_and_masked(sentence: str, translator: Translator) -> tuple[str, Masked, str]:
    """A sentence as a model gets it, with the smileys before and behind. Small models know no words in capitals."""
    head, middle, tail = trimmed(sentence)
    given = middle.capitalize() if shouted(middle) else middle
    return head, mask(given, translator.known, capitals=translator.source not in NOUNS_IN_CAPITALS), tail


def _speaks(sentence: str) -> bool:
    """Whether there is a letter to be translated."""
    return any(letter.isalpha() for letter in trimmed(sentence)[1])


def _passed(
    sentence: str, parts: tuple[str, Masked, str], answers: Sequence[str] | None
) -> dict[str, list[str]] | None:
    """The answers that can be a translation, with what was masked or cut off put back."""
    if answers is None:
        return None
    (head, masked, tail), ways, faults = parts, list[str](), list[str]()
    for answer in answers:
        whole = unmask(answer, masked.kept) if masked.kept else answer
        fault = "lost a name or number" if whole is None else "" if plain(whole) else "empty"
        text = plain(f"{head}{plain(whole or '')}{tail}")
        fault = fault or faulty(sentence, text)
        if fault:
            faults.append(fault)
        else:
            ways.append(text)
    return {"ways": list(dict.fromkeys(ways)), "faults": faults}


def faulty(sentence: str, translation: str) -> str:
    """Why a text cannot be a translation of the sentence; empty where it can."""
    if not translation:
        return "empty"
    ours, theirs = _letters(sentence), _letters(translation)
    if theirs > MOST_RATIO * ours + SLACK or theirs < LEAST_RATIO * ours - SLACK:
        return "length"
    if repeats(translation) > max(2, repeats(sentence)):
        return "repetition"
    return ""


_SIGN = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese, Japanese
_SIGNS = re.compile(f"[{_SIGN}]")
_WORDS = re.compile(rf"[{_SIGN}]|[^\W{_SIGN}]+")


def _letters(text: str) -> int:
    """The length of a text in letters; a sign of Chinese or Japanese says as much as about three."""
    return len(text) + 2 * len(_SIGNS.findall(text))


def repeats(text: str) -> int:
    """How often the same one to four words follow each other at most: 1 where nothing is repeated. A sign of Chinese or
    Japanese counts as a word."""
    found = _WORDS.findall(text.lower())
    most = 1
    for size in range(1, 5):
        run = 1
        for place in range(size, len(found)):
            # Words that equal those `size` before them, `size` times, are one repetition.
            run = run + 1 if found[place] == found[place - size] else 1
            most = max(most, 1 + (run - 1) // size)
    return most
