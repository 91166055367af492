"""The file system beneath a store: what the store asks of it, and a folder on a disk."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Protocol

from leaven.pipelines.version import MANIFEST, Version

DRAFT = ".draft-"
_WAIT = 60.0  # seconds that another process may take to change a small file
Change = Callable[[bytes | None], bytes | None]


class FileSystem(Protocol):
    """All that the store asks of a file system. Paths count from the store's root and use `/`."""

    def folders(self, path: str) -> list[str]:
        """Names of the folders in `path`, sorted; none where it does not exist."""

    def published(self, path: str) -> list[str]:
        """Names of the folders in `path` that hold a manifest, sorted."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None where there is none."""

    def replace(self, path: str, content: bytes) -> None:
        """Write a small file; a reader sees the old bytes or the new ones."""

    def update(self, path: str, change: Change) -> None:
        """Replace a small file by what `change` makes of its bytes; None leaves it as it is.

        Where several machines write, `change` is asked again until nobody else wrote in between.
        """

    def draft(self, path: str) -> Path:
        """A new, empty local folder in which what will stand in `path` is composed."""

    def publish(self, folder: Path, path: str) -> None:
        """Make the local `folder` appear as `path`: its manifest is seen only when all else is there."""

    def sweep(self, path: str) -> None:
        """Remove what killed publications left in `path`."""

    def remove(self, path: str) -> None:
        """Remove a published folder, its manifest first, so that no reader sees a part of it."""

    def unfinished(self, path: str) -> dict[str, float]:
        """What publications that did not end have left in `path`: name of the folder -> seconds since it was begun."""

    def local(self, path: str) -> Path | None:
        """A local copy of a small file, or None where there is none."""

    def version(self, name: str, version: str) -> Version:
        """A published version, for readers on this machine."""


class LocalDisk:
    """A folder on a local (or mounted) disk."""

    def __init__(self, root: Path):
        self.root = root

    def folders(self, path: str) -> list[str]:
        try:
            return sorted(entry.name for entry in (self.root / path).iterdir() if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def published(self, path: str) -> list[str]:
        return [
            name
            for name in self.folders(path)
            if not name.startswith(".") and self.has(f"{path}/{name}/{MANIFEST}")
        ]

    def has(self, path: str) -> bool:
        return (self.root / path).is_file()

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def replace(self, path: str, content: bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=DRAFT, dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(target.parent)

    def update(self, path: str, change: Change) -> None:
        import filelock

        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=_WAIT):
            content = change(self.read(path))
            if content is not None:
                self.replace(path, content)

    def draft(self, path: str) -> Path:
        target = self.root / path
        target.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=DRAFT, dir=target))
        folder.chmod(0o755)  # mkdtemp's is for its owner alone, but a release is read by others
        return folder

    def publish(self, folder: Path, path: str) -> None:
        target = self.root / path
        if folder.parent != target.parent:
            beside = self.draft(str(PurePosixPath(path).parent))
            shutil.copytree(folder, beside, dirs_exist_ok=True)
            folder = beside
        manifest = folder / MANIFEST
        for file in sorted(folder.rglob("*"), key=lambda entry: (entry == manifest, entry)):
            _sync(file)
        _sync(folder)
        folder.rename(target)
        _sync(target.parent)

    def sweep(self, path: str) -> None:
        for entry in (self.root / path).glob(f"{DRAFT}*"):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
                continue
            with contextlib.suppress(
                FileNotFoundError
            ):  # a small file may be another process's, just being written
                if time.time() - entry.stat().st_mtime > _WAIT:
                    entry.unlink()

    def remove(self, path: str) -> None:
        target = self.root / path
        hidden = target.with_name(f"{DRAFT}removed-{target.name}")
        with contextlib.suppress(FileNotFoundError):  # gone already: the lock's holder sweeps
            target.rename(hidden)
            shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()

    def unfinished(self, path: str) -> dict[str, float]:
        now = time.time()
        return {entry.name: now - entry.stat().st_mtime for entry in (self.root / path).glob(f"{DRAFT}*")}

    def local(self, path: str) -> Path | None:
        found = self.root / path
        return found if found.is_file() else None

    def version(self, name: str, version: str) -> Version:
        return Version(name, version, self.root / name / "versions" / version)


def _sync(path: Path) -> None:
    """Have the disk hold a file, or a folder's entries, before anything after it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
