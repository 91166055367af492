"""Who goes where: rows that belong together form a unit, and units are drawn into parts, stratified, by seed.

Nothing here depends on the order of rows: a unit's place follows from its content and the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaven.pipelines.row_digest import mix

BINS = 10  # strata of a regression's target
_LARGE = 0.25  # of the smallest part


@dataclass
class Units:
    """Rows that must stay on one side, such as exact duplicates or a customer's rows.

    `of_row` int64 (rows,): the unit of each row; `keys` uint64 (units,): what orders them, independent of rows.
    """

    of_row: np.ndarray
    keys: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each unit, int64 (units,)."""
        return np.bincount(self.of_row, minlength=len(self.keys))


def units(digests: np.ndarray, groups: np.ndarray | None = None) -> Units:
    """Rows with equal digests are one unit; with `groups`, so are rows of one group, and what both tie together."""
    keys, of_row = np.unique(digests, return_inverse=True)
    if groups is None:
        return Units(of_row.astype(np.int64), keys)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    group_keys, group_of_row = np.unique(groups, return_inverse=True)
    size = len(keys) + len(group_keys)
    edges = coo_matrix(
        (np.ones(len(digests), dtype=np.int8), (of_row, group_of_row + len(keys))), shape=(size, size)
    )
    count, component = connected_components(edges, directed=False)
    smallest = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, component[len(keys) :], group_keys)
    return Units(component[of_row].astype(np.int64), smallest)


def strata(values: np.ndarray) -> np.ndarray:
    """Bins of a number with about equally many rows, int64 (rows,)."""
    bins = max(1, min(BINS, len(values) // BINS))  # a bin of few rows would leave none for train
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def draw(
    drawn: Units,
    row_strata: np.ndarray,
    shares: Sequence[float],
    seed: int,
    *,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """Draw units into `len(shares) + 1` parts; the last takes what the shares leave.

    Args:
        drawn: the units.
        row_strata: int64 (rows,); each part gets its share of the rows of every stratum.
        shares: of all rows, in order of the parts.
        seed: another seed, another draw.
        kept: int8 (units,): parts that stand already, -1 where none does. They count towards the shares, so that a
            source that grows by single rows fills all parts.

    Returns:
        The part of each unit, int8 (units,).
    """
    with np.errstate(over="ignore"):
        order_keys = mix(drawn.keys + mix(np.array([seed], dtype=np.uint64)))
    parts = np.full(len(drawn.keys), -1, dtype=np.int8) if kept is None else kept.copy()
    first = np.full(len(drawn.keys), np.iinfo(np.int64).max)
    last = np.zeros(len(drawn.keys), dtype=np.int64)
    np.minimum.at(first, drawn.of_row, row_strata)
    np.maximum.at(last, drawn.of_row, row_strata)
    if (first == last).all():
        _fill(parts, drawn.sizes, first, shares, order_keys)
    else:
        _balance(parts, drawn, row_strata, shares, order_keys)
    return parts


def _fill(
    parts: np.ndarray, sizes: np.ndarray, stratum: np.ndarray, shares: Sequence[float], order_keys: np.ndarray
) -> None:
    """Each unit lies in one stratum: fill the parts of each stratum in the order of the keys.

    Units that are large against a part (one row copied a thousand times) go first, where most rows are wanted.
    """
    order = np.lexsort((order_keys, stratum))
    bounds = np.flatnonzero(np.diff(stratum[order], prepend=-1))
    for start, stop in zip(bounds, [*bounds[1:], len(order)], strict=True):
        inside = order[start:stop]
        total = int(sizes[inside].sum())
        quotas = np.array([max(1, round(share * total)) if share > 0 else 0 for share in shares])
        for part in range(len(shares)):
            quotas[part] -= int(sizes[inside[parts[inside] == part]].sum())
        lacking = np.append(np.maximum(quotas, 0), 0)
        lacking[-1] = max(total - int(sizes[inside[parts[inside] >= 0]].sum()) - lacking.sum(), 0)
        new = inside[parts[inside] < 0]
        wanted = lacking[lacking > 0]
        large = sizes[new] > max(1.0, _LARGE * (wanted.min() if len(wanted) else 0))
        for unit in sorted(new[large].tolist(), key=lambda u: -int(sizes[u])):
            parts[unit] = int(np.argmax(lacking))
            lacking[parts[unit]] -= sizes[unit]
        new = new[~large]
        middle = np.cumsum(sizes[new]) - sizes[new] / 2
        edges = np.cumsum(np.maximum(lacking[:-1], 0))
        parts[new] = np.searchsorted(edges, middle, side="left").astype(np.int8)


def _balance(
    parts: np.ndarray, drawn: Units, row_strata: np.ndarray, shares: Sequence[float], order_keys: np.ndarray
) -> None:
    """Units with rows of several strata: large ones first, each to the part that lacks its rows most."""
    counts = np.zeros((len(drawn.keys), int(row_strata.max()) + 1), dtype=np.int64)
    np.add.at(counts, (drawn.of_row, row_strata), 1)
    every = [*shares, max(0.0, 1.0 - sum(shares))]
    quotas = np.maximum(np.outer(every, counts.sum(axis=0)), 1e-9)
    lacking = quotas.copy()
    for part in range(len(every)):
        lacking[part] -= counts[parts == part].sum(axis=0)
    open_parts = np.array(every) > 0
    new = np.flatnonzero(parts < 0)
    sizes = np.log2(drawn.sizes[new]).astype(np.int64)
    for unit in new[np.lexsort((order_keys[new], -sizes))]:
        need = np.where(open_parts, (lacking / quotas) @ counts[unit], -np.inf)
        part = int(np.argmax(need))
        parts[unit] = part
        lacking[part] -= counts[unit]


def by_time(
    times: np.ndarray, shares: Sequence[float], earlier: Sequence[float | None] = ()
) -> tuple[np.ndarray, list[float]]:
    """Rows by time: the latest are part 0, those before them part 1, ...; equal times stay on one side.

    Args:
        times: float64 (rows,).
        shares: of all rows, latest part first.
        earlier: cuts of an earlier split, which are kept.

    Returns:
        Part of each row, int8 (rows,), and the first time of each part.
    """
    moments, counts = np.unique(times, return_counts=True)
    after = np.cumsum(counts[::-1])[::-1]  # rows from this moment on
    parts = np.full(len(times), len(shares), dtype=np.int8)
    cuts: list[float] = []
    upper, wanted = np.inf, 0.0
    for part, share in enumerate(shares):
        wanted += share * len(times)
        if share <= 0:
            cuts.append(upper)
            continue
        known = earlier[part] if part < len(earlier) else None
        usable = moments < upper
        if known is None and usable.any():
            known = float(moments[usable][np.argmin(np.abs(after[usable] - wanted))])
        cut = known if known is not None else upper
        parts[(times >= cut) & (times < upper)] = part
        cuts.append(cut)
        upper = cut
    return parts, cuts
