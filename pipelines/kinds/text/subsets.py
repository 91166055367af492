"""Some of many rows: from all over them, and of every class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from leaven.generators.seeds import derive


def spread(texts: Sequence[str], most: int) -> list[str]:
    """At most so many of the texts, as far from each other as can be, in order."""
    if len(texts) <= most:
        return list(texts)
    return [texts[place * len(texts) // most] for place in range(most)]


def stratified(labels: pd.Series, most: int, seed: int, least: int = 1) -> np.ndarray:
    """Places of at most `most` rows, drawn from each class in proportion to its size, in order, int64.

    Args:
        labels: of the rows; a missing one is a class of its own.
        most: rows to draw; all where there are no more.
        seed: of the draw.
        least: rows of a class below which none is left out; `most` has room for so many of each.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    codes = pd.factorize(labels.astype(object), use_na_sentinel=False, sort=False)[0]
    quotas = _quotas(np.bincount(codes), most, least)
    rng = np.random.default_rng(derive("stratified", seed))
    order = rng.permutation(len(codes))
    turn = pd.Series(order).groupby(codes[order]).cumcount().to_numpy()
    return np.sort(order[turn < quotas[codes[order]]])


def _quotas(sizes: np.ndarray, most: int, least: int) -> np.ndarray:
    """Rows of each class: the least, and of the places left a share in proportion to the rows left, int64."""
    quotas = np.minimum(sizes, min(least, most // len(sizes)))
    share = (sizes - quotas) * ((most - quotas.sum()) / max(1, (sizes - quotas).sum()))
    quotas = quotas + share.astype(np.int64)
    parts = np.argsort(-(share % 1), kind="stable")  # the largest remainders get what is left
    left = parts[(quotas < sizes)[parts]][: most - quotas.sum()]
    quotas[left] += 1
    return quotas
