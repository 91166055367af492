"""Ingest: what each column is understood as, what survives, what is set aside, and the digest of the content."""

import gzip
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.rows import Rows
from leaven.pipelines.ingest import ingest, load_profile, load_schema, load_task
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.stage import Record

ROWS = 200
UUID = "-1111-4111-8111-000000000000"


def read(
    folder: Path, content: str | bytes, *, name: str = "rows.csv", previous: Path | None = None, **parts: Any
) -> Record:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    source = {"kind": "table", "path": name, **parts.pop("source", {})}
    task = {"target": "label", **parts.pop("task", {})}
    recipe = Recipe.model_validate({"name": "x", "source": source, "task": task, **parts})
    return ingest(recipe, folder, folder / "work", previous_schema=previous)


def table(values: Sequence[Any], name: str = "value", quote: bool = False) -> str:
    cells = [f'"{value}"' if quote else str(value) for value in values]
    lines = [f"{cell},{'yn'[i % 2]}" for i, cell in enumerate(cells)]
    return f"{name},label\n" + "\n".join(lines) + "\n"


def cycle(values: Sequence[Any], count: int = ROWS) -> list[Any]:
    return [values[i % len(values)] for i in range(count)]


def frame_of(record: Record) -> pd.DataFrame:
    return Rows(record.path("rows.parquet"), load_schema(record)).frame()


TYPES: dict[str, tuple[list[Any], str, Any]] = {
    # name: values, type, the first value as read
    "plain integers": (cycle([3, -4, 5]), "integer", 3),
    "integers with a plus": (cycle(["+3", "4", "7"]), "integer", 3),
    "numbers": (cycle([1.5, 2, -3e5]), "number", 1.5),
    "numbers with missing": (cycle(["1.5", "", "NA", "NaN", "null"]), "number", 1.5),
    "booleans": (cycle(["True", "false", "TRUE"]), "boolean", True),
    "zero and one stay integers": (cycle([0, 1, 1]), "integer", 0),
    "yes and no stay texts": (cycle(["yes", "no", "no"]), "category", "yes"),
    "postcodes": (cycle(["01234", "99999", "04711"]), "category", "01234"),
    "distinct codes with leading zeros": ([f"{i:06d}" for i in range(ROWS)], "identifier", "000000"),
    "ISO dates": (cycle(["2024-02-29", "1999-12-31"]), "date", pd.Timestamp("2024-02-29")),
    "ISO times": (cycle(["2024-02-29T10:11:12.5Z", "2024-03-01"]), "date", pd.Timestamp("2024-02-29T10:11:12.5")),
    "zones": (cycle(["2024-03-01T01:00:00+02:00", "2024-03-01"]), "date", pd.Timestamp("2024-02-29 23:00")),
    "day first": (cycle(["13/02/2024", "01/02/2024"]), "date", pd.Timestamp("2024-02-13")),
    "month first": (cycle(["02/01/2024", "02/13/2024"]), "date", pd.Timestamp("2024-02-01")),
    "dots": (cycle(["31.12.2023", "1.1.2024"]), "date", pd.Timestamp("2023-12-31")),
    "month names": (cycle(["3 Mar 2021", "31-Dec-2020"]), "date", pd.Timestamp("2021-03-03")),
    "times with am and pm": (cycle(["02/13/2024 12:05 AM"]), "date", pd.Timestamp("2024-02-13 00:05")),
    "thousands": (cycle(["1,234", "12", "1,234,567.5"]), "number", 1234.0),
    "decimal comma": (cycle(["1,5", "12,25", "1.234,5"]), "number", 1.5),
    "a mark among numbers": (cycle(["1.5", "2.5", "?"]), "number", 1.5),
    "a mark among texts": (cycle(["a", "?", "b"]), "category", "a"),
    "words": (cycle(["red", "green", "blue"]), "category", "red"),
    "free text": ([f"the parcel {i} came late and wet" for i in range(ROWS)], "text", "the parcel 0 came late and wet"),
    "uuids": ([f"{i:08x}{UUID}" for i in range(ROWS)], "identifier", f"00000000{UUID}"),
    "names of persons": ([f"Name{i} Surname{i}" for i in range(ROWS)], "identifier", "Name0 Surname0"),
    "a running number": (list(range(1, ROWS + 1)), "identifier", 1),
    "large distinct integers": ([7_000_000_000 + i * 7919 for i in range(ROWS)], "identifier", 7_000_000_000),
    "distinct amounts": ([i * 37 + 5 for i in range(ROWS)], "integer", 5),
    "distinct numbers": ([i * 0.37 for i in range(ROWS)], "number", 0.0),
    "epoch seconds": ([1_700_000_000 + i * 3601 for i in range(ROWS)], "integer", 1_700_000_000),
    "nothing at all": (cycle([""]), "category", None),
    "numbers among texts": (cycle(["1", "2", "low"]), "category", "1"),
}  # fmt: skip


@pytest.mark.parametrize("case", TYPES)
def test_types(case: str, tmp_path: Path) -> None:
    values, kind, first = TYPES[case]
    record = read(tmp_path, table(values, quote=True))
    column = load_schema(record)["value"]
    assert column.type == kind
    found = frame_of(record)["value"]
    assert len(found) == ROWS
    assert (found[0] == first) if first is not None else found.isna().all()


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("age", [18 + i for i in range(50)], "integer"),  # all distinct in a small table, and yet a feature
        ("customer_id", [10_000 + i * 3 for i in range(50)], "identifier"),
        ("customerId", [10_000 + i * 3 for i in range(50)], "identifier"),
        ("id", [i * 13 % 7919 for i in range(200)], "identifier"),
        ("paid", [i * 13 % 7919 for i in range(200)], "integer"),
        ("width_id", [i * 0.5 for i in range(200)], "number"),
        ("year", list(range(1800, 2000)), "integer"),
        ("id", [i % 5 for i in range(200)], "integer"),
    ],
)
def test_identifiers_go_by_name_and_distinct_values(
    name: str, values: list, kind: str, tmp_path: Path
) -> None:
    record = read(tmp_path, table(values, name))
    assert load_schema(record)[name].type == kind


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    lines = ["number,whole,flag,word,day,label"]
    for i in range(100):
        cells = ["1.5", "3", "true", "red", "2024-01-05"] if i % 2 else ["NA", "", "NaN", "null", "NA"]
        lines.append(",".join([*cells, "yn"[i % 3 == 0]]))
    record = read(tmp_path, "\n".join(lines) + "\n")
    found = frame_of(record)
    types = [column.type for column in load_schema(record)][:5]
    assert types == ["number", "integer", "boolean", "category", "date"]
    for name in ("number", "whole", "flag", "word", "day"):
        assert found[name].isna().tolist() == [i % 2 == 0 for i in range(100)]
        assert load_schema(record)[name].nullable
    assert not load_schema(record)["label"].nullable
    assert {entry["name"]: entry["missing"] for entry in load_profile(record)["columns"]}["whole"] == 50


def test_further_missing_marks(tmp_path: Path) -> None:
    record = read(tmp_path, table(cycle(["a", "?", "b", "-999"])), source={"missing": ["?", -999]})
    assert frame_of(record)["value"].isna().sum() == 100
    record = read(tmp_path, table(cycle(["a", "?", "b"])))
    assert "'?' in 67 rows" in " ".join(record.result["warnings"])


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("cp1252"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode(),
        lambda text: text.replace(",", "|").encode(),
        lambda text: gzip.compress(text.encode()),
    ],
    ids=["utf-8", "bom", "utf-16", "cp1252", "crlf", "semicolon", "tab", "bar", "gzip"],
)
def test_however_it_is_written_it_is_the_same(encode: Any, tmp_path: Path) -> None:
    text = "ort,größe,label\n" + "".join(f"Café Zürich {i % 3},{i / 8},{'yn'[i % 2]}\n" for i in range(100))
    plain = read(tmp_path, text)
    other = read(
        tmp_path, encode(text), name="other.csv.gz" if encode(text)[:2] == b"\x1f\x8b" else "other.csv"
    )
    assert load_schema(other).names == ["ort", "größe", "label"]
    assert frame_of(other)["ort"][0] == "Café Zürich 0"
    assert other.result["digest"] == plain.result["digest"]
    assert other.files[-3].sha256 == plain.files[-3].sha256  # rows.parquet: equal bytes


def test_parquet_has_the_same_content_as_csv(tmp_path: Path) -> None:
    text = table([i * 0.37 for i in range(ROWS)])
    pd.read_csv(io.StringIO(text), float_precision="round_trip").to_parquet(tmp_path / "rows.parquet")
    as_csv = read(tmp_path, text)
    as_parquet = read(tmp_path, (tmp_path / "rows.parquet").read_bytes(), name="rows.parquet")
    assert as_csv.result["digest"] == as_parquet.result["digest"]


def test_digest_follows_content(tmp_path: Path) -> None:
    values = [i * 0.37 for i in range(ROWS)]
    first = read(tmp_path, table(values))
    again = read(tmp_path, table(values), name="renamed.csv")
    values[150] += 1e-9
    changed = read(tmp_path, table(values))
    assert again.result["digest"] == first.result["digest"]
    assert changed.result["digest"] != first.result["digest"]


def test_parquet_types(tmp_path: Path) -> None:
    count = 100
    source = pa.table(
        {
            "small": pa.array(cycle([1, 2, None], count), pa.int8()),
            "float": pa.array(cycle([1.5, float("nan"), None], count), pa.float32()),
            "money": pa.array(cycle(["1.25", "3.50"], count)).cast(pa.decimal128(10, 2)),
            "day": pa.array(cycle([19_000, 20_000], count), pa.int32()).cast(pa.date32()),
            "moment": pa.array(cycle([10**18, None], count), pa.timestamp("ns", tz="UTC")),
            "coded": pa.array(cycle(["a", "b"], count)).dictionary_encode(),
            "digits": pa.array(cycle(["1", "2", "3"], count)),
            "flag": pa.array(cycle([True, False, None], count)),
            "empty": pa.nulls(count),
            "label": pa.array(cycle([0, 1], count), pa.uint8()),
        }
    )
    pq.write_table(source, tmp_path / "rows.parquet")
    record = read(tmp_path, (tmp_path / "rows.parquet").read_bytes(), name="rows.parquet")
    types = {column.name: column.type for column in load_schema(record)}
    assert types == {
        "small": "integer",
        "float": "number",
        "money": "number",
        "day": "date",
        "moment": "date",
        "coded": "category",
        "digits": "category",  # texts stay texts: the source says so
        "flag": "boolean",
        "empty": "category",
        "label": "integer",
    }
    assert frame_of(record)["float"].isna().sum() == 67 - 1
    assert load_task(record).classes == ("0", "1")


def test_faulty_values_are_set_aside_with_their_line(tmp_path: Path) -> None:
    lines = ["value,note,label"]
    lines += [f'{i / 4},"two\nlines",{"yn"[i % 2]}' for i in range(200)]
    lines[8] = "n.a.d.,x,y"
    lines[50] = "1.5,x,"
    record = read(tmp_path, "\n".join(lines) + "\n")
    rejected = pq.read_table(record.path("rejected.parquet")).to_pylist()
    assert rejected == [
        {"row": 16, "column": "value", "value": "n.a.d.", "reason": "is not of type number"},
        {"row": 99, "column": "label", "value": None, "reason": "target is missing"},
    ]
    assert (tmp_path / "rows.csv").read_text().splitlines()[15].startswith("n.a.d.")
    assert record.result["rows"] == 198
    assert record.result["rejected"] == 2


def test_types_said_in_the_recipe(tmp_path: Path) -> None:
    lines = ["zip,when,flag,code,label"]
    lines += [
        f"{10_000 + i % 7},{20240101 + i % 28},{'yes' if i % 2 else '0'},{i % 9},{'yn'[i % 2]}"
        for i in range(100)
    ]
    lines[5] = "10001,20241399,maybe,3,y"
    told = {"zip": "category", "when": "date", "flag": "boolean", "code": "identifier"}
    record = read(tmp_path, "\n".join(lines) + "\n", source={"columns": told, "drop": []})
    assert {column.name: column.type for column in load_schema(record)} == {**told, "label": "category"}
    assert load_schema(record)["code"].storage == "int64"
    found = frame_of(record)
    assert found["when"][0] == pd.Timestamp("2024-01-01")
    assert found["flag"][:2].tolist() == [False, True]
    assert record.result["rejected"] == 1


@pytest.mark.parametrize(
    ("target", "task", "expected"),
    [
        (cycle(["a", "b", "b"]), {}, ("classification", "roc_auc", "a")),
        (cycle(["b", "a"]), {}, ("classification", "roc_auc", "b")),
        (cycle([1.0, 0.0]), {}, ("classification", "roc_auc", "1")),
        (cycle(["1", "2", "3"]), {}, ("classification", "macro_f1", None)),
        (["pos"] * 8 + ["neg"] * 192, {}, ("classification", "average_precision", "pos")),
        ([i * 0.37 for i in range(ROWS)], {}, ("regression", "r2", None)),
        ([i // 2 for i in range(ROWS)], {}, ("regression", "r2", None)),
        (cycle([1, 2, 3]), {"type": "regression"}, ("regression", "r2", None)),
        (cycle([0.5, 1.5]), {"type": "classification"}, ("classification", "roc_auc", "1.5")),
        (cycle(["True", "False", "False"]), {"positive": False}, ("classification", "roc_auc", "False")),
        (cycle([0, 1, 1]), {"positive": 1, "metric": "f1"}, ("classification", "f1", "1")),
    ],
)
def test_task(target: list, task: dict, expected: tuple, tmp_path: Path) -> None:
    lines = ["x,label", *(f"{i % 11},{value}" for i, value in enumerate(target))]
    found = load_task(read(tmp_path, "\n".join(lines) + "\n", task=task))
    assert (found.type, found.metric, found.positive) == expected


def test_files_given_are_read_alike(tmp_path: Path) -> None:
    text = table(cycle(["01", "02", "3"]))
    (tmp_path / "test.csv").write_text(table(cycle(["3", "4"], 40)))
    record = read(tmp_path, text, split={"test_path": "test.csv"})
    test = Rows(record.path("test.parquet"), load_schema(record)).frame()
    assert load_schema(record)["value"].type == "category"
    assert test["value"].tolist() == cycle(["3", "4"], 40)


def test_a_type_does_not_flip_when_the_source_grows(tmp_path: Path) -> None:
    first = read(tmp_path, table(cycle(["1.5", "2"])))
    schema = tmp_path / "schema.json"
    schema.write_text(first.path("schema.json").read_text())
    grown = read(tmp_path, table(cycle(["3", "2"], 300)), previous=schema)
    assert load_schema(grown)["value"].type == "number"
    assert load_schema(read(tmp_path, table(cycle(["3", "2"], 300))))["value"].type == "integer"


def test_unchanged_is_not_read_again(tmp_path: Path) -> None:
    record = read(tmp_path, table(cycle([1, 2, 3])))
    before = record.path("rows.parquet").stat().st_mtime_ns
    schema = record.path("schema.json")
    again = read(tmp_path, table(cycle([1, 2, 3])), previous=schema)
    assert again.folder == record.folder
    assert again.path("rows.parquet").stat().st_mtime_ns == before


def test_constraints_that_real_rows_break_are_counted(tmp_path: Path) -> None:
    rule = {"kind": "range", "column": "value", "minimum": 2}
    record = read(tmp_path, table(cycle([1, 2, 3, 4])), constraints=[rule])
    assert "constraints.0 (range): 50 of 200 real rows (25.0%) break it" in record.result["warnings"]


MEMORY = """
import resource, sys
from pathlib import Path
from leaven.pipelines.ingest import ingest, load_profile
from leaven.pipelines.recipe import Recipe
folder = Path(sys.argv[1])
source = {"kind": "table", "path": sys.argv[2]}
recipe = Recipe.model_validate({"name": "x", "source": source, "task": {"target": "label"}})
record = ingest(recipe, folder, folder / sys.argv[2].replace(".", "-"))
column = load_profile(record)["columns"][0]
print(column["type"], column["distinct"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_300_000_categories_within_bounded_memory(tmp_path: Path) -> None:
    count = 450_000
    numbers = np.random.default_rng(0).permutation(np.arange(count) % 300_000)
    peaks = {}
    for name, values in {"few.csv": numbers % 50, "many.csv": numbers}.items():
        labels = np.where(np.arange(count) % 2, "y", "n")
        frame = pd.DataFrame(
            {"word": [f"a category called {v}" for v in values], "x": values % 97, "label": labels}
        )
        frame.to_csv(tmp_path / name, index=False)
        out = subprocess.run(
            [sys.executable, "-c", MEMORY, str(tmp_path), name], capture_output=True, text=True, check=True
        ).stdout.split()
        assert out[0] == "category"
        peaks[name] = int(out[2])
        assert int(out[1]) == pytest.approx(len(set(values.tolist())), rel=0.02)
    assert peaks["many.csv"] < peaks["few.csv"] + 250  # MiB


@pytest.mark.parametrize(
    ("name", "target", "types"),
    [
        ("adult_train", "income", {"integer": 6, "category": 9}),
        ("german_credit", "class", {"integer": 7, "category": 14}),
        ("mammography", "label", {"number": 6, "category": 1}),
        ("phoneme", "label", {"number": 5, "integer": 1}),
        ("shoppers", "Revenue", {"integer": 7, "number": 7, "category": 2, "boolean": 2}),
        ("beijing", "pm2.5", {"integer": 7, "number": 4, "category": 1}),
    ],
)
def test_public_tables(name: str, target: str, types: dict, shared_tables: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"name": name, "source": {"kind": "table", "path": f"{name}.csv.gz"}, "task": {"target": target}}
    )
    record = ingest(recipe, shared_tables, tmp_path)
    found = pd.Series([column.type for column in load_schema(record)]).value_counts().to_dict()
    assert found == types
    plain = pd.read_csv(shared_tables / f"{name}.csv.gz").dropna(subset=[target]).reset_index(drop=True)
    read_back = frame_of(record)
    assert len(read_back) == len(plain)
    for column in load_schema(record).of("number", "integer"):
        np.testing.assert_array_equal(read_back[column].astype(float), plain[column].astype(float))
    for column in load_schema(record).of("category"):
        assert read_back[column].fillna("").tolist() == plain[column].fillna("").astype(str).tolist()
