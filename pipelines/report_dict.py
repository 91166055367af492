"""The report as a dictionary: everything that was measured, under the names that programs rely on."""

import datetime
from collections.abc import Mapping
from typing import Any

from leaven.pipelines import gates
from leaven.pipelines.choose import Choice, Trial, Tried
from leaven.pipelines.run import Run
from leaven.pipelines.stage import Record
from leaven.pipelines.synthesize import Made


def assemble(
    run: Run,
    *,
    choice: Choice,
    tried: list[Tried],
    certificate: Record,
    made: Made | None,
    rows: Mapping[str, int],
    role: str,
    seconds: Mapping[str, float],
    peak_memory_bytes: int,
    profile: Any,
    warnings: list[str],
    notes: list[str],
    private: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Put the report together and judge its gates; see DESIGN's list of keys.

    `private`: what the certified generator's differentially private fit has spent.
    """
    found = certificate.result
    report: dict[str, Any] = {
        "version": None,
        "name": run.recipe.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "recipe": run.recipe.model_dump(mode="json", exclude_none=True),
        "task": run.task.model_dump(mode="json"),
        "compared": run.kind.COMPARED,
        "chosen": _named(choice.chosen) or "none",
        "certified": _named(choice.best),
        "rows": {
            **rows,
            "synthetic": made.rows_kept if made else 0,
            "rejected": sum(made.reasons.values()) if made else 0,
        },
        "utility": found["utility"],
        "fidelity": found["fidelity"],
        "diversity": found["diversity"],
        "privacy": found["privacy"],
        "privacy_exempt": role == "editor",
        "differential_privacy": private,
        "panels": found["panels"],
        "rejected_reasons": dict(made.reasons) if made else {},
        "candidates": [_candidate(trial, _of(tried, trial)) for trial in choice.trials]
        + _failed(tried, choice),
        "amounts": [
            {
                "generator": _series(trial),
                "amount": trial.plan.label,
                "rows": trial.plan.rows,
                **trial.gain,
            }
            for trial in choice.trials
            if trial.gain and trial.folds == choice.folds
        ],
        "folds": choice.folds,
        "columns": profile,
        "constraints": [c.model_dump(mode="json") for c in run.recipe.constraints],
        "warnings": warnings,
        "notes": notes,
        "cost": {
            "seconds": dict(seconds),
            "peak_memory_bytes": peak_memory_bytes,
            "device": run.device,
            "energy_wh": None,
        },
    }
    report["effect"] = effect(report["utility"]["lift"])
    report["gates"] = gates.judge(gates.asked(run.recipe), report)
    passed = all(gate["passed"] for gate in report["gates"])
    worthy = bool(passed and choice.chosen is not None and report["rows"]["synthetic"])
    report["pending"] = worthy and gates.waits(run.recipe)
    if gates.waits(run.recipe):
        report["gates"].append(gates.approval())
    report["verdict"] = "released" if worthy and not report["pending"] else "withheld"
    return report


def effect(lift: Mapping[str, float] | None) -> str:
    """`helps`, `hurts` or `no measurable effect`, from the interval of the lift."""
    if lift is None:
        return "no measurable effect"
    return "helps" if lift["low"] > 0 else "hurts" if lift["high"] < 0 else "no measurable effect"


def _named(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {
        "generator": trial.candidate.generator,
        "parameters": trial.candidate.parameters,
        "amount": trial.plan.amount,
        "screen": _screen(trial),
        "label": trial.candidate.label,
    }


def _of(tried: list[Tried], trial: Trial) -> Tried:
    return next(one for one in tried if one.candidate == trial.candidate)


def _series(trial: Trial) -> str:
    """What lies on one line where lift is drawn against the amount."""
    level = _screen(trial)["label_agreement"]
    return ", ".join(
        str(part) for part in (trial.candidate.label, trial.plan.amount.get("shares"), level) if part
    )


def _screen(trial: Trial) -> dict[str, Any]:
    """What the screen tried of this trial sets apart from its siblings."""
    return {"label_agreement": trial.screen.label_agreement if trial.screen else None}


def _candidate(trial: Trial, one: Tried) -> dict[str, Any]:
    quality = one.assessments[0].result["quality"] if one.assessments else {}
    ways = [(way.plan.amount, way.screen) for way in one.ways]
    rows, rejected = one.counts(
        next(n for n, way in enumerate(ways) if way == (trial.plan.amount, trial.screen))
    )
    return {
        "generator": trial.candidate.generator,
        "parameters": trial.candidate.parameters,
        "amount": trial.plan.amount,
        "screen": _screen(trial),
        "validation": {
            "lift": trial.gain,
            "gates": trial.gates,
            "quality": quality,
            "reason": trial.reason,
            "doubt": trial.doubt,
            "folds": trial.folds,
        },
        "rows": rows,
        "rejected": rejected,
        "seconds": one.seconds,
        "differential_privacy": one.privacy,
        "notes": one.notes,
    }


def _failed(tried: list[Tried], choice: Choice) -> list[dict[str, Any]]:
    """Candidates that failed before any amount could be planned or tried."""
    known = [trial.candidate for trial in choice.trials]
    return [
        {
            "generator": one.candidate.generator,
            "parameters": one.candidate.parameters,
            "amount": None,
            "validation": {"lift": None, "reason": one.failed},
            "rows": {"sampled": 0, "kept": 0},
            "rejected": {},
            "seconds": one.seconds,
            "notes": one.notes,
        }
        for one in tried
        if one.candidate not in known
    ]
