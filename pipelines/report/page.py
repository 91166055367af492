"""The report as one HTML page: no network, no script needed, on a phone, on a desk and in print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from leaven.pipelines.report import nouns, plots, tracks, words

OTHER = "(all others)"  # the bar in which panels put the rare categories
MAX_PROFILE = 200  # columns in the table of columns
ROWS = ("train", "validation", "test", "synthetic", "rejected")


def render(report: Mapping[str, Any]) -> str:
    """The page of a report (DESIGN's keys; what is missing or null is left out or said)."""
    report = {**report, "rows": {**dict.fromkeys(ROWS), **(report.get("rows") or {})}}
    environment = Environment(
        loader=PackageLoader("leaven.pipelines.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "count": words.count,
        "score": words.score,
        "signed": words.signed,
        "duration": words.duration,
        "bytes": words.size,
        "percent": percent,
        "human": human,
        "plain": plain,
    }
    nouns.teach(environment, nouns.sayer(report))
    style = (Path(__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    page = environment.get_template("report.html").render(
        report=report, words=words, style=Markup(style), **view(report)
    )
    return page


def view(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the template draws, worked out from the report."""
    utility = report.get("utility") or {}
    panels = report.get("panels") or {}
    say = nouns.sayer(report)
    return {
        "metric": words.metric(report),
        "metric_explained": words.METRICS_EXPLAINED.get(utility.get("metric", "")),
        "figures": figures(report),
        "arms": tracks.arms(utility, say),
        "lifts": tracks.lifts(utility, say),
        "learners": by_learner(utility),
        "classes": per_class(utility),
        "curve": Markup(plots.curve(utility, say)) if utility.get("curve") else None,
        "amounts": _amounts(report),
        "candidates": candidates(report),
        "quality": {
            part: tracks.metrics(report.get(part) or {}) for part in ("fidelity", "diversity", "privacy")
        },
        "pictures": _pictures(panels.get("pictures")),
        "texts": _texts(panels.get("texts")),
        "losses": _losses(panels.get("losses")),
        "columns": [_panel(panel) for panel in panels.get("columns") or []],
        "columns_left_out": panels.get("left_out", 0),
        "pairs": _pairs(panels.get("association")),
        "rejected": rejected(report),
        "seconds": _seconds(report),
        "profile": profile(report),
        "recipe": _yaml(report.get("recipe") or {}),
        "reference": f"{report.get('name', 'NAME')}"
        + ("" if report.get("verdict") == "released" else f"@{report.get('version')}"),
    }


def figures(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The key figures under the answer: label, value and a note."""
    utility, rows = report.get("utility") or {}, report.get("rows") or {}
    metric = words.metric(report)
    found = []
    lift, over = utility.get("lift"), utility.get("lift_over_classic")
    if lift:
        found.append(
            {
                "label": f"Lift in {metric}",
                "value": words.signed(lift["value"]),
                "note": f"95 %: {words.between(lift)}",
            }
        )
    if over:
        note = f"95 %: {words.between(over)}"
        found.append({"label": "Lift over classic", "value": words.signed(over["value"]), "note": note})
    worth = utility.get("worth_real_rows")
    if worth and worth.get("value") is not None:
        note = f"further real rows · 95 %: {words.between(worth, words.count)}"
        found.append({"label": "Worth", "value": words.count(worth["value"]), "note": note})
    elif lift:
        reason = str(utility.get("worth_reason") or "").partition(":")[0]
        found.append({"label": "Worth in real rows", "value": "not known", "note": reason})
    made = (rows.get("synthetic") or 0) + (rows.get("rejected") or 0)
    if rows.get("synthetic"):
        share = f"{percent(rows['synthetic'] / made)} of {words.count(made)} made" if made else ""
        found.append({"label": "Synthetic rows", "value": words.count(rows["synthetic"]), "note": share})
    attack = (report.get("privacy") or {}).get("worst_attack")
    if attack and attack.get("value") is not None:
        note = f"AUC · unseen real rows: {words.score(attack.get('floor'))} · 0.5: the attack fails"
        found.append({"label": "Worst attack", "value": words.score(attack["value"]), "note": note})
    wall = _wall(report)
    if wall is not None:
        found.append(
            {
                "label": "Took",
                "value": words.duration(wall),
                "note": f"on {(report.get('cost') or {}).get('device', 'cpu')}",
            }
        )
    return found


def by_learner(utility: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arms by learner: `names` and `rows` of (arm, values)."""
    table = utility.get("arms_by_learner") or {}
    names = list(dict.fromkeys(name for values in table.values() for name in values))
    rows = [
        (words.ARMS.get(arm, arm), [table[arm].get(name) for name in names])
        for arm in (*words.ARMS, *table)
        if arm in table
    ]
    return (
        {"names": names, "rows": list(dict.fromkeys((arm, tuple(values)) for arm, values in rows))}
        if names
        else None
    )


def per_class(utility: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each class with its scores from real rows and with synthetic ones, and the change."""
    found = []
    for label, values in (utility.get("per_class") or {}).items():
        real, augmented = (_value(values.get(arm)) for arm in ("real", "augmented"))
        change = augmented - real if real is not None and augmented is not None else None
        found.append({"label": label, "real": real, "augmented": augmented, "change": change})
    return found


def candidates(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table of candidates, best first, with the reason why one was not taken."""
    chosen, certified = report.get("chosen"), report.get("certified")
    found = []
    for one in report.get("candidates") or []:
        validation = one.get("validation") or {}
        lift = validation.get("lift") if isinstance(validation.get("lift"), Mapping) else None
        best = "best, but not chosen" if words.same(one, certified) else ""
        status = "chosen" if words.same(one, chosen) else best
        reason = validation.get("reason") or one.get("reason") or ""
        if not reason and lift and status != "chosen":
            reason = words.outdone(validation)
        rows = one.get("rows") or {}
        found.append(
            {
                "label": words.label(one),
                "amount": words.way(one, nouns.sayer(report)),
                "sampled": rows.get("sampled"),
                "kept": rows["kept"] / rows["sampled"] if rows.get("sampled") else None,
                "seconds": sum((one.get("seconds") or {}).values()) or None,
                "lift": lift,
                "status": status,
                "reason": reason,
                "notes": one.get("notes") or [],
            }
        )
    return sorted(found, key=lambda one: -one["lift"]["value"] if one["lift"] else float("inf"))


def rejected(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Why rows were dropped: reason, count, share of the largest."""
    reasons = report.get("rejected_reasons")
    if reasons is None:
        reasons = {}
        for one in report.get("candidates") or []:
            for reason, number in (one.get("rejected") or {}).items():
                reasons[reason] = reasons.get(reason, 0) + number
    largest = max(reasons.values(), default=0) or 1
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return [
        {"reason": human(reason), "count": number, "width": 100 * number / largest}
        for reason, number in ordered
    ]


def profile(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The columns as ingest understood them, as a table: `heads` and `rows`, and how many there are in `all`."""
    found = report.get("columns") or []
    if isinstance(found, Mapping):
        found = found.get("columns") or []
    entries = [dict(entry) for entry in found if isinstance(entry, Mapping)][:MAX_PROFILE]
    for entry in entries:
        if not entry.pop("distinct_exact", True) and entry.get("distinct") is not None:
            entry["distinct"] = f"about {words.count(entry['distinct'])}"
        if entry.pop("target", False):
            entry["type"] = f"{entry.get('type', '')} (target)"
        entry["note"] = entry.pop("note", None) or ""  # last, since it is long
    simple = (str, int, float, bool)
    heads = [
        head
        for head in dict.fromkeys(key for entry in entries for key in entry)
        if any(isinstance(entry.get(head), simple) and entry[head] != "" for entry in entries)
    ]
    if not heads:
        return None
    return {
        "heads": heads,
        "rows": [[entry.get(head) for head in heads] for entry in entries],
        "all": len(found),
    }


def human(name: str) -> str:
    """`near_copies` -> `Near copies`."""
    text = str(name).replace("_", " ")
    return text[:1].upper() + text[1:]


def plain(value: Any) -> str:
    """A cell of any type, short."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}".replace("-", "−")
    return words.count(value) if isinstance(value, int) else str(value).removesuffix(" 00:00:00")


def percent(share: float | None) -> str:
    """A share as `34 %`, with a decimal where it is small."""
    if share is None:
        return "–"
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"


def _value(entry: Any) -> float | None:
    return entry.get("value") if isinstance(entry, Mapping) else entry


def _amounts(report: Mapping[str, Any]) -> dict[str, Any]:
    """Lift against amount as `svg`, or, where every generator has one amount, as `ranges`."""
    entries = [entry for entry in report.get("amounts") or [] if entry.get("value") is not None]
    names = [str(entry["generator"]) for entry in entries]
    if len(set(names)) < len(names):
        return {"svg": Markup(plots.amounts(entries, words.metric(report), nouns.sayer(report)))}
    found = [(name, "lift", entry) for name, entry in zip(names, entries, strict=True)]
    return {"ranges": tracks.differences(found)} if found else {}


def _panel(panel: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(panel)
    if panel["kind"] == "histogram":
        found["svg"] = Markup(plots.histogram(panel))
    else:
        # The rest has no bar: it would make all others look small.
        named = [n for n, label in enumerate(panel["labels"]) if label != OTHER]
        largest = max((panel[which][n] for which in ("real", "synthetic") for n in named), default=0) or 1
        found["bars"] = [
            {
                "label": label,
                "real": real,
                "synthetic": synthetic,
                "width": None if label == OTHER else (100 * real / largest, 100 * synthetic / largest),
            }
            for label, real, synthetic in zip(panel["labels"], panel["real"], panel["synthetic"], strict=True)
        ]
    return found


def _pictures(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The sheets of images, with what stands under each image that has a caption."""
    if not found:
        return None
    shown = dict(found)
    near = found.get("neighbours")
    if near:
        pairs = [
            {
                "lines": [pair["label"], f"real: {pair['real']}" if pair["real"] != pair["label"] else ""],
                "apart": pair.get("distance"),
                "alt": f"synthetic {pair['label']} beside real {pair['real']}",
                "first": 2 * number,
            }
            for number, pair in enumerate(near["pairs"])
        ]
        groups = [("The closest", pairs[: near["closest"]]), ("At random", pairs[near["closest"] :])]
        shown["neighbours"] = {**near, "groups": [group for group in groups if group[1]]}
    sure = found.get("confidence")
    if sure:
        best = [(number, one) for number, one in enumerate(sure["best"])]
        worst = [(len(best) + number, one) for number, one in enumerate(sure["worst"])]
        shown["confidence"] = {**sure, "groups": [("The surest", best), ("The least sure", worst)]}
    return shown


def _texts(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Texts side by side, in groups."""
    if not found or not found.get("random"):
        return None
    titles = {"random": "At random", "closest": "The nearest", "farthest": "The farthest"}
    groups = [(title, found[name]) for name, title in titles.items() if found.get(name)]
    return {**found, "groups": groups}


def _losses(found: Mapping[str, Any] | None) -> list[Markup]:
    """Curves of one loss on train and on held-out rows share a plot; others may be of other sizes."""
    if not found:
        return []
    both = [curve for curve in found["curves"] if curve["name"] in ("train", "held_out", "validation")]
    others = [[curve] for curve in found["curves"] if curve not in both]
    return [Markup(plots.losses(group, found["x"])) for group in ([both] if both else []) + others]


def _pairs(association: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not association or len(association["names"]) < 2:
        return None
    names, real, synthetic = association["names"], association["real"], association["synthetic"]
    gap = [[s - r for r, s in zip(*rows, strict=True)] for rows in zip(real, synthetic, strict=True)]
    return {
        "plots": [
            ("Real", Markup(plots.heat(names, real, "Real"))),
            ("Synthetic", Markup(plots.heat(names, synthetic, "Synthetic"))),
            ("Synthetic minus real", Markup(plots.heat(names, gap, "Synthetic minus real", difference=True))),
        ],
        "gap": association.get("gap") or {},
        "left_out": association.get("left_out", 0),
    }


def _seconds(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    seconds = {
        k: v
        for k, v in ((report.get("cost") or {}).get("seconds") or {}).items()
        if k != "wall" and v is not None
    }
    largest = max(seconds.values(), default=0) or 1
    return [
        {"stage": human(name), "seconds": value, "width": 100 * value / largest}
        for name, value in seconds.items()
    ]


def _wall(report: Mapping[str, Any]) -> float | None:
    seconds = (report.get("cost") or {}).get("seconds") or {}
    return seconds.get("wall") or (sum(seconds.values()) if seconds else None)


def _yaml(value: Mapping[str, Any]) -> str:
    import io

    from ruamel.yaml import YAML

    out = io.StringIO()
    YAML().dump(dict(value), out)
    return out.getvalue()
