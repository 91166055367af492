"""What repeats a row of another shard or of an earlier round goes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leaven.generators.schema import Column, Schema
from leaven.pipelines import kinds
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.sample import with_sources
from leaven.pipelines.screen import screen
from leaven.pipelines.task import Task

SCHEMA = Schema(
    columns=(Column(name="text", type="text"), Column(name="label", type="category")), target="label"
)
TASK = Task(target="label", type="classification", metric="macro_f1", classes=("a", "b"))
OFF = dict.fromkeys(("label_agreement", "language", "meaning", "entities", "length"), False)
TRAIN = ["the train rows say this", "and the other train row says that"]


def shard(path: Path, texts: list[str]) -> Path:
    columns = {"text": texts, "label": ["a"] * len(texts), "_source_row": [None] * len(texts)}
    pq.write_table(pa.table(columns, schema=with_sources(SCHEMA).arrow()), path)
    return path


def judged(folder: Path, *shards: list[str], earlier: list[str] | None = None, **off: Any) -> dict[str, Any]:
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "source": {"kind": "text", "path": "rows.csv"},
            "task": {"target": "label"},
            "screen": OFF | off,
        }
    )
    train = folder / "train.parquet"
    pq.write_table(pa.table({"text": TRAIN, "label": ["a", "b"]}, schema=SCHEMA.arrow()), train)
    return screen(
        kinds.get("text"),
        SCHEMA,
        TASK,
        recipe,
        train=[train],
        shards=[shard(folder / f"{n}.parquet", texts) for n, texts in enumerate(shards)],
        out=folder / "out",
        seed=1,
        threads=1,
        level=recipe.screen,
        earlier=[shard(folder / "earlier.parquet", earlier)] if earlier else [],
    )


def texts_of(folder: Path) -> list[str]:
    return [
        text
        for path in sorted((folder / "out" / "kept").glob("*"))
        for text in pq.read_table(path)["text"].to_pylist()
    ]


def test_shards_do_not_repeat_each_other(tmp_path: Path) -> None:
    counts = judged(tmp_path, ["first one of them", "second of them"], ["Second of them", "third and last"])
    assert counts["rejected"] == {"duplicate": 1}
    assert texts_of(tmp_path) == ["first one of them", "second of them", "third and last"]


def test_a_further_round_does_not_repeat_an_earlier_one(tmp_path: Path) -> None:
    counts = judged(tmp_path, ["kept before, a while ago", "a new one"], earlier=["Kept before, a while ago"])
    assert counts["rejected"] == {"duplicate": 1} and texts_of(tmp_path) == ["a new one"]


@pytest.mark.parametrize("earlier", [None, ["again and again"]])
def test_repetitions_stay_where_the_recipe_lets_them(tmp_path: Path, earlier: list[str] | None) -> None:
    counts = judged(tmp_path, ["again and again"], ["again and again"], earlier=earlier, duplicates=False)
    assert counts["kept"] == 2
