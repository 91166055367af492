"""Split: train, validation and test, before anything is fitted."""

from collections.abc import Mapping
from contextlib import ExitStack
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
from leaven.pipelines.folds import folds_of, half_of
from leaven.pipelines.held_out import HeldOut
from leaven.pipelines.ingest import load_schema, load_task
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.split_content import (
    NAMES,
    TEST,
    TRAIN,
    VALIDATION,
    Content,
    content_of,
    earlier_parts,
    meta_of,
    write_assignments,
)
from leaven.pipelines.stage import Record
from leaven.pipelines.task import Task

_FEW_TEST_ROWS = 50
_FEW_OF_A_CLASS = 5
_MANY_DUPLICATES = 0.3


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
        Its result has `rows` of each part, the number of `folds` (1: train and validation as they are), in how many
        `drawings` over the same rows they come, and `warnings`.

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
        return _make(
            recipe, source, schema, task, given, previous, origin | {"previous": chain}, out, progress
        )

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
    meta = meta_of(previous)
    if all(meta.get(key) == value for key, value in origin.items()):
        return meta.get("previous", "")
    return stage.file_digest(previous)


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
    content = content_of(rows, schema, task, recipe)
    progress(0.3, f"{len(content.digests):,} rows")
    warnings: list[str] = []
    drawn = assignment.units(content.digests, content.groups)
    earlier = earlier_parts(previous, content)
    if content.times is None:
        parts = _draw(recipe, content, drawn, earlier, given)
    else:
        parts = _draw_by_time(recipe, content, earlier, given, warnings)
    held_out = HeldOut(recipe, source, schema, given)
    warnings += held_out.leave_out_copies(content.digests, parts)
    _check(parts, content, schema, task, given, recipe, warnings)
    distinct = len(drawn.keys) if content.groups is None else len(np.unique(content.digests))
    duplicates = 1 - distinct / len(content.digests)
    if duplicates > _MANY_DUPLICATES:
        warnings.append(
            f"{duplicates:.0%} of the rows repeat others exactly; copies stay on one side of the split"
        )

    masks = {f"{name}.parquet": parts == part for part, name in NAMES.items() if name not in given}
    inside = np.isin(parts, [TRAIN, VALIDATION])
    masks["half.parquet"] = inside & half_of(drawn, content, inside, recipe.split.seed)
    folds, drawings = folds_of(recipe, content, drawn, parts, given, task)
    for number, (learn, score) in enumerate(folds):
        masks[f"folds/{number}/train.parquet"] = learn
        masks[f"folds/{number}/score.parquet"] = score
    _write(rows, schema, masks, out, progress)
    warnings += held_out.write(out)
    write_assignments(out / "assignments.parquet", content, parts, previous, meta)
    counts = {
        name: pq.read_metadata(out / f"{name}.parquet").num_rows for name in ("train", "validation", "test")
    }
    _warn_small(counts, out, schema, task, warnings)
    return {"rows": counts, "folds": len(folds) or 1, "drawings": drawings, "warnings": warnings}


def _shares(recipe: Recipe, given: list[str]) -> tuple[float, float]:
    return (
        0.0 if "test" in given else recipe.split.test,
        0.0 if "validation" in given else recipe.split.validation,
    )


def _draw(
    recipe: Recipe, content: Content, drawn: Units, earlier: np.ndarray, given: list[str]
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
    recipe: Recipe, content: Content, earlier: np.ndarray, given: list[str], warnings: list[str]
) -> np.ndarray:
    """Part of each row by time. The cuts of an earlier split stay, so that no test row is older than a train row."""
    assert content.times is not None
    cuts = [
        float(content.times[earlier == part].min()) if (earlier == part).any() else None
        for part in (TEST, VALIDATION)
    ]
    shares = _shares(recipe, given)
    parts, _ = assignment.by_time(content.times, shares, cuts)
    share = float((parts == TEST).mean())
    if cuts[0] is not None and share > 1.5 * shares[0]:
        warnings.append(
            f"split.time: the cuts of the first run are kept, and test has {share:.0%} of the rows by now; "
            "take a new name for the dataset to cut anew"
        )
    return parts


def _check(
    parts: np.ndarray,
    content: Content,
    schema: Schema,
    task: Task,
    given: list[str],
    recipe: Recipe,
    warnings: list[str],
) -> None:
    """Every part has rows, and of every class."""
    by = recipe.split.time or recipe.split.group
    how = f" (split by '{by}')" if by else ""
    for part, name in NAMES.items():
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
    shares = dict(zip((TEST, VALIDATION), _shares(recipe, given), strict=True))
    for part, asked in shares.items():
        got = float((parts == part).mean())
        if (
            asked
            and not 0.5 * asked <= got <= 1.6 * asked
            and recipe.split.time is None
            and len(parts) >= 100
        ):
            warnings.append(
                f"split: {NAMES[part]} has {got:.0%} of the rows where {asked:.0%} were asked for: rows that belong "
                "together are many"
            )


def _write(
    rows: Rows, schema: Schema, masks: Mapping[str, np.ndarray], out: Path, progress: Progress
) -> None:
    """All parts in one pass over the rows, in source order."""
    start, total = 0, len(rows)
    texts = [column.name for column in schema if column.arrow == pa.string()]
    with ExitStack() as stack:
        writers = {}
        for name in masks:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            writers[name] = stack.enter_context(
                pq.ParquetWriter(out / name, schema.arrow(), compression="zstd", use_dictionary=texts)
            )
        for batch in rows.batches():
            for name, mask in masks.items():
                here = mask[start : start + batch.num_rows]
                if here.any():
                    writers[name].write_table(batch.filter(pa.array(here)).cast(schema.arrow()))
            start += batch.num_rows
            progress(0.3 + 0.7 * start / total, f"{start:,} of {total:,} rows written")


def _warn_small(
    counts: Mapping[str, int], out: Path, schema: Schema, task: Task, warnings: list[str]
) -> None:
    """Test rows so few that the intervals will be wide."""
    if counts["test"] < _FEW_TEST_ROWS:
        warnings.append(f"test has {counts['test']} rows only: intervals will be wide")
    if task.type != "classification":
        return
    column = pq.read_table(out / "test.parquet", columns=[schema.target]).column(0)
    pairs = sorted(pc.value_counts(column).to_pylist(), key=lambda pair: (pair["counts"], pair["values"]))
    few = [pair for pair in pairs if pair["counts"] < _FEW_OF_A_CLASS]
    if few:
        others = f", and as few of {len(few) - 1} other classes" if len(few) > 1 else ""
        warnings.append(
            f"test has {few[0]['counts']} rows of class '{few[0]['values']}' only{others}: intervals will be wide"
        )
