"""Peak memory of sampling few and many rows from one fitted generator: it should be about equal.

    python benchmarks/sample_memory.py TABLE.csv --target COLUMN [--rows 100000 5000000] [--generator gaussian_copula]

Each amount is sampled and written shard by shard in a process of its own, whose largest resident size is printed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from leaven.pipelines.recipe import Candidate, Recipe


def recipe(table: Path, target: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "memory",
            "source": {"kind": "table", "path": str(table.resolve())},
            "task": {"target": target},
        }
    )


def fitted(table: Path, target: str, generator: str, folder: Path) -> None:
    """Fit once; the record is what each amount samples from."""
    _run_and_model(table, target, generator, folder)


def _run_and_model(table: Path, target: str, generator: str, folder: Path):  # type: ignore[no-untyped-def]
    from leaven.pipelines.fit import fit
    from leaven.pipelines.ingest import ingest
    from leaven.pipelines.run import Run

    asked = recipe(table, target)
    source = ingest(asked, folder, folder / "work")
    run = Run.start(asked, folder / "work", source, time.time())
    candidate = Candidate(generator=generator)
    return run, candidate, fit(run, candidate, [source.path("rows.parquet")], part="memory", seconds=600)


def sampled(table: Path, target: str, generator: str, folder: Path, rows: int) -> dict[str, float]:
    """Sample `rows` rows shard by shard, as a run does, and tell seconds and peak memory of this process."""
    from leaven.pipelines.amounts import Order, Plan, shards
    from leaven.pipelines.sample import sample

    run, candidate, model = _run_and_model(table, target, generator, folder)
    plan = Plan(amount={"rows": rows}, orders=(Order(rows=rows),))
    begun = time.monotonic()
    written = 0
    for shard in shards(plan.orders, run.recipe.shard_rows):
        record = sample(run, candidate, model, plan, shard, part="memory")
        written += record.rows("rows.parquet")
        record.path(
            "rows.parquet"
        ).unlink()  # only memory is measured here: the disk need not hold 5 million rows
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "rows": written,
        "seconds": round(seconds, 1),
        "rows_per_second": written / seconds,
        "peak_bytes": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 5_000_000])
    parser.add_argument("--generator", default="gaussian_copula")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:  # one amount, in this process
        print(
            json.dumps(
                sampled(options.table, options.target, options.generator, options.folder, options.rows[0])
            )
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        fitted(options.table, options.target, options.generator, Path(folder))
        found = []
        for rows in options.rows:
            command = [sys.executable, __file__, str(options.table), "--target", options.target]
            command += ["--generator", options.generator, "--rows", str(rows), "--folder", folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            print(
                f"{found[-1]['rows']:>12,} rows  {found[-1]['seconds']:>8.1f} s  "
                f"{found[-1]['rows_per_second']:>9,.0f} rows/s  peak {found[-1]['peak_bytes'] / 2**20:,.0f} MiB",
                flush=True,
            )
        print(f"peak memory, last against first: {found[-1]['peak_bytes'] / found[0]['peak_bytes']:.3f}")


if __name__ == "__main__":
    main()
