"""A 64-bit digest of each row's content: the same values give the same digest, whatever file they came from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_NULL = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD6E8FEB86659FD93)


def mix(values: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers so that all bits depend on all bits (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        x = values.astype(np.uint64, copy=True)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def row_digests(table: pa.Table, columns: Sequence[str] | None = None) -> np.ndarray:
    """Digests of the rows over `columns` (all by default), uint64 (rows,)."""
    total = np.zeros(table.num_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for name in table.column_names if columns is None else columns:
            total = mix(total * _STEP + value_digests(table.column(name)))
    return total


def value_digests(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Digests of the values of one column, uint64 (rows,). Missing values share one digest."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    missing = np.asarray(values.is_null(nan_is_null=True))
    kind = values.type
    if pa.types.is_dictionary(kind):
        return value_digests(values.cast(kind.value_type))
    if pa.types.is_struct(kind):
        parts = pa.Table.from_arrays([values.field(i) for i in range(kind.num_fields)], kind.names)
        digests = row_digests(parts)
    elif pa.types.is_floating(kind):
        numbers = values.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        digests = number_digests(numbers)
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        digests = mix(values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64))
    elif pa.types.is_temporal(kind):
        stamps = values.cast(pa.timestamp("us")).cast(pa.int64())
        digests = mix(stamps.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64))
    else:
        digests = text_digests(values)
    digests[missing] = _NULL
    return digests


def number_digests(numbers: np.ndarray) -> np.ndarray:
    """Digests of floats, uint64; a whole number has that of the equal integer."""
    whole = np.isfinite(numbers) & (np.abs(numbers) < 2**53) & (numbers == np.floor(numbers))
    integers = np.where(whole, numbers, 0).astype(np.int64).view(np.uint64)
    return mix(np.where(whole, integers, numbers.astype(np.float64).view(np.uint64)))


def text_digests(values: pa.Array) -> np.ndarray:
    """Digests of texts or bytes, uint64. Hashes each distinct one once."""
    encoded = values.dictionary_encode()
    known = encoded.dictionary.to_numpy(zero_copy_only=False)
    hashed = np.append(pd.util.hash_array(known.astype(object), categorize=False), np.uint64(0))
    return hashed[pc.fill_null(encoded.indices, len(known)).to_numpy(zero_copy_only=False)]
