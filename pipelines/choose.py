"""Choose: which candidate, amount and screen, `none` among them, by paired gains on validation rows."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from pydantic import BaseModel

from leaven.generators.contract import Fit
from leaven.generators.errors import InputError, ModelError
from leaven.pipelines import gates
from leaven.pipelines.amounts import Plan
from leaven.pipelines.recipe import Candidate, Screen
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made
from leaven.pipelines.ways import Way

_NUMBER = re.compile(r"(?<!\w)\d[\d.,]*(?!\w)")  # folds say the same with other numbers: it is told once


class Trial(BaseModel):
    """One candidate used in one way, over the folds that it was tried in."""

    candidate: Candidate
    plan: Plan
    screen: Screen | None = None  # the recipe's first one where there is none
    folds: int = 0
    gain: dict[str, float] | None = None  # value, low, high, se of augmented minus what it is compared with
    gates: list[dict[str, Any]] = []
    doubt: float = 1.0  # how many standard errors the gain must exceed
    reason: str | None = None  # why it cannot be chosen


@dataclass
class Tried:
    """A candidate's records: one assessment per fold, or the reason why there is none."""

    candidate: Candidate
    ways: list[Way] = field(default_factory=list)
    left: set[int] | None = None  # numbers of the ways still in the race; all of them where none was given up
    assessments: list[Record] = field(default_factory=list)
    failed: str | None = None
    without_model: bool = False  # it failed since a model that it names cannot be used
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    by_fold: list[float] = field(default_factory=list)
    steps: list[int | None] = field(default_factory=list)  # per fold, where the clock ended the fit
    privacy: dict[str, Any] | None = None  # what a differentially private fit of one fold has spent

    def fail(self, why: str | Exception) -> None:
        """Give the candidate up; the others go on."""
        self.failed, self.without_model = str(why), isinstance(why, ModelError)

    @property
    def racing(self) -> bool:
        """Whether the next fold is to be run."""
        return self.failed is None and self.left != set()

    def seconds_of(self, fold: int) -> float:
        """What a fold took when it was made."""
        return self.by_fold[fold] if fold < len(self.by_fold) else 0.0

    def forget(self, fold: int) -> None:
        """Drop what was measured from this fold on: every candidate is to have the same folds."""
        del self.assessments[fold:], self.steps[fold:]

    def add(self, ways: list[Way], model: Record, made: Sequence[Made], assessment: Record) -> None:
        """Count one fold in."""
        self.ways = self.ways or ways
        self.assessments.append(assessment)
        spent = {"fit": model.seconds, "sample": 0.0, "screen": 0.0, "assess": assessment.seconds}
        for record in {record.folder: record for one in made for record in one.records}.values():
            spent[record.stage.partition("-")[0]] += record.seconds
        self.by_fold.append(sum(spent.values()))
        self.seconds = dict(Counter(self.seconds) + Counter(spent))
        fitted = Fit.model_validate({k: v for k, v in model.result.items() if k != "role"})
        ended = fitted.stopped_by == "budget"
        self.steps.append(fitted.steps if ended else None)
        self.privacy = fitted.privacy
        if ended:
            self.notes.append(f"the clock ended the fit of fold {len(self.steps)} after {fitted.steps} steps")
        said = {_NUMBER.sub("", note) for note in self.notes}
        self.notes += [note for note in fitted.notes if _NUMBER.sub("", note) not in said]

    def counts(self, number: int) -> tuple[dict[str, int], dict[str, int]]:
        """Rows of a way over its folds, sampled and kept, and why rows were rejected."""
        rows, reasons = Counter(sampled=0, kept=0), Counter[str]()
        for record in self.assessments:
            found = record.result["ways"].get(str(number), {"sampled": 0, "kept": 0, "rejected": {}})
            rows.update(sampled=found["sampled"], kept=found["kept"])
            reasons.update(found["rejected"])
        return dict(rows), dict(reasons)


class Choice(BaseModel):
    """What was chosen. `best` is the trial that is certified; `chosen` is None when `none` won."""

    chosen: Trial | None
    best: Trial | None
    trials: list[Trial]
    classic: str  # the best classic arm on validation
    folds: int


def refuse_useless(tried: list[Tried]) -> None:
    """See that there is something to measure.

    Raises:
        InputError: no candidate can use the model that it names, such as an endpoint that refuses the key.
    """
    if tried and all(one.without_model for one in tried):
        told = "; ".join(f"{one.candidate.label}: {one.failed}" for one in tried)
        raise InputError(f"candidates: {told}")


def choose(run: Run, baselines: list[Record], tried: list[Tried], rows: int) -> Choice:
    """Compare all trials with real rows alone, or with the classic way that they were added to.

    A candidate replaces `none` only if its paired gain is more than one standard error (or as many as the kind doubts
    its generator by), and only if the privacy gates held on validation rows; of several, the one whose gain exceeds its
    standard error most. `rows`: of train.
    """
    from leaven.pipelines.quality.utility import Scores, by_learner

    real = [Scores.load(record.path("scores.npz")) for record in baselines]
    values = {name: fmean(of.values()) for name, of in by_learner(real, run.task).items()}
    classic = {name: value for name, value in values.items() if name != "real"}
    compared = baselines[0].result["compared"] if baselines else "real"
    trials = [trial for one in tried for trial in trials_of(run, real, one, rows, compared)]
    best, wins = pick(trials)
    return Choice(
        chosen=best if wins else None,
        best=best,
        trials=trials,
        classic=max(classic, key=lambda name: classic[name]) if classic else "real",
        folds=len(real),
    )


def trials_of(run: Run, real: list[Any], one: Tried, rows: int, compared: str = "real") -> list[Trial]:
    """A candidate's ways, each with its gain over the arm `compared` of `real`, the baselines' scores by fold."""
    from leaven.pipelines.quality.utility import Scores

    files = [record.paths("scores.npz") for record in one.assessments]
    scores = [Scores.load(*paths) if paths else None for paths in files]
    doubt = run.kind.doubt(one.candidate.generator, rows)
    found = []
    for number, way in enumerate(one.ways):
        trial = Trial(
            candidate=one.candidate, plan=way.plan, screen=way.screen, doubt=doubt, reason=one.failed
        )
        pairs = [
            Scores.merge(theirs, ours)
            for theirs, ours in zip(real, scores, strict=False)
            if ours is not None and str(number) in ours.arms
        ]
        trial.folds = len(pairs)
        if one.failed is None and scores:
            trial.gates = privacy_gates(run, one.assessments[0])
            broken = [gate["gate"] for gate in trial.gates if not gate["passed"]]
            if pairs:
                trial.gain = _gain_of(run, pairs, str(number), compared)
            if len(pairs) < sum(str(number) in record.result["ways"] for record in one.assessments):
                trial.reason = "no row passed the screen"
            elif len(pairs) < len(real):
                trial.reason = f"fell behind after {len(pairs)} of {len(real)} folds"
            if broken:
                trial.reason = f"failed the gate {', '.join(broken)} on validation rows"
        found.append(trial)
    return found


def _gain_of(run: Run, folds: list[Any], arm: str, compared: str) -> dict[str, float]:
    """An arm's gain over the one that it is compared with, as reports have it."""
    from leaven.pipelines.quality import bootstrap, repeated

    if len(set(repeated.drawings(folds))) > 1:
        gain = repeated.difference(folds, arm, compared)
    else:
        draws, seed = run.recipe.utility.draws, run.seed("bootstrap")
        gain = bootstrap.difference(folds, arm, compared, run.task, draws, seed)
    return {"value": gain.value, "low": gain.low, "high": gain.high, "se": gain.se}


def pick(trials: list[Trial]) -> tuple[Trial | None, bool]:
    """The trial to certify, and whether it replaces `none`.

    Of those whose gain is more than they are doubted, the one whose gain exceeds it most: of many, the largest gain
    is the luckiest one, and the noisier the luckier. Where there is none, the same of the others, for the report.
    """
    measured = [trial for trial in trials if trial.gain is not None and math.isfinite(trial.gain["value"])]
    allowed = [trial for trial in measured if trial.reason is None]
    sure = [trial for trial in allowed if _gain(trial, "value") > trial.doubt * _gain(trial, "se")]
    best = max(
        sure or allowed or measured,
        key=lambda trial: _gain(trial, "value") - _gain(trial, "se"),
        default=None,
    )
    if best is None:  # its rows are certified all the same, to show what is wrong with them
        best = next((trial for trial in trials if trial.gates), None)
    return best, bool(sure)


def _gain(trial: Trial, key: str) -> float:
    assert trial.gain is not None
    return trial.gain[key]


def privacy_gates(run: Run, first_fold: Record) -> list[dict[str, Any]]:
    """The privacy gates, judged on validation rows."""
    asked = {name: gate for name, gate in gates.asked(run.recipe).items() if name in gates.PRIVACY}
    quality = first_fold.result["quality"]
    if not quality or not quality["privacy"]:
        return []
    return gates.judge(asked, {**quality, "utility": {}})
