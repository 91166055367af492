"""The tables: read once by the pipeline's own reader, split before anything is fitted, kept as Parquet."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from leaven.generators.rows import Rows, to_arrow, to_frame
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines.task import Task

# name -> train file, target, test file where there is an official one
KNOWN: dict[str, tuple[str, str, str | None]] = {
    "adult": ("adult_train.csv.gz", "income", "adult_test.csv.gz"),
    "shoppers": ("shoppers.csv.gz", "Revenue", None),
    "mammography": ("mammography.csv.gz", "label", None),
    "beijing": ("beijing.csv.gz", "pm2.5", None),
    "german_credit": ("german_credit.csv.gz", "class", None),
    "phoneme": ("phoneme.csv.gz", "label", None),
}
TEST_SHARE = 1 / 3


@dataclass(frozen=True)
class Table:
    """A table with its split. `train` and `test` are Parquet files of the same schema."""

    name: str
    schema: Schema
    task: Task
    train: Path
    test: Path

    def frame(self, part: str) -> pd.DataFrame:
        """The rows of `train` or `test`, with the house's types."""
        return Rows(getattr(self, part), self.schema).frame()


def prepare(
    name: str, path: Path, target: str, test: Path | None, folder: Path, seed: int, max_rows: int | None
) -> Table:
    """Read and split a table into `folder`, or take what stands there from an earlier call.

    Args:
        name: as results show it.
        path: CSV or Parquet file; `target`: its label column.
        test: the official test file; without one, a third of the rows are drawn for it, stratified.
        folder: where the Parquet files go.
        seed: of the split and the cut.
        max_rows: train on at most so many rows, a random sample (for a quick try).

    Two classes are scored by ROC AUC whatever their shares, more by macro-F1, numbers by R².
    """
    asked = json.dumps([str(path), path.stat().st_mtime, target, str(test), seed, max_rows])
    stamp = folder / "prepared.json"
    if not stamp.exists() or json.loads(stamp.read_text())["asked"] != asked:
        _prepare(name, path, target, test, folder, seed, max_rows, asked)
    kept = json.loads(stamp.read_text())
    return Table(
        name,
        Schema.model_validate(kept["schema"]),
        Task.model_validate(kept["task"]),
        folder / "train.parquet",
        folder / "test.parquet",
    )


def known(name: str, data: Path, folder: Path, seed: int, max_rows: int | None) -> Table:
    """`prepare` for a table of `KNOWN`, its files in `data`."""
    train, target, test = KNOWN[name]
    return prepare(name, data / train, target, data / test if test else None, folder, seed, max_rows)


def _prepare(
    name: str,
    path: Path,
    target: str,
    test: Path | None,
    folder: Path,
    seed: int,
    max_rows: int | None,
    asked: str,
) -> None:
    from leaven.pipelines.kinds.table import reader
    from leaven.pipelines.recipe import Recipe

    folder.mkdir(parents=True, exist_ok=True)
    recipe: dict[str, Any] = {
        "name": name,
        "source": {"kind": "table", "path": str(path.resolve())},
        "task": {"target": target},
    }
    if test:
        recipe["split"] = {"test_path": str(test.resolve())}
    found = reader.read(Recipe.model_validate(recipe), folder, folder)
    schema = Schema.model_validate_json((folder / "schema.json").read_text())
    task = Task.model_validate(found["task"])
    if len(task.classes) == 2:
        task = task.model_copy(update={"metric": "roc_auc"})
    rows = to_frame(pq.read_table(folder / "rows.parquet"), schema)
    if test:
        held_out = to_frame(pq.read_table(folder / "test.parquet"), schema)
    else:
        picked = _third(rows, task, derive("split", seed))
        rows, held_out = rows[~picked].reset_index(drop=True), rows[picked].reset_index(drop=True)
    if max_rows and len(rows) > max_rows:
        order = np.random.default_rng(derive("cut", seed)).permutation(len(rows))[:max_rows]
        rows = rows.iloc[np.sort(order)].reset_index(drop=True)
    for part, frame in (("train", rows), ("test", held_out)):
        pq.write_table(to_arrow(frame, schema), folder / f"{part}.parquet")
    (folder / "prepared.json").write_text(
        json.dumps(
            {"asked": asked, "schema": schema.model_dump(mode="json"), "task": task.model_dump(mode="json")}
        )
    )


def _third(rows: pd.DataFrame, task: Task, seed: int) -> np.ndarray:
    """Which rows are test rows, bool (rows,): a third of each class, or of all for regression."""
    order = np.random.default_rng(seed).permutation(len(rows))
    if task.type == "classification":
        labels = pd.factorize(rows[task.target])[0][order]
        order = order[np.argsort(labels, kind="stable")]  # classes one after another: every third row
    picked = np.zeros(len(rows), dtype=bool)
    picked[order[:: round(1 / TEST_SHARE)]] = True
    return picked
