"""Identifiers are never learned: new ones of the same look, unique over all shards, none equal to a real one.

Only the look is kept: what all train identifiers have in common at either end, and how long they are.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from leaven.generators.rows import Rows
from leaven.generators.schema import Column

_UUID = "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})$"
_DIGITS = "0123456789"
_INT64 = 2**63 - 1


class Pattern(BaseModel):
    """How new identifiers of one column look."""

    form: Literal["integer", "uuid", "text"]
    start: int = 0  # integer: the first one
    step: int = 1
    prefix: str = ""
    suffix: str = ""
    digits: int = 12  # text: length of the running number, longer than anything in train
    hyphens: bool = True  # uuid
    upper: bool = False
    salt: str = ""

    def make(self, count: int, offset: int) -> pd.Series:
        """`count` identifiers, the first of them number `offset` of the whole; Int64 or object (count,)."""
        numbers = range(offset, offset + count)
        if self.form == "integer":
            return pd.Series([self.start + self.step * number for number in numbers], dtype="Int64")
        if self.form == "uuid":
            return pd.Series([self._uuid(number) for number in numbers], dtype=object)
        made = [f"{self.prefix}{number:0{self.digits}d}{self.suffix}" for number in numbers]
        return pd.Series(made, dtype=object)

    def _uuid(self, number: int) -> str:
        text = hashlib.sha256(f"{self.salt}:{number}".encode()).hexdigest()[:32]
        text = f"{text[:12]}4{text[13:16]}8{text[17:]}"  # version 4, RFC 9562 variant
        if self.hyphens:
            text = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return text.upper() if self.upper else text


def learn(rows: Rows, column: Column) -> Pattern:
    """The look of one identifier column, from all train rows, read batch by batch."""
    batches = (batch.column(0).drop_null() for batch in rows.batches(columns=[column.name]))
    if column.storage == "int64":
        return _integers(batches, lambda: rows.table([column.name]).column(0).drop_null().to_numpy())
    look = _Look()
    for values in batches:
        look.see(values.cast(pa.string()))
    return look.pattern(column.name)


def _integers(batches: Iterable[pa.ChunkedArray], all_values: Callable[[], np.ndarray]) -> Pattern:
    """Two digits more than the largest: held-out identifiers beyond train's largest are not met either."""
    ends = [pc.min_max(values).as_py() for values in batches if len(values)]
    high = max((end["max"] for end in ends), default=0)
    low = min((end["min"] for end in ends), default=0)
    start = 10 ** (len(str(max(high, 0))) + 1)
    if start <= _INT64 // 10:
        return Pattern(form="integer", start=start)
    start = -(10 ** (len(str(-low)) + 1)) if low < 0 else -1
    if start >= -_INT64 // 10:
        return Pattern(form="integer", start=start, step=-1)
    ordered = np.unique(all_values())
    widest = int(np.argmax(ordered[1:].astype(float) - ordered[:-1].astype(float)))
    return Pattern(form="integer", start=int(ordered[widest]) + 1)


@dataclass
class _Look:
    """What is common to all texts seen so far."""

    first: str | None = None  # in order; what all begin with is what the first and the last begin with
    last: str = ""
    first_reversed: str = ""
    last_reversed: str = ""
    shortest: int = 0
    longest: int = 0
    uuids: bool = True
    example: str = ""
    upper: bool = True

    def see(self, values: pa.ChunkedArray) -> None:
        """Count a batch of texts in."""
        if not len(values):
            return
        ends, mirrored = pc.min_max(values).as_py(), pc.min_max(pc.utf8_reverse(values)).as_py()
        lengths = pc.min_max(pc.utf8_length(values)).as_py()
        if self.first is None:
            self.first, self.last = ends["min"], ends["max"]
            self.first_reversed, self.last_reversed = mirrored["min"], mirrored["max"]
            self.shortest, self.longest = lengths["min"], lengths["max"]
            self.example = values[0].as_py()
        self.first, self.last = min(self.first, ends["min"]), max(self.last, ends["max"])
        self.first_reversed = min(self.first_reversed, mirrored["min"])
        self.last_reversed = max(self.last_reversed, mirrored["max"])
        self.shortest, self.longest = min(self.shortest, lengths["min"]), max(self.longest, lengths["max"])
        if self.uuids:
            self.uuids = pc.all(pc.match_substring_regex(values, _UUID)).as_py()
            self.upper = self.upper and not pc.any(pc.match_substring_regex(values, "[a-f]")).as_py()

    def pattern(self, salt: str) -> Pattern:
        """How new ones look."""
        if self.first is not None and self.uuids:
            return Pattern(form="uuid", hyphens="-" in self.example, upper=self.upper, salt=salt)
        prefix = suffix = ""
        # What a single identifier begins with would be itself.
        if self.first is not None and self.first != self.last:
            prefix = _common(self.first, self.last).rstrip(_DIGITS)
            suffix = _common(self.first_reversed, self.last_reversed)[::-1].lstrip(_DIGITS)
            suffix = suffix[max(0, len(prefix) + len(suffix) - self.shortest) :]
        digits = self.longest - len(prefix) - len(suffix) + 1
        return Pattern(form="text", prefix=prefix, suffix=suffix, digits=digits)


def _common(first: str, last: str) -> str:
    """What both texts begin with."""
    return next((first[:i] for i, letter in enumerate(first) if last[i : i + 1] != letter), first)
