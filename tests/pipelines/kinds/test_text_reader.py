"""Texts in all forms that they come in become the same rows; what cannot be used is set aside with its line."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.init import init
from leaven.pipelines.kinds.files import jsonl_file
from leaven.pipelines.kinds.text import reader
from leaven.pipelines.kinds.text.clean import MOST
from leaven.pipelines.kinds.text.reader import read
from leaven.pipelines.recipe import Recipe

ROWS = [(f"this is text number {n} of them", "even" if n % 2 == 0 else "odd") for n in range(12)]


def recipe(name: str, **source: Any) -> Recipe:
    return Recipe.model_validate({"name": "texts", "source": {"kind": "text", "path": name, **source}})


def reads(folder: Path, name: str, **source: Any) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    out = folder / f"out-{name}"
    out.mkdir()
    result = read(recipe(name, **source), folder, out)
    return (
        result,
        pq.read_table(out / "rows.parquet").to_pandas(),
        pq.read_table(out / "rejected.parquet").to_pandas(),
    )


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_however_it_is_written_it_is_the_same(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "c.parquet")
    jsonl(tmp_path / "d.jsonl", [{"text": text, "label": label} for text, label in ROWS])
    with gzip.open(tmp_path / "e.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"label": label, "text": text}) + "\n" for text, label in ROWS)
    digests = set()
    for name in ("a.csv", "b.tsv", "c.parquet", "d.jsonl", "e.jsonl.gz"):
        result, rows, rejected = reads(tmp_path, name)
        digests.add(result["digest"])
        assert list(map(tuple, rows.to_numpy())) == ROWS
        assert rejected.empty
        assert result["task"]["classes"] == ["even", "odd"]
    assert len(digests) == 1


@pytest.mark.parametrize(
    "text, kept",
    [
        ("cafe\u0301 au lait", "café au lait"),
        ("🙂 שלום עולם", "🙂 שלום עולם"),
        ("a\x00b\x07c", "a b c"),
        ("  two\nlines\t", "two\nlines"),
        ("=1+1", "=1+1"),
        ("\ud83d half", "\ufffd half"),
    ],
)
def test_unicode_is_kept_in_one_form(tmp_path: Path, text: str, kept: str) -> None:
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in [*ROWS, (text, "odd")])
    )
    _, rows, _ = reads(tmp_path, "a.jsonl")
    assert rows["text"].iloc[-1] == kept


def test_what_cannot_be_used_is_set_aside_with_its_line(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": text, "label": label} for text, label in ROWS]
    rows[3] = {"text": "   ", "label": "odd"}
    rows[5] = {"text": "x" * (MOST + 1), "label": "odd"}
    rows[7] = {"text": "no label here"}
    rows.insert(0, {"text": {"a": 1}, "label": "odd"})
    jsonl(tmp_path / "a.jsonl", rows + [{"text": f"one more, {n}", "label": "odd"} for n in range(3)])
    result, kept, rejected = reads(tmp_path, "a.jsonl")
    assert result["rejected"] == 4
    assert len(kept) == 12
    told = dict(zip(rejected["row"], rejected["reason"], strict=True))
    assert told == {
        1: "is empty",
        5: "is empty",
        7: f"has {MOST + 1:,} characters; expected at most {MOST:,}",
        9: "target is missing",
    }


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "is empty"),
        ('{"text": "a", "label": "b"}\nno json\n', "line 2: is no JSON object"),
        ('["a", "b"]\n', "line 1: is a list; expected an object"),
        ('[\n{"text": "a"}]\n', "a JSON array?"),
        ('{"txt": "a", "label": "b"}\n', "has no column 'text'; did you mean 'txt'?"),
        ('{"text": "a", "lable": "b"}\n', "has no column 'label'; did you mean 'lable'?"),
        ('{"text": "", "label": "b"}\n' * 9, "9 of 9 rows cannot be used; the first is line 1"),
        ('{"text": "one of a class", "label": "b"}\n' * 9, "has one class only"),
    ],
)
def test_faults_of_a_file_are_told_in_one_line(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(InputError) as caught:
        reads(tmp_path, "a.jsonl")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_example_in_a_class_is_told(tmp_path: Path) -> None:
    jsonl(
        tmp_path / "a.jsonl", [{"text": t, "label": label} for t, label in [*ROWS, ("the only one", "rare")]]
    )
    with pytest.raises(InputError, match="class 'rare' of column 'label' has 1 rows"):
        reads(tmp_path, "a.jsonl")


def test_init_finds_texts_and_labels(tmp_path: Path) -> None:
    jsonl(
        tmp_path / "a.jsonl",
        [{"id": n, "utterance": t, "intent": label} for n, (t, label) in enumerate(ROWS * 2)],
    )
    written = init(tmp_path / "a.jsonl")
    assert "kind: text" in written
    assert "text: utterance" in written
    assert "target: intent" in written
    pd.DataFrame(ROWS * 2, columns=["text", "label"]).to_csv(tmp_path / "b.csv", index=False)
    assert "kind: text" in init(tmp_path / "b.csv")
    pd.DataFrame({"x": range(40), "y": ["a", "b"] * 20}).to_csv(tmp_path / "c.csv", index=False)
    assert "kind: table" in init(tmp_path / "c.csv")


def asks(folder: Path, name: str, more: dict[str, Any]) -> None:
    out = folder / "out"
    out.mkdir()
    read(Recipe.model_validate({"name": "t", "source": {"kind": "text", "path": name}} | more), folder, out)


@pytest.mark.parametrize(
    "more, told",
    [
        ({"split": {"group": "whom"}}, "split.group: a.csv has no column 'whom'; did you mean 'who'"),
        ({"split": {"time": "when"}}, "split.time: column 'when': texts are not divided by time"),
        ({"task": {"type": "regression"}}, "task.type: texts have classes"),
        (
            {"source": {"kind": "text", "path": "a.csv", "columns": {"text": "number"}}},
            "source.columns: column 'text'",
        ),
        (
            {"source": {"kind": "text", "path": "a.csv", "drop": ["text"]}},
            "source.drop: column 'text' is the column",
        ),
        (
            {"source": {"kind": "text", "path": "a.csv", "drop": ["label"]}},
            "source.drop: column 'label' is the column",
        ),
        (
            {"source": {"kind": "text", "path": "a.csv", "drop": ["whom"]}},
            "has no column 'whom'; did you mean 'who'?",
        ),
    ],
)
def test_what_is_for_tables_alone_is_refused(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    pd.DataFrame(ROWS, columns=["text", "label"]).assign(who=1, when=2).to_csv(
        tmp_path / "a.csv", index=False
    )
    with pytest.raises(InputError) as caught:
        asks(tmp_path, "a.csv", more)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_column_that_is_left_out_is_not_warned_of(tmp_path: Path) -> None:
    pd.DataFrame(ROWS, columns=["text", "label"]).assign(who=1).to_csv(tmp_path / "a.csv", index=False)
    assert any("not used: who" in warning for warning in reads(tmp_path, "a.csv")[0]["warnings"])
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    assert not any("not used" in warning for warning in reads(tmp_path, "b.csv", drop=["who"])[0]["warnings"])


@pytest.mark.parametrize(
    "names", [["text", "label", "label"], ["text", "text", "label"], ["text", "label", "x", "x"]]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_name_over_two_columns_is_refused(tmp_path: Path, names: list[str], suffix: str) -> None:
    values = {
        "text": [text for text, _ in ROWS],
        "label": [label for _, label in ROWS],
        "x": ["1"] * len(ROWS),
    }
    path = tmp_path / f"a.{suffix}"
    if suffix == "csv":
        lines = [",".join(row) for row in [names, *zip(*(values[name] for name in names), strict=True)]]
        path.write_text("\n".join(lines))
    else:
        pq.write_table(pa.Table.from_arrays([pa.array(values[name]) for name in names], names), path)
    for act in (lambda: reads(tmp_path, path.name), lambda: init(path), lambda: init(path, "label")):
        with pytest.raises(InputError, match="stands over columns") as caught:
            act()
        assert "\n" not in str(caught.value)


def test_a_damaged_gz_is_told_in_one_line(tmp_path: Path) -> None:
    packed = bytearray(
        gzip.compress("".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in ROWS * 200).encode())
    )
    for place in range(30, len(packed), 7):
        packed[place] ^= 0x5A
    (tmp_path / "a.jsonl.gz").write_bytes(bytes(packed))
    with pytest.raises(InputError, match=r"a\.jsonl\.gz") as caught:
        reads(tmp_path, "a.jsonl.gz")
    assert "\n" not in str(caught.value)


def test_labels_have_one_form(tmp_path: Path) -> None:
    rows = [
        {"text": text, "label": "cafe\u0301 " if n % 2 else "caf\u00e9"} for n, (text, _) in enumerate(ROWS)
    ]
    other = [{"text": f"another {text}", "label": "tea\x07"} for text, _ in ROWS]
    jsonl(tmp_path / "a.jsonl", [*rows, *other, {"text": "no label to be seen", "label": "\u200b"}])
    result, kept, rejected = reads(tmp_path, "a.jsonl")
    assert result["task"]["classes"] == ["caf\u00e9", "tea"]
    assert set(kept["label"]) == {"caf\u00e9", "tea"} and list(rejected["reason"]) == ["target is missing"]
    positive = Recipe.model_validate({"name": "t", "source": {"kind": "text", "path": "a.jsonl"},
                                      "task": {"positive": "cafe\u0301"}})  # fmt: skip
    (tmp_path / "out").mkdir()
    assert read(positive, tmp_path, tmp_path / "out")["task"]["positive"] == "caf\u00e9"


def test_numbers_as_labels_are_the_same_however_written(tmp_path: Path) -> None:
    values = [1, 1.0, "1", 0.5, True]
    rows = [{"text": f"{text} {n}", "label": value} for n, value in enumerate(values) for text, _ in ROWS]
    jsonl(tmp_path / "a.jsonl", [*rows, {"text": "not a number", "label": math.nan}])
    result, _, rejected = reads(tmp_path, "a.jsonl")
    assert result["task"]["classes"] == ["0.5", "1", "true"]
    assert list(rejected["reason"]) == ["target is missing"]


def test_a_text_that_cannot_be_seen_is_empty(tmp_path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    jsonl(
        tmp_path / "a.jsonl",
        [*rows, {"text": "\u200b", "label": "odd"}, {"text": "\u200b \x00", "label": "odd"}],
    )
    _, kept, rejected = reads(tmp_path, "a.jsonl")
    assert len(kept) == len(ROWS) and list(rejected["reason"]) == ["is empty"] * 2


def test_different_texts_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(name: str) -> dict[str, Any]:
        (tmp_path / name).write_bytes((tmp_path / "a.jsonl").read_bytes())
        reads(tmp_path, name)
        return json.loads((tmp_path / f"out-{name}" / "profile.json").read_text())["columns"][0]

    jsonl(tmp_path / "a.jsonl", [{"text": text, "label": label} for text, label in ROWS * 3])
    found = seen("b.jsonl")
    assert (found["distinct"], found["distinct_exact"]) == (len(ROWS), True)
    monkeypatch.setattr(reader, "COUNTED", 6)
    found = seen("c.jsonl")
    assert not found["distinct_exact"] and 0 < found["distinct"] <= 36


def test_languages_are_looked_for_in_all_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SAMPLE", 40)
    monkeypatch.setattr(jsonl_file, "_BATCH", 50)
    english = "The train was late by twenty minutes and we waited for it"
    french = "Le train avait vingt minutes de retard et nous avons attendu sur le quai"
    rows = [{"text": f"{text} {n}", "label": "ab"[n % 2]} for text in (english, french) for n in range(200)]
    jsonl(tmp_path / "a.jsonl", rows)
    warnings = reads(tmp_path, "a.jsonl")[0]["warnings"]
    (told,) = (warning for warning in warnings if "several languages" in warning)
    assert "en" in told and "fr" in told
