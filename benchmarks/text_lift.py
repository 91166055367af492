"""Lift on few texts: what the default recipe's synthetic texts add, learner by learner, cell by cell.

    python benchmarks/text_lift.py --data FOLDER [--cells trec_10 …] [--seeds 10] [--recipe JSON] [--minutes 60]
                                   [--out DIR] [--only-print]

FOLDER holds trec6_cased, sst2 and banking77 as .jsonl.gz. A cell is a dataset cut to so many texts of each class; a
seed draws its texts and everything else anew. `leaven` is what a user ends up with: synthetic texts where the recipe
chose them, else real ones alone. `edits` is the classic way, `unscreened` the same generator's texts as they come,
`translated` those of back-translation by the embedded models as they come.

Seed by seed over all cells, one file for each; what is there under the same settings is not made again. Prints every
cell with its interval (Student's t over seeds; Holm over all cells) and writes DIR/text_lift.txt.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from image_lift import finished, interval
from lift.summary import LEVEL, holm, p_value
from texts.cells import CELLS
from texts.unit import Asked, measure

ARMS = ("real", "duplicates", "edits", "unscreened", "translated", "augmented", "leaven")
GAINS = {"leaven - real": ("leaven", "real"), "always - real": ("augmented", "real"),
         "leaven - edits": ("leaven", "edits"), "leaven - translated": ("leaven", "translated"),
         "always - unscreened": ("augmented", "unscreened")}  # fmt: skip


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure what is missing, until the minutes are over."""
    asked, started = Asked(options.data.resolve(), options.recipe), time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
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
            arms = ", ".join(
                f"{arm} " + "/".join(f"{value:.3f}" for value in of.values())
                for arm, of in record["arms"].items()
            )
            print(
                f"[{(time.monotonic() - started) / 60:.1f} min] {name} seed {seed}: "
                f"chose {record['chosen'] or 'none'}; {arms}",
                flush=True,
            )


def table(records: list[dict[str, Any]]) -> str:
    """Scores of every arm by cell and learner, and the differences that matter with their intervals."""
    by_cell: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        for learner in record["arms"]["real"]:
            arms = {arm: of[learner] for arm, of in record["arms"].items()}
            by_cell[record["cell"], learner].append({**record, "arms": arms})
    gains = {
        name: {
            cell: [r["arms"][one] - r["arms"][other] for r in of if {one, other} <= set(r["arms"])]
            for cell, of in by_cell.items()
        }
        for name, (one, other) in GAINS.items()
    }
    adjusted = {
        name: holm({c: p_value(v) for c, v in of.items() if len(v) > 1}) for name, of in gains.items()
    }
    lines = [
        f"{'cell':<14}{'learner':<9}{'seeds':>5}{'none':>6}" + "".join(f"{arm:>12}" for arm in ARMS)
        + "".join(f"{name:>28}" for name in gains)
    ]  # fmt: skip
    for cell in [
        (name, learner) for name in CELLS for learner in ("tfidf", "minilm") if (name, learner) in by_cell
    ]:
        of = by_cell[cell]
        line = f"{cell[0]:<14}{cell[1]:<9}{len(of):>5}{np.mean([r['chosen'] is None for r in of]):>6.0%}"
        for arm in ARMS:
            values = [record["arms"][arm] for record in of if arm in record["arms"]]
            line += f"{np.mean(values):>12.4f}" if values else f"{'-':>12}"
        for name, gain in gains.items():
            mark = "*" if adjusted[name].get(cell, 1.0) < LEVEL else " "
            line += f"{interval(gain[cell]) if gain[cell] else '-':>27}{mark}"
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
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--recipe", type=json.loads, default={}, help="JSON: what is not default")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no cell after so many")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only-print", action="store_true", help="measure nothing")
    options = parser.parse_args()
    folder = options.out / "text_lift"
    folder.mkdir(parents=True, exist_ok=True)
    if not options.only_print:
        run(options, folder)
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    text = table(records) if records else "nothing is measured yet\n"
    print("\n" + text)
    (options.out / "text_lift.txt").write_text(text)


if __name__ == "__main__":
    main()
