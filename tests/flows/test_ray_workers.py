"""A Ray cluster of several nodes on this machine: equal bytes, clear errors, lost workers and nodes survived."""

import functools
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from end_to_end import planted
from kill_and_resume import data_files

from leaven.flows import ray_workers
from leaven.flows.ray_workers import RayWorkers
from leaven.flows.workers import Workers, start
from leaven.generators.errors import ConditionError, InputError, LeavenError
from leaven.pipelines import stage
from leaven.pipelines.amounts import Order, Plan
from leaven.pipelines.fit import fit
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Candidate, Recipe
from leaven.pipelines.run import Run
from leaven.pipelines.sample import sample
from leaven.pipelines.synthesize import synthesize

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'leaven[ray]'")

RECIPE = {
    "name": "spread",
    "source": {"kind": "table", "path": "rows.csv"},
    "task": {"target": "y"},
    "candidates": [{"generator": "smote"}, {"generator": "independent_columns"}],
    "amount": {"ratio": 2.0},
    "shard_rows": 100,
    "threads": 1,
    "utility": {"repeats": 1, "learners": ["logistic_regression"], "draws": 100, "folds": 2},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes of one processor each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # nodes import what this process can
        small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        for _ in range(2):
            made.add_node(**small)
        yield made
        made.shutdown()


@pytest.fixture
def workers(cluster: Any, tmp_path: Path) -> Iterator[RayWorkers]:
    with RayWorkers(tmp_path, cluster.address) as connected:
        yield connected


def squared(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0.0)
    return number**2


def node_of(_: int) -> str:
    time.sleep(0.5)
    return str(ray.get_runtime_context().get_node_id())


def refuse(number: int) -> int:
    if number == 1:
        raise ConditionError("colour=mauve is never made")
    return number


def die_once(folder: Path, number: int) -> int:
    """Dies half-way in a file, as if killed, the first time that it is asked for `number`."""
    begun = folder / f"begun-{number}"
    if not begun.exists():
        begun.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def stage_that_dies_once(work: Path, folder: Path, number: int) -> stage.Record:
    def make(out: Path) -> None:
        (out / "rows.txt").write_text("half")
        die_once(folder, number)
        (out / "rows.txt").write_text(f"whole {number}")

    return stage.run(work, f"fragile{number}", inputs={}, config={}, make=make)


def wait(folder: Path, number: int) -> int:
    """Waits for the file `go-on`; leaves a file that tells which node began it."""
    (folder / f"began-{number}-{ray.get_runtime_context().get_node_id()}").touch()
    until = time.monotonic() + 30
    while not (folder / "go-on").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return number


def run_of(work: Path, folder: Path) -> tuple[Run, list[Path]]:
    if not (folder / "rows.csv").exists():
        planted.process(300, 5).to_csv(folder / "rows.csv", index=False)
    recipe = Recipe.model_validate(RECIPE)
    source = ingest(recipe, folder, work)
    return Run.start(recipe, work, source, time.time()), [source.path("rows.parquet")]


def test_results_come_in_order_from_several_nodes_and_errors_as_they_were_raised(workers: RayWorkers) -> None:
    assert workers.count == 3
    assert workers.map(squared, range(8)) == [number**2 for number in range(8)]
    assert list(workers.each(squared, range(3))) == [0, 1, 4]
    assert len(set(workers.map(node_of, range(6)))) > 1
    with pytest.raises(ConditionError, match=r"^colour=mauve is never made$") as caught:
        workers.map(refuse, range(3))
    assert caught.value.exit_code == 2


def test_shards_and_screens_have_the_bytes_of_a_local_run(workers: RayWorkers, tmp_path: Path) -> None:
    def made(work: Path, pool: Workers) -> dict[str, list[str]]:
        run, train = run_of(work, tmp_path)
        candidate = Candidate(generator="smote")
        model = pool.stage(fit, run, candidate, train, part="test", seconds=60)
        plan = Plan(amount={"rows": 350}, orders=(Order(rows=350),))
        call = functools.partial(sample, run, candidate, model, plan, part="test")
        rows = synthesize(
            run,
            candidate,
            model,
            plan,
            train,
            part="test",
            sample_shards=lambda cut: pool.map(call, cut),
            each=pool.each,
        )
        assert len(rows.sampled) >= 4
        return {record.stage: [file.sha256 for file in record.files] for record in rows.records}

    with Workers(1) as inline:
        assert made(tmp_path / "local", inline) == made(tmp_path / "ray", workers)
    assert not list((tmp_path / "ray").glob(".making-*"))


def test_a_killed_worker_is_survived_and_leaves_no_half_written_file(
    workers: RayWorkers, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    call = functools.partial(stage_that_dies_once, work, tmp_path)
    records = workers.map(call, range(3))
    assert [record.path("rows.txt").read_text() for record in records] == ["whole 0", "whole 1", "whole 2"]
    assert len(list(tmp_path.glob("begun-*"))) == 3, "no worker died"
    visible = [path for path in work.iterdir() if not path.name.startswith(".making-")]
    assert sorted(visible) == sorted(record.folder for record in records)


def test_a_worker_that_always_dies_is_one_clear_error(workers: RayWorkers) -> None:
    with pytest.raises(LeavenError, match="a Ray worker was lost each of the 4 times"):
        workers.call(die, 1)


def test_a_lost_node_is_survived(cluster: Any, tmp_path: Path) -> None:
    doomed = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    results: list[int] = []
    with RayWorkers(tmp_path, cluster.address) as workers:
        call = functools.partial(wait, tmp_path)
        asked = threading.Thread(target=lambda: results.extend(workers.map(call, range(4))))
        asked.start()
        until = time.monotonic() + 30
        while len(list(tmp_path.glob("began-*"))) < 4:
            assert time.monotonic() < until, "the pieces did not begin on all four nodes"
            time.sleep(0.05)
        cluster.remove_node(doomed, allow_graceful=False)
        (tmp_path / "go-on").touch()
        asked.join(60)
    assert results == [0, 1, 2, 3]
    assert len(list(tmp_path.glob("began-*"))) == 5, "no piece was begun again on another node"


def test_a_node_without_the_disk_or_with_other_code_is_refused(workers: RayWorkers, tmp_path: Path) -> None:
    workers._token.unlink()  # as a node sees it that has another disk at this path
    with pytest.raises(InputError, match=f"does not see {tmp_path}; the store's disk must be shared"):
        workers.call(squared, 2)
    with pytest.raises(InputError, match="has another version of Leaven"):
        ray_workers._there("0" * 64, str(tmp_path), 1, squared, (2,), {})


def test_what_cannot_be_used_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.model_validate(RECIPE)
    with pytest.raises(InputError, match="only the runner ray has one"):
        start("local", recipe, tmp_path, "10.0.0.1:6379")
    with pytest.raises(InputError, match="address: found 'nonsense'; expected HOST:6379"):
        start("ray", recipe, tmp_path, "nonsense")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, but nobody listens
        with pytest.raises(InputError, match="no Ray cluster answers at 127"):
            start("ray", recipe, tmp_path, f"127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'leaven\[ray\]'"):
        start("ray", recipe, tmp_path)


@pytest.mark.prefect
def test_a_run_on_ray_releases_the_bytes_of_a_local_one(
    cluster: Any, prefect_server: None, tmp_path: Path
) -> None:
    from leaven.flows.augment import run_recipe

    planted.process(300, 5).to_csv(tmp_path / "rows.csv", index=False)
    recipe = Recipe.model_validate(RECIPE | {"screen": {"label_agreement": False}})
    local = run_recipe(recipe, tmp_path, str(tmp_path / "local"))
    spread = run_recipe(recipe, tmp_path, str(tmp_path / "ray"), runner="ray", address=cluster.address)
    assert data_files(tmp_path / "ray", "spread") == data_files(tmp_path / "local", "spread")
    told = ("verdict", "effect", "rows", "utility", "fidelity", "diversity", "privacy", "gates")
    assert {key: spread.report[key] for key in told} == {key: local.report[key] for key in told}
    contents = [json.loads((one.path / "manifest.json").read_text())["content"] for one in (local, spread)]
    assert contents[0] == contents[1]
