"""Images into a folder for each class, as torchvision's `ImageFolder` and the `imagefolder` of `datasets` read them."""

import csv
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from leaven.generators.image.pixels import image_column, to_array
from leaven.generators.image.png import encode, origin
from leaven.generators.schema import Schema

LABELS = "labels.csv"  # folder and label, where a label cannot be a folder's name
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_MOST = 80  # bytes of a folder's name


def folder_names(labels: Iterable[str]) -> dict[str, str]:
    """Label -> a name that every file system takes, distinct also where case does not count.

    The label itself where it can be; else what is left of it, and a digest.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(set(labels)):
        name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*%]+', "_", label).strip(". ")
        name = name.encode()[:_MOST].decode(errors="ignore")
        if name.partition(".")[0].casefold() in _RESERVED:
            name = f"_{name}"
        if name != label or not name or name.casefold() in taken:
            name = f"{name or 'class'}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
        taken.add(name.casefold())
        names[label] = name
    return names


class FolderWriter:
    """Writes frames of images into `folder`: `LABEL/0000012.png`, numbered in the order of the rows."""

    def __init__(self, folder: Path, schema: Schema, labels: Iterable[str]):
        self._folder, self._target, self._image = folder, schema.target, image_column(schema)
        self._names = folder_names(labels)
        self._count = 0
        if any(label != name for label, name in self._names.items()):
            with (folder / LABELS).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["folder", "label"])
                writer.writerows(sorted((name, label) for label, name in self._names.items()))

    def write(self, frame: pd.DataFrame, made_by: tuple[str, int]) -> None:
        """Append the rows; every file says that this generator and seed made it."""
        assert self._image.shape is not None
        for pixels, label in zip(
            to_array(frame[self._image.name], self._image.shape), frame[self._target], strict=True
        ):
            place = self._folder / self._names[str(label)] / f"{self._count:07d}.png"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(encode(pixels, origin(*made_by)))
            self._count += 1
