"""What Prefect costs: the same run with its tasks on a running server, and as plain function calls.

    PREFECT_API_URL=http://127.0.0.1:4200/api python benchmarks/prefect_share.py RECIPE [--pairs 3]

Prints wall seconds of both, in turn, and Prefect's share of the wall time. Without PREFECT_API_URL a temporary
server is started first; its start is not counted.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from leaven.pipelines.recipe_file import load_recipe


@contextlib.contextmanager
def plain() -> Any:
    """`flows.augment` with the functions themselves in place of Prefect's tasks."""
    from leaven.flows import augment, trials
    from leaven.flows.tasks import Stage

    with contextlib.ExitStack() as stack:
        for module in (augment, trials):
            for name, task in list(vars(module).items()):
                if isinstance(task, Stage):
                    stack.enter_context(mock.patch.object(module, name, task.function))
        yield augment.augment.fn


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    from leaven.flows import prefect_setup

    prefect_setup.prepare()
    recipe, folder = load_recipe(options.recipe, [])
    from leaven.flows.augment import augment

    def timed(way: str, store: str) -> float:
        with plain() if way == "plain" else contextlib.nullcontext(augment) as call:
            begun = time.monotonic()
            call(recipe, str(folder), store)
            return time.monotonic() - begun

    with tempfile.TemporaryDirectory() as store:
        timed("prefect", store)  # warms imports and the server up
        reruns = [{way: timed(way, store) for way in ("prefect", "plain")} for _ in range(2 * options.pairs)]
    costs = [pair["prefect"] - pair["plain"] for pair in reruns]
    print(f"a rerun that takes every stage over: Prefect adds {statistics.median(costs):.2f} s", flush=True)
    shares = []
    for _ in range(options.pairs):
        seconds = {}
        for way in ("prefect", "plain"):
            with tempfile.TemporaryDirectory() as store:
                seconds[way] = timed(way, store)
        shares.append(1 - seconds["plain"] / seconds["prefect"])
        print(
            f"with Prefect {seconds['prefect']:.2f} s, plain {seconds['plain']:.2f} s, share {shares[-1]:.1%}; "
            f"by the rerun's cost {statistics.median(costs) / seconds['prefect']:.1%}",
            flush=True,
        )
    print(f"Prefect's share of the wall time: {statistics.median(shares):.1%} (median of {len(shares)})")


if __name__ == "__main__":
    main()
