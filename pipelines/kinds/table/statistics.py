"""What one pass over a column tells: forms, range, distinct values, examples. Memory does not grow with rows."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leaven.pipelines.kinds.table import values as v
from leaven.pipelines.row_digest import number_digests, text_digests, value_digests

_HEX = r"^[+-]?0[xX]"
_LOOK = 200  # distinct values that decide whether a block is worth parsing as numbers or dates


class Distinct:
    """Number of distinct values: exact up to `size`, then estimated from the smallest digests (error 1/sqrt(size))."""

    def __init__(self, size: int):
        self.size = size
        self.smallest = np.empty(0, dtype=np.uint64)

    def add(self, digests: np.ndarray) -> None:
        if len(self.smallest) == self.size:
            digests = digests[digests < self.smallest[-1]]
        if len(digests):
            ordered = np.sort(np.concatenate([self.smallest, digests]))
            new = np.append(True, ordered[1:] != ordered[:-1])
            self.smallest = ordered[new][: self.size].copy()

    @property
    def exact(self) -> bool:
        return len(self.smallest) < self.size

    def __int__(self) -> int:
        if self.exact:
            return len(self.smallest)
        return int((self.size - 1) / (float(self.smallest[-1]) / 2.0**64))


class Statistics:
    """Of one column. `forms` counts present values by how they are written.

    Args:
        name: the column.
        further_missing: texts that mean missing besides the usual ones.
        max_counted: distinct values that are counted one by one; with more, `counts` is None.
        sketch: size of the distinct counter.
    """

    def __init__(self, name: str, further_missing: tuple[str, ...], max_counted: int, sketch: int):
        self.name = name
        self.further_missing, self.max_counted = further_missing, max_counted
        self.rows = self.missing = 0
        self.forms: Counter[str] = Counter()
        self.counts: Counter[str] | None = Counter()
        self.odd: Counter[str] = Counter()  # texts that are neither numbers nor dates
        self.first: dict[str, tuple[int, str]] = {}  # fault -> row (from 0) and text where it is met first
        self.distinct = Distinct(sketch)
        self.examples: list[str] = []
        self.low: float | None = None
        self.high: float | None = None
        self.date_parts = [0, 0]  # largest first and second part of dates that end with the year
        self.padded = False
        self.whole = True  # every number so far is a whole one
        self.words = self.letters = 0
        self.typed: str | None = None  # the house type of a typed column (Parquet)

    @property
    def present(self) -> int:
        return self.rows - self.missing

    def update(self, values: pa.Array) -> None:
        """Take a block of the column into account: texts, or typed values from Parquet."""
        start = self.rows
        self.rows += len(values)
        if pa.types.is_string(values.type):
            self._texts(values, start)
        else:
            self._typed(values, start)

    def _count(self, keys: list[Any], counts: np.ndarray) -> None:
        if self.counts is None:
            return
        for key, count in zip(keys, counts.tolist(), strict=True):
            self.counts[key] += count
        if len(self.counts) > self.max_counted:
            self.counts = None

    def _texts(self, values: pa.Array, start: int) -> None:
        counted = pc.value_counts(values)
        found, counts = counted.field("values"), counted.field("counts").to_numpy()
        texts = v.trimmed(found)
        self.padded = self.padded or bool(pc.any(pc.not_equal(texts, found)).as_py())
        absent = np.asarray(v.is_missing(texts, self.further_missing), dtype=bool)
        self.missing += int(counts[absent].sum())
        texts, counts = texts.filter(pa.array(~absent)), counts[~absent]
        if not len(texts):
            return
        if len(self.examples) < 3:
            self.examples = list(dict.fromkeys([*self.examples, *texts[:3].to_pylist()]))[:3]
        self.letters += int((pc.utf8_length(texts).to_numpy() * counts).sum())
        spaces = pc.count_substring_regex(texts, r"\s+").to_numpy()
        self.words += int(((spaces + 1) * counts).sum())
        if self.counts is not None:
            few = texts[: self.max_counted + 1]
            self._count(few.to_pylist(), counts[: self.max_counted + 1])
        digests = self._numbers(texts, counts, values, start)
        self.distinct.add(digests)

    def _numbers(self, texts: pa.Array, counts: np.ndarray, block: pa.Array, start: int) -> np.ndarray:
        """Count the forms of distinct texts; their digests, equal for equal numbers however written."""
        try:
            parsed = texts.cast(pa.float64())
        except pa.ArrowInvalid:
            return self._mixed(texts, counts, block, start)
        self._plain_numbers(texts, parsed, counts, block, start)
        return self._number_digests(texts, parsed)

    def _plain_numbers(
        self, texts: pa.Array, parsed: pa.Array, counts: np.ndarray, block: pa.Array, start: int
    ) -> None:
        numbers = parsed.to_numpy(zero_copy_only=False)
        whole = np.asarray(pc.match_substring_regex(texts, v.INTEGER), dtype=bool)
        infinite = np.isinf(numbers)
        self.forms["integer"] += int(counts[whole].sum())
        self.forms["number"] += int(counts[~whole & ~infinite].sum())
        if infinite.any():
            self.forms["infinite"] += int(counts[infinite].sum())
            self._note("infinite", texts, infinite, block, start)
        if whole.any():
            zero = np.asarray(pc.match_substring_regex(texts, v.LEADING_ZERO), dtype=bool) & whole
            if zero.any():
                self.forms["leading zero"] += int(counts[zero].sum())
                self._note("leading zero", texts, zero, block, start)
            over = whole & (np.abs(numbers) >= 9.2e18)
            if over.any():
                exact = pc.is_null(v.integers(texts))
                over &= np.asarray(exact, dtype=bool)
            if over.any():
                self.forms["overflow"] += int(counts[over].sum())
                self._note("overflow", texts, over, block, start)
        finite = numbers[~infinite]
        if len(finite):
            self._range(float(finite.min()), float(finite.max()))
            self.whole = self.whole and bool((finite == np.floor(finite)).all())

    def _number_digests(self, texts: pa.Array, parsed: pa.Array) -> np.ndarray:
        numbers = parsed.to_numpy(zero_copy_only=False)
        digests = number_digests(numbers)
        large = np.abs(numbers) >= 2**53
        if large.any():  # floats cannot tell such integers apart
            digests[large] = text_digests(texts.filter(pa.array(large)))
        return digests

    def _mixed(self, texts: pa.Array, counts: np.ndarray, block: pa.Array, start: int) -> np.ndarray:
        """A block in which not everything is a plain number."""
        digests = text_digests(texts)
        look = texts[:_LOOK]
        shaped = pc.or_(pc.match_substring_regex(look, r"\d"), v.booleans(look).is_valid())
        if not pc.any(shaped).as_py():
            self._others(texts, counts)
            return digests
        is_number = pc.or_(
            pc.match_substring_regex(texts, v.NUMBER), pc.match_substring_regex(texts, v.INFINITE)
        )
        mask = np.asarray(is_number, dtype=bool)
        if mask.any():
            chosen = texts.filter(is_number)
            parsed = v.numbers(chosen)
            self._plain_numbers(chosen, parsed, counts[mask], block, start)
            digests[mask] = self._number_digests(chosen, parsed)
        rest, rest_counts = texts.filter(pa.array(~mask)), counts[~mask]
        self._others(rest, rest_counts)
        return digests

    def _others(self, texts: pa.Array, counts: np.ndarray) -> None:
        """Texts that are no plain numbers."""
        left = np.ones(len(texts), dtype=bool)
        self._form("boolean", v.booleans(texts).is_valid(), counts, left)
        self._form("thousands", pc.match_substring_regex(texts, v.THOUSANDS), counts, left)
        self._form("decimal comma", pc.match_substring_regex(texts, v.DECIMAL_COMMA), counts, left)
        for shape, pattern in v.DATE_SHAPES.items():
            found = pc.extract_regex(texts, pattern)
            mask = found.is_valid()
            if self._form(shape, mask, counts, left):
                parts = found.filter(mask)
                if shape in ("year last", "short year"):
                    for number, name in enumerate(("first", "second_part")):
                        largest = pc.max(pc.struct_field(parts, name).cast(pa.int64())).as_py()
                        self.date_parts[number] = max(self.date_parts[number], largest)
        if not left.any():
            return
        texts, counts = texts.filter(pa.array(left)), counts[left]
        self.forms["other"] += int(counts.sum())
        for name, pattern in (("e-mail", v.EMAIL), ("uuid", v.UUID), ("digit", r"\d")):
            self.forms[name] += int(counts[np.asarray(pc.match_substring_regex(texts, pattern))].sum())
        unsaid = pc.is_in(pc.utf8_lower(texts), value_set=pa.array(sorted(v.ODD_MISSING), pa.string()))
        self.forms["odd missing"] += int(counts[np.asarray(unsaid)].sum())
        if len(self.odd) < 50:
            for text, count in zip(texts[:50].to_pylist(), counts[:50].tolist(), strict=True):
                self.odd[text] += count

    def _form(self, name: str, mask: pa.Array, counts: np.ndarray, left: np.ndarray) -> bool:
        new = np.asarray(mask, dtype=bool) & left
        if new.any():
            self.forms[name] += int(counts[new].sum())
            left &= ~new
        return bool(new.any())

    def _note(self, fault: str, texts: pa.Array, mask: np.ndarray, block: pa.Array, start: int) -> None:
        if fault in self.first:
            return
        faulty = pc.is_in(v.trimmed(block), value_set=texts.filter(pa.array(mask)))
        row = int(np.argmax(np.asarray(faulty)))
        self.first[fault] = (start + row, block[row].as_py())

    def _range(self, low: float, high: float) -> None:
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def _typed(self, values: pa.Array, start: int) -> None:
        """A block of int64, double, bool or timestamp."""
        kind = values.type
        if pa.types.is_floating(kind):
            self.typed = "number"
            infinite = np.asarray(pc.fill_null(pc.is_inf(values), False))
            if infinite.any() and "infinite" not in self.first:
                row = int(np.argmax(infinite))
                self.first["infinite"] = (start + row, str(values[row].as_py()))
            values = pc.if_else(pc.is_nan(values), None, values)
        elif pa.types.is_integer(kind):
            self.typed = "integer"
        else:
            self.typed = "boolean" if pa.types.is_boolean(kind) else "date"
        values = values.drop_null()
        self.missing += self.rows - start - len(values)
        if not len(values):
            return
        self.forms[self.typed] += len(values)
        counted = pc.value_counts(values)
        found, counts = counted.field("values"), counted.field("counts").to_numpy()
        if self.counts is not None:
            few = found[: self.max_counted + 1]
            self._count([str(value) for value in few.to_pylist()], counts[: self.max_counted + 1])
        self.distinct.add(value_digests(found))
        bounds = pc.min_max(found)
        if self.typed == "date":
            low, high = bounds["min"].cast(pa.int64()).as_py(), bounds["max"].cast(pa.int64()).as_py()
            self._range(float(low), float(high))
        elif self.typed != "boolean":
            self._range(float(bounds["min"].as_py()), float(bounds["max"].as_py()))
            self.whole = self.whole and (
                self.typed == "integer" or bool(pc.all(pc.equal(pc.floor(found), found)).as_py())
            )
        if len(self.examples) < 3:
            self.examples = [str(value) for value in found[:3].to_pylist()]
