"""One run: the recipe with everything that its stages share. Small and picklable, so that workers can have it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from leaven.generators.rows import Rows
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive
from leaven.pipelines import kinds
from leaven.pipelines.ingest import load_schema, load_task
from leaven.pipelines.recipe import Candidate, Recipe
from leaven.pipelines.stage import Record
from leaven.pipelines.task import Task


@dataclass(frozen=True)
class Run:
    """A recipe at work on one source.

    `lineage` is all that synthetic bytes may depend on besides candidate, amount and shard: the content of the
    source, the split, the task, the constraints, the threads of a fit.
    """

    recipe: Recipe
    work: Path
    schema: Schema
    task: Task
    lineage: dict[str, Any]
    device: str
    deadline: float = field(compare=False)  # time.time() by which the run should have ended
    replay: Mapping[str, int] | None = None  # part/candidate -> steps of a fit that a clock ended

    @classmethod
    def start(
        cls,
        recipe: Recipe,
        work: Path,
        source: Record,
        started: float,
        replay: Mapping[str, int] | None = None,
    ) -> "Run":
        """The run of `recipe` on an ingested source.

        Args:
            started: when the run began, in seconds of `time.time()`.
            replay: steps of fits that the clock ended in an earlier run, to be repeated exactly.
        """
        schema, task = load_schema(source), load_task(source)
        lineage = {
            "source": source.result["digest"],
            "split": recipe.split.model_dump(mode="json", exclude={"validation_path", "test_path"}),
            "task": task.model_dump(mode="json"),
            "constraints": [c.model_dump(mode="json") for c in recipe.constraints],
            "threads": recipe.threads,
        }
        device = resolve_device(recipe.device)
        return cls(recipe, work, schema, task, lineage, device, started + recipe.budget.total, replay)

    @property
    def kind(self) -> ModuleType:
        return kinds.get(self.recipe.source.kind)

    @property
    def remaining(self) -> float:
        """Seconds of the total budget that are left (may be negative)."""
        return self.deadline - time.time()

    def seed(self, *parts: Any) -> int:
        """A seed for one purpose of this run: equal lineage and parts give equal seeds, whatever else differs."""
        return derive(self.lineage, *parts)

    def rows(self, *paths: Path) -> Rows:
        return Rows(list(paths), self.schema)

    def frame(self, *paths: Path) -> Any:
        """Rows of Parquet files as the kind's frame."""
        return self.kind.load_frame(list(paths), self.schema)

    def candidates(self, rows: int) -> list[Candidate]:
        """The candidates to try, `auto` resolved for this many train rows."""
        if self.recipe.candidates == "auto":
            return list(self.kind.auto_candidates(self.schema, self.task, rows))
        return list(self.recipe.candidates)


def resolve_device(asked: str) -> str:
    """`auto`, `cpu` or `cuda` -> the device that is used. Imports torch only where a GPU may be there.

    Raises:
        InputError: `cuda` was demanded and there is none.
    """
    if asked == "cpu":
        return "cpu"
    from leaven.generators.errors import InputError

    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):
        found = False
    else:
        import torch

        found = torch.cuda.is_available()
    if asked == "cuda" and not found:
        raise InputError("device: 'cuda' is demanded, but no CUDA device was found; use 'auto' or 'cpu'")
    return "cuda" if found else "cpu"
