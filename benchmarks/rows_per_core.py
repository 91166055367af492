"""Rows per second of one processor: sampling, judging by the screens, and what the flow's own machine does with them.

    python benchmarks/rows_per_core.py [TABLE.csv --target COLUMN] [--generators gaussian_copula autoregressive]

Seconds are the processor's own (on one thread), so that others' work on the machine lengthens them little. Generators
are fitted for a few epochs: how well they have learned does not change how fast they sample. The figures of
docs/scale.md are from here.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from sample_memory import recipe

from leaven.flows.workers import limited
from leaven.pipelines.amounts import Order, Plan, shards
from leaven.pipelines.fit import fit
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.screen import screen
from leaven.pipelines.stage import peak_memory

DATA = Path(__file__).parent.parent / "data" / "churn.csv"


def measured(table: Path, target: str, generator: str, count: int, shard_rows: int, folder: Path) -> str:
    asked = recipe(table, target).model_copy(update={"shard_rows": shard_rows})
    source = ingest(asked, folder, folder)
    run, train = Run.start(asked, folder, source, time.time()), [source.path("rows.parquet")]
    candidate = Candidate.model_validate(
        {"generator": generator, **({"epochs": 3} if generator != "gaussian_copula" else {})}
    )
    model = fit(run, candidate, train, part="speed", seconds=600)
    plan = Plan(amount={"rows": count}, orders=(Order(rows=count),))
    first, *cut = shards((Order(rows=count + shard_rows),), shard_rows)
    sample(run, candidate, model, plan, first, part="warm")
    begun = time.process_time()
    records = [sample(run, candidate, model, plan, shard, part="speed") for shard in cut]
    sampling = time.process_time() - begun
    paths = [record.path("rows.parquet") for record in records]
    fitting = judging = 0.0

    def each(judge: Any, shards_of: Any) -> Any:
        nonlocal fitting, judging
        before = time.process_time()
        judge(paths[0])  # the first shard of a process fits the screens
        fitting = time.process_time() - before
        for shard in shards_of:
            before = time.process_time()
            found = judge(shard)
            judging += time.process_time() - before
            yield found

    begun = time.process_time()
    places = {"train": train, "shards": paths, "out": folder / "screened"}
    level = run.recipe.screen.levels()[0]
    screen(run.kind, run.schema, run.task, run.recipe, **places, seed=1, threads=1, level=level, each=each)
    writing = time.process_time() - begun - fitting - judging
    rows = sum(record.rows() for record in records)
    size = sum(file.bytes for record in records for file in record.files) / rows
    return (
        f"{generator:<16} sampling {rows / sampling:>9,.0f} rows/s  judging {rows / judging:>9,.0f}  "
        f"keeping {rows / writing:>9,.0f}  {size:.1f} bytes a row  peak {peak_memory() / 2**20:,.0f} MiB  "
        f"(fitting the screens {fitting:.1f} s)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, nargs="?", default=DATA)
    parser.add_argument("--target", default="churn")
    parser.add_argument("--generators", nargs="+", default=["gaussian_copula", "autoregressive"])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shard-rows", type=int, default=50_000)
    options = parser.parse_args()
    for generator in options.generators:
        with tempfile.TemporaryDirectory() as folder:
            asked = (
                options.table,
                options.target,
                generator,
                options.rows,
                options.shard_rows,
                Path(folder),
            )
            made = limited(1, measured, asked, {})
            print(made, flush=True)


if __name__ == "__main__":
    main()
