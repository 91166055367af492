"""Gates: bounds on numbers of the report. A version is released only if every gate passes."""

import difflib
from typing import Any

from leaven.generators.errors import InputError
from leaven.pipelines import kinds
from leaven.pipelines.recipe import Gate, Recipe

# Margins above the floor that held-out real rows set, beyond twice its own noise.
DEFAULTS: dict[str, Gate] = {
    "lift": Gate(min=0.0),
    "copies": Gate(margin=0.005),
    "near_copies": Gate(margin=0.01),
    "worst_attack": Gate(margin=0.02),
}
PRIVACY = (
    "copies",
    "near_copies",
    "worst_attack",
    "nearest_attack",
    "relative_attack",
    "density_attack",
    "distance_to_closest_record",
    "memorisation",
    "pixel_nearest_attack",
    "pixel_relative_attack",
    "pixel_density_attack",
)
METRICS = {
    "fidelity": (
        *("column_shapes", "pair_trends", "detection", "density"),
        *("frechet_distance", "class_frechet_distance", "kernel_distance", "precision", "label_agreement"),
    ),
    "diversity": (
        *("coverage", "distinct_rows", "category_coverage", "class_spread"),
        *("recall", "class_spacing"),
    ),
    "privacy": PRIVACY,
}
LIFTS = ("lift", "lift_over_classic")
APPROVAL = "approval"  # by a person; see approval.py
KNOWN = [*LIFTS, APPROVAL, *(name for names in METRICS.values() for name in names)]


def asked(recipe: Recipe) -> dict[str, Gate]:
    """The gates of a run: the defaults and the kind's, with the recipe's merged over; those set to false are gone.

    Raises:
        InputError: unknown gate, or one that is given without a bound it can use.
    """
    gates = {**DEFAULTS, **kinds.get(recipe.source.kind).GATES}
    for name, setting in recipe.gates.items():
        if name == APPROVAL:
            if not isinstance(setting, bool):
                raise InputError(f"gates.{name}: takes true or false and nothing else")
            continue
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(KNOWN)}"
            raise InputError(f"gates.{name}: unknown gate; {hint}")
        if setting is True:
            raise InputError(
                f"gates.{name}: true is for {APPROVAL}; give a bound, such as {{min: 0}}, or false"
            )
        if setting is False:
            gates.pop(name, None)
        else:
            gates[name] = _merge(name, setting)
    return gates


def _merge(name: str, gate: Gate) -> Gate:
    """Check that the gate has the bound that its number can use."""
    if name in LIFTS:
        if gate.min is None or gate.max is not None or gate.margin is not None:
            raise InputError(f"gates.{name}: takes `min` (a number) and nothing else")
    elif gate.margin is not None:
        if name not in PRIVACY:
            raise InputError(f"gates.{name}: `margin` is for privacy gates; give `min` or `max`")
        if gate.min is not None or gate.max is not None:
            raise InputError(f"gates.{name}: give either `margin` or `min` and `max`, not both")
    elif gate.min is None and gate.max is None:
        raise InputError(f"gates.{name}: has no bound; give `min` or `max`")
    return gate


def judge(gates: dict[str, Gate], report: dict[str, Any]) -> list[dict[str, Any]]:
    """Each gate with its value and threshold, and whether it passed. A gate that has no value fails."""
    return [_judge_one(name, gate, report) for name, gate in gates.items()]


def waits(recipe: Recipe) -> bool:
    """Whether a person has to approve what passed every other gate."""
    return recipe.gates.get(APPROVAL) is True


def approval() -> dict[str, Any]:
    """The gate of a version that waits: it has not passed yet."""
    return _entry(APPROVAL, None, None, False, "a person approves it: leaven approve NAME@VERSION")


def _judge_one(name: str, gate: Gate, report: dict[str, Any]) -> dict[str, Any]:
    if name == "lift":
        lift = report["utility"]["lift"]
        if lift is None:
            return _entry(name, None, gate.min, False, "there is no augmented arm to measure")
        return _entry(
            name, lift["low"], gate.min, lift["low"] > gate.min, "lift.low must be above the threshold"
        )
    if name == "lift_over_classic":
        over = report["utility"]["lift_over_classic"]
        if over is None:
            return _entry(
                name, None, gate.min, False, "there is no classic arm with synthetic rows to measure"
            )
        what = "lift_over_classic.high: what is added to the classic way must not make it worse for certain"
        return _entry(name, over["high"], gate.min, over["high"] >= gate.min, what)
    if report.get("privacy_exempt") and name in PRIVACY:
        return _entry(name, None, None, True, "rows of an editor resemble their source by design: exempt")
    metric = next((report[part][name] for part in METRICS if name in report.get(part, {})), None)
    if metric is None or metric["value"] is None:
        return _entry(name, None, None, False, "could not be computed for these rows")
    value = metric["value"]
    if gate.margin is not None:
        threshold = metric["floor"] + 2 * metric.get("noise", 0.0) + gate.margin
        return _entry(
            name, value, threshold, value <= threshold, "at most the held-out floor, its noise and the margin"
        )
    if gate.min is not None and (gate.max is None or value < gate.min):
        return _entry(name, value, gate.min, value >= gate.min, "at least the threshold")
    return _entry(name, value, gate.max, value <= gate.max, "at most the threshold")  # type: ignore[operator]


def _entry(
    name: str, value: float | None, threshold: float | None, passed: bool, what: str
) -> dict[str, Any]:
    return {"gate": name, "value": value, "threshold": threshold, "passed": bool(passed), "what": what}
