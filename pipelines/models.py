"""Models that a recipe names by their folders. They count from the recipe's folder; for seeds and stages what is in a
folder counts, not where it lies."""

import functools
import glob
import re
from pathlib import Path
from typing import Any

from leaven.pipelines import stage
from leaven.pipelines.recipe import TUNED, Candidate, Recipe

FIELDS = ("translator", "model")  # parameters of generators that may name a folder
BUILT_IN = ("embedded", "marian", "apertium")


def placed(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the whole paths of the folders that it names; other names, such as those of a model hub, stay as
    they are."""

    def counted(name: str) -> str:
        try:
            whole = str(folder / Path(name).expanduser())
        except RuntimeError:  # `~somebody` without a home
            return name
        return whole if name not in BUILT_IN and _folders(whole) else name

    def candidate_of(candidate: Candidate) -> Candidate:
        return candidate.model_copy(
            update={field: counted(name) for field, name in _named(candidate).items()}
        )

    changes: dict[str, Any] = {}
    if recipe.candidates != "auto":
        changes["candidates"] = [candidate_of(candidate) for candidate in recipe.candidates]
    if recipe.screen.toxicity:
        update = {"toxicity": counted(recipe.screen.toxicity)}
        changes["screen"] = recipe.screen.model_copy(update=update)
    if recipe.utility.learners:
        learners = [
            TUNED + counted(name.removeprefix(TUNED)) if name.startswith(TUNED) else name
            for name in recipe.utility.learners
        ]
        changes["utility"] = recipe.utility.model_copy(update={"learners": learners})
    return recipe.model_copy(update=changes)


def identity(candidate: Candidate) -> dict[str, Any]:
    """A candidate as seeds know it: the content of a folder in the place of its path."""
    return candidate.model_dump(mode="json") | contents(candidate)


def contents(candidate: Candidate) -> dict[str, str]:
    """Digests of the folders that a candidate names, by parameter."""
    found = {field: content(name) for field, name in _named(candidate).items()}
    return {field: digest for field, digest in found.items() if digest}


def content(name: str) -> str:
    """Digest of the files in the folder, or folders, that a name means; empty where it means none.

    `{source}` and `{target}` in it stand for any language.
    """
    if name in BUILT_IN:
        return ""
    folders = _folders(name)
    files = {
        f"{number}/{file.relative_to(folder).as_posix()}": _digest_now(file)
        for number, folder in enumerate(folders)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    return stage.digest(files) if folders else ""


def _named(candidate: Candidate) -> dict[str, str]:
    """What a candidate's parameters name, folder or not."""
    named = {field: candidate.parameters.get(field) for field in FIELDS}
    return {field: name for field, name in named.items() if isinstance(name, str) and name}


def _folders(name: str) -> list[Path]:
    pattern = re.sub(r"\{(?:source|target)\}", "*", glob.escape(name))
    try:
        found = sorted(glob.glob(pattern))  # noqa: PTH207 (Path's own takes no absolute patterns)
        return [Path(one) for one in found if Path(one).is_dir()]
    except (OSError, ValueError, LookupError):  # no pattern of paths
        return []


def _digest_now(file: Path) -> str:
    known = file.stat()
    return _digest(file, known.st_size, known.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _digest(file: Path, size: int, changed: int) -> str:
    """Digest of a file as it was when it had this size and was changed last."""
    return stage.file_digest(file)
