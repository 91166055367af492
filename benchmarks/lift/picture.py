"""The lift curves as small multiples: a row for each dataset, a column for each way to be short of rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lift.cells import CELLS, kind_and_size
from lift.summary import DEFAULT

COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#777778", "#8f3fbf", "#a07800", "#e69fbf", "#44aa44")
OURS, INK, GRID = "#0072b2", "#111112", "#ddddde"
LEFT_OUT = ("leaven: best", "leaven: duplicates", "classic: oversampling")  # in the table, not in the picture
DEEPEST = -8.0  # hundredths; what lies below is drawn at the edge


def draw(made: Mapping[str, Any], path: Path) -> None:
    """Write the picture as PNG; nothing where there is no cell."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    datasets = list(dict.fromkeys(cell.split("/")[0] for cell in made["cells"]))
    if not datasets:
        return
    arms = [arm for arm in made["means"] if arm not in LEFT_OUT and arm != DEFAULT]
    colours: dict[str, str] = {}
    for arm in sorted(arms):  # amounts of one generator share its colour
        colours.setdefault(_family(arm), COLOURS[len(colours) % len(COLOURS)])
    figure = Figure(figsize=(11, 2.5 * len(datasets) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(datasets), 2, squeeze=False, sharey="row")
    lines: dict[str, Any] = {}
    for row, dataset in zip(grid, datasets, strict=True):
        for axes, kind in zip(row, ("n", "minority"), strict=True):
            _panel(axes, made, dataset, kind, arms, colours, lines)
        row[0].set_ylabel(f"{dataset}\nlift, hundredths")
        low, high = row[0].get_ylim()
        row[0].set_ylim(max(low, DEEPEST), max(high, 1.0))
    grid[-1][0].set_xlabel("real rows (train + validation)")
    grid[-1][1].set_xlabel("rows of the minority, beside up to 1,000 others")
    figure.legend(
        lines.values(), lines.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
    figure.suptitle(
        "Lift over real rows alone on test rows: mean of seeds, bars 95 %", fontsize=11, color=INK
    )
    figure.savefig(path, dpi=130)


def _family(arm: str) -> str:
    return arm if ":" in arm else arm.split(" ")[0]


def _half(entry: Mapping[str, Any]) -> float:
    """Half of the 95 % interval of a mean over seeds."""
    from scipy import stats

    return float(stats.t.ppf(0.975, entry["seeds"] - 1) * entry["se"]) if entry["se"] else 0.0


def _panel(
    axes: Any,
    made: Mapping[str, Any],
    dataset: str,
    kind: str,
    arms: list[str],
    colours: Mapping[str, str],
    lines: dict[str, Any],
) -> None:
    """The curves of one dataset and kind of cell."""
    cells = [
        cell for cell in CELLS if kind_and_size(cell)[0] == kind and f"{dataset}/{cell}" in made["cells"]
    ]
    places = [kind_and_size(cell)[1] for cell in cells]
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.grid(color=GRID, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for arm in [*arms, DEFAULT]:
        of = [(x, made["cells"][f"{dataset}/{cell}"].get(arm)) for x, cell in zip(places, cells, strict=True)]
        known = [(x, entry) for x, entry in of if entry]
        if not known:
            continue
        xs, ys = [x for x, _ in known], [100 * max(entry["lift"], DEEPEST / 100) for _, entry in known]
        if arm == DEFAULT:
            bars = [100 * _half(entry) for _, entry in known]
            lines[arm] = axes.errorbar(
                xs, ys, bars, color=OURS, linewidth=2.4, marker="o", capsize=3, zorder=5
            )
        else:
            style = {
                "linestyle": "--" if arm.endswith("balanced") else "-",
                "marker": "x" if ":" in arm else ".",
            }
            (lines[arm],) = axes.plot(xs, ys, color=colours[_family(arm)], linewidth=1.0, alpha=0.85, **style)
    axes.set_xscale("log")
    shown = [size for of, size in map(kind_and_size, CELLS) if of == kind]
    axes.set_xticks(shown, [str(size) for size in shown])
    axes.minorticks_off()
    axes.set_xlim(shown[0] * 0.85, shown[-1] * 1.18)
    if not places:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center")
