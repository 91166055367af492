"""Read versions: rows for a training job."""

import os
import time
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from leaven.generators.errors import InputError
from leaven.generators.image.pixels import to_array
from leaven.generators.image.png import flat
from leaven.generators.rows import to_frame
from leaven.generators.schema import Schema
from leaven.pipelines.store import Store
from leaven.pipelines.version import MANIFEST, Version

DEFAULT_STORE = "data/store"
POLL_SECONDS = 2.0  # between two looks at the store, while a version is waited for
PROVENANCE = ("_generator", "_source_row", "_seed")
SPLITS = {
    "augmented": ("train", "validation", "synthetic"),
    "synthetic": ("synthetic",),
    "real": ("train", "validation"),
    "train": ("train",),
    "validation": ("validation",),
    "test": ("test",),
}

Split = Literal["augmented", "synthetic", "real", "train", "validation", "test"]


def find(
    name: str | Path,
    version: str | None = None,
    store: str | Path | None = None,
    *,
    newer_than: str | None = None,
    wait: float = 0.0,
) -> Version:
    """The version that a name, `NAME@VERSION` or a version's folder means.

    Args:
        name: a name in the store, or the folder of a version.
        version: its id; the latest released one when left out.
        store: folder or URI of the store; `LEAVEN_STORE`, else `data/store`, when left out.
        newer_than: a version's id, or `NAME@VERSION`; the one that is found must be newer.
        wait: seconds to wait for it.

    Raises:
        InputError: no such name, version or folder, or none so new, within that time.
    """
    end = time.monotonic() + wait
    while True:
        try:
            return _newer(_find(name, version, store), newer_than)
        except InputError:
            left = end - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(left, POLL_SECONDS))


def _newer(found: Version, than: str | None) -> Version:
    """Ids of one name are in the order of their making."""
    if than is None or found.id > than.rpartition("@")[2]:
        return found
    raise InputError(f"{found}: is not newer than {than}")


def _find(name: str | Path, version: str | None, store: str | Path | None) -> Version:
    folder = Path(name)
    if version is None and (folder / MANIFEST).is_file():
        folder = folder.resolve()
        return Version.at(folder)
    if isinstance(name, Path) or os.sep in str(name):
        raise InputError(f"{name}: is no version's folder: it has no {MANIFEST}")
    reference = f"{name}@{version}" if version else str(name)
    return Store(store or os.environ.get("LEAVEN_STORE") or DEFAULT_STORE).find(reference)


def load(
    name: str | Path,
    version: str | None = None,
    store: str | Path | None = None,
    split: Split = "augmented",
    format: Literal["pandas", "arrow"] = "pandas",
    provenance: bool = False,
    *,
    newer_than: str | None = None,
    wait: float = 0.0,
) -> Any:
    """Rows of a version.

    Args:
        name: a name in the store, `NAME@VERSION`, or the folder of a version.
        version: its id; the latest released one when left out.
        store: folder or URI of the store; `LEAVEN_STORE`, else `data/store`, when left out.
        split: `augmented` (real train and validation rows, then synthetic ones: what the lift was measured with),
            `synthetic`, `train`, `validation`, `test`, or
            `real` (train and validation, which the released generator learned from).
        format: `pandas` for a data frame, whose images are uint8 arrays as Pillow has them: (height, width) where they
            are grey, (height, width, 3) in colour. `arrow` for a `pyarrow.Table`, whose images are PNG files.
        provenance: keep `_generator`, `_source_row` and `_seed`, which are empty in real rows. They are left out
            by default, so that no classifier learns from them.
        newer_than: a version's id; the rows must be of a newer one.
        wait: seconds to wait for a version that is released, and newer than that.

    Raises:
        InputError: no such name, version or split, or no version so new within that time.
    """
    if split not in SPLITS:
        raise InputError(f"split '{split}': there is no such split; there are: {', '.join(SPLITS)}")
    if format not in ("pandas", "arrow"):
        raise InputError(f"format '{format}': there is no such format; there are: pandas, arrow")
    found = find(name, version, store, newer_than=newer_than, wait=wait)
    table = _table(found, split, provenance)
    if format == "arrow":
        return table
    frame = shown(table, found.schema)
    for column in PROVENANCE if provenance else ():
        series = table.column(column).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        frame[column] = (
            series if column != "_generator" else series.astype(object).where(series.notna(), None)
        )
    return frame


def shown(table: pa.Table, schema: Schema) -> pd.DataFrame:
    """A table of a version -> the data frame that a user gets: images are arrays, which lie in one piece."""
    frame = to_frame(table, schema)
    for column in schema:
        if column.shape is not None and column.name in frame:
            pixels = flat(to_array(frame[column.name], column.shape))
            frame[column.name] = pd.Series(list(pixels), index=frame.index, dtype=object)
    return frame


def _table(version: Version, split: str, provenance: bool) -> pa.Table:
    schema = version.schema.arrow()
    if provenance:
        marks = (pa.string(), pa.int64(), pa.int64())
        schema = pa.schema([*schema, *(pa.field(n, kind) for n, kind in zip(PROVENANCE, marks, strict=True))])
    schema = version.layout.schema(schema)
    paths = [path for part in SPLITS[split] for path in version.paths(part)]
    if not paths:
        return schema.empty_table()
    # With a schema given, columns that a file lacks are read as empty, and those not in it are left out.
    return pads.dataset([str(path) for path in paths], schema=schema, format="parquet").to_table()
