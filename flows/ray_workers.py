"""The work of a run on a Ray cluster: shards, screens, candidates, and the fits of the utility arms.

Ray tasks beneath the stages, in place of Prefect's `RayTaskRunner`: Prefect stays on the machine that runs the flow,
so that nodes need neither its server nor its start-up time. Files go through a disk that all nodes share.
"""

import contextlib
import contextvars
import functools
import importlib.util
import itertools
import os
import signal
import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from leaven.flows.workers import Result, Workers, limited
from leaven.generators.errors import InputError, LeavenError
from leaven.generators.parallel import Each
from leaven.pipelines import stage

RETRIES = 3  # times that a piece of work is begun again when its process or its node is lost
OBJECT_STORE_BYTES = 256 * 2**20  # of a Ray of our own: shards go through files, and the rest spills to disk
CONNECT_SECONDS = 10.0
TOKEN = ".ray-"  # a file in the run's folder, by which a node knows that it has the same disk
AHEAD = 2  # pieces of work per processor that are handed out at once

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Unless told, Ray begins a piece that is out of memory again for ever.
    "RAY_task_oom_retries": str(RETRIES),
}


class RayWorkers(Workers):
    """Processes of a Ray cluster, in place of processes of this machine. Safe to call from several threads.

    Without an address (nor `RAY_ADDRESS`) a Ray is started on this machine, and stopped at the end. A Ray that this
    process is connected to already is used as it is.
    """

    places_gpus = True

    def __init__(
        self,
        folder: Path,
        address: str | None = None,
        cpus: int | None = None,
        threads: int = 1,
        gpus: int = 0,
    ):
        """
        Args:
            folder: the run's work, which every node must have at the same path.
            address: `HOST:6379`, `auto` or `ray://HOST:10001`; see `ray.init`.
            cpus: of a Ray that is started here; all of the machine when left out.
            threads: of a stage, and so the processors that it takes; a shard takes one.
            gpus: that each piece of work takes.
        """
        super().__init__(count=1, threads=1)
        self.folder, self.address, self.cpus, self.gpus = folder, address, cpus, gpus
        self.stage_threads = threads
        self._token = folder / f"{TOKEN}{uuid.uuid4().hex}"
        self._mine = False

    def __enter__(self) -> "RayWorkers":
        """Connect.

        Raises:
            InputError: no cluster can be used, or it has no GPU where one is needed.
        """
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        import ray

        self._mine = not ray.is_initialized()
        if self._mine:
            self._connect()
        try:
            self._look()
            for left in self.folder.glob(f"{TOKEN}*"):  # by a run that was killed
                left.unlink(missing_ok=True)
            self._token.touch()
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._token.unlink()
        self._disconnect()

    def call(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """`function(*args, **options)` on some node; waits for it. What it raises is raised here.

        Raises:
            InputError: the node lacks the work's folder, or has other code.
            LeavenError: its process died each time that it was tried.
        """
        return self._get(self._submit(self.threads, function, args, options))

    def map(self, function: Callable[[Any], Result], arguments: Iterable[Any]) -> list[Result]:
        """`function` of each argument, in order. The first error ends it. Raises what `call` does."""
        return list(self._each(self.threads, function, arguments))

    def stage(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """A whole stage on some node, without its progress. Raises what `call` does."""
        options.pop("progress", None)
        return self._get(self._submit(self.stage_threads, function, args, options))

    @property
    def each(self) -> Each:
        """Like `map`, each argument on some node with a stage's threads. Raises what `call` does."""
        return functools.partial(self._each, self.stage_threads)

    def together(self, calls: Iterable[Callable[[], Result]]) -> list[Result]:
        """Calls that wait for stages most of the time: beside each other, in threads of this process."""
        asked = list(calls)
        threads = ThreadPoolExecutor(max(len(asked), 1))
        try:
            # Prefect knows by its context which run a task belongs to.
            futures = [threads.submit(contextvars.copy_context().run, call) for call in asked]
            return [future.result() for future in futures]
        finally:  # whoever interrupts a run does not wait for stages that others go on with
            threads.shutdown(wait=False, cancel_futures=True)

    def _each(
        self, threads: int, function: Callable[[Any], Result], arguments: Iterable[Any]
    ) -> Iterator[Result]:
        import ray

        shared = ray.put(function)  # sent to a node once
        waiting: deque[Any] = deque()
        left = iter(arguments)
        window = max(AHEAD * self.count, AHEAD)
        while True:
            for argument in itertools.islice(left, window - len(waiting)):
                waiting.append(self._submit(threads, shared, (argument,), {}))
            if not waiting:
                return
            yield self._get(waiting.popleft())

    def _submit(self, threads: int, function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """A reference to the result, at once."""
        import ray

        task = ray.remote(_there).options(
            num_cpus=min(threads, self._largest),
            num_gpus=self.gpus,
            max_retries=RETRIES,
            name=getattr(function, "__name__", "piece"),
        )
        return task.remote(stage.code_digest(), str(self._token), threads, function, args, options)

    def _get(self, reference: Any) -> Any:
        import ray
        from ray import exceptions

        try:
            return ray.get(reference)
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, LeavenError):
                raise error.cause from None
            raise
        except exceptions.RayError as error:
            raise LeavenError(
                f"a Ray worker was lost each of the {RETRIES + 1} times that a piece of work was tried, most often for "
                f"lack of memory; smaller shard_rows need less ({type(error).__name__})"
            ) from error

    def _connect(self) -> None:
        import ray

        given = self.address or os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if not given or given == "local":
            options |= {
                "num_cpus": self.cpus,
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
            }
        try:
            with _own_signals():
                ray.init(given or "local", **options)  # without a word it would join a Ray that runs here
        except Exception as error:  # some of Ray's are of no kind at all
            where = f"no Ray cluster can be used at {given}" if given else "Ray cannot be started here"
            told = str(error).strip().splitlines()
            raise InputError(f"runner ray: {where}: {told[0] if told else type(error).__name__}") from error

    def _look(self) -> None:
        """Know what the cluster has."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.count = max(1, int(sum(node.get("CPU", 0) for node in nodes)))
        # A task that asks for more than any node has would wait for ever.
        self._largest = max(1.0, max((node.get("CPU", 0) for node in nodes), default=0))
        if self.gpus > max((node.get("GPU", 0) for node in nodes), default=0):
            raise InputError(
                "runner ray: the run is on cuda, but no node of the Ray cluster has a GPU; set device: cpu"
            )

    def _disconnect(self) -> None:
        if self._mine:
            import ray

            ray.shutdown()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray has SIGTERM end the process at once; it ends a command of ours the way Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def demand(address: str | None = None) -> None:
    """See to it that Ray is there and that a cluster answers, without importing Ray, which would try for minutes.

    Raises:
        InputError: Ray is not installed, or nothing answers at the address (or `RAY_ADDRESS`).
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("runner ray: Ray is not installed; pip install 'leaven[ray]'")
    given = address or os.environ.get("RAY_ADDRESS")
    if not given or given in ("auto", "local"):
        return
    host, _, port = given.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"address: found '{given}'; expected HOST:6379, ray://HOST:10001, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"runner ray: no Ray cluster answers at {given}: {error}") from error


def _there(
    code: str,
    token: str,
    threads: int,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> Any:
    """On a node: do the work, once the node is known to have the same code and the same disk."""
    node = socket.gethostname()
    if stage.code_digest() != code:
        raise InputError(
            f"runner ray: node {node} has another version of Leaven or of its libraries than the machine that runs the "
            "flow; install the same on all"
        )
    if not Path(token).exists():
        raise InputError(
            f"runner ray: node {node} does not see {Path(token).parent}; the store's disk must be shared by all nodes, "
            "at the same path"
        )
    return limited(threads, function, args, options)
