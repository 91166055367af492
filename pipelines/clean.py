"""Clean: what may go from a store, and why; nothing goes before it was shown."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from leaven.generators.errors import InputError
from leaven.pipelines import approval, stage
from leaven.pipelines.store import SAMPLES, Store

DAY = 86400.0  # seconds
ABANDONED = DAY  # seconds after which an upload that has no manifest is taken for dead
UNTOUCHED = 7 * DAY  # seconds after which unfinished work that no run has touched is dropped
_FOLDERS = {"work": ".work", "sample": SAMPLES}  # others are among the versions


@dataclass(frozen=True)
class Removal:
    """Something that may go."""

    name: str
    what: str  # "version", "unfinished", "copy", "work" or "sample"
    id: str  # of a version or an unfinished one; else the name in its folder
    why: str
    bytes: int | None = None

    def told(self) -> dict[str, Any]:
        return asdict(self)


def removals(
    store: Store,
    names: Sequence[str] = (),
    *,
    keep: int = 5,
    keep_released: bool = True,
    samples_days: int | None = None,
) -> list[Removal]:
    """What may go, name by name, oldest first.

    The version that readers get, the newest one, those that somebody is known to use and those that wait for approval
    always stay.

    Args:
        names: of datasets; all of them when left out.
        keep: so many of the newest versions of each name stay, whatever their verdict.
        keep_released: no released version goes.
        samples_days: files of rows on demand that are older go too; none when left out.

    Raises:
        InputError: no such name, or `keep` is below 1.
    """
    if keep < 1:
        raise InputError(f"--keep {keep}: expected at least 1")
    known = store.begun()
    for name in names:
        if name not in known:
            store.find(name)  # refuses it, with the nearest name
    found: list[Removal] = []
    for name in names or known:
        found += _of(store, name, keep, keep_released)
        if samples_days is not None:
            found += _samples(store, name, samples_days * DAY)
    return found


def _samples(store: Store, name: str, age: float) -> Iterator[Removal]:
    now, folder = time.time(), store.root / name / SAMPLES
    for file in sorted(folder.glob("[!.]*")):  # those with a dot are being written
        state = file.stat()
        if now - state.st_mtime > age:
            why = f"rows on demand, {(now - state.st_mtime) / DAY:.0f} days old"
            yield Removal(name, "sample", file.name, why, _size(file) if file.is_dir() else state.st_size)


def _of(store: Store, name: str, keep: int, keep_released: bool) -> Iterator[Removal]:
    versions = store.versions(name)
    stays = {store.latest(name), *versions[-keep:], *store.uses(name)}
    for id in versions:
        version = store.get(name, id)
        verdict = approval.state(store, version)
        if id not in stays and verdict != "pending" and not (keep_released and verdict == "released"):
            size = sum(file.bytes for file in version.files.values())
            why = f"{verdict}, and not among the newest {keep}"
            yield Removal(name, "version", id, why, size)
    for id, seconds in store.files.unfinished(f"{name}/versions").items():
        if seconds > ABANDONED:
            yield Removal(name, "unfinished", id, f"not finished, untouched for {seconds / 3600:.0f} hours")
    for id in store.stale(name):
        size = _size(store.root / name / "versions" / id)
        yield Removal(name, "copy", id, "this machine's copy of a version that is gone from the bucket", size)
    for folder in stage.untouched(store.root / name / ".work", time.time() - UNTOUCHED):
        yield Removal(name, "work", folder.name, "work that no run has touched for 7 days", _size(folder))


def remove(store: Store, found: Sequence[Removal]) -> None:
    """Have them go, each name under its lock.

    Raises:
        InputError: a run of one of the names is going on.
        StoreError: the store cannot be written.
    """
    for name in dict.fromkeys(one.name for one in found):
        with store.lock(name):
            for one in found:
                if one.name == name:
                    store.remove(name, _FOLDERS.get(one.what, "versions"), one.id)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
