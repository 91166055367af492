"""Ingest: the source becomes one typed Parquet dataset with a digest of its content."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leaven.generators.contract import Progress, silent
from leaven.generators.errors import InputError
from leaven.generators.schema import Column, Schema
from leaven.pipelines import kinds, stage
from leaven.pipelines.recipe import Recipe, resolve
from leaven.pipelines.stage import Record
from leaven.pipelines.task import Task

_TEXTS = ("category", "text")


def ingest(
    recipe: Recipe,
    folder: Path,
    work: Path,
    progress: Progress = silent,
    *,
    previous_schema: Path | None = None,
) -> Record:
    """Read the recipe's source.

    Args:
        recipe: what to read.
        folder: the folder that the recipe's paths count from.
        work: folder of all stages of this name.
        progress: called with the share done.
        previous_schema: the `schema.json` of an earlier run. Columns that could be read either way keep their
            type; other changes are refused.

    Returns:
        Record with `rows.parquet` (typed, in source order), `validation.parquet` and `test.parquet` where the recipe
        names such files, `rejected.parquet` (row, column, value, reason), `schema.json` and `profile.json`.
        Its result has `digest`, `rows`, `rejected`, `task` and `warnings`.

    Raises:
        InputError: the source or the recipe is wrong; nothing is left behind.
    """
    kind = kinds.get(recipe.source.kind)
    inputs = _digests(recipe, folder, kind)
    config: dict[str, Any] = {
        "source": recipe.source.model_dump(mode="json", exclude={"path"}),
        "task": recipe.task.model_dump(mode="json"),
        "split": {"group": recipe.split.group, "time": recipe.split.time},
        "constraints": [constraint.model_dump(mode="json") for constraint in recipe.constraints],
    }

    def make(keep: Mapping[str, Column]) -> Record:
        kept = {"keep": {name: column.model_dump(mode="json") for name, column in keep.items()}}
        return stage.run(
            work,
            "ingest",
            inputs=inputs,
            config=config | (kept if keep else {}),
            make=lambda out: kind.read(recipe, folder, out, keep=keep, progress=progress),
        )

    record = None
    missing_folders = [place for place in (work, *work.parents) if not place.exists()]
    try:
        record = make({})
        if previous_schema is None or not previous_schema.exists():
            return record
        keep = reconcile(Schema.model_validate_json(previous_schema.read_text()), load_schema(record), recipe)
        return make(keep) if keep else record
    except InputError:
        # What is refused leaves nothing: neither rows nor empty folders.
        if record is not None:
            shutil.rmtree(record.folder, ignore_errors=True)
        for place in missing_folders:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def reconcile(before: Schema, now: Schema, recipe: Recipe) -> dict[str, Column]:
    """Which columns keep their earlier type, although the rows alone would now give another.

    What the recipe says of a column (`source.columns`, `source.drop`, the target) is a change on purpose.

    Raises:
        InputError: a column is gone, new, or of another type; names it.
    """
    name_of_file = Path(recipe.source.path).name
    told = {*recipe.source.columns, *recipe.source.drop, before.target, now.target}
    for column in before:
        if column.name not in now and column.name not in told:
            raise InputError(
                f"{name_of_file}: column '{column.name}' of the earlier run is gone; bring it back, say "
                f"source.drop, or take a new name for the dataset"
            )
    keep = {}
    for column in now:
        if column.name in told:
            continue
        if column.name not in before:
            raise InputError(
                f"{name_of_file}: column '{column.name}' was not there in the earlier run; leave it out with "
                "source.drop, or take a new name for the dataset"
            )
        earlier = before[column.name]
        if (earlier.type, earlier.storage) == (column.type, column.storage):
            continue
        if not _readable_as(column, earlier):
            raise InputError(
                f"{name_of_file}: column '{column.name}' was {earlier.type} in the earlier run and is {column.type} "
                f"now; mend the rows, say source.columns: {{{column.name}: {column.type}}}, or take a new name"
            )
        keep[column.name] = earlier
    return keep


def _readable_as(now: Column, earlier: Column) -> bool:
    """Whether every value of `now` can be read with the earlier type."""
    if earlier.arrow == now.arrow:
        return earlier.type in (*_TEXTS, "identifier", "integer") and now.type in (
            *_TEXTS,
            "identifier",
            "integer",
        )
    return earlier.type == "number" and now.type == "integer"


def _digests(recipe: Recipe, folder: Path, kind: Any) -> dict[str, str]:
    """Digest of each source that is read.

    Raises:
        InputError: one is missing, or nothing that the kind reads.
    """
    named = {
        "source.path": ("rows", recipe.source.path),
        "split.validation_path": ("validation", recipe.split.validation_path),
        "split.test_path": ("test", recipe.split.test_path),
    }
    found = {}
    for field, (part, text) in named.items():
        if text is None:
            continue
        try:
            path = resolve(text, folder)
            if not path.exists():
                raise InputError(f"{path} is not there")
            found[part] = kind.source_digest(path)
        except InputError as error:
            raise InputError(f"{field}: {error}") from None
    return found


def load_schema(record: Record) -> Schema:
    """The columns of an ingested source."""
    return Schema.model_validate_json(record.path("schema.json").read_text())


def load_task(record: Record) -> Task:
    """The task of an ingested source."""
    return Task.model_validate(record.result["task"])


def load_profile(record: Record) -> dict[str, Any]:
    """What people see of the columns: `{"rows": n, "columns": [{name, type, missing, distinct, ...}]}`."""
    return json.loads(record.path("profile.json").read_text())
