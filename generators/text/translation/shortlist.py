"""Which pieces a sentence's translation may hold: those that often stand beside its own pieces, and the commonest ones.

A small model spends half of its time on the scores of pieces that cannot come. With a lexical shortlist (Schwenk et al.
2007; as Marian and Bergamot have it) it gives only the others a score.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leaven.generators.text.translation.masks import PLACEHOLDERS
from leaven.generators.text.translation.pairs import Pair

FILE, VMAP = "shortlist.txt.gz", "vmap.txt"  # as it is shipped; as CTranslate2 reads it
ALWAYS, OF_EACH = 200, 16  # the commonest pieces; those beside each piece
LEAST = 2  # pairs that two pieces must have in common
_END = ("</s>", "<unk>")


def learned(pairs: Sequence[Pair], pieces: bytes) -> str:
    """The shortlist of a vocabulary, in CTranslate2's format: in each line a piece, a tab, and pieces of the target.

    The first line, without a piece, is of those that may always come. A piece that both sides know may stay.

    Args:
        pairs: sentences and their translations.
        pieces: SentencePiece's model of both languages.
    """
    import sentencepiece as spm
    from scipy.sparse import csr_matrix

    reader = spm.SentencePieceProcessor(model_proto=pieces)
    size = reader.vocab_size()

    def there(sentences: list[str]) -> csr_matrix:
        """Which sentence holds which piece, (sentences, pieces)."""
        rows = [sorted(set(numbers)) for numbers in reader.encode(sentences, out_type=int)]
        columns = np.array([number for row in rows for number in row], dtype=np.int64)
        starts = np.cumsum([0, *(len(row) for row in rows)])
        return csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(rows), size))

    ours, theirs = there([one.source for one in pairs]), there([one.target for one in pairs])
    both = (ours.T @ theirs).tocsr()
    own, other = (np.asarray(side.sum(axis=0)).ravel() for side in (ours, theirs))
    names = [reader.id_to_piece(number) for number in range(size)]
    common = [names[number] for number in np.argsort(-other, kind="stable")[:ALWAYS]]
    lines = ["\t" + " ".join(dict.fromkeys([*_END, *PLACEHOLDERS, *common]))]
    for piece in range(size):
        part = slice(both.indptr[piece], both.indptr[piece + 1])
        beside, counts = both.indices[part], both.data[part]
        dice = np.where(counts >= LEAST, 2 * counts / (own[piece] + other[beside]), 0)
        best = [beside[place] for place in np.argsort(-dice, kind="stable")[:OF_EACH] if dice[place] > 0]
        found = dict.fromkeys([*(names[number] for number in best), names[piece]])
        lines.append(f"{names[piece]}\t{' '.join(found)}")
    return "\n".join(lines) + "\n"


def write(text: str, folder: Path) -> None:
    """Keep a shortlist in a model's folder, the same bytes for the same text."""
    (folder / FILE).write_bytes(gzip.compress(text.encode(), mtime=0))


def unpack(folder: Path, into: Path) -> None:
    """Put a model's shortlist, if it has one, where CTranslate2 looks for it."""
    if (folder / FILE).is_file():
        (into / VMAP).write_bytes(gzip.decompress((folder / FILE).read_bytes()))
