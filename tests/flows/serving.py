"""A `leaven serve` of its own in a process of its own, and the API of its server, as anybody would call it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

START = """
import sys
from pathlib import Path
from rich.console import Console
from leaven.flows.serve import serve
serve([Path("recipe.yaml")], port=0, console=Console(stderr=True), {options})
"""


class Served:
    """A serving process and the API of its server."""

    def __init__(self, folder: Path, home: Path, options: str = "", **variables: str):
        """Serve `recipe.yaml` in `folder`. `options`: further arguments of `serve`, as code."""
        self.folder, self.log = folder, folder / "serve.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        environment |= {
            "PREFECT_HOME": str(home),
            "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}",
        }
        environment |= variables
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START.format(options=options)],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
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

    def ended(self, run: str, seconds: float = 90) -> dict[str, Any]:
        """A run's state, once it has come to its end."""

        def over() -> Any:
            state = self.call("GET", f"/flow_runs/{run}")["state"]
            return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return self.wait_for(over, seconds)

    def stop(self) -> None:
        """End it, for good where it has not ended by itself."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"not within {seconds} s:\n{self.log.read_text()}"
            time.sleep(0.1)
        return found
