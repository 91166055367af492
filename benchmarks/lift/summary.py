"""What the cells say together: lift of every arm in every cell, Holm's tests, and whether the targets are met.

The test is a paired t over seeds, two-sided, adjusted by Holm (1979) over all cells of an arm. Not Wilcoxon's: of ten
seeds its least p is 0.002, above Holm's first step for 32 cells (0.0016), so that it could never say anything.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lift.cells import CELLS, DATASETS, kind_and_size, low

LEVEL = 0.05
FEW_SEEDS = 3
DEFAULT = "leaven"
OWN = ("leaven", "real")  # not single arms to compare with
PEERS = (
    *("gaussian_copula", "ctgan", "tvae", "copula_gan", "smote", "classic: smote"),
    *("mostlyai_engine", "arf", "unmasking_trees", "forest_diffusion"),
)

Cell = tuple[str, str]


def summary(
    records: Sequence[Mapping[str, Any]], not_run: Mapping[Cell, str] | None = None
) -> dict[str, Any]:
    """The table and the targets, JSON-serialisable.

    Args:
        records: of `unit.measure`; several of one cell and seed hold different arms.
        not_run: (dataset, cell) -> why it was not run.
    """
    lifts = _lifts(records, "value")
    table: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for arm, cells in lifts.items():
        adjusted = holm({cell: p_value(list(seeds.values())) for cell, seeds in cells.items()})
        for cell, seeds in cells.items():
            values = np.array(list(seeds.values()))
            table["/".join(cell)][arm] = {
                "lift": float(values.mean()),
                "se": _se(values),
                "seeds": len(values),
                "worst": float(values.min()),
                "p": adjusted[cell],
                "effect": effect(values, adjusted[cell]),
            }
    made = {
        "cells": {"/".join(cell): table["/".join(cell)] for cell in _ordered(lifts)},
        "not_run": {"/".join(cell): why for cell, why in (not_run or {}).items()},
        "metric": {f"{r['dataset']}/{r['cell']}": r["metric"] for r in records},
        "real": _real(records),
        "means": _means(lifts),
        "means_roc_auc": _means(_lifts(records, "roc_auc")),
        "versus": _versus(lifts),
        "none": _none(records),
        "failed": _failed(records),
        "code": sorted({f"{r['commit']} ({r['code']})" for r in records}),
        "settings": sorted({str(r["settings"]) for r in records}),
        "seconds": _seconds(records),
    }
    made["targets"] = targets(made, lifts)
    return made


def p_value(values: Sequence[float]) -> float:
    """Two-sided p of a t test that the mean is 0; 1 where it cannot be told (one value, or all of them 0)."""
    from scipy import stats

    if len(values) < 2 or np.ptp(values) == 0:
        return 1.0
    return float(stats.ttest_1samp(values, 0.0).pvalue)


def holm(p: Mapping[Any, float]) -> dict[Any, float]:
    """p values adjusted by Holm's step-down procedure."""
    order = sorted(p, key=lambda key: p[key])
    adjusted, largest = {}, 0.0
    for place, key in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p[key]))
        adjusted[key] = largest
    return adjusted


def effect(values: np.ndarray, adjusted: float) -> str:
    """`clearly helps`, `hurts`, or nothing."""
    if adjusted > LEVEL:
        return ""
    return "clearly helps" if values.mean() > 0 else "hurts"


def _lifts(records: Sequence[Mapping[str, Any]], key: str) -> dict[str, dict[Cell, dict[int, float]]]:
    """arm -> (dataset, cell) -> seed -> score minus that of the real rows alone."""
    found: dict[str, dict[Cell, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        arms = record["arms"]
        for arm, scores in arms.items():
            if arm != "real":
                found[arm][record["dataset"], record["cell"]][record["seed"]] = (
                    scores[key] - arms["real"][key]
                )
    return {arm: dict(cells) for arm, cells in found.items()}


def _ordered(lifts: Mapping[str, Mapping[Cell, Any]]) -> list[Cell]:
    cells = {cell for of in lifts.values() for cell in of}
    datasets, names = list(DATASETS), list(CELLS)
    return sorted(
        cells,
        key=lambda cell: (datasets.index(cell[0]), names.index(cell[1]) if cell[1] in names else 99, cell[1]),
    )


def _se(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def over_cells(cells: Mapping[Cell, Mapping[int, float]]) -> dict[str, Any]:
    """Mean of the cells' means, each cell counting once, with its standard error over seeds.

    Cells of one seed share rows, so the error is that of the seeds' means. Of fewer than three seeds
    there is no such error worth the name; then it is that of the cells' means, as if they did not share rows.
    """
    by_seed = np.array(seed_means(cells))
    by_cell = np.array([np.mean(list(seeds.values())) for seeds in cells.values()])
    few = len(by_seed) < FEW_SEEDS
    return {
        "lift": float(by_cell.mean()),
        "se": _se(by_cell) if few else _se(by_seed),
        "se_of": "cells" if few else "seeds",
        "cells": len(cells),
        "seeds": len(by_seed),
    }


def seed_means(cells: Mapping[Cell, Mapping[int, float]]) -> list[float]:
    """Each seed's mean over the cells; where a seed lacks a cell, that cell's mean stands in."""
    means = {cell: float(np.mean(list(seeds.values()))) for cell, seeds in cells.items()}
    known = sorted({seed for seeds in cells.values() for seed in seeds})
    return [float(np.mean([of.get(seed, means[cell]) for cell, of in cells.items()])) for seed in known]


def _means(lifts: Mapping[str, Mapping[Cell, Mapping[int, float]]]) -> dict[str, dict[str, Any]]:
    """arm -> its mean over all cells, over those low in data, and over those with 10 to 30 of the minority."""
    made = {}
    for arm, cells in lifts.items():
        chosen = {
            "all": cells,
            "low": {cell: seeds for cell, seeds in cells.items() if low(cell[1])},
            "minority_10_30": {cell: seeds for cell, seeds in cells.items() if _scarce(cell[1])},
        }
        made[arm] = {name: over_cells(of) for name, of in chosen.items() if of}
    return dict(sorted(made.items(), key=lambda item: -item[1]["all"]["lift"]))


def _scarce(cell: str) -> bool:
    kind, size = kind_and_size(cell)
    return kind == "minority" and 10 <= size <= 30


def _versus(lifts: Mapping[str, Mapping[Cell, Mapping[int, float]]]) -> dict[str, dict[str, Any]]:
    """arm -> the default's lift minus the arm's, over the cells and seeds that both ran."""
    made = {}
    for arm, cells in lifts.items():
        if arm.startswith(DEFAULT) or DEFAULT not in lifts:
            continue
        both = {
            cell: {seed: own[seed] - value for seed, value in seeds.items() if seed in own}
            for cell, seeds in cells.items()
            if (own := lifts[DEFAULT].get(cell))
        }
        both = {cell: seeds for cell, seeds in both.items() if seeds}
        if both:
            made[arm] = over_cells(both)
    return dict(sorted(made.items(), key=lambda item: item[1]["lift"]))


def _none(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Share of cells and seeds in which the default chose `none`, and what was chosen otherwise."""
    told = [record for record in records if record["leaven"]]
    made: dict[str, Any] = {}
    for name, of in (("low", [r for r in told if low(r["cell"])]), ("all", told)):
        chosen: dict[str, int] = defaultdict(int)
        for record in of:
            chosen[record["leaven"]["chosen"] or "none"] += 1
        made[name] = {
            "share": chosen["none"] / len(of) if of else None,
            "runs": len(of),
            "chosen": dict(sorted(chosen.items(), key=lambda item: -item[1])),
        }
    by_cell: dict[str, list[bool]] = defaultdict(list)
    for record in told:
        by_cell[f"{record['dataset']}/{record['cell']}"].append(record["leaven"]["chosen"] is None)
    made["by_cell"] = {cell: float(np.mean(values)) for cell, values in by_cell.items()}
    return made


def _real(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        values[f"{record['dataset']}/{record['cell']}"].append(record["arms"]["real"]["value"])
    return {cell: float(np.mean(of)) for cell, of in values.items()}


def _failed(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        for arm, reason in record["failed"].items():
            counts[f"{arm}: {reason}"] += 1
    return dict(counts)


def _seconds(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for record in records:
        for part, seconds in record["seconds"].items():
            total[part] += seconds
    return {part: round(seconds / max(len(records), 1), 2) for part, seconds in total.items()}


def targets(
    made: Mapping[str, Any], lifts: Mapping[str, Mapping[Cell, Mapping[int, float]]]
) -> list[dict[str, Any]]:
    """Each target with whether it is met (None: too few seeds to tell) and the number that says so."""
    if DEFAULT not in lifts:
        return []
    found: list[dict[str, Any]] = []

    def add(what: str, met: bool | None, number: str) -> None:
        found.append({"target": what, "met": met, "number": number})

    of = {cell: arms[DEFAULT] for cell, arms in made["cells"].items() if DEFAULT in arms}
    hurts = [f"{cell} {points(arm['lift'])}" for cell, arm in of.items() if arm["effect"] == "hurts"]
    told = sum(arm["seeds"] >= FEW_SEEDS for arm in of.values())
    number = ", ".join(hurts) or f"in 0 of {told} cells with at least {FEW_SEEDS} seeds"
    add("never hurts beyond noise in any cell", False if hurts else True if told == len(of) else None, number)
    versus = made["versus"]
    peers = {arm: gap for arm, gap in versus.items() if arm in PEERS or arm.split(" ")[0] in PEERS}
    for name, others in (("peer's and SMOTE's", peers), ("arm's that is always used, ours too", versus)):
        gaps = [f"{arm} by {points(gap['lift'], gap['se'])}" for arm, gap in others.items()]
        lost = [said for said, gap in zip(gaps, others.values(), strict=True) if gap["lift"] <= 0]
        number = f"not ahead of {', '.join(lost)}" if lost else f"least ahead of {gaps[0] if gaps else '-'}"
        add(f"mean lift over all cells above every single {name}", not lost and bool(gaps), number)
    scarce = {cell: seeds for cell, seeds in lifts[DEFAULT].items() if _scarce(cell[1])}
    if scarce:
        clear = [cell for cell in scarce if of["/".join(cell)]["effect"] == "clearly helps"]
        mean = over_cells(scarce)
        what, enough = "where the minority is 10 to 30", mean["seeds"] >= FEW_SEEDS
        p = p_value(seed_means(scarce))
        number = points(mean["lift"], mean["se"]) + (f", p {p:.3f} over seeds" if enough else " over cells")
        add(f"mean lift clearly positive {what}", mean["lift"] > 0 and p < LEVEL if enough else None, number)
        each = len(clear) == len(scarce) if enough else None
        add(f"clearly helps in each cell {what}", each, f"{len(clear)} of {len(scarce)}")
    low_share, runs = made["none"]["low"]["share"], made["none"]["low"]["runs"]
    if runs:
        add("`none` in at most half of the low-data runs", low_share <= 0.5, f"{low_share:.0%} of {runs}")
    return found


def points(value: float, se: float | None = None) -> str:
    """A score difference in hundredths: `+1.24±0.31`."""
    return f"{100 * value:+.2f}" + (f"±{100 * se:.2f}" if se is not None else "")
