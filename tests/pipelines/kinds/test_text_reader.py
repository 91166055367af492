"""Texts in all forms that they come in become the same rows; what cannot be used is set aside with its line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.errors import InputError
from leaven.pipelines.init import init
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
