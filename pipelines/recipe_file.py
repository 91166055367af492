"""Recipe on disk -> `Recipe`. Everything that can be wrong in one becomes one line that says where and what."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from leaven.generators.errors import InputError
from leaven.pipelines.recipe import Recipe, resolve
from leaven.pipelines.recipe_errors import Where, dotted, explain, kind_of, one_line

_MAX_BYTES = 1_000_000
_MAX_NODES = 100_000


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Recipe, Path]:
    """Read a recipe.

    Args:
        path: a YAML file.
        overrides: `a.b=c` texts; the values are YAML. They win over the file.

    Returns:
        The recipe and the folder from which its paths count.

    Raises:
        InputError: one line with the file, the line or option, the field, what was found and what was expected.
    """
    path = Path(path)
    raw, places = _read(path)
    for override in overrides:
        _override(raw, places, override)
    where = _Places(path, places)
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        raise InputError(explain(error, raw, Recipe, where)) from None
    folder = path.resolve().parent
    refuse(recipe, folder, where)
    return recipe, folder


def refuse(recipe: Recipe, folder: Path, where: "_Places | None" = None) -> None:
    """Look at what a recipe's own model does not: its generators' parameters, gates, files and store.

    Args:
        folder: what its paths count from.
        where: says where a field stands, of a recipe from a file.

    Raises:
        InputError: what is wrong, in one line.
    """
    where = where or _Places(Path("recipe"), {})
    _candidates(recipe, where)
    _gates(recipe, where)
    _sources(recipe, folder, where)
    _store(recipe, where)


def schema_json() -> str:
    """The JSON Schema of a recipe, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Places:
    """Says where a field stands: file and line, or the option that set it."""

    def __init__(self, path: Path, places: dict[Where, str]):
        self.path, self.places = path, places

    def __call__(self, where: Where) -> str:
        while where and where not in self.places:
            where = where[:-1]
        place = self.places.get(where, "")
        return place if place.startswith("--set") else f"{self.path}{place}"


def _read(path: Path) -> tuple[dict[str, Any], dict[Where, str]]:
    """The file's content as plain Python, and the line of each of its fields."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a recipe (a YAML file)")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such recipe") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise InputError(f"{path}: has {len(content):,} bytes; a recipe has at most {_MAX_BYTES:,}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path} line {line}: byte {content[error.start]:#04x} is not UTF-8") from None
    try:
        data = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        raise InputError(_syntax(path, error)) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not YAML: {one_line(str(error))}") from None
    if data is None:
        raise InputError(f"{path}: is empty; expected a recipe with at least name, source and task")
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {kind_of(data)}; expected a mapping with name, source, task, ...")
    places: dict[Where, str] = {}
    return _plain(data, (), places, path, [0]), places


def _syntax(path: Path, error: Any) -> str:
    mark = error.problem_mark or error.context_mark
    line = f" line {mark.line + 1}" if mark else ""
    problem = one_line(error.problem or "is not YAML")
    found = re.match(r'found duplicate key "(.*?)" with value', problem)
    if found:
        return f"{path}{line}: the key '{found[1]}' stands twice; expected once"
    return f"{path}{line}: is not YAML: {problem}"


def _plain(value: Any, where: Where, places: dict[Where, str], path: Path, nodes: list[int]) -> Any:
    """ruamel's round-trip types -> plain Python; notes lines by the way."""
    nodes[0] += 1
    if nodes[0] > _MAX_NODES or len(where) > 50:
        raise InputError(f"{path}: is nested too deep or too large for a recipe")
    if isinstance(value, dict):
        result = {}
        for key, inner in value.items():
            name = str(key)
            here = (*where, name)
            line = getattr(value, "lc", None)
            if line is not None and line.data and key in line.data:
                places[here] = f" line {line.data[key][0] + 1}"
            result[name] = _plain(inner, here, places, path, nodes)
        return result
    if isinstance(value, list):
        return [_plain(inner, (*where, i), places, path, nodes) for i, inner in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if type(value).__name__ == "ScalarBoolean":
        return bool(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise InputError(f"{path}: {dotted(where)}: YAML tags are not allowed in a recipe")


def _override(raw: dict[str, Any], places: dict[Where, str], override: str) -> None:
    """Put one `a.b=c` into the raw recipe."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    key, equals, text = override.partition("=")
    steps = [step.strip() for step in key.split(".")]
    if not equals or not all(steps):
        raise InputError(f"--set {override}: expected key=value, such as split.seed=8")
    place = f"--set {key.strip()}"
    try:
        value = _plain(YAML(typ="rt").load(text) if text.strip() else None, (), {}, Path(place), [0])
    except (YAMLError, ValueError) as error:
        raise InputError(f"{place}: the value is not YAML: {one_line(str(error))}") from None
    target: Any = raw
    where: Where = ()
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(target, list):
            if not step.isdigit() or int(step) >= len(target):
                raise InputError(
                    f"{place}: '{dotted(where)}' has {len(target)} entries, counted from 0; there is no '{step}'"
                )
            index: str | int = int(step)
        elif isinstance(target, dict):
            index = step
        else:
            raise InputError(f"{place}: '{dotted(where)}' is {kind_of(target)}; nothing can be set inside it")
        where = (*where, index)
        places[where] = place if last else places.get(where, place)
        if last:
            target[index] = value
        elif isinstance(target, dict) and not isinstance(target.get(step), (dict, list)):
            # `candidates: auto` or `screen:` left empty give way to what is set inside them.
            target = target.setdefault(step, {}) if target.get(step) is not None else _fresh(target, step)
        else:
            target = target[index]


def _fresh(target: dict[str, Any], step: str) -> dict[str, Any]:
    target[step] = {}
    return target[step]


def _candidates(recipe: Recipe, where: "_Places") -> None:
    """Names and parameters of the generators, checked by their own models."""
    from leaven.generators import catalog
    from leaven.pipelines import kinds

    try:
        kinds.get(recipe.source.kind)
    except InputError as error:
        raise InputError(f"{where(('source', 'kind'))}: {error}") from None
    for number, candidate in enumerate(recipe.candidates if recipe.candidates != "auto" else ()):
        here: Where = ("candidates", number)
        try:
            model = catalog.parameters(candidate.generator, recipe.source.kind)
            model.model_validate(candidate.parameters)
        except InputError as error:
            raise InputError(f"{where((*here, 'generator'))}: {dotted(here)}: {error}") from None
        except ValidationError as error:
            raise InputError(explain(error, candidate.parameters, model, where, here)) from None


def _gates(recipe: Recipe, where: "_Places") -> None:
    from leaven.pipelines import gates

    for name, setting in recipe.gates.items():
        try:
            gates.asked(recipe.model_copy(update={"gates": {name: setting}}))
        except InputError as error:
            raise InputError(f"{where(('gates', name))}: {error}") from None


def _sources(recipe: Recipe, folder: Path, where: "_Places") -> None:
    """The files that the recipe names are there."""
    named: dict[Where, str | None] = {
        ("source", "path"): recipe.source.path,
        ("split", "validation_path"): recipe.split.validation_path,
        ("split", "test_path"): recipe.split.test_path,
        ("screen", "reject_file"): recipe.screen.reject_file,
    }
    for field, text in named.items():
        if text is None:
            continue
        try:
            found = resolve(text, folder)
        except InputError as error:
            raise InputError(f"{where(field)}: {dotted(field)}: {error}") from None
        if not found.exists():
            raise InputError(
                f"{where(field)}: {dotted(field)}: there is no file '{text}' (looked for {found})"
            )


def _store(recipe: Recipe, where: "_Places") -> None:
    """The store can be meant at all; whether it answers is seen when it is used."""
    if "://" in recipe.store:
        from leaven.pipelines.store import Store

        try:
            Store(recipe.store)
        except InputError as error:
            raise InputError(f"{where(('store',))}: store: {error}") from None
