"""Learning curves of lift: what the default recipe, single generators and the classic ways add to few real rows.

    python benchmarks/table_lift.py --data FOLDER [--datasets adult …] [--cells n_50 minority_10 …] [--seeds 10]
                                    [--arms controls leaven smote …] [--slow ctgan mostlyai_engine …] [--slow-seeds 3]
                                    [--workers 2] [--minutes 50] [--out DIR] [--only-print]

FOLDER holds adult_train, adult_test, shoppers, mammography, german_credit and phoneme as .csv.gz. A cell is a table
cut to n rows, or to so many rows of its minority; a seed draws its rows, the test rows, the generators and the
learners anew. Arms: `controls` are real rows twice and the classic ways; `leaven` is the default recipe, choosing as
the pipeline does, `none` included; a generator's name is that generator always used, at each of the default amounts,
with the least of the default screens; peers from environments of their own (benchmarks/peers/venvs.py) as they come,
as many rows as real ones. Lift is the score on test rows minus that of the real rows alone under the same seeds.

Seed by seed over all cells, so that what is there after a stop is a benchmark with fewer seeds; the slow generators
come last. One file for each cell and seed under DIR/table_lift; what is there and was made by the same code is not
made again. Prints the table and writes DIR/table_lift.json, .txt and .png.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from lift import cells, stages, unit
from lift.cells import CELLS, DATASETS, NotRun

SLOW = ("ctgan", "tvae", "copula_gan")


class Job(NamedTuple):
    """One cell under one seed, with a group of arms that share a file."""

    dataset: str
    cell: str
    seed: int
    group: str
    arms: tuple[str, ...]

    def path(self, folder: Path) -> Path:
        return folder / f"{self.dataset}-{self.cell}-{self.seed}-{self.group}.json"


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """All cells under seed 0, then under seed 1 and so on; slow generators after that, each in a file of its own."""
    names = [(dataset, cell) for dataset in options.datasets for cell in options.cells]
    for seed in range(options.seeds):
        yield from (Job(dataset, cell, seed, "quick", tuple(options.arms)) for dataset, cell in names)
    for seed in range(min(options.slow_seeds, options.seeds)):
        for slow in options.slow:
            yield from (Job(dataset, cell, seed, slow, (slow,)) for dataset, cell in names)


def finished(path: Path, arms: Sequence[str], settings: dict[str, Any]) -> bool:
    """Whether the file holds these arms, made by this code with these settings."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return (record["code"], record["asked"], record["settings"]) == (stages.code(), list(arms), settings)


def one(job: Job, asked: unit.Asked, folder: Path) -> tuple[Job, str]:
    """Measure a job and write its file; a short text on how it went. Runs in a worker process."""
    try:
        record = unit.measure(asked, DATASETS[job.dataset], job.cell, job.seed, job.arms)
    except NotRun as reason:
        return job, f"not run: {reason}"
    record["asked"] = list(job.arms)
    part = job.path(folder).with_suffix(f".part-{os.getpid()}")
    part.write_text(json.dumps(record, indent=1))
    part.replace(job.path(folder))
    told = record["leaven"]
    return job, f"{record['seconds']['all']:.0f} s" + (f", chose {told['chosen'] or 'none'}" if told else "")


def limit_threads() -> None:
    """One thread for a worker: its cells run beside others'."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure what is missing, until the minutes are over."""
    asked = unit.Asked(
        options.data.resolve(),
        options.repeats,
        options.fit,
        options.venvs.resolve(),
        options.recipe,
        options.majority,
    )
    todo = [job for job in jobs(options) if not finished(job.path(folder), job.arms, asked.settings)]
    for job in list(todo):
        if reason := not_run(asked.data, job.dataset, job.cell):
            todo.remove(job)
            if job.seed == 0 and job.group == "quick":
                print(f"{job.dataset} {job.cell}: not run: {reason}", flush=True)
    started, left, done = time.monotonic(), iter(todo), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context, initializer=limit_threads) as pool:
        running = {
            pool.submit(one, job, asked, folder): job for job in itertools.islice(left, options.workers)
        }
        while running:
            future = next(as_completed(running))
            job = running.pop(future)
            done += 1
            try:
                _, said = future.result()
            except Exception as error:  # one cell must not end the others; it is tried again by the next call
                said = f"failed: {type(error).__name__}: {error}"
            minutes = (time.monotonic() - started) / 60
            name = f"{job.dataset} {job.cell} seed {job.seed} {job.group}"
            print(f"[{done}/{len(todo)}, {minutes:.1f} min] {name}: {said}", flush=True)
            if minutes < options.minutes and (job := next(left, None)) is not None:
                running[pool.submit(one, job, asked, folder)] = job


def not_run(data: Path, dataset: str, cell: str) -> str:
    """Why a cell is not run, or nothing."""
    try:
        of = DATASETS[dataset]
        cells.sizes(cell, cells.load(data, of.file)[of.target].value_counts().to_dict())
    except NotRun as reason:
        return str(reason)
    return ""


def records(folder: Path, any_code: bool) -> tuple[list[dict[str, Any]], int]:
    """Those of this code (or of any), and how many of other code were left out."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    own = [record for record in found if any_code or record["code"] == stages.code()]
    return own, len(found) - len(own)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--cells", nargs="+", default=list(CELLS))
    parser.add_argument("--seeds", type=int, default=10)
    quick = [name for name in unit.generators() if name not in SLOW]
    parser.add_argument("--arms", nargs="+", default=[unit.CONTROLS, unit.DEFAULT, *quick])
    parser.add_argument("--slow", nargs="*", default=["ctgan", "tvae"], help="generators with fewer seeds")
    parser.add_argument("--slow-seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=1, help="seeds of a random learner on test rows")
    parser.add_argument("--recipe", type=json.loads, default={}, help="JSON: what is not default")
    parser.add_argument("--venvs", type=Path, default=unit.Asked.venvs, help="environments of peers")
    parser.add_argument(
        "--majority", type=int, default=cells.MAJORITY, help="rows beside few of the minority"
    )
    parser.add_argument("--fit", type=float, default=60.0, help="seconds that a fit may take")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no cell after so many")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only-print", action="store_true", help="measure nothing")
    parser.add_argument("--any-code", action="store_true", help="print also what other code has made")
    options = parser.parse_args()
    folder = options.out / "table_lift"
    folder.mkdir(parents=True, exist_ok=True)
    if not options.only_print:
        run(options, folder)
    found, others = records(folder, options.any_code)
    from lift import picture, summary, tables

    missing = {
        (dataset, cell): reason
        for dataset in options.datasets
        for cell in options.cells
        if (reason := not_run(options.data.resolve(), dataset, cell))
    }
    result = summary.summary(found, missing)
    text = tables.text(result)
    if others:
        text += f"\n{others} files made by other code are left out (--any-code takes them)\n"
    print("\n" + text)
    (options.out / "table_lift.json").write_text(json.dumps(result, indent=1))
    (options.out / "table_lift.txt").write_text(text)
    picture.draw(result, options.out / "table_lift.png")


if __name__ == "__main__":
    main()
