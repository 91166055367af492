"""A stage is a function from paths and a small config to a record. The record decides what is reused.

Work happens in a folder of its own that is renamed into place when the record stands in it, so a killed stage
leaves nothing that looks finished; a rerun with equal inputs, config and code takes the record, once its files
are checked against it.
"""

import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from leaven.generators.errors import RESUMES, StoreError

RECORD = "record.json"
STORAGE_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
PACKAGES = (
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "torch",
    "sdv",
    "sdmetrics",
    "transformers",
    "ctranslate2",
    "sentencepiece",
    "sentencex",
    "datasketch",
    "rapidfuzz",
    "py3langid",
)


class File(BaseModel):
    """A file of a stage: path within the stage's folder, size, digest, and rows when it is Parquet."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None


class Record(BaseModel):
    """What a stage was given and what it left."""

    stage: str
    inputs: dict[str, str]  # name -> digest of what was read
    config: dict[str, Any]
    code: str
    files: list[File] = Field(default_factory=list)
    result: dict[str, Any] = Field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def digest(self) -> str:
        """Digest of the content: equal files and result give equal digests, whenever and wherever made."""
        return digest({"files": [(f.path, f.sha256) for f in self.files], "result": self.result})

    def path(self, name: str) -> Path:
        """The file `name` of the stage."""
        return self.folder / name

    def paths(self, pattern: str) -> list[Path]:
        """The stage's files that match a glob pattern, in order."""
        return [self.folder / f.path for f in self.files if Path(f.path).match(pattern)]

    def rows(self, pattern: str = "*.parquet") -> int:
        return sum(f.rows or 0 for f in self.files if Path(f.path).match(pattern))


def digest(value: Any) -> str:
    """sha256 of a JSON-serialisable value."""
    text = json.dumps(value, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def code_digest() -> str:
    """Digest of the code that makes rows and numbers: ours without reports, and the libraries' versions."""
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256(json.dumps(packages()).encode())
    for room in ("generators", "pipelines"):
        for path in sorted((root / room).rglob("*.py")):
            if "report" not in path.relative_to(root).parts:
                total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def packages() -> dict[str, str]:
    """Versions of what makes rows and numbers."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def describe(path: Path, folder: Path) -> File:
    """The file's entry for a record."""
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return File(
        path=path.relative_to(folder).as_posix(),
        bytes=path.stat().st_size,
        sha256=file_digest(path),
        rows=rows,
    )


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def finished(folder: Path, inputs: Mapping[str, str], config: Mapping[str, Any]) -> Record | None:
    """The record in `folder` if it was made from just these and its files are all there, unchanged."""
    try:
        record = Record.model_validate_json((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    asked = json.loads(json.dumps(dict(config), sort_keys=True, default=str))
    if record.inputs != dict(inputs) or record.config != asked or record.code != code_digest():
        return None
    record.folder = folder
    for file in record.files:
        path = folder / file.path
        if not path.is_file() or path.stat().st_size != file.bytes or file_digest(path) != file.sha256:
            return None
    return record


def run(
    work: Path,
    stage: str,
    *,
    inputs: Mapping[str, str],
    config: Mapping[str, Any],
    make: Callable[[Path], Mapping[str, Any] | None],
) -> Record:
    """Take the finished record of this stage, or make it.

    Args:
        work: folder of all stages of one name.
        stage: the stage's name, with what tells it from its siblings: `fit-ctgan-0`.
        inputs: name -> digest of everything that is read.
        config: everything else that the outcome depends on (JSON-serialisable).
        make: writes files into the folder it is given and returns the record's `result`.
    """
    key = digest({"stage": stage, "inputs": dict(inputs), "config": dict(config), "code": code_digest()})[:12]
    folder = work / f"{stage}-{key}"
    record = finished(folder, inputs, config)
    if record is not None:
        os.utime(folder)  # a sweep drops folders that no recent run touched
        return record
    making: Path | None = None
    try:
        work.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".making-{stage}-", dir=work))
        start = time.monotonic()
        result = dict(make(making) or {})
        seconds = time.monotonic() - start
        files = [describe(path, making) for path in sorted(making.rglob("*")) if path.is_file()]
        record = Record(
            stage=stage,
            inputs=dict(inputs),
            config=json.loads(json.dumps(dict(config), sort_keys=True, default=str)),
            code=code_digest(),
            files=files,
            result=json.loads(json.dumps(result, default=str)),
            seconds=seconds,
            peak_memory_bytes=peak_memory(),
        )
        (making / RECORD).write_text(record.model_dump_json(indent=1))
        if folder.exists():
            other = finished(folder, inputs, config)
            if (
                other is not None
            ):  # made in the meantime, by a worker that was thought lost: others may read it
                return other
            shutil.rmtree(folder)  # damaged
        making.rename(folder)
    except OSError as error:
        if error.errno in STORAGE_FAILS:
            reason = os.strerror(error.errno)
            raise StoreError(f"store: cannot write in {work}: {reason}; {RESUMES}") from error
        raise
    finally:
        if making is not None:
            shutil.rmtree(making, ignore_errors=True)
    record.folder = folder
    return record


def sweep(work: Path, started: float) -> int:
    """Drop stage folders that no run has touched since `started`, and what killed stages left. Returns how many."""
    found = untouched(work, started)
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def untouched(work: Path, since: float) -> list[Path]:
    """Stage folders that no run has touched since, sorted."""
    return sorted(
        folder
        for folder in (work.iterdir() if work.is_dir() else ())
        if folder.is_dir() and folder.stat().st_mtime < since
    )
