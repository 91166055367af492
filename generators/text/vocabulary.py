"""The words that the sentence encoder knows, commonest first, and where they lie among texts."""

import functools
import json
import os
import re

import numpy as np

from leaven.generators.caches import cache_folder
from leaven.generators.text.encoder import SHA256, encode, folder

COUNT = 10_000  # words that are looked at
_WORD = re.compile(r"[a-z]{3,}")  # what begins with ## goes on a word, and a letter alone says nothing


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """The encoder's whole words of three letters and more, in its own order, which is about that of frequency."""
    known = json.loads((folder() / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return tuple(word for word in sorted(known, key=known.__getitem__) if _WORD.fullmatch(word))[:COUNT]


@functools.cache
def points(threads: int = 2) -> np.ndarray:
    """The encoder's points of the vocabulary, float32 (words, 384). Computed once and kept in the cache folder."""
    from safetensors.numpy import load_file, save_file

    path = cache_folder() / f"words-{SHA256[:12]}-{COUNT}.safetensors"
    if path.is_file():
        return load_file(path)["points"]
    found = encode(vocabulary(), threads)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part-{os.getpid()}")
    save_file({"points": found}, part)
    part.replace(path)  # another process may do the same at the same time, with the same bytes
    return found
