"""What benchmarks of scheduled runs need: a PostgreSQL and a Prefect server of their own, and `leaven serve`."""

import base64
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import tiny

AUTH = "night:watch"  # a server of a benchmark, on this machine alone


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A cluster in a temporary folder, by a user who is not root; its address for Prefect."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    if not found[-1].name:
        raise SystemExit("PostgreSQL is not installed: no initdb (apt-get install postgresql)")
    bin_ = found[-1].parent
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else servers would be left running
    root = os.geteuid() == 0
    as_user = ["runuser", "-u", "postgres", "--"] if root else []
    folder = Path(tempfile.mkdtemp(prefix="leaven-postgres-"))
    port = free_port()

    def call(name: str, *arguments: str) -> None:
        subprocess.run(
            [*as_user, str(bin_ / name), *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder
        )

    if root:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        call("initdb", "--pgdata", str(folder / "data"), "--auth", "trust", "--username", "prefect")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200"
        call("pg_ctl", "-D", str(folder / "data"), "-w", "-l", str(folder / "log"), "-o", options, "start")
        call("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "prefect")
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            call("pg_ctl", "-D", str(folder / "data"), "-w", "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)


class Night:
    """A Prefect server on PostgreSQL, with an auth string, and `leaven serve` of some recipes."""

    def __init__(self, database: str, folder: Path):
        self.database, self.folder, self.port = database, folder, free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        known = {k: v for k, v in tiny.environment().items() if not k.startswith("PREFECT_")}
        self.environment = known | {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.api,
            "PREFECT_API_AUTH_STRING": AUTH,
            "PREFECT_SERVER_API_AUTH_STRING": AUTH,
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
            "LEAVEN_TINY_HOLD": str(folder / "hold"),
        }
        self.server = self._start("server", "prefect", "server", "start", "--port", str(self.port), "--no-ui")
        self._wait(lambda: self.call("GET", "/admin/version"), self.server, 120)
        self.serving: subprocess.Popen[bytes] | None = None

    def serve(self, *recipes: Path, limit: int | None = None) -> None:
        """Start `leaven serve`; returns once it serves."""
        options = ["--limit", str(limit)] if limit else []
        store = ["--store", str(self.folder / "store")]
        self.serving = self._start("serve", "leaven.flows.cli", "serve", *map(str, recipes), *store, *options)
        self._wait(lambda: "Serving;" in (self.folder / "serve.log").read_text(), self.serving, 120)

    def _start(self, name: str, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait(self, condition: Callable[[], Any], process: "subprocess.Popen[bytes]", seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if condition():
                    return
            if process.poll() is not None or time.monotonic() > end:
                logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
                raise SystemExit(f"it did not start:\n{logs}")
            time.sleep(0.2)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call of Prefect's API; a server that is busy is asked again."""
        data = json.dumps(body if body is not None else {}).encode() if method != "GET" else None
        headers = {
            "content-type": "application/json",
            "authorization": "Basic " + base64.b64encode(AUTH.encode()).decode(),
        }
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(20):
            try:
                asked = urllib.request.Request(f"{self.api}{path}", data, headers, method=method)
                with direct.open(asked, timeout=60) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
                time.sleep(0.5)
        raise SystemExit(f"{method} {path}: the server stayed busy")

    def runs(self, flow: str = "augment") -> list[dict[str, Any]]:
        """All runs of a flow that are not merely scheduled for later, the newest 200, oldest first."""
        asked = {
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": 200,
        }
        return list(reversed(self.call("POST", "/flow_runs/filter", asked)))

    def count(self, *states: str) -> int:
        """Runs in these states."""
        return int(
            self.call("POST", "/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": list(states)}}}})
        )

    def stop(self) -> dict[str, Any]:
        """SIGTERM to `leaven serve`, then to the server; its exit status and what was left running."""
        told: dict[str, Any] = {}
        if self.serving is not None:
            children = psutil.Process(self.serving.pid).children(recursive=True)
            self.serving.send_signal(signal.SIGTERM)
            told["exit"] = self.serving.wait(90)
            told["left_running"] = len(psutil.wait_procs(children, timeout=15)[1])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.server.pid, signal.SIGTERM)
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.server.pid, signal.SIGKILL)
        return told
