"""One image file -> pixels: any common format, bounded before it is decoded, brought to one size and one colour."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
MOST_PIXELS = 50_000_000  # of a file, before anything of it is decoded
RESIZE = "lanczos"  # antialiased: each new pixel weighs all old ones that it covers
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_GREY = ("1", "L", *_DEEP)
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, IndexError, MemoryError)  # what Pillow raises
_DRAWINGS = (b"<svg", b"<?xml", b"<!doctype svg")


class Fault(Exception):
    """The image cannot be used; the message says why."""


@dataclass(frozen=True)
class Look:
    """What a file's header says. `channels`: 1 for grey, 3 for colour."""

    width: int
    height: int
    channels: int


def look(data: bytes) -> Look:
    """Size (as it will be shown) and colour of an image, from its header alone.

    Raises:
        Fault: not an image of a known format, or too many pixels.
    """
    with _opened(data) as image:
        width, height = image.size
        turned = _orientation(image) in (5, 6, 7, 8)
        grey = image.mode in _GREY or (image.mode in ("LA", "La"))
        return Look(*((height, width) if turned else (width, height)), 1 if grey else 3)


def _orientation(image: Image.Image) -> int:
    """What EXIF says of the image's orientation. Of a PNG Pillow would decode all of it to answer."""
    exif = Image.Exif()
    try:
        if image.format == "PNG":
            exif.load(image.info.get("exif") or b"")
        else:
            exif = image.getexif()
    except _DAMAGED as error:
        raise Fault(f"is damaged or cut off ({error})") from None
    return int(exif.get(0x0112, 1) or 1)


def decode(data: bytes, side: int, channels: int) -> np.ndarray:
    """Pixels uint8 (side, side, channels).

    Turned as EXIF says; 16 bits are brought to 8 by their place in the whole range; what is transparent becomes
    white; other sizes are resized to a square, antialiased (`RESIZE`), whatever their proportions.

    Args:
        data: a file's bytes.
        side: height and width in pixels.
        channels: 1 (grey) or 3 (red, green, blue).

    Raises:
        Fault: see `look`; or the file is cut off or damaged.
    """
    with _opened(data) as image:
        try:
            image.load()
            return fit(_plain(ImageOps.exif_transpose(image)), side, channels)
        except _DAMAGED as error:
            raise Fault(f"is damaged or cut off ({error})") from None


def fit(image: Image.Image, side: int, channels: int) -> np.ndarray:
    """An image of mode L or RGB -> pixels uint8 (side, side, channels)."""
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8).reshape(side, side, channels)


def _opened(data: bytes) -> Image.Image:
    """The image with its header read."""
    if not data:
        raise Fault("is empty")
    start = data[:200].lstrip().lower()
    if start.startswith(_DRAWINGS):
        raise Fault("is a drawing (SVG); expected pixels")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bounded here, more tightly than there
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Fault(f"has too many pixels; expected at most {MOST_PIXELS:,}") from None
    except UnidentifiedImageError:
        raise Fault(f"is not an image that can be read; expected {', '.join(FORMATS)}") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise Fault(f"is damaged or cut off ({error})") from None
    width, height = image.size
    if width * height > MOST_PIXELS:
        image.close()
        raise Fault(f"has {width:,} x {height:,} pixels; expected at most {MOST_PIXELS:,} in all")
    if not width or not height:
        raise Fault("has no pixels")
    return image


def _plain(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB."""
    if image.mode in _DEEP:
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise Fault("has more than 16 bits a pixel; expected 8 or 16")
        return Image.fromarray(eight_bits(deep.astype(np.uint16)))
    if image.mode == "F":
        raise Fault("has fractions as pixels; expected whole numbers of 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        grey = image.mode in (*_GREY, "LA", "La")
        return Image.alpha_composite(white, over).convert("L" if grey else "RGB")
    return image.convert("L" if image.mode in _GREY else "RGB")


def eight_bits(deep: np.ndarray) -> np.ndarray:
    """uint16 -> uint8 by the place in the whole range: 65,535 becomes 255."""
    return np.round(deep / 257).astype(np.uint8)
