"""Identifiers are never learned: new ones of the same look, unique over all shards, none equal to a real one.

Only the look is kept: what all train identifiers have in common at either end, and how long they are.
"""

import hashlib
import re
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel

from leaven.generators.rows import Rows
from leaven.generators.schema import Column

_UUID = re.compile(r"^[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}$")
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
    """The look of one identifier column, from all train rows."""
    values = rows.table([column.name]).column(0).to_pandas().dropna()
    if column.storage == "int64":
        return _integers(values.to_numpy(dtype=np.int64))
    return _texts(values.astype(str), column.name)


def _integers(values: np.ndarray) -> Pattern:
    """Two digits more than the largest: held-out identifiers beyond train's largest are not met either."""
    high = max(int(values.max()), 0) if len(values) else 0
    low = min(int(values.min()), 0) if len(values) else 0
    start = 10 ** (len(str(high)) + 1)
    if start <= _INT64 // 10:
        return Pattern(form="integer", start=start)
    start = -(10 ** (len(str(-low)) + 1)) if low < 0 else -1
    if start >= -_INT64 // 10:
        return Pattern(form="integer", start=start, step=-1)
    ordered = np.unique(values)
    widest = int(np.argmax(ordered[1:].astype(float) - ordered[:-1].astype(float)))
    return Pattern(form="integer", start=int(ordered[widest]) + 1)


def _texts(values: pd.Series, salt: str) -> Pattern:
    distinct = values.unique().tolist()
    if distinct and all(_UUID.match(value) for value in distinct):
        letters = "".join(distinct[:1000])
        return Pattern(form="uuid", hyphens="-" in distinct[0], upper=letters.upper() == letters, salt=salt)
    prefix = suffix = ""
    if len(distinct) > 1:  # what a single identifier begins with would be itself
        prefix = _common(distinct).rstrip(_DIGITS)
        shortest = min(len(value) for value in distinct)
        suffix = _common([value[::-1] for value in distinct])[::-1].lstrip(_DIGITS)
        suffix = suffix[max(0, len(prefix) + len(suffix) - shortest) :]
    longest = max((len(value) for value in distinct), default=0)
    return Pattern(form="text", prefix=prefix, suffix=suffix, digits=longest - len(prefix) - len(suffix) + 1)


def _common(texts: list[str]) -> str:
    """What all texts begin with: the first and last in order differ the most."""
    first, last = min(texts), max(texts)
    return next((first[:i] for i, letter in enumerate(first) if last[i : i + 1] != letter), first)
