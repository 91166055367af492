"""Which column of a file holds texts, and which one their labels?"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.files.jsonl_file import is_jsonl
from leaven.pipelines.kinds.text.reader import open_texts
from leaven.pipelines.recipe import Source as SourceRecipe
from leaven.pipelines.target import MAX_CLASSES

_TEXTS = re.compile(
    r"^(text|texts|sentence|utterance|review|comment|message|content|body|question|query|document)$", re.I
)
_LABELS = re.compile(r"^(label|labels|target|class|category|intent|sentiment|y|topic)$", re.I)
_SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".csv.gz", ".tsv.gz")
_LOOKED_AT = 5_000  # rows
_WORDS = 3.0  # of a text, in the mean
_DIFFERENT = 0.5  # share of texts that differ


def looks_like_texts(path: Path) -> bool:
    """Whether a file is JSON lines, or holds a column of texts, one of labels, and at most identifiers besides."""
    if not path.is_file():
        return False
    if is_jsonl(path):
        return True
    if not path.name.lower().endswith(_SUFFIXES):
        return False
    try:
        columns = _columns(path)
    except InputError:
        return False
    texts = [name for name, values in columns.items() if _is_text(values)]
    labels = [name for name, values in columns.items() if _is_label(values)]
    return len(columns) <= 4 and len(texts) == 1 and bool(set(labels) - set(texts))


def guess_text(path: Path) -> str:
    """The column of texts.

    Raises:
        InputError: no column holds texts.
    """
    columns = _columns(path)
    found = [name for name, values in columns.items() if _is_text(values)]
    if not found:
        raise InputError(f"{path.name}: no column holds texts of several words; it has {', '.join(columns)}")
    named = [name for name in found if _TEXTS.match(name)]
    return (named or sorted(found, key=lambda name: -_length(columns[name])))[0]


def guess_targets(path: Path) -> list[tuple[str, str]]:
    """Columns that may be the label, likeliest first, with the reason.

    Raises:
        InputError: no column could be.
    """
    columns, text = _columns(path), guess_text(path)
    good = [name for name, values in columns.items() if name != text and _is_label(values)]
    if not good:
        raise InputError(f"{path.name}: no column beside '{text}' has classes that come again and again")
    named = [name for name in good if _LABELS.match(name)]
    return [(name, "by its name") for name in named] + [
        (name, "a column that could be one") for name in good if name not in named
    ]


def _columns(path: Path) -> dict[str, list[str]]:
    """The first values of each column, as texts; missing ones are left out."""
    source: Any = open_texts(path, SourceRecipe(kind="text", path=str(path)), "source.path")
    batch = next(iter(source.batches()), None)
    if batch is None:
        raise InputError(f"{path.name}: has no rows")
    found = {}
    for name in batch.column_names:
        values = batch.column(name).slice(0, _LOOKED_AT).cast(pa.string()).to_pylist()
        found[name] = [value for value in values if value]
    return found


def _length(values: list[str]) -> float:
    """Words of a value, in the mean."""
    return sum(len(value.split()) for value in values) / max(1, len(values))


def _is_text(values: list[str]) -> bool:
    return bool(values) and _length(values) >= _WORDS and len(set(values)) >= _DIFFERENT * len(values)


def _is_label(values: list[str]) -> bool:
    counts = Counter(values)
    return 2 <= len(counts) <= min(MAX_CLASSES, max(2, len(values) // 2))
