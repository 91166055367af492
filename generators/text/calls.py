"""What models have answered, kept by content: no text is asked about twice, in this run or a later one.

One SQLite file for all runs of a user. An answer is there once its batch is done, so that a kill costs a batch at most.
"""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from leaven.generators.caches import cache_folder
from leaven.generators.errors import ModelError

_ASKED = 500  # keys in one query
_WAIT, _PAUSE = (
    60.0,
    0.02,
)  # seconds for another process that writes, and between two looks at whether it still does
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def key(*parts: Any) -> bytes:
    """What a call is known by: a digest of all that its answer depends on."""
    return hashlib.sha256(_PLAIN.encode(parts).encode()).digest()


class Calls:
    """Kept answers (anything that JSON can hold) by key.

    A file that is damaged is put aside, as NAME.damaged, and a new one begun.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or cache_folder() / "calls.sqlite"

    def kept(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The answers that are there.

        Raises:
            ModelError: the file cannot be used.
        """
        return self._with(lambda connection: _found(connection, keys))

    def keep(self, answers: dict[bytes, Any]) -> dict[bytes, Any]:
        """Keep answers, all or none of them; what is kept by then stays.

        Returns:
            The answers as they are kept: another process may have asked the same, and been first.

        Raises:
            ModelError: the file cannot be used.
        """
        rows = {one: json.dumps(answer, ensure_ascii=False) for one, answer in answers.items()}

        def work(connection: sqlite3.Connection) -> dict[bytes, Any]:
            with connection:
                connection.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?)", rows.items())
                found = _found(connection, list(rows))
                unreadable = [(one, row) for one, row in rows.items() if one not in found]
                connection.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?)", unreadable)
            return {**answers, **found}

        return self._with(work) if rows else {}

    def _with(self, work: Callable[[sqlite3.Connection], dict[bytes, Any]]) -> dict[bytes, Any]:
        """Do something with the file, once more where it turned out to be damaged."""
        opened = _number(self.path)
        try:
            try:
                return self._done(work)
            except sqlite3.DatabaseError as error:
                if _code(error) not in _DAMAGED:
                    raise
            self._put_aside(opened)
            return self._done(work)
        except (sqlite3.Error, OSError) as error:
            raise ModelError(f"kept answers {self.path}: cannot be used ({error})") from None

    def _done(self, work: Callable[[sqlite3.Connection], dict[bytes, Any]]) -> dict[bytes, Any]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=_WAIT)) as connection:
            connection.text_factory = bytes
            _write_ahead(connection)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS calls (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID"
            )
            return work(connection)

    def _put_aside(self, opened: int | None) -> None:
        """Rename the damaged file, unless another process has done so and it is another file by now."""
        if _number(self.path) != opened:
            return
        for end in ("-wal", "-shm", ""):  # what was written ahead of it first: a new file must not find it
            part = self.path.with_name(self.path.name + end)
            with contextlib.suppress(FileNotFoundError):
                part.replace(self.path.with_name(f"{self.path.name}.damaged{end}"))

    def through(
        self,
        items: Sequence[Any],
        key_of: Callable[[Any], bytes],
        ask: Callable[[list[Any]], list[Any]],
        batch: int,
    ) -> Iterator[dict[bytes, Any]]:
        """The answers to `items`, asked for where they are not kept, batch by batch; each batch is kept once it is
        there. What has no answer, None, is asked again another time.

        Raises:
            ModelError: the file cannot be used.
        """
        keys = {key_of(item): item for item in items}
        kept = self.kept(list(keys))
        yield kept
        missing = [one for one in keys if one not in kept]
        for start in range(0, len(missing), batch):
            part = missing[start : start + batch]
            answers = dict(zip(part, ask([keys[one] for one in part]), strict=True))
            kept = self.keep({one: answer for one, answer in answers.items() if answer is not None})
            yield {**answers, **kept}


def _found(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Any]:
    """The answers that are there and can be read."""
    found: dict[bytes, Any] = {}
    for start in range(0, len(keys), _ASKED):
        part = keys[start : start + _ASKED]
        marks = ",".join("?" * len(part))
        for one, answer in connection.execute(f"SELECT key, answer FROM calls WHERE key IN ({marks})", part):
            with contextlib.suppress(TypeError, ValueError):
                found[bytes(one)] = json.loads(answer)
    return found


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Let others read while one writes. SQLite itself waits for no other process that says this of a new file."""
    until = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)


def _code(error: sqlite3.Error) -> int:
    """SQLite's number of an error, without what it adds to it; -1 where there is none."""
    return getattr(error, "sqlite_errorcode", -1) & 0xFF


def _number(path: Path) -> int | None:
    """The file's number in its file system, by which a renamed one is known; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
