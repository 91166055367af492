"""Bad input: one clear line that names file, field or row, and nothing written."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.check import check
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.split import split

Make = Callable[[Path], None]


def rows(count: int = 60, **columns: str) -> str:
    """A healthy table; `columns` replace cells: `age_7="x"` puts x into row 7 of age."""
    lines = ["age,city,label"]
    for i in range(count):
        cells = {"age": str(20 + i % 37), "city": f"c{i % 4}", "label": "yn"[i % 2]}
        cells |= {key.rsplit("_", 1)[0]: v for key, v in columns.items() if key.endswith(f"_{i}")}
        lines.append(",".join(cells.values()))
    return "\n".join(lines) + "\n"


def text(content: str | bytes, name: str = "rows.csv") -> Make:
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(raw) and None


def with_column(name: str, values: list[str]) -> Make:
    lines = rows(len(values)).splitlines()
    content = [f"{lines[0]},{name}", *(f"{line},{v}" for line, v in zip(lines[1:], values, strict=True))]
    return text("\n".join(content) + "\n")


def parquet(table: pa.Table, cut: int | None = None) -> Make:
    def make(folder: Path) -> None:
        pq.write_table(table, folder / "rows.parquet")
        if cut:
            content = (folder / "rows.parquet").read_bytes()
            (folder / "rows.parquet").write_bytes(content[:-cut])

    return make


def wide(columns: int) -> Make:
    names = ",".join(f"x{i}" for i in range(columns))
    cells = ",".join("1" * 1 for _ in range(columns))
    return text(f"{names},label\n" + f"{cells},y\n{cells},n\n" * 20)


HEALTHY = pa.table({"age": list(range(60)), "label": ["y", "n"] * 30})

CASES: dict[str, tuple[Make, dict, list[str]]] = {
    "missing file": (lambda folder: None, {}, ["source.path", "rows.csv"]),
    "empty file": (text(""), {}, ["rows.csv", "is empty"]),
    "only blank lines": (text("\n\n"), {}, ["rows.csv", "is empty"]),
    "header only": (text("age,label\n"), {}, ["rows.csv", "no rows"]),
    "ragged row": (text(rows(20) + "1,c1\n"), {}, ["rows.csv line 22", "2 fields", "expected 3"]),
    "ragged row after a quoted newline": (
        text('age,city,label\n1,"a\nb",y\n1,c,y,n\n'),
        {},
        ["rows.csv line 4", "4 fields"],
    ),
    "quote never closed": (text(rows(20) + '1,"c1,y\n' + "2,c2,n\n" * 5), {}, ["rows.csv line 22", "quote"]),
    "NUL byte": (text(rows(20).encode() + b"1,c\x001,y\n"), {}, ["rows.csv line 22", "NUL"]),
    "duplicate names": (text("age,age,label\n1,2,y\n"), {}, ["line 1", "'age'", "columns 1 and 2"]),
    "blank name": (text(",age,label\n0,2,y\n"), {}, ["line 1", "column 1", "no name"]),
    "reserved name": (text("_seed,age,label\n0,2,y\n"), {}, ["'_seed'"]),
    "binary": (text(b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 9), {}, ["rows.csv"]),
    "bytes that no encoding fits": (
        text(b"age,label\n1,\x81\x8d\xff\xfe\x9d\x01\x02\n"),
        {},
        ["line 2", "0x81"],
    ),
    "unknown encoding": (text(rows()), {"source": {"encoding": "utf-9"}}, ["source.encoding", "utf-9"]),
    "wrong encoding": (
        text(rows(20).encode() + "1,Orléans,y\n".encode("cp1252")),
        {"source": {"encoding": "utf-8"}},
        ["line 22", "0xe9"],
    ),
    "delimiter of two": (text(rows()), {"source": {"delimiter": "::"}}, ["source.delimiter"]),
    "spreadsheet": (text(b"PK\x03\x04rest"), {}, ["rows.csv", "CSV or Parquet"]),
    "cut gzip": (text(gzip.compress(rows(500).encode())[:-40], "rows.csv.gz"), {}, ["rows.csv.gz"]),
    "target missing": (text(rows()), {"task": {"target": "labl"}}, ["task.target", "'labl'", "'label'"]),
    "target with one class": (
        text(rows(20).replace(",n\n", ",y\n")),
        {},
        ["'label'", "one class", "'y'"],
    ),
    "class too rare": (
        text(rows(60, label_3="rare", label_4="rare")),
        {},
        ["'rare'", "2 rows", "at least 5"],
    ),
    "regression as classification": (
        with_column("price", [f"{i * 1.37:.2f}" for i in range(300)]),
        {"task": {"target": "price", "type": "classification"}},
        ["task.type", "'price'", "300", "regression"],
    ),
    "classes as regression": (
        text(rows()),
        {"task": {"target": "label", "type": "regression"}},
        ["task.type", "'label'", "'y'"],
    ),
    "metric of another task": (
        text(rows()),
        {"task": {"target": "label", "metric": "r2"}},
        ["task.metric", "r2"],
    ),
    "positive that is no class": (
        text(rows()),
        {"task": {"target": "label", "positive": "yes"}},
        ["task.positive", "'yes'"],
    ),
    "target of dates": (
        with_column("day", [f"2024-01-{1 + i % 28:02d}" for i in range(60)]),
        {"task": {"target": "day"}},
        ["task.target", "'day'", "date"],
    ),
    "inf": (
        with_column("gain", [str(i / 7) for i in range(59)] + ["-inf"]),
        {},
        ["rows.csv line 61", "'gain'", "'-inf'"],
    ),
    "number too large for a float": (
        with_column("gain", [str(i / 7) for i in range(59)] + ["1e999"]),
        {},
        ["rows.csv line 61", "'gain'", "1e999"],
    ),
    "overflowing integer": (
        with_column("count", [str(i % 9) for i in range(59)] + ["99999999999999999999"]),
        {},
        ["rows.csv line 61", "'count'", "99999999999999999999"],
    ),
    "10,000 columns": (wide(10_000), {}, ["10,001 columns", "5,000"]),
    "override that nothing fits": (
        text(rows()),
        {"source": {"columns": {"city": "number"}}},
        ["rows.csv line 2", "'city'", "'c0'", "number"],
    ),
    "override of no column": (text(rows()), {"source": {"columns": {"agee": "number"}}}, ["'agee'", "'age'"]),
    "drop of no column": (text(rows()), {"source": {"drop": ["cty"]}}, ["source.drop", "'cty'", "'city'"]),
    "dropped target": (text(rows()), {"source": {"drop": ["label"]}}, ["task.target", "source.drop"]),
    "one column": (text("label\ny\nn\n"), {}, ["one column"]),
    "no labels": (text("age,label\n" + "1,\n" * 30), {}, ["'label'", "no values"]),
    "constraint on no column": (
        text(rows()),
        {"constraints": [{"kind": "positive", "column": "agee"}]},
        ["constraints.0", "'agee'", "'age'"],
    ),
    "constraint on texts": (
        text(rows()),
        {"constraints": [{"kind": "range", "column": "city", "minimum": 0}]},
        ["constraints.0", "'city'", "category"],
    ),
    "formula on no column": (
        text(rows()),
        {"constraints": [{"kind": "formula", "column": "age", "expression": "agee * 2"}]},
        ["constraints.0", "'agee'", "'age'"],
    ),
    "sum of texts": (
        with_column("total", [str(i) for i in range(60)]),
        {"constraints": [{"kind": "sum", "total": "total", "parts": ["age", "city"]}]},
        ["constraints.0", "'city'", "category", "sum needs a number"],
    ),
    "column determined twice": (
        with_column("total", [str(20 + i % 37) for i in range(60)]),
        {
            "constraints": [
                {"kind": "formula", "column": "total", "expression": "age * 1"},
                {"kind": "formula", "column": "total", "expression": "age + 0"},
            ]
        },
        ["constraints.1", "'total'", "constraints.0"],
    ),
    "formulas in a circle": (
        with_column("total", [str(20 + i % 37) for i in range(60)]),
        {
            "constraints": [
                {"kind": "formula", "column": "total", "expression": "age * 1"},
                {"kind": "formula", "column": "age", "expression": "total * 1"},
            ]
        },
        ["constraints.0", "'total', 'age'", "circle"],
    ),
    "formula for the target": (
        with_column("price", [f"{i * 1.37:.2f}" for i in range(60)]),
        {
            "task": {"target": "price"},
            "constraints": [{"kind": "formula", "column": "price", "expression": "age * 1.37"}],
        },
        ["constraints.0", "'price' is the target"],
    ),
    "group of no column": (text(rows()), {"split": {"group": "house"}}, ["split.group", "'house'"]),
    "time that is none": (text(rows()), {"split": {"time": "city"}}, ["split.time", "'city'", "category"]),
    "truncated Parquet": (
        parquet(HEALTHY, cut=20),
        {"source": {"path": "rows.parquet"}},
        ["rows.parquet", "cut short"],
    ),
    "nested Parquet": (
        parquet(HEALTHY.append_column("tags", pa.array([["a"]] * 60))),
        {"source": {"path": "rows.parquet"}},
        ["rows.parquet", "'tags'", "list"],
    ),
    "inf in Parquet": (
        parquet(HEALTHY.append_column("gain", pa.array([1.5] * 59 + [np.inf]))),
        {"source": {"path": "rows.parquet"}},
        ["row 60", "'gain'", "inf"],
    ),
    "integer beyond 64 bits in Parquet": (
        parquet(HEALTHY.append_column("count", pa.array([1] * 59 + [2**64 - 1], pa.uint64()))),
        {"source": {"path": "rows.parquet"}},
        ["row 60", "'count'", "18446744073709551615"],
    ),
    "Parquet without rows": (parquet(HEALTHY.slice(0, 0)), {"source": {"path": "rows.parquet"}}, ["no rows"]),
    "class that is not there": (
        text(rows()),
        {"amount": {"per_class": {"x": 5}}},
        ["'x'"],
    ),
    "condition that no row meets": (
        text(rows()),
        {"amount": {"ratio": 1, "where": ["city=c9"]}},
        ["amount.where", "city=c9"],
    ),
    "unknown learner": (text(rows()), {"utility": {"learners": ["forrest"]}}, ["forrest"]),
}


def recipe_for(changes: dict) -> Recipe:
    base = {
        "name": "bad",
        "source": {"kind": "table", "path": "rows.csv"},
        "task": {"target": "label"},
    }
    for key, value in changes.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    return Recipe.model_validate(base)


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_line(case: str, tmp_path: Path) -> None:
    make, changes, words = CASES[case]
    make(tmp_path)
    if case == "cut gzip":
        changes = {"source": {"path": "rows.csv.gz"}}
    recipe = recipe_for(changes)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as raised:
        check(recipe, tmp_path)
    message = str(raised.value)
    print(f"{case:36} {message}")
    assert "\n" not in message
    assert len(message) < 400
    for word in words:
        assert word in message
    assert raised.value.exit_code == 2
    assert sorted(tmp_path.iterdir()) == before

    # The run's own way: what ingest or split refuse leaves neither rows nor folders.
    work = tmp_path / "store" / "work" / "bad"
    try:
        record = ingest(recipe, tmp_path, work)
    except InputError as error:
        assert str(error) == message
        assert sorted(tmp_path.iterdir()) == before
    else:
        if case in ("time that is none",):
            with pytest.raises(InputError):
                split(recipe, record, work)
            assert [path.name for path in work.iterdir()] == [record.folder.name]


def test_parquet_of_another_schema_on_rerun(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(HEALTHY, path)
    recipe = recipe_for({"source": {"path": "rows.parquet"}})
    first = ingest(recipe, tmp_path, tmp_path / "work")
    schema = tmp_path / "schema.json"
    schema.write_text(first.path("schema.json").read_text())

    changed = HEALTHY.set_column(0, "age", pa.array([f"a{i % 7}" for i in range(60)]))
    pq.write_table(changed, path)
    with pytest.raises(
        InputError, match=r"column 'age' was integer in the earlier run and is category now"
    ) as raised:
        ingest(recipe, tmp_path, tmp_path / "work", previous_schema=schema)
    assert "\n" not in str(raised.value)
    assert [folder.name for folder in (tmp_path / "work").iterdir()] == [first.folder.name]

    pq.write_table(HEALTHY.rename_columns(["years", "label"]), path)
    with pytest.raises(InputError, match="column 'age' of the earlier run is gone"):
        ingest(recipe, tmp_path, tmp_path / "work", previous_schema=schema)

    pq.write_table(HEALTHY.append_column("more", pa.array([0.5] * 60)), path)
    with pytest.raises(InputError, match="column 'more' was not there"):
        ingest(recipe, tmp_path, tmp_path / "work", previous_schema=schema)

    # On purpose is not by mistake.
    pq.write_table(changed, path)
    told = recipe_for({"source": {"path": "rows.parquet", "columns": {"age": "category"}}})
    assert ingest(told, tmp_path, tmp_path / "work", previous_schema=schema).result["rows"] == 60


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="city"), ["split.test_path", "'city'"]),
        (lambda f: f.assign(extra=1), ["split.test_path", "'extra'"]),
        (lambda f: f.assign(label="z"), ["split.test_path", "class 'z'"]),
        (lambda f: f.assign(label="y"), ["split.test_path", "no row of class 'n'"]),
        (lambda f: f.assign(age="old"), ["test.csv line 2", "'age'", "'old'"]),
    ],
)
def test_test_file_of_another_schema(change: Callable, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(rows())
    change(pd.read_csv(tmp_path / "rows.csv")).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(InputError) as raised:
        ingest(recipe_for({"split": {"test_path": "test.csv"}}), tmp_path, tmp_path / "work")
    for word in words:
        assert word in str(raised.value)
    assert not (tmp_path / "work").exists()


def test_warned_of_but_taken(tmp_path: Path) -> None:
    """All-null and constant columns, e-mail addresses, far dates, identifiers, unlabelled rows: a warning, and on."""
    count = 120
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(10_000, 10_000 + count),
            "token": [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(count)],
            "age": np.arange(count) % 60 + 18,
            "nothing": [None] * count,
            "constant": ["same"] * count,
            "mail": [f"person{i % 40}@example.org" for i in range(count)],
            "until": ["9999-12-31" if i % 3 else "2024-02-29" for i in range(count)],
            "huge": [str(10**22 + i * 7919) for i in range(count)],
            "label": ["y" if i % 2 else "n" for i in range(count - 4)] + [None] * 4,
        }
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    report = check(recipe_for({}), tmp_path)
    types = {column.name: column.type for column in report.columns}
    assert types == {
        "customer_id": "identifier",
        "token": "identifier",
        "age": "integer",
        "nothing": "category",
        "constant": "category",
        "mail": "category",
        "until": "date",
        "huge": "identifier",
        "label": "category",
    }
    told = "\n".join(report.warnings)
    for words in (
        "'nothing' has no values",
        "'constant' is constant",
        "'mail' holds e-mail",
        "4 rows have no value",
    ):
        assert words in told
    assert report.rows["rejected"] == 4
    assert (
        next(c for c in report.columns if c.name == "until").shows
        == "2024-02-29 00:00:00 to 9999-12-31 00:00:00"
    )


def test_year_beyond_9999_is_set_aside(tmp_path: Path) -> None:
    days = [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(200)]
    days[77] = "12024-01-01"
    with_column("day", days)(tmp_path)
    record = ingest(recipe_for({}), tmp_path, tmp_path / "work")
    rejected = pq.read_table(record.path("rejected.parquet")).to_pylist()
    assert rejected == [{"row": 79, "column": "day", "value": "12024-01-01", "reason": "is not of type date"}]
    assert record.result["rows"] == 199
