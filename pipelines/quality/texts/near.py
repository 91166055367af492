"""Nearly equal texts: MinHash over shingles of letters (Broder 1997), by datasketch.

Shingles of words, as peers use for documents, find everything or nothing in texts of ten words; those of four letters
tell a changed word from a changed text.
"""

import functools
import hashlib
import zlib
from collections.abc import Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from leaven.pipelines.quality.texts.same import same

LETTERS = 4  # of a shingle
ALIKE = 0.9  # share of shingles that two texts have in common
# Bands and hashes in each: 99 % of pairs that are just alike are proposed. The library's own choice for a threshold
# weighs false proposals as much as lost pairs and proposes 29 %.
BANDS = (8, 8)
LIKELIEST = 20  # proposals that are looked at, those with the most hashes in common
MOST = 100_000  # texts that are remembered by their shingles


class NearTexts:
    """Texts that were added, and whether another one is nearly equal to one of them.

    Of texts beyond the first `most` only the form in which texts are compared is remembered, as a digest.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._index = MinHashLSH(num_perm=BANDS[0] * BANDS[1], params=BANDS)
        self._shingles: list[np.ndarray] = []
        self._hashes = np.empty((1_024, BANDS[0] * BANDS[1]), dtype=np.uint32)
        self._exact: set[bytes] = set()

    def add(self, text: str) -> None:
        """Remember a text."""
        key = same(text)
        digest = _digest(key)
        if digest in self._exact:
            return
        self._exact.add(digest)
        if len(self._shingles) >= self._most:
            return
        shingles, hashed = _sketch(key)
        place = len(self._shingles)
        if place == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[place] = hashed.hashvalues
        self._index.insert(place, hashed, check_duplication=False)
        self._shingles.append(shingles)

    def has(self, text: str) -> bool:
        """Whether a text that was added is nearly equal."""
        key = same(text)
        if _digest(key) in self._exact:
            return True
        shingles, hashed = _sketch(key)
        # The index proposes, the shingles themselves decide; of many, as texts of one template are, the likeliest ones.
        proposed = self._index.query(hashed)
        if len(proposed) > LIKELIEST:
            places = np.sort(np.array(proposed))
            agree = (self._hashes[places] == hashed.hashvalues.astype(np.uint32)).sum(axis=1)
            proposed = places[np.argsort(-agree, kind="stable")[:LIKELIEST]]
        others = [self._shingles[one] for one in proposed]
        return bool(others) and bool((_alike(shingles, others) >= ALIKE).any())

    def add_new(self, text: str) -> bool:
        """Remember a text unless a nearly equal one is there; whether it was new."""
        new = not self.has(text)
        if new:
            self.add(text)
        return new


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=12).digest()


@functools.cache
def _blank() -> MinHash:
    """What every sketch is a copy of: made anew, each would draw the same permutations, half of all the time."""
    return MinHash(num_perm=BANDS[0] * BANDS[1])


@functools.lru_cache(maxsize=4_096)
def _sketch(text: str) -> tuple[np.ndarray, MinHash]:
    """A text's shingles, as different numbers uint32, and their hashes; the same text is often looked for and then
    added."""
    padded = f" {text} "
    shingles = {
        padded[place : place + LETTERS].encode() for place in range(max(1, len(padded) - LETTERS + 1))
    }
    made = _blank().copy()
    made.update_batch(list(shingles))
    # A tenth of the memory of the texts themselves; no two runs of four bytes have the same checksum.
    return np.unique(np.array([zlib.crc32(shingle) for shingle in shingles], dtype=np.uint32)), made


def _alike(one: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Share of shingles that a text has in common with each of some others, (others,)."""
    sizes = np.array([len(other) for other in others])
    every = np.concatenate(others)
    there = one[np.minimum(np.searchsorted(one, every), len(one) - 1)] == every
    both = np.add.reduceat(there, np.append(0, sizes[:-1].cumsum()), dtype=np.int64)
    return both / (len(one) + sizes - both)
