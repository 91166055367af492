"""The longest run of words that a text shares with a corpus, by suffix arrays (Manber and Myers 1993)."""

from collections.abc import Iterator, Sequence

import numpy as np

BLOCK = 500_000  # words of a corpus that are looked at together: memory does not grow with the corpus

Words = Sequence[str]


def longest_runs(texts: Sequence[Words], corpus: Sequence[Words]) -> np.ndarray:
    """Words of the longest run of each text that stands in one of the corpus, int64 (texts,)."""
    found = np.zeros(len(texts), dtype=np.int64)
    for block in _blocks(corpus):
        np.maximum(found, _longest(texts, block), out=found)
    return found


def _blocks(corpus: Sequence[Words]) -> Iterator[list[Words]]:
    block: list[Words] = []
    words = 0
    for one in corpus:
        block.append(one)
        words += len(one)
        if words >= BLOCK:
            yield block
            block, words = [], 0
    if block:
        yield block


def _longest(texts: Sequence[Words], corpus: Sequence[Words]) -> np.ndarray:
    """What a place in a text shares with its nearest places of the corpus, in the order of all suffixes, is the
    longest that it shares with any."""
    lengths = np.array([len(words) for words in texts], dtype=np.int64)
    ranks = _ranks(_codes([*texts, *corpus]))
    suffixes = np.argsort(ranks[-1])
    ours = int(lengths.sum()) + len(texts)  # words and ends of the texts, which stand first
    which = np.arange(len(suffixes))
    before = np.maximum.accumulate(np.where(suffixes >= ours, which, -1))
    after = np.minimum.accumulate(np.where(suffixes >= ours, which, len(which))[::-1])[::-1]
    places, turn = np.arange(ours), ranks[-1][:ours]
    owner = np.repeat(np.arange(len(texts)), lengths + 1)
    found = np.zeros(len(texts), dtype=np.int64)
    for near in (before[turn], after[turn]):
        there = (near >= 0) & (near < len(which))
        np.maximum.at(found, owner[there], _shared(ranks, places[there], suffixes[near[there]]))
    return found


def _codes(documents: Sequence[Words]) -> np.ndarray:
    """All words one after the other as numbers, int64; after each document an end that is like no other."""
    numbers: dict[str, int] = {}
    codes: list[int] = []
    for document, words in enumerate(documents):
        codes += [numbers.setdefault(word, len(numbers)) for word in words]
        codes.append(-1 - document)
    return np.array(codes, dtype=np.int64)


def _ranks(codes: np.ndarray) -> list[np.ndarray]:
    """Ranks of the runs of 1, 2, 4, ... words that begin at each place, int32 (words,), until no two are alike."""
    ranks = [_ranked(codes)]
    while int(ranks[-1].max()) + 1 < len(codes):
        size, rank = 2 ** (len(ranks) - 1), ranks[-1].astype(np.int64)
        then = np.append(rank[size:] + 1, np.zeros(min(size, len(rank)), dtype=np.int64))
        ranks.append(_ranked(rank * (len(codes) + 1) + then))
    return ranks


def _ranked(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int32)


def _shared(ranks: Sequence[np.ndarray], ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Words that the runs from two different places have in common, int64 (places,)."""
    shared = np.zeros(len(ours), dtype=np.int64)
    for level in range(len(ranks) - 1, -1, -1):
        # An end is like no other, so that what is shared never reaches beyond it.
        shared += (ranks[level][ours + shared] == ranks[level][theirs + shared]) * 2**level
    return shared
