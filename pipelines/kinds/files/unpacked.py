"""How far a packed file may unfold: kilobytes that become gigabytes are made to fill memory, not to learn from."""

import zipfile
from pathlib import Path

import pyarrow.parquet as pq

from leaven.generators.errors import InputError

FREE_BYTES = 64 * 2**20  # unpacked, up to which nothing is asked
MOST_TIMES = 200  # its packed size


def refuse_bomb(path: Path, unpacked: int, packed: int | None = None, part: str = "") -> None:
    """Refuse a file that unfolds beyond measure.

    Args:
        path: the file.
        unpacked: bytes so far, or as announced.
        packed: bytes that hold them; the file's own size when left out.
        part: what of the file is meant.

    Raises:
        InputError: more than `FREE_BYTES`, and more than `MOST_TIMES` as many as are packed.
    """
    if unpacked <= FREE_BYTES:
        return
    packed = path.stat().st_size if packed is None else packed
    if unpacked > MOST_TIMES * max(packed, 1):
        raise InputError(
            f"{path.name}{part}: {packed:,} bytes unfold to {unpacked:,} or more; expected at most {MOST_TIMES} times "
            "as many (unpack it first if it is meant)"
        )


def refuse_zip_bomb(path: Path) -> None:
    """Refuse a zip archive, such as npz, one of whose members unfolds beyond measure. Reading stops at announced sizes.

    Raises:
        InputError: see `refuse_bomb`.
        zipfile.BadZipFile: it is none.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            refuse_bomb(path, member.file_size, member.compress_size, f" ({member.filename})")


def refuse_parquet_bomb(path: Path) -> None:
    """Refuse a Parquet file, one of whose column chunks unfolds beyond measure.

    Raises:
        InputError: see `refuse_bomb`.
    """
    found = pq.read_metadata(path)
    for group in range(found.num_row_groups):
        for place in range(found.num_columns):
            chunk = found.row_group(group).column(place)
            part = f" (column {chunk.path_in_schema})"
            refuse_bomb(path, chunk.total_uncompressed_size, chunk.total_compressed_size, part)
