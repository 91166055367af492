"""The report's plots as inline SVG. Colours become CSS variables: one page for screen, dark mode and print."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from leaven.pipelines.report import words
from leaven.pipelines.report.nouns import Say

# Colours that matplotlib draws with, and what stands for them on the page (Okabe and Ito's palette).
REAL, SYNTHETIC, INK, MUTED, GRID = "#0072b2", "#d55e00", "#111112", "#666667", "#ddddde"
SERIES = ("#d55e01", "#009e73", "#cc79a7", "#a07800", "#56b4e9", "#777778")
_VARIABLES = {
    REAL: "var(--real)",
    SYNTHETIC: "var(--synthetic)",
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)},
}
_MARKERS = "osD^vP"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.parse_math": False,  # a column may be called `$`
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


class Drawing:
    """A figure that becomes SVG when its block ends; `svg` holds it then."""

    svg = ""

    def __init__(self, figure: Any):
        self.figure = figure


@contextlib.contextmanager
def drawn(width: float, height: float, alt: str, layout: Any = "constrained") -> Iterator[Drawing]:
    """Draw on `drawing.figure`, `width` by `height` in inches; a phone shows about 4.9 inches at full size."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # A salt of its own for each plot: ids must not repeat on a page, and equal reports give equal pages.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
        drawing = Drawing(Figure(figsize=(width, height), layout=layout))
        FigureCanvasSVG(drawing.figure)
        yield drawing
        out = io.StringIO()
        drawing.figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        drawing.svg = _inline(out.getvalue(), alt)


def _inline(svg: str, alt: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    width = float(view[1]) if view else 400.0
    head = f'<svg class="plot" role="img" aria-label="{escape(alt, quote=True)}" style="max-width:{width * 1.25:.0f}px"'
    svg = re.sub(r"<svg\b", head, svg, count=1)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font-size: \1", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\n\s*", "\n", svg)


def curve(utility: Mapping[str, Any], say: Say = str) -> str:
    """The real-only learning curve, with what the synthetic rows reach at half of the rows read off it."""
    points = [point for point in utility.get("curve") or [] if point.get("value") is not None]
    half, found = utility.get("half") or {}, utility.get("worth_real_rows") or {}
    metric = words.METRICS.get(utility.get("metric", ""), utility.get("metric", "score"))
    alt = say(f"{metric} of real rows alone against their number, and with synthetic rows at half of them")
    with drawn(5.2, 3.2, alt) as drawing:
        axes = drawing.figure.subplots()
        rows = [point["rows"] for point in points]
        low, high = ([p.get(end, p["value"]) for p in points] for end in ("low", "high"))
        axes.fill_between(rows, low, high, color=REAL, alpha=0.18, linewidth=0)
        axes.plot(
            rows, [p["value"] for p in points], "o-", color=REAL, markersize=4.5, label=say("real rows alone")
        )
        reached = half.get("augmented")
        if reached:
            x, y = half["rows"], reached["value"]
            error = [[max(0, y - reached.get("low", y))], [max(0, reached.get("high", y) - y)]]
            axes.errorbar(
                [x],
                [y],
                error,
                fmt="D",
                color=SYNTHETIC,
                capsize=3,
                label=say("half of them + synthetic rows"),
            )
            value = found.get("value")
            beyond = isinstance(value, str)  # "> 360": the curve ends before it reaches the score
            end = rows[-1] if beyond else x + (value or 0)
            if end > x:
                axes.plot([x, end], [y, y], "--", color=SYNTHETIC, linewidth=1.2)
                axes.plot([end], [y], ">" if beyond else "|", color=SYNTHETIC, markersize=6 if beyond else 12)
                axes.annotate(
                    say(f"worth {words.count(value)} real rows"),
                    (end, y),
                    xytext=(5, -4),
                    textcoords="offset points",
                    ha="left" if end < (rows[0] + 2 * rows[-1]) / 3 else "right",
                    va="top",
                    color=SYNTHETIC,
                    fontsize=10,
                )
        _thousands(axes.xaxis)
        axes.set_xlabel(say("real rows"))
        axes.set_ylabel(metric)
        axes.margins(x=0.08)
        drawing.figure.legend(
            loc="outside upper left", ncols=2, fontsize=10, handletextpad=0.4, columnspacing=1.2
        )
    return drawing.svg


def amounts(entries: Sequence[Mapping[str, Any]], metric: str, say: Say = str) -> str:
    """Lift on validation rows against the number of synthetic rows, a line for each generator."""
    names = list(dict.fromkeys(str(entry["generator"]) for entry in entries))
    what = say(f"lift in {metric} on validation rows against the number of synthetic rows")
    alt = f"{what}, for {', '.join(names)}"
    with drawn(5.2, 3.0 + 0.2 * ((len(names) - 1) // 2), alt) as drawing:
        axes = drawing.figure.subplots()
        axes.axhline(0, color=REAL, linewidth=1.2)
        spread = max((entry["rows"] for entry in entries), default=1)
        for number, name in enumerate(names):
            own = sorted((e for e in entries if str(e["generator"]) == name), key=lambda e: e["rows"])
            # Beside each other, not on top, where candidates have the same number of rows.
            shift = (number - (len(names) - 1) / 2) * 0.012 * spread
            value = np.array([e["value"] for e in own], dtype=float)
            ends = [[e.get("low", e["value"]) for e in own], [e.get("high", e["value"]) for e in own]]
            error = [np.maximum(0, value - ends[0]), np.maximum(0, np.array(ends[1]) - value)]
            axes.errorbar(
                [e["rows"] + shift for e in own],
                value,
                error,
                fmt=f"{_MARKERS[number % len(_MARKERS)]}-",
                color=SERIES[number % len(SERIES)],
                capsize=2.5,
                linewidth=1.3,
                markersize=5,
                label=name if len(name) <= 34 else name[:33] + "…",
            )
        _thousands(axes.xaxis)
        axes.set_xlabel(say("synthetic rows"))
        axes.set_ylabel(f"lift in {metric}")
        axes.set_xlim(0, 1.08 * spread)
        columns = 2 if max(map(len, names), default=0) < 22 else 1
        drawing.figure.legend(loc="outside upper left", ncols=columns, fontsize=10, handletextpad=0.4)
    return drawing.svg


def losses(curves: Sequence[Mapping[str, Any]], x: str) -> str:
    """Losses of a fit against its steps (or whatever `x` is), on one axis."""
    names = [str(curve["name"]).replace("_", " ") for curve in curves]
    with drawn(4.0, 2.3, f"training: {', '.join(names)} against {x}") as drawing:
        axes = drawing.figure.subplots()
        for number, (curve, name) in enumerate(zip(curves, names, strict=True)):
            points = np.array(curve["points"], dtype=float)
            axes.plot(
                points[:, 0], points[:, 1], color=SERIES[number % len(SERIES)], linewidth=1.4, label=name
            )
        _thousands(axes.xaxis)
        axes.set_xlabel(x)
        axes.set_ylabel("loss" if len(curves) > 1 else names[0])
        axes.margins(x=0.02)
        if len(curves) > 1:
            drawing.figure.legend(loc="outside upper left", ncols=2, fontsize=10, handletextpad=0.4)
    return drawing.svg


def histogram(panel: Mapping[str, Any]) -> str:
    """One column's real values (filled) and synthetic ones (line) in shared bins."""
    edges = np.array(panel["edges"], dtype=float)
    # A fixed frame: all of them line up, and there are many to lay out.
    with drawn(2.9, 1.3, f"histogram of {panel['name']}, real and synthetic", layout=None) as drawing:
        axes = drawing.figure.add_axes((0.03, 0.19, 0.94, 0.79))
        axes.grid(False)
        axes.stairs(panel["real"], edges, fill=True, color=REAL, alpha=0.35, linewidth=0)
        axes.stairs(panel["synthetic"], edges, color=SYNTHETIC, linewidth=1.6, baseline=None)
        axes.spines["left"].set_visible(False)
        axes.set_yticks([])
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=9.5, length=3)
        if panel.get("type") == "date":
            ends = np.array(axes.get_xlim())[[0, 1]] * [1, 1]
            ticks = np.linspace(
                edges[0] + 0.1 * (edges[-1] - edges[0]), edges[-1] - 0.1 * (edges[-1] - edges[0]), 2
            )
            axes.set_xticks(ticks, [_day(tick) for tick in ticks])
            axes.set_xlim(*ends)
        else:
            from matplotlib.ticker import MaxNLocator

            axes.xaxis.set_major_locator(MaxNLocator(4, integer=panel.get("type") == "integer"))
            axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    return drawing.svg


def heat(
    names: Sequence[str], matrix: Sequence[Sequence[float]], title: str, *, difference: bool = False
) -> str:
    """A square of associations in [0, 1]; `difference`: in [-1, 1], blue where synthetic rows have less."""
    size = len(names)
    shown = [f"{_cut(name)} {number}" for number, name in enumerate(names, 1)]
    side = min(3.2, max(1.5, 0.2 * size))
    with drawn(side + 1.5, side + 0.75, f"{title}: association of {size} columns in pairs") as drawing:
        axes = drawing.figure.subplots()
        axes.grid(False)
        scale = (
            {"vmin": -0.5, "vmax": 0.5, "cmap": "RdBu_r"}
            if difference
            else {"vmin": 0, "vmax": 1, "cmap": "cividis"}
        )
        image = axes.imshow(np.array(matrix, dtype=float), interpolation="none", aspect="equal", **scale)
        axes.set_yticks(range(size), shown, fontsize=9)
        axes.set_xticks(range(size), [str(n) for n in range(1, size + 1)], fontsize=7.5 if size > 12 else 9)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = drawing.figure.colorbar(image, ax=axes, location="bottom", shrink=0.8, aspect=30, pad=0.03)
        bar.set_ticks([-0.5, 0, 0.5] if difference else [0, 0.5, 1])
        bar.ax.tick_params(labelsize=9, length=2)
        bar.outline.set_visible(False)
    return drawing.svg


def _thousands(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(lambda value, _: words.count(value))


def _short(value: float) -> str:
    """An axis number in few characters: 1.2M, 40k, 0.25."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.3g}{letter}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def _day(number: float) -> str:
    return str(np.datetime64("1970-01-01") + np.timedelta64(round(number), "D")) if abs(number) < 3e6 else "–"


def _cut(name: str) -> str:
    return name if len(name) <= 15 else name[:14] + "…"
