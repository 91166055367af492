"""Croissant: the description of a version that catalogues and loaders read (mlcommons.org/croissant, 1.0)."""

import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.image.png import STORED
from leaven.pipelines.report import nouns, words
from leaven.pipelines.stage import File

_PARQUET = "application/x-parquet"


def write(folder: Path, report: Mapping[str, Any], files: list[File]) -> None:
    """Write `croissant.json` for the Parquet data `files` of a version's `folder`."""
    (folder / "croissant.json").write_text(
        json.dumps(describe(folder, report, files), indent=2, ensure_ascii=False, default=str),
        encoding="utf-8",
    )


def describe(folder: Path, report: Mapping[str, Any], files: list[File]) -> dict[str, Any]:
    """The JSON-LD: each file with its sha256, and a record set for each real part and for the synthetic rows."""
    import mlcroissant as mlc

    say = nouns.sayer(report)
    context = mlc.Context(conforms_to="http://mlcommons.org/croissant/1.0")
    distribution: list[Any] = [
        mlc.FileObject(
            ctx=context,
            id=file.path,
            name=file.path,
            content_url=file.path,
            content_size=f"{file.bytes} B",
            encoding_formats=[_PARQUET],
            sha256=file.sha256,
        )
        for file in files
    ]
    records: list[Any] = []
    for file in files:
        if file.path.startswith("data/real/"):
            part = Path(file.path).stem
            about = say(f"{file.rows:,} real {part} rows")
            schema = pq.read_schema(folder / file.path)
            records.append(_records(mlc, context, f"real_{part}", about, schema, {"file_object": file.path}))
    synthetic = [file for file in files if file.path.startswith("data/synthetic/")]
    if synthetic:
        # A file set reads all shards as one; the shards stand above as well, for their digests.
        distribution.append(
            mlc.FileSet(
                ctx=context,
                id="synthetic-files",
                name="synthetic-files",
                encoding_formats=[_PARQUET],
                includes=["data/synthetic/*.parquet"],
            )
        )
        about = say(f"{sum(file.rows or 0 for file in synthetic):,} synthetic rows")
        schema = pq.read_schema(folder / synthetic[0].path)
        records.append(_records(mlc, context, "synthetic", about, schema, {"file_set": "synthetic-files"}))
    metadata = mlc.Metadata(
        ctx=context,
        name=report["name"],
        description=f"{words.answer(report)} {say('Real rows with synthetic ones for training, made by Leaven.')}",
        version=_semantic(report["version"]),
        date_published=datetime.datetime.fromisoformat(report["created"]),
        license=["https://spdx.org/licenses/LicenseRef-unknown"],
        url=f"file:{report['version']}",
        cite_as=f"{report['name']}, version {report['version']}, made by Leaven",
        keywords=["synthetic data", "data augmentation"],
        distribution=distribution,
        record_sets=records,
        data_limitations=words.limits(report),
        data_use_cases=[f"training models that predict {(report.get('task') or {}).get('target')}"],
    )
    return {**metadata.to_json(), "isLiveDataset": False}


def _records(mlc: Any, context: Any, name: str, about: str, schema: pa.Schema, source: dict[str, str]) -> Any:
    used: set[str] = set()
    fields = []
    for column in schema:
        identifier = plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", column.name)
        while identifier in used:
            identifier = f"{plain}_{len(used)}"
        used.add(identifier)
        fields.append(
            mlc.Field(
                ctx=context,
                id=f"{name}/{identifier}",
                name=column.name,
                description=f"column '{column.name}'",
                data_types=[_data_type(mlc, column.type)],
                source=mlc.Source(
                    ctx=context,
                    extract=mlc.Extract(ctx=context, column=column.name),
                    transforms=[mlc.Transform(ctx=context, json_path="bytes")]
                    if column.type == STORED
                    else [],
                    **source,
                ),
            )
        )
    return mlc.RecordSet(ctx=context, id=name, name=name, description=about, fields=fields)


def _data_type(mlc: Any, kind: pa.DataType) -> Any:
    if kind == STORED:
        return mlc.DataType.IMAGE_OBJECT
    if pa.types.is_boolean(kind):
        return mlc.DataType.BOOL
    if pa.types.is_integer(kind):
        return mlc.DataType.INTEGER
    if pa.types.is_floating(kind):
        return mlc.DataType.FLOAT
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return mlc.DataType.DATETIME
    return mlc.DataType.TEXT


def _semantic(version: str) -> str:
    """Croissant wants MAJOR.MINOR.PATCH: the day, the time of day, and the content as a build tag."""
    day, _, rest = version.partition("T")
    time, _, content = rest.partition("Z-")
    return f"{int(day)}.{int(time)}.0+{content}" if day.isdigit() and time.isdigit() else version
