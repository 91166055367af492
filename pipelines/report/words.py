"""The sentences that report, card and command line share, and how they write numbers."""

import math
from collections.abc import Mapping
from typing import Any

from leaven.pipelines.recipe import label as labelled
from leaven.pipelines.report.nouns import Say, sayer

METRICS = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "f1": "F1",
    "r2": "R²",
}

METRICS_EXPLAINED = {
    "roc_auc": "the chance that a positive row is scored above a negative one; 0.5 is guessing, 1 is perfect",
    "average_precision": "precision over all thresholds, for rare positives; guessing scores their share, 1 is perfect",
    "macro_f1": "F1 (the balance of precision and recall) averaged over classes, each counting the same; 1 is perfect",
    "balanced_accuracy": "the share of rows got right, averaged over classes; 1 is perfect",
    "accuracy": "the share of rows got right",
    "f1": "the balance of precision and recall on the positive class; 1 is perfect",
    "r2": "the share of the target's variance that is explained; 0 is predicting the mean, 1 is perfect",
}

ARMS = {
    "real": "real rows alone",
    "duplicates": "real + duplicated rows",
    "classic": "real + classic ways",
    "synthetic_only": "synthetic rows alone",
    "augmented": "real + synthetic",
    "classic_augmented": "real + classic + synthetic",
}

ARMS_EXPLAINED = {
    "real": "the line that must be beaten",
    "duplicates": "as many rows, but copies of real ones",
    "classic": "the best cheap way on validation",
    "synthetic_only": "no real row in training",
    "augmented": "with the synthetic rows of this version",
    "classic_augmented": "both together",
}

_MINUS = "−"


def count(value: Any) -> str:
    """A whole number with thousands separated: 1,200. Texts such as '> 300' stay; None is a dash."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    return f"{round(value):,}".replace("-", _MINUS)


def score(value: Any, digits: int = 3) -> str:
    """A score with three decimals, or with enough for two figures when it is tiny."""
    if value is None:
        return "–"
    if isinstance(value, (str, bool)):
        return str(value)
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return count(value)
    if abs(value) < 5e-7:
        return "0"
    if abs(value) < 2 * 10**-digits:
        digits = min(6, 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}".replace("-", _MINUS)


def signed(value: Any, digits: int = 3) -> str:
    """A difference with its sign: +0.021."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    text = f"{value:+.{digits}f}"
    return text.replace("-", _MINUS) if float(text) else f"{0:.{digits}f}"


def bound(value: Any) -> str:
    """A bound of a difference: with a figure more where three would hide on which side of 0 it lies."""
    text = signed(value)
    if text == "0.000" and abs(value) >= 5e-7:
        return signed(value, min(6, -math.floor(math.log10(abs(value)))))
    return text


def between(interval: Mapping[str, Any] | None, write: Any = bound) -> str:
    """`+0.008 to +0.034`, or a dash."""
    if not interval or interval.get("low") is None or interval.get("high") is None:
        return "–"
    return f"{write(interval['low'])} to {write(interval['high'])}"


def duration(seconds: Any) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(number: Any) -> str:
    """Bytes as a person reads them: 1.2 GB."""
    if number is None:
        return "–"
    value = float(number)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def label(candidate: Any) -> str:
    """A generator with its parameters: `tvae(epochs=300)`. Takes the report's entry or a plain name."""
    if not isinstance(candidate, Mapping):
        return str(candidate) if candidate else "none"
    return labelled(str(candidate.get("generator") or "none"), candidate.get("parameters") or {})


def amount(value: Any, say: Say = str) -> str:
    """An amount as a phrase: `0.25 × the real rows`; `say` has the noun."""
    if not isinstance(value, Mapping):
        return "–" if value is None else str(value)
    parts = {key: inside for key, inside in value.items() if inside not in (None, [], False)}
    if parts.get("ratio") is not None:
        ratio = parts["ratio"]
        times = " or ".join(f"{r:g}" for r in ratio) if isinstance(ratio, list) else f"{ratio:g}"
        balanced = ", classes balanced" if parts.get("shares") == "balanced" else ""
        return say(f"{times} × the real rows{balanced}")
    if parts.get("rows") is not None:
        return say(f"{count(parts['rows'])} rows")
    if parts.get("per_class"):
        return ", ".join(f"{count(rows)} of {name}" for name, rows in parts["per_class"].items())
    return "every class filled up to the largest" if parts.get("balance") else "–"


def level(one: Mapping[str, Any]) -> str:
    """How strict the label screen was that a candidate's rows passed; nothing where it was off or is not known."""
    found = (one.get("screen") or {}).get("label_agreement")
    return "" if found in (None, False) else f"labels screened: {found}"


def way(one: Mapping[str, Any], say: Say = str) -> str:
    """Amount and screen of a candidate: `1 × the real rows, labels screened: strict`."""
    return ", ".join(part for part in (amount(one.get("amount"), say), level(one)) if part)


def same(one: Mapping[str, Any], other: Any) -> bool:
    """Whether both name one candidate, with one amount and screen."""
    keys = ("generator", "parameters", "amount", "screen")
    return isinstance(other, Mapping) and all(
        (one.get(key) or None) == (other.get(key) or None) for key in keys
    )


def outdone(validation: Mapping[str, Any]) -> str:
    """Why a candidate whose gain was measured on validation rows was not taken."""
    gain = validation["lift"]
    if gain["value"] > validation.get("doubt", 1.0) * gain.get("se", 0.0):
        return "another gains more for sure"
    return "gain within one standard error" if gain["value"] > 0 else "no gain"


def asked_gain(report: Mapping[str, Any]) -> str:
    """What a gain on validation rows must be for a candidate to be taken."""
    candidates = report.get("candidates") or []
    trusted = {label(one) for one in candidates if (one.get("validation") or {}).get("doubt") == 0}
    if not trusted:
        return "if it gains more than one standard error there"
    if len(trusted) == len({label(one) for one in candidates}):
        return "if it gains at all there"
    return (
        f"if it gains more than one standard error there ({', '.join(sorted(trusted))}: if it gains at all)"
    )


def metric(report: Mapping[str, Any]) -> str:
    """The metric's name as people write it."""
    name = (report.get("utility") or {}).get("metric") or (report.get("task") or {}).get("metric") or "score"
    return METRICS.get(name, str(name).replace("_", " "))


def nothing_chosen(report: Mapping[str, Any]) -> bool:
    """Whether `none` won on validation."""
    return label(report.get("chosen")) == "none"


def effect(report: Mapping[str, Any]) -> str:
    """What the synthetic rows do to a classifier, with the interval, without the verdict.

    `A classifier trained with 1,200 synthetic rows scores +0.021 ROC AUC (95 % interval …) …: it helps`
    """
    lift = (report.get("utility") or {}).get("lift")
    rows = report.get("rows") or {}
    if not lift or lift.get("value") is None:
        return sayer(report)("No synthetic rows could be made and measured")
    regression = (report.get("task") or {}).get("type") == "regression"
    model = "model" if regression else "classifier"
    found = str(report.get("effect", ""))
    end = {"helps": "it helps", "hurts": "it hurts"}.get(found, found)
    made = sayer(report)(f"{count(rows.get('synthetic'))} synthetic rows")
    return (
        f"A {model} trained with {made} scores {signed(lift['value'])} "
        f"{metric(report)} (95 % interval {between(lift)}) on {sayer(report)('real, unseen rows')}: {end}"
    )


def verdict(report: Mapping[str, Any]) -> str:
    """Whether it was released, and why not."""
    failed = [gate["gate"] for gate in report.get("gates") or [] if not gate.get("passed")]
    failed = [name for name in failed if name != "approval"]  # nobody was asked, since another failed
    if report.get("verdict") == "released":
        if report.get("effect") == "helps":
            return "Released."
        return "Released, since the recipe's gates allow it."
    if (decision := report.get("approval")) and not decision["approved"]:
        return f"Not released: a person rejected it{': ' * bool(decision['why'])}{decision['why']}."
    if report.get("pending"):
        return "Not released yet: every other gate has passed, and a person has to approve it."
    if not (report.get("rows") or {}).get("synthetic"):
        return sayer(report)("Not released: there are no synthetic rows.")
    if nothing_chosen(report):
        return f"Not released: {why_none(report)}."
    if failed:
        names = ", ".join(failed)
        return f"Not released: the {names} gate{'s' if len(failed) > 1 else ''} failed."
    return "Not released."


def why_none(report: Mapping[str, Any]) -> str:
    """Why no candidate was chosen on validation rows."""
    best = report.get("certified") or {}
    for one in report.get("candidates") or []:
        reason = (one.get("validation") or {}).get("reason")
        if reason and same(one, best):
            return f"{label(best)} {sayer(report)(reason)}"
    return sayer(report)(f"on validation rows, no candidate beat {beaten(report)}")


def beaten(report: Mapping[str, Any]) -> str:
    """What candidates are compared with on validation rows."""
    classic = report.get("compared") == "classic"
    return sayer(report)("real rows with the best classic way" if classic else "real rows alone")


def measured(report: Mapping[str, Any]) -> str:
    """Whose rows the report measures."""
    best = report.get("certified") or report.get("chosen")
    if not isinstance(best, Mapping):
        return ""
    which = "Measured here is the best candidate," if nothing_chosen(report) else "The rows were made by"
    return f"{sayer(report)(which)} {label(best)}: {way(best, sayer(report))}."


def answer(report: Mapping[str, Any]) -> str:
    """The answer in a plain sentence, with the interval, and the verdict."""
    return f"{effect(report)}. {verdict(report)}"


def worth(report: Mapping[str, Any]) -> str:
    """What the synthetic rows are worth in real rows, or why that is not known."""
    utility = report.get("utility") or {}
    found = utility.get("worth_real_rows") or {}
    reason = found.get("reason") or utility.get("worth_reason")
    say = sayer(report)
    if found.get("value") is None:
        return say(f"Their worth in real rows is not known: {reason or 'it was not measured'}.")
    half = (utility.get("half") or {}).get("rows")
    start = (
        f"For someone with half of the real rows ({count(half)})"
        if half
        else "For someone with half of the real rows"
    )
    value, interval = found["value"], f"95 % interval {between(found, count)}"
    much = f"more than {value.lstrip('> ')}" if isinstance(value, str) else f"about {count(value)}"
    if not isinstance(value, str) and value <= 0:
        return say(f"{start}, the synthetic rows are worth no further real rows ({interval}).")
    return say(f"{start}, the synthetic rows are worth {much} further real rows ({interval}).")


def promise(report: Mapping[str, Any]) -> str:
    """What a differentially private fit promises, and what it does not; needs `differential_privacy`."""
    spent = report["differential_privacy"]
    return sayer(report)(
        f"The generator was learned with differential privacy: epsilon {spent['epsilon']:.4g} of {spent['asked']:g} "
        f"asked, delta {spent['delta']:.2g}, neighbours differ by {spent['neighbours']}. This holds for the generator "
        "and for rows drawn from it. It does not hold for this page, for the choice between generators, nor for rows "
        "that a screen compared with real ones. Whoever gets the real rows beside them needs no attack."
    )


def limits(report: Mapping[str, Any]) -> list[str]:
    """What a reader must not conclude, one sentence each."""
    said = [
        "The effect holds for learners like the ones measured here, on rows like these; elsewhere, measure it again.",
        "Synthetic rows carry the errors and the bias of the real ones, and may add their own.",
    ]
    if report.get("privacy_exempt"):
        said.append(
            "These synthetic rows are edited real ones and resemble them by design: treat them like the real rows."
        )
    elif report.get("privacy"):
        if report.get("differential_privacy"):
            said.append(promise(report))
        names = [str(name).replace("_", " ") for name in report["privacy"]]
        said.append(
            f"Only these were tried against privacy: {', '.join(names)}. An attack that failed here does not show "
            "that every other would; this is no guarantee."
        )
    return [sayer(report)(line) for line in said]
