"""Texts through a translator: split into sentences, masked, looked up, translated, checked, put together again.

Nothing is cut short: a sentence too long for the model is split at a comma or a space. A sentence that cannot be
translated fails alone.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leaven.generators.text.calls import Calls, key
from leaven.generators.text.plain import plain
from leaven.generators.text.translation.contract import Translator
from leaven.generators.text.translation.masks import Masked, mask, unmask

LONGEST = 300  # characters of a sentence, more are split
LEAST_RATIO, MOST_RATIO, SLACK = (
    0.4,
    2.5,
    20,
)  # of the lengths of a sentence and its translation, in characters
VERSION = 2  # of what is done with a sentence before and after the model: a new one translates all anew


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
    """A long sentence in several, at a semicolon, a comma or a space."""
    made = []
    while len(sentence) > LONGEST:
        head = sentence[:LONGEST]
        ends = [max(head.rfind(mark) for mark in marks) for marks in (";:", ",", " ")]
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
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, list[str]]:
    """Translations of each different sentence that passed the checks, best first, at most `count`.

    Args:
        translator: does the work; what it has answered before is not asked again.
        sentences: in any order, also several times.
        count: alternatives of each.
        calls: where answers are kept.
        report: counts what was done, where somebody wants to know.
        progress: called with the share done.

    Raises:
        ModelError: the translator failed for good; what it answered before is kept.
    """
    report = report or Report()
    asked = sorted(
        dict.fromkeys(sentences), key=lambda text: (len(text), text)
    )  # like lengths beside each other
    report.asked += len(asked)
    settings = [VERSION, translator.digest, translator.source, translator.target, count]

    def key_of(sentence: str) -> bytes:
        return key("translate", settings, sentence)

    answers: dict[bytes, dict[str, list[str]] | None] = {}
    work = calls.through(asked, key_of, lambda part: _checked(translator, part, count), translator.batch)
    for turn, batch in enumerate(work):
        if translator.failed:  # only now, so that what was translated before is kept
            raise translator.failed
        report.kept += len(batch) if turn == 0 else 0
        answers |= batch
        progress(len(answers) / max(1, len(asked)))
    found = {}
    for sentence in asked:
        answer = answers[key_of(sentence)] or {"ways": [], "faults": []}
        found[sentence] = answer["ways"]
        for fault in answer["faults"]:
            report.faults[fault] = report.faults.get(fault, 0) + 1
    return found


def _checked(
    translator: Translator, sentences: Sequence[str], count: int
) -> list[dict[str, list[str]] | None]:
    """For each sentence what passed of its translations and the faults of the rest; None where it has none yet."""
    masked = [
        mask(sentence, translator.known) if translator.learned_marks else Masked(sentence, ())
        for sentence in sentences
    ]
    different = list(dict.fromkeys(one.text for one in masked))
    said = dict(zip(different, translator.translate(different, count), strict=True))
    return [_passed(sentence, one, said[one.text]) for sentence, one in zip(sentences, masked, strict=True)]


def _passed(sentence: str, masked: Masked, answers: Sequence[str] | None) -> dict[str, list[str]] | None:
    """The answers that can be a translation, with what was masked put back."""
    if answers is None:
        return None
    ways, faults = [], []
    for answer in answers:
        whole = unmask(answer, masked.kept) if masked.kept else answer
        fault = "lost a name or number" if whole is None else faulty(sentence, plain(whole))
        if fault:
            faults.append(fault)
        elif whole is not None:
            ways.append(plain(whole))
    return {"ways": list(dict.fromkeys(ways)), "faults": faults}


def faulty(sentence: str, translation: str) -> str:
    """Why a text cannot be a translation of the sentence; empty where it can."""
    if not translation:
        return "empty"
    ours, theirs = len(sentence), len(translation)
    if theirs > MOST_RATIO * ours + SLACK or theirs < LEAST_RATIO * ours - SLACK:
        return "length"
    if repeats(translation) > max(2, repeats(sentence)):
        return "repetition"
    return ""


_WORDS = re.compile(r"\w+")


def repeats(text: str) -> int:
    """How often the same one to four words follow each other at most: 1 where nothing is repeated."""
    found = _WORDS.findall(text.lower())
    most = 1
    for size in range(1, 5):
        run = 1
        for place in range(size, len(found)):
            # Words that equal those `size` before them, `size` times, are one repetition.
            run = run + 1 if found[place] == found[place - size] else 1
            most = max(most, 1 + (run - 1) // size)
    return most
