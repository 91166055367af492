"""The cells of the lift benchmark: five real tables cut small, each with a fixed test set that no arm learns from."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaven.generators.seeds import derive

MOST_TEST_ROWS = 4_000
MAJORITY = 1_000  # at most so many rows of the other class in a cell with few rows of the minority
LEAST_PER_CLASS = 5
LOW_ROWS, LOW_MINORITY = 300, 30  # up to which a cell counts as low in data

CELLS = ("n_50", "n_100", "n_300", "n_1000", "minority_10", "minority_30", "minority_100")


class NotRun(Exception):
    """The table is too small for the cell; the message says why."""


@dataclass(frozen=True)
class Dataset:
    """A table on disk. With `test_file`, test rows come from there, else from the same file."""

    name: str
    target: str
    file: str
    test_file: str | None = None


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("adult", "income", "adult_train.csv.gz", "adult_test.csv.gz"),
        Dataset("shoppers", "Revenue", "shoppers.csv.gz"),
        Dataset("mammography", "label", "mammography.csv.gz"),
        Dataset("german_credit", "class", "german_credit.csv.gz"),
        Dataset("phoneme", "label", "phoneme.csv.gz"),
    )
}


def low(cell: str) -> bool:
    """Whether the cell is low in data: n of at most 300, or at most 30 rows of the minority."""
    kind, size = kind_and_size(cell)
    return size <= (LOW_ROWS if kind == "n" else LOW_MINORITY)


def kind_and_size(cell: str) -> tuple[str, int]:
    """`n_50` -> ("n", 50)."""
    found = re.fullmatch(r"(n|minority)_([1-9]\d*)", cell)
    if not found:
        raise ValueError(f"unknown cell '{cell}'; expected n_50 or minority_30, with any number")
    return found[1], int(found[2])


@functools.lru_cache(maxsize=4)
def load(folder: Path, file: str) -> pd.DataFrame:
    """A table as texts, just as they stand in the file."""
    return pd.read_csv(folder / file, dtype=str, keep_default_na=False)


def sizes(cell: str, counts: dict[str, int], majority: int = MAJORITY) -> dict[str, int]:
    """Rows of each class in the cell, for a table with `counts` rows per class.

    n counts train and validation, at natural shares. A cell with few rows of the minority has beside them `majority`
    rows of the other class, or half of those that there are if that is less.

    Raises:
        NotRun: the cell would need more than half of the table, or a class would have fewer than 5 rows.
    """
    kind, size = kind_and_size(cell)
    total, rare = sum(counts.values()), min(counts, key=lambda label: counts[label])
    if kind == "n":
        wanted = {label: round(size * count / total) for label, count in counts.items()}
        common = max(counts, key=lambda label: counts[label])
        wanted[common] += size - sum(wanted.values())
    else:
        if size > counts[rare] / 2:
            raise NotRun(f"{size} rows are more than half of the minority's {counts[rare]:,}")
        wanted = {label: min(majority, count // 2) for label, count in counts.items()} | {rare: size}
    rows = sum(wanted.values())
    if rows > total / 2:
        raise NotRun(f"{rows:,} rows are more than half of the table's {total:,}")
    if wanted[rare] < LEAST_PER_CLASS:
        raise NotRun(
            f"{wanted[rare]} rows of the minority at its natural share of {counts[rare] / total:.1%}"
        )
    return wanted


def draw(
    folder: Path, dataset: Dataset, cell: str, seed: int, majority: int = MAJORITY
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to work with (train and validation) and test rows, as texts.

    Test rows: 4,000, or half of a smaller table, stratified; the same for all cells of a dataset and seed. A row
    that stands among them too is not worked with. Larger cells hold the rows of smaller ones.

    Raises:
        NotRun: see `sizes`.
    """
    table = load(folder, dataset.file)
    wanted = sizes(cell, table[dataset.target].value_counts().to_dict(), majority)
    rng = np.random.default_rng(derive("lift", dataset.name, seed))
    if dataset.test_file:
        others = load(folder, dataset.test_file)
        test = _stratified(others, dataset.target, min(MOST_TEST_ROWS, len(others)), rng)
        pool = table.iloc[rng.permutation(len(table))]
    else:
        mixed = table.iloc[rng.permutation(len(table))]
        test = _stratified(mixed, dataset.target, min(MOST_TEST_ROWS, len(table) // 2), rng)
        pool = mixed.drop(test.index)
    seen = pd.MultiIndex.from_frame(test)
    pool = pool[~pd.MultiIndex.from_frame(pool).isin(seen)]
    parts = []
    for label, rows in wanted.items():
        own = pool[pool[dataset.target] == label]
        if len(own) < rows:
            raise NotRun(
                f"{len(own)} rows of class '{label}' are left beside the test rows, {rows} are needed"
            )
        parts.append(own.iloc[:rows])
    drawn = pd.concat(parts)
    order = np.random.default_rng(derive("order", dataset.name, cell, seed)).permutation(len(drawn))
    return drawn.iloc[order].reset_index(drop=True), test.reset_index(drop=True)


def _stratified(table: pd.DataFrame, target: str, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """`rows` of the table at its class shares, in random order."""
    parts = [
        group.iloc[rng.permutation(len(group))[: round(rows * len(group) / len(table))]]
        for _, group in table.groupby(target, sort=True)
    ]
    joined = pd.concat(parts)
    return joined.iloc[rng.permutation(len(joined))]
