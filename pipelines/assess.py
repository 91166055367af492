"""Assess: what a candidate's rows are worth on validation rows, and how they compare with fresh real ones."""

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from leaven.generators.contract import Progress, silent
from leaven.generators.rows import Rows
from leaven.pipelines import stage
from leaven.pipelines.amounts import Plan
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made
from leaven.pipelines.threads import limited

LEAST_ROWS = 4  # real rows on either side without which no attack can be measured
QUALITY_ROWS = 5_000  # rows in each comparison while candidates are tried; certify uses more


def class_counts(run: Run, paths: list[Path]) -> dict[str, int]:
    """Rows per class as text, or all rows under "" for regression."""
    rows = run.rows(*paths)
    if run.task.type == "regression":
        return {"": len(rows)}
    counts: Counter[str] = Counter()
    for batch in rows.batches():
        values = batch.column(run.task.target).to_pylist()
        counts.update(str(value) for value in values)
    return {label: counts.get(label, 0) for label in run.task.classes}


def settings(run: Run) -> dict[str, Any]:
    """What the scores depend on besides rows."""
    return {
        "utility": run.recipe.utility.model_dump(mode="json"),
        "task": run.task.model_dump(mode="json"),
        "threads": run.recipe.threads,
        "seed": run.seed("utility"),
        "learners": [_source(name) for name in run.recipe.utility.learners or () if ":" in name],
    }


def _source(learner: str) -> str:
    """Digest of the file that a learner of the user's own (`module:factory`) comes from."""
    found = importlib.util.find_spec(learner.partition(":")[0])
    return stage.file_digest(Path(found.origin)) if found and found.origin else learner


def score(
    run: Run, arms: list[Any], reference: pd.DataFrame, held_out: pd.DataFrame, progress: Progress
) -> Any:
    """`utility.score_arms` with this run's settings."""
    from leaven.pipelines.quality import utility

    return utility.score_arms(
        run.kind,
        run.schema,
        run.task,
        arms=arms,
        reference=reference,
        score=held_out,
        learners=run.kind.learners(run.task, run.recipe.utility.learners),
        repeats=run.recipe.utility.repeats,
        seed=run.seed("utility"),
        max_rows=run.recipe.utility.max_rows,
        threads=run.recipe.threads,
        progress=progress,
    )


def baseline(
    run: Run, train: list[Path], held_out: Path, *, fold: int, progress: Progress = silent
) -> Record:
    """Score the arms that need no generator: real rows alone, and the classic ways."""
    from leaven.pipelines.quality.utility import Arm

    def make(out: Path) -> dict[str, object]:
        real = run.frame(*train)
        classic = run.kind.classic_arms(run.task, run.schema, real, [], run.seed("classic", fold))
        arms = [Arm("real", [real]), *classic]
        score(run, arms, real, run.frame(held_out), progress).save(out / "scores.npz")
        return {"arms": [arm.name for arm in arms]}

    inputs = {f"train{n}": stage.file_digest(path) for n, path in enumerate(train)}
    inputs["score"] = stage.file_digest(held_out)
    return stage.run(run.work, f"baseline-fold{fold}", inputs=inputs, config=settings(run), make=make)


def assess(
    run: Run,
    candidate: Candidate,
    plans: list[Plan],
    made: Made,
    train: list[Path],
    held_out: Path,
    *,
    fold: int,
    role: str,
    progress: Progress = silent,
) -> Record:
    """Score real + synthetic rows for each amount; in the first fold also fidelity, diversity and privacy.

    `made` holds the rows of the largest amount; smaller ones are its first rows. The record's result has
    `plans` (rows used per amount) and `quality`; `scores.npz` has an arm per amount, named by its number.
    """
    from leaven.pipelines.quality.utility import Arm

    def make(out: Path) -> dict[str, object]:
        real, fresh = run.frame(*train), run.frame(held_out)
        arms, used = [], []
        for number, plan in enumerate(plans):
            rows = max(1, round(plan.rows * made.rows_kept / plans[-1].rows)) if made.rows_kept else 0
            used.append(rows)
            if rows:
                arms.append(Arm(str(number), [real, first(run, made.kept, rows, len(real))]))
        if len(arms) == len(plans):
            score(run, arms, real, fresh, progress).save(out / "scores.npz")
        quality = measure(run, real, made, fresh, role=role, max_rows=QUALITY_ROWS) if fold == 0 else {}
        return {"rows": used, "quality": quality}

    inputs = {f"train{n}": stage.file_digest(path) for n, path in enumerate(train)}
    inputs |= {"score": stage.file_digest(held_out)} | {
        record.stage: record.digest for record in made.records
    }
    config = {**settings(run), "plans": [plan.model_dump(mode="json") for plan in plans], "fold": fold}
    return stage.run(
        run.work, f"assess-fold{fold}-{candidate.generator}", inputs=inputs, config=config, make=make
    )


def measure(
    run: Run, real: pd.DataFrame, made: Made, fresh: pd.DataFrame, *, role: str, max_rows: int
) -> dict[str, Any]:
    """Fidelity and diversity of the screened rows, privacy of the rows before screening.

    An editor's rows resemble their sources by design, so privacy is not measured for them.
    """
    seed = run.seed("quality")
    quality: dict[str, Any] = {"fidelity": {}, "diversity": {}, "privacy": {}}
    with limited(run.recipe.threads, len(real)):
        if made.rows_kept:
            synthetic = Rows(made.kept, run.schema).frame(max_rows=max_rows, seed=seed)
            shared = {
                "train": real,
                "synthetic": synthetic,
                "fresh": fresh,
                "seed": seed,
                "max_rows": max_rows,
            }
            quality["fidelity"] = run.kind.fidelity(run.schema, run.task, **shared)
            quality["diversity"] = run.kind.diversity(run.schema, run.task, **shared)
        if role == "sampler" and min(len(real), len(fresh)) >= LEAST_ROWS:
            before = Rows(made.sampled, run.schema).frame(max_rows=max_rows, seed=seed)
            against = {"train": real, "synthetic": before, "held_out": fresh}
            quality["privacy"] = run.kind.privacy(
                run.schema, run.task, **against, seed=seed, max_rows=max_rows
            )
    return quality


def first(run: Run, paths: list[Path], count: int, real_rows: int) -> pd.DataFrame:
    """The first `count` rows of some files, thinned evenly where there are more than any arm could use.

    An arm thins its synthetic rows by the share of real rows that it keeps; here only memory is bounded.
    """
    parts: list[Any] = []
    left, keep = count, min(1.0, max(run.recipe.utility.max_rows, 2 * real_rows) / max(count, 1))
    for batch in run.rows(*paths).batches():
        batch = batch.slice(0, left)
        left -= batch.num_rows
        frame = _frame(batch, run)
        parts.append(frame if keep == 1.0 else frame.sample(frac=keep, random_state=len(parts)))
        if left <= 0:
            break
    return pd.concat(parts, ignore_index=True)


def _frame(table: Any, run: Run) -> pd.DataFrame:
    from leaven.generators.rows import to_frame

    return to_frame(table, run.schema)
