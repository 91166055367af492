"""Where labelled images come from: a folder per class, Parquet, CSV of path and label, npz. Read one after another."""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from leaven.generators.errors import InputError
from leaven.generators.rows import parquet
from leaven.pipelines.kinds.files.unpacked import refuse_parquet_bomb, refuse_zip_bomb
from leaven.pipelines.kinds.image.decode import MOST_PIXELS
from leaven.pipelines.recipe_errors import nearest

PATHS, IMAGES = ("path", "file_name", "file", "image"), ("image", "img", "picture")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
TEXTS = (".csv", ".tsv", ".txt")
_SKIPPED = ("thumbs.db", "desktop.ini")
_MOST_BYTES = 4 * MOST_PIXELS  # of a file


@dataclass
class Item:
    """One image as it comes: a file's bytes or pixels, or why there is neither."""

    number: int  # row of the source, from 0
    where: str  # for people: a path within the folder, `row 7`
    label: str | None
    data: bytes | np.ndarray | None = (
        None  # pixels: uint8 or uint16 (height, width) or (height, width, 1, 3 or 4)
    )
    fault: str | None = None


class Images(Protocol):
    """A source of labelled images."""

    path: Path
    notes: list[str]

    def __len__(self) -> int: ...

    def items(self) -> Iterator[Item]: ...


def open_images(path: Path, target: str, field: str) -> Images:
    """Open a source, whatever it is.

    Args:
        path: folder or file.
        target: name of the label column, in sources that have columns.
        field: the recipe's, for errors.

    Raises:
        InputError: missing, not a source of images, or one with a structural fault.
    """
    if not path.exists():
        raise InputError(f"{field}: there is nothing at {path}")
    if path.is_dir():
        return Folder(path)
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise InputError(f"{field}: {path} cannot be read: {error.strerror or error}") from None
    if start[:4] == b"PAR1":
        return Parquet(path, target)
    if start[:2] == b"PK" and path.suffix == ".npz":
        return Npz(path, target)
    if path.suffix in TEXTS:
        return Csv(path, target)
    raise InputError(
        f"{field}: {path.name} is no source of images; expected a folder per class, Parquet, CSV of path and label, "
        "or npz with x and y"
    )


def digest(path: Path) -> str:
    """Digest of a source: of a file's bytes; of the names, sizes and times of a folder's files, or of those that a CSV
    file names."""
    total, named = hashlib.sha256(), []
    if path.is_dir():
        named = sorted(Path(place, name) for place, _, files in os.walk(path) for name in files)
    else:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
        if path.suffix in TEXTS:
            named = [path.parent / text for text in _paths_in(path)]
    for place in named:
        with contextlib.suppress(OSError):
            seen = place.stat()
            total.update(f"{place}\0{seen.st_size}\0{seen.st_mtime_ns}\n".encode())
    return total.hexdigest()


def _paths_in(path: Path) -> list[str]:
    """The paths that a CSV file names; none where it has no such column, which is told when it is read."""
    try:
        table = pacsv.read_csv(path, parse_options=_delimited(path))
    except (pa.ArrowInvalid, OSError):
        return []
    column = next((name for name in PATHS if name in table.column_names), None)
    return [str(text) for text in table.column(column).to_pylist() if text] if column else []


def _delimited(path: Path) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",")


def looks_like_images(path: Path) -> bool:
    """Whether a source has images: a folder, npz, Parquet with a column of files' bytes, CSV of paths to images."""
    if path.is_dir() or path.suffix == ".npz":
        return True
    try:
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            return any(name in schema.names and not _is_text(schema.field(name).type) for name in IMAGES)
        paths = _paths_in(path) if path.suffix in TEXTS else []
    except (pa.ArrowInvalid, OSError):
        return False
    return bool(paths) and all(Path(text).suffix.lower() in ENDINGS for text in paths[:100])


def _is_text(kind: pa.DataType) -> bool:
    return not (pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def guess_targets(path: Path) -> list[tuple[str, str]]:
    """What may be the label, likeliest first, with the reason; of a folder, its folders' names."""
    if path.is_dir():
        return [("label", "the folders' names")]
    if path.suffix == ".npz":
        return [("label", "y in the file")]
    try:
        names = pq.read_schema(path).names if path.suffix == ".parquet" else pacsv.read_csv(path).column_names
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path.name}: cannot be read: {error}") from None
    others = [name for name in names if name not in (*PATHS, *IMAGES)]
    usual = [name for name in ("label", "class", "target", "y") if name in others]
    return [(name, "by its name") for name in usual] or [(name, "") for name in others[:1]]


def _read(path: Path) -> bytes | str:
    """A file's bytes, or why they are not to be had."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return f"has {path.stat().st_size:,} bytes; expected at most {_MOST_BYTES:,}"
        return path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _item(number: int, where: str, label: str | None, path: Path, root: Path) -> Item:
    """The image in a file, which must lie in the folder that is read, links followed."""
    try:
        inside = path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return Item(number, where, label, fault="is not there")
    if not inside:
        return Item(number, where, label, fault="leads out of the folder")
    read = _read(path)
    return (
        Item(number, where, label, read)
        if isinstance(read, bytes)
        else Item(number, where, label, fault=read)
    )


class Folder:
    """A folder for each class, with images in it or in folders below it; its name is the label."""

    def __init__(self, path: Path):
        self.path = path
        self.notes: list[str] = []
        found = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        classes = [entry for entry in found if entry.is_dir()]
        beside = [entry for entry in found if not entry.is_dir() and entry.name.lower() not in _SKIPPED]
        if not classes:
            raise InputError(f"{path}: has no folders; expected one for each class, with its images in it")
        self._one_name_each([entry.name for entry in classes])
        for entry in classes:
            if not entry.resolve().is_relative_to(path.resolve()):
                raise InputError(f"{path}: the class folder '{entry.name}' is a link out of the folder")
        self.files = [(entry.name, file) for entry in classes for file in self._below(entry)]
        if beside:
            self.notes.append(
                f"{len(beside)} files beside the class folders are not read, such as {beside[0].name}"
            )

    def _one_name_each(self, names: Sequence[str]) -> None:
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                raise InputError(
                    f"{self.path}: the class folders '{other}' and '{name}' differ in upper and lower case alone; "
                    "expected one folder for each class"
                )

    def _below(self, folder: Path) -> list[Path]:
        """The files of a class, in order; folders are not entered through links."""
        found = []
        for place, folders, files in os.walk(folder):
            folders.sort()
            names = [name for name in files if not name.startswith(".") and name.lower() not in _SKIPPED]
            found += [Path(place, name) for name in sorted(names)]
        if not found:
            raise InputError(f"{self.path}: the class folder '{folder.name}' is empty; fill it or remove it")
        return found

    def __len__(self) -> int:
        return len(self.files)

    def items(self) -> Iterator[Item]:
        for number, (label, file) in enumerate(self.files):
            yield _item(number, file.relative_to(self.path).as_posix(), label, file, self.path)


class Csv:
    """A table with a column of paths, from the file's folder, and one of labels."""

    def __init__(self, path: Path, target: str):
        self.path = path
        self.notes: list[str] = []
        try:
            table = pacsv.read_csv(
                path,
                parse_options=_delimited(path),
                convert_options=pacsv.ConvertOptions(strings_can_be_null=True),
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path.name}: is no CSV file that can be read: {error}") from None
        where = _column(path, table.column_names, target, PATHS)
        self.paths = table.column(where).cast(pa.string()).to_pylist()
        self.labels = table.column(target).cast(pa.string()).to_pylist()
        if not self.paths:
            raise InputError(f"{path.name}: has a header but no rows")

    def __len__(self) -> int:
        return len(self.paths)

    def items(self) -> Iterator[Item]:
        root = self.path.parent
        for number, (text, label) in enumerate(zip(self.paths, self.labels, strict=True)):
            if not text:
                yield Item(number, f"line {number + 2}", label, fault="has no path")
            else:
                yield _item(number, text, label, root / text, root)


class Parquet:
    """A column of images, as files' bytes or as the Hugging Face struct of bytes and path, and one of labels."""

    def __init__(self, path: Path, target: str):
        self.path = path
        self.notes: list[str] = []
        try:
            self.file = parquet(path)
            refuse_parquet_bomb(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path.name}: is no Parquet file that can be read: {error}") from None
        schema = self.file.schema_arrow
        self.column, self.target = _column(path, schema.names, target, IMAGES), target
        kind = schema.field(self.column).type
        self.struct = pa.types.is_struct(kind)
        plain = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        if not plain and not (self.struct and any(field.name == "bytes" for field in kind)):
            raise InputError(
                f"{path.name}: column '{self.column}' is of type {kind}; expected the bytes of images, or a struct "
                "with a field 'bytes'"
            )
        self.names = _label_names(schema, target)

    def __len__(self) -> int:
        return int(self.file.metadata.num_rows)

    def items(self) -> Iterator[Item]:
        number = 0
        for batch in self.file.iter_batches(batch_size=256, columns=[self.column, self.target]):
            images, labels = batch.column(self.column), batch.column(self.target).to_pylist()
            if self.struct:
                images = images.field("bytes")
            for image, label in zip(images.to_pylist(), labels, strict=True):
                yield self._item(number, image, label)
                number += 1

    def _item(self, number: int, image: bytes | None, label: Any) -> Item:
        where = f"row {number}"
        if self.names and label is not None:
            if not 0 <= int(label) < len(self.names):
                return Item(
                    number, where, None, fault=f"label {label} has no name; there are {len(self.names)}"
                )
            label = self.names[int(label)]
        text = None if label is None else str(label)
        if image is None:
            return Item(number, where, text, fault="has no bytes")
        return Item(number, where, text, image)


class Npz:
    """Arrays x (images, height, width[, channels]), uint8 or uint16, and y (labels)."""

    def __init__(self, path: Path, target: str):
        self.path = path
        self.notes: list[str] = []
        try:
            refuse_zip_bomb(path)
            with np.load(path, allow_pickle=False) as arrays:
                missing = [name for name in ("x", target) if name not in arrays.files]
                if missing:
                    have = ", ".join(f"'{name}'" for name in arrays.files)
                    raise InputError(
                        f"{path.name}: has no array '{missing[0]}'; expected x and {target}, found {have}"
                    )
                self.y = arrays[target]
            self.shape, self.kind = _header(path, "x.npy")
        except InputError:
            raise
        except ValueError as error:
            reason = "holds pickled objects, which are never loaded" if "pickle" in str(error) else str(error)
            raise InputError(f"{path.name}: {reason}; expected arrays of numbers") from None
        except Exception as error:  # zip, zlib and numpy each have their own
            raise InputError(f"{path.name}: is no npz file that can be read: {error}") from None
        self._check()

    def _check(self) -> None:
        name, shape = self.path.name, self.shape
        if self.kind not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise InputError(f"{name}: x is of type {self.kind}; expected uint8 or uint16")
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3, 4)):
            raise InputError(
                f"{name}: x has the shape {shape}; expected (images, height, width), perhaps with 1, 3 or 4 channels"
            )
        if min(shape) == 0:
            raise InputError(f"{name}: x has the shape {shape}; expected images with pixels")
        if shape[1] * shape[2] > MOST_PIXELS:
            raise InputError(
                f"{name}: images have {shape[1]:,} x {shape[2]:,} pixels; expected at most {MOST_PIXELS:,}"
            )
        if self.y.shape != shape[:1]:
            raise InputError(f"{name}: there are {shape[0]:,} images and labels of the shape {self.y.shape}")
        if self.y.dtype.kind not in "iubUS":
            raise InputError(f"{name}: labels are of type {self.y.dtype}; expected whole numbers or texts")
        if self.y.dtype.kind == "i" and self.y.min() < 0:
            row = int(np.argmax(self.y < 0))
            raise InputError(f"{name}: row {row} has the label {self.y[row]}; expected none below 0")

    def __len__(self) -> int:
        return int(self.shape[0])

    def items(self) -> Iterator[Item]:
        for number, pixels in enumerate(_rows(self.path, "x.npy", self.shape, self.kind)):
            label = self.y[number]
            text = label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
            yield Item(number, f"row {number}", text, pixels)


def _header(path: Path, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an array in an npz file; ValueError where it is pickled or in Fortran's order."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        shape, fortran, kind = _array_header(file)
    if kind.hasobject:
        raise ValueError("pickled")
    if fortran and len(shape) > 1:
        raise ValueError(f"{member} is in Fortran's order")
    return shape, kind


def _array_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _rows(path: Path, member: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> Iterator[np.ndarray]:
    """An array's rows, read one after the other: memory does not grow with their number."""
    size = int(np.prod(shape[1:])) * kind.itemsize
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        _array_header(file)
        for number in range(shape[0]):
            data = file.read(size)
            if len(data) < size:
                raise InputError(f"{path.name}: ends at image {number} of {shape[0]:,}")
            yield np.frombuffer(data, dtype=kind).reshape(shape[1:])


def _column(path: Path, names: Sequence[str], target: str, usual: Sequence[str]) -> str:
    """The column of images or paths, once the label column is known to be there."""
    if target not in names:
        raise InputError(f"task.target: {path.name} has no column '{target}'; {nearest(target, list(names))}")
    found = next((name for name in usual if name in names and name != target), None)
    if found is None:
        raise InputError(
            f"{path.name}: has none of the columns {', '.join(usual)}; found {', '.join(names[:10])}"
        )
    return found


def _label_names(schema: pa.Schema, target: str) -> list[str]:
    """The names of numbered labels, where the file carries them as Hugging Face features."""
    raw = (schema.metadata or {}).get(b"huggingface")
    if not raw:
        return []
    try:
        return [str(name) for name in json.loads(raw)["info"]["features"][target].get("names", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
