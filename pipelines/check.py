"""Check: what was understood of recipe and data, what a run will do, and about how long it takes. Fits nothing."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from leaven.generators import conditions
from leaven.generators.contract import Progress, silent
from leaven.generators.errors import ConditionError
from leaven.generators.rows import Rows, to_frame
from leaven.generators.schema import Schema
from leaven.pipelines import gates, kinds, marked, models
from leaven.pipelines.estimate import estimate, human
from leaven.pipelines.ingest import ingest, load_profile, load_schema, load_task
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.split import split
from leaven.pipelines.task import Task
from leaven.pipelines.ways import settled, ways


class ColumnSeen(BaseModel):
    """One column as it was understood."""

    name: str
    type: str
    target: bool = False
    missing: int = 0
    distinct: int = 0
    shows: str = Field("", description="range or commonest values")
    note: str = ""


class CandidateSeen(BaseModel):
    """One candidate, and about how long one of its fits takes."""

    generator: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    fits: int
    fit_seconds: float


class CheckReport(BaseModel):
    """What `leaven check` says."""

    name: str
    rows: dict[str, int]  # all, rejected, train, validation, test
    columns: list[ColumnSeen]
    task: Task
    classes: dict[str, int] = Field(default_factory=dict, description="rows of each class")
    folds: int
    candidates: list[CandidateSeen]
    amounts: list[dict[str, Any]] = Field(description="each amount that is tried, with its number of rows")
    gates: list[str]
    stages: list[str] = Field(description="what a run does, in order")
    seconds: float = Field(description="a rough estimate of a run from nothing")
    takes: str = Field(description="the estimate in words")
    warnings: list[str] = Field(default_factory=list)


def check(recipe: Recipe, folder: Path, progress: Progress = silent) -> CheckReport:
    """Read and split the data in a temporary folder; nothing is left behind.

    Args:
        recipe: what would be run.
        folder: the folder that the recipe's paths count from.
        progress: called with the share done.

    Raises:
        InputError: whatever a run would refuse before its first fit.
    """
    asked = gates.asked(recipe)
    recipe = models.placed(recipe, folder)
    with tempfile.TemporaryDirectory(prefix="leaven-check-") as place:
        source = ingest(recipe, folder, Path(place), progress)
        schema, task = load_schema(source), load_task(source)
        profile = load_profile(source)
        parts = split(recipe, source, Path(place), None, progress)
        marked.of(marked.placed(recipe, folder), schema)
        train = Rows(parts.path("train.parquet"), schema)
        _conditions(recipe, schema, train)
        counts = _counts(train, schema, task)
        validation = Rows(parts.path("validation.parquet"), schema)
        chosen_with = Counter(counts) + Counter(_counts(validation, schema, task))
    rows = parts.result["rows"]
    kind = kinds.get(recipe.source.kind)
    kind.learners(task, recipe.utility.learners)
    candidates = recipe.candidates
    if candidates == "auto":
        candidates = list(kind.auto_candidates(schema, task, rows["train"]))
    for candidate in candidates:
        kind.refuse(candidate, recipe)
    tried = [
        ways(settled(recipe, candidate.generator, schema, task, chosen_with), schema, task, counts)
        for candidate in candidates
    ]
    # Candidates may have amounts of their own.
    plans = {way.plan.label: way.plan for of in tried for way in of}
    folds = parts.result["folds"]
    costs = kind.costs(schema, recipe)
    seconds = estimate(
        recipe,
        candidates,
        rows=rows,
        costs=costs,
        folds=folds,
        drawings=parts.result["drawings"],
        amounts=[[way.plan.rows for way in of] for of in tried],
    )
    return CheckReport(
        name=recipe.name,
        rows={"all": source.result["rows"], "rejected": source.result["rejected"], **rows},
        columns=[_column(entry) for entry in profile["columns"]],
        task=task,
        classes=_classes(profile) if task.type == "classification" else {},
        folds=folds,
        candidates=[
            CandidateSeen(
                generator=candidate.generator,
                parameters=candidate.parameters,
                fits=folds,
                fit_seconds=costs.fit(candidate, rows["train"], recipe.budget.fit),
            )
            for candidate in candidates
        ],
        amounts=[{**plan.amount, "synthetic_rows": plan.rows} for plan in plans.values()],
        gates=list(asked),
        stages=_stages(candidates, folds, max(len({way.plan.label for way in of}) for of in tried)),
        seconds=seconds,
        takes=human(seconds),
        warnings=[*source.result["warnings"], *parts.result["warnings"]],
    )


def _conditions(recipe: Recipe, schema: Schema, train: Rows) -> None:
    """Every value that `amount.where` asks for is met in some train row."""
    for condition in conditions.parse(recipe.amount.where, schema):
        seen = any(
            condition.mask(to_frame(batch.select([condition.column]), schema)).any()
            for batch in train.batches()
        )
        if not seen:
            raise ConditionError(
                f"amount.where: no train row meets '{condition}', so no generator can learn it"
            )


def _counts(train: Rows, schema: Schema, task: Task) -> dict[str, int]:
    """Train rows per class, or of all (`""`) for a regression."""
    if task.type != "classification":
        return {"": len(train)}
    labels = to_frame(train.table([schema.target]), schema)[schema.target].astype(str)
    return {str(label): int(count) for label, count in labels.value_counts().items()}


def _classes(profile: dict[str, Any]) -> dict[str, int]:
    target = next(entry for entry in profile["columns"] if entry["target"])
    return {entry["value"]: entry["count"] for entry in target["top"]}


def _column(entry: dict[str, Any]) -> ColumnSeen:
    shows = ""
    if "minimum" in entry:
        shows = f"{entry['minimum']} to {entry['maximum']}"
    elif entry.get("top"):
        values = [str(one["value"])[:30] for one in entry["top"][:4]]
        shows = ", ".join(values) + (", ..." if entry["distinct"] > len(values) else "")
    return ColumnSeen(
        name=entry["name"],
        type=entry["type"],
        target=entry["target"],
        missing=entry["missing"],
        distinct=entry["distinct"],
        shows=shows,
        note=entry["note"],
    )


def _stages(candidates: list[Any], folds: int, plans: int) -> list[str]:
    names = ", ".join(candidate.generator for candidate in candidates)
    each = f" in each of {folds} folds" if folds > 1 else ""
    amounts_tried = f"{plans} amount{'s' if plans > 1 else ''}"
    return [
        "ingest",
        "split",
        f"fit {names}{each}",
        f"sample, screen and assess {amounts_tried} of each",
        "choose on " + ("the folds" if folds > 1 else "validation"),
        "certify the choice on test",
        "release if the gates pass",
    ]
