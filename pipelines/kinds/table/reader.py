"""A table file -> typed Parquet: one pass to understand the columns, one to write the rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leaven.generators.contract import Progress, silent
from leaven.generators.errors import InputError
from leaven.generators.schema import Column, Schema
from leaven.pipelines import target as targets
from leaven.pipelines.kinds.files.csv_file import open_csv
from leaven.pipelines.kinds.files.parquet_file import is_parquet, open_parquet
from leaven.pipelines.kinds.ingested import finish
from leaven.pipelines.kinds.table.describe import check_constraints, profile_of
from leaven.pipelines.kinds.table.infer import Understood, understand
from leaven.pipelines.kinds.table.statistics import Statistics
from leaven.pipelines.kinds.table.write_rows import Source, Written, write_rejected, write_rows
from leaven.pipelines.recipe import Recipe, resolve
from leaven.pipelines.recipe import Source as SourceRecipe
from leaven.pipelines.recipe_errors import nearest

MAX_COLUMNS = 5_000
_RESERVED = ("_generator", "_source_row", "_seed", "_reason", "_origin", "_row", "_column", "_value")
_WARN_ROWS = 200


def read(
    recipe: Recipe,
    folder: Path,
    out: Path,
    *,
    keep: Mapping[str, Column] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Read the recipe's table file(s) into `out`.

    Writes `rows.parquet`, `validation.parquet` and `test.parquet` where the recipe names files for them,
    `rejected.parquet`, `schema.json` and `profile.json`.

    Args:
        recipe: what to read and what to predict.
        folder: the folder that the recipe's paths count from.
        out: an existing folder.
        keep: columns whose earlier type is kept, since the source has been read before.
        progress: called with the share done.

    Returns:
        `{"digest", "rows", "rejected", "task", "warnings"}`; equal content gives an equal digest, whatever the
        file's name.

    Raises:
        InputError: a structural fault of a file, or a recipe that does not fit it.
    """
    source = open_source(resolve(recipe.source.path, folder), recipe.source, "source.path")
    names = _columns(source, recipe)
    found = survey(source, names, recipe.task.target, recipe.source.missing, progress)
    columns = _understand(source, names, found, recipe, keep or {})
    target = next(how for how in columns if how.column.name == recipe.task.target)
    kind = _target_type(found[recipe.task.target], target, recipe)
    schema = Schema(columns=tuple(how.column for how in columns), target=recipe.task.target)
    check_constraints(recipe, schema)

    rows = found[recipe.task.target].rows
    parts: dict[str, tuple[Source, Written]] = {}
    files = {"rows": source, **_files(recipe, folder, names)}
    for part, file in files.items():
        written = write_rows(
            file,
            columns,
            schema,
            out / f"{part}.parquet",
            constraints=recipe.constraints if part == "rows" else (),
            count_labels=kind == "classification",
            total=rows if part == "rows" else None,
            progress=progress,
        )
        _refuse_mostly_faulty(file, written)
        parts[part] = (file, written)
    main = parts["rows"][1]
    task, told = targets.understand(recipe.task, target.column, kind, main.labels)
    for part, (file, written) in parts.items():
        if part != "rows":
            targets.same_labels(task, f"split.{part}_path", file.path.name, written.labels)
    rejected = write_rejected(out / "rejected.parquet", list(parts.values()))

    schema = _with_missing(schema, [written for _, written in parts.values()])
    warnings = [*source.notes, *(w for how in columns for w in how.warnings), *told]
    warnings += _row_warnings(main, rejected, recipe)
    return finish(
        out,
        schema,
        profile_of(found, columns, schema, main),
        {part: written.digest for part, (_, written) in parts.items()},
        rows=main.rows,
        rejected=rejected,
        task=task,
        warnings=warnings,
    )


def open_source(path: Path, how: SourceRecipe, field: str) -> Source:
    """Open a table file, whatever it is.

    Raises:
        InputError: missing, a folder, empty, or not a table.
    """
    if not path.exists():
        raise InputError(f"{field}: there is no file {path}")
    if path.is_dir():
        raise InputError(f"{field}: {path} is a folder; expected a CSV or Parquet file")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path.name}: is empty; expected a header and rows")
        if is_parquet(path):
            return open_parquet(path, how.drop)
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{field}: {path} cannot be read: {error.strerror or error}") from None
    if start[:2] == b"PK" or path.suffix in (".xlsx", ".xls", ".zip", ".json", ".jsonl", ".ods"):
        raise InputError(f"{path.name}: is not a CSV or Parquet file; save it as one of these first")
    return open_csv(path, how.delimiter, how.encoding)


def survey(
    source: Source,
    names: Sequence[str],
    target: str | None,
    missing: Sequence[str],
    progress: Progress = silent,
) -> dict[str, Statistics]:
    """One pass over all rows: statistics of the columns `names`.

    Raises:
        InputError: there are no rows, or a structural fault.
    """
    most = max(50, min(2_000, 2_000_000 // len(names)))
    sketch = max(4_096, min(65_536, 8_000_000 // len(names)))
    found = {
        name: Statistics(name, tuple(missing), 2_000 if name == target else most, sketch) for name in names
    }
    rows = 0
    for batch in source.batches():
        for name in names:
            for chunk in batch.column(name).chunks:
                found[name].update(chunk)
        rows += batch.num_rows
        progress(float("nan"), f"looked at {rows:,} rows")
    if not rows:
        raise InputError(f"{source.path.name}: has a header but no rows")
    return found


def _columns(source: Source, recipe: Recipe) -> list[str]:
    """The columns that are read, once names and recipe are known to fit."""
    check_names(source)
    names = source.names
    for field, asked in (("source.drop", recipe.source.drop), ("source.columns", [*recipe.source.columns])):
        for name in asked:
            # A dropped Parquet column has not even been opened.
            if name not in names and not (field == "source.drop" and source.typed):
                raise InputError(
                    f"{field}: {source.path.name} has no column '{name}'; {nearest(name, names)}"
                )
    names = [name for name in names if name not in recipe.source.drop]
    needed = {
        "task.target": [recipe.task.target],
        "split.group": [recipe.split.group] if recipe.split.group else [],
        "split.time": [recipe.split.time] if recipe.split.time else [],
        **{f"constraints.{i}": c.columns_used for i, c in enumerate(recipe.constraints)},
    }
    for field, asked in needed.items():
        for name in asked:
            if name in recipe.source.drop:
                raise InputError(f"{field}: column '{name}' is left out by source.drop")
            if name not in names:
                raise InputError(
                    f"{field}: {source.path.name} has no column '{name}'; {nearest(name, names)}"
                )
    if len(names) < 2:
        raise InputError(
            f"{source.path.name}: has one column only ('{names[0]}'); expected a target and features "
            "(if the columns run together, set source.delimiter)"
        )
    return names


def check_names(source: Source) -> None:
    """The header is one that columns can be told apart by.

    Raises:
        InputError: too many columns, a blank, duplicate or reserved name.
    """
    names = source.names
    if len(names) > MAX_COLUMNS:
        raise InputError(
            f"{source.path.name}: has {len(names):,} columns; expected at most {MAX_COLUMNS:,} (is it transposed?)"
        )
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name:
            raise InputError(
                f"{source.path.name} line 1: column {number} has no name; expected one (an index that pandas saved? "
                "write with index=False)"
            )
        if name in seen:
            raise InputError(
                f"{source.path.name} line 1: the name '{name}' stands over columns {seen[name]} and {number}; "
                "expected different names"
            )
        if name in _RESERVED:
            raise InputError(
                f"{source.path.name} line 1: the name '{name}' is kept for synthetic rows; rename the column"
            )
        seen[name] = number


def _understand(
    source: Source,
    names: Sequence[str],
    found: Mapping[str, Statistics],
    recipe: Recipe,
    keep: Mapping[str, Column],
) -> list[Understood]:
    def locate(row: int) -> str:
        return f"{source.path.name} {source.unit} {source.lines([row])[row]}"

    columns = []
    for name in names:
        how = understand(
            found[name],
            recipe.source.columns.get(name),
            target=name == recipe.task.target,
            locate=locate,
            delimiter=source.delimiter,
            only_texts=source.typed,
        )
        how.missing = tuple(dict.fromkeys([*recipe.source.missing, *how.missing]))
        earlier = keep.get(name)
        if earlier is not None:
            how.column = how.column.model_copy(update={"type": earlier.type, "storage": earlier.storage})
            how.note = "type kept from before"
        columns.append(how)
    return columns


def _target_type(found: Statistics, target: Understood, recipe: Recipe) -> str:
    """Classification or regression; a target of whole numbers written as 1.0 becomes an integer."""
    column = target.column
    example = found.examples[0] if found.examples else ""
    kind = targets.task_type(recipe.task, column, int(found.distinct), found.whole, example)
    if kind == "classification" and column.type == "number":
        new = "integer" if found.whole else "category"
        target.column = column.model_copy(update={"type": new})
        target.note = f"numbers such as {example} as class labels"
    return kind


def _files(recipe: Recipe, folder: Path, names: Sequence[str]) -> dict[str, Source]:
    """The files of their own for validation and test, with the same columns as the main one."""
    files = {}
    for part, text in (("validation", recipe.split.validation_path), ("test", recipe.split.test_path)):
        if text is None:
            continue
        field = f"split.{part}_path"
        file = open_source(resolve(text, folder), recipe.source, field)
        check_names(file)
        have = [name for name in file.names if name not in recipe.source.drop]
        for name in names:
            if name not in have:
                raise InputError(
                    f"{field}: {file.path.name} has no column '{name}', which {Path(recipe.source.path).name} has"
                )
        extra = [name for name in have if name not in names]
        if extra:
            raise InputError(
                f"{field}: {file.path.name} has a column '{extra[0]}', which "
                f"{Path(recipe.source.path).name} has not (leave it out with source.drop)"
            )
        files[part] = file
    return files


def _refuse_mostly_faulty(source: Source, written: Written) -> None:
    """A column whose values mostly don't fit has the wrong type, which no rejecting of rows can mend."""
    faults = [fault for fault in written.faults if fault[3] != "target is missing"]
    total = written.rows + len(written.faults)
    if faults and len(faults) > total / 2:
        row, column, value, reason = faults[0]
        line = source.lines([row])[row]
        raise InputError(
            f"{source.path.name} {source.unit} {line}: column '{column}' has {value!r}, which {reason}, and so have "
            f"{len(faults)} of {total} rows; is its type right?"
        )
    if written.rows == 0:
        raise InputError(f"{source.path.name}: no row has a target; expected labelled rows")


def _with_missing(schema: Schema, written: Sequence[Written]) -> Schema:
    """The schema, nullable where any of the files misses a value."""
    columns = tuple(
        column.model_copy(update={"nullable": any(part.missing[column.name] for part in written)})
        for column in schema
    )
    return Schema(columns=columns, target=schema.target)


def _row_warnings(main: Written, rejected: int, recipe: Recipe) -> list[str]:
    warnings = []
    unlabelled = sum(fault[3] == "target is missing" for fault in main.faults)
    if unlabelled:
        warnings.append(
            f"{unlabelled} rows have no value of '{recipe.task.target}' and were set aside (rejected.parquet)"
        )
    if rejected - unlabelled:
        warnings.append(
            f"{rejected - unlabelled} rows have a faulty value and were set aside (rejected.parquet)"
        )
    if main.rows < _WARN_ROWS:
        warnings.append(f"there are {main.rows} rows only: expect wide intervals")
    for number, count in sorted(main.broken.items()):
        if count:
            warnings.append(
                f"constraints.{number} ({recipe.constraints[number].kind}): {count} of {main.rows} real rows "
                f"({count / main.rows:.1%}) break it"
            )
    return warnings
