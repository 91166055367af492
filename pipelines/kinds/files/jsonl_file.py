"""JSON lines: an object in each line, streamed; a line that is none is refused with its number."""

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.files.unpacked import refuse_bomb

_BATCH = 20_000  # rows
_LOOKED_AT = 1_000  # lines whose names make the columns
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONGEST = 50_000_000  # bytes of a line
_WHOLE = 2.0**53  # below, a float is a whole number for certain


@dataclass
class JsonLinesFile:
    """A file of JSON lines whose columns are known. Values become texts; what is neither text, number nor truth value
    is none."""

    path: Path
    names: list[str]
    notes: list[str] = field(default_factory=list)
    typed = False
    unit = "line"
    delimiter = ""

    def batches(self) -> Iterator[pa.Table]:
        """All rows as tables of texts, in order; null where a row lacks the name.

        Raises:
            InputError: a line that is no object, with its number.
        """
        batch: list[dict[str, Any]] = []
        for _, row in _objects(self.path):
            batch.append(row)
            if len(batch) == _BATCH:
                yield self._table(batch)
                batch = []
        if batch:
            yield self._table(batch)

    def lines(self, rows: Sequence[int]) -> dict[int, int]:
        """Line of each of the data rows `rows` (counted from 0)."""
        wanted, found = set(rows), {}
        for row, (line, _) in enumerate(_objects(self.path)):
            if row in wanted:
                found[row] = line
            if len(found) == len(wanted):
                break
        return found

    def _table(self, batch: Sequence[dict[str, Any]]) -> pa.Table:
        return pa.table(
            {name: pa.array([_text(row.get(name)) for row in batch], pa.string()) for name in self.names}
        )


def open_jsonl(path: Path) -> JsonLinesFile:
    """Find the columns of a file of JSON lines, `.gz` or not: the names in its first lines.

    Raises:
        InputError: empty, or a line that is no object.
    """
    names: dict[str, None] = {}
    for row, (_, found) in enumerate(_objects(path)):
        names |= dict.fromkeys(found)
        if row >= _LOOKED_AT:
            break
    if not names:
        raise InputError(f"{path.name}: is empty; expected an object in each line")
    return JsonLinesFile(path, list(names))


def is_jsonl(path: Path) -> bool:
    """Whether the file is JSON lines by its name."""
    return path.name.lower().endswith((".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", ".json"))


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of each line that is not blank."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            reader = io.BufferedReader(file)  # type: ignore[type-var]
            number = unpacked = 0
            while line := reader.readline(_LONGEST):
                number, unpacked = number + 1, unpacked + len(line)
                refuse_bomb(path, unpacked)
                if len(line) >= _LONGEST:
                    raise InputError(f"{path.name} line {number}: is longer than {_LONGEST:,} bytes")
                if line.strip():
                    yield number, _object(path, number, line)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name}: cannot be unpacked or read: {error}") from None


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} line {number}: byte {line[error.start]:#04x} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        told = " ".join(str(error).split())
        array = number == 1 and line.lstrip()[:1] == b"["
        hint = "; a JSON array? write one object in each line" if array else ""
        raise InputError(f"{path.name} line {number}: is no JSON object ({told}){hint}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path.name} line {number}: is a {type(found).__name__}; expected an object such as "
                         '{"text": "...", "label": "..."}')  # fmt: skip
    return found


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)  # half of a pair is no character
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and abs(value) < _WHOLE and value.is_integer():
        return str(int(value))  # 1 and 1.0 are one number
    if isinstance(value, int | float):
        return None if math.isnan(value) else str(value)
    return None
