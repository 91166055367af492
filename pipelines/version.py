"""One version of a dataset, as a reader sees it."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaven.generators.errors import StoreError
from leaven.generators.schema import Schema
from leaven.pipelines.stage import File, file_digest
from leaven.pipelines.task import Task

MANIFEST = "manifest.json"
GENERATOR = "generator"


@dataclass(frozen=True)
class Version:
    """A folder with a manifest. Nothing in it changes once it is published.

    Attributes:
        place: the folder on this machine.
        fetch: brings a file of the version there, or, of None, all of them; left out where they are there.
    """

    name: str
    id: str
    place: Path
    fetch: Callable[[str | None], None] | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.name}@{self.id}"

    @classmethod
    def at(cls, path: Path) -> "Version":
        """The version in a folder, wherever that stands now."""
        manifest = cls("", "", path).manifest
        return cls(manifest["name"], manifest["version"], path)

    @functools.cached_property
    def path(self) -> Path:
        """The folder, with all that the manifest lists."""
        if self.fetch is not None:
            self.fetch(None)
        return self.place

    def file(self, name: str) -> Path:
        """One file of it, on this machine."""
        if self.fetch is not None:
            self.fetch(name)
        return self.place / name

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """Recipe, digests, seeds, code and package versions, every file with rows and sha256, parents."""
        return self._json(MANIFEST)

    @functools.cached_property
    def report(self) -> dict[str, Any]:
        """What was measured, and the verdict."""
        return self._json("report.json")

    @property
    def verdict(self) -> str:
        return str(self.manifest["verdict"])

    @property
    def released(self) -> bool:
        return self.verdict == "released"

    @property
    def schema(self) -> Schema:
        """The source's columns (synthetic rows have three more, whose names start with `_`)."""
        return Schema.model_validate(self.manifest["schema"])

    @property
    def task(self) -> Task:
        return Task.model_validate(self.manifest["task"])

    @property
    def layout(self) -> Any:
        """How its Parquet files keep the rows; see the kinds' `layout`."""
        from leaven.pipelines import kinds

        return kinds.get(self.manifest["recipe"]["source"]["kind"]).layout(self.schema)

    @functools.cached_property
    def files(self) -> dict[str, File]:
        """Path within the version -> size, digest and rows."""
        return {entry["path"]: File.model_validate(entry) for entry in self.manifest["files"]}

    def paths(self, part: str) -> list[Path]:
        """The Parquet files of `train`, `validation`, `test`, `synthetic` or `rejected`, in order."""
        wanted = {"synthetic": "data/synthetic/", "rejected": "rejected.parquet"}.get(
            part, f"data/real/{part}.parquet"
        )
        return [self.file(name) for name in sorted(self.files) if name.startswith(wanted)]

    def vouched(self, path: str | Path) -> bool:
        """Whether the file's digest stands in the manifest. `path`: within the version, or whole."""
        relative = Path(path).relative_to(self.path) if Path(path).is_absolute() else Path(path)
        known = self.files.get(relative.as_posix())
        file = self.path / relative
        return known is not None and file.is_file() and file_digest(file) == known.sha256

    def altered(self) -> list[str]:
        """Files that are missing or whose bytes are not those of the manifest."""
        return [name for name in self.files if not self.vouched(name)]

    def generator(self) -> Any:
        """The released generator, loaded once every file of it is vouched for: one of them may be a pickle.

        Raises:
            StoreError: the version holds no generator, or a file was altered, added or removed.
        """
        from leaven.generators import catalog

        folder = self.path / GENERATOR
        listed = {name for name in self.files if name.startswith(f"{GENERATOR}/")}
        if not listed:
            raise StoreError(f"{self}: holds no generator")
        there = {file.relative_to(self.path).as_posix() for file in folder.rglob("*") if not file.is_dir()}
        wrong = sorted((listed ^ there) | {name for name in listed & there if not self.vouched(name)})
        if wrong:
            raise StoreError(
                f"{self}: {wrong[0]} is not the file that the manifest lists; refused to load it"
            )
        kind = self.manifest["recipe"]["source"]["kind"]
        return catalog.get(self.manifest["generator"]["generator"], kind).load(folder)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self.file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.place / name}: cannot be read ({error})") from error
