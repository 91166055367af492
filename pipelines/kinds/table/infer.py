"""Statistics of a column -> its type, and how its texts are to be read."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from leaven.generators.errors import InputError
from leaven.generators.schema import Column, ColumnType
from leaven.pipelines.kinds.table.statistics import Statistics
from leaven.pipelines.kinds.table.values import (
    DATE_SHAPES,
    ODD_MISSING,
    DateOrder,
    NumberStyle,
)

Locate = Callable[[int], str]
"""Data row, counted from 0 -> `churn.csv line 7`."""

_MOSTLY = 0.99  # with this share of numbers (or dates) the rest are faults of single values
_DISTINCT = 0.95  # share of distinct values that makes an identifier, with the sketch's error
_MIN_ROWS = 20  # below, being distinct says nothing
_ID_NAME = re.compile(
    r"(^|[_\-. ])(id|uuid|guid|key|ssn|iban|isbn)$|^(id|uuid|guid)([_\-. ]|$)|^unnamed|"
    r"^(row|record|account|customer|client|user|order|invoice|policy|passport|serial)"
    r"[_\-. ]?(id|no|nr|num|number|index)$|^(index|rowid|rownum|row)$",
    re.I,
)
_STRICT_ID_NAME = re.compile(r"^(id|uuid|guid)$|[_\-. ](id|uuid|guid)$|[a-z](Id|ID|Uuid|UUID)$")
_TIME_NAME = re.compile(r"year|month|week|day|hour|time|date|step|stamp|(^|_)(t|ts)$", re.I)
_ORDERS: dict[DateOrder, str] = {"ymd": "year-month-day", "dmy": "day/month/year", "mdy": "month/day/year"}


@dataclass
class Understood:
    """A column as understood. `missing` are further texts that mean missing in it; `note` is for people."""

    column: Column
    style: NumberStyle = "plain"
    order: DateOrder = "ymd"
    forced: bool = False  # the recipe said the type: read whatever can be read
    missing: tuple[str, ...] = ()
    note: str = ""
    warnings: list[str] = field(default_factory=list)


def understand(
    found: Statistics,
    override: ColumnType | None,
    *,
    target: bool,
    locate: Locate,
    delimiter: str = ",",
    only_texts: bool = False,
) -> Understood:
    """The type of a column.

    Args:
        found: its statistics over all rows.
        override: the type that the recipe says.
        target: whether it is the label, which is never an identifier or free text.
        locate: names the place of a row in errors.
        delimiter: of the CSV file; decides what `1,234` means.
        only_texts: the source has types, and says that this is text, even where it looks like numbers.

    Raises:
        InputError: infinite numbers, integers beyond 64 bits, or an override that no value fits.
    """
    if override is not None:
        result = _forced(found, override)
    elif found.typed is not None:
        result = _typed(found, target)
    else:
        result = _inferred(found, target, delimiter, only_texts)
    kind = result.column.type
    if kind in ("number", "integer"):
        _refuse_unbounded(found, locate)
    if found.present == 0:
        result.warnings.append(f"column '{found.name}' has no values at all")
    elif int(found.distinct) == 1 and found.missing == 0 and not target:
        result.warnings.append(
            f"column '{found.name}' is constant ({found.examples[0]!r}): nothing to learn from it"
        )
    if found.forms["e-mail"]:
        result.warnings.append(
            f"column '{found.name}' holds e-mail addresses ({found.forms['e-mail']} rows): personal data; "
            "leave it out with source.drop if a training set must not have them"
        )
    if found.padded:
        result.warnings.append(f"column '{found.name}': white space around values was removed")
    if kind == "category" and found.odd.get("?") and "?" not in result.missing:
        result.warnings.append(
            f"column '{found.name}' has '?' in {found.odd['?']} rows, kept as a value; "
            "if it means missing, say source.missing: ['?']"
        )
    return result


def _make(found: Statistics, kind: ColumnType, note: str = "", **how: object) -> Understood:
    storage: Literal["int64", "string"] = "string"
    if kind == "identifier":
        forms = found.forms
        fits = forms["integer"] == found.present and not forms["leading zero"] and not forms["overflow"]
        storage = "int64" if fits and found.present else "string"
    column = Column(name=found.name, type=kind, nullable=found.missing > 0, storage=storage)
    return Understood(column, note=note, **how)  # type: ignore[arg-type]


def _refuse_unbounded(found: Statistics, locate: Locate) -> None:
    if "infinite" in found.first:
        row, text = found.first["infinite"]
        raise InputError(
            f"{locate(row)}: column '{found.name}' has {text!r}; expected finite numbers "
            "(say source.missing to read it as missing)"
        )
    if "overflow" in found.first:
        row, text = found.first["overflow"]
        raise InputError(
            f"{locate(row)}: column '{found.name}' has the integer {text}, which does not fit 64 bits; "
            f"if it is a code, say source.columns: {{{found.name}: category}}"
        )


def _forced(found: Statistics, kind: ColumnType) -> Understood:
    """The recipe says the type."""
    result = _make(found, kind, "type given in the recipe", forced=True)
    if kind in ("number", "integer"):
        result.style = _style(found, ",") or "plain"
    if kind == "date":
        result.order = _order(found)[0]
    result.missing = _odd_missing(found) if kind in ("number", "integer", "date") else ()
    return result


def _typed(found: Statistics, target: bool) -> Understood:
    """A column that came with its type."""
    if found.typed == "integer" and not target:
        reason = _integer_identifier(found)
        if reason:
            return _make(found, "identifier", reason)
    kind: ColumnType = found.typed  # type: ignore[assignment]
    return _make(found, kind)


def _inferred(found: Statistics, target: bool, delimiter: str, only_texts: bool) -> Understood:
    forms, present = found.forms, found.present
    if present == 0:
        return _make(found, "category", "no values")
    plain = forms["integer"] + forms["number"] + forms["infinite"]
    odd = forms["odd missing"]
    style = _style(found, delimiter) if plain + forms["thousands"] + forms["decimal comma"] else None
    numeric = plain + (
        forms["thousands"] if style == "thousands" else forms["thousands"] + forms["decimal comma"]
    )
    if not only_texts and numeric and numeric + odd >= _MOSTLY * present and numeric > odd:
        return _numeric(found, target, style or "plain", numeric)
    dates = sum(forms[shape] for shape in DATE_SHAPES)
    if dates and dates + odd >= _MOSTLY * present and dates > odd:
        dated = _dates(found, dates)
        if dated is not None:
            return dated
    if forms["boolean"] == present and not only_texts:
        return _make(found, "boolean")
    result = _texts(found, target)
    if numeric > 0.5 * present and not only_texts and result.column.type == "category":
        texts = ", ".join(repr(text) for text in list(found.odd)[:3])
        result.warnings.append(
            f"column '{found.name}': {numeric} of {present} values are numbers, the others are texts such as {texts}; "
            "read as a category (source.missing and source.columns can change that)"
        )
    return result


def _numeric(found: Statistics, target: bool, style: NumberStyle, numeric: int) -> Understood:
    forms = found.forms
    if forms["leading zero"]:
        if not target and _nearly_distinct(found):
            return _make(found, "identifier", "codes with leading zeros, nearly all distinct")
        return _make(found, "category", "codes with leading zeros")
    integral = forms["integer"] == numeric
    if integral and not target:
        if forms["overflow"] and _nearly_distinct(found):
            return _make(found, "identifier", "integers beyond 64 bits, nearly all distinct")
        reason = _integer_identifier(found)
        if reason:
            return _make(found, "identifier", reason)
    result = _make(found, "integer" if integral else "number", style=style)
    if style != "plain":
        what = "',' divides thousands" if style == "thousands" else "',' is the decimal sign"
        result.note = what
        result.warnings.append(
            f"column '{found.name}': read so that {what} (as in {_comma_example(found)!r})"
        )
    _tell_odd(found, result, numeric, "number")
    return result


def _tell_odd(found: Statistics, result: Understood, fitting: int, what: str) -> None:
    """Say what becomes of the few texts among numbers or dates."""
    result.missing = _odd_missing(found)
    if result.missing:
        shown = ", ".join(repr(text) for text in result.missing)
        result.warnings.append(
            f"column '{found.name}': {shown} among {what}s is read as missing "
            f"({found.forms['odd missing']} rows)"
        )
        result.column = result.column.model_copy(update={"nullable": True})
    bad = found.present - fitting - found.forms["odd missing"]
    if bad > 0:
        texts = [text for text in found.odd if text.lower() not in ODD_MISSING][:3]
        shown = f" (such as {', '.join(repr(text) for text in texts)})" if texts else ""
        result.warnings.append(
            f"column '{found.name}': {bad} of {found.present} values are no {what}s{shown}; "
            "those rows are rejected"
        )


def _odd_missing(found: Statistics) -> tuple[str, ...]:
    return tuple(sorted(text for text in found.odd if text.lower() in ODD_MISSING))


def _comma_example(found: Statistics) -> str:
    texts = [*found.examples, *(found.counts or ())]
    return next((text for text in texts if "," in text), "1,234")


def _style(found: Statistics, delimiter: str) -> NumberStyle | None:
    """How numbers with commas are to be read."""
    thousands, comma = found.forms["thousands"], found.forms["decimal comma"]
    if comma:
        return "decimal_comma"
    if thousands:
        return "decimal_comma" if delimiter == ";" else "thousands"
    return None


def _order(found: Statistics) -> tuple[DateOrder, str]:
    """How dates that end with the year are ordered, decided over the whole column."""
    first, second = found.date_parts
    if not (first or second):
        return "ymd", _ORDERS["ymd"]
    if first > 12:
        return "dmy", _ORDERS["dmy"]
    if second > 12:
        return "mdy", _ORDERS["mdy"]
    return "dmy", f"{_ORDERS['dmy']} (could be {_ORDERS['mdy']} as well)"


def _dates(found: Statistics, dates: int) -> Understood | None:
    first, second = found.date_parts
    if first > 12 and second > 12:
        return None  # neither order fits: not dates, or a mixture that nobody can read
    order, note = _order(found)
    named = found.forms["named month"] > dates / 2
    result = _make(found, "date", "day month year" if named else note, order=order)
    if "could be" in note and not named:
        result.warnings.append(
            f"column '{found.name}': dates such as {found.examples[0]!r} fit day/month as well as month/day; "
            "read as day/month/year"
        )
    _tell_odd(found, result, dates, "date")
    return result


def _nearly_distinct(found: Statistics) -> bool:
    return found.present >= _MIN_ROWS and int(found.distinct) >= _DISTINCT * found.present


def _named_identifier(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _STRICT_ID_NAME.search(name))


def _integer_identifier(found: Statistics) -> str:
    """Why an integer column is an identifier, or nothing. A feature such as an age must not become one."""
    if found.low is None or found.high is None or found.present < 2:
        return ""
    distinct = int(found.distinct)
    if _named_identifier(found.name) and distinct >= _DISTINCT * found.present:
        return "by its name, and nearly all distinct"
    if _STRICT_ID_NAME.search(found.name) and distinct > max(50, 0.2 * found.present):
        return "by its name"
    if found.present >= 100 and distinct >= _DISTINCT * found.present and not _TIME_NAME.search(found.name):
        if found.high - found.low + 1 == found.present:
            return "a running number"
        stamps = any(10**9 * unit <= found.low <= 2.2 * 10**9 * unit for unit in (1, 10**3, 10**6, 10**9))
        if found.low >= 10**9 and len(str(int(found.low))) == len(str(int(found.high))) and not stamps:
            return "long integers of equal length, nearly all distinct"
    return ""


def _texts(found: Statistics, target: bool) -> Understood:
    if target:
        return _make(found, "category")
    present, distinct = found.present, int(found.distinct)
    words, letters = found.words / present, found.letters / present
    if _nearly_distinct(found):
        if found.forms["uuid"] >= _MOSTLY * present:
            return _make(found, "identifier", "UUIDs, nearly all distinct")
        if found.forms["e-mail"] >= 0.9 * present:
            return _make(found, "identifier", "e-mail addresses, nearly all distinct")
        if words >= 4 and letters >= 20:
            return _make(found, "text", f"free text, {words:.0f} words on average")
        return _make(found, "identifier", "nearly all distinct")
    if found.forms["uuid"] >= _MOSTLY * present and distinct > 50:
        return _make(found, "identifier", "UUIDs")
    if _STRICT_ID_NAME.search(found.name) and distinct > max(50, 0.2 * present):
        return _make(found, "identifier", "by its name")
    if present >= _MIN_ROWS and words >= 5 and letters >= 30 and distinct >= 0.3 * present and distinct > 50:
        return _make(found, "text", f"free text, {words:.0f} words on average")
    result = _make(found, "category")
    if distinct > 1000:
        result.note = f"{distinct:,} distinct values"
        if distinct > 0.5 * present:
            result.warnings.append(
                f"column '{found.name}' has {distinct:,} distinct texts in {present:,} rows: most are met once, and "
                "little can be learned of them; if they name rows, say "
                f"source.columns: {{{found.name}: identifier}}"
            )
    return result
