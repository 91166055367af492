"""Split: train, validation and test, before anything is fitted."""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from leaven.generators.contract import Progress, silent
from leaven.generators.errors import InputError
from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines import assignment, stage
from leaven.pipelines.assignment import Units
from leaven.pipelines.ingest import load_schema, load_task
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.row_digest import row_digests, value_digests
from leaven.pipelines.stage import Record
from leaven.pipelines.task import Task

SMALL_VALIDATION = 1_000
"""With fewer validation rows, choices are made by cross-validation over train + validation."""

_TEST, _VALIDATION, _TRAIN, _LEFT_OUT = 0, 1, 2, 3
_NAMES = {_TEST: "test", _VALIDATION: "validation", _TRAIN: "train"}
_FEW_TEST_ROWS = 50
_FEW_OF_A_CLASS = 5
_MANY_DUPLICATES = 0.3
_META = b"leaven"


@dataclass
class _Content:
    """What the split is decided by, one entry a row."""

    digests: np.ndarray  # uint64
    strata: np.ndarray  # int64: class, or bin of the target
    groups: np.ndarray | None  # uint64
    times: np.ndarray | None  # float64


def split(
    recipe: Recipe, source: Record, work: Path, previous: Path | None = None, progress: Progress = silent
) -> Record:
    """Divide the real rows.

    Args:
        recipe: shares, seed, group, time.
        source: the record of `ingest`.
        work: folder of all stages of this name.
        previous: `assignments.parquet` of an earlier run: its rows keep their part, new ones are drawn so that the
            shares hold for all. Equal rows, equal settings: equal bytes.
        progress: called with the share done.

    Returns:
        Record with `train.parquet`, `validation.parquet`, `test.parquet`, `half.parquet` (a stratified half of train
        and validation), `assignments.parquet` (digest of each row's content, its part), and, where validation has
        fewer than 1,000 rows, `folds/K/train.parquet` and `folds/K/score.parquet` over train and validation.
        Its result has `rows` of each part, the number of `folds` (1: train and validation as they are) and
        `warnings`.

    Raises:
        InputError: a part would have no rows, or none of a class.
    """
    schema, task = load_schema(source), load_task(source)
    given = [part for part in ("validation", "test") if source.paths(f"{part}.parquet")]
    config: dict[str, Any] = {
        "split": recipe.split.model_dump(mode="json", exclude={"validation_path", "test_path"}),
        "given": given,
        "folds": recipe.utility.folds,
        "task": task.model_dump(mode="json"),
        "columns": schema.model_dump(mode="json")["columns"],
    }
    origin = {"source": source.result["digest"], "config": stage.digest(config)}
    chain = _chain(previous, origin)

    def make(out: Path) -> Mapping[str, Any]:
        return _make(recipe, source, schema, task, given, previous, origin | {"previous": chain}, out, progress)

    return stage.run(
        work, "split", inputs={"source": origin["source"], "previous": chain}, config=config, make=make
    )


def fold_paths(record: Record, k: int) -> tuple[list[Path], Path]:
    """Files to train on and file to score on, of fold `k`. Fold 0 of 1 is train and validation themselves."""
    if record.result["folds"] == 1:
        return [record.path("train.parquet")], record.path("validation.parquet")
    return [record.path(f"folds/{k}/train.parquet")], record.path(f"folds/{k}/score.parquet")


def _chain(previous: Path | None, origin: Mapping[str, str]) -> str:
    """What the split depends on besides the source: the assignments before this source was split first."""
    if previous is None or not previous.exists():
        return ""
    meta = _meta(previous)
    if all(meta.get(key) == value for key, value in origin.items()):
        return meta.get("previous", "")
    return stage.file_digest(previous)


def _meta(path: Path) -> dict[str, str]:
    return json.loads((pq.read_schema(path).metadata or {}).get(_META, b"{}"))


def _make(
    recipe: Recipe,
    source: Record,
    schema: Schema,
    task: Task,
    given: list[str],
    previous: Path | None,
    meta: Mapping[str, str],
    out: Path,
    progress: Progress,
) -> Mapping[str, Any]:
    rows = Rows(source.path("rows.parquet"), schema)
    content = _content(rows, schema, task, recipe)
    progress(0.3, f"{len(content.digests):,} rows")
    warnings: list[str] = []
    drawn = assignment.units(content.digests, content.groups)
    earlier = _earlier(previous, content)
    if content.times is None:
        parts = _draw(recipe, content, drawn, earlier, given)
    else:
        parts = _draw_by_time(recipe, content, earlier, given, warnings)
    _leave_out_copies(source, schema, given, content, parts, warnings)
    _check(parts, content, schema, task, given, recipe, warnings)
    duplicates = 1 - len(np.unique(content.digests)) / len(content.digests)
    if duplicates > _MANY_DUPLICATES:
        warnings.append(f"{duplicates:.0%} of the rows repeat others exactly; copies stay on one side of the split")

    masks = {f"{name}.parquet": parts == part for part, name in _NAMES.items() if name not in given}
    inside = np.isin(parts, [_TRAIN, _VALIDATION])
    masks["half.parquet"] = inside & _half(drawn, content, inside, recipe.split.seed)
    folds = _folds(recipe, content, drawn, parts, given, task)
    for number, (learn, score) in enumerate(folds):
        masks[f"folds/{number}/train.parquet"] = learn
        masks[f"folds/{number}/score.parquet"] = score
    _write(rows, schema, masks, out, progress)
    for part in given:
        shutil.copyfile(source.path(f"{part}.parquet"), out / f"{part}.parquet")
    _write_assignments(out / "assignments.parquet", content, parts, previous, meta)
    counts = {name: pq.read_metadata(out / f"{name}.parquet").num_rows for name in ("train", "validation", "test")}
    _warn_small(counts, out, schema, task, warnings)
    return {"rows": counts, "folds": len(folds) or 1, "warnings": warnings}


def _content(rows: Rows, schema: Schema, task: Task, recipe: Recipe) -> _Content:
    """Digests, strata, groups and times of all rows; nothing else is held in memory."""
    columns = [column.name for column in schema if column.type != "identifier"]
    group, time = recipe.split.group, recipe.split.time
    if time is not None and schema[time].type not in ("date", "number", "integer"):
        raise InputError(f"split.time: column '{time}' is of type {schema[time].type}; expected a date or a number")
    labels = pa.array(task.classes, pa.string())
    digests, strata, groups, times = [], [], [], []
    for batch in rows.batches():
        digests.append(row_digests(batch, columns))
        target = batch.column(schema.target)
        if task.type == "classification":
            texts = target.cast(pa.string())
            if pa.types.is_boolean(target.type):
                texts = pc.utf8_capitalize(texts)
            strata.append(pc.index_in(texts, value_set=labels).to_numpy())
        else:
            strata.append(target.cast(pa.float64()).to_numpy())
        if group is not None:
            values = batch.column(group)
            missing = np.asarray(values.is_null())
            groups.append(np.where(missing, digests[-1], value_digests(values)))
        if time is not None:
            moments = batch.column(time)
            if moments.null_count:
                raise InputError(
                    f"split.time: column '{time}' has missing values; expected a time in every row"
                )
            if schema[time].type == "date":
                moments = moments.cast(pa.int64())
            times.append(moments.cast(pa.float64(), safe=False).to_numpy())
    stacked = np.concatenate(strata)
    return _Content(
        np.concatenate(digests),
        stacked.astype(np.int64) if task.type == "classification" else assignment.strata(stacked),
        np.concatenate(groups) if groups else None,
        np.concatenate(times) if times else None,
    )


def _earlier(previous: Path | None, content: _Content) -> np.ndarray:
    """Part of each row in an earlier split, -1 where the row was not there, int8 (rows,)."""
    found = np.full(len(content.digests), -1, dtype=np.int8)
    if previous is None or not previous.exists():
        return found
    table = pq.read_table(previous)
    codes = pc.index_in(table["part"].cast(pa.string()), value_set=pa.array([_NAMES[i] for i in range(3)]))
    known = pc.fill_null(codes, -1).to_numpy().astype(np.int8)
    for column, values in (("group", content.groups), ("digest", content.digests)):
        if values is not None and column in table.column_names:
            keys = table[column].to_numpy()
            order = np.argsort(keys, kind="stable")
            place = np.minimum(np.searchsorted(keys[order], values), len(keys) - 1)
            there = keys[order][place] == values
            found[there] = known[order][place][there]
    return found


def _shares(recipe: Recipe, given: list[str]) -> tuple[float, float]:
    return (
        0.0 if "test" in given else recipe.split.test,
        0.0 if "validation" in given else recipe.split.validation,
    )


def _draw(
    recipe: Recipe, content: _Content, drawn: Units, earlier: np.ndarray, given: list[str]
) -> np.ndarray:
    """Part of each row, stratified, whole units at a time."""
    kept = np.full(len(drawn.keys), -1, dtype=np.int8)
    known = earlier >= 0
    # Where a new row ties units of several parts together, it goes to test rather than leak out of it.
    order = np.argsort(-earlier[known], kind="stable")
    kept[drawn.of_row[known][order]] = earlier[known][order]
    seed = derive("split", recipe.split.seed)
    parts = assignment.draw(drawn, content.strata, _shares(recipe, given), seed, kept=kept)
    by_row = parts[drawn.of_row]
    by_row[known] = earlier[known]
    return by_row


def _draw_by_time(
    recipe: Recipe, content: _Content, earlier: np.ndarray, given: list[str], warnings: list[str]
) -> np.ndarray:
    """Part of each row by time. The cuts of an earlier split stay, so that no test row is older than a train row."""
    assert content.times is not None
    cuts = [
        float(content.times[earlier == part].min()) if (earlier == part).any() else None
        for part in (_TEST, _VALIDATION)
    ]
    shares = _shares(recipe, given)
    parts, _ = assignment.by_time(content.times, shares, cuts)
    share = float((parts == _TEST).mean())
    if cuts[0] is not None and share > 1.5 * shares[0]:
        warnings.append(
            f"split.time: the cuts of the first run are kept, and test has {share:.0%} of the rows by now; "
            "take a new name for the dataset to cut anew"
        )
    return parts


def _leave_out_copies(
    source: Record, schema: Schema, given: list[str], content: _Content, parts: np.ndarray, warnings: list[str]
) -> None:
    """Rows that stand in a validation or test file of its own are not trained on."""
    columns = [column.name for column in schema if column.type != "identifier"]
    for part in given:
        held_out = [row_digests(b, columns) for b in Rows(source.path(f"{part}.parquet"), schema).batches()]
        copies = np.isin(content.digests, np.concatenate(held_out)) & (parts != _LEFT_OUT)
        if copies.any():
            parts[copies] = _LEFT_OUT
            warnings.append(f"{int(copies.sum())} rows stand in the {part} file too and are not trained on")


def _check(
    parts: np.ndarray,
    content: _Content,
    schema: Schema,
    task: Task,
    given: list[str],
    recipe: Recipe,
    warnings: list[str],
) -> None:
    """Every part has rows, and of every class."""
    by = recipe.split.time or recipe.split.group
    how = f" (split by '{by}')" if by else ""
    for part, name in _NAMES.items():
        if name in given:
            continue
        inside = parts == part
        if not inside.any():
            raise InputError(
                f"split: the {name} part has no rows{how}; expected some: {len(parts)} rows are too few, or their "
                "units too large"
            )
        if task.type == "classification":
            counts = np.bincount(content.strata[inside], minlength=len(task.classes))
            for label, count in zip(task.classes, counts.tolist(), strict=True):
                if not count:
                    total = int((content.strata == task.classes.index(label)).sum())
                    raise InputError(
                        f"split: class '{label}' of column '{schema.target}' has no row in the {name} part{how}; it "
                        f"has {total} rows in all, too few distinct ones (or groups) for three parts"
                    )
    shares = dict(zip((_TEST, _VALIDATION), _shares(recipe, given), strict=True))
    for part, asked in shares.items():
        got = float((parts == part).mean())
        if asked and not 0.5 * asked <= got <= 1.6 * asked and recipe.split.time is None and len(parts) >= 100:
            warnings.append(
                f"split: {_NAMES[part]} has {got:.0%} of the rows where {asked:.0%} were asked for: rows that belong "
                "together are many"
            )


def _half(drawn: Units, content: _Content, inside: np.ndarray, seed: int) -> np.ndarray:
    """A stratified half of the rows `inside`, bool (rows,)."""
    chosen = np.zeros(len(inside), dtype=bool)
    units, of_row = np.unique(drawn.of_row[inside], return_inverse=True)
    part = assignment.draw(
        Units(of_row, drawn.keys[units]), content.strata[inside], [0.5], derive("half", seed)
    )
    chosen[np.flatnonzero(inside)] = part[of_row] == 0
    return chosen


def _folds(
    recipe: Recipe, content: _Content, drawn: Units, parts: np.ndarray, given: list[str], task: Task
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and to score on, of each fold; empty where validation is large enough or given."""
    if "validation" in given or int((parts == _VALIDATION).sum()) >= SMALL_VALIDATION:
        return []
    inside = np.isin(parts, [_TRAIN, _VALIDATION])
    if content.times is not None:
        return _folds_in_time(recipe.utility.folds, content, inside, task)
    units, of_row = np.unique(drawn.of_row[inside], return_inverse=True)
    labels = content.strata[inside]
    most = recipe.utility.folds
    if task.type == "classification":
        # Every fold must score every class.
        pairs = np.unique(np.stack([of_row, labels]), axis=1)
        most = min(most, int(np.bincount(pairs[1]).min()))
    for count in range(min(most, len(units)), 1, -1):
        of_unit = assignment.draw(
            Units(of_row, drawn.keys[units]), labels, [1 / count] * (count - 1), derive("folds", recipe.split.seed)
        )
        number = np.full(len(parts), -1)
        number[np.flatnonzero(inside)] = of_unit[of_row]
        folds = [(inside & (number != k), inside & (number == k)) for k in range(count)]
        if _usable(folds, content, task):
            return folds
    return []


def _folds_in_time(
    most: int, content: _Content, inside: np.ndarray, task: Task
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each fold learns from all rows before the block that it scores."""
    assert content.times is not None
    times = content.times
    for count in range(most, 1, -1):
        edges = np.quantile(times[inside], np.linspace(0, 1, count + 2)[1:-1], method="higher")
        block = np.searchsorted(np.unique(edges), times, side="right")
        folds = [(inside & (block < k), inside & (block == k)) for k in range(1, int(block[inside].max()) + 1)]
        if len(folds) > 1 and _usable(folds, content, task):
            return folds
    return []


def _usable(folds: list[tuple[np.ndarray, np.ndarray]], content: _Content, task: Task) -> bool:
    least = len(task.classes) if task.type == "classification" else 1
    for pair in folds:
        for rows in pair:
            found = len(np.unique(content.strata[rows])) if task.type == "classification" else int(rows.sum())
            if found < least:
                return False
    return True


def _write(
    rows: Rows, schema: Schema, masks: Mapping[str, np.ndarray], out: Path, progress: Progress
) -> None:
    """All parts in one pass over the rows, in source order."""
    start, total = 0, len(rows)
    with ExitStack() as stack:
        writers = {}
        for name in masks:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            writers[name] = stack.enter_context(
                pq.ParquetWriter(out / name, schema.arrow(), compression="zstd")
            )
        for batch in rows.batches():
            for name, mask in masks.items():
                here = mask[start : start + batch.num_rows]
                if here.any():
                    writers[name].write_table(batch.filter(pa.array(here)).cast(schema.arrow()))
            start += batch.num_rows
            progress(0.3 + 0.7 * start / total, f"{start:,} of {total:,} rows written")


def _write_assignments(
    path: Path, content: _Content, parts: np.ndarray, previous: Path | None, meta: Mapping[str, str]
) -> None:
    """Digest and part of each distinct row; rows of earlier runs stay listed, should they come back."""
    digests, where = np.unique(content.digests, return_index=True)
    names = np.array([_NAMES[i] for i in range(3)] + ["left out"])
    columns: dict[str, Any] = {"digest": digests}
    if content.groups is not None:
        columns["group"] = content.groups[where]
    columns["part"] = names[parts[where]]
    table = pa.table(columns)
    if previous is not None and previous.exists():
        old = pq.read_table(previous)
        if old.column_names == table.column_names:
            gone = ~np.isin(old["digest"].to_numpy(), digests)
            table = pa.concat_tables([table, old.filter(pa.array(gone)).cast(table.schema)])
            table = table.sort_by("digest")
    pq.write_table(table.replace_schema_metadata({_META: json.dumps(dict(meta))}), path, compression="zstd")


def _warn_small(
    counts: Mapping[str, int], out: Path, schema: Schema, task: Task, warnings: list[str]
) -> None:
    """Test rows so few that the intervals will be wide."""
    if counts["test"] < _FEW_TEST_ROWS:
        warnings.append(f"test has {counts['test']} rows only: intervals will be wide")
    if task.type != "classification":
        return
    column = pq.read_table(out / "test.parquet", columns=[schema.target]).column(0)
    for pair in sorted(pc.value_counts(column).to_pylist(), key=lambda pair: pair["counts"]):
        if pair["counts"] < _FEW_OF_A_CLASS:
            warnings.append(
                f"test has {pair['counts']} rows of class '{pair['values']}' only: intervals will be wide"
            )
