"""How a version keeps images: PNG files in the layout of Hugging Face's `datasets`, which loads them as images."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from leaven.generators.image.pixels import to_array
from leaven.generators.image.png import STORED, origin, to_files
from leaven.generators.schema import Schema
from leaven.pipelines.kinds.image.folder import FolderWriter

MOST_IMAGES = 1_000  # in a row group, so that few are decoded for the one that is asked for
_GROUP_BYTES = 2**23  # of pixels in a row group
_SHARD_BYTES = 2**27  # of pixels that are sampled at once


class Layout:
    """Tables of a run, whose images are pixels -> tables of a version, whose images are PNG files.

    Rows with a `_generator` are synthetic: the text chunk `Leaven` of their files says so.

    Attributes:
        same: whether rows stay as they are.
        group_rows: rows of a row group, as many as are in memory at once.
        shard_rows: rows that are sampled at once.
        formats: suffixes of what rows can be written into; without one, a folder.
    """

    same = False
    formats: tuple[str, ...] = (".parquet", "")

    def __init__(self, schema: Schema):
        self._all = schema
        self._shapes = {column.name: column.shape for column in schema if column.shape is not None}
        largest = max(map(math.prod, self._shapes.values()))
        self.group_rows = max(1, min(MOST_IMAGES, _GROUP_BYTES // largest))
        self.shard_rows = max(1, min(50_000, _SHARD_BYTES // largest))

    def schema(self, pixels: pa.Schema) -> pa.Schema:
        """The columns as a version has them, with what `datasets` reads of them."""
        fields = [
            pa.field(field.name, STORED if field.name in self._shapes else field.type) for field in pixels
        ]
        features = {field.name: _feature(field) for field in fields}
        return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})

    def table(self, rows: pa.Table, made_by: tuple[str, int] | None = None) -> pa.Table:
        """The rows as a version has them. Columns that are not there, or are PNG files already, stay so.

        Args:
            made_by: generator and seed of all rows, where they have no columns that say it.
        """
        texts = _texts(rows)
        if made_by is not None:
            texts = [origin(*made_by)] * rows.num_rows
        for name, shape in self._shapes.items():
            place = rows.schema.get_field_index(name)
            if place >= 0 and rows.schema.field(place).type != STORED:
                rows = rows.set_column(place, name, _files(rows.column(place), shape, texts))
        return rows.cast(self.schema(rows.schema))

    def folder(self, folder: Path, labels: Sequence[str]) -> FolderWriter:
        """A writer of frames into a folder for each label."""
        return FolderWriter(folder, self._all, labels)


def _feature(field: pa.Field) -> dict[str, Any]:
    if field.type == STORED:
        return {"_type": "Image"}
    return {"dtype": str(field.type), "_type": "Value"}


def _texts(rows: pa.Table) -> list[str | None]:
    """What each row's file says of itself: synthetic, by which generator, under which seed."""
    if "_generator" not in rows.column_names:
        return [None] * rows.num_rows
    made = rows.column("_generator").to_pylist()
    seeds = rows.column("_seed").to_pylist() if "_seed" in rows.column_names else [None] * rows.num_rows
    return [
        None if generator is None else origin(generator, seed)
        for generator, seed in zip(made, seeds, strict=True)
    ]


def _files(column: pa.ChunkedArray, shape: tuple[int, int, int], texts: list[str | None]) -> pa.Array:
    """Pixels -> PNG files; missing ones (broken source files) stay missing."""
    there = column.is_valid().to_pylist()
    known = column.drop_null()
    if not len(known):
        return pa.nulls(len(column), STORED)
    files = to_files(
        to_array(known.to_pandas(types_mapper=pd.ArrowDtype), shape),
        [text for text, valid in zip(texts, there, strict=True) if valid],
    )
    if len(known) == len(column):
        return files
    places = iter(range(len(known)))
    return files.take(pa.array([next(places) if valid else None for valid in there], pa.int64()))
