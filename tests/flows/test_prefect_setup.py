"""Prefect's surroundings: the user's settings win, and a server of ours never outlives its process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from leaven.flows import prefect_setup
from leaven.generators.errors import LeavenError

PARENT = """
import time
from leaven.flows import prefect_setup
server = prefect_setup.Server()
print(server._process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A place without any configuration of Prefect; what a test sets in the environment is undone."""
    for key in list(os.environ):
        if key.startswith("PREFECT_"):
            monkeypatch.delenv(key)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_what_the_user_has_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    monkeypatch.setattr(os, "environ", before | {"PREFECT_SERVER_ANALYTICS_ENABLED": "true"})
    prefect_setup.prepare()
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"
    assert os.environ["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"
    assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "CRITICAL"


def test_the_configured_server_is_found_where_prefect_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert prefect_setup.configured_api_url() is None
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "profiles.toml").write_text(
        'active = "lab"\n[profiles.lab]\nPREFECT_API_URL = "http://lab.example:4200/api"\n'
    )
    assert prefect_setup.configured_api_url() == "http://lab.example:4200/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert prefect_setup.configured_api_url() == "http://127.0.0.1:9/api"


def test_a_configured_server_that_is_not_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ) | {"PREFECT_API_URL": "http://127.0.0.1:9/api"})
    with pytest.raises(LeavenError, match=r"http://127\.0\.0\.1:9/api does not answer"):
        prefect_setup.api()


def test_the_server_ends_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    time.sleep(1.0)
    assert server.is_running()
    parent.kill()
    parent.wait()
    end = time.monotonic() + 15
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the server outlives its parent"
        time.sleep(0.1)


def test_two_servers_never_want_the_same_port() -> None:
    first, second = prefect_setup.Server(), prefect_setup.Server()
    try:
        assert first.port != second.port
        assert first.log.exists() and first.running
    finally:
        first.stop()
        second.stop()
    assert not first.running and not first.log.exists()
