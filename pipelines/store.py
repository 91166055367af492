"""The store: versions of datasets, each seen whole or not at all.

`<store>/<name>/latest.json`, `<store>/<name>/versions/<version>/…` and, for runs,
`<store>/<name>/.work/` (work in progress) and `<store>/<name>/.kept/` (what a run leaves for the runs after it).
"""

import contextlib
import datetime
import difflib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from leaven.generators.errors import InputError, StoreError
from leaven.pipelines.version import MANIFEST, Version

LATEST = "latest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DRAFT = ".draft-"
_STAMP = "%Y%m%dT%H%M%SZ"


class FileSystem(Protocol):
    """All that the store asks of a file system. Paths count from the store's root and use `/`."""

    def folders(self, path: str) -> list[str]:
        """Names of the folders in `path`, sorted; none where it does not exist."""

    def read(self, path: str) -> bytes | None:
        """A file's bytes, or None where there is none."""

    def replace(self, path: str, content: bytes) -> None:
        """Write a small file; a reader sees the old bytes or the new ones."""

    def draft(self, path: str) -> Path:
        """A new, empty local folder in which what will stand in `path` is composed."""

    def publish(self, folder: Path, path: str) -> None:
        """Make the local `folder` appear as `path`: its manifest is seen only when all else is there."""

    def sweep(self, path: str) -> None:
        """Remove what killed publications left in `path`."""

    def local(self, path: str) -> Path:
        """A local path with the same content."""


class LocalDisk:
    """A folder on a local (or mounted) disk."""

    def __init__(self, root: Path):
        self.root = root

    def folders(self, path: str) -> list[str]:
        try:
            return sorted(entry.name for entry in (self.root / path).iterdir() if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def replace(self, path: str, content: bytes) -> None:
        target = self.root / path
        handle, name = tempfile.mkstemp(prefix=_DRAFT, dir=target.parent)
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

    def draft(self, path: str) -> Path:
        target = self.root / path
        target.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=target))
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
        for entry in (self.root / path).glob(f"{_DRAFT}*"):
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)

    def local(self, path: str) -> Path:
        return self.root / path


class Store:
    """Versions of named datasets under one root."""

    def __init__(self, uri: str | Path):
        """`uri`: a folder, or `file://` and a folder.

        Raises:
            InputError: a URI of another scheme.
        """
        text = str(uri)
        scheme, found, rest = text.partition("://")
        if found and scheme != "file":
            raise InputError(
                f"store '{text}': only local folders are handled by this version, not {scheme}://"
            )
        self.root = Path(rest if found else text).expanduser().resolve()
        self.files: FileSystem = LocalDisk(self.root)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def names(self) -> list[str]:
        """Names with at least one version, sorted."""
        with self._clear("read"):
            return [name for name in self.files.folders(".") if _NAME.fullmatch(name) and self.versions(name)]

    def versions(self, name: str) -> list[str]:
        """Version ids of `name`, oldest first, withheld ones too."""
        with self._clear("read"):
            found = self.files.folders(f"{name}/versions")
            return [v for v in found if not v.startswith(".") and self._manifest(name, v) is not None]

    def latest(self, name: str) -> str | None:
        """The version that a reader gets who names none: the newest released one."""
        with self._clear("read"):
            content = self.files.read(f"{name}/{LATEST}")
        if content is None:
            return None
        try:
            return str(json.loads(content)["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f'{self.root / name / LATEST}: is damaged; expected {{"version": …}}') from error

    def get(self, name: str, version: str) -> Version:
        """The version with this id."""
        return Version(name, version, self.files.local(f"{name}/versions/{version}"))

    def find(self, reference: str, released_only: bool = True) -> Version:
        """The version that `NAME[@VERSION]` means.

        Args:
            reference: a name, or a name with the id of one of its versions, which may be a withheld one.
            released_only: where no version is named: the latest released one. If false, the newest of all.

        Raises:
            InputError: no such name or version (the nearest is named), or only withheld versions.
        """
        name, _, version = reference.partition("@")
        versions = self.versions(name) if _NAME.fullmatch(name) else []
        if not versions:
            known = self.names()
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = (
                f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known[:10]) or 'none yet'}"
            )
            raise InputError(f"store {self.root}: has no dataset '{name}'; {hint}")
        if version:
            if version not in versions:
                near = difflib.get_close_matches(version, versions, n=1, cutoff=0.0)
                raise InputError(
                    f"store {self.root}: '{name}' has no version '{version}'; the nearest is '{near[0]}'"
                )
            return self.get(name, version)
        # The list above may be older than the pointer: another process may have published in between.
        chosen = self.latest(name) if released_only else versions[-1]
        if chosen is None:
            raise InputError(
                f"store {self.root}: '{name}' has no released version; the newest one was withheld and must be "
                f"named: {name}@{versions[-1]}"
            )
        if self._manifest(name, chosen) is None:
            raise StoreError(f"{self.root / name / LATEST}: points to version '{chosen}', which is not there")
        return self.get(name, chosen)

    def work(self, name: str) -> Path:
        """The folder for work in progress on `name`. It is left for the next run, which resumes from it."""
        with self._clear("write"):
            folder = self.root / name / ".work"
            folder.mkdir(parents=True, exist_ok=True)
            return folder

    def keep(self, name: str, file: str, source: Path) -> None:
        """Keep a small file of a run for the runs after it, such as which row went where."""
        with self._clear("write"):
            (self.root / name / ".kept").mkdir(parents=True, exist_ok=True)
            self.files.replace(f"{name}/.kept/{file}", source.read_bytes())

    def kept(self, name: str, file: str) -> Path | None:
        """What `keep` kept, or None."""
        path = self.files.local(f"{name}/.kept/{file}")
        return path if path.is_file() else None

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold `name` for one run. The operating system frees it when the process ends, however it ends.

        Raises:
            InputError: another run holds it (says which process, and since when).
        """
        import filelock

        folder = self.root / name
        note = folder / ".lock.json"
        lock = filelock.FileLock(folder / ".lock")
        with self._clear("write"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                raise InputError(f"another run of '{name}' is going on{_holder(note)}") from None
        try:
            with self._clear("write"):
                self._sweep(name)
                now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
                self.files.replace(
                    f"{name}/.lock.json", json.dumps({"pid": os.getpid(), "since": now}).encode()
                )
            yield
        finally:
            with contextlib.suppress(OSError):
                note.unlink(missing_ok=True)
            lock.release()

    def new_id(self, name: str, content: str) -> str:
        """An id for a new version: `YYYYMMDDTHHMMSSZ-<6 hex of content>`, later in order than all there are."""
        moment = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        for existing in self.versions(name)[-1:]:
            with contextlib.suppress(ValueError):
                newest = datetime.datetime.strptime(existing.partition("-")[0], _STAMP).replace(
                    tzinfo=datetime.UTC
                )
                moment = max(moment, newest + datetime.timedelta(seconds=1))
        return f"{moment.strftime(_STAMP)}-{content[:6]}"

    @contextlib.contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """A new, empty folder in which a version is composed; removed at the end unless it was published."""
        with self._clear("write"):
            folder = self.files.draft(f"{name}/versions")
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(self, name: str, version: str, folder: Path, latest: bool) -> Version:
        """Make a composed folder, which holds a manifest, the version `version` of `name`, at once.

        Args:
            latest: whether readers who name no version get this one from now on.

        Raises:
            StoreError: the store cannot be written; nothing half-written is seen.
        """
        if not (folder / MANIFEST).is_file():
            raise StoreError(f"{folder}: has no {MANIFEST}; only a composed version can be published")
        with self._clear("write"):
            self.files.publish(folder, f"{name}/versions/{version}")
        if latest:
            self.point(name, version)
        return self.get(name, version)

    def point(self, name: str, version: str) -> None:
        """Have readers who name no version get this one."""
        if self.latest(name) != version:
            with self._clear("write"):
                self.files.replace(f"{name}/{LATEST}", json.dumps({"version": version}).encode() + b"\n")

    def _manifest(self, name: str, version: str) -> bytes | None:
        return self.files.read(f"{name}/versions/{version}/{MANIFEST}")

    def _sweep(self, name: str) -> None:
        """What killed runs left: only the holder of the lock may do this."""
        self.files.sweep(name)
        self.files.sweep(f"{name}/versions")
        self.files.sweep(f"{name}/.kept")
        for making in (self.root / name / ".work").glob(".making-*"):
            shutil.rmtree(making, ignore_errors=True)

    @contextlib.contextmanager
    def _clear(self, verb: str) -> Iterator[None]:
        """Errors of the operating system as one clear line."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            path = error.filename or self.root
            kept = "; what was finished is kept, a rerun resumes" if verb == "write" else ""
            raise StoreError(f"store {self.root}: cannot {verb} {path}: {reason}{kept}") from error


def _holder(note: Path) -> str:
    try:
        held = json.loads(note.read_text())
        return f" (pid {held['pid']}, since {held['since']})"
    except (OSError, ValueError, KeyError):
        return ""  # it has the lock, but has not said so yet


def _sync(path: Path) -> None:
    """Have the disk hold a file, or a folder's entries, before anything after it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
