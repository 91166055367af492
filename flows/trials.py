"""What the flow does for each candidate: fit, sample, screen, assess, in every fold and once more to certify."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaven.flows import progress
from leaven.flows.tasks import Stage
from leaven.flows.workers import Workers
from leaven.generators.errors import FitError, InputError
from leaven.pipelines import amounts
from leaven.pipelines.assess import assess, baseline, class_counts
from leaven.pipelines.choose import Choice, Tried
from leaven.pipelines.fit import fit, fit_name
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.split import fold_paths
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made, synthesize

LEAST_FIT = 5.0  # seconds that a fit gets even when the total budget is nearly gone


def sample_in(workers: Workers, *args: Any, **options: Any) -> Record:
    """One shard, in a worker process when there are several."""
    return workers.call(sample, *args, **options)


fit_task, sample_task = Stage(fit), Stage(sample_in)
baseline_task, assess_task = Stage(baseline), Stage(assess)


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

    @property
    def total(self) -> int:
        """Real rows that the certified generator learns from."""
        return self.parts.result["rows"]["train"] + self.parts.result["rows"]["validation"]

    def in_folds(self) -> None:
        """Every candidate in every fold, as far as the total budget allows: fold by fold, so that all have the same."""
        folds, longest = self.parts.result["folds"], 0.0
        for fold in range(folds):
            # Certifying refits twice; what is left must be enough for that after another fold.
            if fold and self.run.remaining < 2.5 * longest:
                self._end_at(fold, folds)
                return
            begun = time.time()
            train, held_out = fold_paths(self.parts, fold)
            with progress.stage(f"baseline, fold {fold + 1} of {folds}") as tell:
                self.baselines.append(baseline_task(self.run, train, held_out, fold=fold, progress=tell))
            for one in self.tried:
                if self.run.remaining <= 0 and fold:
                    self._end_at(fold, folds)
                    return
                if one.failed is None:
                    self._one(one, train, held_out, fold)
            made_in = sum(one.seconds_of(fold) for one in self.tried) + self.baselines[-1].seconds
            longest = max(longest, time.time() - begun, made_in)

    def _end_at(self, fold: int, folds: int) -> None:
        """A fold that not every candidate could finish counts for none."""
        del self.baselines[fold:]
        for one in self.tried:
            one.forget(fold)
        self.notes.append(f"budget.total allowed {fold} of {folds} folds")

    def _one(self, one: Tried, train: list[Path], held_out: Path, fold: int) -> None:
        """One candidate in one fold; a failure is kept as its reason."""
        if self.run.remaining <= 0:
            one.fail("budget.total ran out before it was tried")
            return
        try:
            plans = self._plans(train)
            model, made = self._fit_and_sample(one.candidate, plans[-1], train, f"fold{fold}")
            with progress.stage(f"assess {one.candidate.label}, fold {fold + 1}") as tell:
                role = model.result["role"]
                paths = {"train": train, "held_out": held_out}
                record = assess_task(
                    self.run, one.candidate, plans, made, **paths, fold=fold, role=role, progress=tell
                )
        except (FitError, InputError) as error:
            one.fail(str(error))
            return
        one.add(plans, model, made, record)
        self._saw(model, *made.records, record)

    def again(self, choice: Choice, train: list[Path], part: str) -> tuple[Record, Made] | str:
        """The chosen (or best) candidate refitted on `train`, with its amount; or why that cannot be."""
        assert choice.best is not None
        if part == "half" and self.run.remaining <= 0:
            return "budget.total ran out before the worth could be measured"
        candidate = choice.best.candidate
        try:
            plan = next(plan for plan in self._plans(train) if plan.amount == choice.best.plan.amount)
            model, made = self._fit_and_sample(candidate, plan, train, part)
        except (FitError, InputError) as error:
            return f"{candidate.label} could not be made again ({part}): {error}"
        spent = {"fit": model.seconds, "sample": made.seconds_sample, "screen": made.seconds_screen}
        for name, seconds in spent.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        if model.result["stopped_by"] == "budget":
            self.steps[fit_name(part, candidate)] = model.result["steps"]
        self._saw(model, *made.records)
        return model, made

    def _plans(self, train: list[Path]) -> list[amounts.Plan]:
        counts = class_counts(self.run, train)
        share = sum(counts.values()) / self.total
        return amounts.plans(self.run.recipe.amount, self.run.schema, self.run.task, counts, share)

    def _fit_and_sample(
        self, candidate: Candidate, plan: amounts.Plan, train: list[Path], part: str
    ) -> tuple[Record, Made]:
        """A fitted generator and its screened rows."""
        run, workers = self.run, self.workers
        seconds = min(run.recipe.budget.fit, max(LEAST_FIT, run.remaining / 2))
        with progress.stage(f"fit {candidate.label}, {part}") as tell:
            model = fit_task(run, candidate, train, part=part, seconds=seconds, progress=tell)

        def sample_shards(shards: Sequence[amounts.Shard]) -> list[Record]:
            if workers.count == 1 or len(shards) == 1:
                return [
                    sample_task(workers, run, candidate, model, plan, shard, part=part) for shard in shards
                ]
            futures = [
                sample_task.submit(workers, run, candidate, model, plan, shard, part=part) for shard in shards
            ]
            return [future.result() for future in futures]

        with progress.stage(f"sample and screen {candidate.label}, {part}") as tell:
            made = synthesize(
                run, candidate, model, plan, train, part=part, sample_shards=sample_shards, progress=tell
            )
        return model, made

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
