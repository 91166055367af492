"""On demand: seconds from the request to Prefect's API until the first stage has started, through `leaven serve`.

    python benchmarks/on_demand_latency.py [--repeats 5]

A server, `leaven serve` and a small table of their own. For `augment` the first stage is the start of the task
`ingest`; for `sample` it is the start of the flow, and the seconds until 100 rows lie on disk stand beside it. Also
writes benchmarks/results/on_demand_latency.json.
"""

import argparse
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd

RECIPE = """
name: latency
source: {kind: table, path: rows.csv}
task: {target: churn}
candidates: [{generator: smote}]
amount: {ratio: 0.5}
screen: {label_agreement: false}
utility: {repeats: 1, folds: 2, draws: 100}
gates: {lift: {min: -1.0}, copies: false, near_copies: false, worst_attack: false}
store: store
"""
RESULTS = Path(__file__).parent / "results" / "on_demand_latency.json"
ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Api:
    def __init__(self, url: str):
        self.url = url
        self.direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.url + path, data, {"content-type": "application/json"}, method=method
        )
        for _ in range(20):
            try:
                with self.direct.open(request, timeout=120) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as error:
                if error.code != 503:  # the database is busy: Prefect's own client asks again too
                    raise
                time.sleep(0.2)
        raise SystemExit(f"{method} {path}: the server stayed busy")


def stamp(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def request(api: Api, deployment: str, parameters: dict[str, Any]) -> dict[str, float]:
    """Ask for one run; seconds until its first stage had started, and until it was over."""
    found = api("GET", f"/deployments/name/{deployment}")
    asked = time.time()
    run = api("POST", f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters})["id"]
    while (state := api("GET", f"/flow_runs/{run}")["state"])["type"] not in ENDS:
        time.sleep(0.2)
    if state["type"] != "COMPLETED":
        raise SystemExit(f"{deployment}: {state['type']}: {state['message']}")
    whole = api("GET", f"/flow_runs/{run}")
    begun = [None]
    while None in begun:  # the server writes tasks down a little later than they begin
        tasks = api("POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        begun = [task["start_time"] for task in tasks]
        begun += [None] if deployment.startswith("augment/") and not begun else []
        time.sleep(0.5)
    first = min(map(stamp, begun or [whole["start_time"]]))
    return {"first_stage": first - asked, "end": stamp(whole["end_time"]) - asked}


def measure(folder: Path, repeats: int) -> dict[str, list[dict[str, float]]]:
    churn = pd.read_csv(Path(__file__).parent.parent / "data" / "churn.csv")
    churn.head(400).to_csv(folder / "rows.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(folder / "prefect")
    log = folder / "serve.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "leaven.flows.cli", "serve", "recipe.yaml", "--port", "0"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
    try:
        end = time.monotonic() + 120
        while "Serving;" not in log.read_text():
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
        api = Api(log.read_text().split("for as long as this serves: ")[1].split()[0] + "/api")
        request(api, "augment/latency", {})  # makes the version; later runs take its stages over
        [version] = [path.name for path in (folder / "store" / "latency" / "versions").iterdir()]
        named = {"name": f"latency@{version}", "rows": 100}
        return {
            "augment": [request(api, "augment/latency", {}) for _ in range(repeats)],
            "sample": [request(api, "sample/latency", named) for _ in range(repeats)],
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), repeats)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(measured, indent=1))
    print("seconds from the request   first stage: median (least to most)   end: median")
    for name, runs in measured.items():
        first, end = ([run[key] for run in runs] for key in ("first_stage", "end"))
        print(
            f"{name:<24}   {statistics.median(first):.1f} ({min(first):.1f} to {max(first):.1f})   "
            f"{statistics.median(end):.1f}"
        )


if __name__ == "__main__":
    main()
