"""Screen: drop synthetic rows that must not be used, each with its reason. One shard in memory at a time."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.contract import Progress, silent
from leaven.generators.parallel import Each
from leaven.generators.rows import to_frame
from leaven.generators.schema import Schema
from leaven.pipelines import marked
from leaven.pipelines.recipe import Recipe, Screen
from leaven.pipelines.sample import with_sources
from leaven.pipelines.stage import digest, file_digest
from leaven.pipelines.task import Task


def for_role(recipe: Recipe, role: str) -> Recipe:
    """The recipe with the screens for an editor or a sampler: an editor's rows resemble their source by design."""
    if role == "sampler":
        return recipe
    return recipe.model_copy(update={"screen": recipe.screen.model_copy(update={"near_copies": False})})


def screen(
    kind: ModuleType,
    schema: Schema,
    task: Task,
    recipe: Recipe,
    *,
    train: list[Path],
    shards: list[Path],
    out: Path,
    seed: int,
    threads: int,
    level: Screen | None = None,
    quotas: Sequence[tuple[int, int]] = (),
    earlier: Sequence[Path] = (),
    each: Each | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Pass every shard through the kind's screens.

    Args:
        kind: gives the screens, fitted on train.
        schema: the source's columns; what else a shard carries is kept as it is.
        task: whose classes are counted.
        recipe: which screens are on, and the constraints.
        train: Parquet files of train rows; nothing else is learned from.
        shards: Parquet files of synthetic rows, in order.
        out: gets `kept/NNNNN.parquet`, one per shard, perhaps with no rows, and `rejected.parquet`, all columns
            and `_reason`: the first screen that a row did not pass.
        seed: of folds and samples.
        threads: of the label classifiers.
        level: one of `recipe.screen.levels()`; the first one when left out.
        quotas: (shards, rows) one after the other: of these shards no more than these rows are kept, and what comes
            after them is not looked at. All rows are when left out.
        earlier: Parquet files of rows that earlier rounds kept: what repeats them goes.
        each: like `map`; judges the shards. Their rows are kept and written here, since quotas go by what came before.
        progress: called after each shard.

    Returns:
        `{"sampled": n, "kept": n, "rejected": {reason: count}, "kept_per_class": {label: count}}`.
    """
    progress(0.0, "fitting screens")
    asked = recipe.model_dump(mode="json", include={"screen", "constraints", "source"})
    files = [file_digest(path) for path in train]
    key = digest([kind.__name__, schema.model_dump(), task.model_dump(), asked, files, seed, threads])
    make = functools.partial(kind.screens, schema, task, recipe, train=train, seed=seed, threads=threads)
    whole = with_sources(schema)
    judge = functools.partial(_judged, key, make, level, whole)
    rejects = marked.of(recipe, schema)
    # A shard's own repetitions are found where it is judged; those of other shards and rounds here, in their order.
    seen = kind.duplicates(schema, recipe) if earlier or len(shards) > 1 else None
    if seen is not None:
        for path in earlier:
            seen.reasons(to_frame(pq.read_table(path), whole))
    left = [[shards_of, rows] for shards_of, rows in quotas]
    folder = out / "kept"
    folder.mkdir(parents=True, exist_ok=True)
    first = pq.read_schema(shards[0]) if shards else schema.arrow()
    reasons: Counter[str] = Counter()
    classes: Counter[str] = Counter(dict.fromkeys(task.classes, 0))
    sampled = kept = 0
    with pq.ParquetWriter(out / "rejected.parquet", first.append(pa.field("_reason", pa.string()))) as writer:
        for number, (shard, found) in enumerate(zip(shards, (each or map)(judge, shards), strict=True)):
            table = pq.read_table(shard)
            if rejects is not None:
                found = np.where(rejects.among(table), marked.REASON, found)
            if seen is not None:
                passed = np.flatnonzero(found == "")
                found[passed] = seen.reasons(to_frame(table.take(passed), whole))
            keep = found == ""
            if left:
                looked_at = _within(left, keep)
                table, found, keep = table[:looked_at], found[:looked_at], keep[:looked_at]
            kept_rows = table.filter(pa.array(keep))
            pq.write_table(kept_rows, folder / f"{number:05d}.parquet")
            dropped = table.filter(pa.array(~keep))
            writer.write_table(dropped.append_column("_reason", pa.array(found[~keep], pa.string())))
            sampled, kept = sampled + table.num_rows, kept + kept_rows.num_rows
            reasons.update(found[~keep])
            if task.type == "classification":
                labels = kept_rows.column(task.target).value_counts().to_pylist()
                classes.update({str(entry["values"]): entry["counts"] for entry in labels})
            progress((number + 1) / len(shards), f"{kept:,} of {sampled:,} rows kept")
    return {
        "sampled": sampled,
        "kept": kept,
        "rejected": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        "kept_per_class": dict(classes),
    }


def _judged(
    key: str, make: Callable[[], list[Any]], level: Screen | None, schema: Schema, shard: Path
) -> np.ndarray:
    """What `why` says of a shard's rows. A process fits the screens for its first shard and keeps them."""
    return why(_at(level, _fitted(key, make)), to_frame(pq.read_table(shard), schema))


def _within(left: list[list[int]], keep: np.ndarray) -> int:
    """How many rows of the next shard are looked at, given what is `left` of the quotas; takes them off."""
    while not left[0][0]:
        del left[0]
    left[0][0] -= 1
    passed = np.flatnonzero(keep)
    most = left[0][1]
    left[0][1] = max(0, most - len(passed))
    if len(passed) < most:
        return len(keep)
    return int(passed[most - 1]) + 1 if most else 0


_last: dict[str, list[Any]] = {}


def _fitted(key: str, make: Callable[[], list[Any]]) -> list[Any]:
    """What `make` makes: those of the last call again where the key is the same, as in a further round or level."""
    if key not in _last:
        screens = make()
        _last.clear()
        _last[key] = screens
    return _last[key]


def _at(level: Screen | None, screens: list[Any]) -> list[Any]:
    """The screens at a level of label agreement."""
    if level is None:
        return screens
    return [one.at(level.label_agreement) if hasattr(one, "at") else one for one in screens]


def why(screens: list[Any], frame: pd.DataFrame) -> np.ndarray:
    """The first screen's reason for each row, object (rows,), empty for rows that pass all of them."""
    found = np.full(len(frame), "", dtype=object)
    for one in screens:
        left = np.flatnonzero(found == "")
        if not len(left):
            break
        found[left] = one.reasons(frame.iloc[left].reset_index(drop=True))
    return found
