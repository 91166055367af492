"""What the flow does for each candidate: fit, sample, screen, assess, in every fold and once more to certify."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaven.flows import ending, gpu, progress
from leaven.flows.tasks import Stage
from leaven.flows.workers import Workers
from leaven.generators.errors import FitError, InputError
from leaven.pipelines import amounts, race
from leaven.pipelines.assess import assess, baseline, class_counts
from leaven.pipelines.choose import Choice, Tried, refuse_useless
from leaven.pipelines.fit import fit, fit_name
from leaven.pipelines.folds import AGAIN, seeds_of
from leaven.pipelines.recipe import Candidate, Screen
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.split import fold_paths
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made, synthesize
from leaven.pipelines.ways import Way, batches, settled, ways

LEAST_FIT = 5.0  # seconds that a fit gets even when the total budget is nearly gone


def sample_in(workers: Workers, device: int | None, *args: Any, **options: Any) -> Record:
    """One shard, in a worker process when there are several."""
    return workers.call(gpu.on, device, sample, *args, **options)


def _stage(function: Callable[..., Record]) -> Stage:
    """The stage as a task that takes the workers first: they know where a stage is done."""

    @functools.wraps(function)
    def call(workers: Workers, *args: Any, **options: Any) -> Record:
        return workers.stage(function, *args, **options)

    return Stage(call)


fit_task, baseline_task, assess_task = _stage(fit), _stage(baseline), _stage(assess)
sample_task = Stage(sample_in)


@dataclass
class Trials:
    """The candidates of a run, and what became of them."""

    run: Run
    workers: Workers
    parts: Record  # the split
    tried: list[Tried]
    baselines: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)  # of refits, by stage
    steps: dict[str, int] = field(default_factory=dict)  # of refits that the clock ended
    peak_memory_bytes: int = 0
    place: gpu.Gpu = field(default_factory=gpu.Gpu)

    @contextlib.contextmanager
    def on_gpu(self, needed: bool, count: int = 1) -> Iterator[None]:
        """Hold the run's GPU, where the block needs one; the time that is waited for it is no time of the run."""
        with self.place.held(needed and not self.workers.places_gpus, count) as waited:
            self.run = gpu.forgiven(self.run, waited)
            yield

    @property
    def total(self) -> int:
        """Real rows that the certified generator learns from."""
        return self.parts.result["rows"]["train"] + self.parts.result["rows"]["validation"]

    def in_folds(self) -> None:
        """Every candidate in every fold, as far as the total budget allows: fold by fold, so that all have the same.

        Raises:
            InputError: no candidate can use the model that it names.
        """
        folds, longest = self.parts.result["folds"], 0.0
        for fold in range(folds):
            # Certifying refits twice; what is left must be enough for that after another fold.
            if fold and self.run.remaining < 2.5 * longest:
                self._end_at(fold, folds)
                return
            if fold and fold % self._whole == 0 and self._slow():
                self._end_at(fold, folds, "more drawings of the folds would take long:")
                return
            begun, deadline = time.time(), self.run.deadline
            train, held_out = fold_paths(self.parts, fold)
            name = f"baseline, fold {fold + 1} of {folds}"
            with self.on_gpu(gpu.measures(self.run)), progress.stage(name) as tell:
                record = baseline_task(
                    self.workers, self.run, train, held_out, fold=fold, repeats=self._seeds, progress=tell
                )
                self.baselines.append(record)
            racing = [one for one in self.tried if one.racing]
            if not all(
                self.workers.together(
                    functools.partial(self._in_time, one, train, held_out, fold) for one in racing
                )
            ):
                self._end_at(fold, folds)
                return
            refuse_useless(self.tried)
            made_in = sum(one.seconds_of(fold) for one in self.tried) + self.baselines[-1].seconds
            waited = self.run.deadline - deadline  # for a GPU
            longest = max(longest, time.time() - begun - waited, made_in)
            if fold + 1 < folds:
                race.narrow(self.run, self.baselines, self.tried, self._whole)

    @property
    def _whole(self) -> int:
        """Folds of one drawing."""
        return int(self.parts.result["folds"] // self.parts.result["drawings"])

    @property
    def _seeds(self) -> int:
        """Seeds of a classifier in each fold."""
        run = self.run
        return seeds_of(run.recipe.utility.repeats, self.parts.result["folds"], run.kind.LEAST_SEEDS)

    def _slow(self) -> bool:
        """Whether the folds so far took so long that they are not drawn again."""
        spent = sum(sum(one.by_fold) for one in self.tried) + sum(record.seconds for record in self.baselines)
        return spent > AGAIN * self.run.recipe.budget.total

    def _end_at(self, fold: int, folds: int, why: str = "budget.total allowed") -> None:
        """A fold that not every candidate could finish counts for none."""
        fold -= fold % self._whole if fold > self._whole else 0
        del self.baselines[fold:]
        for one in self.tried:
            one.forget(fold)
        self.notes.append(f"{why} {fold} of {folds} folds")

    def _in_time(self, one: Tried, train: list[Path], held_out: Path, fold: int) -> bool:
        """Try a candidate in a fold; whether there was time left for it. In the first fold it is told why not."""
        if fold and self.run.remaining <= 0:
            return False
        self._one(one, train, held_out, fold)
        return True

    def _one(self, one: Tried, train: list[Path], held_out: Path, fold: int) -> None:
        """One candidate in one fold; a failure is kept as its reason."""
        if self.run.remaining <= 0:
            one.fail("budget.total ran out before it was tried")
            return
        try:
            all_ways = self._ways(one.candidate, train)
            asked = {n: way for n, way in enumerate(all_ways) if one.left is None or n in one.left}
            model = self._fit(one.candidate, train, f"fold{fold}")
            made: dict[int, tuple[Way, Made]] = {}
            for batch in batches(asked):
                rows = self._make(one.candidate, model, batch.plan, batch.screen, train, f"fold{fold}")
                made |= {number: (asked[number], rows) for number in batch.numbers}
            made = dict(sorted(made.items()))
            name = f"assess {one.candidate.label}, fold {fold + 1}"
            with self.on_gpu(gpu.measures(self.run)), progress.stage(name) as tell:
                record = assess_task(
                    self.workers,
                    self.run,
                    one.candidate,
                    made,
                    train,
                    held_out,
                    fold=fold,
                    role=model.result["role"],
                    compared=self.baselines[0].result["compared"],
                    repeats=self._seeds,
                    progress=tell,
                )
        except (FitError, InputError) as error:
            ending.raise_if_ended()
            one.fail(error)
            return
        every = [rows for _, rows in made.values()]
        one.add(all_ways, model, every, record)
        self._saw(model, *(part for rows in every for part in rows.records), record)

    def again(self, choice: Choice, train: list[Path], part: str) -> tuple[Record, Made] | str:
        """The chosen (or best) candidate refitted on `train`, with its amount; or why that cannot be."""
        assert choice.best is not None
        if part == "half" and self.run.remaining <= 0:
            return "budget.total ran out before the worth could be measured"
        candidate = choice.best.candidate
        try:
            screen = choice.best.screen or self.run.recipe.screen.levels()[0]
            asked = choice.best.plan.amount
            plan = next(way.plan for way in self._ways(candidate, train) if way.plan.amount == asked)
            model = self._fit(candidate, train, part)
            made = self._make(candidate, model, plan, screen, train, part)
        except (FitError, InputError) as error:
            ending.raise_if_ended()
            return f"{candidate.label} could not be made again ({part}): {error}"
        spent = {"fit": model.seconds, "sample": made.seconds_sample, "screen": made.seconds_screen}
        for name, seconds in spent.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        if model.result["stopped_by"] == "budget":
            self.steps[fit_name(part, candidate)] = model.result["steps"]
        self._saw(model, *made.records)
        return model, made

    def _ways(self, candidate: Candidate, train: list[Path]) -> list[Way]:
        run, counts = self.run, class_counts(self.run, train)
        recipe = settled(run.recipe, candidate.generator, run.schema, run.task, self._counts)
        return ways(recipe, run.schema, run.task, counts, sum(counts.values()) / self.total)

    @functools.cached_property
    def _counts(self) -> dict[str, int]:
        """Rows per class of all rows that choices are made with."""
        return class_counts(
            self.run, [self.parts.path(f"{part}.parquet") for part in ("train", "validation")]
        )

    def _fit(self, candidate: Candidate, train: list[Path], part: str) -> Record:
        """A fitted generator."""
        seconds = min(self.run.recipe.budget.fit, max(LEAST_FIT, self.run.remaining / 2))
        needed, count = gpu.draws(self.run, candidate), candidate.parameters.get("devices") or 1
        with self.on_gpu(needed, count), progress.stage(f"fit {candidate.label}, {part}") as tell:
            model: Record = fit_task(
                self.workers, self.run, candidate, train, part=part, seconds=seconds, progress=tell
            )
        return model

    def _make(
        self,
        candidate: Candidate,
        model: Record,
        plan: amounts.Plan,
        screen: Screen,
        train: list[Path],
        part: str,
    ) -> Made:
        """A generator's rows, screened."""
        run, workers = self.run, self.workers
        needed = gpu.draws(run, candidate) or gpu.measures(run)

        def sample_shards(shards: Sequence[amounts.Shard]) -> list[Record]:
            if workers.count == 1 or len(shards) == 1:
                return [
                    sample_task(workers, device, run, candidate, model, plan, shard, part=part)
                    for shard in shards
                ]
            futures = [
                sample_task.submit(workers, device, run, candidate, model, plan, shard, part=part)
                for shard in shards
            ]
            return [future.result() for future in futures]

        name = f"sample and screen {candidate.label}, {part}"
        with self.on_gpu(needed), progress.stage(name) as tell:
            device = self.place.index if needed else None
            return synthesize(
                run,
                candidate,
                model,
                plan,
                train,
                part=part,
                level=screen,
                sample_shards=sample_shards,
                each=workers.each,
                progress=tell,
            )

    def _saw(self, *records: Record) -> None:
        self.peak_memory_bytes = max(
            self.peak_memory_bytes, *(record.peak_memory_bytes for record in records)
        )

    def all_steps(self) -> dict[str, int]:
        """Steps of every fit that the clock ended, for a replay."""
        in_folds = {
            fit_name(f"fold{fold}", one.candidate): steps
            for one in self.tried
            for fold, steps in enumerate(one.steps)
            if steps is not None
        }
        return in_folds | self.steps

    def all_seconds(self) -> dict[str, float]:
        """What fit, sample, screen and assess took when they were made, over all candidates, folds and refits."""
        return {
            "fit": self._over("fit"),
            "sample": self._over("sample"),
            "screen": self._over("screen"),
            "assess": self._over("assess") + sum(record.seconds for record in self.baselines),
        }

    def _over(self, key: str) -> float:
        return self.seconds.get(key, 0.0) + sum(one.seconds.get(key, 0.0) for one in self.tried)
