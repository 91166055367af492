"""Sources in a bucket: an object, or all that lies below a prefix, copied to this machine once for each content."""

import hashlib
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from leaven.generators.caches import cache_folder
from leaven.generators.errors import InputError, StoreError
from leaven.pipelines.objects import brief, connect

_AT_ONCE = 8  # objects on their way
_KEPT = 86400.0  # seconds that an earlier copy stays after its last use: a run may be reading it


def near(uri: str) -> Path:
    """The path on this machine of what `uri` (`s3://BUCKET/KEY`, or `gs://`, `az://`) means now.

    What is there is asked for each time, and copied only when an ETag has changed. Earlier copies go after a day.

    Raises:
        InputError: there is no such object and nothing below it; or see `objects.connect`.
        StoreError: the bucket cannot be read.
    """
    from obstore.exceptions import BaseError

    place, name = uri.rstrip("/").rpartition("/")[::2]
    if place.endswith(":/"):  # a whole bucket
        place, name = uri.rstrip("/"), ""
    store = connect(place)
    try:
        found = _listed(store, name)
        if not found:
            raise InputError(f"'{uri}' is not there: no object, and nothing below it")
        state = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]
        home = cache_folder() / "sources" / hashlib.sha256(uri.encode()).hexdigest()[:16]
        target = home / state / (name or "all")
        if not target.exists():
            _copy(store, name, list(found), home, state)
        os.utime(home / state)  # in use
    except BaseError as error:
        raise StoreError(f"'{uri}': cannot be read: {brief(error)}") from error
    return target


def _listed(store: Any, name: str) -> dict[str, Any]:
    """Keys and ETags: of the one object of this name, else of all below it."""
    import obstore

    try:
        if name:
            return {name: obstore.head(store, name)["e_tag"]}
    except FileNotFoundError:
        pass
    return {
        str(entry["path"]): entry["e_tag"]
        for batch in obstore.list(store, name or None)
        for entry in batch
        if not str(entry["path"]).endswith("/")
    }


def _copy(store: Any, name: str, keys: list[str], home: Path, state: str) -> None:
    """Bring all objects, or none."""
    import obstore

    home.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))

    def bring(key: str) -> None:
        inside = PurePosixPath(key).relative_to(name) if name else PurePosixPath(key)
        path = draft / (name or "all") / inside
        if ".." in inside.parts:
            raise InputError(f"'{key}': a name that leads out of its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for chunk in obstore.get(store, key):
                file.write(chunk)

    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(bring, keys))
        for earlier in home.iterdir():
            if time.time() - earlier.stat().st_mtime > _KEPT:
                shutil.rmtree(earlier, ignore_errors=True)
        draft.chmod(0o755)
        draft.rename(home / state)
    except OSError:
        if not (home / state).exists():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
