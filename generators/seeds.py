"""Seeds: every random thing takes one, derived by name, so that order and number of workers do not matter."""

import contextlib
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np


def derive(*parts: Any) -> int:
    """A 32-bit seed that depends on all `parts` (JSON-serialisable) and on nothing else."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@contextlib.contextmanager
def seeded(seed: int, threads: int | None = None) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators for the block; restore them after.

    For libraries that draw from global state. `threads` fixes torch's threads, on which sums depend.
    Not safe in two threads at once: the callers run such blocks one at a time in a process.
    """
    import torch

    python_state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        with torch_threads(threads or torch.get_num_threads()):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many of torch's threads in the block; as before after it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
