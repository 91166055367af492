"""Certify: every arm trained on train + validation, scored on test rows, which are read here and nowhere else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from leaven.generators.contract import Progress, silent
from leaven.generators.parallel import Each
from leaven.generators.rows import Rows
from leaven.pipelines import stage
from leaven.pipelines.assess import first, measure, score, settings
from leaven.pipelines.choose import Choice
from leaven.pipelines.run import Run
from leaven.pipelines.sample import with_sources
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made

QUALITY_ROWS = 10_000
PANEL_ROWS = 20_000


def certify(
    run: Run,
    choice: Choice,
    made: Made | None,
    half_made: Made | None,
    *,
    fitted: Record | None,
    real: list[Path],
    half: Path,
    test: Path,
    role: str,
    without_worth: str | None = None,
    each: Each | None = None,
    progress: Progress = silent,
) -> Record:
    """Measure the chosen (or best) candidate's rows on test rows.

    Args:
        made: rows of the generator that was refitted on `real` (train and validation); None when no candidate
            made any, then only the real and classic arms are measured.
        fitted: that generator.
        half_made: rows of the generator refitted on `half` of the real rows, for the worth in real rows.
        without_worth: why the worth is not measured, if so.
        each: like `map`; fits the learners, see `utility.score_arms`.

    Returns:
        A record whose result holds the report's `utility`, `fidelity`, `diversity`, `privacy` and `panels`.
    """
    from leaven.pipelines.quality import bootstrap, utility

    def make(out: Path) -> dict[str, object]:
        rows, held_out = run.frame(*real), run.frame(test)
        arms = _arms(run, choice, rows, made)
        scores = score(run, arms, rows, held_out, _part(progress, 0.0, 0.5, "arms"), each=each)
        scores.save(out / "scores.npz")
        draws, seed = run.recipe.utility.draws, run.seed("bootstrap")
        values = bootstrap.arms([scores], run.task, draws, seed)
        names = [arm.name for arm in arms]

        def gap(a: str, b: str) -> dict[str, float] | None:
            if a not in names or b not in names:
                return None
            return plain(bootstrap.difference([scores], a, b, run.task, draws, seed))

        result: dict[str, Any] = {
            "metric": run.task.metric,
            "learners": [
                learner.name
                for learner in run.kind.learners(run.task, run.recipe.utility.learners, run.device)
            ],
            "repeats": run.recipe.utility.repeats,
            "arms": {name: plain(interval) for name, interval in values.items()},
            "arms_by_learner": utility.by_learner([scores], run.task),
            "classic_chosen": choice.classic,
            "lift": gap("augmented", "real"),
            "lift_over_classic": gap("classic_augmented", "classic"),
            "per_class": _per_class(run, scores, names),
        }
        result |= _worth(
            run, made, half_made, real, half, test, without_worth, each, _part(progress, 0.5, 0.8, "worth")
        )
        quality: dict[str, Any] = {"fidelity": {}, "diversity": {}, "privacy": {}}
        panels: dict[str, Any] = {}
        if made is not None:
            quality = measure(run, rows, made, held_out, role=role, max_rows=QUALITY_ROWS)
        if made is not None and made.rows_kept:
            seen = Rows(made.kept, with_sources(run.schema)).frame(
                max_rows=PANEL_ROWS, seed=run.seed("panels")
            )
            panels = run.kind.panels(
                run.schema,
                run.task,
                run.recipe,
                train=rows,
                synthetic=seen,
                fresh=held_out,
                rejected=made.rejected,
                fitted=fitted,
            )
        progress(1.0, "certified")
        return {"utility": result, **quality, "panels": panels}

    inputs = {f"real{n}": stage.file_digest(path) for n, path in enumerate(real)}
    inputs |= {"half": stage.file_digest(half), "test": stage.file_digest(test)}
    for name, rows_made in (("made", made), ("half", half_made)):
        inputs |= {
            f"{name}-{record.stage}": record.digest for record in (rows_made.records if rows_made else [])
        }
    config = {**settings(run), "choice": choice.model_dump(mode="json"), "worth": without_worth}
    return stage.run(run.work, "certify", inputs=inputs, config=config, make=make)


def plain(interval: Any) -> dict[str, float]:
    """An interval as the report has it."""
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _arms(run: Run, choice: Choice, real: Any, made: Made | None) -> list[Any]:
    """real, duplicates, classic, synthetic_only, augmented, classic_augmented: those that can be made."""
    from leaven.pipelines.quality.utility import Arm, Duplicate

    def classic(extra: list[Any], name: str) -> list[Any]:
        found = run.kind.classic_arms(run.task, run.schema, real, extra, run.seed("classic"), run.recipe)
        same = [arm for arm in found if arm.name == choice.classic]
        return [replace(same[0], name=name)] if same else []  # with its way to resample, if it has one

    arms = [Arm("real", [real]), *classic([], "classic")]
    if made is not None and made.rows_kept:
        synthetic = first(run, made.kept, made.rows_kept, len(real))
        arms += [
            Arm("duplicates", [real], resample=Duplicate(real, synthetic, run.task)),
            Arm("synthetic_only", [synthetic]),
            Arm("augmented", [real, synthetic]),
            *classic([synthetic], "classic_augmented"),
        ]
    return arms


def _per_class(run: Run, scores: Any, names: list[str]) -> dict[str, dict[str, float | None]]:
    from leaven.pipelines.quality import utility

    if run.task.type != "classification":
        return {}
    found = utility.per_class([scores], run.task, [name for name in ("real", "augmented") if name in names])
    return {label: {"augmented": None, **values} for label, values in found.items()}


def _worth(
    run: Run,
    made: Made | None,
    half_made: Made | None,
    real: list[Path],
    half: Path,
    test: Path,
    without: str | None,
    each: Each | None,
    progress: Progress,
) -> dict[str, Any]:
    """The worth in real rows with its learning curve, or null with the reason."""
    from leaven.pipelines.quality import worth

    if without is None and (half_made is None or not half_made.rows_kept):
        without = "there are no synthetic rows made from half of the real ones"
    if without is not None:
        nothing = {"value": None, "low": None, "high": None, "reason": without}
        return {"worth_real_rows": nothing, "worth_reason": without, "curve": [], "half": None}
    assert half_made is not None
    half_rows = run.frame(half)
    found = worth.worth(
        run.kind,
        run.schema,
        run.task,
        half=half_rows,
        full=run.frame(*real),
        half_synthetic=first(run, half_made.kept, half_made.rows_kept, len(half_rows)),
        score=run.frame(test),
        learners=run.kind.learners(run.task, run.recipe.utility.learners, run.device),
        repeats=min(run.recipe.utility.repeats, 3),
        seed=run.seed("worth"),
        max_rows=run.recipe.utility.max_rows,
        draws=run.recipe.utility.draws,
        threads=run.recipe.threads,
        each=each,
        progress=progress,
    )
    return {**found, "worth_reason": found["worth_real_rows"].get("reason")}


def _part(progress: Progress, low: float, high: float, name: str) -> Progress:
    """Progress of a part, within the whole's."""
    return lambda share, text: progress(low + (high - low) * share, f"{name}: {text}" if text else name)
