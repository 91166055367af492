"""Kill runs of all kinds in all stages, with SIGKILL and SIGTERM, rerun them, and compare with undisturbed ones.

    python benchmarks/faults.py [--random 24] [--seed 0] [--kinds table image text] [--stages ingest fit ...]

For each kind: one kill in each stage (at a random moment after it has begun), and kills at random moments of the
whole run. A reader looks at the store all the time, and counts whatever is not whole. Kills that stand in the
results already are not repeated. Prints a row for each stage that was hit.
"""

import argparse
import json
import random
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import tiny
from kill_and_resume import data_files, finish, stages, start

from leaven.generators.errors import LeavenError
from leaven.pipelines.store import Store

STAGES = ("ingest", "split", "fit", "sample", "screen", "baseline", "assess", "certify", "release")
WAIT_SECONDS = 120.0


class Reader(threading.Thread):
    """Looks at all versions and at `latest`, again and again; every file of them must be what its manifest says."""

    def __init__(self, store: Path, name: str):
        super().__init__(daemon=True)
        self.store, self.dataset = Store(store), name
        self.looks, self.seen = 0, set[str]()
        self.broken: list[str] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                versions = self.store.versions(self.dataset)
                found = [self.store.get(self.dataset, version) for version in versions]
                if self.store.latest(self.dataset) is not None:
                    found.append(self.store.find(self.dataset))
                for version in found:
                    if version.manifest["version"] != version.id or version.altered() or not version.report:
                        self.broken.append(version.id)
                self.seen.update(versions)
            except LeavenError as error:
                self.broken.append(str(error))
            self.looks += 1
            self._over.wait(0.02)

    def end(self) -> None:
        """Look once more, and no more."""
        self._over.set()
        self.join()


def hit(store: Path, name: str) -> str:
    """The stage that is at work now."""
    if list((store / name / "versions").glob(".draft-*")):
        return "release"
    making = sorted((store / name / ".work").glob(".making-*"), key=lambda path: path.name)
    if making:
        return making[-1].name.removeprefix(".making-").partition("-")[0]
    return "between stages" if stages(store / name / ".work") else "start"


def await_stage(process: Any, store: Path, name: str, stage: str) -> bool:
    """Return once a stage is at work; false if the run ended before."""
    until = time.monotonic() + WAIT_SECONDS
    while hit(store, name) != stage:
        if process.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def content(store: Path, name: str) -> str:
    """What the newest version's manifest says of its rows, recipe, verdict and measured numbers."""
    found = Store(store)
    return str(found.get(name, found.versions(name)[-1]).manifest["content"])


def rows(store: Path, name: str) -> int:
    """Rows of all Parquet files of the newest version, those set aside too."""
    found = Store(store)
    version = found.get(name, found.versions(name)[-1])
    return sum(file.rows or 0 for file in version.files.values())


def strike(kind: str, place: Path, case: dict[str, Any]) -> dict[str, Any]:
    """One kill and the rerun after it, in a store that holds an earlier version."""
    chance = random.Random(f"{case['seed']}-{kind}-{case['case']}")
    store = place / "struck"
    shutil.copytree(place / "before", store)
    reader = Reader(store, kind)
    reader.start()
    process = start(place / f"{kind}.yaml", store, environment=tiny.environment())
    if case["aim"] == "any":
        time.sleep(chance.uniform(0.02, 0.98) * case["seconds"])
    elif await_stage(process, store, kind, case["aim"]):
        time.sleep(chance.uniform(0.0, 0.05))
    stage, ended = hit(store, kind), process.poll() is not None
    how = signal.SIGTERM if chance.random() < 0.25 else signal.SIGKILL
    process.send_signal(how)
    output, _ = process.communicate()
    finished = len(stages(store / kind / ".work"))
    seconds = finish(place / f"{kind}.yaml", store, environment=tiny.environment())
    reader.end()
    whole = place / "whole"
    row = case | {
        "kind": kind,
        "stage": "ended before" if ended else stage,
        "signal": how.name,
        "exit": process.returncode,
        "said": output.splitlines()[-1] if output else "",
        "traceback": "Traceback" in output,
        "stages_finished": finished,
        "rerun_seconds": round(seconds, 1),
        "looks": reader.looks,
        "half_visible": len(reader.broken),
        "broken": reader.broken[:3],
        "rows_lost": rows(whole, kind) - rows(store, kind),
        "equal": data_files(store, kind) == data_files(whole, kind)
        and content(store, kind) == content(whole, kind),
        "left_over": len([*store.rglob(".making-*"), *store.rglob(".draft-*")]),
        "latest_equal": released(store, kind) == released(whole, kind),
    }
    shutil.rmtree(store)
    return row


def released(store: Path, name: str) -> bool:
    """Whether readers get the newest version."""
    found = Store(store)
    return found.latest(name) == found.versions(name)[-1]


def prepare(kind: str, place: Path) -> float:
    """Data and recipe, a store with an earlier version, and an undisturbed run on top of it; its seconds."""
    recipe = tiny.write(kind, place)
    finish(recipe, place / "before", "--set", "split.seed=8", environment=tiny.environment())
    shutil.rmtree(place / "before" / kind / ".work")  # else the same source is not read again
    shutil.copytree(place / "before", place / "whole")
    return finish(recipe, place / "whole", environment=tiny.environment())


def table(done: list[dict[str, Any]]) -> str:
    """A row for each stage and signal, and one for all."""
    lines = [
        "| stage hit | kinds | SIGKILL | SIGTERM | looks of the reader | rows lost | half-visible | digest equal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = ("start", *STAGES, "between stages", "ended before")
    groups = [(stage, [row for row in done if row["stage"] == stage]) for stage in order]
    others = sorted({row["stage"] for row in done} - set(order))
    groups += [(stage, [row for row in done if row["stage"] == stage]) for stage in others]
    for stage, some in [*groups, ("all", done)]:
        if some:
            signals = [sum(row["signal"] == name for row in some) for name in ("SIGKILL", "SIGTERM")]
            kinds = ", ".join(kind for kind in tiny.KINDS if any(row["kind"] == kind for row in some))
            lost, broken = (
                sum(abs(row["rows_lost"]) for row in some),
                sum(row["half_visible"] for row in some),
            )
            equal = sum(row["equal"] and row["latest_equal"] for row in some)
            looks = sum(row["looks"] for row in some)
            lines.append(
                f"| {stage} | {kinds} | {signals[0]} | {signals[1]} | {looks:,} | {lost} | {broken} | "
                f"{equal} of {len(some)} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--random", type=int, default=24, help="kills at random moments, over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(tiny.KINDS), choices=tiny.KINDS)
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=STAGES)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/faults.jsonl"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    from leaven.flows import prefect_setup

    server = prefect_setup.api()
    if server is not None:
        server.wait()
    each = -(-options.random // len(options.kinds))
    aims = [(f"random {number}", "any") for number in range(each)] + [
        (stage, stage) for stage in options.stages
    ]
    for kind in options.kinds:
        known = {(row["kind"], row["case"], row["seed"]) for row in done}
        todo = [(case, aim) for case, aim in aims if (kind, case, options.seed) not in known]
        if not todo:
            continue
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "place"
            seconds = prepare(kind, place)
            print(
                f"{kind}: undisturbed {seconds:.1f} s, released: {released(place / 'whole', kind)}",
                flush=True,
            )
            for case, aim in todo:
                asked = {"case": case, "aim": aim, "seed": options.seed, "seconds": round(seconds, 1)}
                row = strike(kind, place, asked)
                done.append(row)
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    mine = [row for row in done if row["seed"] == options.seed and row["kind"] in options.kinds]
    print(table(mine))
    faulty = [row for row in mine if not row["equal"] or row["rows_lost"] or row["half_visible"]]
    if faulty:
        raise SystemExit(f"{len(faulty)} of {len(mine)} kills left something wrong")


if __name__ == "__main__":
    main()
