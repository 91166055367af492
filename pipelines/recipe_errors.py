"""What pydantic finds wrong -> one line: field, what was found, what was expected, and the nearest known name."""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

Where = tuple[str | int, ...]
"""A field's path: `("candidates", 0, "epochs")`."""

_SECRET = re.compile(r"key|token|secret|passw|credential|auth", re.I)


def explain(
    error: ValidationError,
    raw: Any,
    model: type[BaseModel],
    where: Callable[[Where], str],
    prefix: Where = (),
) -> str:
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
    field = dotted((*prefix, *path))
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
    if path[:2] == ("screen", "label_agreement"):
        expected = "false, mild, strict, a number above 0 and up to 1, a list of these, or auto"
    elif any(e["type"] == "literal_error" and e["msg"].endswith("False") for e in entries if e is not entry):
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
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
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


def dotted(where: Where) -> str:
    return ".".join(str(step) for step in where)


def one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def kind_of(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else f"'{one_line(str(value))[:40]}'"


def _shown(field: str, value: Any) -> str:
    """The value as an error may show it: short, and never a secret."""
    if _SECRET.search(field):
        return "a value that is not shown"
    if isinstance(value, (dict, list)) or value is None:
        return kind_of(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = re.sub(r"//[^/@\s]+@", "//***@", one_line(str(value)))
    return f"'{text[:60]}'" if isinstance(value, str) else text[:60]
