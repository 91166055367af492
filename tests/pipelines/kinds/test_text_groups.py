"""Texts of one author, or whatever a column says, stay on one side of the split."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.split import fold_paths, split


def test_texts_of_one_author_stay_together(tmp_path: Path) -> None:
    texts = [f"this is what author {n % 30} has to say, number {n}" for n in range(300)]
    authors = [None if n % 30 == 0 else f"a{n % 30}" for n in range(300)]
    frame = pd.DataFrame({"text": texts, "label": ["x", "y", "z"] * 100, "who": authors})
    frame.to_csv(tmp_path / "a.csv", index=False)
    recipe = Recipe.model_validate(
        {
            "name": "grouped",
            "source": {"kind": "text", "path": "a.csv"},
            "task": {"target": "label"},
            "split": {"group": "who"},
        }
    )
    source = ingest(recipe, tmp_path, tmp_path / "work")
    assert not any("not used" in note for note in source.result["warnings"])
    parts = split(recipe, source, tmp_path / "work")

    def said_by(path: Path) -> set[str]:
        table = pq.read_table(path)
        assert table.column_names == ["text", "label"]
        return {text.split()[4] for text in table["text"].to_pylist()} - {"0"}

    train, validation, test = (
        said_by(parts.path(f"{name}.parquet")) for name in ("train", "validation", "test")
    )
    assert train and validation and test
    assert not (train & validation or train & test or validation & test)
    learn, score = fold_paths(parts, 0)
    assert not said_by(learn[0]) & said_by(score)
