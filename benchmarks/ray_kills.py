"""Kill workers at random moments of whole runs on Ray, and compare each run with an undisturbed local one.

    python benchmarks/ray_kills.py [--runs 8] [--kills 3] [--seed 0] [--kind table]

Each run has a Ray of its own on this machine. What is killed, with SIGKILL, is a process that is at work on a task,
whichever that is; the run has to go on and end by itself. Prints a line for each run.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import tiny
from faults import Reader, content, prepare, released, rows
from kill_and_resume import data_files, start

LAST = 120.0  # seconds that a kill may wait for a worker


def at_work(process: psutil.Process) -> list[psutil.Process]:
    """Ray's processes that a task keeps busy; they carry its name."""
    busy = []
    for child in process.children(recursive=True):
        try:
            title = " ".join(child.cmdline())
        except psutil.Error:
            continue
        name = title.strip().removeprefix("ray::")
        if name != title.strip() and name != "IDLE" and not name.endswith("Agent"):
            busy.append(child)
    return busy


def strike(kind: str, place: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    """One run on Ray with so many of its workers killed."""
    store = place / "struck"
    shutil.copytree(place / "before", store)
    reader = Reader(store, kind)
    reader.start()
    begun = time.monotonic()
    process = start(place / f"{kind}.yaml", store, "--runner", "ray", environment=tiny.environment())
    killed: list[str] = []
    # Output is read at the end alone: a run says less than a pipe holds.
    while len(killed) < kills and process.poll() is None and time.monotonic() - begun < LAST:
        try:
            busy = at_work(psutil.Process(process.pid))
            if not busy:
                time.sleep(0.005)
                continue
            one = chance.choice(busy)
            title = " ".join(one.cmdline()).strip()
            one.kill()
            killed.append(title.removeprefix("ray::"))
        except psutil.Error:
            continue
        time.sleep(chance.uniform(0.0, 8.0))
    output, _ = process.communicate()
    reader.end()
    whole = place / "whole"
    row = {
        "kind": kind,
        "killed": killed,
        "exit": process.returncode,
        "seconds": round(time.monotonic() - begun, 1),
        "looks": reader.looks,
        "half_visible": len(reader.broken),
    }
    if process.returncode in (0, 3):
        row["rows_lost"] = rows(whole, kind) - rows(store, kind)
        row["equal"] = (
            data_files(store, kind) == data_files(whole, kind)
            and content(store, kind) == content(whole, kind)
            and released(store, kind) == released(whole, kind)
        )
    else:
        row["said"] = output.splitlines()[-1:]
    shutil.rmtree(store)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--kills", type=int, default=3, help="in each run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default="table", choices=tiny.KINDS)
    options = parser.parse_args()
    chance, done = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "place"
        print(f"undisturbed, local: {prepare(options.kind, place):.1f} s", flush=True)
        for _ in range(options.runs):
            done.append(strike(options.kind, place, options.kills, chance))
            print(json.dumps(done[-1]), flush=True)
    good = sum(row.get("equal", False) and not row["half_visible"] for row in done)
    killed = sum(len(row["killed"]) for row in done)
    print(
        f"{killed} workers killed in {len(done)} runs; {good} of {len(done)} runs ended by themselves, all equal"
    )
    if good < len(done):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
