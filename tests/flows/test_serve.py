"""`leaven serve` against a real server on this machine: schedule, form, no double runs, an end without orphans."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .serving import Served

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


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "work"
    (folder / "runs").mkdir(parents=True)
    (folder / "hold").touch()
    (folder / "stub_flow.py").write_text(FLOW)
    (folder / "recipe.yaml").write_text(RECIPE)
    lines = "\n".join(f"{n},{n % 7},{'yes' if n % 3 else 'no'}" for n in range(200))
    (folder / "rows.csv").write_text(f"x,z,y\n{lines}\n")
    one = Served(folder, tmp_path / "prefect", 'entrypoint="stub_flow.augment"')
    yield one
    one.stop()


def notes(served: Served, ending: str) -> list[Path]:
    """What the stand-in flow has noted."""
    return list((served.folder / "runs").glob(f"*.{ending}"))


def test_serve(served: Served) -> None:
    deployment = served.call("GET", "/deployments/name/augment/ticking")
    properties = deployment["parameter_openapi_schema"]["definitions"]["Recipe"]["properties"]
    assert properties["candidates"]["description"] == "generators tried side by side"
    assert deployment["parameters"]["recipe"]["name"] == "ticking"

    # A second one would pause the first one's schedules at its end.
    second = subprocess.run(
        [sys.executable, "-m", "leaven.flows.cli", "serve", "recipe.yaml"],
        cwd=served.folder,
        env=os.environ | {"PREFECT_API_URL": f"{served.address}/api", "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 2 and "'ticking' is served already" in second.stderr.splitlines()[-1]

    # The schedule starts a run; while it goes on, further ticks and a run on demand are cancelled.
    served.wait_for(lambda: notes(served, "begun"), 30)
    asked = {"parameters": {**deployment["parameters"]}}
    asked["parameters"]["recipe"] = {**asked["parameters"]["recipe"], "amount": {"rows": 77}}
    demanded = served.call("POST", f"/deployments/{deployment['id']}/create_flow_run", asked)["id"]
    served.wait_for(lambda: served.call("GET", f"/flow_runs/{demanded}")["state"]["type"] == "CANCELLED", 30)
    served.wait_for(lambda: any(run["auto_scheduled"] for run in served.runs("CANCELLED")), 30)
    assert len(notes(served, "begun")) == 1

    # On demand, with the form's own parameters, once nothing else runs.
    served.call("PATCH", f"/deployments/{deployment['id']}", {"paused": True})
    (served.folder / "hold").unlink()
    served.wait_for(lambda: len(notes(served, "ended")) == 1 and not served.runs("RUNNING", "PENDING"), 30)
    served.call("POST", f"/deployments/{deployment['id']}/create_flow_run", asked)
    served.wait_for(lambda: any('"rows":77' in note.read_text() for note in notes(served, "begun")), 30)

    # SIGTERM: everything ends with it.
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    assert "Stopped" in served.log.read_text()
    psutil.wait_procs(served.children, timeout=10)
    assert not [child for child in served.children if child.is_running()]
