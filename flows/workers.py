"""Worker processes for work that would keep one processor busy, such as sampling shards.

Results do not depend on how many there are: libraries get the same number of threads in a worker and inline.
Workers are started without the parent's main module, so a training script needs no `if __name__ == "__main__"`,
and they end when their parent is gone, however it went.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from leaven.generators.errors import InputError, LeavenError
from leaven.generators.parallel import Each

if TYPE_CHECKING:
    from leaven.pipelines.recipe import Recipe

Result = TypeVar("Result")
Runner = Literal["local", "ray"]

CHECK_SECONDS = 0.5
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Workers:
    """`count` processes, or none for 1: then the work is done inline. Starts them when first needed.

    Safe to call from several threads; inline work is done one piece at a time.

    Attributes:
        places_gpus: whether a GPU is given to each piece of work where it is done, so that none is held here.
    """

    places_gpus = False

    def __init__(self, count: int = 1, threads: int = 1):
        """`threads`: threads that numeric libraries may use for one piece of work."""
        self.count, self.threads = count, threads
        self._pool: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=error is None, kill_workers=error is not None)
            self._pool = None

    def call(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """`function(*args, **options)` in a worker; waits for it. What it raises is raised here.

        Raises:
            LeavenError: the worker died, most often for lack of memory.
        """
        if self.count == 1:
            with self._lock:
                return limited(self.threads, function, args, options)
        return self._wait(self._start().submit(limited, self.threads, function, args, options))

    def map(self, function: Callable[[Any], Result], arguments: Iterable[Any]) -> list[Result]:
        """`function` of each argument, in order. The first error ends it.

        Raises:
            LeavenError: a worker died, most often for lack of memory.
        """
        if self.count == 1:
            return [self.call(function, argument) for argument in arguments]
        pool = self._start()
        futures = [pool.submit(limited, self.threads, function, (argument,), {}) for argument in arguments]
        try:
            return [self._wait(future) for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def stage(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        """A whole stage, which has its own threads: done here, where it has the machine to itself."""
        return function(*args, **options)

    @property
    def each(self) -> Each | None:
        """Like `map`, for the pieces of a stage that may be done elsewhere; None where there is no elsewhere."""
        return None

    def together(self, calls: Iterable[Callable[[], Result]]) -> list[Result]:
        """Calls that consist of several stages: one after the other, since stages are done here."""
        return [call() for call in calls]

    def _start(self) -> Any:
        with self._lock:
            if self._pool is None:
                from joblib.externals.loky import ProcessPoolExecutor

                self._pool = ProcessPoolExecutor(
                    max_workers=self.count,
                    initializer=_begin,
                    initargs=(os.getpid(),),
                    env={variable: str(self.threads) for variable in _THREAD_VARIABLES}
                    | {"OMP_WAIT_POLICY": "PASSIVE"},
                )
            return self._pool

    def _wait(self, future: Any) -> Any:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            return future.result()
        except BrokenProcessPool as error:
            raise LeavenError(
                "a worker process died, most often for lack of memory; fewer workers or smaller shard_rows need less"
            ) from error


def _begin(parent: int) -> None:
    """In a worker: watch the parent."""
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def end_with(parent: int) -> None:
    """End this process once `parent` is no longer its parent. For a thread of its own."""
    while os.getppid() == parent:
        time.sleep(CHECK_SECONDS)
    os._exit(1)


def end_with_server() -> None:
    """Watch from a thread whether `leaven serve`, if that started this process, is still there."""
    if os.environ.get("LEAVEN_SERVING_PID") == str(os.getppid()):
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def limited(
    threads: int, function: Callable[..., Result], args: tuple[Any, ...], options: dict[str, Any]
) -> Result:
    """Do the work with so many threads in numeric libraries, then put back what was before."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    with threadpool_limits(threads):
        if torch is not None:
            torch.set_num_threads(threads)
        try:
            return function(*args, **options)
        finally:
            if torch is not None:
                torch.set_num_threads(before)


def start(runner: Runner, recipe: "Recipe", work: Path, address: str | None = None) -> Workers:
    """The workers of a run.

    Args:
        runner: where the work is done: `local`, on this machine, or `ray`, on a Ray cluster.
        work: the run's folder.
        address: of the cluster; without one, a Ray is started on this machine.

    Raises:
        InputError: `address` is given without `ray`, nothing answers there, or Ray is not installed.
    """
    if runner == "local":
        if address:
            raise InputError(f"address: found '{address}'; expected none, since only the runner ray has one")
        return Workers(recipe.workers, threads=1)
    from leaven.flows.ray_workers import RayWorkers, demand
    from leaven.pipelines.run import resolve_device

    demand(address)
    gpus = 1 if resolve_device(recipe.device) == "cuda" else 0
    cpus = recipe.workers if recipe.workers > 1 else None
    return RayWorkers(work, address, cpus=cpus, threads=recipe.threads, gpus=gpus)
