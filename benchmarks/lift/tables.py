"""The summary as text: every cell and arm, losses too, means over cells, and the targets."""

from collections.abc import Iterable, Mapping
from typing import Any

from lift.summary import points

WIDTH = 15
HEAD = """Lift in hundredths of the metric: mean ± standard error over seeds. * clearly helps, ! hurts (Holm, 5 %).
Low in data: n of at most 300, or at most 30 rows of the minority. `leaven` is the default recipe, `none` included;
`leaven: best` is its best candidate, always used; `leaven: duplicates` as many real rows again. In means over cells,
c marks an error over cells, where there are fewer than three seeds.
"""


def text(made: Mapping[str, Any]) -> str:
    """Everything that `summary.summary` found."""
    lines = [HEAD]
    for dataset in dict.fromkeys(cell.split("/")[0] for cell in [*made["cells"], *made["not_run"]]):
        lines += [*_dataset(made, dataset), ""]
    lines += [*_means(made), "", *_none(made["none"])]
    words = {True: "met   ", False: "MISSED", None: "open  "}
    lines += [f"{words[t['met']]}  {t['target']}: {t['number']}" for t in made["targets"]]
    lines += [f"failed {count} times: {what}" for what, count in made["failed"].items()]
    lines.append(f"settings: {'; '.join(made['settings'])}; code: {'; '.join(made['code'])}")
    lines.append(
        "seconds, mean of a file: " + ", ".join(f"{part} {s}" for part, s in made["seconds"].items())
    )
    return "\n".join(lines) + "\n"


def _row(name: str, entries: Iterable[str], width: int) -> str:
    return f"{name:<{width}}" + "".join(f"{entry:>{WIDTH}}" for entry in entries)


def _width(made: Mapping[str, Any]) -> int:
    return max(len(arm) for arm in [*made["means"], "mean over all cells"]) + 1


def _dataset(made: Mapping[str, Any], dataset: str) -> list[str]:
    """A line for each arm, a column for each cell."""
    width, none = _width(made), made["none"]["by_cell"]
    cells = [cell for cell in made["cells"] if cell.startswith(f"{dataset}/")]
    of = [made["cells"][cell] for cell in cells]
    lines = [
        _row(dataset, [cell.split("/")[1] for cell in cells], width),
        _row("metric", [made["metric"][cell].replace("average_precision", "AP") for cell in cells], width),
        _row("seeds", [str(max(arm["seeds"] for arm in arms.values())) for arms in of], width),
        _row("real (score)", [f"{made['real'][cell]:.4f}" for cell in cells], width),
        _row("`none` chosen", [f"{none[cell]:.0%}" if cell in none else "-" for cell in cells], width),
    ]
    lines += [_row(arm, [_entry(arms.get(arm)) for arms in of], width) for arm in made["means"]]
    lines = lines if cells else [dataset]
    for cell, why in made["not_run"].items():
        if cell.startswith(f"{dataset}/"):
            lines.append(f"{cell.split('/')[1]}: not run: {why}")
    return lines


def _entry(arm: Mapping[str, Any] | None) -> str:
    if arm is None:
        return "-"
    mark = {"clearly helps": "*", "hurts": "!"}.get(arm["effect"], " ")
    return points(arm["lift"], arm["se"]) + mark


def _means(made: Mapping[str, Any]) -> list[str]:
    """A line for each arm: its mean over all cells and over some, and how far ahead the default is."""
    heads = ["all", "low", "minority 10-30", "all, ROC AUC", "cells", "seeds", "leaven ahead"]
    lines = [_row("mean over all cells", heads, _width(made))]
    for arm, mean in made["means"].items():
        auc, gap = made["means_roc_auc"][arm]["all"], made["versus"].get(arm)
        entries = [_mean(mean.get(part)) for part in ("all", "low", "minority_10_30")]
        entries += [_mean(auc), str(mean["all"]["cells"]), str(mean["all"]["seeds"]), _mean(gap)]
        lines.append(_row(arm, entries, _width(made)))
    return lines


def _mean(mean: Mapping[str, Any] | None) -> str:
    return points(mean["lift"], mean["se"]) + ("c" if mean["se_of"] == "cells" else "") if mean else ""


def _none(none: Mapping[str, Any]) -> list[str]:
    lines = []
    for name in ("low", "all"):
        if none[name]["runs"]:
            chosen = ", ".join(f"{label} {count}" for label, count in none[name]["chosen"].items())
            runs = f"{none[name]['runs']} runs ({'low in data' if name == 'low' else name})"
            lines.append(f"`none` in {none[name]['share']:.0%} of {runs}; chosen: {chosen}")
    return lines
