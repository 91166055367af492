"""What Prefect costs: the same run with its tasks on a running server, and as plain function calls.

    PREFECT_API_URL=http://127.0.0.1:4200/api python benchmarks/prefect_share.py [RECIPE] [--shards 1 100 1000]
        [--shard-rows 100] [--pairs 3]

The recipe (a table of 400 train rows with SMOTE, unless one is given) is run with as many shards for each drawing of
rows as asked. Prints how many tasks Prefect saw, wall seconds of both ways, in turn, and Prefect's share of the wall
time. Without PREFECT_API_URL a temporary server is started first; its start is not counted.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import tiny

from leaven.pipelines.recipe_file import load_recipe


@contextlib.contextmanager
def plain(counted: list[str]) -> Any:
    """`flows.augment` with the functions themselves in place of Prefect's tasks; notes each that would be one."""
    from leaven.flows import augment, trials
    from leaven.flows.tasks import Stage

    def noting(stage: Stage) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            counted.append(stage.function.__name__)
            return stage.function(*args, **options)

        return call

    with contextlib.ExitStack() as stack:
        for module in (augment, trials):
            for name, task in list(vars(module).items()):
                if isinstance(task, Stage):
                    stack.enter_context(mock.patch.object(module, name, noting(task)))
        yield augment.augment.fn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path, nargs="?")
    parser.add_argument("--shards", type=int, nargs="+", default=[1])
    parser.add_argument("--shard-rows", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    from leaven.flows import prefect_setup

    prefect_setup.prepare()
    from leaven.flows.augment import augment

    with tempfile.TemporaryDirectory() as made:
        path = options.recipe or tiny.write("table", Path(made))

        def timed(way: str, shards: int, tasks: list[str]) -> float:
            rows = f"{{rows: {shards * options.shard_rows}}}"
            recipe, folder = load_recipe(path, [f"amount={rows}", f"shard_rows={options.shard_rows}"])
            with tempfile.TemporaryDirectory() as store:
                call = plain(tasks) if way == "plain" else contextlib.nullcontext(augment)
                with call as flow:
                    begun = time.monotonic()
                    flow(recipe, str(folder), store)
                    return time.monotonic() - begun

        timed("prefect", 1, [])  # warms imports and the server up
        for shards in options.shards:
            pairs = []
            for number in range(options.pairs):
                tasks: list[str] = []
                order = ("prefect", "plain") if number % 2 else ("plain", "prefect")
                seconds = {way: timed(way, shards, tasks) for way in order}
                pairs.append(seconds)
                added = seconds["prefect"] - seconds["plain"]
                print(
                    f"{shards} shards of {options.shard_rows:,} rows, {len(tasks)} tasks "
                    f"({tasks.count('sample_in')} of them shards): with Prefect {seconds['prefect']:.2f} s, "
                    f"plain {seconds['plain']:.2f} s, {added / len(tasks) * 1000:.0f} ms a task, "
                    f"share {added / seconds['prefect']:.1%}",
                    flush=True,
                )
            share = statistics.median(1 - pair["plain"] / pair["prefect"] for pair in pairs)
            print(f"{shards} shards: Prefect's share {share:.1%} (median of {len(pairs)})", flush=True)


if __name__ == "__main__":
    main()
