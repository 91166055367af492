"""Rows on disk and in memory: one place that says how Parquet becomes a data frame and back."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from leaven.generators.schema import Schema


def to_frame(table: pa.Table, schema: Schema) -> pd.DataFrame:
    """Arrow table -> data frame with the house's types, columns of `schema` that the table has.

    number float64 (missing NaN), integer Int64, boolean boolean, date datetime64[us], image Arrow's binary of pixels
    (also where the table has PNG files, as in a version), and object with None for category, text and string
    identifiers.

    Raises:
        InputError: a PNG file of another size, or one that cannot be read.
    """
    columns = {}
    for column in schema:
        if column.name not in table.column_names:
            continue
        values = table.column(column.name)
        if column.shape is not None and pa.types.is_struct(values.type):  # PNG files, as in a version
            from leaven.generators.image.png import to_pixels

            values = to_pixels(values, column.shape)
        else:
            values = values.combine_chunks().cast(column.arrow)
        if column.arrow == pa.int64():
            series = values.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        elif column.arrow == pa.bool_():
            series = values.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
        elif column.type == "image":  # stays where Arrow has it
            series = values.to_pandas(types_mapper=pd.ArrowDtype)
        elif column.arrow == pa.string():
            series = values.to_pandas().astype(object)
            series = series.where(series.notna(), None)
        else:
            series = values.to_pandas()
        columns[column.name] = series
    return pd.DataFrame(columns)


def to_arrow(frame: pd.DataFrame, schema: Schema) -> pa.Table:
    """Data frame -> Arrow table with exactly the columns, order and types of `schema`."""
    arrays = [pa.Array.from_pandas(frame[c.name], type=c.arrow, safe=False) for c in schema]
    return pa.Table.from_arrays(arrays, schema=schema.arrow())


# Arrow's own way keeps all that it has read of a file until the end.
_FORMAT = pads.ParquetFileFormat(
    default_fragment_scan_options=pads.ParquetFragmentScanOptions(pre_buffer=False)
)


def parquet(path: Path) -> pq.ParquetFile:
    """A file that is read batch by batch: memory does not grow with it."""
    return pq.ParquetFile(path, pre_buffer=False)


class Rows:
    """Real rows in one or more Parquet files, read only when asked for.

    Generators get one of these: it holds train rows and nothing else, so they cannot reach a test row.
    """

    def __init__(self, paths: Sequence[str | Path] | str | Path, schema: Schema):
        self.paths = [Path(paths)] if isinstance(paths, (str, Path)) else [Path(p) for p in paths]
        self.schema = schema

    def _dataset(self) -> pads.Dataset:
        return pads.dataset([str(p) for p in self.paths], format=_FORMAT)

    def __len__(self) -> int:
        return self._dataset().count_rows()

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows as they are stored: images are pixels in a run, PNG files in a version."""
        return self._dataset().to_table(columns=list(columns or self.schema.names))

    def frame(self, max_rows: int | None = None, seed: int = 0) -> pd.DataFrame:
        """All rows as a data frame, or a uniform sample without replacement of `max_rows` in file order."""
        dataset = self._dataset()
        total = dataset.count_rows()
        if max_rows is None or total <= max_rows:
            return to_frame(dataset.to_table(columns=self.schema.names), self.schema)
        picked = np.sort(np.random.default_rng(seed).choice(total, max_rows, replace=False))
        parts, start = [], 0
        for batch in self.batches():
            low, high = np.searchsorted(picked, [start, start + len(batch)])
            if high > low:
                parts.append(batch.take(pa.array(picked[low:high] - start)))
            start += len(batch)
        return to_frame(pa.concat_tables(parts), self.schema)

    def batches(self, batch_rows: int = 65536, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows as they are stored, in tables of at most `batch_rows` rows: memory does not grow with the file."""
        asked = list(columns or self.schema.names)
        for batch in self._dataset().to_batches(columns=asked, batch_size=batch_rows):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
