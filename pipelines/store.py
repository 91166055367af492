"""The store: versions of datasets, each seen whole or not at all.

`<store>/<name>/latest.json`, `<store>/<name>/versions/<version>/…` and, for runs,
`<store>/<name>/.work/` (work in progress) and `<store>/<name>/.kept/` (what a run leaves for the runs after it);
on a disk also `<store>/<name>/samples/` (rows on demand).
"""

import contextlib
import datetime
import difflib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from leaven.generators.caches import cache_folder
from leaven.generators.errors import RESUMES, InputError, StoreError
from leaven.pipelines.disk import FileSystem, LocalDisk
from leaven.pipelines.version import MANIFEST, Version

LATEST = "latest.json"
USES = "uses.json"
SAMPLES = "samples"  # rows on demand
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_STAMP = "%Y%m%dT%H%M%SZ"


class Store:
    """Versions of named datasets under one root."""

    def __init__(self, uri: str | Path):
        """`uri`: a folder, `file://` and a folder, or `s3://BUCKET/PREFIX` (`gs://` and `az://` likewise).

        Raises:
            InputError: a URI of another scheme, or a bucket that cannot be used.
        """
        text = str(uri)
        scheme, found, rest = text.partition("://")
        self.files: FileSystem
        if found and scheme != "file":
            from leaven.pipelines.objects import Bucket

            self.uri = text.rstrip("/")
            self.root = cache_folder() / "stores" / hashlib.sha256(self.uri.encode()).hexdigest()[:16]
            self.files = Bucket(self.uri, self.root)
        else:
            self.root = Path(rest if found else text).expanduser().resolve()
            self.uri = str(self.root)
            self.files = LocalDisk(self.root)

    @property
    def here(self) -> bool:
        """Whether it is a folder, whose locks hold for all who write it; else it is a bucket."""
        return isinstance(self.files, LocalDisk)

    def place(self, name: str, version: str) -> str:
        """Where a version stands, for whoever reads of it elsewhere: a folder, or a URI."""
        return f"{self.uri}/{name}/versions/{version}"

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    def names(self) -> list[str]:
        """Names with at least one version, sorted."""
        with self._clear("read"):
            return [name for name in self.files.folders(".") if _NAME.fullmatch(name) and self.versions(name)]

    def begun(self) -> list[str]:
        """Names with anything at all, sorted: those whose first version is not finished too."""
        with self._clear("read"):
            found = {*self.files.folders("."), *LocalDisk(self.root).folders(".")}
            return sorted(name for name in found if _NAME.fullmatch(name))

    def versions(self, name: str) -> list[str]:
        """Version ids of `name`, oldest first, withheld ones too."""
        with self._clear("read"):
            return self.files.published(f"{name}/versions")

    def latest(self, name: str) -> str | None:
        """The version that a reader gets who names none: the newest released one."""
        with self._clear("read"):
            content = self.files.read(f"{name}/{LATEST}")
        if content is None:
            return None
        try:
            return _pointed(content)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f'{self.uri}/{name}/{LATEST}: is damaged; expected {{"version": …}}') from error

    def get(self, name: str, version: str) -> Version:
        """The version with this id."""
        return self.files.version(name, version)

    def find(self, reference: str, released_only: bool = True) -> Version:
        """The version that `NAME[@VERSION]` means.

        Args:
            reference: a name, or a name with the id of one of its versions, which may be a withheld one.
            released_only: where no version is named: the latest released one. If false, the newest of all.

        Raises:
            InputError: no such name or version (the nearest is named), or only withheld versions.
        """
        name, _, version = reference.partition("@")
        named = _NAME.fullmatch(name) is not None
        # The pointer first: a reader who polls need not have all versions listed.
        chosen = self.latest(name) if named and released_only and not version else None
        if chosen is not None:
            if not self.files.has(f"{name}/versions/{chosen}/{MANIFEST}"):
                raise StoreError(
                    f"{self.uri}/{name}/{LATEST}: points to version '{chosen}', which is not there"
                )
            return self.get(name, chosen)
        versions = self.versions(name) if named else []
        if not versions:
            known = self.names()
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = (
                f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known[:10]) or 'none yet'}"
            )
            raise InputError(f"store {self.uri}: has no dataset '{name}'; {hint}")
        if version:
            if version not in versions:
                near = difflib.get_close_matches(version, versions, n=1, cutoff=0.0)
                raise InputError(
                    f"store {self.uri}: '{name}' has no version '{version}'; the nearest is '{near[0]}'"
                )
            return self.get(name, version)
        if released_only:
            raise InputError(
                f"store {self.uri}: '{name}' has no released version; the newest one was withheld and must be "
                f"named: {name}@{versions[-1]}"
            )
        return self.get(name, versions[-1])

    def work(self, name: str) -> Path:
        """The folder for work in progress on `name`. It is left for the next run, which resumes from it."""
        with self._clear("write"):
            folder = self.root / name / ".work"
            folder.mkdir(parents=True, exist_ok=True)
            return folder

    def keep(self, name: str, file: str, source: Path) -> None:
        """Keep a small file of a run for the runs after it, such as which row went where."""
        with self._clear("write"):
            self.files.replace(f"{name}/.kept/{file}", source.read_bytes())

    def note(self, name: str, file: str, change: Callable[[Any], Any]) -> None:
        """Keep a small value as JSON, as `keep` does a file: what `change` makes of the one that is there, or of None.

        Nothing that others note at the same time is lost, so `change` may be asked more than once.
        """

        def changed(old: bytes | None) -> bytes:
            value = change(None if old is None else json.loads(old))
            return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"

        with self._clear("write"):
            self.files.update(f"{name}/.kept/{file}", changed)

    def kept(self, name: str, file: str) -> Path | None:
        """What `keep` kept, or None."""
        with self._clear("read"):
            return self.files.local(f"{name}/.kept/{file}")

    def note_use(self, name: str, version: str, by: str) -> None:
        """Note that `by`, such as a training job, uses a version: `leaven clean` leaves it, `leaven show` says so."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

        def noted(uses: dict[str, dict[str, str]] | None) -> dict[str, dict[str, str]]:
            uses = uses or {}
            return uses | {version: uses.get(version, {}) | {by: now}}

        self.note(name, USES, noted)

    def uses(self, name: str) -> dict[str, dict[str, str]]:
        """version -> who is known to use it -> when they last said so."""
        with self._clear("read"):
            found = self.files.read(f"{name}/.kept/{USES}")
        uses: dict[str, dict[str, str]] = json.loads(found or b"{}")
        return uses

    def remove(self, name: str, folder: str, id: str) -> None:
        """Remove a version or an unfinished one (`folder`: `versions`), work (`.work`), or rows on demand (`samples`).

        For the lock's holder.
        """
        with self._clear("write"):
            files = self.files if folder == "versions" else LocalDisk(self.root)
            files.remove(f"{name}/{folder}/{id}")

    def stale(self, name: str) -> list[str]:
        """Versions of which this machine has a copy, though the bucket has them no more; none of a folder."""
        if self.here:
            return []
        with self._clear("read"):
            copies = LocalDisk(self.root).published(f"{name}/versions")
            # Asked one by one, after the copies were listed: one may just have been published.
            return [id for id in copies if not self.files.has(f"{name}/versions/{id}/{MANIFEST}")]

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
                content = json.dumps({"pid": os.getpid(), "since": now}).encode()
                LocalDisk(self.root).replace(f"{name}/.lock.json", content)
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
        """Have readers who name no version get this one, unless they get a newer one already."""
        with self._clear("write"):
            self.files.update(f"{name}/{LATEST}", lambda old: _newer(old, version))

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
            path = error.filename or self.uri
            kept = f"; {RESUMES}" if verb == "write" else ""
            raise StoreError(f"store {self.uri}: cannot {verb} {path}: {reason}{kept}") from error


def _pointed(content: bytes) -> str:
    """The version that a pointer names.

    Raises:
        ValueError, KeyError, TypeError: it names none.
    """
    return str(json.loads(content)["version"])


def _newer(pointer: bytes | None, version: str) -> bytes | None:
    """What a pointer becomes when `version` is released; None where it is as new already."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        if pointer is not None and _pointed(pointer) >= version:
            return None
    return json.dumps({"version": version}).encode() + b"\n"


def _holder(note: Path) -> str:
    try:
        held = json.loads(note.read_text())
        return f" (pid {held['pid']}, since {held['since']})"
    except (OSError, ValueError, KeyError):
        return ""  # it has the lock, but has not said so yet
