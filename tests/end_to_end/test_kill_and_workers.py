"""A run killed with SIGKILL and resumed, by two workers, gives the bytes of an undisturbed one by one worker."""

import os
import signal
import time
from pathlib import Path

import pytest
from end_to_end import planted
from kill_and_resume import data_files, finish, stages, start

from leaven.pipelines.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]

RECIPE = """
name: killed
source: {kind: table, path: rows.csv}
task: {target: y}
candidates: [{generator: smote}]
amount: {ratio: 2.0}
shard_rows: 100
utility: {repeats: 1, learners: [logistic_regression], draws: 100, folds: 2}
device: cpu
"""


def test_equal_bytes_after_a_kill_and_with_other_workers(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
    planted.process(300, 5).to_csv(tmp_path / "rows.csv", index=False)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(recipe, whole)

    process = start(recipe, killed, "--workers", "2")
    work = killed / "killed" / ".work"
    until = time.monotonic() + 120
    while not any(name.startswith("sample-fold0") for name in stages(work)):
        assert process.poll() is None and time.monotonic() < until, "the run ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert Store(killed).names() == [], "half a version is visible"
    done = {name: (work / name / "record.json").stat().st_mtime_ns for name in stages(work)}

    finish(recipe, killed, "--workers", "2")
    again = {name for name in done if (work / name / "record.json").stat().st_mtime_ns != done[name]}
    assert not again, "finished stages were made again"
    assert data_files(killed, "killed") == data_files(whole, "killed")
    assert not list(work.glob(".making-*"))
