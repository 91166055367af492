"""What a person reads of versions: on a terminal, in a pipe, and on Prefect's pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.flows.tables import Cells, plain, print_table
from leaven.pipelines.report import words

if TYPE_CHECKING:
    from rich.console import Console

    from leaven.pipelines.check import CheckReport
    from leaven.pipelines.clean import Removal
    from leaven.pipelines.store import Store
    from leaven.pipelines.version import Version


def answer(report: Mapping[str, Any]) -> str:
    """The answer in one or two sentences."""
    return words.answer(report)


def arm_cells(report: Mapping[str, Any]) -> Cells:
    """Each arm's score with its interval, then the two lifts."""
    utility, metric = report["utility"], words.metric(report)
    cells = []
    for name in words.ARMS:
        if name in utility["arms"]:
            interval = utility["arms"][name]
            cells.append(_scored(words.ARMS[name], metric, interval, words.score, words.score))
    for name, label in (("lift", "lift of the synthetic rows"), ("lift_over_classic", "lift over classic")):
        if utility.get(name):
            cells.append(_scored(label, metric, utility[name], words.signed, words.bound))
    return cells


def _scored(label: str, metric: str, interval: Mapping[str, Any], write: Any, bound: Any) -> dict[str, str]:
    return {
        "training rows": label,
        metric: write(interval["value"]),
        "95 % interval": words.between(interval, bound),
    }


def gate_cells(report: Mapping[str, Any]) -> Cells:
    """Each gate with its value, its bound, and whether it held."""
    return [
        {
            "gate": gate["gate"],
            "value": words.score(gate["value"]),
            "bound": _bound(gate),
            "verdict": "passed" if gate["passed"] else "FAILED",
        }
        for gate in report.get("gates", [])
    ]


def _bound(gate: Mapping[str, Any]) -> str:
    if gate.get("threshold") is None:
        return gate.get("what") or "–"
    least = gate["gate"] in ("lift", "lift_over_classic") or str(gate.get("what", "")).startswith("at least")
    sign = ("above" if gate["gate"] == "lift" else "at least") if least else "at most"
    return f"{sign} {words.score(gate['threshold'])}"


def candidate_cells(report: Mapping[str, Any]) -> Cells:
    """What was tried, with its gain on validation rows."""
    cells = []
    for tried in report.get("candidates", []):
        validation = tried.get("validation") or {}
        gain, rows = validation.get("lift"), tried.get("rows") or {}
        cells.append(
            {
                "generator": words.label(tried),
                "amount": _amount(tried),
                "gain": words.signed(gain["value"]) if gain else "–",
                "95 % interval": words.between(gain),
                "kept": _share(rows),
                "time": words.duration(sum((tried.get("seconds") or {}).values())),
                "why not": _why_not(report, tried),
            }
        )
    return cells


def _why_not(report: Mapping[str, Any], tried: Mapping[str, Any]) -> str:
    """Why the candidate was not chosen; nothing for the one that was."""
    validation = tried.get("validation") or {}
    if validation.get("reason") or _is_chosen(report, tried):
        return str(validation.get("reason") or "")
    return words.outdone(validation) if validation.get("lift") else ""


def _amount(tried: Mapping[str, Any]) -> str:
    amount, screen = tried.get("amount"), tried.get("screen") or {}
    if not isinstance(amount, Mapping) or not isinstance(amount.get("ratio"), (int, float)):
        return words.way(tried)
    parts = [f"{amount['ratio']:g} ×", amount.get("shares"), screen.get("label_agreement")]
    return " ".join(str(part) for part in parts if part)


def _share(rows: Mapping[str, Any]) -> str:
    return f"{rows['kept'] / rows['sampled']:.0%}" if rows.get("sampled") else "–"


def _is_chosen(report: Mapping[str, Any], tried: Mapping[str, Any]) -> bool:
    return words.same(tried, report.get("chosen"))


def quality_cells(report: Mapping[str, Any]) -> Cells:
    """Fidelity, diversity and privacy, each number between its floor and its ceiling."""
    return [
        {
            "number": name.replace("_", " "),
            "value": words.score(one["value"]),
            "fresh real rows": words.score(one["floor"]),
            "known-bad": words.score(one["ceiling"]),
            "better": one["better"],
        }
        for part in ("fidelity", "diversity", "privacy")
        for name, one in (report.get(part) or {}).items()
    ]


def version_cells(
    versions: Sequence["Version"], latest: Mapping[str, str | None], verdicts: Mapping[str, str]
) -> Cells:
    """One row for each version; the one that readers get who name none has a star."""
    return [
        {
            "": "*" if latest.get(version.name) == version.id else "",
            "name": version.name,
            "version": version.id,
            "verdict": verdicts[str(version)],
            "lift": words.signed(_lift(version.report)["value"]) if _lift(version.report) else "–",
            "rows": words.count(version.report["rows"]["synthetic"]),
            "date": str(version.report.get("created", ""))[:16].replace("T", " "),
        }
        for version in versions
    ]


def removal_cells(found: Sequence["Removal"]) -> Cells:
    """One row for each thing that may go from a store."""
    return [
        {
            "name": one.name,
            "what": one.what,
            "version": one.id,
            "size": words.size(one.bytes) if one.bytes is not None else "–",
            "why": one.why,
        }
        for one in found
    ]


def _lift(report: Mapping[str, Any]) -> Mapping[str, Any]:
    return (report.get("utility") or {}).get("lift") or {}


def compare_cells(first: "Version", second: "Version") -> Cells:
    """The two versions' numbers side by side, with the difference where both have one."""
    a, b = first.report, second.report
    cells = [
        _beside("verdict", a["verdict"], b["verdict"]),
        _beside("effect", a["effect"], b["effect"]),
        _beside("chosen", words.label(a.get("chosen")), words.label(b.get("chosen"))),
        _beside("gates failed", _failed(a), _failed(b)),
    ]
    for part in ("train", "test", "synthetic"):
        cells.append(_beside(f"{part} rows", a["rows"][part], b["rows"][part], words.count))
    for name in words.ARMS:
        arms = [(report["utility"]["arms"].get(name) or {}).get("value") for report in (a, b)]
        if any(value is not None for value in arms):
            cells.append(_beside(words.ARMS[name], *arms))
    for key in ("lift", "lift_over_classic"):
        pair = [(report["utility"].get(key) or {}) for report in (a, b)]
        cells.append(_beside(key.replace("_", " "), pair[0].get("value"), pair[1].get("value"), words.signed))
        texts = [words.between(one) for one in pair]
        cells.append(_beside("  95 % interval", *texts))
    for part in ("fidelity", "diversity", "privacy"):
        for name in dict.fromkeys([*(a.get(part) or {}), *(b.get(part) or {})]):
            values = [((report.get(part) or {}).get(name) or {}).get("value") for report in (a, b)]
            cells.append(_beside(name.replace("_", " "), *values))
    return cells


def _failed(report: Mapping[str, Any]) -> str:
    return ", ".join(gate["gate"] for gate in report["gates"] if not gate["passed"]) or "none"


def _beside(name: str, first: Any, second: Any, write: Any = words.score) -> dict[str, str]:
    both = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (first, second))
    change = ""
    if both and first != second:
        change = f"{second - first:+,d}" if write is words.count else words.signed(second - first)
    return {
        "number": name,
        "A": first if isinstance(first, str) else write(first),
        "B": second if isinstance(second, str) else write(second),
        "B − A": change.replace("-", "−"),
    }


def print_report(console: "Console", report: Mapping[str, Any], path: Path, full: bool = False) -> None:
    """The answer, the arms, the gates and where the report is; `full` adds what `leaven show` is for."""
    released = report["verdict"] == "released"
    name = f"{report['name']}@{report['version']}"
    plain(console, f"{name}  {report['verdict']}", style="bold green" if released else "bold yellow")
    plain(console, answer(report))
    if full or (report["utility"].get("worth_real_rows") or {}).get("value") is not None:
        plain(console, words.worth(report))
    print_table(console, arm_cells(report))
    print_table(console, gate_cells(report))
    _print_tried(console, report)
    if full:
        print_table(console, quality_cells(report), "Against fresh real rows and a known-bad generator")
        for warning in report.get("warnings", []):
            plain(console, f"warning: {warning}", style="yellow")
    for note in report.get("notes", []):
        plain(console, f"note: {note}")
    plain(console)
    plain(console, f"report  {shorter(path / 'report.html')}")


def _print_tried(console: "Console", report: Mapping[str, Any]) -> None:
    """What was tried, and below it why each was not chosen: reasons are too long for a column."""
    cells = candidate_cells(report)
    reasons = [(f"{row['generator']} {row['amount']}", row.pop("why not")) for row in cells]
    print_table(console, cells, "Tried, with the gain on validation rows")
    for name, reason in reasons:
        if reason:
            plain(console, f"{name}: {reason}")


def shorter(path: Path) -> str:
    """The path from the working directory where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def summary(report: Mapping[str, Any], path: Path, **more: Any) -> dict[str, Any]:
    """What `--json` prints of a run."""
    return {
        "name": report["name"],
        "version": report["version"],
        "verdict": report["verdict"],
        "effect": report["effect"],
        "answer": answer(report),
        "chosen": report["chosen"],
        "rows": report["rows"],
        "lift": report["utility"]["lift"],
        "lift_over_classic": report["utility"].get("lift_over_classic"),
        "worth_real_rows": report["utility"].get("worth_real_rows"),
        "gates": report["gates"],
        "path": str(path.resolve()),
        "report": str((path / "report.html").resolve()),
        **more,
    }


def print_check(console: "Console", report: "CheckReport") -> None:
    """What `leaven check` says."""
    rows = report.rows
    parts = ", ".join(f"{words.count(rows[part])} {part}" for part in ("train", "validation", "test"))
    rejected = f", {words.count(rows['rejected'])} rejected" if rows["rejected"] else ""
    plain(console, f"{report.name}: {words.count(rows['all'])} rows ({parts}{rejected})")
    task = report.task
    positive = f", positive class {task.positive}" if task.positive is not None else ""
    metric = words.METRICS.get(task.metric, task.metric)
    plain(console, f"predicts {task.target}: {task.type}, {metric}{positive}")
    print_table(
        console,
        [
            {
                "column": f"{column.name} (target)" if column.target else column.name,
                "type": column.type,
                "missing": words.count(column.missing) if column.missing else "",
                "distinct": words.count(column.distinct),
                "what": "; ".join(part for part in (column.shows, column.note) if part),
            }
            for column in report.columns
        ],
    )
    amounts = ", ".join(f"{words.count(amount['synthetic_rows'])}" for amount in report.amounts)
    plain(console)
    for one in report.candidates:
        label = words.label(one.model_dump())
        plain(console, f"tries   {label}: {one.fits} fits of about {words.duration(one.fit_seconds)}")
    plain(console, f"makes   {amounts} synthetic rows")
    plain(console, f"gates   {', '.join(report.gates)}")
    plain(console, f"takes   {report.takes} on two cores")
    for warning in report.warnings:
        plain(console, f"warning: {warning}", style="yellow")


def every(store: "Store", name: str | None = None) -> list["Version"]:
    """All versions of the store, or of one name in it, oldest first."""
    if name is not None and name not in store.names():
        store.find(name)  # refuses, with the nearest name
    return [store.get(one, id) for one in ([name] if name else store.names()) for id in store.versions(one)]


def listed(version: "Version", latest: Mapping[str, str | None], verdict: str) -> dict[str, Any]:
    """What `leaven list --json` prints of a version."""
    report = version.report
    return {
        "name": version.name,
        "version": version.id,
        "latest": latest.get(version.name) == version.id,
        "verdict": verdict,
        "effect": report["effect"],
        "lift": report["utility"]["lift"],
        "rows": report["rows"]["synthetic"],
        "created": report.get("created"),
        "path": str(version.place),
    }


def find(store: "Store", reference: str) -> tuple["Version", "Version | None"]:
    """The version to show: the one named, else the latest released one, else the newest.

    The second is a newer version that was withheld, if there is one.
    """
    if "@" in reference:
        return store.find(reference), None
    newest = store.find(reference, released_only=False)
    latest = store.latest(reference)
    if latest is None or latest == newest.id:
        return newest, None
    return store.get(reference, latest), newest


def markdown(report: Mapping[str, Any], page: Path) -> str:
    """The answer and the arms as Markdown, for Prefect's page of the run."""
    lines = [
        f"# {report['name']}@{report['version']}: {report['verdict']}",
        "",
        answer(report),
        "",
        words.worth(report),
        "",
    ]
    for cells in (arm_cells(report), gate_cells(report)):
        if cells:
            lines.append(f"| {' | '.join(cells[0])} |")
            lines.append(f"|{'---|' * len(cells[0])}")
            lines += [f"| {' | '.join(_escape(text) for text in row.values())} |" for row in cells]
            lines.append("")
    return "\n".join([*lines, f"The whole report: `{page.resolve()}`"])


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
