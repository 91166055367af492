"""Whole runs through the command: what is printed, resumed, interrupted, and left behind by a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from leaven.flows import ending, starting
from leaven.flows.cli import app
from leaven.pipelines.release import Outcome

RECIPE = """
name: small
source: {kind: table, path: small.csv}
task: {target: y}
split: {validation: 0.3, test: 0.3}
candidates: [{generator: independent_columns}]
amount: {ratio: 0.5}
screen: {label_agreement: false}
utility: {repeats: 1, folds: 2, draws: 100, learners: [logistic_regression]}
device: cpu
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's home for the module's runs: its database is made once."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the command in a folder with a small recipe."""
    random = np.random.default_rng(3)
    x = random.normal(size=(240, 3)).round(3)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["y"] = np.where(x[:, 0] + random.normal(size=240) > 0.3, "yes", "no")
    frame.to_csv(tmp_path / "small.csv", index=False)
    (tmp_path / "small.yaml").write_text(RECIPE)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(home)

    def call(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "leaven.flows.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Tests that a shell runs in the background have SIGINT ignored, and their children would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return call


@pytest.mark.prefect
@pytest.mark.slow
def test_run_then_rerun(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    first = start("run", "small.yaml")
    out, err = first.communicate(timeout=200)
    assert first.returncode == 3, err  # independent columns help nobody
    assert out.startswith("small@") and "real + synthetic" in out and "report.html" in out
    assert "leaven:" not in err and "Traceback" not in err
    report = tmp_path / "data" / "store" / "small" / "versions"
    assert (tmp_path / out.split("report  ")[1].strip()).is_relative_to(report)

    again = start("run", "small.yaml", "--json", "--workers", "2")
    out, err = again.communicate(timeout=200)
    result = json.loads(out)
    assert again.returncode == 3 and result["verdict"] == "withheld" and result["new"] is False
    assert len(list(report.iterdir())) == 1
    assert "fit" not in err  # nothing was made again


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_end_from_outside_leaves_nothing_running(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, sent: signal.Signals, status: int
) -> None:
    one = start(
        "run", "small.yaml", "--set", "utility.repeats=50", "--set", "utility.learners=[random_forest]"
    )
    work = tmp_path / "data" / "store" / "small" / ".work"
    end = time.monotonic() + 120
    while not list(work.glob("split-*")):
        assert time.monotonic() < end and one.poll() is None
        time.sleep(0.05)
    children = psutil.Process(one.pid).children(recursive=True)
    assert children  # the server
    one.send_signal(sent)
    _, err = one.communicate(timeout=60)
    # Where it falls into a string that is being executed, Python ends itself by the signal: to a shell that is 130 too.
    assert one.returncode in (status, -sent)
    if sent == signal.SIGINT:
        assert err.splitlines()[-1] == "leaven: interrupted; what was finished is kept, a rerun resumes"
        assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert not (work.parent / "versions").exists() or not list((work.parent / "versions").iterdir())


def test_exit_status_is_the_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interval = {"value": 0.02, "low": 0.01, "high": 0.03}
    report = {
        "name": "small",
        "version": "1",
        "effect": "helps",
        "chosen": "smote",
        "rows": {"synthetic": 3},
        "utility": {"metric": "roc_auc", "arms": {"real": interval}, "lift": interval},
        "gates": [],
        "candidates": [],
    }
    monkeypatch.setattr(starting, "refuse", lambda path, overrides: (None, tmp_path))
    for verdict, status in (("released", 0), ("withheld", 3)):
        outcome = Outcome("1", verdict, tmp_path, {**report, "verdict": verdict})
        monkeypatch.setattr(starting, "run", lambda *_, outcome=outcome: outcome)
        assert ending.run(app, ["run", "small.yaml"]) == status
        assert ending.run(app, ["demo", "table"]) == 0  # whatever the verdict
    assert "+0.020 ROC AUC" in capsys.readouterr().out
