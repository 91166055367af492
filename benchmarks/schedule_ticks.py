"""Ticks of a real cron schedule, end to end: PostgreSQL, a Prefect server with an auth string, `leaven serve`.

    python benchmarks/schedule_ticks.py [--ticks 3] [--out FILE]

The recipe runs every minute. After so many ticks one run is held until the next is due, which must be cancelled;
then it is let go, and one more tick must go well. Prints every run: when it was due, when it began, how it ended.
"""

import argparse
import datetime
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import night
import tiny

SECONDS = 300.0  # at most, for any one thing to happen


def seen(run: dict[str, Any]) -> dict[str, Any]:
    """A run as it is printed."""

    def moment(name: str) -> datetime.datetime | None:
        return datetime.datetime.fromisoformat(run[name]) if run[name] else None

    due, begun, ended = moment("expected_start_time"), moment("start_time"), moment("end_time")
    return {
        "due": due.strftime("%H:%M:%S") if due else None,
        "scheduled": run["auto_scheduled"],
        "began_after": round((begun - due).total_seconds(), 1) if begun and due else None,
        "took": round((ended - begun).total_seconds(), 1) if begun and ended else None,
        "state": run["state"]["type"],
        "message": (run["state"]["message"] or "")[:80],
    }


def grow(source: Path) -> None:
    """A further row: the last one once more."""
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join([*lines, lines[-1]]))


def await_runs(there: night.Night, states: tuple[str, ...], count: int) -> None:
    """Return once so many scheduled runs are in these states."""
    end = time.monotonic() + SECONDS
    while sum(run["auto_scheduled"] and run["state"]["type"] in states for run in there.runs()) < count:
        if time.monotonic() > end:
            raise SystemExit(f"not {count} {states} within {SECONDS} s: {[seen(r) for r in there.runs()]}")
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/schedule_ticks.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, night.postgres() as database:
        folder = Path(name)
        recipe = tiny.write("table", folder, 'schedule: {cron: "* * * * *"}\n')
        there = night.Night(database, folder)
        try:
            there.serve(recipe)
            print((folder / "serve.log").read_text(), flush=True)
            await_runs(there, ("COMPLETED",), options.ticks)
            (folder / "hold").touch()
            grow(folder / "table.csv")  # else the next run takes every stage over, and waits for nothing
            await_runs(there, ("RUNNING",), 1)
            # What a waiting run holds back: the next one, on time.
            before = sum(run["state"]["type"] == "CANCELLED" for run in there.runs())
            await_runs(there, ("CANCELLED",), before + 1)
            at_once = there.count("RUNNING")
            (folder / "hold").unlink()
            await_runs(there, ("COMPLETED",), options.ticks + 2)
            runs = [seen(run) for run in there.runs()]
        finally:
            told = there.stop()
    for run in runs:
        print(json.dumps(run))
    result = {"runs": runs, "running_at_once_most": at_once, "stopped": told}
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
