"""Parquet files: typed columns, streamed. Nested and binary columns are refused by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.errors import InputError
from leaven.generators.rows import parquet
from leaven.pipelines.kinds.files.unpacked import refuse_parquet_bomb

_BATCH_ROWS = 65_536


@dataclass
class ParquetFile:
    """A Parquet file. Its batches have columns of int64, double, bool, timestamp[us] or string."""

    path: Path
    schema: pa.Schema
    notes: list[str] = field(default_factory=list)
    typed = True
    unit = "row"
    delimiter = ""

    @property
    def names(self) -> list[str]:
        return list(self.schema.names)

    def batches(self) -> Iterator[pa.Table]:
        """All rows in order.

        Raises:
            InputError: the file is damaged, or holds an integer or a date beyond 64 bits.
        """
        start = 0
        try:
            with parquet(self.path) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=self.names):
                    if batch.num_rows:
                        columns = [
                            self._convert(batch.column(field.name), field, start) for field in self.schema
                        ]
                        yield pa.Table.from_arrays(columns, schema=self.schema)
                    start += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            text = " ".join(str(error).split())[:150]
            raise InputError(f"{self.path.name} after row {start}: is damaged or cut short: {text}") from None

    def _convert(self, values: pa.Array, target: pa.Field, start: int) -> pa.Array:
        if isinstance(values, pa.DictionaryArray):
            values = values.dictionary_decode()
        if pa.types.is_timestamp(values.type) and values.type.tz is not None:
            values = values.cast(pa.timestamp(values.type.unit))
        if target.type == pa.float64() and pa.types.is_decimal(values.type):
            values = values.cast(pa.float64(), safe=False)
        try:
            # Nanoseconds are cut to microseconds; everything else must fit as it is.
            return values.cast(target.type, safe=not pa.types.is_timestamp(values.type))
        except pa.ArrowInvalid:
            for number, value in enumerate(values):
                try:
                    value.cast(target.type)
                except pa.ArrowInvalid:
                    raise InputError(
                        f"{self.path.name} row {start + number + 1}: column '{target.name}' has {value}, which does "
                        f"not fit {target.type}"
                    ) from None
            raise

    def lines(self, rows: Sequence[int]) -> dict[int, int]:
        """Row numbers, counted from 1, of the data rows `rows`, counted from 0."""
        return {row: row + 1 for row in rows}


def open_parquet(path: Path, drop: Sequence[str] = ()) -> ParquetFile:
    """Read a Parquet file's schema. Columns in `drop` are not looked at.

    Raises:
        InputError: not Parquet, truncated, no columns, or a column of a type that a table cannot have.
    """
    try:
        found = pq.read_schema(path)
        refuse_parquet_bomb(path)
    except (pa.ArrowException, OSError) as error:
        text = " ".join(str(error).split())[:150]
        raise InputError(f"{path.name}: is not a whole Parquet file (cut short?): {text}") from None
    notes, fields = [], []
    for column in found:
        if column.name in drop:
            continue
        if column.name.startswith("__index_level_"):
            notes.append(f"column '{column.name}' is an index that pandas saved; it was left out")
            continue
        kind = _house_type(column.type)
        if kind is None:
            raise InputError(
                f"{path.name}: column '{column.name}' is of type {column.type}; expected numbers, texts, truth "
                "values or dates (leave it out with source.drop)"
            )
        fields.append(pa.field(column.name, kind))
    return ParquetFile(path, pa.schema(fields), notes)


def _house_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_dictionary(kind):
        return _house_type(kind.value_type)
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pa.string()
    return pa.string() if kind == pa.string_view() else None


def is_parquet(path: Path) -> bool:
    """Whether the file says that it is Parquet, by its first bytes or its name."""
    with path.open("rb") as file:
        start = file.read(4)
    return start == b"PAR1" or path.suffix in (".parquet", ".pq")
