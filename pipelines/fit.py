"""Fit: train rows -> a generator on disk."""

import math
import shutil
from pathlib import Path

from leaven.generators import catalog
from leaven.generators.contract import Budget, Generator, Progress, silent
from leaven.pipelines import models, stage
from leaven.pipelines.recipe import Candidate, called
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record

FOLDER = "generator"


def fit(
    run: Run,
    candidate: Candidate,
    train: list[Path],
    *,
    part: str,
    seconds: float,
    progress: Progress = silent,
) -> Record:
    """Fit one candidate on train rows.

    Args:
        part: which part of the run this is (`fold0`, `certify`, `half`); names the stage and its seed.
        seconds: time limit: the recipe's `budget.fit`, or less where the total budget is nearly gone.

    Returns:
        A record whose folder holds `generator/`, and whose result is the `contract.Fit` with `role` beside.

    Raises:
        FitError: the candidate cannot learn these rows.
    """
    kind = run.recipe.source.kind
    steps = None
    if run.replay is not None:  # what the clock did not end then must not be ended by it now
        steps, seconds = run.replay.get(fit_name(part, candidate)), math.inf
    config = {
        "candidate": candidate.model_dump(mode="json"),
        "models": models.contents(candidate),
        "lineage": run.lineage,
        "part": part,
        "device": run.device,
        "limit": run.recipe.budget.fit if run.replay is None else None,
        "steps": steps,
    }

    inputs = {path.name + str(n): stage.file_digest(path) for n, path in enumerate(train)}
    name = f"fit-{part}-{candidate.generator}"
    state = run.work / f"training-{name}-{stage.digest([inputs, config])[:12]}"  # where a killed fit goes on

    def make(out: Path) -> dict[str, object]:
        generator = catalog.get(candidate.generator, kind)(candidate.parameters, run.recipe.constraints)
        outcome = generator.fit(
            run.rows(*train),
            seed=run.seed("fit", models.identity(candidate), part),
            budget=Budget(seconds, steps, checkpoint=state),
            device=run.device,
            threads=run.recipe.threads,
            progress=progress,
        )
        (out / FOLDER).mkdir()
        generator.save(out / FOLDER)
        shutil.rmtree(state, ignore_errors=True)
        return {
            **outcome.model_dump(mode="json"),
            "generator": candidate.generator,
            "role": generator.role,
            "limit": min(seconds, run.recipe.budget.fit),
        }

    record = stage.run(run.work, name, inputs=inputs, config=config, make=make)
    cut_short = record.result["stopped_by"] == "budget" and steps is None
    if cut_short and record.result["limit"] < 0.9 * seconds:
        # The total budget had cut it, in an earlier run that had less time left than this one.
        shutil.rmtree(record.folder)
        record = stage.run(run.work, name, inputs=inputs, config=config, make=make)
    return record


def load(candidate: Candidate, record: Record, kind: str) -> Generator:
    """The fitted generator of a record; its files were checked against the record when that was taken."""
    return catalog.get(candidate.generator, kind).load(record.path(FOLDER))


def fit_name(part: str, candidate: Candidate) -> str:
    """The name under which a manifest keeps the steps of a fit that the clock ended."""
    return f"{part}/{called(candidate.generator, candidate.parameters | models.contents(candidate))}"
