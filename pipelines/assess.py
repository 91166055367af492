"""Assess: what a candidate's rows are worth on validation rows, and how they compare with fresh real ones."""

import importlib.util
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from leaven.generators.contract import Progress, silent
from leaven.generators.parallel import Each
from leaven.generators.rows import Rows
from leaven.pipelines import models, stage
from leaven.pipelines.recipe import TUNED, Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made
from leaven.pipelines.threads import limited
from leaven.pipelines.ways import Way

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
    """Digest of the file that a learner of the user's own (`module:factory`) comes from, or of a folder's model."""
    if learner.startswith(TUNED):
        return models.content(learner.removeprefix(TUNED))
    found = importlib.util.find_spec(learner.partition(":")[0])
    return stage.file_digest(Path(found.origin)) if found and found.origin else learner


def score(
    run: Run,
    arms: list[Any],
    reference: pd.DataFrame,
    held_out: pd.DataFrame,
    progress: Progress,
    repeats: int | None = None,
    each: Each | None = None,
) -> Any:
    """`utility.score_arms` with this run's settings; with `repeats` in place of the recipe's, and quicker learners,
    while candidates are compared."""
    from leaven.pipelines.quality import utility

    learners = run.kind.learners(run.task, run.recipe.utility.learners, run.device)
    return utility.score_arms(
        run.kind,
        run.schema,
        run.task,
        arms=arms,
        reference=reference,
        score=held_out,
        learners=[learner.quick() for learner in learners] if repeats else learners,
        repeats=repeats or run.recipe.utility.repeats,
        seed=run.seed("utility"),
        max_rows=run.recipe.utility.max_rows,
        threads=run.recipe.threads,
        each=each,
        progress=progress,
    )


def baseline(
    run: Run,
    train: list[Path],
    held_out: Path,
    *,
    fold: int,
    repeats: int | None = None,
    progress: Progress = silent,
) -> Record:
    """Score the arms that need no generator: real rows alone, and the classic ways.

    Returns:
        A record whose result says in `compared` which of them a candidate's rows are added to: the real rows, or,
        where nobody would do without (`kind.COMPARED`), the best classic way on these held-out rows.
    """
    from leaven.pipelines.quality.utility import Arm, by_learner

    def make(out: Path) -> dict[str, object]:
        real = run.frame(*train)
        classic = run.kind.classic_arms(run.task, run.schema, real, [], run.seed("classic", fold), run.recipe)
        arms = [Arm("real", [real]), *classic]
        scores = score(run, arms, real, run.frame(held_out), progress, repeats)
        scores.save(out / "scores.npz")
        values = {name: fmean(of.values()) for name, of in by_learner([scores], run.task).items()}
        best = max((arm.name for arm in classic), key=lambda name: values[name], default="real")
        compared = best if run.kind.COMPARED == "classic" else "real"
        return {"arms": [arm.name for arm in arms], "compared": compared}

    inputs = {f"train{n}": stage.file_digest(path) for n, path in enumerate(train)}
    inputs["score"] = stage.file_digest(held_out)
    config = {**settings(run), "repeats": repeats}
    return stage.run(run.work, f"baseline-fold{fold}", inputs=inputs, config=config, make=make)


def assess(
    run: Run,
    candidate: Candidate,
    ways: Mapping[int, tuple[Way, Made]],
    train: list[Path],
    held_out: Path,
    *,
    fold: int,
    role: str,
    compared: str = "real",
    repeats: int | None = None,
    progress: Progress = silent,
) -> Record:
    """Score real + synthetic rows for each way; in the first fold also fidelity, diversity and privacy.

    Args:
        ways: number -> the way and the rows that were made for it, or for a larger amount of which its are the first.
        compared: the arm that the rows are added to; see `baseline`.
        repeats: seeds of a random learner; the recipe's when left out.

    Returns:
        A record with `ways` in its result (number -> rows sampled, kept and rejected) and `quality` (of the first
        way's rows); `scores.npz` has an arm per way that has rows, named by its number.
    """
    from leaven.pipelines.quality.utility import Arm

    def make(out: Path) -> dict[str, object]:
        real, fresh = run.frame(*train), run.frame(held_out)
        arms: list[Arm] = []
        same: dict[str, str] = {}  # ways that come to the same rows, as where a screen drops none
        counts: dict[str, Any] = {}
        for number, (way, made) in ways.items():
            part = min(1.0, way.plan.rows / made.asked)
            rows = max(1, round(part * made.rows_kept)) if made.rows_kept else 0
            rejected = {reason: round(part * count) for reason, count in made.reasons.items()}
            counts[str(number)] = {
                "sampled": round(part * made.rows_sampled),
                "kept": rows,
                "rejected": rejected,
            }
            if not rows:
                continue
            frame = first(run, made.kept, rows, len(real))
            twin = next((arm.name for arm in arms if arm.frames[1].equals(frame)), None)
            if twin is None:
                arms.append(_added(run, compared, real, frame, fold, str(number)))
            else:
                same[str(number)] = twin
        if arms:
            scores = score(run, arms, real, fresh, progress, repeats)
            for name, twin in same.items():
                scores.outputs[name], scores.trained[name] = scores.outputs[twin], scores.trained[twin]
            scores.save(out / "scores.npz")
        quality: dict[str, Any] = {}
        if fold == 0:
            _, made = next(iter(ways.values()))
            quality = measure(run, real, made, fresh, role=role, max_rows=QUALITY_ROWS)
        return {"ways": counts, "quality": quality}

    inputs = {f"train{n}": stage.file_digest(path) for n, path in enumerate(train)}
    inputs["score"] = stage.file_digest(held_out)
    for number, (_, made) in ways.items():
        inputs |= {f"{number}-{record.stage}": record.digest for record in made.records}
    asked = {str(number): way.model_dump(mode="json") for number, (way, _) in ways.items()}
    config = {**settings(run), "ways": asked, "fold": fold, "compared": compared, "repeats": repeats}
    return stage.run(
        run.work, f"assess-fold{fold}-{candidate.generator}", inputs=inputs, config=config, make=make
    )


def _added(run: Run, compared: str, real: pd.DataFrame, synthetic: pd.DataFrame, fold: int, name: str) -> Any:
    """The arm of synthetic rows added to real ones, in the way of the arm that it is compared with."""
    from leaven.pipelines.quality.utility import Arm

    if compared == "real":
        return Arm(name, [real, synthetic])
    seed = run.seed("classic", fold)
    classic = run.kind.classic_arms(run.task, run.schema, real, [synthetic], seed, run.recipe)
    return replace(next(arm for arm in classic if arm.name == compared), name=name)


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
            quality["fidelity"] = run.kind.fidelity(run.schema, run.task, run.recipe, **shared)
            quality["diversity"] = run.kind.diversity(run.schema, run.task, run.recipe, **shared)
        if role == "sampler" and min(len(real), len(fresh)) >= LEAST_ROWS:
            seen = max(1, min(max_rows, made.rows_sampled))  # more may have been made than were looked at
            before = Rows(made.sampled, run.schema).frame(max_rows=seen, seed=seed)
            against = {"train": real, "synthetic": before, "held_out": fresh}
            quality["privacy"] = run.kind.privacy(
                run.schema, run.task, run.recipe, **against, seed=seed, max_rows=max_rows
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
