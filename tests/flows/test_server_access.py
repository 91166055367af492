"""Who reaches Prefect's server: this machine alone, and where an auth string is set only who knows it."""

import base64
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import tiny

from leaven.flows import prefect_setup, server_lost
from leaven.generators.errors import LeavenError

SECRET = "night:planted-auth-string"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prefect_setup.Server]:
    """A server of ours with an auth string."""
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith("PREFECT_")]:
            patch.delenv(key)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", SECRET)
        server = prefect_setup.Server()
        try:
            server.wait()
            yield server
        finally:
            server.stop()


def status(url: str, secret: str | None) -> int:
    request = urllib.request.Request(f"{url}/flows/count", b"{}", {"content-type": "application/json"})
    if secret is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.prefect
@pytest.mark.slow
def test_without_the_auth_string_nothing_is_answered(guarded: prefect_setup.Server) -> None:
    assert status(guarded.api_url, None) == 401
    assert status(guarded.api_url, "night:wrong") == 401
    assert status(guarded.api_url, SECRET) == 200


@pytest.mark.prefect
@pytest.mark.slow
def test_the_server_listens_on_this_machine_alone(guarded: prefect_setup.Server) -> None:
    process = psutil.Process(guarded._process.pid)
    listening = {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    others = {
        address.address
        for found in psutil.net_if_addrs().values()
        for address in found
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }
    for address in others:
        with pytest.raises(OSError), socket.create_connection((address, guarded.port), timeout=5):
            pass


@pytest.mark.prefect
@pytest.mark.slow
def test_a_run_is_refused_in_one_line_without_the_auth_string(
    guarded: prefect_setup.Server, tmp_path: Path
) -> None:
    recipe = tiny.write("table", tmp_path)
    environment = tiny.environment(PREFECT_API_URL=guarded.api_url)
    command = [sys.executable, "-m", "leaven.flows.cli", "run", str(recipe), "--store", str(tmp_path / "s")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 1
    assert "refuses (401); set PREFECT_API_AUTH_STRING" in said.stderr.splitlines()[-1]
    assert "Traceback" not in said.stderr + said.stdout


def test_our_own_server_is_known_by_its_auth_string(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stub:
        api_url = "http://127.0.0.1:1/api"

        def __init__(self, *_: object) -> None: ...

        def stop(self) -> None: ...

    monkeypatch.setattr(prefect_setup, "Server", Stub)
    monkeypatch.setattr(os, "environ", {"PREFECT_SERVER_API_AUTH_STRING": SECRET})
    prefect_setup.start()
    assert os.environ["PREFECT_API_AUTH_STRING"] == SECRET


REQUEST = httpx.Request("POST", "http://night.example:4200/api/flow_runs/")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectError("refused", request=REQUEST), "4200 does not answer any more"),
        (httpx.ReadTimeout("slow", request=REQUEST), "4200 does not answer any more"),
        (httpx.HTTPStatusError("x", request=REQUEST, response=httpx.Response(401)), r"refuses \(401\)"),
        (httpx.HTTPStatusError("x", request=REQUEST, response=httpx.Response(503)), r"fails \(503\)"),
    ],
)
def test_a_server_that_is_lost_is_one_clear_line(error: Exception, told: str) -> None:
    with pytest.raises(LeavenError, match=told) as caught, server_lost.told():
        raise error
    assert "\n" not in str(caught.value) and "a rerun resumes" in str(caught.value)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), server_lost.told():
        raise ZeroDivisionError
    with pytest.raises(LeavenError, match="ours"), server_lost.told():
        raise LeavenError("ours")
