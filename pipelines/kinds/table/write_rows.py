"""The second pass: texts become typed rows in Parquet; rows with a faulty value are set aside with the reason."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from leaven.generators.constraints import Constraint
from leaven.generators.contract import Progress
from leaven.generators.errors import InputError
from leaven.generators.rows import to_frame
from leaven.generators.schema import Schema
from leaven.pipelines.kinds import ingested
from leaven.pipelines.kinds.table import values as v
from leaven.pipelines.kinds.table.infer import Understood
from leaven.pipelines.row_digest import row_digests

_CELLS = 8_000_000  # cells in one batch
_MAX_FAULTS = 1_000_000
_MAX_LABELS = 100_000


class Source(Protocol):
    """A table file: CSV (batches of texts) or Parquet (`typed` batches)."""

    path: Path
    unit: str
    typed: bool
    delimiter: str
    notes: list[str]

    @property
    def names(self) -> list[str]: ...

    def batches(self) -> Iterator[pa.Table]: ...

    def lines(self, rows: Sequence[int]) -> dict[int, int]: ...


@dataclass
class Written:
    """What stands in the Parquet file, and what does not."""

    rows: int = 0
    digest: str = ""
    labels: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    bounds: dict[str, tuple[str, str]] = field(default_factory=dict)
    broken: Counter[int] = field(default_factory=Counter)  # rows that break constraint i
    faults: list[tuple[int, str, str | None, str]] = field(default_factory=list)


def write_rows(
    source: Source,
    columns: Sequence[Understood],
    schema: Schema,
    path: Path,
    *,
    constraints: Sequence[Constraint] = (),
    count_labels: bool,
    total: int | None,
    progress: Progress,
) -> Written:
    """Write the typed rows of a file, batch by batch.

    Args:
        source: the file.
        columns: how each column is read, in the schema's order.
        schema: names and types of the columns.
        path: the Parquet file to write.
        constraints: rules whose violations are counted.
        count_labels: whether to count the target's values.
        total: number of rows, for progress.
        progress: told after each batch.

    Raises:
        InputError: an infinite number, or so many faulty rows that the types must be wrong.
    """
    result = Written()
    content = hashlib.sha256()
    # Dictionaries pay for texts; for numbers they only cost time.
    texts = [column.name for column in schema if column.arrow == pa.string()]
    with pq.ParquetWriter(path, schema.arrow(), compression="zstd", use_dictionary=texts) as writer:
        start = 0
        for batch in _rebatch(source.batches(), max(256, min(65_536, _CELLS // max(len(columns), 1)))):
            typed = _convert(source, batch, columns, schema, start, result)
            start += batch.num_rows
            if typed.num_rows:
                writer.write_table(typed)
                content.update(row_digests(typed).tobytes())
                _account(typed, schema, constraints, count_labels, result)
            progress(start / total if total else float("nan"), f"{start:,} rows")
    result.digest = content.hexdigest()
    return result


def write_rejected(path: Path, parts: Sequence[tuple[Source, Written]]) -> int:
    """Write the rows that were set aside, with their line (CSV) or row number (Parquet); return how many."""
    rows: list[tuple[int, str, str | None, str]] = []
    for number, (source, written) in enumerate(parts):
        lines = source.lines([fault[0] for fault in written.faults])
        where = f" (in {source.path.name})" if number else ""
        rows += [(lines[row], column, value, reason + where) for row, column, value, reason in written.faults]
    ingested.write_rejected(path, rows)
    return len(rows)


def _rebatch(batches: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """Batches of exactly `size` rows, so that the same rows give the same file however they came."""
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        waiting.append(batch)
        count += batch.num_rows
        if count >= size:
            table = pa.concat_tables(waiting)
            whole = count // size * size
            for start in range(0, whole, size):
                yield table.slice(start, size).combine_chunks()
            waiting, count = [table.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _convert(
    source: Source,
    batch: pa.Table,
    columns: Sequence[Understood],
    schema: Schema,
    start: int,
    result: Written,
) -> pa.Table:
    """One batch with the schema's types, without the rows that have a fault."""
    faulty = np.zeros(batch.num_rows, dtype=bool)
    arrays = []
    for how in columns:
        name = how.column.name
        raw = _single(batch.column(name))
        typed, bad = read_values(raw, how)
        if pa.types.is_floating(typed.type):
            infinite = np.asarray(pc.fill_null(pc.is_inf(typed), False))
            if infinite.any():
                row = start + int(np.argmax(infinite))
                raise InputError(
                    f"{source.path.name} {source.unit} {source.lines([row])[row]}: column '{name}' has an infinite "
                    "number; expected finite ones"
                )
        reason = f"is not of type {how.column.type}"
        if name == schema.target:
            absent = np.asarray(typed.is_null()) & ~bad
            _set_aside(result, np.flatnonzero(absent & ~faulty), start, name, None, "target is missing")
            faulty |= absent
        if bad.any():
            _set_aside(result, np.flatnonzero(bad & ~faulty), start, name, raw, reason)
            faulty |= bad
        arrays.append(typed)
    table = pa.Table.from_arrays(arrays, schema=schema.arrow())
    return table.filter(pa.array(~faulty)) if faulty.any() else table


def _single(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _set_aside(
    result: Written, rows: np.ndarray, start: int, column: str, raw: pa.Array | None, reason: str
) -> None:
    for row in rows.tolist():
        value = None if raw is None else str(raw[row].as_py())[:200]
        result.faults.append((start + row, column, value, reason))
    if len(result.faults) > _MAX_FAULTS:
        raise InputError(f"column '{column}': more than {_MAX_FAULTS:,} rows have a value that {reason}")


def read_values(raw: pa.Array, how: Understood) -> tuple[pa.Array, np.ndarray]:
    """Values of the column's type, null where missing, and which rows have a value that does not fit."""
    column = how.column
    if not pa.types.is_string(raw.type):
        return _from_typed(raw, how)
    texts = v.trimmed(raw)
    absent = v.is_missing(texts, how.missing)
    texts = pc.if_else(absent, None, texts)
    if column.arrow == pa.float64():
        typed = v.numbers(texts, how.style)
        typed = pc.if_else(pc.is_nan(typed), None, typed)
    elif column.arrow == pa.int64():
        typed = v.integers(texts)
        if typed.null_count > texts.null_count:  # 3.0 is a whole number too
            floats = v.numbers(texts, how.style)
            whole = pc.and_(pc.equal(floats, pc.floor(floats)), pc.less(pc.abs(floats), 2.0**53))
            from_floats = pc.if_else(whole, floats, None).cast(pa.int64())
            typed = pc.coalesce(typed, from_floats)
    elif column.type == "boolean":
        typed = v.booleans(texts, wide=how.forced)
    elif column.type == "date":
        typed = v.dates(texts, how.order, compact=how.forced)
    else:
        typed = texts
    bad = np.asarray(pc.and_(typed.is_null(), texts.is_valid()), dtype=bool)
    return typed, bad


def _from_typed(raw: pa.Array, how: Understood) -> tuple[pa.Array, np.ndarray]:
    """Parquet's values as the column's type."""
    good = np.zeros(len(raw), dtype=bool)
    target = how.column.arrow
    if pa.types.is_floating(raw.type):
        raw = pc.if_else(pc.is_nan(raw), None, raw)
    if raw.type == target:
        return raw, good
    if pa.types.is_floating(raw.type) and target in (pa.int64(), pa.string()):
        # Whole numbers that became floats because some were missing read as what they are.
        whole = pc.fill_null(pc.and_(pc.equal(raw, pc.floor(raw)), pc.less(pc.abs(raw), 2.0**53)), True)
        if target == pa.int64():
            kept = pc.if_else(whole, raw, None)
            return kept.cast(pa.int64()), np.asarray(pc.and_(kept.is_null(), raw.is_valid()), dtype=bool)
        if pc.all(whole).as_py():
            return raw.cast(pa.int64()).cast(pa.string()), good
    if target == pa.string():
        return pa.array([None if x is None else str(x) for x in raw.to_pylist()], pa.string()), good
    if target == pa.float64() or pa.types.is_boolean(raw.type):
        return raw.cast(pa.int64() if pa.types.is_boolean(raw.type) else raw.type).cast(target), good
    texts = pa.array([None if x is None else str(x) for x in raw.to_pylist()], pa.string())
    return read_values(texts, how)


def _account(
    table: pa.Table, schema: Schema, constraints: Sequence[Constraint], count_labels: bool, result: Written
) -> None:
    """Count labels, missing values, ranges of dates and broken constraints."""
    result.rows += table.num_rows
    for column in schema:
        values = table.column(column.name)
        result.missing[column.name] += values.null_count
        if column.type == "date":
            bounds: Any = pc.min_max(values)
            low, high = bounds["min"].as_py(), bounds["max"].as_py()
            if low is not None:
                old = result.bounds.get(column.name, (str(low), str(high)))
                result.bounds[column.name] = (min(old[0], str(low)), max(old[1], str(high)))
    if count_labels and len(result.labels) <= _MAX_LABELS:
        for pair in pc.value_counts(_single(table.column(schema.target))).to_pylist():
            result.labels[str(pair["values"])] += pair["counts"]
    for number, constraint in enumerate(constraints):
        if constraint.kind != "fixed_combinations":
            rows = to_frame(table.select(list(dict.fromkeys(constraint.columns_used))), schema)
            result.broken[number] += int((~constraint.holds(rows)).sum())
