"""A store in a bucket: S3, Google Cloud Storage or Azure, through obstore (https://developmentseed.org/obstore).

A bucket knows no rename. A version's files are uploaded first and its manifest last: without one, no reader sees any
of it. The pointer `latest.json` is only ever written over the bytes that were read (a conditional put), so
that of two publishers at once the later version stays. Readers get copies on this machine, each file checked against
the manifest's digest. Credentials come from the environment alone.
"""

import datetime
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from leaven.generators.errors import RESUMES, InputError, StoreError
from leaven.pipelines.disk import DRAFT, Change, LocalDisk
from leaven.pipelines.version import MANIFEST, Version

SCHEMES = ("s3", "gs", "az")
PARTS = ".parts"  # of downloads
CLAIM = ".claim"  # who puts it there first may upload this version
_TRIES = 100  # of a conditional put while others write
_AT_ONCE = 8  # files on their way
_LONGEST = 250  # characters of a library's error
_RETRIES = {"max_retries": 5, "retry_timeout": datetime.timedelta(seconds=60)}


def connect(uri: str) -> Any:
    """obstore's store for a URI of a bucket, with a prefix or without one.

    Raises:
        InputError: another scheme, credentials in the URI, none in the environment, or obstore is not installed.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise InputError(f"'{scheme}://...': expected a folder, or one of {known}")
    bucket = rest.partition("/")[0]
    if any(mark in rest for mark in "?#") or any(mark in bucket for mark in "@:"):
        raise InputError(f"'{scheme}://...': holds a name or key; credentials are taken from the environment")
    if not bucket:
        raise InputError(f"'{uri}': names no bucket; expected {scheme}://BUCKET/PREFIX")
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise InputError(f"'{uri}': object stores need: pip install 'leaven[cloud]'") from None
    try:
        return from_url(uri, client_options=_client(), retry_config=_RETRIES)  # type: ignore[call-overload]
    except (BaseError, ValueError) as error:
        raise InputError(f"'{uri}': {brief(error)}") from None


def _client() -> dict[str, Any]:
    """An endpoint on this machine or in a private network is often spoken to without TLS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return {"allow_http": True} if endpoint.startswith("http://") else {}


def brief(error: Exception) -> str:
    """What the server said, else the first line of an error of obstore's, which go on for pages."""
    said = re.search(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", str(error), re.DOTALL)
    if said:
        return f"{said[1]}: {said[2]}"
    line = str(error).partition("\n")[0].strip()
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."


class Bucket:
    """A prefix in a bucket, as a store's file system. Paths count from the prefix."""

    def __init__(self, uri: str, near: Path):
        """`near`: a folder on this machine for copies of what is in the bucket, and for drafts."""
        self.uri, self.near = uri.rstrip("/"), LocalDisk(near)
        self._store = connect(uri)

    def folders(self, path: str) -> list[str]:
        import obstore

        with self._told("list", path):
            found = obstore.list_with_delimiter(self._store, _key(path) or None)
        return sorted(PurePosixPath(prefix).name for prefix in found["common_prefixes"])

    def published(self, path: str) -> list[str]:
        return sorted(name for name, files in self._inside(path).items() if MANIFEST in files)

    def has(self, path: str) -> bool:
        import obstore

        try:
            with self._told("read", path):
                obstore.head(self._store, _key(path))
        except FileNotFoundError:
            return False
        return True

    def read(self, path: str) -> bytes | None:
        found = self._tagged(path)
        return None if found is None else found[0]

    def replace(self, path: str, content: bytes) -> None:
        self._put(path, content)

    def update(self, path: str, change: Change) -> None:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        for _ in range(_TRIES):
            found = self._tagged(path)
            content = change(None if found is None else found[0])
            if content is None:
                return
            try:
                self._put(path, content, "create" if found is None else found[1])
                return
            except (AlreadyExistsError, PreconditionError):
                continue  # somebody wrote in between
        raise StoreError(
            f"store {self.uri}: {path} is being written by others all the time; tried {_TRIES} times"
        )

    def draft(self, path: str) -> Path:
        return self.near.draft(path)

    def publish(self, folder: Path, path: str) -> None:
        from obstore.exceptions import AlreadyExistsError

        try:
            self._put(f"{path}/{CLAIM}", b"", "create")
        except AlreadyExistsError:
            raise StoreError(
                f"store {self.uri}: {path} is there already, or being uploaded by another"
            ) from None
        manifest = folder / MANIFEST
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file != manifest]

        def upload(file: Path) -> None:
            self._put(f"{path}/{file.relative_to(folder).as_posix()}", file)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(upload, files))
        self._put(f"{path}/{MANIFEST}", manifest, "create")
        with suppress(OSError):  # a courtesy to readers on this machine, one of which may have begun to copy
            self.near.publish(folder, path)

    def sweep(self, path: str) -> None:
        # In the bucket, what looks abandoned may be another machine's upload: `leaven clean` looks at its age.
        self.near.sweep(path)
        self.near.sweep(PARTS)

    def remove(self, path: str) -> None:
        import obstore

        files = self._files(path)
        first = [name for name in files if PurePosixPath(name).name == MANIFEST]
        with self._told("remove", path):
            for name in [*first, *(name for name in files if name not in first)]:
                obstore.delete(self._store, name)
        if (self.near.root / path).is_dir():
            self.near.remove(path)

    def unfinished(self, path: str) -> dict[str, float]:
        now = datetime.datetime.now(datetime.UTC)
        return {
            name: (now - max(files.values())).total_seconds()
            for name, files in self._inside(path).items()
            if MANIFEST not in files
        }

    def local(self, path: str) -> Path | None:
        content = self.read(path)
        if content is None:
            return None
        self.near.replace(path, content)
        return self.near.root / path

    def version(self, name: str, version: str) -> Version:
        place = f"{name}/versions/{version}"
        return Version(name, version, self.near.root / place, lambda wanted: self._fetch(place, wanted))

    def _fetch(self, place: str, wanted: str | None) -> None:
        """Have a file of a version on this machine, or all of them."""
        folder = self.near.root / place
        if wanted == MANIFEST or not (folder / MANIFEST).is_file():
            content = None if (folder / MANIFEST).is_file() else self.read(f"{place}/{MANIFEST}")
            if content is not None:
                self.near.replace(f"{place}/{MANIFEST}", content)
        if wanted == MANIFEST:
            return
        files = Version("", "", folder).files
        missing = [
            name for name in (files if wanted is None else [wanted])
            if not (folder / name).is_file() or (folder / name).stat().st_size != files[name].bytes
        ]  # fmt: skip
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda name: self._download(place, name, files[name].sha256), missing))

    def _download(self, place: str, name: str, sha256: str) -> None:
        """One file, which appears when it is whole and has the digest that the manifest vouches for."""
        import obstore

        target = self.near.root / place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        found = hashlib.sha256()
        parts = self.near.root / PARTS  # beside the versions, whose files must be those of the manifest
        parts.mkdir(exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=DRAFT, dir=parts)
        try:
            with os.fdopen(handle, "wb") as file, self._told("read", f"{place}/{name}"):
                for chunk in obstore.get(self._store, _key(f"{place}/{name}")):
                    found.update(chunk)
                    file.write(chunk)
            if found.hexdigest() != sha256:
                raise StoreError(f"{self.uri}/{place}/{name}: is not the file that the manifest lists")
            Path(part).chmod(0o444)
            Path(part).replace(target)
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.uri}/{place}/{name}: is missing, though the manifest lists it"
            ) from error
        finally:
            Path(part).unlink(missing_ok=True)

    def _inside(self, path: str) -> dict[str, dict[str, datetime.datetime]]:
        """Folders in `path` -> their files -> when each was written: one listing for all of them."""
        found: dict[str, dict[str, datetime.datetime]] = {}
        for key, written in self._files(path).items():
            folder, _, file = key.removeprefix(f"{_key(path)}/").partition("/")
            if file:
                found.setdefault(folder, {})[file] = written
        return found

    def _files(self, path: str) -> dict[str, datetime.datetime]:
        import obstore

        with self._told("list", path):
            return {
                entry["path"]: entry["last_modified"]
                for batch in obstore.list(self._store, _key(path))
                for entry in batch
            }

    def _tagged(self, path: str) -> tuple[bytes, dict[str, Any]] | None:
        """A file's bytes and what tells them from later ones: an ETag, on Google's a generation too."""
        import obstore

        try:
            with self._told("read", path):
                found = obstore.get(self._store, _key(path))
                marks: dict[str, Any] = {
                    name: found.meta[name] for name in ("e_tag", "version") if found.meta[name] is not None
                }
                return bytes(found.bytes()), marks
        except FileNotFoundError:
            return None

    def _put(self, path: str, content: bytes | Path, mode: Any = "overwrite") -> None:
        import obstore

        with self._told("write", path):
            multipart = None if mode == "overwrite" else False  # a conditional put is one request
            obstore.put(self._store, _key(path), content, mode=mode, use_multipart=multipart)

    @contextmanager
    def _told(self, verb: str, path: str) -> Iterator[None]:
        """obstore's errors as one clear line; those that say how things stand pass."""
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except (BaseError, FileNotFoundError) as error:
            if verb == "read" and isinstance(error, FileNotFoundError):
                raise
            kept = f"; {RESUMES}" if verb == "write" else ""
            raise StoreError(f"store {self.uri}: cannot {verb} {path}: {brief(error)}{kept}") from error


def _key(path: str) -> str:
    return "" if path == "." else path.removeprefix("./")
