"""What a split is decided by: digest, stratum, group and time of every row, and where the row was before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from leaven.generators.errors import InputError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.pipelines import assignment, kinds
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.row_digest import row_digests, value_digests
from leaven.pipelines.task import Task

TEST, VALIDATION, TRAIN, LEFT_OUT = 0, 1, 2, 3
NAMES = {TEST: "test", VALIDATION: "validation", TRAIN: "train"}
_META = b"leaven"


@dataclass
class Content:
    """What the split is decided by, one entry a row."""

    digests: np.ndarray  # uint64
    strata: np.ndarray  # int64: class, or bin of the target
    groups: np.ndarray | None  # uint64
    times: np.ndarray | None  # float64


def content_of(rows: Rows, schema: Schema, task: Task, recipe: Recipe) -> Content:
    """Digests, strata, groups and times of all rows; nothing else is held in memory."""
    kind = kinds.get(recipe.source.kind)
    group, time = recipe.split.group, recipe.split.time
    if time is not None and schema[time].type not in ("date", "number", "integer"):
        raise InputError(
            f"split.time: column '{time}' is of type {schema[time].type}; expected a date or a number"
        )
    labels = pa.array(task.classes, pa.string())
    digests, strata, groups, times = [], [], [], []
    beside = [name for name in (group,) if name is not None and name not in schema]
    for batch in rows.batches(columns=[*schema.names, *beside]):
        digests.append(row_digests(kind.compared_by(batch.select(schema.names), schema)))
        target = batch.column(schema.target)
        if task.type == "classification":
            texts = target.cast(pa.string())
            if pa.types.is_boolean(target.type):
                texts = pc.utf8_capitalize(texts)
            strata.append(pc.index_in(texts, value_set=labels).to_numpy())
        else:
            strata.append(target.cast(pa.float64()).to_numpy())
        if group is not None:
            values = batch.column(group)
            missing = np.asarray(values.is_null())
            groups.append(np.where(missing, digests[-1], value_digests(values)))
        if time is not None:
            moments = batch.column(time)
            if moments.null_count:
                raise InputError(
                    f"split.time: column '{time}' has missing values; expected a time in every row"
                )
            if schema[time].type == "date":
                moments = moments.cast(pa.int64())
            times.append(moments.cast(pa.float64(), safe=False).to_numpy())
    stacked = np.concatenate(strata)
    return Content(
        np.concatenate(digests),
        stacked.astype(np.int64) if task.type == "classification" else assignment.strata(stacked),
        np.concatenate(groups) if groups else None,
        np.concatenate(times) if times else None,
    )


def earlier_parts(previous: Path | None, content: Content) -> np.ndarray:
    """Part of each row in an earlier split, -1 where the row was not there, int8 (rows,)."""
    found = np.full(len(content.digests), -1, dtype=np.int8)
    if previous is None or not previous.exists():
        return found
    table = pq.read_table(previous)
    codes = pc.index_in(table["part"].cast(pa.string()), value_set=pa.array([NAMES[i] for i in range(3)]))
    known = pc.fill_null(codes, -1).to_numpy().astype(np.int8)
    for column, values in (("group", content.groups), ("digest", content.digests)):
        if values is not None and column in table.column_names:
            keys = table[column].to_numpy()
            order = np.argsort(keys, kind="stable")
            place = np.minimum(np.searchsorted(keys[order], values), len(keys) - 1)
            there = keys[order][place] == values
            found[there] = known[order][place][there]
    return found


def write_assignments(
    path: Path, content: Content, parts: np.ndarray, previous: Path | None, meta: Mapping[str, str]
) -> None:
    """Digest and part of each distinct row; rows of earlier runs stay listed, should they come back."""
    digests, where = np.unique(content.digests, return_index=True)
    names = np.array([NAMES[i] for i in range(3)] + ["left out"])
    columns: dict[str, Any] = {"digest": digests}
    if content.groups is not None:
        columns["group"] = content.groups[where]
    columns["part"] = names[parts[where]]
    table = pa.table(columns)
    if previous is not None and previous.exists():
        old = pq.read_table(previous)
        if old.column_names == table.column_names:
            gone = ~np.isin(old["digest"].to_numpy(), digests)
            table = pa.concat_tables([table, old.filter(pa.array(gone)).cast(table.schema)])
            table = table.sort_by("digest")
    pq.write_table(table.replace_schema_metadata({_META: json.dumps(dict(meta))}), path, compression="zstd")


def meta_of(path: Path) -> dict[str, str]:
    return json.loads((pq.read_schema(path).metadata or {}).get(_META, b"{}"))
