"""Pairs of sentences that a student learns to translate from: read, cleaned, divided, and changed from epoch to epoch.

Words that must stay as they are become placeholders in many pairs, so that the student learns to copy these. Words
that are each other's translation (by Dice's coefficient over the pairs) become one now and then, so that it copies
them at any place of a sentence. Some pairs lose their capitals and the last full stop, as people write to a machine,
and some are joined to one of two sentences.
"""

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leaven.generators.errors import InputError
from leaven.generators.seeds import derive
from leaven.generators.text.plain import plain, words
from leaven.generators.text.translation.masks import MOST, PLACEHOLDERS, mask

MOST_WORDS = 60  # in a sentence
NAMES, TRANSLATED, SMALL, JOINED = 0.6, 0.15, 0.2, 0.1  # shares of the pairs that are changed
LEAST_DICE, LEAST_SEEN = 0.4, 5  # of words that count as each other's translation
HELD_OUT = 1_000  # sentences of the source that no pair of train has


class Pair(NamedTuple):
    """A sentence and its translation, both in plain form."""

    source: str
    target: str


class Pairs(NamedTuple):
    """Pairs to learn from and pairs to be asked about, which share no sentence."""

    train: list[Pair]
    held_out: list[Pair]
    digest: str  # of all that was read, in order


def read_pairs(path: Path, reverse: bool = False) -> Pairs:
    """Read pairs: a text file, gzip or not, with a sentence and its translation divided by a tab in each line.

    Args:
        path: the file.
        reverse: the translation comes first.

    Raises:
        InputError: not there, or a line without a tab.
    """
    raw, lines = read_lines(path)
    found: dict[Pair, None] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise InputError(
                f"{path.name} line {number}: has no tab; expected a sentence, a tab, its translation"
            )
        left, right = plain(fields[0]), plain(fields[1])
        pair = Pair(right, left) if reverse else Pair(left, right)
        if (
            pair.source
            and pair.target
            and max(len(words(pair.source)), len(words(pair.target))) <= MOST_WORDS
        ):
            found[pair] = None
    if len(found) < 10:
        raise InputError(f"{path.name}: has {len(found)} usable pairs; expected at least 10")
    return divide(list(found), hashlib.sha256(raw).hexdigest())


def read_lines(path: Path) -> tuple[bytes, list[str]]:
    """What a text file, gzip or not, holds, and its lines.

    Raises:
        InputError: it cannot be read, or is not text.
    """
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        text = raw.decode("utf-8").removesuffix("\n")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}; expected text, gzip or not") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name}: byte {error.start} is not UTF-8; expected text") from None
    return raw, text.split("\n") if text else []  # not `splitlines`: sentences may hold U+2028 or U+0085


def divide(pairs: Sequence[Pair], digest: str) -> Pairs:
    """Hold out some sentences, by a hash of the sentence, so that the same ones are held out in both directions."""

    def place(text: str) -> str:
        return hashlib.sha256(text.casefold().encode()).hexdigest()

    ranked = sorted({min(place(pair.source), place(pair.target)) for pair in pairs})
    out = set(ranked[: min(HELD_OUT, max(1, len(ranked) // 20))])
    asked = [pair for pair in pairs if min(place(pair.source), place(pair.target)) in out]
    seen = {side.casefold() for pair in asked for side in pair}
    rest = [
        pair for pair in pairs if pair.source.casefold() not in seen and pair.target.casefold() not in seen
    ]
    first: dict[str, Pair] = {}
    for pair in asked:
        first.setdefault(pair.source, pair)
    return Pairs(rest, list(first.values()), digest)


def known_words(pairs: Sequence[Pair], least: int = 3) -> list[str]:
    """Words of the source, in small letters, that stand in at least so many pairs, sorted."""
    counts: Counter[str] = Counter()
    for pair in pairs:
        counts.update({word.lower() for word in words(pair.source)})
    return sorted(word for word, count in counts.items() if count >= least)


def translations(pairs: Sequence[Pair]) -> dict[str, str]:
    """Words of the source whose translation is nearly always one word: small letters -> small letters."""
    left: Counter[str] = Counter()
    right: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        ours, theirs = {w.lower() for w in words(pair.source)}, {w.lower() for w in words(pair.target)}
        left.update(ours)
        right.update(theirs)
        both.update((one, other) for one in ours for other in theirs)
    best: dict[str, tuple[float, str]] = {}
    for (one, other), count in both.items():
        if count < LEAST_SEEN or len(one) < 3:
            continue
        dice = 2 * count / (left[one] + right[other])
        if dice >= LEAST_DICE and dice > best.get(one, (0.0, ""))[0]:
            best[one] = (dice, other)
    return {one: other for one, (_, other) in sorted(best.items())}


class Changed:
    """The pairs of an epoch, each changed or not; the same seed and epoch give the same pairs."""

    def __init__(self, pairs: Sequence[Pair], seed: int):
        self.pairs, self.seed = pairs, seed
        self._translations = translations(pairs)

    def epoch(self, number: int) -> list[Pair]:
        """All pairs, in order, as this epoch has them."""
        rng = np.random.default_rng(derive(self.seed, "pairs", number))
        made = list(self._changed(rng))
        return [*made, *_joined(made, rng)]

    def _changed(self, rng: np.random.Generator) -> Iterator[Pair]:
        for pair, (names, translated, small) in zip(
            self.pairs, rng.random((len(self.pairs), 3)), strict=True
        ):
            if names < NAMES:
                pair = _with_names(pair)
            if translated < TRANSLATED:
                pair = self._with_translated(pair, rng)
            if small < SMALL:
                pair = Pair(_small(pair.source), _small(pair.target))
            yield pair

    def _with_translated(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """One word and its translation as a placeholder."""
        used = sum(mark in pair.source for mark in PLACEHOLDERS)
        if used == MOST:
            return pair
        theirs = [word.lower() for word in words(pair.target)]
        asked = [word for word in words(pair.source) if self._translations.get(word.lower(), "") in theirs]
        if not asked:
            return pair
        word = asked[rng.integers(len(asked))]
        mark, other = PLACEHOLDERS[used], self._translations[word.lower()]
        return Pair(_replaced(pair.source, word, mark), _replaced(pair.target, other, mark))


def _with_names(pair: Pair) -> Pair:
    """What would be masked in the source and stands in the target as well, as placeholders in both."""
    source, target, used = pair.source, pair.target, 0
    for value in mask(pair.source).kept:
        new_source, new_target = (
            _replaced(source, value, PLACEHOLDERS[used]),
            _replaced(target, value, PLACEHOLDERS[used]),
        )
        if new_source.count(PLACEHOLDERS[used]) == new_target.count(PLACEHOLDERS[used]) == 1:
            source, target, used = new_source, new_target, used + 1
    return Pair(source, target)


def _replaced(text: str, value: str, mark: str) -> str:
    """The text with a word replaced where it stands alone, in any letters."""
    return re.sub(rf"(?<![\w'-]){re.escape(value)}(?![\w-])", mark, text, flags=re.IGNORECASE)


def _small(text: str) -> str:
    return re.sub(r"\s?[.!]$", "", text.lower())


def _joined(pairs: Sequence[Pair], rng: np.random.Generator) -> Iterator[Pair]:
    """Two pairs as one, where placeholders allow."""
    count = int(len(pairs) * JOINED)
    for one, other in rng.integers(len(pairs), size=(count, 2)):
        first, second = pairs[one], pairs[other]
        if PLACEHOLDERS[0] in first.source and PLACEHOLDERS[0] in second.source:
            continue
        yield Pair(f"{first.source} {second.source}", f"{first.target} {second.target}")
