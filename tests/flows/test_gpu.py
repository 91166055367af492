"""Stages that need a GPU take turns on it. No GPU is needed here: what there is, is said by the test."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leaven.flows import gpu
from leaven.pipelines.recipe import Candidate

# Processes that hold a device made up by the test, and note when. `contained`: as from containers that share no disk.
HOLDER = """
import contextlib, json, sys, time
from pathlib import Path
from leaven.flows import gpu
note, seconds, contained, names = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "contained", sys.argv[4:]
gpu.devices = lambda: [gpu.Device(index, name) for index, name in enumerate(names)]
gpu._current = lambda index: contextlib.nullcontext()
if contained:
    gpu._wait_for = lambda stack, wanted: wanted[0]

def hold():
    with gpu.Gpu().held() as waited:
        begun = time.time()
        note.with_suffix(".begun").touch()
        time.sleep(seconds)
        note.write_text(json.dumps([begun, time.time(), waited]))

if contained:
    from prefect import flow
    flow(hold, name="holds")()
else:
    hold()
"""


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def hold(tmp_path: Path) -> Any:
    """Starts a process that holds the first free of some devices for some seconds."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(note: str, seconds: float, *names: str, contained: bool = False) -> subprocess.Popen[bytes]:
        how = "contained" if contained else "alone"
        command = [sys.executable, "-c", HOLDER, str(tmp_path / note), str(seconds), how, *names]
        begun.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def held(folder: Path, *notes: str) -> list[list[float]]:
    return sorted(json.loads((folder / note).read_text()) for note in notes)


def test_two_processes_take_turns(hold: Any, name: str, tmp_path: Path) -> None:
    for process in [hold("a", 1.5, name), hold("b", 1.5, name)]:
        assert process.wait(60) == 0
    (_, first_end, _), (second_begin, _, waited) = held(tmp_path, "a", "b")
    assert second_begin >= first_end and waited > 0.1


def test_each_takes_a_device_of_its_own_where_there_are_two(hold: Any, name: str, tmp_path: Path) -> None:
    hold("a", 30, name, f"{name}-b")
    wait_for((tmp_path / "a.begun").exists)
    assert hold("b", 0.1, name, f"{name}-b").wait(60) == 0
    assert held(tmp_path, "b")[0][2] < 0.5


def test_a_killed_one_gives_it_back(hold: Any, name: str, tmp_path: Path) -> None:
    first = hold("a", 60, name)
    wait_for((tmp_path / "a.begun").exists)
    second = hold("b", 0.1, name)
    time.sleep(2)
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    assert second.wait(20) == 0 and not (tmp_path / "a").exists()


@pytest.mark.prefect
@pytest.mark.slow
def test_containers_take_turns_by_a_limit_of_prefect(
    prefect_server: None, hold: Any, name: str, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL

    os.environ["PREFECT_API_URL"], before = PREFECT_API_URL.value() or "", os.environ.get("PREFECT_API_URL")
    try:
        holders = [hold(note, 2, name, contained=True) for note in "ab"]
        assert [process.wait(120) for process in holders] == [0, 0]
    finally:
        os.environ.pop("PREFECT_API_URL") if before is None else os.environ.update(PREFECT_API_URL=before)
    (_, first_end, _), (second_begin, _, _) = held(tmp_path, "a", "b")
    assert second_begin >= first_end - 0.05
    with get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name(f"leaven-gpu-{name}")
    assert limit.limit == 1 and limit.active_slots == 0


def stub(kind: str = "table", device: str = "cuda", learners: Any = None) -> Any:
    recipe = SimpleNamespace(source=SimpleNamespace(kind=kind), utility=SimpleNamespace(learners=learners))
    return SimpleNamespace(device=device, recipe=recipe)


@pytest.mark.parametrize(
    ("run", "generator", "drawn", "measured"),
    [
        (stub(), "autoregressive", True, False),
        (stub(device="cpu"), "autoregressive", False, False),
        (stub(), "smote", False, False),
        (stub(), "distillation", False, False),
        (stub("image"), "distillation", True, True),
        (stub("image", "cpu"), "diffusion", False, False),
        (stub("text"), "language_model", True, False),
        (stub("text", learners=["transformer:small"]), "edits", False, True),
    ],
)
def test_only_stages_that_use_a_gpu_hold_one(run: Any, generator: str, drawn: bool, measured: bool) -> None:
    assert (gpu.draws(run, Candidate(generator=generator)), gpu.measures(run)) == (drawn, measured)


def test_the_free_device_is_found_by_memory_and_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import torch

    ids = [f"{name}-{letter}" for letter in "abc"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=ids[index]))
    monkeypatch.setattr(gpu, "_current", lambda index: contextlib.nullcontext())
    told = "\n".join(f"GPU-{one}, {free}" for one, free in zip(ids, (100, 900, 500), strict=True))
    answer = SimpleNamespace(stdout=told)
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: answer)
    assert [device.index for device in gpu.devices()] == [1, 2, 0]
    one, other = gpu.Gpu(), gpu.Gpu()
    with one.held(), other.held():
        assert (one.index, other.index) == (1, 2)
    answer.stdout = told.replace("900", "1")
    with one.held(), one.held():  # models of the run lie on it; within a stage it is not waited for again
        assert one.index == 1
    with gpu.Gpu().held(count=3), pytest.raises(TimeoutError):
        monkeypatch.setattr(gpu.time, "sleep", lambda _: (_ for _ in ()).throw(TimeoutError))
        with gpu.Gpu().held():
            pass
