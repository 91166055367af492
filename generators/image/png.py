"""Images as a version keeps them: PNG files in a column, as Hugging Face's `datasets` lays them out."""

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, PngImagePlugin

from leaven.generators.errors import InputError

STORED = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
MARK = "Leaven"  # the text chunk that says where an image comes from


def encode(pixels: np.ndarray, text: str | None = None) -> bytes:
    """Pixels uint8 (height, width, 1 or 3) -> a PNG file; equal pixels and text give equal bytes.

    Args:
        text: goes into the text chunk `Leaven`.
    """
    info = None
    if text is not None:
        info = PngImagePlugin.PngInfo()
        info.add_text(MARK, text)
    out = io.BytesIO()
    Image.fromarray(flat(pixels)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def origin(generator: str, seed: int | None) -> str:
    """The text of a synthetic image's file."""
    return f"synthetic; generator={generator}" + ("" if seed is None else f"; seed={seed}")


def flat(pixels: np.ndarray) -> np.ndarray:
    """Images (..., height, width, channels) as Pillow has them: without the last axis where they are grey."""
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def decode(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """A PNG file -> pixels uint8 of `shape` (height, width, channels).

    Raises:
        InputError: another size, or not a PNG file that can be read.
    """
    height, width, channels = shape
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (width, height):
                raise InputError(
                    f"an image has {image.size[0]} x {image.size[1]} pixels; expected {width} x {height}"
                )
            return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(shape)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"an image is no PNG that can be read ({error})") from None


def to_files(pixels: np.ndarray, texts: Sequence[str | None]) -> pa.Array:
    """Pixels uint8 (rows, height, width, channels) -> a column of PNG files, each with its text."""
    files = [encode(image, text) for image, text in zip(pixels, texts, strict=True)]
    return pa.StructArray.from_arrays(
        [pa.array(files, pa.binary()), pa.nulls(len(files), pa.string())], fields=list(STORED)
    )


def to_pixels(files: pa.Array | pa.ChunkedArray, shape: tuple[int, int, int]) -> pa.Array:
    """A column of PNG files -> fixed-size binary: pixels uint8, height x width x channels. Missing stays missing.

    Raises:
        InputError: see `decode`.
    """
    data = pc.struct_field(files, "bytes")
    whole = np.zeros((len(data), *shape), dtype=np.uint8)
    there = np.ones(len(data), dtype=bool)
    for place, one in enumerate(data):
        if one.is_valid:
            whole[place] = decode(one.as_buffer(), shape)
        else:
            there[place] = False
    mask = None if there.all() else pa.array(there).buffers()[1]
    size = int(np.prod(shape))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(data), [mask, pa.py_buffer(whole)])
