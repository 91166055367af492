"""Rows with known dependences, of every column type, for the tests of this room."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="id", type="identifier", storage="int64"),
        Column(name="key", type="identifier"),
        Column(name="colour = ä", type="category", nullable=True),
        Column(name="size", type="number", nullable=True),
        Column(name="age", type="integer"),
        Column(name="ok", type="boolean", nullable=True),
        Column(name="day", type="date"),
        Column(name="remark", type="text", nullable=True),
        Column(name="only", type="category"),
        Column(name="void", type="number", nullable=True),
        Column(name="1", type="category"),
    ),
    target="1",
)
COLOUR, TARGET = "colour = ä", "1"
MISSING = {COLOUR: 0.1, "size": 0.2, "ok": 0.15}
YES = {"red": 0.95, "blue": 0.05}  # P(target = 1 | colour): the planted dependence
FIRST_DAY, DAYS = np.datetime64("2020-01-01"), 700


def frame(count: int = 600, seed: int = 0) -> pd.DataFrame:
    """`count` rows of `SCHEMA`."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(["red", "blue"], count)
    label = rng.random(count) < np.where(colour == "red", YES["red"], YES["blue"])
    size = rng.normal(np.where(colour == "red", 10.0, 30.0), 3.0).round(2)
    days = FIRST_DAY + rng.integers(0, DAYS, count).astype("timedelta64[D]")
    return pd.DataFrame(
        {
            "id": pd.array(rng.permutation(count) + 1, dtype="Int64"),
            "key": [f"C-{i:04d}" for i in range(count)],
            COLOUR: np.where(rng.random(count) < MISSING[COLOUR], None, colour),
            "size": np.where(rng.random(count) < MISSING["size"], np.nan, size),
            "age": pd.array(rng.integers(18, 90, count), dtype="Int64"),
            "ok": pd.array(
                np.where(rng.random(count) < MISSING["ok"], None, rng.random(count) < 0.5), dtype="boolean"
            ),
            "day": days.astype("datetime64[us]"),
            "remark": [f"remark {i}" for i in range(count)],
            "only": ["same"] * count,
            "void": np.full(count, np.nan),
            TARGET: np.where(label, "1", "0").astype(object),
        }
    )


def write(path: Path, rows: pd.DataFrame, schema: Schema = SCHEMA) -> Rows:
    """The rows as the Parquet file that generators learn from."""
    pq.write_table(to_arrow(rows, schema), path)
    return Rows(path, schema)
