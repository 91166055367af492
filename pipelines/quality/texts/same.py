"""When two texts are the same: equal but for capitals, spaces, and forms of quotes, hyphens and compatible letters."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from leaven.generators.text.plain import plain


def same(text: str) -> str:
    """The form in which texts are compared."""
    return plain(text).casefold()


def same_keys(texts: Iterable[str]) -> np.ndarray:
    """A hash of each text's compared form, uint64 (texts,)."""
    return pd.util.hash_array(np.array([same(text) for text in texts], dtype=object))
