"""Release: everything that a run made becomes a version in the store, at once, or nothing does."""

import datetime
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import leaven
from leaven.generators.errors import StoreError
from leaven.generators.rows import parquet
from leaven.generators.schema import Schema
from leaven.pipelines import kinds, marked
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.report import card, croissant
from leaven.pipelines.stage import File, Record, code_digest, describe, digest, file_digest, packages
from leaven.pipelines.store import Store
from leaven.pipelines.version import GENERATOR, MANIFEST, Version

PARTS = ("train", "validation", "test")
_NOT_CONTENT = {
    "store",
    "schedule",
    "workers",
    "budget",
    "notify",
}  # where, when, how fast, for whom: not what
_FAULTS = {"row": "_row", "column": "_column", "value": "_value", "reason": "_reason"}


@dataclass(frozen=True)
class Outcome:
    """A version that stands in the store. `new` is false when an equal one stood there already."""

    version: str
    verdict: str
    path: Path
    report: dict[str, Any]
    new: bool = True


def release(
    recipe: Recipe,
    *,
    store: Store,
    report: Mapping[str, Any],
    schema: Schema,
    real: Mapping[str, Sequence[Path]],
    synthetic: Sequence[Path],
    rejected: Sequence[Path],
    generator: Path | None,
    seeds: Mapping[str, Any],
    stages: Sequence[Record],
    parents: Sequence[str],
) -> Outcome:
    """Publish a version; `report["verdict"]` says whether readers who name no version get it from now on.

    A run whose rows, recipe and verdict equal those of the newest version makes no new one.

    Args:
        real: files of `train`, `validation` and `test` rows.
        synthetic: shards, in order; rows with `_generator`, `_source_row` and `_seed`.
        rejected: what ingest (row, column, value, reason) and screen (rows with `_reason`) dropped.
        generator: folder of the released generator.
        parents: versions or digests of sources that this one was made from.

    Raises:
        StoreError: the store cannot be written; nothing half-written is seen, and a rerun resumes.
    """
    verdict = str(report["verdict"])
    shards = [path for path in synthetic if pq.read_metadata(path).num_rows] or list(synthetic[:1])
    data = {
        **{part: [file_digest(path) for path in real.get(part, ())] for part in PARTS},
        "synthetic": [file_digest(path) for path in shards],
    }
    asked = recipe.model_dump(mode="json", exclude=_NOT_CONTENT)
    measured = [record.digest for record in stages if record.stage == "certify"]
    content = digest({"data": data, "recipe": asked, "verdict": verdict, "measured": measured})
    equal = _equal(store, recipe.name, content)
    if equal is not None:
        return Outcome(equal.id, verdict, equal.path, equal.report, new=False)

    version = store.new_id(recipe.name, content)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    report = {**report, "version": version, "name": recipe.name, "created": report.get("created") or now}
    with store.draft(recipe.name) as folder:
        layout = kinds.get(recipe.source.kind).layout(schema)
        _place_data(folder, schema, layout, real, shards, rejected)
        rejects = marked.of(recipe, schema)
        if rejects is not None:
            rejects.keep(folder)
        if generator is not None:
            _place_tree(generator, folder / GENERATOR)
        _write_pages(folder, report)
        manifest = {
            "format": 1,
            "name": recipe.name,
            "version": version,
            "created": report["created"],
            "verdict": verdict,
            "effect": report.get("effect"),
            "content": content,
            "data": data,
            "recipe": recipe.model_dump(mode="json"),
            "schema": schema.model_dump(mode="json"),
            "task": report["task"],
            "generator": report.get("certified") or report.get("chosen") if generator is not None else None,
            "seeds": dict(seeds),
            "code": {"digest": code_digest(), "leaven": leaven.__version__},
            "packages": {**packages(), "platform": platform.platform()},
            "stages": [_stage(record) for record in stages],
            "files": [entry.model_dump() for entry in _files(folder)],
            "parents": list(parents),
        }
        (folder / MANIFEST).write_text(_json(manifest), encoding="utf-8")
        published = store.publish(recipe.name, version, folder, latest=verdict == "released")
    return Outcome(version, verdict, published.path, report)


def _equal(store: Store, name: str, content: str) -> Version | None:
    """The newest version if its content is the same; a `latest` that a killed run left behind is put right."""
    for newest in store.versions(name)[-1:]:
        version = store.get(name, newest)
        if version.manifest.get("content") == content and not version.altered():
            if version.released:
                store.point(name, newest)
            return version
    return None


def _place_data(
    folder: Path,
    schema: Schema,
    layout: Any,
    real: Mapping[str, Sequence[Path]],
    shards: Sequence[Path],
    rejected: Sequence[Path],
) -> None:
    for part in PARTS:
        if real.get(part):
            target = folder / "data" / "real" / f"{part}.parquet"
            _place_rows(list(real[part]), target, schema.names, layout)
    for number, shard in enumerate(shards):
        target = folder / "data" / "synthetic" / f"{number:05d}.parquet"
        _place_rows([shard], target, pq.read_schema(shard).names, layout)
    _write_rejected(folder / "rejected.parquet", schema, layout, rejected)


def _place_rows(sources: list[Path], target: Path, columns: list[str], layout: Any) -> None:
    """One file of rows with just these columns, as the kind lays them out."""
    if layout.same and len(sources) == 1 and pq.read_schema(sources[0]).names == columns:
        _place(sources[0], target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([pq.read_schema(sources[0]).field(name) for name in columns])
    with pq.ParquetWriter(target, layout.schema(schema), compression="zstd") as writer:
        for source in sources:
            for batch in parquet(source).iter_batches(layout.group_rows, columns=columns):
                writer.write_table(layout.table(pa.Table.from_batches([batch]).select(columns).cast(schema)))


def _place(source: Path, target: Path) -> None:
    """A second name for the same bytes; a copy where the disk has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    target.chmod(
        0o444
    )  # the bytes may be another version's as well: nobody should write into them by mistake


def _place_tree(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            _place(path, target / path.relative_to(source))


def _write_rejected(target: Path, schema: Schema, layout: Any, sources: Sequence[Path]) -> None:
    """One table of all that was dropped: single values of the source and whole synthetic rows, with the reason."""
    extra = [pa.field(name, pa.string()) for name in ("_reason", "_origin", "_column", "_value")]
    whole = layout.schema(pa.schema([*extra, pa.field("_row", pa.int64()), *schema.arrow()]))
    with pq.ParquetWriter(target, whole, compression="zstd") as writer:
        for source in sources:
            faults = "_reason" not in pq.read_schema(source).names
            origin = "source" if faults else "synthetic"
            for batch in parquet(source).iter_batches(layout.group_rows):
                table = pa.Table.from_batches([batch])
                if faults:
                    table = table.rename_columns([_FAULTS.get(name, name) for name in table.column_names])
                else:
                    table = layout.table(table)
                named = {name: table.column(name) for name in table.column_names}
                named["_origin"] = pa.chunked_array([pa.array([origin] * len(table), pa.string())])
                columns = [
                    named[field.name].cast(field.type)
                    if field.name in named
                    else pa.chunked_array([pa.nulls(len(table), field.type)])
                    for field in whole
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=whole))


def _write_pages(folder: Path, report: Mapping[str, Any]) -> None:
    from leaven.pipelines.report import page

    data = sorted(folder.glob("data/**/*.parquet"))
    synthetic = [path for path in data if path.parent.name == "synthetic"]
    parts = [part for part in PARTS if (folder / f"data/real/{part}.parquet").is_file()]
    if not parts:
        raise StoreError("a version needs real rows; none were given")
    real = pq.read_schema(folder / f"data/real/{parts[0]}.parquet")
    made = pq.read_schema(synthetic[0]) if synthetic else None
    (folder / "report.json").write_text(_json(report), encoding="utf-8")
    (folder / "report.html").write_text(page.render(report), encoding="utf-8")
    card.write(folder / "README.md", report, real, made, parts)
    croissant.write(folder, report, [describe(path, folder) for path in data])


def _files(folder: Path) -> list[File]:
    return [
        describe(path, folder)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    ]


def _stage(record: Record) -> dict[str, Any]:
    return {
        "stage": record.stage,
        "inputs": record.inputs,
        "config": record.config,
        "code": record.code,
        "digest": record.digest,
        "files": {file.path: file.sha256 for file in record.files},
        "seconds": round(record.seconds, 3),
        "result": record.result if record.stage.startswith("fit") else None,  # the steps, for a replay
    }


def _json(value: Any) -> str:
    """JSON that every reader takes: what is not a finite number becomes null."""
    return json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inside) for inside in value]
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a NumPy scalar
        return _finite(value.item())
    return value
