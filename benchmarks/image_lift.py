"""Lift on few images: what the recipe's synthetic images add to the best classic augmentation, cell by cell.

    python benchmarks/image_lift.py --data FOLDER [--cells fashion_10 …] [--seeds 5] [--repeats 2] [--recipe JSON]
                                    [--minutes 60] [--out DIR] [--only-print]

FOLDER holds fashion_mnist, magnetic_tile_64 and cifar10_lossless_4k as .npz. A cell is a dataset cut to so many images
of each class; a seed draws its images, the test images, the generators and the classifiers anew. `leaven` is what a
user ends up with: classic augmentation and synthetic images where the recipe chose them, else classic alone.

Seed by seed over all cells, one file for each; what is there under the same settings is not made again. Prints every
cell with its interval (Student's t over seeds) and writes DIR/image_lift.txt.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from images.cells import CELLS
from images.unit import Asked, measure
from lift.summary import LEVEL, holm, p_value

ARMS = ("real", "classic", "synthetic_only", "augmented", "classic_augmented", "leaven")


def finished(path: Path, settings: dict[str, Any]) -> bool:
    """Whether the file was made with these settings."""
    try:
        return bool(json.loads(path.read_text())["settings"] == settings)
    except (OSError, ValueError, KeyError):
        return False


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure what is missing, until the minutes are over."""
    asked, started = Asked(options.data.resolve(), options.repeats, options.recipe), time.monotonic()
    for seed in range(options.seeds):
        for name in options.cells:
            path = folder / f"{name}-{seed}.json"
            if finished(path, asked.settings):
                continue
            if time.monotonic() - started > 60 * options.minutes:
                return
            record = measure(asked, CELLS[name], seed)
            part = path.with_suffix(f".part-{os.getpid()}")
            part.write_text(json.dumps(record, indent=1))
            part.replace(path)
            arms = ", ".join(f"{arm} {value:.4f}" for arm, value in record["arms"].items())
            print(
                f"[{(time.monotonic() - started) / 60:.1f} min] {name} seed {seed}: "
                f"chose {record['chosen'] or 'none'}; {arms}",
                flush=True,
            )


def interval(values: list[float]) -> str:
    """Mean with its 95 % interval, in hundredths."""
    from scipy import stats

    mean = 100 * float(np.mean(values))
    if len(values) < 2:
        return f"{mean:+.2f}"
    half = 100 * float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean:+.2f} ({mean - half:+.2f} to {mean + half:+.2f})"


def table(records: list[dict[str, Any]]) -> str:
    """Scores of every arm, and the differences that matter with their intervals; Holm over cells."""
    by_cell: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_cell[record["cell"]].append(record)
    gains = {
        name: {
            cell: [r["arms"][arm] - r["arms"]["classic"] for r in of if arm in r["arms"]]
            for cell, of in by_cell.items()
        }
        for name, arm in (("leaven - classic", "leaven"), ("always - classic", "classic_augmented"))
    }
    lines = [
        f"{'cell':<12}{'metric':<10}{'seeds':>6}{'none':>6}" + "".join(f"{arm:>19}" for arm in ARMS)
        + "".join(f"{name:>30}" for name in gains)
    ]  # fmt: skip
    adjusted = {
        name: holm({c: p_value(v) for c, v in of.items() if len(v) > 1}) for name, of in gains.items()
    }
    for cell in [name for name in CELLS if name in by_cell]:
        of = by_cell[cell]
        none = np.mean([record["chosen"] is None for record in of])
        line = f"{cell:<12}{of[0]['metric']:<10}{len(of):>6}{none:>6.0%}"
        for arm in ARMS:
            values = [record["arms"][arm] for record in of if arm in record["arms"]]
            line += f"{np.mean(values):>19.4f}" if values else f"{'-':>19}"
        for name, gain in gains.items():
            mark = "*" if adjusted[name].get(cell, 1.0) < LEVEL else " "
            line += f"{interval(gain[cell]) if gain[cell] else '-':>29}{mark}"
        lines.append(line)
    share = np.mean([record["chosen"] is None for record in records])
    means = {name: [float(np.mean(v)) for v in of.values() if v] for name, of in gains.items()}
    lines.append(
        "mean over cells, in hundredths: "
        + ", ".join(f"{name} {100 * float(np.mean(values)):+.2f}" for name, values in means.items() if values)
        + f"; none chosen in {share:.0%} of {len(records)} runs; * p < {LEVEL} after Holm"
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2, help="seeds of the classifier on test images")
    parser.add_argument("--recipe", type=json.loads, default={}, help="JSON: what is not default")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no cell after so many")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only-print", action="store_true", help="measure nothing")
    options = parser.parse_args()
    folder = options.out / "image_lift"
    folder.mkdir(parents=True, exist_ok=True)
    if not options.only_print:
        run(options, folder)
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    text = table(records) if records else "nothing is measured yet\n"
    print("\n" + text)
    (options.out / "image_lift.txt").write_text(text)


if __name__ == "__main__":
    main()
