"""Many small images in one picture that a page can carry: small ones as PNG, as they are; larger ones as WebP."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from leaven.generators.image.png import flat

SIDE = 64  # pixels; larger images are drawn smaller
_CELL = 56  # CSS pixels that an image is drawn at, about
_WIDEST = 480  # CSS pixels of a sheet
_QUALITIES = (90, 75, 50, 25)


def thumbnails(pixels: np.ndarray) -> np.ndarray:
    """Images uint8 (rows, height, width, channels), no side longer than `SIDE`; antialiased where they shrink."""
    height, width, channels = pixels.shape[1:]
    if max(height, width) <= SIDE or not len(pixels):
        return pixels
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [np.asarray(Image.fromarray(flat(image)).resize(size, Image.Resampling.BOX)) for image in pixels]
    return np.stack(small).reshape(len(small), size[1], size[0], channels)


def per_line(pixels: np.ndarray) -> int:
    """How many images stand beside each other."""
    return max(1, min(8, _WIDEST // ((pixels.shape[2] + 1) * _zoom(pixels))))


def sheet(pixels: np.ndarray, most_bytes: int, columns: int | None = None) -> dict[str, Any]:
    """Images in a grid, a transparent pixel apart.

    Args:
        pixels: uint8 (rows, height, width, channels), none larger than `SIDE`.
        most_bytes: a PNG beyond it becomes a WebP, as good as fits.
        columns: also where there are fewer images, so that those of two sheets are drawn equally large.

    Returns:
        `src` (a data URI), `width` in CSS pixels, `pixelated`: whether pixels are drawn as squares.
    """
    columns = columns or per_line(pixels)
    whole = Image.fromarray(_grid(pixels, columns))
    zoom = _zoom(pixels)
    return {"src": _uri(whole, most_bytes), "width": whole.width * zoom, "pixelated": zoom > 1}


def strip(pixels: np.ndarray, most_bytes: int) -> dict[str, Any]:
    """Images side by side without a gap, each of which a page cuts out: `src`, `count`, `ratio`, `pixelated`."""
    count, height, width, channels = pixels.shape
    line = pixels.transpose(1, 0, 2, 3).reshape(height, count * width, channels)
    uri = _uri(Image.fromarray(flat(np.ascontiguousarray(line))), most_bytes)
    return {"src": uri, "count": count, "ratio": round(width / height, 4), "pixelated": _zoom(pixels) > 1}


def _zoom(pixels: np.ndarray) -> int:
    """Whole, so that every pixel becomes a square."""
    return max(1, round(_CELL / max(pixels.shape[1:3])))


def _grid(pixels: np.ndarray, columns: int) -> np.ndarray:
    """uint8 (height, width, channels + 1): the last channel is opacity."""
    count, height, width, channels = pixels.shape
    lines = -(-count // columns)
    whole = np.zeros((lines * (height + 1) - 1, columns * (width + 1) - 1, channels + 1), dtype=np.uint8)
    for place, image in enumerate(pixels):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        whole[top : top + height, left : left + width, :channels] = image
        whole[top : top + height, left : left + width, channels] = 255
    return whole


def _uri(image: Image.Image, most_bytes: int) -> str:
    data, kind = _saved(image, format="PNG", optimize=True), "png"
    for quality in _QUALITIES:
        if len(data) <= most_bytes:
            break
        data, kind = _saved(image.convert("RGBA"), format="WEBP", quality=quality, method=2), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _saved(image: Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()
