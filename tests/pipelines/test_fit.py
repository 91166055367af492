"""Fits are reused, replayed, and made again when an earlier run had too little time for them."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators.catalog import CATALOG, Entry
from leaven.generators.contract import Budget, Fit, Generator
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.fit import fit
from leaven.pipelines.recipe import Candidate, Recipe
from leaven.pipelines.run import Run
from leaven.pipelines.task import Task

SCHEMA = Schema(columns=(Column(name="x", type="number"), Column(name="y", type="category")), target="y")
STEPS = 40


class Clocked(Generator):
    """Takes `STEPS` steps of 10 ms, unless the budget is spent before."""

    name, kind = "clocked", "table"

    def fit(self, rows: Rows, *, seed: int, budget: Budget | None = None, **_: Any) -> Fit:
        budget = budget or Budget()
        steps = 0
        while steps < STEPS and not budget.spent(steps):
            time.sleep(0.01)
            steps += 1
        return Fit(steps=steps, stopped_by="done" if steps == STEPS else "budget", rows=len(rows))

    def sample(self, count: int, **_: Any) -> pd.DataFrame:
        raise AssertionError("only fitted here")

    def save(self, directory: Path) -> None:
        (directory / "empty.json").write_text("{}")

    @classmethod
    def load(cls, directory: Path) -> "Generator":
        return cls()


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setitem(CATALOG, "clocked", Entry("table", f"{__name__}:Clocked", "for tests"))
    monkeypatch.setattr("leaven.generators.catalog.get", lambda name, kind=None: Clocked)
    path = tmp_path / "train.parquet"
    pq.write_table(to_arrow(pd.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"]}), SCHEMA), path)
    return [path]


def run(work: Path, replay: dict[str, int] | None = None) -> Run:
    recipe = Recipe.model_validate(
        {"name": "f", "source": {"kind": "table", "path": "x.csv"}, "task": {"target": "y"}}
    )
    task = Task(target="y", type="classification", metric="roc_auc", classes=("a", "b"), positive="b")
    return Run(recipe, work, SCHEMA, task, {"source": "s"}, "cpu", 4e9, replay)


CANDIDATE = Candidate(generator="clocked")


def test_a_fit_cut_by_a_nearly_spent_total_is_made_again_when_there_is_time(
    tmp_path: Path, train: list[Path]
) -> None:
    short = fit(run(tmp_path / "w"), CANDIDATE, train, part="fold0", seconds=0.05)
    assert short.result["stopped_by"] == "budget"
    again = fit(run(tmp_path / "w"), CANDIDATE, train, part="fold0", seconds=0.05)
    assert again.result == short.result, "with as little time it is reused"
    whole = fit(run(tmp_path / "w"), CANDIDATE, train, part="fold0", seconds=60)
    assert whole.result["stopped_by"] == "done" and whole.result["steps"] == STEPS


def test_a_replay_stops_at_the_recorded_step_and_never_by_the_clock(
    tmp_path: Path, train: list[Path]
) -> None:
    replayed = fit(run(tmp_path / "w", {"fold0/clocked": 3}), CANDIDATE, train, part="fold0", seconds=60)
    assert replayed.result["steps"] == 3
    uncut = fit(run(tmp_path / "w", {"fold0/clocked": 3}), CANDIDATE, train, part="certify", seconds=0.01)
    assert uncut.result["steps"] == STEPS
