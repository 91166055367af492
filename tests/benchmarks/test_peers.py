"""What the table benchmarks share: rows judged between controls, fits in child processes, the printed table."""

from pathlib import Path

import numpy as np
import pandas as pd
import peers.child
import pytest
from peers.child import Asked, fitted, house_types
from peers.measure import Judge, reach
from peers.show import show
from peers.tables import Table, prepare

from leaven.generators.schema import Column, Schema
from leaven.pipelines.quality.controls import independent_columns
from leaven.pipelines.quality.encode import Encoder
from leaven.pipelines.quality.fidelity import Neighbourhoods


def process(rows: int, seed: int) -> pd.DataFrame:
    """Two numbers that hang together, a category that follows one of them, a label that follows both."""
    random = np.random.default_rng(seed)
    a = random.normal(size=rows)
    b = a + 0.5 * random.normal(size=rows)
    c = np.where(a + random.normal(size=rows) > 0, "high", "low")
    y = np.where(a + b + random.normal(size=rows) > 0, "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "c": c, "y": y})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("table")
    process(900, 1).to_csv(folder / "planted.csv", index=False)
    return prepare("planted", folder / "planted.csv", "y", None, folder / "made", 0, None)


def test_the_split_keeps_every_row_once_and_the_shares_of_the_classes(table: Table) -> None:
    train, test = table.frame("train"), table.frame("test")
    assert len(train) + len(test) == 900
    assert abs(len(test) - 300) <= 1
    together = pd.concat([train, test])[["a", "b"]].to_numpy()
    assert np.array_equal(np.sort(together[:, 0]), np.sort(process(900, 1)["a"].to_numpy()))
    assert abs((train.y == "yes").mean() - (test.y == "yes").mean()) < 0.01


def test_good_rows_come_out_at_the_floor_and_bad_ones_do_not(table: Table, tmp_path: Path) -> None:
    judge = Judge(table, 0, threads=1)
    floor, ceiling = (judge.controls(tmp_path)[name] for name in ("floor", "ceiling"))
    fresh = judge.judge(house_types(process(judge.rows, 2), table.schema))
    assert fresh["pair_trends"] < (floor["pair_trends"] + ceiling["pair_trends"]) / 2
    assert abs(fresh["detection"] - 0.5) < 0.1
    assert abs(fresh["tstr_gap"]["value"]) < 0.03
    assert fresh["privacy"]["copies"]["value"] == 0
    bad = judge.judge(independent_columns(judge.train, 3))
    assert bad["pair_trends"] > 3 * floor["pair_trends"]
    assert bad["detection"] > 0.7
    assert bad["tstr_gap"]["low"] > 0.1
    copied = judge.judge(judge.train)
    assert copied["privacy"]["copies"]["value"] == 1
    assert copied["privacy"]["worst_attack"]["value"] > 0.9


def test_kept_controls_are_those_that_were_measured(table: Table, tmp_path: Path) -> None:
    first = Judge(table, 0, threads=1)
    measured = first.controls(tmp_path)
    again = Judge(table, 0, threads=1)
    assert again.controls(tmp_path) == measured
    rows = process(first.rows, 4)
    rows = house_types(rows, table.schema)
    assert again.judge(rows) == first.judge(rows)


def test_reach_agrees_with_the_pipeline_and_knows_collapse(table: Table) -> None:
    train, test = table.frame("train"), table.frame("test")
    encoder, real = Encoder.fit(table.schema, train), train.iloc[: len(test)]
    found = reach(encoder, real, test)
    assert found["coverage"] == Neighbourhoods(encoder, real).coverage(test)
    assert 0.3 < found["beta_recall"] < 0.7  # a fresh row is as often the nearest as a real one
    assert reach(encoder, real, real)["beta_recall"] > 0.9
    assert reach(encoder, real, test.iloc[np.zeros(300, int)])["beta_recall"] < 0.1


def test_house_types_reads_what_libraries_give() -> None:
    schema = Schema(
        columns=(
            Column(name="n", type="integer", nullable=True),
            Column(name="flag", type="boolean"),
            Column(name="word", type="category", nullable=True),
        ),
        target="word",
    )
    frame = pd.DataFrame(
        {"word": ["a", np.nan], "flag": ["True", "False"], "n": [2.6, np.nan], "more": [1, 2]}
    )
    made = house_types(frame, schema)
    assert list(made) == ["n", "flag", "word"]
    assert made.n.tolist() == [3, pd.NA]
    assert made.flag.tolist() == [True, False]
    assert made.word.tolist() == ["a", None]


WORKER = """
import sys
sys.path.insert(0, {workers!r})
import time
import numpy as np
from harness import run
def fit(request):
    time.sleep(request.parameters.get("sleep", 0))
    if request.parameters.get("fail"):
        raise ValueError("cannot learn this")
    kept = np.ones(request.parameters.get("numbers", 1))
    return (kept, request.frame()), {{"notes": ["fitted"]}}
def sample(model, count, seed, request):
    time.sleep(request.parameters.get("sample_sleep", 0.5))
    return model[1].sample(count, replace=True, random_state=seed)
run(fit, sample)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "toy.py").write_text(WORKER.format(workers=str(peers.child.WORKERS)))
    monkeypatch.setattr(peers.child, "WORKERS", tmp_path)
    return "toy"


def test_a_child_gives_rows_seconds_and_peak_memory(table: Table, worker: str) -> None:
    plain = fitted(table, Asked("toy", 0, 30, 1, worker=worker), 50)
    assert plain.status == "done"
    assert plain.synthetic is not None and plain.synthetic.shape == (50, 4)
    assert plain.numbers["sample_seconds"] >= 0.5
    assert plain.numbers["notes"] == ["fitted"]
    large = fitted(table, Asked("toy", 0, 30, 1, worker=worker, parameters={"numbers": 40_000_000}), 50)
    grown = large.numbers["peak_memory_bytes"] - plain.numbers["peak_memory_bytes"]
    assert grown == pytest.approx(8 * 40_000_000, rel=0.2)


def test_a_child_is_ended_at_its_limit_and_says_where(table: Table, worker: str) -> None:
    slow = fitted(table, Asked("toy", 0, 0.3, 1, worker=worker, parameters={"sleep": 60}), 50)
    assert (slow.status, slow.synthetic) == ("over the limit (fit)", None)
    slow = fitted(table, Asked("toy", 0, 3, 1, worker=worker, parameters={"sample_sleep": 60}), 50)
    assert slow.status == "over the limit (sample)"


def test_a_child_that_fails_says_why(table: Table, worker: str) -> None:
    failed = fitted(table, Asked("toy", 0, 30, 1, worker=worker, parameters={"fail": True}), 50)
    assert failed.status == "failed (fit): ValueError: cannot learn this"


def test_every_line_of_the_table_has_all_columns(table: Table, tmp_path: Path) -> None:
    judge = Judge(table, 0, threads=1)
    controls = judge.controls(tmp_path)
    done = {"generator": "good", "seed": 0, "status": "done", "train_rows": 600, "whole": True}
    done |= {
        "fit_seconds": 1.0,
        "fit_cpu_seconds": 2.0,
        "sample_seconds": 1.0,
        "rows_per_second": 600.0,
        "peak_memory_bytes": 2**30,
    }
    done["judged"] = judge.judge(judge.train)
    slow = {"generator": "slow", "seed": 0, "status": "over the limit (fit)"}
    cell = {"metric": "roc_auc", "train": 600, "test": 300, "limit": 300.0, "threads": 2, "against": "train"}
    text = show("planted", cell | {"controls": [controls], "rows": [done, slow]})
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 6
    assert len({line.count("|") for line in lines}) == 1
    assert "over the limit (fit)" in lines[-1]
