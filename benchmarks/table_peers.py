"""Ours, its peers and the controls side by side on real tables: quality against floor and ceiling, seconds, memory.

    python benchmarks/table_peers.py --data FOLDER --venvs FOLDER [--cells adult shoppers] [--seeds 1] [--limit 300s]
        [--ours autoregressive] [--peers mostlyai_engine arf ...] [--threads 2] [--max-rows 2000] [--against test]
    python benchmarks/table_peers.py --table FILE.csv --target COLUMN [--test FILE.csv] --venvs FOLDER

Each fit runs in a process of its own, with a peer's own default settings and one time limit for fitting and another
as long for sampling. Who can be told the limit ends by itself (ours, SDV's networks, MOSTLY AI's engine); others are
ended, and then tried once more on a random few of the train rows, which the table says. Peers that Leaven does not
need get an environment of their own in --venvs, made the first time. Where there is no official test file, a third of
the rows is drawn for it. Rows are compared with train rows, as the pipeline's report does, and fresh ones are the
floor; `--against test` turns this round, so that nothing is won by repeating what was learned. Finished fits are kept
per table, generator and seed. Prints Markdown and writes benchmarks/results/table_peers.json.
"""

import argparse
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from peers.child import Asked, Outcome, fitted
from peers.measure import Judge
from peers.show import show
from peers.tables import KNOWN, Table, known, prepare
from peers.venvs import PEERS, python_of

from leaven.generators import catalog
from leaven.generators.errors import InputError
from leaven.generators.rows import to_arrow
from leaven.generators.seeds import derive
from leaven.pipelines.recipe import seconds

CONTROLS = ("bootstrap", "independent_columns")
SHELF = ("smote", "gaussian_copula", "tvae", "ctgan", "copula_gan")
GRACE = 60.0  # seconds beyond the limit for those that end by themselves


def asked_for(generator: str, seed: int, options: argparse.Namespace) -> Asked:
    """How a generator is run: in Leaven's environment or in its own.

    Raises:
        InputError: neither the catalog nor the peers have it.
        subprocess.CalledProcessError: its environment could not be made.
    """
    if generator in PEERS:
        peer = PEERS[generator]
        python = python_of(generator, options.venvs)
        grace = GRACE if peer.told else 0.0
        return Asked(
            generator, seed, options.limit, options.threads, python=python, worker=peer.worker, grace=grace
        )
    catalog.entry(generator, "table")
    return Asked(generator, seed, options.limit, options.threads, grace=GRACE)


def few(table: Table, rows: int, seed: int, folder: Path) -> Table:
    """The table with `rows` of its train rows; what it is judged against stays as it is."""
    path = folder / f"few-{rows}-{seed}.parquet"
    if not path.exists():
        frame = table.frame("train")
        order = np.random.default_rng(derive("few", seed)).permutation(len(frame))[:rows]
        frame = frame.iloc[np.sort(order)].reset_index(drop=True)
        pq.write_table(to_arrow(frame, table.schema), path)
    return replace(table, train=path)


def run(
    generator: str, table: Table, judge: Judge, folder: Path, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """One generator on one table: the row of results. A fit that failed is a row that says why."""
    try:
        asked = asked_for(generator, seed, options)
    except (InputError, subprocess.CalledProcessError) as error:
        return {"generator": generator, "seed": seed, "status": f"not run: {error}"}
    outcome: Outcome = fitted(table, asked, judge.rows)
    row: dict[str, Any] = {"generator": generator, "seed": seed, "status": outcome.status}
    train_rows = pq.read_metadata(table.train).num_rows
    rows = train_rows
    less = PEERS[generator].fewer if generator in PEERS else None
    if outcome.status.startswith("over the limit") and less and less < rows:
        row["first_try"], rows = {"status": outcome.status, **outcome.numbers}, less
        outcome = fitted(few(table, rows, seed, folder), asked, judge.rows)
    row |= {"status": outcome.status, "train_rows": rows, "whole": rows == train_rows, **outcome.numbers}
    if outcome.synthetic is not None:
        row["judged"] = judge.judge(outcome.synthetic)
    row["load"] = os.getloadavg()[0]
    return row


def tables(options: argparse.Namespace, seed: int) -> list[tuple[Table, Path]]:
    """The tables asked for, each with its folder."""
    size = f"-{options.max_rows}" if options.max_rows else ""
    if options.table:
        folder = options.work / f"{options.table.name.split('.')[0]}{size}-{seed}"
        name = options.table.name.split(".")[0]
        table = prepare(name, options.table, options.target, options.test, folder, seed, options.max_rows)
        return [(table, folder)]
    found = []
    for cell in options.cells:
        folder = options.work / f"{cell}{size}-{seed}"
        found.append((known(cell, options.data, folder, seed, options.max_rows), folder))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the known tables")
    parser.add_argument("--cells", nargs="+", default=["adult", "shoppers"], choices=list(KNOWN))
    parser.add_argument("--table", type=Path, help="a table of your own instead")
    parser.add_argument("--target", help="its label column")
    parser.add_argument("--test", type=Path, help="its official test file")
    parser.add_argument("--ours", nargs="*", default=["autoregressive"])
    parser.add_argument("--shelf", nargs="*", default=list(SHELF), help="of the catalog, beside ours")
    parser.add_argument("--peers", nargs="*", default=[name for name, peer in PEERS.items() if peer.default])
    parser.add_argument("--venvs", type=Path, default=Path("benchmarks/results/venvs"))
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--limit", type=seconds, default=300.0, help="of a fit, such as 300s or 5m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-rows", type=int, help="train rows, for a quick try")
    parser.add_argument("--against", choices=["train", "test"], default="train", help="rows to compare with")
    parser.add_argument("--work", type=Path, default=Path("benchmarks/results/tables"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/table_peers.json"))
    options = parser.parse_args()
    if bool(options.table) != bool(options.target) or not (options.table or options.data):
        parser.error("give --data with --cells, or --table with --target")

    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = json.loads(options.out.read_text()) if options.out.exists() else {}
    ours = []
    for name in options.ours:
        if name in catalog.names("table"):
            ours.append(name)
        else:
            print(f"{name}: is not in the catalog, so it is left out")
    generators = [*CONTROLS, *ours, *options.peers, *options.shelf]
    found: dict[str, dict[str, Any]] = {}
    for seed in range(options.seeds):
        for table, folder in tables(options, seed):
            judge = Judge(table, seed, options.threads, options.against)
            controls = judge.controls(folder)
            cell = found.setdefault(
                table.name,
                {
                    "metric": table.task.metric,
                    "train": len(judge.train),
                    "test": len(judge.test),
                    "limit": options.limit,
                    "threads": options.threads,
                    "against": options.against,
                    "controls": [],
                    "rows": [],
                },
            )
            cell["controls"].append(controls)
            for generator in generators:
                settings = [len(judge.train), options.limit, options.threads, options.against]
                key = json.dumps([table.name, generator, seed, *settings])
                if key not in done:
                    row = run(generator, table, judge, folder, seed, options)
                    print(f"{table.name}, seed {seed}: {generator}: {row['status']}", flush=True)
                    done[key] = row
                    if not row["status"].startswith(("not run", "failed")):
                        options.out.write_text(json.dumps(done, indent=1))
                cell["rows"].append(done[key])
    for name, cell in found.items():
        print(f"\n{show(name, cell)}", flush=True)


if __name__ == "__main__":
    main()
