"""The cells of the text benchmarks: real texts cut small, each with a fixed test set that nothing learns from."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from leaven.generators.seeds import derive
from leaven.pipelines.quality.texts.same import same

DATASETS = {"trec": "trec6_cased", "sst2": "sst2", "banking77": "banking77"}


@dataclass(frozen=True)
class Cell:
    """So many texts of each class of a dataset, train and validation together."""

    dataset: str
    each: int

    @property
    def name(self) -> str:
        return f"{self.dataset}_{self.each}"


CELLS = {cell.name: cell for cell in (Cell(name, each) for name in DATASETS for each in (5, 10, 50))}


def read(folder: Path, dataset: str, part: str) -> pd.DataFrame:
    """All texts of a part with their labels; those that say the same are there once."""
    with gzip.open(folder / f"{DATASETS[dataset]}.{part}.jsonl.gz", "rt", encoding="utf-8") as file:
        frame = pd.DataFrame([json.loads(line) for line in file]).astype(str)
    return frame[~frame["text"].map(same).duplicated()].reset_index(drop=True)


def draw(folder: Path, cell: Cell, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Texts to work with and test texts. Larger cells hold the texts of smaller ones."""
    train, test = read(folder, cell.dataset, "train"), read(folder, cell.dataset, "test")
    train = train[~train["text"].map(same).isin(set(test["text"].map(same)))]
    rng = np.random.default_rng(derive("text lift", cell.dataset, seed))
    order = train.iloc[rng.permutation(len(train))]
    return order.groupby("label").head(cell.each).reset_index(drop=True), test
