"""Nearly equal texts: MinHash over shingles of letters (Broder 1997), by datasketch.

Shingles of words, as peers use for documents, find everything or nothing in texts of ten words; those of four letters
tell a changed word from a changed text.
"""

import functools

from datasketch import MinHash, MinHashLSH

from leaven.pipelines.quality.texts.same import same

LETTERS = 4  # of a shingle
ALIKE = 0.9  # share of shingles that two texts have in common
HASHES = 64


class NearTexts:
    """Texts that were added, and whether another one is nearly equal to one of them."""

    def __init__(self) -> None:
        self._index = MinHashLSH(threshold=ALIKE, num_perm=HASHES)
        self._shingles: dict[int, frozenset[str]] = {}
        self._exact: set[str] = set()

    def add(self, text: str) -> None:
        """Remember a text."""
        key = same(text)
        if key in self._exact:
            return
        self._exact.add(key)
        shingles, hashed = _sketch(key)
        self._index.insert(len(self._shingles), hashed, check_duplication=False)
        self._shingles[len(self._shingles)] = shingles

    def has(self, text: str) -> bool:
        """Whether a text that was added is nearly equal."""
        key = same(text)
        if key in self._exact:
            return True
        shingles, hashed = _sketch(key)
        # The index proposes; the shingles themselves decide.
        return any(_alike(shingles, self._shingles[one]) >= ALIKE for one in self._index.query(hashed))

    def add_new(self, text: str) -> bool:
        """Remember a text unless a nearly equal one is there; whether it was new."""
        new = not self.has(text)
        if new:
            self.add(text)
        return new


@functools.cache
def _blank() -> MinHash:
    """What every sketch is a copy of: made anew, each would draw the same permutations, half of all the time."""
    return MinHash(num_perm=HASHES)


@functools.lru_cache(maxsize=4_096)
def _sketch(text: str) -> tuple[frozenset[str], MinHash]:
    """A text's shingles and their hashes; the same text is often looked for and then added."""
    padded = f" {text} "
    shingles = frozenset(
        padded[place : place + LETTERS] for place in range(max(1, len(padded) - LETTERS + 1))
    )
    made = _blank().copy()
    made.update_batch([shingle.encode() for shingle in shingles])
    return shingles, made


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
