"""What ingest leaves of a source, whatever its kind: the files beside the rows, and the stage's result."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leaven.generators.schema import Schema
from leaven.pipelines.task import Task

REJECTED = pa.schema(
    [("row", pa.int64()), ("column", pa.string()), ("value", pa.string()), ("reason", pa.string())]
)


def write_rejected(path: Path, rows: Sequence[tuple[int, str, str | None, str]]) -> None:
    """Write what was set aside: row, column, value and reason."""
    arrays = [pa.array([row[i] for row in rows], REJECTED.field(i).type) for i in range(4)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=REJECTED), path, compression="zstd")


def finish(
    out: Path,
    schema: Schema,
    profile: Mapping[str, Any],
    digests: Mapping[str, str],
    *,
    rows: int,
    rejected: int,
    task: Task,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Write `schema.json` and `profile.json` into `out`.

    Args:
        digests: part (`rows`, perhaps `validation` and `test`) -> digest of its content.

    Returns:
        `{"digest", "rows", "rejected", "task", "warnings"}`; equal content gives an equal digest, whatever the
        files' names.
    """
    (out / "schema.json").write_text(schema.model_dump_json(indent=1))
    (out / "profile.json").write_text(json.dumps(profile, indent=1, ensure_ascii=False))
    content = hashlib.sha256(schema.model_dump_json(exclude={"target"}).encode())
    for part, digest in digests.items():
        content.update(part.encode() + digest.encode())
    return {
        "digest": content.hexdigest(),
        "rows": rows,
        "rejected": rejected,
        "task": task.model_dump(mode="json"),
        "warnings": list(warnings),
    }
