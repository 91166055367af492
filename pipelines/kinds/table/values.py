"""Texts of cells -> numbers, truth values and dates, a whole column at once. What cannot be parsed becomes null."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NumberStyle = Literal["plain", "thousands", "decimal_comma"]
DateOrder = Literal["ymd", "dmy", "mdy"]

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "Null", "<NA>", "#N/A", "NaT", "-nan")
"""Texts that always mean missing."""

ODD_MISSING = frozenset(
    {"?", "-", "--", ".", "..", "*", "none", "unknown", "missing", "nil", "n.a.", "na", "#value!", "#div/0!"}
)
"""Texts (in lower case) that mean missing where they stand among numbers or dates."""

INTEGER = r"^[+-]?\d+$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
INFINITE = r"(?i)^[+-]?inf(inity)?$"
LEADING_ZERO = r"^[+-]?0\d"
THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"
UUID = r"^\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?$"

_TIME = (
    r"(?:(?:T|\s)\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s?(?P<half>[AaPp][Mm])?\s?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?)?$"
)
YEAR_FIRST = r"^(?P<year>\d{4})[-/.](?P<first>\d{1,2})[-/.](?P<second_part>\d{1,2})" + _TIME
YEAR_LAST = r"^(?P<first>\d{1,2})[-/.](?P<second_part>\d{1,2})[-/.](?P<year>\d{4})" + _TIME
SHORT_YEAR = r"^(?P<first>\d{1,2})[-/](?P<second_part>\d{1,2})[-/](?P<year>\d{2})" + _TIME
NAMED_MONTH = r"^(?P<first>\d{1,2})[ -](?P<second_part>[A-Za-z]{3,9})\.?,?[ -](?P<year>\d{4})" + _TIME
DATE_SHAPES = {
    "year first": YEAR_FIRST,
    "year last": YEAR_LAST,
    "short year": SHORT_YEAR,
    "named month": NAMED_MONTH,
}
COMPACT = r"^(?P<year>\d{4})(?P<first>\d{2})(?P<second_part>\d{2})" + _TIME

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TRUTH = {"true": True, "false": False}
_MORE_TRUTH = {**_TRUTH, "t": True, "f": False, "yes": True, "no": False, "y": True, "n": False}


def trimmed(values: pa.Array) -> pa.Array:
    """Texts without white space around them."""
    return pc.utf8_trim_whitespace(values)


def is_missing(values: pa.Array, further: tuple[str, ...] = ()) -> pa.Array:
    """Which (trimmed) texts mean missing, bool."""
    return pc.or_(values.is_null(), pc.is_in(values, value_set=pa.array([*MISSING, *further], pa.string())))


def numbers(values: pa.Array, style: NumberStyle = "plain") -> pa.Array:
    """Trimmed texts -> float64; null where a text is no number. Infinite texts and overflow give infinity."""
    try:
        if style == "plain":
            return values.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    if style == "thousands":
        fits = pc.match_substring_regex(values, THOUSANDS)
        values = pc.if_else(fits, pc.replace_substring(values, ",", ""), values)
    elif style == "decimal_comma":
        fits = pc.match_substring_regex(values, DECIMAL_COMMA)
        plain = pc.replace_substring(pc.replace_substring(values, ".", ""), ",", ".")
        values = pc.if_else(fits, plain, values)
    fits = pc.or_(pc.match_substring_regex(values, NUMBER), pc.match_substring_regex(values, INFINITE))
    return pc.if_else(fits, values, None).cast(pa.float64())


def integers(values: pa.Array) -> pa.Array:
    """Trimmed texts -> int64; null where a text is no integer or beyond 64 bits."""
    fits = pc.match_substring_regex(values, INTEGER)
    values = pc.if_else(fits, pc.utf8_ltrim(values, "+"), None)
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        found = [None if v is None or abs(int(v)) >= 2**63 else int(v) for v in values.to_pylist()]
        return pa.array(found, pa.int64())


def booleans(values: pa.Array, wide: bool = False) -> pa.Array:
    """Trimmed texts -> bool; null where a text is neither. `wide` takes yes, no, y, n, t, f, 1, 0 as well."""
    table = {**_MORE_TRUTH, "1": True, "0": False} if wide else _TRUTH
    found = pc.index_in(pc.utf8_lower(values), value_set=pa.array(list(table), pa.string()))
    return pc.take(pa.array(list(table.values())), found)


def dates(values: pa.Array, order: DateOrder, compact: bool = False) -> pa.Array:
    """Trimmed texts -> timestamp in microseconds (UTC where a zone is given); null where there is no such date.

    Args:
        order: how texts that end with the year are read; texts that start with it are read year, month, day.
        compact: take 20240131 as well.
    """
    total = np.full(len(values), np.datetime64("NaT", "us"))
    shapes = [*DATE_SHAPES.values(), *([COMPACT] if compact else [])]
    for pattern in shapes:
        found = pc.extract_regex(values, pattern)
        rows = np.flatnonzero(np.asarray(found.is_valid()))
        if len(rows):
            total[rows] = _assemble(found.take(pa.array(rows)), pattern, order)
    return pa.array(total, pa.timestamp("us"), from_pandas=True)


def _assemble(parts: pa.StructArray, pattern: str, order: DateOrder) -> np.ndarray:
    def number(name: str) -> np.ndarray:
        texts = parts.field(name)
        return pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64()).to_numpy(zero_copy_only=False)

    year, first = number("year"), number("first")
    if pattern == NAMED_MONTH:
        names = pc.utf8_lower(pc.utf8_slice_codeunits(parts.field("second_part"), 0, 3))
        second = pc.fill_null(pc.index_in(names, value_set=pa.array(_MONTHS)), -1).to_numpy() + 1
    else:
        second = number("second_part")
    if pattern == SHORT_YEAR:
        year = year + np.where(year < 69, 2000, 1900)
    year_first = pattern in (YEAR_FIRST, COMPACT)
    day_first = pattern == NAMED_MONTH or (not year_first and order == "dmy")
    month, day = (second, first) if day_first else (first, second)
    hour, minute, second_of_minute = number("hour"), number("minute"), number("second")
    half = pc.utf8_lower(parts.field("half")).to_numpy(zero_copy_only=False)
    hour = np.where((half == "pm") & (hour < 12), hour + 12, np.where((half == "am") & (hour == 12), 0, hour))
    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(parts.field("fraction"), 0, 6), 6, "0")
    micro = fraction.cast(pa.int64()).to_numpy(zero_copy_only=False)

    fits = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    fits &= (hour < 24) & (minute < 60) & (second_of_minute < 60)
    months = (np.where(fits, year, 1970) - 1970) * 12 + np.where(fits, month, 1) - 1
    start = months.astype("datetime64[M]").astype("datetime64[D]")
    length = ((months + 1).astype("datetime64[M]").astype("datetime64[D]") - start).astype(np.int64)
    fits &= day <= length
    seconds = hour * 3600 + minute * 60 + second_of_minute - _offset(parts.field("zone"))
    stamps = (start + (day - 1)).astype("datetime64[us]") + (seconds * 1_000_000 + micro).astype(
        "timedelta64[us]"
    )
    return np.where(fits, stamps, np.datetime64("NaT", "us"))


def _offset(zones: pa.Array) -> np.ndarray:
    """`+02:00` -> 7200 seconds."""
    found = pc.extract_regex(zones, r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})$")
    if found.null_count == len(found):
        return np.zeros(len(zones), dtype=np.int64)
    hours = pc.fill_null(pc.struct_field(found, "hours").cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    minutes = pc.fill_null(pc.struct_field(found, "minutes").cast(pa.int64()), 0).to_numpy(
        zero_copy_only=False
    )
    sign = np.where(
        pc.fill_null(pc.struct_field(found, "sign"), "+").to_numpy(zero_copy_only=False) == "-", -1, 1
    )
    return np.where(np.asarray(found.is_valid()), sign * (hours * 3600 + minutes * 60), 0)
