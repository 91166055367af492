"""The table of peers as Markdown: a line per generator, floor and ceiling first."""

from typing import Any

import numpy as np

PLAIN = ("pair_trends", "detection", "column_shapes", "coverage", "beta_recall", "tstr")
PRIVACY = ("copies", "near_copies", "worst_attack")
HEAD = (
    "| generator | trend error | detection AUC | column shapes | coverage | beta-recall | {metric}, synthetic only "
    "| gap to real (95 %) | real + synthetic | copies | near copies | worst attack "
    "| fit s | fit CPU s | sample s | rows/s | MiB |"
)


def show(name: str, cell: dict[str, Any]) -> str:
    """One table's results.

    Args:
        name: of the table.
        cell: `metric`, `train`, `test` (rows), `limit` (seconds), `threads`, `against` (which rows synthetic ones
            are compared with), `controls` (floor and ceiling of each seed) and `rows` (a result per generator and
            seed).
    """
    lines = [
        f"{name}: {cell['train']:,} train rows, {cell['test']:,} test rows; {cell['threads']} threads; limit "
        f"{cell['limit']:.0f} s for a fit and again for sampling; rows compared with {cell['against']} rows; mean of "
        f"{len(cell['controls'])} seed(s).",
        "",
        HEAD.format(metric=cell["metric"]),
        "|---" * (HEAD.count("|") - 1) + "|",
    ]
    judged = [row for row in cell["rows"] if "judged" in row]
    for control, text in (("floor", "*fresh real rows (floor)*"), ("ceiling", "*known-bad rows (ceiling)*")):
        numbers = {key: _mean([one[control][key] for one in cell["controls"]]) for key in PLAIN}
        real = _mean([one["floor"]["tstr"] for one in cell["controls"]])
        augmented = _mean([one[control]["augmented"] for one in cell["controls"]])
        private = {key: _mean([row["judged"]["privacy"][key][control] for row in judged]) for key in PRIVACY}
        gap = f"{real - numbers['tstr']:+.4f}" if control == "ceiling" else "0"
        lines.append(_line(text, numbers, gap, augmented, private, ["", "", "", "", ""]))
    for generator in dict.fromkeys(row["generator"] for row in cell["rows"]):
        lines.append(_of(generator, [row for row in cell["rows"] if row["generator"] == generator]))
    lines += ["", *_remarks(cell["rows"])]
    return "\n".join(lines)


def _of(generator: str, rows: list[dict[str, Any]]) -> str:
    judged = [row for row in rows if "judged" in row]
    if not judged:
        cells = HEAD.count("|") - 3
        return f"| {generator} | {rows[0]['status']} " + "| " * cells + "|"
    text = generator if judged[0]["whole"] else f"{generator} (on {judged[0]['train_rows']:,} rows)"
    numbers = {key: _mean([row["judged"][key] for row in judged]) for key in PLAIN}
    gaps = [row["judged"]["tstr_gap"] for row in judged]
    gap = f"{_mean([one['value'] for one in gaps]):+.4f}"
    if len(gaps) == 1:
        gap += f" ({gaps[0]['low']:+.4f} {gaps[0]['high']:+.4f})"
    private = {key: _mean([row["judged"]["privacy"][key]["value"] for row in judged]) for key in PRIVACY}
    costs = [
        f"{_mean([row['fit_seconds'] for row in judged]):,.1f}"
        + ("*" if any(row.get("stopped_by") == "budget" for row in judged) else ""),
        f"{_mean([row['fit_cpu_seconds'] for row in judged]):,.1f}",
        f"{_mean([row['sample_seconds'] for row in judged]):,.1f}",
        f"{_mean([row['rows_per_second'] for row in judged]):,.0f}",
        f"{max(row['peak_memory_bytes'] for row in judged) / 2**20:,.0f}",
    ]
    augmented = _mean([row["judged"]["augmented"] for row in judged])
    return _line(text, numbers, gap, augmented, private, costs)


def _line(
    text: str,
    numbers: dict[str, float],
    gap: str,
    augmented: float,
    private: dict[str, float],
    costs: list[str],
) -> str:
    cells = [text, *(f"{numbers[key]:.4f}" for key in PLAIN), gap, f"{augmented:.4f}"]
    cells += ["" if np.isnan(private[key]) else f"{private[key]:.4f}" for key in PRIVACY]
    return f"| {' | '.join([*cells, *costs])} |"


def _remarks(rows: list[dict[str, Any]]) -> list[str]:
    found = ["Column shapes say little: known-bad rows have them, too."]
    found += ["\\* the time limit ended the fit at the state it had."] * any(
        row.get("stopped_by") == "budget" for row in rows
    )
    if busy := [row["load"] for row in rows if "load" in row]:
        found.append(
            f"Mean load of the machine meanwhile: {np.mean(busy):.1f} (beyond its cores, fits take longer by the clock "
            "than by CPU seconds)."
        )
    for row in rows:
        if "first_try" in row:
            found.append(
                f"{row['generator']}, seed {row['seed']}: {row['first_try']['status']} on all train rows; "
                f"tried on {row['train_rows']:,} of them."
            )
    return found


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
