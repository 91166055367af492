"""A file of labelled texts -> Parquet with two columns, the text and its label. What cannot be used is set aside."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.contract import Progress, silent
from leaven.generators.errors import InputError
from leaven.generators.schema import Column, Schema
from leaven.pipelines import target as targets
from leaven.pipelines.kinds import ingested
from leaven.pipelines.kinds.files.csv_file import open_csv
from leaven.pipelines.kinds.files.jsonl_file import is_jsonl, open_jsonl
from leaven.pipelines.kinds.files.parquet_file import is_parquet, open_parquet
from leaven.pipelines.kinds.table.statistics import Distinct
from leaven.pipelines.kinds.text.clean import Fault, clean, clean_label
from leaven.pipelines.kinds.text.language import languages
from leaven.pipelines.kinds.text.refusals import check_dropped, check_names, refuse_doubled, refuse_unfit
from leaven.pipelines.recipe import Recipe, resolve
from leaven.pipelines.recipe import Source as SourceRecipe
from leaven.pipelines.recipe_errors import nearest
from leaven.pipelines.row_digest import row_digests, value_digests

TEXT = "text"  # the text column's usual name
SAMPLE = 500  # texts whose language is looked at
COUNTED = 65_536  # different texts up to which their number is exact
MIXED = 0.1  # share of texts in another language that is worth a word


class _Sample:
    """Some of many texts, whatever their order: those with the smallest digests."""

    def __init__(self) -> None:
        self._digests, self.texts = np.empty(0, dtype=np.uint64), np.empty(0, dtype=object)

    def add(self, texts: Sequence[str], digests: np.ndarray) -> None:
        """Take texts into account; equal ones count once."""
        digests, first = np.unique(np.concatenate([self._digests, digests]), return_index=True)
        every = np.concatenate([self.texts, np.array(texts, dtype=object)])
        self._digests, self.texts = digests[:SAMPLE], every[first[:SAMPLE]]


@dataclass
class _Written:
    """What stands in a Parquet file, and what does not."""

    rows: int = 0
    digest: str = ""
    labels: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str, str | None, str]] = field(default_factory=list)
    mended: int = 0  # texts with control characters
    sample: _Sample = field(default_factory=_Sample)
    distinct: Distinct = field(default_factory=lambda: Distinct(COUNTED))
    lengths: list[int] = field(default_factory=list)


def read(
    recipe: Recipe,
    folder: Path,
    out: Path,
    *,
    keep: Mapping[str, Column] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Read the recipe's texts into `out`: the column of texts and the target, other columns are left out, but for one
    that rows are kept together by in the split.

    Arguments, files and result are those of `ingest`.

    Raises:
        InputError: a structural fault of a source, or a recipe that does not fit it.
    """
    named = {"rows": ("source.path", recipe.source.path),
             "validation": ("split.validation_path", recipe.split.validation_path),
             "test": ("split.test_path", recipe.split.test_path)}  # fmt: skip
    parts = {
        part: open_texts(resolve(path, folder), recipe.source, field)
        for part, (field, path) in named.items()
        if path is not None
    }
    text = recipe.source.text or TEXT
    refuse_unfit(recipe, text)
    for part, source in parts.items():
        check_names(source, text, recipe.task.target, named[part][0])
        check_dropped(source, recipe.source.drop)
    schema = Schema(
        columns=(Column(name=text, type="text"), Column(name=recipe.task.target, type="category")),
        target=recipe.task.target,
    )
    warnings = [note for source in parts.values() for note in source.notes]
    group = recipe.split.group if recipe.split.group not in schema else None
    if group is not None and (group not in parts["rows"].names or group in recipe.source.drop):
        known = nearest(group, parts["rows"].names)
        raise InputError(f"split.group: {parts['rows'].path.name} has no column '{group}'; {known}")
    used = {*schema.names, group, *recipe.source.drop}
    unused = [name for name in parts["rows"].names if name not in used]
    if unused:
        warnings.append(f"columns that are neither text nor label are not used: {', '.join(unused[:10])}")
    missing = frozenset(recipe.source.missing)
    written = {
        part: _write(
            source, schema, group if part == "rows" else None, missing, out / f"{part}.parquet", progress
        )
        for part, source in parts.items()
    }
    for part, one in written.items():
        _refuse_mostly_faulty(parts[part], one)
    main = written["rows"]
    task, told = targets.understand(_asked(recipe), schema[recipe.task.target], "classification", main.labels)
    for part in written:
        if part != "rows":
            targets.same_labels(task, named[part][0], parts[part].path.name, written[part].labels)
    rejected = _write_rejected(out / "rejected.parquet", parts, written)
    spoken = languages(main.sample.texts.tolist())
    warnings += [*told, *_warnings(written, rejected, spoken)]
    return ingested.finish(
        out,
        schema,
        _profile(schema, main, spoken),
        {part: one.digest for part, one in written.items()},
        rows=main.rows,
        rejected=rejected,
        task=task,
        warnings=warnings,
    )


def open_texts(path: Path, how: SourceRecipe, field: str) -> Any:
    """Open a file of texts: CSV, JSON lines or Parquet.

    Raises:
        InputError: missing, a folder, empty, or none of these.
    """
    if not path.exists():
        raise InputError(f"{field}: there is no file {path}")
    if path.is_dir():
        raise InputError(f"{field}: {path} is a folder; expected a CSV, JSON lines or Parquet file")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path.name}: is empty; expected texts and labels")
        typed = is_parquet(path)
        source: Any = open_parquet(path, how.drop) if typed else None
    except OSError as error:
        raise InputError(f"{field}: {path} cannot be read: {error.strerror or error}") from None
    if source is None:
        source = open_jsonl(path) if is_jsonl(path) else open_csv(path, how.delimiter, how.encoding)
    refuse_doubled(source)
    return source


def _asked(recipe: Recipe) -> Any:
    """The recipe's task, its positive class in the form of labels."""
    positive = recipe.task.positive
    return recipe.task.model_copy(update={"positive": positive and clean_label(positive)})


def _write(
    source: Any,
    schema: Schema,
    group: str | None,
    missing: frozenset[str],
    path: Path,
    progress: Progress,
) -> _Written:
    """Write a source's usable rows, batch by batch; beside them the column that keeps rows together, if any."""
    made, content, columns = _Written(), hashlib.sha256(), schema.arrow()
    if group is not None:
        columns = columns.append(pa.field(group, pa.string()))
    with pq.ParquetWriter(path, columns, compression="zstd", use_dictionary=[schema.target]) as writer:
        start = 0
        for batch in source.batches():
            rows = list(_usable(batch, columns.names, missing, made, start))
            start += batch.num_rows
            if not rows:
                continue
            table = pa.Table.from_arrays([pa.array(column, pa.string()) for column in zip(*rows, strict=True)],
                                         schema=columns)  # fmt: skip
            writer.write_table(table)
            content.update(row_digests(table).tobytes())
            texts = [row[0] for row in rows]
            made.labels.update(row[1] for row in rows)
            made.lengths += [len(text) for text in texts]
            digests = value_digests(table.column(0))
            made.sample.add(texts, digests)
            made.distinct.add(digests)
            made.rows += len(rows)
            progress(float("nan"), f"{made.rows:,} texts")
    made.digest = content.hexdigest()
    return made


def _usable(
    batch: pa.Table, names: Sequence[str], missing: frozenset[str], made: _Written, start: int
) -> Iterator[tuple[Any, ...]]:
    """Text, label and what else is named of each row that can be used; the others become faults."""
    text, target, *_ = names
    columns = (batch.column(name).cast(pa.string()).to_pylist() for name in names)
    for number, (value, label, *more) in enumerate(zip(*columns, strict=True), start):
        name = clean_label(label)
        if not name or label in missing or name in missing:
            made.faults.append((number, target, value and value[:200], "target is missing"))
            continue
        try:
            usable, mended = clean(None if value in missing else value)
        except Fault as fault:
            made.faults.append((number, text, value and value[:200], str(fault)))
            continue
        made.mended += mended
        yield usable, name, *(None if one in missing else one for one in more)


def _refuse_mostly_faulty(source: Any, written: _Written) -> None:
    """Where most rows cannot be used, the columns are others than were meant."""
    total = written.rows + len(written.faults)
    if not total:
        raise InputError(f"{source.path.name}: has no rows; expected texts and labels")
    if not written.rows or len(written.faults) > total / 2:
        row, column, _, reason = written.faults[0]
        raise InputError(
            f"{source.path.name}: {len(written.faults):,} of {total:,} rows cannot be used; the first is "
            f"{source.unit} {source.lines([row])[row]}, whose column '{column}' {reason}"
        )


def _write_rejected(path: Path, parts: Mapping[str, Any], written: Mapping[str, _Written]) -> int:
    """Write what was set aside, with its line and the reason; return how many."""
    rows = []
    for part, one in written.items():
        source = parts[part]
        lines = source.lines([fault[0] for fault in one.faults])
        where = "" if part == "rows" else f" (in {source.path.name})"
        rows += [(lines[row], column, value, reason + where) for row, column, value, reason in one.faults]
    ingested.write_rejected(path, rows)
    return len(rows)


def _warnings(
    written: Mapping[str, _Written], rejected: int, spoken: Sequence[tuple[str, float]]
) -> list[str]:
    warnings = []
    if rejected:
        reasons = Counter(fault[3].split(";")[0] for one in written.values() for fault in one.faults)
        told = "; ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common(3))
        warnings.append(f"{rejected:,} rows cannot be used and were set aside (rejected.parquet): {told}")
    mended = sum(one.mended for one in written.values())
    if mended:
        warnings.append(f"control characters were taken out of {mended:,} texts")
    if len(spoken) > 1 and spoken[0][1] < 1 - MIXED:
        told = ", ".join(f"{code} {share:.0%}" for code, share in spoken[:4])
        warnings.append(f"texts are in several languages ({told}): a translator knows one")
    return warnings


def _profile(schema: Schema, main: _Written, spoken: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """What people see of the texts."""
    ranked = sorted(main.lengths)
    note = f"{ranked[0]} to {ranked[-1]} characters, half of them up to {ranked[len(ranked) // 2]}"
    if spoken:
        note += f"; language {spoken[0][0]}"
    labels = [{"value": value, "count": count} for value, count in main.labels.most_common()]
    text, target = schema.names
    exact = main.distinct.exact
    different = min(int(main.distinct), main.rows)
    return {
        "rows": main.rows,
        "columns": [
            {
                "name": text,
                "type": "text",
                "target": False,
                "missing": 0,
                "distinct": different,
                "distinct_exact": exact,
                "note": note,
            },
            {
                "name": target,
                "type": "category",
                "target": True,
                "distinct": len(labels),
                "distinct_exact": True,
                "missing": 0,
                "note": "",
                "top": labels,
            },
        ],
    }
