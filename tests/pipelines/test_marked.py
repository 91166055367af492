"""Rows that a person marked are dropped, whatever kind of file they stand in, and are counted by that reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.errors import InputError
from leaven.generators.rows import to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.marked import FILE, Marked, placed
from leaven.pipelines.recipe import Recipe

SCHEMA = Schema(
    columns=(
        Column(name="id", type="identifier"),
        Column(name="x", type="number"),
        Column(name="n", type="integer"),
        Column(name="when", type="date"),
        Column(name="colour", type="category"),
        Column(name="y", type="category"),
    ),
    target="y",
)


@pytest.fixture
def rows() -> pa.Table:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "id": [f"a{number}" for number in range(50)],
            "x": random.normal(size=50),
            "n": pd.array(random.integers(0, 9, 50), dtype="Int64"),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(50), unit="D"),
            "colour": random.choice(["red", "blue"], 50).astype(object),
            "y": ["yes", "no"] * 25,
        }
    )
    frame.loc[7, ["x", "n", "colour"]] = [np.nan, pd.NA, None]
    return to_arrow(frame, SCHEMA)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_equal_rows_are_found_and_ids_do_not_count(rows: pa.Table, suffix: str, tmp_path: Path) -> None:
    path, chosen = tmp_path / f"bad.{suffix}", [3, 7, 41]
    marked = rows.take(chosen).append_column("_seed", pa.array([1, 2, 3]))
    marked = marked.set_column(0, "id", pa.array(["b1", "b2", "b3"]))
    if suffix == "parquet":
        pq.write_table(marked, path)
    elif suffix == "csv":
        marked.to_pandas().to_csv(path, index=False)  # integers beside a missing one as 3.0
    else:
        path.write_text("\n".join(json.dumps(row, default=str) for row in marked.to_pylist()))
    assert np.flatnonzero(Marked.read(path, SCHEMA).among(rows)).tolist() == chosen


def test_what_a_version_keeps_finds_the_same_rows(rows: pa.Table, tmp_path: Path) -> None:
    rows.take([3, 7]).to_pandas().to_csv(tmp_path / "bad.csv", index=False)
    Marked.read(tmp_path / "bad.csv", SCHEMA).keep(tmp_path)
    assert np.flatnonzero(Marked.kept(tmp_path / FILE).among(rows)).tolist() == [3, 7]


def test_fewer_columns_mark_more_rows(rows: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("colour,y\nred,no\n")
    found = Marked.read(tmp_path / "bad.csv", SCHEMA).among(rows)
    frame = rows.to_pandas()
    assert (found == ((frame["colour"] == "red") & (frame["y"] == "no"))).all() and found.any()


@pytest.mark.parametrize(
    ("text", "said"), [("a,b\n1,2\n", "none of the columns"), ("n\nmany\n", "bad.csv.*many")]
)
def test_a_file_of_something_else_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        Marked.read(tmp_path / "bad.csv", SCHEMA)


def test_paths_count_from_the_recipe_and_images_are_refused() -> None:
    asked: dict[str, Any] = {"name": "a", "source": {"kind": "table", "path": "a.csv"}}
    asked["screen"] = {"reject_file": "bad.csv"}
    assert placed(Recipe.model_validate(asked), Path("/somewhere")).screen.reject_file == "/somewhere/bad.csv"
    asked["source"]["kind"] = "image"
    with pytest.raises(InputError, match="images"):
        placed(Recipe.model_validate(asked), Path("/somewhere"))
