"""Between a column of pixels and an array: images lie in Arrow's memory as height x width x channels of uint8."""

import math
import mmap
import os
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa

from leaven.generators.errors import FitError
from leaven.generators.rows import Rows, to_frame
from leaven.generators.schema import Column, Schema

IN_MEMORY = 2**30  # bytes of pixels beyond which they lie in a file
BATCH_BYTES = 2**23  # of pixels that are read at once; Arrow reads a dozen such batches ahead


def image_column(schema: Schema) -> Column:
    """The column that has the images."""
    return next(column for column in schema if column.type == "image")


def image_shape(schema: Schema) -> tuple[int, int, int]:
    """Height, width and channels of the images."""
    shape = image_column(schema).shape
    assert shape is not None
    return shape


def to_array(images: pd.Series, shape: tuple[int, int, int]) -> np.ndarray:
    """A column of pixels -> uint8 (rows, height, width, channels), a view where the column lies in one piece."""
    stored = pa.array(images)
    if isinstance(stored, pa.ChunkedArray):
        stored = stored.combine_chunks()
    _, data = stored.buffers()
    size = int(np.prod(shape))
    flat = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    start = stored.offset * size
    return flat[start : start + len(stored) * size].reshape(-1, *shape)


def read(rows: Rows) -> tuple[np.ndarray, pd.Series]:
    """All images, uint8 (rows, height, width, channels), and their labels, read batch by batch.

    Many images lie in a file without a name that is mapped into memory, and gone with the array.

    Raises:
        FitError: there is no room for such a file.
    """
    column, target, one = image_column(rows.schema).name, rows.schema.target, image_shape(rows.schema)
    shape = (len(rows), *one)
    pixels = _mapped(shape) if math.prod(shape) > IN_MEMORY else np.empty(shape, dtype=np.uint8)
    texts, filled = [], 0
    for batch in rows.batches(max(1, BATCH_BYTES // math.prod(one))):
        frame = to_frame(batch, rows.schema)
        pixels[filled : filled + len(frame)] = to_array(frame[column], one)
        texts.append(frame[target])
        filled += len(frame)
    return pixels, pd.concat(texts, ignore_index=True)


def _mapped(shape: tuple[int, ...]) -> np.ndarray:
    """uint8 zeros of `shape` in a file."""
    size = math.prod(shape)
    with tempfile.TemporaryFile() as file:
        try:
            # A full disk is told of now, not by a signal while the file is being filled.
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise FitError(
                f"{size / 2**30:.1f} GiB of pixels do not fit into {tempfile.gettempdir()}: {error.strerror}"
            ) from None
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype=np.uint8).reshape(shape)


def to_column(pixels: np.ndarray) -> pd.Series:
    """uint8 (rows, height, width, channels) -> a column of pixels, without a copy where they lie in one piece."""
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    size = int(np.prod(pixels.shape[1:]))
    stored = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(pixels), [None, pa.py_buffer(pixels)])
    return pd.Series(stored, dtype=pd.ArrowDtype(pa.binary(size)))
