"""What a label says in words: `card_arrival` says "card arrival", `neg` says "negative", `17` says nothing."""

import re
from collections.abc import Sequence

import numpy as np

SHORT = 5  # letters of a label up to which it may be an abbreviation
COMMON = 0.08  # of a cosine, that a word gains which comes e times earlier among the common ones
_HUMP = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W\d_]+")
_WORDS_ALONE = re.compile(r"[^\W\d_]+(?:[ _./-]+[^\W\d_]+)*")
USUAL = {
    "pos": "positive", "neg": "negative", "neu": "neutral", "neut": "neutral", "pol": "politics", "sci": "science",
    "tech": "technology", "biz": "business", "ent": "entertainment", "org": "organization", "per": "person",
    "loc": "location", "misc": "miscellaneous", "num": "number", "desc": "description", "info": "information",
    "qty": "quantity", "req": "request", "acct": "account", "pmt": "payment", "tx": "transaction",
}  # fmt: skip


def spoken(label: str) -> str:
    """The words of a label in lower case, apart; empty where it has none, as with numbers.

    >>> spoken("Refund_notShowingUp"), spoken("17")
    ('refund not showing up', '')
    """
    parts = [part.lower() for part in _HUMP.split(label) if part]
    return " ".join(USUAL.get(part, part) for part in parts) if any(len(part) > 1 for part in parts) else ""


def apart(phrases: Sequence[str]) -> list[str]:
    """The phrases of different labels, empty where another one's is the same: `rating` says nothing of `rating_1`.

    >>> apart(["rating", "rating", "comment"])
    ['', '', 'comment']
    """
    return [phrase if phrases.count(phrase) == 1 else "" for phrase in phrases]


def written(label: str) -> str:
    """A label as a model is asked for its texts: its words, or as it stands where they leave something of it out.

    >>> written("card_arrival"), written("rating_1"), written("7")
    ('card arrival', 'rating_1', '7')
    """
    return spoken(label) if _WORDS_ALONE.fullmatch(label) and spoken(label) else label


def may_be_short(label: str) -> bool:
    """Whether a label is one short run of letters, that may stand for a longer word."""
    phrase = spoken(label)
    return bool(re.fullmatch(rf"[^\W\d_]{{2,{SHORT}}}", label)) and phrase == label.lower()


def longer(short: str, words: tuple[str, ...], near: np.ndarray) -> str:
    """The word that a short label stands for: it begins like it, is common, and lies where the class's texts lie.

    Args:
        short: a label that `may_be_short`.
        words: the words to choose from, commonest first.
        near: how near each lies to what sets the class's texts apart, (words,).

    Returns:
        The word; empty where no word begins like it.
    """
    found = [place for place, word in enumerate(words) if word.startswith(short.lower())]
    if not found:
        return ""
    worth = near[found] - COMMON * np.log(np.array(found) + 1_000)
    return words[found[int(np.argmax(worth))]]
