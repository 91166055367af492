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
from unittest import mock

from sample_memory import recipe

from leaven.flows.workers import limited
from leaven.pipelines import screen as screens
from leaven.pipelines.amounts import Order, Plan, shards
from leaven.pipelines.fit import fit
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.stage import peak_memory
from leaven.pipelines.synthesize import synthesize

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
    judging = 0.0

    def each(function, arguments):  # type: ignore[no-untyped-def]
        nonlocal judging
        function(records[0].path("rows.parquet"))  # fits the screens
        for argument in arguments:
            before = time.process_time()
            found = function(argument)
            judging += time.process_time() - before
            yield found

    begun = time.process_time()
    with mock.patch.object(screens, "_last", {}):
        synthesize(
            run, candidate, model, plan, train, part="speed", sample_shards=lambda _: records, each=each
        )
    total = time.process_time() - begun
    rows = sum(record.rows() for record in records)
    size = sum(file.bytes for record in records for file in record.files) / rows
    return (
        f"{generator:<16} sampling {rows / sampling:>9,.0f} rows/s  judging {rows / judging:>9,.0f} rows/s  "
        f"{size:.1f} bytes a row  peak {peak_memory() / 2**20:,.0f} MiB  ({total:.1f} s of screening in all)"
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
            made = limited(
                1,
                measured,
                (
                    options.table,
                    options.target,
                    generator,
                    options.rows,
                    options.shard_rows,
                    Path(folder),
                ),
                {},
            )
            print(made, flush=True)


if __name__ == "__main__":
    main()
