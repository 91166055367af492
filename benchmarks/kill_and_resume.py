"""Kill a run with SIGKILL at random moments, rerun it, and compare the result with an undisturbed run.

    python benchmarks/kill_and_resume.py RECIPE [--kills 5] [--seed 0]

Prints, for each kill, when it struck, what a reader saw at that moment, how many stages the rerun took over and
how many it made, and whether all synthetic files and the real parts are equal byte for byte.
Set PREFECT_API_URL to use a running server; otherwise every run starts one of its own.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from leaven.pipelines.store import Store

COMMAND = [sys.executable, "-m", "leaven.flows.cli"]


def start(
    recipe: Path, store: Path, *options: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """`leaven run` in a process group of its own. `environment`: this process's when left out."""
    return subprocess.Popen(
        [*COMMAND, "run", str(recipe), "--store", str(store), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment,
    )


def finish(recipe: Path, store: Path, *options: str, environment: dict[str, str] | None = None) -> float:
    """Run to the end; seconds. Exit 0 (released) and 3 (withheld) are both an end."""
    begun = time.monotonic()
    process = start(recipe, store, *options, environment=environment)
    output, _ = process.communicate()
    if process.returncode not in (0, 3):
        raise SystemExit(f"the run failed with {process.returncode}:\n{output}")
    return time.monotonic() - begun


def data_files(store: Path, name: str) -> dict[str, str]:
    """Digests of the data files of the newest version, each checked against the bytes on disk."""
    found = Store(store)
    version = found.get(name, found.versions(name)[-1])
    altered = version.altered()
    if altered:
        raise SystemExit(f"{version}: {altered[0]} differs from its manifest")
    return {path: file.sha256 for path, file in version.files.items() if path.startswith("data/")}


def stages(work: Path) -> set[str]:
    """Folders of finished stages."""
    return {path.parent.name for path in work.glob("*/record.json")}


def strike(recipe: Path, store: Path, name: str, after: float) -> dict[str, Any]:
    """Kill a run after so many seconds, look at the store as a reader would, and rerun to the end."""
    process = start(recipe, store)
    time.sleep(after)
    ended = process.poll() is not None
    if not ended:
        process.send_signal(signal.SIGKILL)
    process.wait()
    work = store / name / ".work"
    before = stages(work)
    seen = Store(store).versions(name)
    stamps = {folder: (work / folder / "record.json").stat().st_mtime_ns for folder in before}
    seconds = finish(recipe, store)
    after_run = stages(work)
    reused = sum(1 for f in before & after_run if (work / f / "record.json").stat().st_mtime_ns == stamps[f])
    return {
        "killed_after": round(after, 1),
        "ended_before": ended,
        "versions_visible_at_kill": len(seen),
        "stages_finished_at_kill": len(before),
        "stages_taken_over": reused,
        "stages_made_by_rerun": len(after_run) - reused,
        "rerun_seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/kill_and_resume.json"))
    options = parser.parse_args()
    from leaven.pipelines.recipe_file import load_recipe

    name = load_recipe(options.recipe, [])[0].name
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole = finish(options.recipe, Path(folder) / "whole")
        truth = data_files(Path(folder) / "whole", name)
        print(f"undisturbed: {whole:.1f} s, {len(truth)} data files", flush=True)
        rows = []
        for number in range(options.kills):
            store = Path(folder) / f"killed-{number}"
            row = strike(options.recipe, store, name, chance.uniform(0.05, 0.97) * whole)
            row["equal"] = data_files(store, name) == truth
            rows.append(row)
            print(json.dumps(row), flush=True)
            shutil.rmtree(store)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"undisturbed_seconds": whole, "kills": rows}, indent=1))
    if not all(row["equal"] for row in rows):
        raise SystemExit("a resumed run differs from the undisturbed one")
    print(f"{len(rows)} kills: all equal")


if __name__ == "__main__":
    main()
