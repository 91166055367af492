"""Prefect's surroundings: its environment, and the server that a run talks to. Imports nothing of Prefect.

All of it must be in place before Prefect is imported. What a user has set is never overwritten.
"""

import atexit
import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

from leaven.generators.errors import InputError, LeavenError

START_SECONDS = 120.0  # a first start on a slow disk makes the database
STOP_SECONDS = 10.0

_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # Stage records alone decide what is reused; see pipelines/stage.py.
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    # A server's database grows by half a MiB a run; runs that ended 90 days ago go.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    # A run's own log still goes to the server, which keeps it with the run.
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_CLI_PROMPT": "false",
    # In memory, a server that is restarted forgets who holds a slot, and the slot stays taken.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # Threads that wait for each other sleep: where processors are shared, spinning makes boosted trees ten
    # times slower. Changes no result.
    "OMP_WAIT_POLICY": "PASSIVE",
}
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # while a server is away: a page of lines for each event
}
_temporary_url: str | None = None
_TEMPORARY = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1", "PREFECT_UI_ENABLED": "0"}


def prepare(verbose: bool = False) -> None:
    """Set what libraries read from the environment, where the user has not: no telemetry, a quiet terminal."""
    for key, value in {**_SETTINGS, **({} if verbose else _QUIET)}.items():
        os.environ.setdefault(key, value)
    if not verbose:
        logging.raiseExceptions = False  # else each line that a server does not take is told on the terminal


def configured_api_url() -> str | None:
    """The address of the Prefect server that the user has chosen: environment, profile, or project file."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if not _has_configuration():
        return None
    # Prefect knows best how its files overrule each other. A process of its own: nothing is imported here.
    ask = "import prefect.settings as s; print(s.get_current_settings().api.url or '')"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _has_configuration() -> bool:
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", str(home / "profiles.toml")))
    if profiles.exists() or os.environ.get("PREFECT_PROFILE") or Path("prefect.toml").exists():
        return True
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError):
        if "prefect" in tomllib.loads(Path("pyproject.toml").read_text()).get("tool", {}):
            return True
    with contextlib.suppress(OSError):
        return "PREFECT_" in Path(".env").read_text(errors="replace")
    return False


def answers(url: str, seconds: float = 5.0) -> bool:
    """Whether something speaks HTTP at the API address `url` (an error status counts: it is there)."""
    local = any(host in url for host in ("//127.0.0.1", "//localhost", "//[::1]"))
    handlers = [urllib.request.ProxyHandler({})] if local else []
    try:
        with urllib.request.build_opener(*handlers).open(f"{url.rstrip('/')}/health", timeout=seconds):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


class Server:
    """A Prefect server on this machine, as a child process that ends with this one."""

    def __init__(self, port: int = 0, temporary: bool = True):
        """Start it. `port` 0: a free one. `temporary`: without page, scheduler and other services.

        Raises:
            InputError: the port is taken.
        """
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            raise InputError(f"port {port}: cannot be used for Prefect's server: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        self.log = Path(tempfile.mkstemp(prefix="leaven-prefect-server-", suffix=".log")[1])
        environment = os.environ | (_TEMPORARY if temporary else {}) | {
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_UI_API_URL": self.api_url,
        }  # fmt: skip
        script = Path(__file__).with_name("local_server.py")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(script), str(self._socket.fileno()), str(os.getpid())],
                env=environment,
                pass_fds=[self._socket.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; a cancelled run still reports to its server
            )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.address}/api"

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Return once the server answers.

        Raises:
            LeavenError: it ended, or did not answer in time (says where its log is).
        """
        end = time.monotonic() + seconds
        while not answers(self.api_url, seconds=1.0):
            if not self.running:
                raise LeavenError(f"Prefect's server ended while starting; its log: {self.log}")
            if time.monotonic() > end:
                raise LeavenError(
                    f"Prefect's server did not answer within {seconds:.0f} s; its log: {self.log}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server; what runs reported to it stays in Prefect's database."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        self.log.unlink(missing_ok=True)


def api(verbose: bool = False) -> Server | None:
    """A Prefect API for this process: the user's own server (None), or a temporary one, which has begun to start.

    Call its `.wait()` when the API is needed: imports can be done meanwhile. It ends with this process.

    Raises:
        LeavenError: the user's server does not answer.
    """
    prepare(verbose)
    if url := configured_api_url():
        demand(url)
        return None
    return start()


def demand(url: str) -> None:
    """Refuse to go on without the server at `url`.

    Raises:
        LeavenError: it does not answer.
    """
    if not answers(url):
        raise LeavenError(
            f"Prefect's server at {url} does not answer; start it (prefect server start), or unset PREFECT_API_URL to "
            f"have one started"
        )


def is_temporary() -> bool:
    """Whether this process talks to a temporary server that it has started itself."""
    return _temporary_url is not None and os.environ.get("PREFECT_API_URL") == _temporary_url


def start(port: int = 0, temporary: bool = True) -> Server:
    """Start a server for this process and point Prefect to it. Another port is taken where `port` is in use."""
    try:
        server = Server(port, temporary)
    except InputError:
        server = Server(0, temporary)
    # Prefect sends its last logs and events at exit; what is registered before its import is called after that.
    atexit.register(server.stop)
    if secret := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", secret)  # else it would refuse ourselves
    bypass_proxy()
    os.environ["PREFECT_API_URL"] = server.api_url
    global _temporary_url
    _temporary_url = server.api_url if temporary else None
    return server


def bypass_proxy() -> None:
    """Have HTTP clients reach a server on this machine directly, whatever proxy the environment names."""
    for key in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(key, "").split(",") if host]
        os.environ[key] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))
