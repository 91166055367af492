"""The whole way as a Prefect flow: a recipe becomes a dataset version, released or withheld.

Every stage is a plain function of `leaven.pipelines`; here it is said when and where it runs. What is reused
after a kill is decided by the stages' own records, so Prefect's result cache stays off.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from leaven.flows import progress
from leaven.flows.tasks import Stage, storage
from leaven.flows.workers import Workers
from leaven.generators.errors import ConditionError, FitError
from leaven.pipelines import amounts, stage
from leaven.pipelines.assess import assess, baseline, class_counts
from leaven.pipelines.certify import certify
from leaven.pipelines.choose import Choice, Tried, choose
from leaven.pipelines.fit import FOLDER, fit, fit_name
from leaven.pipelines.ingest import ingest, load_profile
from leaven.pipelines.recipe import Candidate, Recipe
from leaven.pipelines.release import Outcome, release
from leaven.pipelines.report_dict import assemble
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.split import fold_paths, split
from leaven.pipelines.stage import Record
from leaven.pipelines.store import Store
from leaven.pipelines.synthesize import Made, synthesize

LEAST_FIT = 5.0  # seconds that a fit gets even when the total budget is nearly gone


def sample_in(workers: Workers, *args: Any, **options: Any) -> Record:
    """One shard, in a worker process when there are several."""
    return workers.call(sample, *args, **options)


ingest_task, release_task = storage(ingest), storage(release)
split_task, fit_task, sample_task = Stage(split), Stage(fit), Stage(sample_in)
baseline_task, assess_task = Stage(baseline), Stage(assess)
choose_task, certify_task = Stage(choose), Stage(certify)


@flow(name="augment", persist_result=False, log_prints=False)
def augment(
    recipe: Recipe, folder: str = ".", store: str | None = None, replay: str | None = None
) -> Outcome:
    """Learn from the recipe's rows, make synthetic ones, and release them only if a classifier gets better.

    Args:
        recipe: what to learn from, what to try, how much to make, and what must hold before release.
        folder: the folder that the recipe's paths count from.
        store: folder or URI of the store, in place of the recipe's.
        replay: a version of this name whose fits are repeated step by step where the clock had ended them.
    """
    started = time.time()
    where = Store(
        store or str((Path(folder) / recipe.store).resolve() if "://" not in recipe.store else recipe.store)
    )
    with where.lock(recipe.name), Workers(recipe.workers, threads=1) as workers:
        steps = where.find(f"{recipe.name}@{replay}").manifest["seeds"]["steps"] if replay else {}
        return _augment(recipe, Path(folder), where, workers, started, steps)


def _augment(
    recipe: Recipe, folder: Path, store: Store, workers: Workers, started: float, replay: dict[str, int]
) -> Outcome:
    work = store.work(recipe.name)
    with progress.stage("ingest") as tell:
        source: Record = ingest_task(
            recipe, folder, work, previous_schema=store.kept(recipe.name, "schema.json"), progress=tell
        )
    run = Run.start(recipe, work, source, started, replay)
    assignments = (
        f"assignments-{stage.digest(run.lineage['split'] | {'target': run.task.target})[:12]}.parquet"
    )
    with progress.stage("split") as tell:
        parts: Record = split_task(recipe, source, work, store.kept(recipe.name, assignments), progress=tell)
    store.keep(recipe.name, assignments, parts.path("assignments.parquet"))
    real = [parts.path("train.parquet"), parts.path("validation.parquet")]
    total = parts.result["rows"]["train"] + parts.result["rows"]["validation"]

    tried = [Tried(candidate) for candidate in run.candidates(parts.result["rows"]["train"])]
    baselines, notes = _try_all(run, parts, tried, workers, total)
    with progress.stage("choose"):
        choice: Choice = choose_task(run, baselines, tried)

    made, model, role = None, None, "sampler"
    half_made, without_worth = None, None
    if choice.best is not None:
        candidate = choice.best.candidate
        model, made = _make(run, candidate, choice.best.plan.amount, real, "certify", workers, total)
        role = model.result["role"]
        half_made, without_worth = _make_half(run, choice, parts, workers, total)
    else:
        without_worth = "no candidate made any rows"
    with progress.stage("certify") as tell:
        certificate = certify_task(
            run,
            choice,
            made,
            half_made,
            real=real,
            half=parts.path("half.parquet"),
            test=parts.path("test.parquet"),
            role=role,
            without_worth=without_worth,
            progress=tell,
        )
    report = assemble(
        run,
        choice=choice,
        tried=tried,
        certificate=certificate,
        made=made,
        rows=parts.result["rows"],
        role=role,
        seconds=_seconds(source, parts, baselines, tried, model, made, certificate)
        | {"wall": time.time() - started},
        profile=load_profile(source),
        warnings=source.result["warnings"] + parts.result["warnings"],
        notes=notes,
    )
    with progress.stage("release"):
        outcome = release_task(
            recipe,
            store=store,
            report=report,
            schema=run.schema,
            real={part: [parts.path(f"{part}.parquet")] for part in ("train", "validation", "test")},
            synthetic=made.kept if made else [],
            rejected=[*source.paths("rejected.parquet"), *(made.rejected if made else [])],
            generator=model.path(FOLDER) if model else None,
            seeds={
                "split": recipe.split.seed,
                "lineage": stage.digest(run.lineage),
                "steps": _steps(tried, choice, model),
            },
            stages=[source, parts, *([model] if model else []), *(made.records if made else []), certificate],
            parents=[],
        )
    store.keep(recipe.name, "schema.json", source.path("schema.json"))
    stage.sweep(work, started)
    progress.artifacts(outcome)
    return outcome


def _try_all(
    run: Run, parts: Record, tried: list[Tried], workers: Workers, total: int
) -> tuple[list[Record], list[str]]:
    """Every candidate in every fold, as far as the total budget allows: fold by fold, so that all have the same."""
    baselines: list[Record] = []
    folds, longest = parts.result["folds"], 0.0
    for fold in range(folds):
        # Certifying refits twice; what is left must be enough for that after another fold.
        if fold and run.remaining < 2.5 * longest:
            return baselines, [f"budget.total allowed {fold} of {folds} folds"]
        begun = time.time()
        train, held_out = fold_paths(parts, fold)
        with progress.stage(f"baseline, fold {fold + 1} of {folds}") as tell:
            baselines.append(baseline_task(run, train, held_out, fold=fold, progress=tell))
        for one in tried:
            if one.failed is None:
                _try_one(run, one, train, held_out, fold, workers, total)
        longest = max(longest, time.time() - begun)
    return baselines, []


def _try_one(
    run: Run, one: Tried, train: list[Path], held_out: Path, fold: int, workers: Workers, total: int
) -> None:
    """Fit, sample, screen and assess one candidate in one fold; a failure is kept as its reason."""
    if run.remaining <= 0:
        one.fail("budget.total ran out before it was tried in every fold")
        return
    counts = class_counts(run, train)
    share = sum(counts.values()) / total
    plans = amounts.plans(run.recipe.amount, run.schema, run.task, counts, share)
    label = f"{one.candidate.label}, fold {fold + 1}"
    try:
        model, made = _fit_and_sample(run, one.candidate, plans[-1], train, f"fold{fold}", workers)
        with progress.stage(f"assess {label}") as tell:
            record = assess_task(
                run,
                one.candidate,
                plans,
                made,
                train,
                held_out,
                fold=fold,
                role=model.result["role"],
                progress=tell,
            )
    except (FitError, ConditionError) as error:
        one.fail(str(error))
        return
    one.add(plans, model, made, record)


def _fit_and_sample(
    run: Run, candidate: Candidate, plan: amounts.Plan, train: list[Path], part: str, workers: Workers
) -> tuple[Record, Made]:
    """A fitted generator and its screened rows."""
    seconds = min(run.recipe.budget.fit, max(LEAST_FIT, run.remaining / 2))
    with progress.stage(f"fit {candidate.label}, {part}") as tell:
        model = fit_task(run, candidate, train, part=part, seconds=seconds, progress=tell)

    def sample_shards(shards: Sequence[amounts.Shard]) -> list[Record]:
        if workers.count == 1 or len(shards) == 1:
            return [sample_task(workers, run, candidate, model, plan, shard, part=part) for shard in shards]
        futures = [
            sample_task.submit(workers, run, candidate, model, plan, shard, part=part) for shard in shards
        ]
        return [future.result() for future in futures]

    with progress.stage(f"sample and screen {candidate.label}, {part}") as tell:
        made = synthesize(
            run, candidate, model, plan, train, part=part, sample_shards=sample_shards, progress=tell
        )
    return model, made


def _make(
    run: Run,
    candidate: Candidate,
    amount: dict[str, Any],
    train: list[Path],
    part: str,
    workers: Workers,
    total: int,
) -> tuple[Record, Made]:
    """Refit a candidate on `train` and make the amount that was chosen for it."""
    counts = class_counts(run, train)
    plans = amounts.plans(run.recipe.amount, run.schema, run.task, counts, sum(counts.values()) / total)
    plan = next(plan for plan in plans if plan.amount == amount)
    return _fit_and_sample(run, candidate, plan, train, part, workers)


def _make_half(
    run: Run, choice: Choice, parts: Record, workers: Workers, total: int
) -> tuple[Made | None, str | None]:
    """Rows made from half of the real ones, for the worth in real rows; or why there are none."""
    assert choice.best is not None
    if run.remaining < 0:
        return None, "budget.total ran out before the worth could be measured"
    try:
        half = [parts.path("half.parquet")]
        return _make(run, choice.best.candidate, choice.best.plan.amount, half, "half", workers, total)[
            1
        ], None
    except (FitError, ConditionError) as error:
        return None, f"the generator could not be refitted on half of the rows: {error}"


def _seconds(
    source: Record,
    parts: Record,
    baselines: list[Record],
    tried: list[Tried],
    model: Record | None,
    made: Made | None,
    certificate: Record,
) -> dict[str, float]:
    """What each stage took when it was made, summed over candidates and folds."""

    def over(key: str) -> float:
        return sum(one.seconds.get(key, 0.0) for one in tried)

    return {
        "ingest": source.seconds,
        "split": parts.seconds,
        "fit": over("fit") + (model.seconds if model else 0.0),
        "sample": over("sample") + (made.seconds_sample if made else 0.0),
        "screen": over("screen") + (made.seconds_screen if made else 0.0),
        "assess": over("assess") + sum(record.seconds for record in baselines),
        "certify": certificate.seconds,
    }


def _steps(tried: list[Tried], choice: Choice, model: Record | None) -> dict[str, int]:
    """Steps of the fits that the clock ended, for a replay."""
    found = {
        fit_name(f"fold{fold}", one.candidate): steps
        for one in tried
        for fold, steps in enumerate(one.steps)
        if steps is not None
    }
    if model is not None and choice.best is not None and model.result["stopped_by"] == "budget":
        found[fit_name("certify", choice.best.candidate)] = model.result["steps"]
    return found


def run_recipe(recipe: Recipe, folder: Path, store: str | None = None, replay: str | None = None) -> Outcome:
    """Run the flow in this process, on the server that is configured or on a temporary one."""
    return augment(recipe, str(folder), store, replay)
