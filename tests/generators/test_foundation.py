"""Schema, rows, seeds and the catalog."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from leaven.generators import catalog
from leaven.generators.contract import Budget
from leaven.generators.errors import InputError
from leaven.generators.rows import Rows, to_arrow, to_frame
from leaven.generators.seeds import derive, seeded

from .planted import SCHEMA, frame, write


def test_frame_and_arrow_are_inverse() -> None:
    rows = frame(50)
    table = to_arrow(rows, SCHEMA)
    again = to_frame(table, SCHEMA)
    assert to_arrow(again, SCHEMA).equals(table)
    assert str(again["age"].dtype) == "Int64" and str(again["ok"].dtype) == "boolean"
    assert str(again["day"].dtype) == "datetime64[us]" and again["colour = ä"].isna().any()
    assert not any(value != value for value in again["colour = ä"])  # None, never NaN


def test_rows_are_sampled_without_replacement_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "0.parquet", frame(300, seed=1))
    write(tmp_path / "1.parquet", frame(200, seed=2))
    rows = Rows([tmp_path / "0.parquet", tmp_path / "1.parquet"], SCHEMA)
    assert len(rows) == 500 and len(first) == 300
    some = rows.frame(max_rows=100, seed=4)
    whole = rows.frame()
    assert len(some) == 100 and some.equals(rows.frame(max_rows=100, seed=4))
    places = [
        whole.index[(whole["key"] == row["key"]) & (whole["id"] == row["id"])][0]
        for _, row in some.iterrows()
    ]
    assert len(set(places)) == 100
    assert sum(len(batch) for batch in rows.batches(64)) == 500
    assert max(len(batch) for batch in rows.batches(64)) <= 64


def test_schema_knows_its_columns() -> None:
    assert SCHEMA.of("identifier") == ["id", "key"] and "age" in SCHEMA and "nope" not in SCHEMA
    assert [column.name for column in SCHEMA.features][:2] == ["colour = ä", "size"]
    assert SCHEMA["id"].arrow == pa.int64() and SCHEMA["key"].arrow == pa.string()
    with pytest.raises(KeyError):
        SCHEMA["nope"]


def test_seeds_depend_on_every_part() -> None:
    assert derive("a", 1) == derive("a", 1) != derive("a", 2)
    assert len({derive("shard", i) for i in range(1000)}) == 1000
    assert 0 <= derive("x") < 2**32


def test_seeded_restores_what_it_found() -> None:
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    with seeded(3, threads=1):
        first = (random.random(), np.random.rand(), torch.rand(1).item())
    with seeded(3, threads=1):
        assert first == (random.random(), np.random.rand(), torch.rand(1).item())
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_catalog() -> None:
    assert set(catalog.names("table")) >= {"gaussian_copula", "ctgan", "tvae", "copula_gan", "smote"}
    for name in catalog.names():
        assert catalog.get(name).name == name and catalog.get(name).kind == catalog.entry(name).kind
    for kind in ("table", "image"):
        for name in catalog.names(kind):
            assert catalog.get(name, kind).name == name and catalog.get(name, kind).kind == kind
    assert catalog.get("autoregressive", "table") is not catalog.get("autoregressive", "image")
    with pytest.raises(InputError, match="did you mean 'ctgan'"):
        catalog.entry("ctgn", "table")
    with pytest.raises(InputError, match="there are: "):
        catalog.entry("zzz", "table")
    with pytest.raises(InputError, match="unknown generator 'smote' for image data; there are: "):
        catalog.entry("smote", "image")


def test_looking_at_parameters_imports_nothing_heavy() -> None:
    code = (
        "import sys; from leaven.generators import catalog\n"
        "[catalog.get(n).Parameters.model_json_schema() for n in catalog.names('table')]\n"
        "bad = {'torch', 'sdv', 'sklearn', 'rdt', 'ctgan', 'scipy'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_parameter_is_described() -> None:
    for name in catalog.names("table"):
        for field in catalog.get(name).Parameters.model_json_schema()["properties"].values():
            assert field.get("description"), name


def test_budget() -> None:
    assert not Budget().spent(10**9)
    assert Budget(steps=3).spent(3) and not Budget(steps=3, seconds=0.0).spent(2)
    assert Budget(seconds=0.0).spent(0)


def test_parquet_written_by_others_is_cast(tmp_path: Path) -> None:
    table = to_arrow(frame(10), SCHEMA)
    narrow = table.set_column(4, "age", table["age"].cast(pa.int32()))
    pq.write_table(narrow, tmp_path / "narrow.parquet")
    assert str(Rows(tmp_path / "narrow.parquet", SCHEMA).frame()["age"].dtype) == "Int64"
