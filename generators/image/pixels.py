"""Between a column of pixels and an array: images lie in Arrow's memory as height x width x channels of uint8."""

import numpy as np
import pandas as pd
import pyarrow as pa

from leaven.generators.schema import Column, Schema


def image_column(schema: Schema) -> Column:
    """The column that has the images."""
    return next(column for column in schema if column.type == "image")


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


def to_column(pixels: np.ndarray) -> pd.Series:
    """uint8 (rows, height, width, channels) -> a column of pixels, without a copy where they lie in one piece."""
    pixels = np.ascontiguousarray(pixels, dtype=np.uint8)
    size = int(np.prod(pixels.shape[1:]))
    stored = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(pixels), [None, pa.py_buffer(pixels)])
    return pd.Series(stored, dtype=pd.ArrowDtype(pa.binary(size)))
