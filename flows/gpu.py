"""GPU stages take turns: each holds a slot of its device, and another one waits instead of running out of memory.

Two things hold a slot. A lock of the operating system stands for all processes of this machine and dies with its
process. A global concurrency limit of Prefect, `leaven-gpu-<the device's UUID>`, stands for containers that share a
device but no disk, and shows on Prefect's page who has it; its lease is renewed, and expires once its process is gone.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.flows import prefect_setup
from leaven.pipelines.recipe import TUNED

if TYPE_CHECKING:
    from leaven.pipelines.recipe import Candidate
    from leaven.pipelines.run import Run

# What never uses a GPU. A generator that is not named here takes a slot: to wait is better than to die.
WITHOUT = {
    *("smote", "bootstrap", "independent_columns", "memoriser", "gaussian_copula"),
    *("policy", "class_words", "edits"),
}
LEASE_SECONDS = 60.0  # the least that Prefect knows
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Device:
    """A GPU that this process may use. `name` is the same for everybody who sees it."""

    index: int
    name: str
    free: int = 0  # bytes

    @property
    def limit(self) -> str:
        """The name of its limit in Prefect."""
        return f"leaven-gpu-{self.name}"


def draws(run: "Run", candidate: "Candidate") -> bool:
    """Whether the candidate is fitted and sampled on a GPU."""
    table_only = candidate.generator == "distillation" and run.recipe.source.kind != "image"
    return run.device == "cuda" and candidate.generator not in WITHOUT and not table_only


def measures(run: "Run") -> bool:
    """Whether learners, and screens of images, use a GPU."""
    learners = run.recipe.utility.learners or ()
    tuned = any(name.startswith(TUNED) for name in learners)
    return run.device == "cuda" and (run.recipe.source.kind == "image" or tuned)


def devices() -> list[Device]:
    """The GPUs that this process sees, the one with most free memory first. Leaves no mark on any of them."""
    import torch

    names = [_uuid(torch.cuda.get_device_properties(index)) for index in range(torch.cuda.device_count())]
    known = [name or f"{socket.gethostname()}-{index}" for index, name in enumerate(names)]
    free = _free_memory()
    found = [Device(index, name, free.get(name, 0)) for index, name in enumerate(known)]
    return sorted(found, key=lambda device: (-device.free, device.index))


def _uuid(properties: Any) -> str:
    return str(getattr(properties, "uuid", ""))


def _free_memory() -> dict[str, int]:
    """UUID -> bytes. torch would have to take memory of a device in order to ask it."""
    command = ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        pairs = [line.split(",") for line in told.splitlines() if line.strip()]
        return {uuid.strip().removeprefix("GPU-"): int(free) * 2**20 for uuid, free in pairs}
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}


class Gpu:
    """The device of one run: chosen when first needed, by free memory, and kept, since models stay on it."""

    def __init__(self) -> None:
        self.chosen: Device | None = None
        self._holding = False

    @property
    def index(self) -> int | None:
        """For worker processes, which have to be told."""
        return self.chosen.index if self.chosen else None

    @contextlib.contextmanager
    def held(self, needed: bool = True, count: int = 1) -> Iterator[float]:
        """Hold the device, or `count` of them, for the block, if it needs one; yields the seconds that were waited."""
        if not needed or self._holding:
            yield 0.0
            return
        began = time.monotonic()
        self._holding = True
        try:
            with contextlib.ExitStack() as stack:
                for device in self._lock(stack, count):
                    stack.enter_context(_slot(device))
                stack.enter_context(_current(self.index))
                yield time.monotonic() - began
        finally:
            self._holding = False

    def _lock(self, stack: contextlib.ExitStack, count: int) -> list[Device]:
        """Wait for the locks. Several are taken in one order by all, so that nobody waits in a circle."""
        if count > 1:  # a training over several devices takes the first ones
            several = sorted(
                sorted(devices(), key=lambda device: device.index)[:count], key=lambda one: one.name
            )
            for device in several:
                _wait_for(stack, [device])
            return several
        self.chosen = _wait_for(stack, [self.chosen] if self.chosen else devices())
        return [self.chosen]


def _wait_for(stack: contextlib.ExitStack, wanted: list[Device]) -> Device:
    """The first of the devices that is free, locked until the stack ends."""
    import filelock

    told = False
    while True:
        for device in wanted:
            path = Path(tempfile.gettempdir()) / f"{device.limit}.lock"
            lock = filelock.FileLock(path, mode=0o666)
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                continue
            except OSError:  # another user's file: Prefect's limit still stands
                return device
            stack.callback(lock.release)
            return device
        if not told:
            _say(f"waits for a GPU: {', '.join(device.name for device in wanted)} in use by another stage")
            told = True
        time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def _slot(device: Device) -> Iterator[None]:
    """A slot of the device's limit on a server that lasts. A temporary one knows of nobody else."""
    from leaven.flows import artifacts

    if prefect_setup.is_temporary() or not artifacts.in_run():
        yield
        return
    from prefect.concurrency.sync import concurrency

    ensure_limit(device)
    with concurrency(device.limit, occupy=1, lease_duration=LEASE_SECONDS, strict=False):
        yield


def ensure_limit(device: Device) -> None:
    """Have the server know that one stage at a time uses the device; a limit that stands there is left as it is."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError

    with get_client(sync_client=True) as client:
        known = {limit.name for limit in client.read_global_concurrency_limits(limit=200)}
        if device.limit in known:
            return
        try:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=device.limit, limit=1))
        except ObjectAlreadyExists:
            pass
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 409:  # made by another run just now
                raise


@contextlib.contextmanager
def _current(index: int | None) -> Iterator[None]:
    """`cuda` means this device in the block; what torch kept of its memory is given back after it."""
    if index is None:
        yield
        return
    import torch

    with torch.cuda.device(index):
        try:
            yield
        finally:
            torch.cuda.empty_cache()


def on(index: int | None, function: Any, *args: Any, **options: Any) -> Any:
    """Call a function with `cuda` meaning this device; None changes nothing. For worker processes."""
    if index is None:
        return function(*args, **options)
    with _current(index):
        return function(*args, **options)


def forgiven(run: "Run", waited: float) -> "Run":
    """The run with as much more time as it had to wait for a device."""
    return replace(run, deadline=run.deadline + waited) if waited > 1 else run


def _say(text: str) -> None:
    from leaven.flows import artifacts

    if artifacts.in_run():
        from prefect.logging import get_run_logger

        with contextlib.suppress(Exception):
            get_run_logger().info("pid %s %s", os.getpid(), text)
