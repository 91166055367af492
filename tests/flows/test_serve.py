"""`leaven serve` against a real server on this machine: schedule, form, no double runs, an end without orphans."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

FLOW = '''
import os, time
from pathlib import Path
from prefect import flow
from leaven.pipelines.recipe import Recipe

@flow(name="augment", persist_result=False)
def augment(recipe: Recipe, folder: str = ".", store: str | None = None) -> str:
    """Stands in for the long one: notes when it ran and what it was given."""
    note = Path(folder, "runs", str(os.getpid()))
    note.with_suffix(".begun").write_text(recipe.amount.model_dump_json())
    while Path(folder, "hold").exists():
        time.sleep(0.1)
    note.with_suffix(".ended").touch()
    return "done"
'''

RECIPE = """
name: ticking
source: {kind: table, path: rows.csv}
task: {target: y}
candidates: [{generator: smote}]
schedule: {interval: 5s}
"""

START = """
import sys
from pathlib import Path
from rich.console import Console
from leaven.flows.serve import serve
serve([Path("recipe.yaml")], port=0, console=Console(stderr=True), entrypoint="stub_flow.augment")
"""


class Served:
    """A serving process and the API of its server."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.log = folder, folder / "serve.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        environment |= {"PREFECT_HOME": str(home), "PYTHONPATH": str(folder)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START], cwd=folder, env=environment, stdout=log, stderr=log
            )
        self.wait_for(lambda: "Serving;" in self.log.read_text(), 90)
        self.address = self.log.read_text().split("for as long as this serves: ")[1].split()[0]
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method != "GET" else None
        request = urllib.request.Request(
            f"{self.address}/api{path}", data, {"content-type": "application/json"}, method=method
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(20):
            try:
                with direct.open(request, timeout=30) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as error:
                if error.code != 503:  # the database is busy: Prefect's own client asks again too
                    raise
                time.sleep(0.5)
        raise AssertionError(f"{method} {path}: the server stayed busy")

    def runs(self, *states: str) -> list[dict[str, Any]]:
        wanted = {"flow_runs": {"state": {"type": {"any_": list(states)}}}}
        return self.call("POST", "/flow_runs/filter", wanted)

    def begun(self) -> int:
        return len(list((self.folder / "runs").glob("*.begun")))

    def ended(self) -> int:
        return len(list((self.folder / "runs").glob("*.ended")))

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"not within {seconds} s:\n{self.log.read_text()}"
            time.sleep(0.1)
        return found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "work"
    (folder / "runs").mkdir(parents=True)
    (folder / "hold").touch()
    (folder / "stub_flow.py").write_text(FLOW)
    (folder / "recipe.yaml").write_text(RECIPE)
    lines = "\n".join(f"{n},{n % 7},{'yes' if n % 3 else 'no'}" for n in range(200))
    (folder / "rows.csv").write_text(f"x,z,y\n{lines}\n")
    one = Served(folder, tmp_path / "prefect")
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_serve(served: Served) -> None:
    deployment = served.call("GET", "/deployments/name/augment/ticking")
    properties = deployment["parameter_openapi_schema"]["definitions"]["Recipe"]["properties"]
    assert properties["candidates"]["description"] == "generators tried side by side"
    assert deployment["parameters"]["recipe"]["name"] == "ticking"

    # The schedule starts a run; while it goes on, further ticks and a run on demand are cancelled.
    served.wait_for(served.begun, 30)
    asked = {"parameters": {**deployment["parameters"]}}
    asked["parameters"]["recipe"] = {**asked["parameters"]["recipe"], "amount": {"rows": 77}}
    demanded = served.call("POST", f"/deployments/{deployment['id']}/create_flow_run", asked)["id"]
    served.wait_for(lambda: served.call("GET", f"/flow_runs/{demanded}")["state"]["type"] == "CANCELLED", 30)
    served.wait_for(lambda: any(run["auto_scheduled"] for run in served.runs("CANCELLED")), 30)
    assert served.begun() == 1

    # On demand, with the form's own parameters, once nothing else runs.
    served.call("PATCH", f"/deployments/{deployment['id']}", {"paused": True})
    (served.folder / "hold").unlink()
    served.wait_for(lambda: served.ended() == 1 and not served.runs("RUNNING", "PENDING"), 30)
    served.call("POST", f"/deployments/{deployment['id']}/create_flow_run", asked)
    served.wait_for(
        lambda: any('"rows":77' in note.read_text() for note in (served.folder / "runs").glob("*.begun")), 30
    )

    # SIGTERM: everything ends with it.
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    assert "Stopped" in served.log.read_text()
    psutil.wait_procs(served.children, timeout=10)
    assert not [child for child in served.children if child.is_running()]
