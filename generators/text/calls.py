"""What models have answered, kept by content: no text is asked about twice, in this run or a later one.

One SQLite file for all runs of a user. An answer is there once its batch is done, so that a kill costs a batch at most.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from leaven.generators.caches import cache_folder

_ASKED = 500  # keys in one query
_WAIT = 60.0  # seconds for another process that writes


def key(*parts: Any) -> bytes:
    """What a call is known by: a digest of all that its answer depends on."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


class Calls:
    """Kept answers (anything that JSON can hold) by key."""

    def __init__(self, path: Path | None = None):
        self.path = path or cache_folder() / "calls.sqlite"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_WAIT)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS calls (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID"
            )
            yield connection
        finally:
            connection.close()

    def kept(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The answers that are there."""
        found: dict[bytes, Any] = {}
        with self._open() as connection:
            for start in range(0, len(keys), _ASKED):
                part = keys[start : start + _ASKED]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, answer FROM calls WHERE key IN ({marks})", part)
                found |= {bytes(one): json.loads(answer) for one, answer in rows}
        return found

    def keep(self, answers: dict[bytes, Any]) -> None:
        """Keep answers, all or none of them."""
        rows = [(one, json.dumps(answer, ensure_ascii=False)) for one, answer in answers.items()]
        with self._open() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO calls VALUES (?, ?)", rows)

    def through(
        self,
        items: Sequence[Any],
        key_of: Callable[[Any], bytes],
        ask: Callable[[list[Any]], list[Any]],
        batch: int,
    ) -> Iterator[dict[bytes, Any]]:
        """The answers to `items`, asked for where they are not kept, batch by batch; each batch is kept once it is
        there. What has no answer, None, is asked again another time."""
        keys = {key_of(item): item for item in items}
        kept = self.kept(list(keys))
        yield kept
        missing = [one for one in keys if one not in kept]
        for start in range(0, len(missing), batch):
            part = missing[start : start + batch]
            answers = dict(zip(part, ask([keys[one] for one in part]), strict=True))
            self.keep({one: answer for one, answer in answers.items() if answer is not None})
            yield answers
