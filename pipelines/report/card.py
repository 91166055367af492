"""The dataset card: a page for people, and YAML that tells `datasets` which files make which configuration."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader
from ruamel.yaml import YAML

from leaven.generators.image.png import STORED
from leaven.pipelines.report import nouns, words

SPLITS = {
    "train": "data/real/train.parquet",
    "validation": "data/real/validation.parquet",
    "test": "data/real/test.parquet",
}
SYNTHETIC = "data/synthetic/*.parquet"
_TASKS = {"table": "tabular", "image": "image", "text": "text"}


def card(report: Mapping[str, Any], real: pa.Schema, synthetic: pa.Schema | None, parts: list[str]) -> str:
    """The card as Markdown.

    Args:
        real: columns of the real files.
        synthetic: columns of the synthetic files, None where there are none.
        parts: which real parts there are (train, validation, test).
    """
    head = io.StringIO()
    YAML().dump(_metadata(report, real, synthetic, parts), head)
    environment = Environment(
        loader=PackageLoader("leaven.pipelines.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": words.count, "score": words.score, "cell": _cell}
    nouns.teach(environment, nouns.sayer(report))
    body = environment.get_template("card.md").render(
        report=report, words=words, real=real, has_synthetic=synthetic is not None, parts=parts
    )
    return f"---\n{head.getvalue()}---\n\n{body}"


def write(path: Path, *args: Any) -> None:
    """Write the card as UTF-8."""
    path.write_text(card(*args), encoding="utf-8")


def _metadata(
    report: Mapping[str, Any], real: pa.Schema, synthetic: pa.Schema | None, parts: list[str]
) -> dict[str, Any]:
    """The YAML. Features are declared, so that `datasets` fills the columns that only synthetic rows have."""
    both = synthetic if synthetic is not None else real
    configs: list[dict[str, Any]] = []
    if parts:
        # The rows that `augmented` was measured on: the generator learned from validation rows too.
        learned = [SPLITS[part] for part in ("train", "validation") if part in parts]
        files = [{"split": "train", "path": [*learned, *([SYNTHETIC] if synthetic is not None else [])]}]
        files += [{"split": "test", "path": SPLITS["test"]}] if "test" in parts else []
        configs.append({"config_name": "augmented", "data_files": files, "default": True})
        configs.append(
            {"config_name": "real", "data_files": [{"split": part, "path": SPLITS[part]} for part in parts]}
        )
    if synthetic is not None:
        configs.append({"config_name": "synthetic", "data_files": [{"split": "train", "path": SYNTHETIC}]})
    schemas = {"augmented": both, "synthetic": both, "real": real}
    regression = (report.get("task") or {}).get("type") == "regression"
    kind = ((report.get("recipe") or {}).get("source") or {}).get("kind", "table")
    return {
        "pretty_name": report["name"],
        "license": "unknown",
        "task_categories": [f"{_TASKS[kind]}-{'regression' if regression else 'classification'}"],
        "tags": ["synthetic", "data-augmentation", "leaven"],
        "size_categories": [_size_category(report.get("rows") or {})],
        "configs": configs,
        "dataset_info": [
            {
                "config_name": config["config_name"],
                "features": _features(schemas[config["config_name"]], report.get("task") or {}),
            }
            for config in configs
        ],
    }


def _features(schema: pa.Schema, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns as `datasets` has them. Beside images, labels are numbered, as its image models expect."""
    pictures = STORED in schema.types
    found: list[dict[str, Any]] = []
    for field in schema:
        dtype: Any = _dtype(field.type)
        if pictures and field.name == task.get("target") and task.get("classes"):
            dtype = {"class_label": {"names": {str(n): name for n, name in enumerate(task["classes"])}}}
        found.append({"name": field.name, "dtype": dtype})
    return found


def _dtype(kind: pa.DataType) -> str:
    """The name that `datasets` has for an Arrow type."""
    if kind == STORED:
        return "image"
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}]"
    return {pa.float64(): "float64", pa.float32(): "float32"}.get(kind, str(kind))


def _size_category(rows: Mapping[str, Any]) -> str:
    total = sum(rows.get(part) or 0 for part in ("train", "validation", "test", "synthetic"))
    for limit, name in (
        (1e3, "n<1K"),
        (1e4, "1K<n<10K"),
        (1e5, "10K<n<100K"),
        (1e6, "100K<n<1M"),
        (1e7, "1M<n<10M"),
    ):
        if total < limit:
            return name
    return "n>10M"


def _cell(value: Any) -> str:
    """Text that cannot break a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")
