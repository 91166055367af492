"""How work spreads over 1, 2 and 4 workers: this machine's processes beside Ray tasks on as many one-processor nodes.

    python benchmarks/ray_scaling.py [TABLE.csv --target COLUMN] [--workers 1 2 4] [--generator gaussian_copula]

Three kinds of work, each with equal pieces: waiting, which no processor limits, so that what is lost is the runner's;
nothing at all, which gives the cost of one piece; and sampling shards of a fitted generator, which the processors of
this machine limit. Ray runs as a head without processors and one node per worker, all on this machine. Workers are
warm: each has made a shard before the clock starts. Prints the seconds of the quickest of some rounds, the speed-up
and the efficiency; of a shard also the processor's own time, which others' work on the machine does not lengthen.
"""

import argparse
import functools
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sample_memory import _run_and_model

from leaven.flows.ray_workers import RayWorkers
from leaven.flows.workers import Workers
from leaven.pipelines.amounts import Order, Plan, Shard, shards
from leaven.pipelines.recipe import Candidate
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.stage import Record

NAP = 0.5  # seconds of a piece that waits
PIECES = 1_000  # that do nothing
DATA = Path(__file__).parent.parent / "data" / "churn.csv"
SMALL_STORE = 80 * 2**20  # bytes of a node's object store: pieces and results are small


def nothing(_: int) -> None:
    pass


@contextmanager
def local(count: int, folder: Path) -> Iterator[Workers]:
    with Workers(count) as workers:
        yield workers


@contextmanager
def on_ray(count: int, folder: Path) -> Iterator[Workers]:
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": SMALL_STORE}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}
    )
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1, **small)
        with RayWorkers(folder, cluster.address) as workers:
            yield workers
    finally:
        cluster.shutdown()


RUNNERS = {"local": local, "ray": on_ray}


def timed(workers: Workers, function: Any, pieces: list[Any]) -> tuple[float, list[Any]]:
    begun = time.monotonic()
    made = workers.map(function, pieces)
    return time.monotonic() - begun, made


def shard_in(
    run: Run, candidate: Candidate, model: Record, plan: Plan, place: tuple[Path, Shard]
) -> tuple[str, float]:
    """A shard in a folder of its own, so that nothing is taken over; its digest and processor seconds."""
    work, shard = place
    begun = time.process_time()
    record = sample(replace(run, work=work), candidate, model, plan, shard, part="scaling")
    return record.files[0].sha256, time.process_time() - begun


def warm(call: Any, place: tuple[Path, Shard]) -> None:
    """Import and load what a shard needs; slow enough that every worker gets one."""
    work, shard = place
    call((work / str(os.getpid()), shard))
    time.sleep(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, nargs="?", default=DATA)
    parser.add_argument("--target", default="churn")
    parser.add_argument("--generator", default="gaussian_copula")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runners", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    parser.add_argument("--naps", type=int, default=40, help=f"pieces of {NAP} seconds")
    parser.add_argument("--rounds", type=int, default=2, help="the quickest counts: others' work disturbs")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--shard-rows", type=int, default=50_000)
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # nodes import what this process can
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} processors, load {load:.1f} before the start (others' work, if above 0)",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, candidate, model = _run_and_model(options.table, options.target, options.generator, folder)
        rows = options.shards * options.shard_rows
        plan = Plan(amount={"rows": rows}, orders=(Order(rows=rows),))
        cut = shards(plan.orders, options.shard_rows)
        print(
            f"{'runner':<6} {'workers':>7} {'work':<9} {'seconds':>8} {'speed-up':>8} {'efficiency':>10}  each"
        )
        first: dict[tuple[str, str], float] = {}
        digests: dict[str, list[str]] = {}
        for runner in options.runners:
            for count in options.workers:
                part = f"{runner}-{count}"
                with RUNNERS[runner](count, folder) as workers:
                    call = functools.partial(shard_in, run, candidate, model, plan)
                    workers.map(
                        functools.partial(warm, call), [(folder / f"{part}-warm", cut[0])] * 2 * count
                    )
                    waited = cost = sampled = math.inf
                    for number in range(options.rounds):
                        waited = min(waited, timed(workers, time.sleep, [NAP] * options.naps)[0])
                        cost = min(cost, timed(workers, nothing, list(range(PIECES)))[0])
                        seconds, made = timed(workers, call, [(folder / f"{part}-{number}", s) for s in cut])
                        sampled = min(sampled, seconds)
                digests[part] = [digest for digest, _ in made]
                each = sum(busy for _, busy in made) / len(made)
                for work, seconds, told in (
                    ("waiting", waited, f"{(waited * count / options.naps - NAP) * 1e3:.1f} ms lost"),
                    ("nothing", cost, f"{cost / PIECES * 1e3:.2f} ms"),
                    ("sampling", sampled, f"{rows / sampled:,.0f} rows/s; {each:.2f} s of a processor"),
                ):
                    once = first.setdefault((runner, work), seconds * count)
                    gain = once / seconds
                    print(
                        f"{runner:<6} {count:>7} {work:<9} {seconds:>8.2f} {gain:>8.2f} {gain / count:>10.0%}  {told}",
                        flush=True,
                    )
        same = all(made == next(iter(digests.values())) for made in digests.values())
        print(f"bytes of the shards: {'equal in all rounds' if same else 'DIFFER'}")
        print(f"load {os.getloadavg()[0]:.1f} at the end")
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
