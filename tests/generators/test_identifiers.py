"""New identifiers look like the real ones and are none of them."""

import uuid
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.rows import Rows
from leaven.generators.schema import Column, Schema
from leaven.generators.table.identifiers import Pattern, learn


def pattern(tmp_path: Path, values: list, storage: str = "string") -> Pattern:
    column = Column(name="id", type="identifier", storage=storage)  # type: ignore[arg-type]
    schema = Schema(columns=(column, Column(name="y", type="category")), target="y")
    table = pa.table({"id": pa.array(values, column.arrow), "y": pa.array(["a"] * len(values), pa.string())})
    pq.write_table(table, tmp_path / "rows.parquet")
    return learn(Rows(tmp_path / "rows.parquet", schema), column)


@pytest.mark.parametrize(
    ("values", "begins", "matches"),
    [
        (["C-001", "C-002", "C-950"], "C-", r"^C-\d{4}$"),
        (["2024-17/x", "2024-18/x"], "2024-", r"^2024-\d{3,}/x$"),
        (["a1", "bcd"], "", r"^\d{4}$"),
        (["smith"], "", r"^\d{6}$"),
        (["aa", "aaa"], "", r"\d+"),
        ([], "", r"^\d+$"),
    ],
)
def test_texts(tmp_path: Path, values: list[str], begins: str, matches: str) -> None:
    found = pattern(tmp_path, values)
    made = pd.concat([found.make(1000, 0), found.make(1000, 1000)])
    assert made.is_unique and not set(made) & set(values)
    assert made.str.startswith(begins).all() and made.iloc[:9].str.contains(matches).all()


def test_what_is_common_is_common_to_all_batches(tmp_path: Path) -> None:
    values = [f"A-{number:05d}-x" for number in range(66_000)] + ["B-1-x"]
    found = pattern(tmp_path, values)
    assert (found.prefix, found.suffix, found.digits) == ("", "-x", 8)
    mixed = pattern(tmp_path, [str(uuid.UUID(int=number, version=4)) for number in range(66_000)] + ["smith"])
    assert mixed.form == "text"


def test_a_single_real_identifier_is_not_stored(tmp_path: Path) -> None:
    assert "smith" not in pattern(tmp_path, ["smith"]).model_dump_json()


@pytest.mark.parametrize("style", [str, lambda u: u.hex, lambda u: str(u).upper()])
def test_uuids(tmp_path: Path, style) -> None:
    real = [style(uuid.UUID(int=i * 2**100 + 0xABC, version=4)) for i in range(1, 9)]
    made = pattern(tmp_path, real).make(200, 5)
    assert made.is_unique and not set(made) & set(real)
    for value in made:
        assert uuid.UUID(value).version == 4 and style(uuid.UUID(value)) == value


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 998],
        [0],
        [-5, -4],
        [10**17, 10**18 - 1],
        [2**63 - 1, 5],
        [2**63 - 1, -(2**63)],
        [2**62, -(2**62)],
    ],
)
def test_integers(tmp_path: Path, values: list[int]) -> None:
    found = pattern(tmp_path, values, "int64")
    made = pd.concat([found.make(500, 0), found.make(500, 500)])
    assert made.is_unique and not set(made) & set(values) and str(made.dtype) == "Int64"


def test_integers_leave_room_for_held_out_ones(tmp_path: Path) -> None:
    # The largest real identifiers may lie in the test rows, which a generator never sees.
    assert pattern(tmp_path, [1, 2, 998], "int64").make(1, 0)[0] > 9_999
