"""Rows that a person marked as bad: synthetic rows equal to one of them are dropped from the next run on.

A version keeps their digests, so that rows made on demand leave them out too, wherever the file is by then.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from leaven.generators.errors import InputError
from leaven.generators.schema import Schema
from leaven.pipelines.recipe import Recipe, resolve
from leaven.pipelines.row_digest import row_digests

REASON = "marked"
FIELD = "screen.reject_file"
FILE = "marked.parquet"  # of a version
_DIGEST = "digest"
_COLUMNS = b"leaven.columns"


@dataclass(frozen=True)
class Marked:
    """Marked rows as digests over those columns that their file has; identifiers, which are drawn anew for each row,
    are left out."""

    columns: list[str]
    digests: np.ndarray

    @classmethod
    def read(cls, path: Path, schema: Schema) -> "Marked":
        """Read the file: Parquet, CSV or JSON lines, such as rows copied from a version's `data/synthetic`.

        Raises:
            InputError: it cannot be read, or has no column to compare.
        """
        try:
            table = _read(path, schema)
            columns = [
                column.name
                for column in schema
                if column.type != "identifier" and column.name in table.column_names
            ]
            wanted = schema.arrow()
            found = pa.table({name: table.column(name).cast(wanted.field(name).type) for name in columns})
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{FIELD}: {path}: {' '.join(str(error).split())}") from error
        if not columns:
            raise InputError(
                f"{FIELD}: {path}: has none of the columns {', '.join(schema.names[:10])}; expected rows of the dataset"
            )
        return cls(columns, np.unique(row_digests(found, columns)))

    def keep(self, folder: Path) -> None:
        """Write the digests into the folder of a version."""
        schema = pa.schema([(_DIGEST, pa.uint64())], {_COLUMNS: json.dumps(self.columns).encode()})
        pq.write_table(pa.table({_DIGEST: self.digests}, schema=schema), folder / FILE)

    @classmethod
    def kept(cls, path: Path) -> "Marked":
        """What `keep` wrote."""
        table = pq.read_table(path)
        return cls(json.loads(table.schema.metadata[_COLUMNS]), table.column(_DIGEST).to_numpy())

    def among(self, table: pa.Table) -> np.ndarray:
        """Which rows equal a marked one, bool (rows,)."""
        return np.isin(row_digests(table, self.columns), self.digests)


def _read(path: Path, schema: Schema) -> pa.Table:
    if path.suffix.lower() == ".parquet":
        return pq.read_table(path)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return pa.json.read_json(path)
    # Where some are missing, pandas writes integers as 3.0.
    types = {f.name: pa.float64() if pa.types.is_integer(f.type) else f.type for f in schema.arrow()}
    table = pa.csv.read_csv(
        path, convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    )
    for column in schema:  # a CSV of `leaven sample` marks texts that a spreadsheet would run
        if column.type == "text" and column.name in table.column_names:
            place = table.column_names.index(column.name)
            plain = pa.compute.replace_substring_regex(table.column(place), r"^'([=+\-@\t\r])", r"\1")
            table = table.set_column(place, column.name, plain)
    return table


def of(recipe: Recipe, schema: Schema) -> Marked | None:
    """The marked rows of a recipe whose file is `placed`; None where it names no file.

    Raises:
        InputError: the file cannot be read, or has no column to compare.
    """
    path = recipe.screen.reject_file
    return None if path is None else Marked.read(Path(path), schema)


def placed(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the file's whole path: stages know no folder.

    Raises:
        InputError: the rows are images, which a file cannot name.
    """
    if recipe.screen.reject_file is None:
        return recipe
    if recipe.source.kind == "image":
        raise InputError(f"{FIELD}: is for tables and texts; images cannot be marked")
    path = str(resolve(recipe.screen.reject_file, folder))
    return recipe.model_copy(update={"screen": recipe.screen.model_copy(update={"reject_file": path})})
