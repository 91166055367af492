"""What matters in the autoregressive generator: one setting changed at a time, a line each.

    python benchmarks/table_ablation.py --data FOLDER [--cell shoppers] [--seeds 1] [--fit 120s] [--only bins order …]

Options and kept results as for table_targets.py. Prints the held-out loss (nats a row; not comparable between
numbers of bins), what the targets name, and how much worse than the default each setting is.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from peers.measure import code_digest
from peers.tables import KNOWN
from table_targets import measure, numbers

import leaven.generators
from leaven.pipelines.recipe import seconds

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "default": [{}],
    "bins": [{"bins": 32}, {"bins": 512}],
    "order": [{"fixed_order": 0.0}, {"fixed_order": 1.0}],
    "blind": [{"blind": 0.0}],
    "width": [{"hidden": 64}, {"hidden": 512}, {"blocks": 2}],
    "early stopping": [{"patience": 1000, "epochs": 60}],
    "length": [{"epochs": 10}],
    "regularisation": [{"dropout": 0.1}, {"weight_decay": 1.0}],
    "target": [{"target_weight": 1}, {"target_weight": 5}],
    "precision": [{"precision": "fp32"}],
}
SHOWN = (
    "fit seconds",
    "trend error / floor",
    "detection AUC",
    "TSTR gap to real",
    "coverage / real's",
    "worst attack over floor",
    "rows per second",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cell", default="shoppers", choices=list(KNOWN))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--fit", type=seconds, default=120.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--against", choices=["train", "test"], default="test")
    parser.add_argument("--max-rows", type=int)
    parser.add_argument("--work", type=Path, default=Path("benchmarks/results/tables"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/table_ablation.json"))
    options = parser.parse_args()
    options.generator = "autoregressive"
    options.results.parent.mkdir(parents=True, exist_ok=True)
    done = json.loads(options.results.read_text()) if options.results.exists() else {}
    print(
        f"{'setting':<32} {'held out':>9} " + " ".join(f"{name.split(' / ')[0][:13]:>13}" for name in SHOWN)
    )
    for group in options.only:
        for setting in SETTINGS[group]:
            rows = []
            for seed in range(options.seeds):
                told = [options.cell, seed, setting, options.fit, options.threads, options.max_rows]
                key = json.dumps([*told, options.against, code_digest(leaven.generators)])
                if key not in done:
                    done[key] = measure(options.cell, seed, setting, options)
                    options.results.write_text(json.dumps(done, indent=1))
                rows.append(done[key])
            print(line(group, setting, rows), flush=True)


def line(group: str, setting: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """A setting's means over seeds."""
    name = " ".join(f"{key}={value}" for key, value in setting.items()) or group
    kept = [row for row in rows if "judged" in row]
    if not kept:
        return f"{name:<32} {rows[0]['status']}"
    found = [numbers(row) for row in kept]
    losses = [row["outcome"].get("held_out") for row in kept]
    held = f"{np.mean(losses):>9.3f}" if all(loss is not None for loss in losses) else f"{'-':>9}"
    shown = " ".join(f"{np.mean([one[key] for one in found]):>13.4g}" for key in SHOWN)
    return f"{name:<32} {held} {shown}"


if __name__ == "__main__":
    main()
