"""Worker processes: order, errors, threads, and an end when the parent is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from leaven.flows.workers import Workers
from leaven.generators.errors import ConditionError, LeavenError

PARENT = """
import sys, time
from pathlib import Path
from leaven.flows.workers import Workers

def hang(folder):
    import os
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

with Workers(2) as workers:
    workers.map(hang, [sys.argv[1], sys.argv[1]])
"""


def slow_first(number: int) -> tuple[int, int]:
    time.sleep(0.4 if number == 0 else 0.0)
    return number, os.getpid()


def refuse(number: int) -> int:
    if number == 1:
        raise ConditionError("colour=mauve is never made")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def threads(_: int) -> tuple[str | None, int]:
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_info

    return os.environ.get("OMP_NUM_THREADS"), max(
        (pool["num_threads"] for pool in threadpool_info()), default=0
    )


def test_one_worker_is_this_process_and_several_are_not() -> None:
    with Workers(1) as inline:
        assert inline.map(slow_first, [3, 4]) == [(3, os.getpid()), (4, os.getpid())]
    with Workers(2) as pool:
        results = pool.map(slow_first, range(6))
    assert [number for number, _ in results] == list(range(6))
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_arrives_as_it_was_raised(count: int) -> None:
    with Workers(count) as pool, pytest.raises(ConditionError, match="colour=mauve") as caught:
        pool.map(refuse, range(3))
    assert caught.value.exit_code == 2


def test_a_dead_worker_is_one_clear_error() -> None:
    with Workers(2) as pool, pytest.raises(LeavenError, match="worker process died"):
        pool.map(die, range(2))


def test_threads_are_the_same_inline_and_in_workers() -> None:
    with Workers(1, threads=1) as inline, Workers(2, threads=1) as pool:
        assert inline.map(threads, [0])[0][1] == 1
        assert pool.map(threads, [0, 1]) == [("1", 1), ("1", 1)]


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"  # without `if __name__ == "__main__"`, as people write them
    script.write_text(PARENT)
    folder = tmp_path / "pids"
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(folder)])
    end = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2:
        assert time.monotonic() < end and parent.poll() is None
        time.sleep(0.05)
    workers = [int(path.name) for path in folder.iterdir()]
    assert all(psutil.pid_exists(pid) for pid in workers)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < end, "workers outlive their parent"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
