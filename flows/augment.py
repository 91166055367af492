"""The whole way as a Prefect flow: a recipe becomes a dataset version, released or withheld.

Every stage is a plain function of `leaven.pipelines`; here it is said when and where it runs. What is reused
after a kill is decided by the stages' own records, so Prefect's result cache stays off.
"""

import time
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from leaven.flows import approve, gpu, lineage, notify, progress, starting
from leaven.flows.tasks import Stage, storage
from leaven.flows.trials import Trials
from leaven.flows.workers import Runner, Workers, start
from leaven.generators.text.spent import forget_spent
from leaven.pipelines import approval, marked, models, stage
from leaven.pipelines.certify import certify
from leaven.pipelines.choose import Choice, Tried, choose
from leaven.pipelines.fit import FOLDER
from leaven.pipelines.ingest import ingest, load_profile
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.release import Outcome, release
from leaven.pipelines.report_dict import assemble
from leaven.pipelines.run import Run
from leaven.pipelines.split import split
from leaven.pipelines.stage import Record
from leaven.pipelines.store import Store

WAITING = 1_024  # shards that are waited for at once, each by a thread; Prefect itself sets no bound
KEPT_SECONDS = 7 * 86400.0  # unfinished work that no run has touched for so long is dropped

ingest_task, release_task = storage(ingest), storage(release)
split_task, choose_task, certify_task = Stage(split), Stage(choose), Stage(certify)


@flow(
    name="augment",
    persist_result=False,
    log_prints=False,
    task_runner=ThreadPoolTaskRunner(max_workers=WAITING),  # type: ignore[arg-type]
)
def augment(
    recipe: Recipe,
    folder: str = ".",
    store: str | None = None,
    replay: str | None = None,
    runner: Runner = "local",
    address: str | None = None,
) -> Outcome:
    """Learn from the recipe's rows, make synthetic ones, and release them only if a classifier gets better.

    Args:
        recipe: what to learn from, what to try, how much to make, and what must hold before release.
        folder: the folder that the recipe's paths count from.
        store: folder or URI of the store, in place of the recipe's.
        replay: a version of this name whose fits are repeated step by step where the clock had ended them.
        runner: where the work is done; changes no byte of the rows.
        address: of a Ray cluster, for the runner `ray`.
    """
    started = time.time()
    where = starting.store_of(recipe, Path(folder), store)
    with (
        where.lock(recipe.name),
        lineage.events(recipe, Path(folder), where) as told,
        start(runner, recipe, where.work(recipe.name), address) as workers,
    ):
        steps = where.find(f"{recipe.name}@{replay}").manifest["seeds"]["steps"] if replay else None
        told.outcome = _augment(recipe, Path(folder), where, workers, started, steps)
        return told.outcome


def _augment(
    recipe: Recipe,
    folder: Path,
    store: Store,
    workers: Workers,
    started: float,
    replay: dict[str, int] | None,
) -> Outcome:
    work = store.work(recipe.name)
    stage.sweep(work, started - KEPT_SECONDS)
    with progress.stage("ingest") as tell:
        before = store.kept(recipe.name, "schema.json")
        source: Record = ingest_task(recipe, folder, work, previous_schema=before, progress=tell)
    placed = models.placed(marked.placed(recipe, folder), folder)
    run = Run.start(placed, work, source, started, replay)
    marked.of(run.recipe, run.schema)  # refused before any fit
    drawn = f"assignments-{stage.digest(run.lineage['split'] | {'target': run.task.target})[:12]}.parquet"
    with progress.stage("split") as tell:
        parts: Record = split_task(recipe, source, work, store.kept(recipe.name, drawn), progress=tell)
    store.keep(recipe.name, drawn, parts.path("assignments.parquet"))

    rows = parts.result["rows"]["train"]
    candidates = run.candidates(rows)
    forget_spent()  # budgets of endpoints are a run's
    trials = Trials(run, workers, parts, [Tried(candidate) for candidate in candidates])
    trials.in_folds()
    with progress.stage("choose"):
        choice: Choice = choose_task(run, trials.baselines, trials.tried, rows)

    real = [parts.path("train.parquet"), parts.path("validation.parquet")]
    half, test = parts.path("half.parquet"), parts.path("test.parquet")
    model: Record | None = None
    made, half_made = None, None
    without_worth: str | None = "no candidate made any rows"
    if choice.best is not None:
        final = trials.again(choice, real, "certify")
        if isinstance(final, str):
            trials.notes.append(final)
        else:
            model, made = final
            trials.notes += [*model.result["notes"], *made.notes()]
            halved = trials.again(choice, [half], "half")
            half_made, without_worth = (None, halved) if isinstance(halved, str) else (halved[1], None)
    role = model.result["role"] if model else "sampler"
    with trials.on_gpu(gpu.measures(run)), progress.stage("certify") as tell:
        paths: dict[str, Any] = {"fitted": model, "real": real, "half": half, "test": test}
        certificate = certify_task(
            trials.run,
            choice,
            made,
            half_made,
            **paths,
            role=role,
            without_worth=without_worth,
            each=workers.each,
            progress=tell,
        )
    once = {"ingest": source.seconds, "split": parts.seconds, "certify": certificate.seconds}
    report = assemble(
        run,
        choice=choice,
        tried=trials.tried,
        certificate=certificate,
        made=made,
        rows=parts.result["rows"],
        role=role,
        seconds=once | trials.all_seconds() | {"wall": time.time() - started},
        peak_memory_bytes=max(trials.peak_memory_bytes, certificate.peak_memory_bytes, stage.peak_memory()),
        profile=load_profile(source),
        warnings=source.result["warnings"] + parts.result["warnings"],
        notes=trials.notes,
        private=model.result.get("privacy") if model else None,
    )
    with progress.stage("release"):
        line = stage.digest(run.lineage)
        outcome: Outcome = release_task(
            recipe,
            store=store,
            report=report,
            schema=run.schema,
            real={part: [parts.path(f"{part}.parquet")] for part in ("train", "validation", "test")},
            synthetic=made.kept if made else [],
            rejected=[*source.paths("rejected.parquet"), *(made.rejected if made else [])],
            generator=model.path(FOLDER) if model else None,
            seeds={"split": recipe.split.seed, "lineage": line, "steps": trials.all_steps()},
            stages=[source, parts, *([model] if model else []), *(made.records if made else []), certificate],
            parents=store.versions(recipe.name)[-1:],
        )
    store.keep(recipe.name, "schema.json", source.path("schema.json"))
    stage.sweep(work, started)
    progress.artifacts(outcome)
    outcome = approval.settled(store, outcome, recipe.name)
    stands = approval.state(store, store.get(recipe.name, outcome.version))
    place = store.place(recipe.name, outcome.version)
    notify.tell(recipe, store, outcome.version, stands, outcome.report, place)
    if stands == "pending":
        approve.ask(recipe.name, outcome.version, store.uri)
    return outcome


def run_recipe(
    recipe: Recipe,
    folder: Path,
    store: str | None = None,
    replay: str | None = None,
    runner: Runner = "local",
    address: str | None = None,
) -> Outcome:
    """Run the flow in this process, on the server that is configured or on a temporary one."""
    return augment(recipe, str(folder), store, replay, runner, address)
