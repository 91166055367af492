"""Many small runs, one after the other, through one `leaven serve` and one Prefect server: what grows, what is left?

    python benchmarks/soak.py [--runs 200] [--at-once 2] [--minutes 30] [--out FILE]

The server keeps its data in a PostgreSQL of its own. Recipes take turns, as deployments of their own; each has an
earlier run's stages to take over, as most nights have. Prints memory, open files and the database's size at start,
middle and end, and then what is left over: runs that never ended, slots that are held, processes, drafts.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import night
import psutil
import tiny

MIB = 2**20


def weighed(there: night.Night, runs: int, since: float) -> dict[str, Any]:
    """What server and serving process hold now, without the runs themselves."""
    assert there.serving is not None
    server, serving = psutil.Process(there.server.pid), psutil.Process(there.serving.pid)
    servers = [server, *server.children(recursive=True)]
    asked = "select pg_database_size('prefect')"
    address = there.database.replace("postgresql+asyncpg", "postgresql")
    size = subprocess.run(["psql", "-At", "-c", asked, address], capture_output=True, text=True, check=True)
    return {
        "runs": runs,
        "minutes": round((time.monotonic() - since) / 60, 1),
        "server_mib": round(sum(one.memory_info().rss for one in servers) / MIB),
        "server_files": sum(one.num_fds() for one in servers),
        "serving_mib": round(serving.memory_info().rss / MIB),
        "serving_files": serving.num_fds(),
        "serving_threads": serving.num_threads(),
        "database_mib": round(int(size.stdout) / MIB, 1),
        "store_mib": round(sum(f.stat().st_size for f in there.folder.glob("store/**/*") if f.is_file()) / MIB, 1),
    }  # fmt: skip


def left(there: night.Night, store: Path) -> dict[str, Any]:
    """What should be none once nothing runs."""
    limits = there.call("POST", "/v2/concurrency_limits/filter", {"limit": 200})
    assert there.serving is not None
    return {
        "limits": len(limits),
        "slots_held": sum(limit["active_slots"] for limit in limits),
        "runs_not_ended": there.count("RUNNING", "PENDING", "CANCELLING"),
        "processes": len(psutil.Process(there.serving.pid).children(recursive=True)),
        "drafts": len([*store.rglob(".draft-*"), *store.rglob(".making-*")]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=30.0, help="no new run is asked for after that")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/soak.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, night.postgres() as database:
        folder = Path(name)
        recipes = []
        for number in range(options.at_once):
            recipe = tiny.write("table", folder / str(number))
            recipe.write_text(recipe.read_text().replace("name: table", f"name: table{number}"))
            recipes.append(recipe)
        there = night.Night(database, folder)
        weights, asked, ended = [], 0, ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        try:
            there.serve(*recipes, limit=options.at_once)
            deployments = [
                there.call("GET", f"/deployments/name/augment/table{number}")
                for number in range(len(recipes))
            ]
            since = time.monotonic()
            weights.append(weighed(there, 0, since))
            print(json.dumps(weights[-1]), flush=True)
            last: list[str | None] = [None] * len(deployments)
            while (done := there.count(*ended)) < options.runs:
                late = time.monotonic() - since > 60 * options.minutes
                if late and done == asked:
                    break
                for number, deployment in enumerate(deployments):
                    one = last[number]
                    going = one and there.call("GET", f"/flow_runs/{one}")["state"]["type"] not in ended
                    if not going and not late and asked < options.runs:
                        made = there.call("POST", f"/deployments/{deployment['id']}/create_flow_run")
                        last[number], asked = made["id"], asked + 1
                if done >= len(weights) * options.runs / 10:
                    weights.append(weighed(there, done, since))
                    print(json.dumps(weights[-1]), flush=True)
                time.sleep(0.5)
            time.sleep(5)  # the last process ends after its last report
            weights.append(weighed(there, there.count(*ended), since))
            states = {state: there.count(state) for state in ended}
            over = left(there, folder / "store")
        finally:
            told = there.stop()
    result = {"weights": weights, "states": states, "left": over, "stopped": told}
    for row in (weights[0], weights[len(weights) // 2], weights[-1], states, over, told):
        print(json.dumps(row))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
