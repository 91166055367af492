"""CSV files: delimiter, encoding and header are found, structural faults refused with their line, rows streamed."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.files.unpacked import refuse_bomb

_CHUNK = 4 << 20
_HEAD = 1 << 20  # bytes that delimiter and header are found in
_BLOCKS = (
    8 << 20,
    256 << 20,
)  # bytes parsed at once; the second is tried when a row is longer than the first
_DELIMITERS = ",;\t|"
# Encodings that are worth a guess; charset-normalizer's longer list mistakes short texts for rare ones.
_GUESSES = [
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
    "koi8_r",
]
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass
class CsvFile:
    """A CSV file whose form is known. `raw_names` is the header as it stands, `names` without white space."""

    path: Path
    encoding: str
    delimiter: str
    raw_names: list[str]
    odd_quotes: bool
    notes: list[str] = field(default_factory=list)
    typed = False
    unit = "line"

    @property
    def names(self) -> list[str]:
        return [name.strip() for name in self.raw_names]

    def batches(self) -> Iterator[pa.Table]:
        """All rows as tables of texts, in order.

        Raises:
            InputError: a ragged row or an open quote, with its line.
        """
        if self.odd_quotes:
            self._diagnose()
        for number, block in enumerate(_BLOCKS):
            started = False
            try:
                for batch in self._reader(block):
                    started = True
                    if batch.num_rows:
                        yield pa.Table.from_batches([batch]).rename_columns(self.names)
                return
            except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
                if "straddling" in str(error) and not started and number + 1 < len(_BLOCKS):
                    continue
                self._diagnose()
                raise InputError(f"{self.path.name}: cannot be read as CSV: {_first_line(error)}") from None

    def _reader(self, block: int) -> pacsv.CSVStreamingReader:
        encoding = "utf8" if self.encoding in ("utf-8", "utf-8-sig", "ascii") else self.encoding
        reader = pacsv.open_csv(
            _open(self.path),
            read_options=pacsv.ReadOptions(block_size=block, encoding=encoding),
            parse_options=pacsv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in self.raw_names}, strings_can_be_null=False
            ),
        )
        # Types are given by name: a header that two parsers read differently would lose them.
        if reader.schema.names != self.raw_names:
            raise InputError(
                f"{self.path.name} line 1: the header's quotes are not clear; expected plain names"
            )
        return reader

    def _diagnose(self) -> None:
        """Find the line of the first structural fault, slowly, and raise it."""
        start, wanted = 0, len(self.raw_names)
        try:
            for start, record, end in self._records():
                if len(record) != wanted:
                    raise InputError(
                        f"{self.path.name} line {start}: has {len(record)} fields; expected {wanted} as in the header"
                    )
                start = end + 1
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise InputError(
                    f"{self.path.name} line {start}: a quote is opened there and never closed"
                ) from None
            raise InputError(f"{self.path.name} line {start}: {error}") from None

    def lines(self, rows: Sequence[int]) -> dict[int, int]:
        """Line of each of the data rows `rows` (counted from 0)."""
        if not rows:
            return {}
        wanted, last, found = set(rows), max(rows), {}
        for number, (start, _, _) in enumerate(self._records()):
            if number - 1 in wanted:
                found[number - 1] = start
            if number - 1 >= last:
                break
        return found

    def _records(self) -> Iterator[tuple[int, list[str], int]]:
        """First line, fields and last line of each record, header first, blank lines left out."""
        csv.field_size_limit(2**31 - 1)
        with io.TextIOWrapper(_open(self.path), encoding=self.encoding, newline="") as text:
            reader = csv.reader(text, delimiter=self.delimiter, strict=self.odd_quotes)
            start = 1
            for record in reader:
                if record:
                    yield start, record, reader.line_num
                start = reader.line_num + 1


def open_csv(path: Path, delimiter: str | None = None, encoding: str | None = None) -> CsvFile:
    """Find out how a CSV file is written.

    Args:
        path: the file; `.gz`, `.bz2` and `.zst` are unpacked on the way.
        delimiter: one character; found when None.
        encoding: a codec's name; found when None.

    Raises:
        InputError: empty, NUL bytes, unknown encoding, no usable header.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"source.delimiter: found {delimiter!r}; expected one character such as ',' or ';'")
    scan = _scan(path, encoding)
    head = _head(path, scan.encoding)
    if not head.strip():
        raise InputError(f"{path.name}: is empty; expected a header and rows")
    delimiter = delimiter or _find_delimiter(head, "\t" if ".tsv" in path.suffixes else ",")
    names = next(
        record for record in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if record
    )
    return CsvFile(path, scan.encoding, delimiter, names, scan.odd_quotes, scan.notes)


@dataclass
class _Scan:
    encoding: str
    odd_quotes: bool
    notes: list[str]


def _open(path: Path) -> Any:
    return pa.input_stream(str(path), compression="detect")


def _chunks(path: Path) -> Iterator[bytes]:
    unpacked = 0
    try:
        with _open(path) as stream:
            while chunk := stream.read(_CHUNK):
                unpacked += len(chunk)
                refuse_bomb(path, unpacked)
                yield chunk
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path.name}: cannot be unpacked or read: {_first_line(error)}") from None


def _scan(path: Path, encoding: str | None) -> _Scan:
    """Read the whole file once: is its encoding what it seems, and are there NUL bytes?"""
    notes: list[str] = []
    start = next(_chunks(path), b"")
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise InputError(
                f"source.encoding: unknown encoding '{encoding}'; expected one such as utf-8 or cp1252"
            ) from None
        chosen = marked if marked and marked[:5] == codecs.lookup(encoding).name[:5] else encoding
    else:
        chosen = marked or "utf-8"
    wide = codecs.lookup(chosen).name.startswith(("utf-16", "utf-32"))
    decoder = codecs.getincrementaldecoder(chosen)()
    newlines = quotes = position = 0
    valid = True
    for chunk in _chunks(path):
        if not wide and b"\0" in chunk:
            line = newlines + chunk[: chunk.index(b"\0")].count(b"\n") + 1
            raise InputError(f"{path.name} line {line}: holds a NUL byte; expected text, one row a line")
        if valid:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                valid = False
                line = newlines + chunk[: max(error.start, 0)].count(b"\n") + 1
                fault = (
                    f"{path.name} line {line}: byte {error.object[error.start]:#04x} is not {chosen.upper()}"
                )
                if encoding is not None or marked:
                    raise InputError(f"{fault}; set source.encoding to the file's own") from None
                position = max(error.start, 0)
                sample = start[:65536] + b"\n" + chunk[max(position - 32768, 0) : position + 32768]
        newlines += chunk.count(b"\n")
        quotes += chunk.count(b'"')
    if valid:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise InputError(f"{path.name}: ends in the middle of a {chosen.upper()} character") from None
        quotes = 0 if wide else quotes
    else:
        chosen = _guess(path, sample, fault)
        notes.append(
            f"{path.name} is not UTF-8 and was read as {chosen}; if letters look wrong set source.encoding"
        )
    return _Scan(chosen, quotes % 2 == 1, notes)


def _guess(path: Path, sample: bytes, fault: str) -> str:
    """The encoding of a file that is not UTF-8."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_GUESSES, threshold=0.4).best()
    for name in [best.encoding if best else None, "cp1252"]:
        if name is None:
            continue
        decoder = codecs.getincrementaldecoder(name)()
        try:
            text = "".join(decoder.decode(chunk)[:1000] for chunk in _chunks(path))
        except UnicodeDecodeError:
            continue
        if not any(ord(c) < 32 and c not in "\t\r\n\f" for c in text):
            return name
    raise InputError(f"{fault}, and no other known encoding fits; set source.encoding")


def _head(path: Path, encoding: str) -> str:
    """The first lines as text, whole ones only where there are several."""
    taken = b""
    for chunk in _chunks(path):
        taken += chunk
        if len(taken) >= _HEAD:
            break
    cut = len(taken) > _HEAD
    text = codecs.getincrementaldecoder(encoding)().decode(taken[:_HEAD])
    if cut and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return text.lstrip("\ufeff")


def _find_delimiter(head: str, default: str) -> str:
    """The character that divides the first rows most evenly; `default` where none divides them."""
    best, best_score = default, (0.0, 0)
    for delimiter in dict.fromkeys([default, *_DELIMITERS]):
        counts = []
        try:
            for record in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
                if record:
                    counts.append(len(record))
                if len(counts) >= 200:
                    break
        except csv.Error:
            continue
        if not counts or counts[0] < 2:
            continue
        score = (round(counts.count(counts[0]) / len(counts), 2), counts[0])
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
