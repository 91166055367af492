"""Tables with a known truth, and test-only generators whose worth is known beforehand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions, met
from leaven.generators.contract import Fit, Generator
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema

FEATURES = 12


def process(rows: int, seed: int) -> pd.DataFrame:
    """A planted process: two classes, 30 % `yes`, that few rows cannot pin down."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=rows)  # columns depend on each other, which independent ones would miss
    columns: dict[str, Any] = {
        f"x{i}": (0.7 * shared + 0.7 * random.normal(size=rows)).round(4) for i in range(FEATURES)
    }
    columns["colour"] = random.choice(["red", "green", "blue"], size=rows)
    signal = sum((-1) ** i * columns[f"x{i}"] for i in range(FEATURES)) + (columns["colour"] == "red") * 0.8
    columns["y"] = np.where(signal + random.logistic(size=rows) > 1.1, "yes", "no")
    return pd.DataFrame(columns)


def write(folder: Path, train: int = 120, held_out: int = 1500, seed: int = 1) -> Path:
    """CSV files of few train rows and many held-out ones, so that the truth can be seen."""
    folder.mkdir(parents=True, exist_ok=True)
    process(train, seed).to_csv(folder / "train.csv", index=False)
    process(held_out, seed + 1).to_csv(folder / "validation.csv", index=False)
    process(held_out, seed + 2).to_csv(folder / "test.csv", index=False)
    return folder


class _Known(Generator):
    """Samples the planted process itself: the best generator there can be."""

    kind = "table"
    flip = False

    def fit(self, rows: Rows, *, seed: int, **_: Any) -> Fit:
        self.schema = rows.schema
        return Fit(rows=len(rows))

    def sample(self, count: int, *, seed: int, conditions: Conditions = (), offset: int = 0) -> pd.DataFrame:
        assert self.schema is not None
        frame = process(count * 20 + 50, seed)
        frame = frame[met(conditions, frame)].head(count).reset_index(drop=True)
        if self.flip:
            frame["y"] = np.where(frame["y"] == "yes", "no", "yes")
        return frame[self.schema.names]

    def save(self, directory: Path) -> None:
        assert self.schema is not None
        (directory / "schema.json").write_text(self.schema.model_dump_json())

    @classmethod
    def load(cls, directory: Path) -> "Generator":
        made = cls()
        made.schema = Schema.model_validate(json.loads((directory / "schema.json").read_text()))
        return made


class Oracle(_Known):
    name = "oracle"


class Sloppy(_Known):
    """The planted process with three labels in ten turned around."""

    name = "sloppy"

    def sample(self, count: int, *, seed: int, conditions: Conditions = (), offset: int = 0) -> pd.DataFrame:
        frame = super().sample(count, seed=seed, conditions=conditions, offset=offset)
        wrong = np.random.default_rng(seed).random(count) < 0.3
        return frame.assign(y=np.where(wrong, frame["y"].map({"yes": "no", "no": "yes"}), frame["y"]))


class Liar(_Known):
    """The planted process with every label turned around."""

    name = "liar"
    flip = True
