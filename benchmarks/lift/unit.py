"""One cell under one seed: the default recipe's choice made as the pipeline makes it, and all arms on test rows.

The stages are the pipeline's own functions, called without Prefect. Left out is what no choice depends on: fidelity,
diversity, worth, panels, release, and the classic arms in the folds. Privacy gates count as they do in the pipeline.
"""

import functools
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from peers import child, venvs

from leaven.generators.contract import silent
from leaven.generators.errors import ConditionError
from leaven.generators.rows import to_arrow
from leaven.pipelines.amounts import plans
from leaven.pipelines.assess import class_counts, first, score
from leaven.pipelines.choose import Choice, Trial, Tried, choose
from leaven.pipelines.ingest import ingest, load_schema, load_task
from leaven.pipelines.quality.utility import Arm, Duplicate
from leaven.pipelines.recipe import Candidate, Recipe
from leaven.pipelines.run import Run
from leaven.pipelines.split import split
from leaven.pipelines.stage import Record
from leaven.pipelines.ways import settled
from lift import cells
from lift.cells import Dataset
from lift.stages import code, commit, stages_alone, without_classics

SETTINGS: dict[str, Any] = {"threads": 1, "device": "cpu"}
CONTROLS, DEFAULT = "controls", "leaven"


@dataclass(frozen=True)
class Asked:
    """What to measure in every cell.

    Attributes:
        data: folder of the tables.
        repeats: seeds of a learner that is random, on test rows; the choice takes those of the default recipe.
        fit: seconds that one fit of a generator may take.
        venvs: folder of the environments of peers that are not in Leaven's own (see `peers.venvs`).
        recipe: what is not as in the default recipe.
        majority: rows of the other class in cells with few rows of the minority.
    """

    data: Path
    repeats: int = 1
    fit: float = 60.0
    venvs: Path = Path("benchmarks/results/venvs")
    recipe: dict[str, Any] = field(default_factory=dict)
    majority: int = cells.MAJORITY

    @property
    def settings(self) -> dict[str, Any]:
        """What a record's numbers depend on."""
        return {key: getattr(self, key) for key in ("repeats", "fit", "recipe", "majority")}


def measure(asked: Asked, dataset: Dataset, cell: str, seed: int, arms: Iterable[str]) -> dict[str, Any]:
    """The record of one cell and seed.

    Args:
        arms: `controls` (duplicates and the classic ways), `leaven` (the default recipe) and names of generators,
            each of which is then always used, at each of the default amounts. `real` is always there.

    Returns:
        `arms`: name -> value (the task's metric), roc_auc, by_learner, rows; `leaven`: what was chosen and why;
        `failed`: arm -> reason; `seconds`: of each part; rows, metric, code.

    Raises:
        NotRun: the table is too small for the cell.
    """
    begun, worked = time.monotonic(), time.process_time()
    drawn, test = cells.draw(asked.data, dataset, cell, seed, asked.majority)
    with tempfile.TemporaryDirectory(prefix="lift-") as folder, stages_alone():
        bench = _Bench.start(asked, dataset, drawn, test, seed, Path(folder))
        for name in arms:
            bench.add(name)
        scored = bench.scored()
    return {
        "dataset": dataset.name,
        "cell": cell,
        "seed": seed,
        "code": code(),
        "commit": commit(),
        "settings": asked.settings,
        "metric": bench.run.task.metric,
        "rows": {"real": len(drawn), "test": len(test)}
        | {f"real {k}": int(v) for k, v in drawn[dataset.target].value_counts().items()},
        "arms": scored,
        "leaven": bench.told,
        "failed": bench.failed,
        "seconds": bench.seconds
        | {"all": time.monotonic() - begun, "processor": time.process_time() - worked},
    }


class _Bench:
    """The arms of one cell and seed, while they are made."""

    def __init__(self, asked: Asked, trials: Any, parts: Record):
        self.asked, self.trials, self.run = asked, trials, trials.run
        self.real = [parts.path("train.parquet"), parts.path("validation.parquet")]
        self.frame, self.test = self.run.frame(*self.real), self.run.frame(parts.path("test.parquet"))
        self.arms = {"real": Arm("real", [self.frame])}
        self.told: dict[str, Any] | None = None
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    @classmethod
    def start(
        cls, asked: Asked, dataset: Dataset, drawn: pd.DataFrame, test: pd.DataFrame, seed: int, folder: Path
    ) -> "_Bench":
        """The run of the default recipe, up to its split."""
        from leaven.flows.trials import Trials
        from leaven.flows.workers import Workers

        drawn.to_csv(folder / "real.csv", index=False)
        test.to_csv(folder / "test.csv", index=False)
        types, positive, metric = _known(asked.data, dataset)
        recipe = Recipe.model_validate(
            {
                "name": "lift",
                "source": {"kind": "table", "path": "real.csv", "columns": types},
                "task": {"target": dataset.target, "positive": positive, "metric": metric},
                "split": {"test_path": "test.csv", "seed": seed},
                "budget": {"fit": asked.fit},
                **SETTINGS,
                **asked.recipe,
            }
        )
        source = ingest(recipe, folder, folder / "work")
        run = Run.start(recipe, folder / "work", source, time.time())
        parts = split(recipe, source, run.work)
        tried = [Tried(candidate) for candidate in run.candidates(parts.result["rows"]["train"])]
        return cls(asked, Trials(run, Workers(1, threads=1), parts, tried), parts)

    def add(self, name: str) -> None:
        """Make one arm, or a group of them."""
        begun = time.monotonic()
        if name == CONTROLS:
            self._controls()
        elif name == DEFAULT:
            self._default()
        elif name in venvs.PEERS:
            self._peer(name)
        else:
            self._single(name)
        self.seconds[name] = time.monotonic() - begun

    def _controls(self) -> None:
        # Every real row once more; `leaven: duplicates` has as many as the default's synthetic rows.
        self.arms["duplicates"] = Arm(
            "duplicates", [self.frame], resample=Duplicate(*[self.frame] * 2, self.run.task)
        )
        for arm in self.run.kind.classic_arms(
            self.run.task, self.run.schema, self.frame, [], self.run.seed("classic"), self.run.recipe
        ):
            self.arms[f"classic: {arm.name}"] = replace(arm, name=f"classic: {arm.name}")

    def _single(self, generator: str) -> None:
        """One generator with nothing to choose from: its rows as the default amounts and screens have them."""
        run = self.run
        counts = class_counts(run, self.real)
        amount = settled(run.recipe, generator, run.schema, run.task, counts).amount
        for plan in plans(amount, run.schema, run.task, counts):
            # One arm along a curve, whatever ratio `auto` stands for at each size.
            automatic = run.recipe.amount.ratio == "auto"
            name = f"{generator} {plan.amount.get('shares', '') if automatic else plan.label}".rstrip()
            trial = Trial(candidate=Candidate(generator=generator), plan=plan)
            self._made(name, Choice(chosen=trial, best=trial, trials=[trial], classic="real", folds=0))

    def _peer(self, peer: str) -> None:
        """A generator from an environment of its own: as many rows as real ones, as it gives them, not screened."""
        of, train = venvs.PEERS[peer], self.run.work / "real.parquet"
        pq.write_table(to_arrow(self.frame, self.run.schema), train)
        table = SimpleNamespace(train=train, task=self.run.task, schema=self.run.schema)
        asked = child.Asked(
            peer,
            self.run.seed(peer),
            self.asked.fit,
            threads=1,
            python=venvs.python_of(peer, self.asked.venvs),
            worker=of.worker,
            grace=self.asked.fit if of.told else 0.0,
        )
        name = peer
        made = child.fitted(table, asked, len(self.frame))  # type: ignore[arg-type]
        if made.synthetic is None:
            self.failed[name] = made.status
        else:
            self.arms[name] = Arm(name, [self.frame, made.synthetic])

    def _default(self) -> None:
        """The pipeline's choice. `leaven: best` is what it would certify, also where `none` was chosen."""
        with without_classics():
            self.trials.in_folds()
        choice = choose(
            self.run, self.trials.baselines, self.trials.tried, self.trials.parts.result["rows"]["train"]
        )
        self.told = {
            "chosen": _told(choice.chosen)["label"] if choice.chosen else None,
            "folds": choice.folds,
            "trials": [_told(trial) for trial in choice.trials],
            "best": _told(choice.best) if choice.best else None,
            "notes": self.trials.notes,
        }
        rows = self._made("leaven: best", choice) if choice.best else None
        if rows is not None:
            self.arms["leaven: duplicates"] = Arm(
                "leaven: duplicates", [self.frame], resample=Duplicate(self.frame, rows, self.run.task)
            )

    def _made(self, name: str, choice: Choice) -> pd.DataFrame | None:
        """The rows of a choice, made from all real rows as for certify, as an arm beside the real ones."""
        try:
            final = self.trials.again(choice, self.real, "certify")
        except ConditionError as error:
            final = str(error)
        if isinstance(final, str):
            self.failed[name] = final
            return None
        made = final[1]
        if not made.rows_kept:
            self.failed[name] = "no row passed the screen"
            return None
        rows = first(self.run, made.kept, made.rows_kept, len(self.frame))
        self.arms[name] = Arm(name, [self.frame, rows])
        return rows

    def scored(self) -> dict[str, dict[str, Any]]:
        """Every arm on the test rows; arms with equal rows are trained once."""
        begun = time.monotonic()
        same: dict[str, str] = {}
        seen: dict[Any, str] = {}
        for name, arm in self.arms.items():
            key = name if arm.resample or arm.class_weight else tuple(_content(frame) for frame in arm.frames)
            same[name] = seen.setdefault(key, name)
        utility = self.run.recipe.utility.model_copy(update={"repeats": self.asked.repeats})
        run = replace(self.run, recipe=self.run.recipe.model_copy(update={"utility": utility}))
        scores = score(run, [self.arms[name] for name in seen.values()], self.frame, self.test, silent)
        found = {}
        as_auc = replace(scores, metric="roc_auc")
        for name, of in same.items():
            by_learner = {learner: float(np.mean(values)) for learner, values in scores.values(of).items()}
            auc = {learner: float(np.mean(values)) for learner, values in as_auc.values(of).items()}
            found[name] = {
                "value": float(np.mean(list(by_learner.values()))),
                "roc_auc": float(np.mean(list(auc.values()))),
                "by_learner": by_learner,
                "rows": scores.trained[of],
            }
        if self.told is not None:  # what the user ends up with: real rows alone where `none` was chosen
            found["leaven"] = found[
                "leaven: best" if self.told["chosen"] and "leaven: best" in found else "real"
            ]
        self.seconds["scores"] = time.monotonic() - begun
        return found


def _told(trial: Trial) -> dict[str, Any]:
    """A trial for the record: what it is, what it gained in the folds, why it cannot be chosen."""
    told = trial.model_dump(mode="json", exclude={"gates", "plan", "screen"})
    level = getattr(trial, "screen", None)
    return told | {
        "amount": trial.plan.amount,
        "rows": trial.plan.rows,
        "label": f"{trial.candidate.label} {trial.plan.label}"
        + (f", {level.label_agreement}" if level else ""),
    }


def _content(frame: pd.DataFrame) -> int:
    return hash(tuple(pd.util.hash_pandas_object(frame, index=False)))


@functools.lru_cache
def _known(data: Path, dataset: Dataset) -> tuple[dict[str, str], str, str]:
    """Column types, minority and metric as the pipeline understands the whole table: what a user knows of his data.

    From 50 rows alone a column of whole numbers may look like one of categories. Test rows have the table's shares of
    the classes, whatever the cell left of one; average precision, which hangs on them, is for a table whose own
    minority is under 5 %.
    """
    rare = cells.load(data, dataset.file)[dataset.target].value_counts().idxmin()
    with tempfile.TemporaryDirectory(prefix="lift-") as folder:
        recipe = Recipe.model_validate(
            {
                "name": "lift",
                "source": {"kind": "table", "path": str((data / dataset.file).resolve())},
                "task": {"target": dataset.target},
            }
        )
        source = ingest(recipe, data, Path(folder))
        schema, task = load_schema(source), load_task(source)
    return {column.name: column.type for column in schema}, str(rare), task.metric


def generators() -> Iterator[str]:
    """Every table generator of the catalog that is no control."""
    from leaven.generators import catalog

    yield from (name for name in catalog.names("table") if not catalog.entry(name).control)
