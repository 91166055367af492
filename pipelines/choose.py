"""Choose: which candidate and amount, `none` among them, by paired gains on validation rows."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from leaven.generators.contract import Fit
from leaven.pipelines import gates
from leaven.pipelines.amounts import Plan
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made


class Trial(BaseModel):
    """One candidate at one amount, over the folds that were run."""

    candidate: Candidate
    plan: Plan
    gain: dict[str, float] | None = None  # value, low, high, se of augmented minus real
    gates: list[dict[str, Any]] = []
    reason: str | None = None  # why it cannot be chosen


@dataclass
class Tried:
    """A candidate's records: one assessment per fold, or the reason why there is none."""

    candidate: Candidate
    plans: list[Plan] = field(default_factory=list)
    assessments: list[Record] = field(default_factory=list)
    failed: str | None = None
    rows_sampled: int = 0
    rows_kept: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    by_fold: list[float] = field(default_factory=list)
    steps: list[int | None] = field(default_factory=list)  # per fold, where the clock ended the fit

    def fail(self, reason: str) -> None:
        """Give the candidate up; the others go on."""
        self.failed = reason

    def seconds_of(self, fold: int) -> float:
        """What a fold took when it was made."""
        return self.by_fold[fold] if fold < len(self.by_fold) else 0.0

    def forget(self, fold: int) -> None:
        """Drop what was measured from this fold on: every candidate is to have the same folds."""
        del self.assessments[fold:], self.steps[fold:]

    def add(self, plans: list[Plan], model: Record, made: Made, assessment: Record) -> None:
        """Count one fold in."""
        self.plans = self.plans or plans
        self.assessments.append(assessment)
        self.rows_sampled += made.rows_sampled
        self.rows_kept += made.rows_kept
        self.reasons = dict(Counter(self.reasons) + made.reasons)
        spent = {"fit": model.seconds, "sample": made.seconds_sample, "screen": made.seconds_screen}
        self.by_fold.append(sum(spent.values()) + assessment.seconds)
        self.seconds = dict(Counter(self.seconds) + Counter({**spent, "assess": assessment.seconds}))
        fitted = Fit.model_validate({k: v for k, v in model.result.items() if k != "role"})
        ended = fitted.stopped_by == "budget"
        self.steps.append(fitted.steps if ended else None)
        if ended:
            self.notes.append(f"the clock ended the fit of fold {len(self.steps)} after {fitted.steps} steps")
        self.notes += [note for note in fitted.notes if note not in self.notes]


class Choice(BaseModel):
    """What was chosen. `best` is the trial that is certified; `chosen` is None when `none` won."""

    chosen: Trial | None
    best: Trial | None
    trials: list[Trial]
    classic: str  # the best classic arm on validation
    folds: int


def choose(run: Run, baselines: list[Record], tried: list[Tried]) -> Choice:
    """Compare all trials with real rows alone.

    A candidate replaces `none` only if its paired gain is more than one standard error, and only if the
    privacy gates held on validation rows; of several, the one with the largest gain.
    """
    from leaven.pipelines.quality import bootstrap
    from leaven.pipelines.quality.utility import Scores

    task, draws, seed = run.task, run.recipe.utility.draws, run.seed("bootstrap")
    real = [Scores.load(record.path("scores.npz")) for record in baselines]
    arms = bootstrap.arms(real, task, draws, seed)
    classic = {name: interval.value for name, interval in arms.items() if name != "real"}
    trials = []
    for one in tried:
        scores = [Scores.load(path) for record in one.assessments for path in record.paths("scores.npz")]
        for number, plan in enumerate(one.plans):
            trial = Trial(candidate=one.candidate, plan=plan, reason=one.failed)
            if one.failed is None and one.assessments:
                trial.gates = _privacy_gates(run, one.assessments[0])
                broken = [gate["gate"] for gate in trial.gates if not gate["passed"]]
                if len(scores) == len(real):
                    merged = [Scores.merge(a, b) for a, b in zip(real, scores, strict=True)]
                    gain = bootstrap.difference(merged, str(number), "real", task, draws, seed)
                    trial.gain = {"value": gain.value, "low": gain.low, "high": gain.high, "se": gain.se}
                else:
                    trial.reason = "no row passed the screen"
                if broken:
                    trial.reason = f"failed the gate {', '.join(broken)} on validation rows"
            trials.append(trial)
    best, wins = pick(trials)
    return Choice(
        chosen=best if wins else None,
        best=best,
        trials=trials,
        classic=max(classic, key=lambda name: classic[name]) if classic else "real",
        folds=len(real),
    )


def pick(trials: list[Trial]) -> tuple[Trial | None, bool]:
    """The trial to certify, and whether it replaces `none`.

    Of those whose gain is more than one standard error, the one with the largest gain; where there is none, the
    best of the others, for the report.
    """
    measured = [trial for trial in trials if trial.gain is not None]
    allowed = [trial for trial in measured if trial.reason is None]
    sure = [trial for trial in allowed if _gain(trial, "value") > _gain(trial, "se")]
    best = max(sure or allowed or measured, key=lambda trial: _gain(trial, "value"), default=None)
    if best is None:  # its rows are certified all the same, to show what is wrong with them
        best = next((trial for trial in trials if trial.gates), None)
    return best, bool(sure)


def _gain(trial: Trial, key: str) -> float:
    return trial.gain[key] if trial.gain is not None else float("-inf")


def _privacy_gates(run: Run, first_fold: Record) -> list[dict[str, Any]]:
    """The privacy gates, judged on validation rows."""
    asked = {name: gate for name, gate in gates.asked(run.recipe).items() if name in gates.PRIVACY}
    quality = first_fold.result["quality"]
    if not quality or not quality["privacy"]:
        return []
    return gates.judge(asked, {**quality, "utility": {}})
