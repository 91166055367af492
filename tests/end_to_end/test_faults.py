"""Faults in mid-run: each is one clear line (or nothing at all), and a rerun gives the bytes of an undisturbed run."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import tiny
from kill_and_resume import data_files, finish, start

from leaven.flows import prefect_setup
from leaven.pipelines.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

SECONDS = 180


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write("table", tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def on_server(prefect_server: None) -> dict[str, str]:
    """The environment of runs on the tests' server."""
    from prefect.settings import PREFECT_API_URL

    return tiny.environment(PREFECT_API_URL=str(PREFECT_API_URL.value()))


@pytest.fixture(scope="module")
def truth(
    recipe: Path, on_server: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Digests of the data files of an undisturbed run."""
    store = tmp_path_factory.mktemp("undisturbed")
    finish(recipe, store, environment=on_server)
    return data_files(store, "table")


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system in memory, and a function that changes its options."""

    def mount(options: str) -> None:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True, capture_output=True
        )

    place.mkdir()
    try:
        mount(size)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system can only be mounted by root")
    try:
        yield lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def failing(recipe: Path, store: Path, environment: dict[str, str]) -> str:
    """The line with which a run fails."""
    process = start(recipe, store, environment=environment)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    return output.splitlines()[-1]


def test_a_full_disk(recipe: Path, on_server: dict[str, str], truth: dict[str, str], tmp_path: Path) -> None:
    store = tmp_path / "disk" / "store"
    with small_disk(tmp_path / "disk", "size=900k") as change:  # enough for all stages but the last
        line = failing(recipe, store, on_server)
        assert line.startswith("leaven: store") and "cannot write" in line
        assert line.endswith("No space left on device; what was finished is kept, a rerun resumes")
        assert Store(store).names() == [], "half a version is visible"
        change("size=100m")
        finish(recipe, store, environment=on_server)
        assert data_files(store, "table") == truth


def test_a_store_that_cannot_be_written(
    recipe: Path, on_server: dict[str, str], truth: dict[str, str], tmp_path: Path
) -> None:
    store = tmp_path / "disk" / "store"
    with small_disk(tmp_path / "disk", "size=100m,ro") as change:
        line = failing(recipe, store, on_server)
        assert line.startswith("leaven: store") and "Read-only file system" in line
        change("rw")
        finish(recipe, store, environment=on_server)
        assert data_files(store, "table") == truth


def test_a_killed_worker(
    recipe: Path, on_server: dict[str, str], truth: dict[str, str], tmp_path: Path
) -> None:
    process = start(recipe, tmp_path, "--workers", "2", environment=on_server)
    wait(lambda: workers(process.pid), process)
    for worker in workers(process.pid):
        worker.kill()
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and "Traceback" not in output, output
    assert "leaven: a worker process died" in output.splitlines()[-1]
    finish(recipe, tmp_path, "--workers", "2", environment=on_server)
    assert data_files(tmp_path, "table") == truth


def test_a_locked_database_and_a_server_that_starts_again(
    recipe: Path, truth: dict[str, str], tmp_path: Path
) -> None:
    """A run waits for both, and goes on."""
    home, store = tmp_path / "home", tmp_path / "store"
    home.mkdir()
    server = Server(home)
    process = start(recipe, store, environment=tiny.environment(PREFECT_API_URL=server.url))
    try:
        wait(lambda: list((store / "table" / ".work").glob("split-*")), process)
        with contextlib.closing(sqlite3.connect(home / "prefect.db", timeout=60)) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(6)
            database.rollback()
        server.kill()
        time.sleep(2)
        server.start()
        output, _ = process.communicate(timeout=SECONDS)
        assert process.returncode in (0, 3) and "Traceback" not in output, output
    finally:
        server.kill()
        process.kill()
        process.wait()
    assert data_files(store, "table") == truth


class Server:
    """A Prefect server with a database of its own, that can be killed and started again at the same address."""

    def __init__(self, home: Path):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.home, self.url = home, f"http://127.0.0.1:{self.port}/api"
        self.start()

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        environment |= {"PREFECT_HOME": str(self.home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        with (self.home / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect", "server", "start", "--port", str(self.port), "--no-ui"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait(lambda: prefect_setup.answers(self.url, 1.0), self.process)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def workers(pid: int) -> list[psutil.Process]:
    """The processes that a run samples in."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = psutil.Process(pid).children(recursive=True)
        return [one for one in found if any("popen_loky" in word for word in one.cmdline())]
    return []


def wait(condition: Callable[[], object], process: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
