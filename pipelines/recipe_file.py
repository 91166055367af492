"""Recipe on disk -> `Recipe`. Everything that can be wrong in one becomes one line that says where and what."""

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from leaven.generators.errors import InputError
from leaven.pipelines.recipe import Recipe, resolve

Where = tuple[str | int, ...]

_MAX_BYTES = 1_000_000
_MAX_NODES = 100_000
_SECRET = re.compile(r"key|token|secret|passw|credential|auth", re.I)


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
    _candidates(recipe, where)
    _gates(recipe, where)
    _sources(recipe, folder, where)
    return recipe, folder


def parse_recipe(raw: Mapping[str, Any], name: str = "recipe") -> Recipe:
    """A recipe from a mapping, such as the parameters of a Prefect form, with the same errors as a file's."""
    plain = dict(raw)
    where = _Places(Path(name), {})
    try:
        recipe = Recipe.model_validate(plain)
    except ValidationError as error:
        raise InputError(explain(error, plain, Recipe, where)) from None
    _candidates(recipe, where)
    _gates(recipe, where)
    return recipe


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
        raise InputError(f"{path}: is not YAML: {_one_line(str(error))}") from None
    if data is None:
        raise InputError(f"{path}: is empty; expected a recipe with at least name, source and task")
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {_kind(data)}; expected a mapping with name, source, task, ...")
    places: dict[Where, str] = {}
    return _plain(data, (), places, path, [0]), places


def _syntax(path: Path, error: Any) -> str:
    mark = error.problem_mark or error.context_mark
    line = f" line {mark.line + 1}" if mark else ""
    problem = _one_line(error.problem or "is not YAML")
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
    raise InputError(f"{path}: {_dotted(where)}: YAML tags are not allowed in a recipe")


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
        raise InputError(f"{place}: the value is not YAML: {_one_line(str(error))}") from None
    target: Any = raw
    where: Where = ()
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(target, list):
            if not step.isdigit() or int(step) >= len(target):
                raise InputError(
                    f"{place}: '{_dotted(where)}' has {len(target)} entries, counted from 0; there is no '{step}'"
                )
            index: str | int = int(step)
        elif isinstance(target, dict):
            index = step
        else:
            raise InputError(f"{place}: '{_dotted(where)}' is {_kind(target)}; nothing can be set inside it")
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


def explain(error: ValidationError, raw: Any, model: type[BaseModel], where: Any, prefix: Where = ()) -> str:
    """One line for the first thing that pydantic found wrong."""
    problems: dict[Where, list[Any]] = {}
    for entry in error.errors(include_url=False):
        problems.setdefault(_clean(entry["loc"], raw, entry["type"]), []).append(entry)
    # In a union each branch complains; the deepest complaint belongs to the branch that was meant.
    paths = [p for p in problems if not any(o != p and o[: len(p)] == p for o in problems)]
    order = {"extra_forbidden": 0}
    paths.sort(key=lambda p: (order.get(problems[p][0]["type"], 1), len(p) == 0))
    path = paths[0]
    entries = problems[path]
    field = _dotted((*prefix, *path))
    text = f"{where((*prefix, *path))}: " + _message(field, path, entries, raw, model)
    others = len({p[:-1] for p in paths} - {path[:-1]})
    return text + (f" (and {others} more)" if others else "")


def _message(field: str, path: Where, entries: list[Any], raw: Any, model: type[BaseModel]) -> str:
    entry = next((e for e in entries if e["type"] != "literal_error"), entries[0])
    if entry["type"] == "extra_forbidden":
        return f"unknown key '{field}'; {_nearest_key(path, raw, model)}"
    if entry["type"] == "missing":
        about = _field(path, raw, model)
        expected = f"; expected {about}" if about else ""
        return f"{field} is missing{expected}"
    if entry["type"] == "union_tag_not_found":
        return (
            f"{field}: kind is missing; expected {_listed(entry['ctx']['discriminator'], path, raw, model)}"
        )
    if entry["type"] == "union_tag_invalid":
        known = [word.strip(" '") for word in entry["ctx"]["expected_tags"].split(",")]
        return f"{field}: unknown kind '{entry['ctx']['tag']}'; {nearest(entry['ctx']['tag'], known)}"
    found = _shown(field, entry["input"])
    message = entry["msg"]
    if entry["type"] == "value_error":
        message = message.removeprefix("Value error, ")
        return f"{field}: {message}" if field else message
    expected = re.sub(r"^(Input|String|Value|List|Dictionary) should (be|have|match) ?", "", message)
    expected = expected.replace(
        "pattern '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", "letters, digits, '.', '_', '-'"
    )
    expected = re.sub(r"^a valid (?=[aeiou])", "an ", expected)
    expected = re.sub(r"^a valid ", "a ", expected)
    expected = re.sub(r", unable to (parse|interpret) .*$", "", expected)
    expected = re.sub(r"^a (dictionary|valid dictionary)( or instance of \w+)?", "a mapping", expected)
    if path == ("candidates",):
        expected = "auto, or a list such as [{generator: ctgan}]"
    if any(e["type"] == "literal_error" and e["msg"].endswith("False") for e in entries if e is not entry):
        expected += ", or false"
    hint = ""
    if entry["type"] == "literal_error" and isinstance(entry["input"], str):
        near = difflib.get_close_matches(entry["input"], re.findall(r"'([^']+)'", expected), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{field}: found {found}; expected {expected}{hint}"


def _clean(loc: tuple[Any, ...], raw: Any, kind: str) -> Where:
    """pydantic's location without the names of union branches, which are not in the data."""
    path: list[str | int] = []
    value = raw
    for number, step in enumerate(loc):
        last = number == len(loc) - 1
        if (isinstance(value, dict) and step in value) or (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            value = value[step]
        elif not (last and kind == "missing" and isinstance(value, dict)):
            continue
        path.append(step)
    return tuple(path)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that stand anywhere in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _models_at(path: Where, raw: Any, model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that may stand at `path`, those of the named kind where the data says it."""
    models, value = [model], raw
    for step in path:
        value = value[step]
        if isinstance(step, str) and any(step in m.model_fields for m in models):
            fields = [m.model_fields[step] for m in models if step in m.model_fields]
            models = [inner for field in fields for inner in _models(field.annotation)]
    kind = value.get("kind") if isinstance(value, dict) else None
    told = [
        m for m in models if "kind" in m.model_fields and kind in get_args(m.model_fields["kind"].annotation)
    ]
    return told or models


def _nearest_key(path: Where, raw: Any, model: type[BaseModel]) -> str:
    known = sorted({name for m in _models_at(path[:-1], raw, model) for name in m.model_fields})
    key = str(path[-1])
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    elsewhere = [
        f"{name}.{key}"
        for name, field in model.model_fields.items()
        for inner in _models(field.annotation)
        if key in inner.model_fields and path[:-1] != (name,)
    ]
    if elsewhere:
        return f"did you mean '{elsewhere[0]}'?"
    return f"known here: {', '.join(known)}"


def _field(path: Where, raw: Any, model: type[BaseModel]) -> str:
    for inner in _models_at(path[:-1], raw, model):
        field = inner.model_fields.get(str(path[-1]))
        if field is not None:
            return field.description or ""
    return ""


def _listed(discriminator: str, path: Where, raw: Any, model: type[BaseModel]) -> str:
    name = discriminator.strip("'")
    kinds = [
        value
        for inner in _models_at(path, raw, model)
        if name in inner.model_fields
        for value in get_args(inner.model_fields[name].annotation)
    ]
    return f"one of {', '.join(kinds)}"


def nearest(name: str, known: Sequence[str]) -> str:
    """`did you mean 'x'?`, or the list of what there is."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"


def _candidates(recipe: Recipe, where: Any) -> None:
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
            model = catalog.get(candidate.generator, recipe.source.kind).Parameters
            model.model_validate(candidate.parameters)
        except InputError as error:
            raise InputError(f"{where((*here, 'generator'))}: {_dotted(here)}: {error}") from None
        except ValidationError as error:
            raise InputError(explain(error, candidate.parameters, model, where, here)) from None


def _gates(recipe: Recipe, where: Any) -> None:
    from leaven.pipelines import gates

    for name in recipe.gates:
        if name not in gates.KNOWN:
            raise InputError(
                f"{where(('gates', name))}: unknown gate '{name}'; {nearest(name, list(gates.KNOWN))}"
            )


def _sources(recipe: Recipe, folder: Path, where: Any) -> None:
    """The files that the recipe names are there."""
    named: dict[Where, str | None] = {
        ("source", "path"): recipe.source.path,
        ("split", "validation_path"): recipe.split.validation_path,
        ("split", "test_path"): recipe.split.test_path,
    }
    for field, text in named.items():
        if text is None:
            continue
        if not resolve(text, folder).exists():
            raise InputError(
                f"{where(field)}: {_dotted(field)}: there is no file '{text}' (looked for {resolve(text, folder)})"
            )


def _dotted(where: Where) -> str:
    return ".".join(str(step) for step in where)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"'{_one_line(str(value))[:40]}'"


def _shown(field: str, value: Any) -> str:
    """The value as an error may show it: short, and never a secret."""
    if _SECRET.search(field):
        return "a value that is not shown"
    if isinstance(value, (dict, list)) or value is None:
        return _kind(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = re.sub(r"//[^/@\s]+@", "//***@", _one_line(str(value)))
    return f"'{text[:60]}'" if isinstance(value, str) else text[:60]
