"""What differential privacy costs and what it takes from attacks: the same generator without it and at each epsilon.

    python benchmarks/table_privacy.py DATA --target COL [--test FILE] [--epsilon 1 3 10] [--seeds 1]
        [--max-rows 10000] [--test-rows 5000] [--fit 10m] [--threads 2] [--set key=value ...]

Each fit is attacked as every release is (`quality.privacy`: copies, near copies and membership attacks, each beside
what fresh real rows give), and its rows are compared with real ones: error of pair trends, a detector's AUC, and the
score of a boosted tree that learned from synthetic rows alone. Attacks that fail without privacy show no leak that
privacy could close; they are lower bounds, epsilon is an upper one. Private fits draw secret noise, so a repeat gives
other numbers. What is finished is kept in --results.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers.measure import LEARNER, code_digest
from peers.tables import Table, prepare

import leaven.generators
from leaven.generators.contract import Budget
from leaven.generators.rows import Rows
from leaven.generators.seeds import derive
from leaven.generators.table.autoregressive import Autoregressive
from leaven.pipelines import kinds
from leaven.pipelines.quality import privacy, utility
from leaven.pipelines.quality.controls import Arms, independent_columns
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.quality.fidelity import Pairs, detection
from leaven.pipelines.recipe import seconds
from leaven.pipelines.threads import limited

SHOWN = {
    "epsilon": "epsilon spent",
    "worst_attack": "worst attack",
    "attack_floor": "its floor",
    "attack_noise": "± noise",
    "copies": "copies",
    "near_copies": "near copies",
    "near_copies_floor": "floor",
    "trends": "trend error",
    "detection": "detection",
    "tstr": "TSTR",
    "seconds": "seconds",
}
CONTROLS = ("fresh real rows", "shuffled columns")


def compared(
    table: Table,
    rows: pd.DataFrame,
    real: pd.DataFrame,
    fresh: pd.DataFrame,
    seed: int,
    threads: int,
    taught: pd.DataFrame | None = None,
) -> dict[str, float]:
    """How near rows are to the real ones, and what a learner makes of them, or of the rows `taught`."""
    size = min(len(real), len(fresh), len(rows))
    arms = Arms.draw(real, rows, fresh, seed, size)
    encoder = Encoder.fit(table.schema, arms.reference)
    kind = kinds.get("table")
    with limited(threads, size):
        found = {
            "trends": Pairs(encoder, arms.reference, derive(seed, "pairs")).error(arms.synthetic),
            "detection": detection(table.schema, arms.reference, arms.synthetic, derive(seed, "folds")),
        }
    scores = utility.score_arms(
        kind,
        table.schema,
        table.task,
        arms=[utility.Arm("alone", [rows if taught is None else taught])],
        reference=real,
        score=fresh,
        learners=kind.learners(table.task, [LEARNER]),
        repeats=1,
        seed=derive(seed, "learners"),
        max_rows=2 * len(real),
        threads=threads,
    )
    return found | {"tstr": float(scores.values("alone")[LEARNER].mean())}


def attacked(
    table: Table, rows: pd.DataFrame, real: pd.DataFrame, fresh: pd.DataFrame, seed: int, threads: int
) -> dict[str, Any]:
    """Copies and attacks, each with its floor."""
    with limited(threads, len(real)):
        found = privacy.measure(
            table.schema, table.task, train=real, synthetic=rows, held_out=fresh, seed=seed
        )
    return {
        "worst_attack": found["worst_attack"]["value"],
        "attack_floor": found["worst_attack"]["floor"],
        "attack_noise": found["worst_attack"]["noise"],
        "copies": found["copies"]["value"],
        "near_copies": found["near_copies"]["value"],
        "near_copies_floor": found["near_copies"]["floor"],
        "attacks": {
            name: {key: one[key] for key in ("value", "floor", "ceiling", "noise")}
            for name, one in found.items()
        },
    }


def fitted(
    table: Table, epsilon: float | None, seed: int, options: argparse.Namespace, parameters: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """As many rows as train has, and what the fit took."""
    asked = parameters | ({"privacy": {"epsilon": epsilon}} if epsilon is not None else {})
    generator = Autoregressive(asked)
    start = time.monotonic()
    told = generator.fit(
        Rows(table.train, table.schema), seed=seed, budget=Budget(options.fit), threads=options.threads
    )
    took = time.monotonic() - start
    rows = generator.sample(len(Rows(table.train, table.schema)), seed=derive(seed, "rows"))
    return rows, {
        "seconds": took,
        "steps": told.steps,
        "stopped_by": told.stopped_by,
        "epsilon": told.privacy["epsilon"] if told.privacy else None,
        "spent": told.privacy,
    }


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    """The table: a line per epsilon, means over seeds."""
    print(f"\n{'':<18}" + "".join(f"{name:>14}" for name in SHOWN.values()))
    for label, rows in found.items():
        cells = []
        for key in SHOWN:
            values = [row[key] for row in rows if row.get(key) is not None]
            digits = 1 if key == "seconds" else 2 if key == "epsilon" else 4
            cells.append(f"{np.mean(values):>14.{digits}f}" if values else f"{'–':>14}")
        print(f"{label:<18}" + "".join(cells))


def value(text: str) -> Any:
    """`key=value`'s value: JSON, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="CSV or Parquet file")
    parser.add_argument("--target", required=True)
    parser.add_argument("--test", type=Path, help="official test file; else a third of the rows")
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0, 3.0, 10.0])
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--max-rows", type=int, help="train rows")
    parser.add_argument("--test-rows", type=int, default=5_000, help="at most so many held-out rows")
    parser.add_argument("--fit", type=seconds, default=600.0, help="budget of one fit, such as 60s or 5m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="the generator's parameters"
    )
    parser.add_argument("--work", type=Path, default=Path("benchmarks/results/tables"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/table_privacy.json"))
    options = parser.parse_args()
    parameters = {key: value(text) for key, _, text in (one.partition("=") for one in options.set)}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    done = json.loads(options.results.read_text()) if options.results.exists() else {}
    name = options.data.name.partition(".")[0]
    told = [name, parameters, options.fit, options.threads, options.max_rows, options.test_rows]
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        folder = options.work / f"privacy-{name}-{options.max_rows}-{seed}"
        table = prepare(name, options.data, options.target, options.test, folder, seed, options.max_rows)
        real, fresh = table.frame("train"), table.frame("test")
        if len(fresh) > options.test_rows:
            fresh = fresh.sample(options.test_rows, random_state=seed).reset_index(drop=True)
        asked: dict[str, float | None] = {
            "no privacy": None,
            **{f"epsilon {e:g}": e for e in options.epsilon},
        }
        for label in (*CONTROLS, *asked):
            key = json.dumps([label, seed, *told, code_digest(leaven.generators)])
            if key not in done:
                if label in CONTROLS:
                    first = label == CONTROLS[0]  # a learner scored on fresh rows learns from real ones
                    rows = fresh if first else independent_columns(real, derive(seed, "bad"))
                    row: dict[str, Any] = compared(
                        table, rows, real, fresh, seed, options.threads, real if first else None
                    )
                else:
                    rows, row = fitted(table, asked[label], seed, options, parameters)
                    row |= attacked(table, rows, real, fresh, seed, options.threads)
                    row |= compared(table, rows, real, fresh, seed, options.threads)
                done[key] = row
                options.results.write_text(json.dumps(done, indent=1))
            found.setdefault(label, []).append(done[key])
            print(
                label,
                seed,
                {k: round(v, 4) for k, v in done[key].items() if isinstance(v, float)},
                flush=True,
            )
    show(found)


if __name__ == "__main__":
    main()
