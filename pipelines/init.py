"""Init: look at the data and write a recipe with comments that say what was understood."""

import json
import os
import re
from pathlib import Path

from leaven.generators.errors import InputError
from leaven.pipelines import kinds
from leaven.pipelines.check import CheckReport, check
from leaven.pipelines.recipe import Recipe

_MOST_COLUMNS = 60
_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_./-]*$")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


_HINTS = {  # what else may be said of a source
    "table": [
        "  # columns: {zip: category}  # types that were understood wrongly",
        "  # drop: [email]  # columns to leave out",
        "  # missing: ['?']  # further texts that mean missing",
    ],
    "image": ["  # resolution: 32  # side in pixels that all images are brought to, 8 to 256"],
    "text": [],
}


def init(path: str | Path, target: str | None = None, folder: Path | None = None) -> str:
    """A recipe for a data file, as commented YAML.

    Args:
        path: CSV or Parquet file; or images: a folder per class, npz, Parquet with images, CSV of path and label; or
            labelled texts: JSON lines, CSV or Parquet.
        target: the label column; guessed when None.
        folder: where the recipe will stand (its paths count from there); the current folder by default.

    Raises:
        InputError: the file cannot be used, or not with this target.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"{path}: is not there; expected a CSV or Parquet file, or a folder of images")
    kind = next((name for name in ("image", "text") if kinds.get(name).takes(path)), "table")
    guesses = [(target, "")] if target else kinds.get(kind).guess_targets(path)
    source = {"text": kinds.get(kind).guess_text(path)} if kind == "text" else {}
    recipe, report, why = _first_that_works(kind, path, guesses, source)
    place = os.path.relpath(path.resolve(), (folder or Path.cwd()).resolve())
    return _write(recipe, report, place, why)


def _first_that_works(
    kind: str, path: Path, guesses: list[tuple[str, str]], source: dict[str, str]
) -> tuple[Recipe, CheckReport, str]:
    problem: InputError | None = None
    for name, why in guesses:
        recipe = Recipe.model_validate(
            {
                "name": _name(path),
                "source": {"kind": kind, "path": str(path.resolve()), **source},
                "task": {"target": name},
            }
        )
        try:
            return recipe, check(recipe, path.parent), why
        except InputError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _name(path: Path) -> str:
    """A name for the dataset from the file's."""
    stem = path.name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100]
    return name or "dataset"


def _write(recipe: Recipe, report: CheckReport, place: str, why: str) -> str:
    task = report.task
    target = f"  target: {_yaml(task.target)}"
    if why:
        target += f"  # guessed: {why}"
    lines = [
        "# A recipe for leaven. `leaven check` says what it understands, `leaven run` runs it.",
        f"# {report.rows['all']:,} rows and {len(report.columns)} columns were found:",
        *_columns(report),
        *(f"# Note: {_comment(warning)}" for warning in report.warnings),
        "",
        f"name: {_yaml(recipe.name)}  # of the dataset in the store",
        "source:",
        f"  kind: {recipe.source.kind}",
        f"  path: {_yaml(place)}  # from this file's folder",
        *([f"  text: {_yaml(recipe.source.text)}  # the column of texts"] if recipe.source.text else []),
        *_HINTS[recipe.source.kind],
        "task:",
        target,
        f"  # type: {task.type}  # as the data has it",
        f"  # metric: {task.metric}",
    ]
    if task.positive is not None:
        lines.append(f"  # positive: {_yaml(task.positive)}  # the rarer class")
    lines += [*_classes(report), "split:"]
    lines += [
        f"  validation: {recipe.split.validation}  # share of rows for choices",
        f"  test: {recipe.split.test}  # share of rows read once, at the end",
        f"  seed: {recipe.split.seed}",
    ]
    identifiers = [column.name for column in report.columns if column.type == "identifier"]
    dates = [column.name for column in report.columns if column.type == "date"]
    group = identifiers[0] if identifiers else "customer_id"
    if recipe.source.kind == "table":
        lines.append(f"  # group: {_yaml(group)}  # keep rows with one value here on one side")
    if dates:
        lines.append(f"  # time: {_yaml(dates[0])}  # test on the latest rows instead of random ones")
    tried = ", ".join(candidate.generator for candidate in report.candidates)
    lines += [
        f"candidates: auto  # for these rows: {tried}",
        "amount:",
        "  ratio: auto  # what has paid at this size; or 0.5 of the rows; or rows: N, per_class: {...}, balance: true",
        "  shares: [natural, balanced]  # classes as often as in train, or equally often; both are tried",
        "budget:",
        "  fit: 10m  # each fit stops at its best state by then",
        "  total: 2h",
        "gates:",
        "  lift: {min: 0.0}  # released only if the classifier gets better for certain",
        f"# A run of all this takes {report.takes} on two cores.",
    ]
    return "\n".join(lines) + "\n"


def _columns(report: CheckReport) -> list[str]:
    shown = report.columns[:_MOST_COLUMNS]
    width = min(max(len(column.name) for column in shown), 30)
    lines = []
    for column in shown:
        about = [part for part in (column.shows, column.note) if part]
        if column.missing:
            about.append(f"{column.missing:,} missing")
        lines.append(_comment(f"#   {column.name:<{width}}  {column.type:<10}  {'; '.join(about)}").rstrip())
    if len(report.columns) > len(shown):
        lines.append(f"#   ... and {len(report.columns) - len(shown)} more")
    return lines


def _classes(report: CheckReport) -> list[str]:
    if not report.classes:
        return []
    some = [f"{label}: {count:,} rows" for label, count in list(report.classes.items())[:10]]
    more = f", and {len(report.classes) - 10} more" if len(report.classes) > 10 else ""
    return [f"  # classes: {_comment(', '.join(some))}{more}"]


def _comment(text: str) -> str:
    """Text that cannot leave its comment."""
    return "".join(" " if ord(c) < 32 or c in "\x7f\x85\u2028\u2029\ufeff" else c for c in text)


def _yaml(text: str) -> str:
    """A text as a YAML scalar on one line."""
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
