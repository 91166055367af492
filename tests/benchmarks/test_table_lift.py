"""The lift benchmark: cells are as stated, planted lifts come out as planted, and its choice is the pipeline's."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import table_lift
from lift import cells, stages, summary, tables, unit
from lift.cells import Dataset, NotRun

PLANTED = Dataset("planted", "y", "planted.csv")


def table(rows: int, seed: int = 0, share: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < share
    return pd.DataFrame(
        {
            "x": (rng.normal(size=rows) + y).round(5).astype(str),
            "k": rng.choice(["a", "b"], rows),
            "y": np.where(y, "yes", "no"),
        }
    )


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    table(1200).to_csv(tmp_path / "planted.csv", index=False)
    return tmp_path


def test_cells_have_the_rows_that_they_are_named_after(folder: Path) -> None:
    drawn, test = cells.draw(folder, PLANTED, "n_100", 0)
    counts = drawn["y"].value_counts()
    share = pd.read_csv(folder / "planted.csv")["y"].eq("yes").mean()
    assert len(drawn) == 100 and counts["yes"] == round(100 * share)
    assert len(test) == pytest.approx(600, abs=1) and test["y"].eq("yes").mean() == pytest.approx(
        share, abs=0.01
    )
    drawn, _ = cells.draw(folder, PLANTED, "minority_30", 0)
    assert drawn["y"].value_counts()["yes"] == 30
    assert drawn["y"].value_counts()["no"] == pytest.approx(1200 * (1 - share) / 2, abs=1)


def test_no_row_stands_in_test_too_and_larger_cells_hold_smaller_ones(folder: Path) -> None:
    twice = pd.concat([table(600), table(600)])  # every row has a copy
    twice.to_csv(folder / "planted.csv", index=False)
    cells.load.cache_clear()
    small, test = cells.draw(folder, PLANTED, "n_50", 3)
    large, again = cells.draw(folder, PLANTED, "n_100", 3)
    other, _ = cells.draw(folder, PLANTED, "n_50", 4)
    assert test.equals(again)
    as_sets = [set(map(tuple, frame.to_numpy())) for frame in (small, large, test, other)]
    assert as_sets[0] <= as_sets[1] and not as_sets[1] & as_sets[2] and as_sets[0] != as_sets[3]


@pytest.mark.parametrize(
    ("cell", "counts", "why"),
    [
        ("n_1000", {"a": 1000, "b": 500}, "more than half of the table"),
        ("n_50", {"a": 10_000, "b": 200}, "1 rows of the minority"),
        ("minority_100", {"a": 10_000, "b": 150}, "more than half of the minority"),
    ],
)
def test_a_table_too_small_is_not_run_and_says_why(cell: str, counts: dict[str, int], why: str) -> None:
    with pytest.raises(NotRun, match=why):
        cells.sizes(cell, counts)


def test_holm_steps_down() -> None:
    assert summary.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def planted_records(lifts: dict[str, float], seeds: int = 10, none: bool = False) -> list[dict[str, Any]]:
    """Records in which each arm has a known lift in every cell, with a noise of 0.01."""
    rng = np.random.default_rng(5)
    made = []
    for seed in range(seeds):
        for cell in ("n_50", "n_1000", "minority_10", "minority_30"):
            arms = {"real": 0.8} | {arm: 0.8 + lift + 0.01 * rng.normal() for arm, lift in lifts.items()}
            made.append(
                {
                    "dataset": "adult",
                    "cell": cell,
                    "seed": seed,
                    "metric": "roc_auc",
                    "failed": {},
                    "commit": "c",
                    "code": "d",
                    "settings": {},
                    "seconds": {"all": 1.0},
                    "arms": {arm: {"value": value, "roc_auc": value} for arm, value in arms.items()},
                    "leaven": {"chosen": None if none else "smote"},
                }
            )
    return made


def test_planted_lifts_are_told_apart_from_noise() -> None:
    lifts = {"leaven": 0.05, "smote": 0.0, "ctgan": -0.05}
    made = summary.summary(planted_records(lifts))
    effects = {arm: {cell[arm]["effect"] for cell in made["cells"].values()} for arm in lifts}
    assert effects == {"leaven": {"clearly helps"}, "smote": {""}, "ctgan": {"hurts"}}
    for arm, lift in lifts.items():
        assert made["means"][arm]["all"]["lift"] == pytest.approx(lift, abs=0.006)
    assert list(made["versus"]) == ["smote", "ctgan"]  # the nearest first
    assert all(target["met"] for target in made["targets"]) and len(made["targets"]) == 6
    assert "MISSED" not in tables.text(made) and "ctgan" in tables.text(made)


def test_a_default_that_loses_misses_its_targets() -> None:
    lifts = {"leaven": -0.05, "smote": 0.0}
    made = summary.summary(planted_records(lifts, none=True))
    assert not any(target["met"] for target in made["targets"])
    assert made["none"]["low"] == {"share": 1.0, "runs": 30, "chosen": {"none": 30}}


def test_means_compare_only_cells_that_both_ran() -> None:
    records = planted_records({"leaven": 0.01, "ctgan": -0.1})
    for record in records:
        if record["cell"] != "n_50" or record["seed"] > 2:
            del record["arms"]["ctgan"]
    versus = summary.summary(records)["versus"]["ctgan"]
    assert (versus["cells"], versus["seeds"]) == (1, 3) and versus["lift"] == pytest.approx(0.11, abs=0.02)


def test_the_error_of_a_mean_of_few_seeds_is_that_of_cells() -> None:
    few = summary.summary(planted_records({"leaven": 0.01}, seeds=2))
    assert (
        few["means"]["leaven"]["all"]["se_of"] == "cells"
        and "c" in tables.text(few).split("seeds   leaven")[1]
    )
    met = [target["met"] for target in few["targets"]]
    assert met.count(None) == 3 and tables.text(few).count("\nopen  ") == 3  # what needs seeds to be told
    assert summary.summary(planted_records({"leaven": 0.01}))["means"]["leaven"]["all"]["se_of"] == "seeds"


def test_every_seed_is_whole_before_the_next_and_slow_ones_come_last() -> None:
    options = argparse.Namespace(
        datasets=["adult"], cells=["n_50", "n_100"], seeds=2, arms=["leaven"], slow=["ctgan"], slow_seeds=1
    )
    order = [(job.seed, job.cell, job.group) for job in table_lift.jobs(options)]
    assert order[:4] == [(seed, cell, "quick") for seed in (0, 1) for cell in ("n_50", "n_100")]
    assert order[4:] == [(0, "n_50", "ctgan"), (0, "n_100", "ctgan")]


def test_every_job_is_run_once_and_none_that_is_too_small(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cells.DATASETS, "planted", PLANTED)
    ran = []

    def fake(job: table_lift.Job, *_: Any) -> tuple[table_lift.Job, str]:
        ran.append(job)
        return job, "done"

    monkeypatch.setattr(table_lift, "one", fake)
    monkeypatch.setattr(table_lift, "ProcessPoolExecutor", lambda workers, **_: ThreadPoolExecutor(workers))
    options = argparse.Namespace(
        data=folder, datasets=["planted"], cells=["n_50", "n_100", "n_1000", "minority_30"], seeds=2,
        arms=["leaven"], slow=["ctgan"], slow_seeds=1, workers=2, minutes=60, repeats=1, fit=1.0,
        venvs=folder, recipe={}, majority=1000,
    )  # fmt: skip
    table_lift.run(options, folder)
    names = [f"{job.cell} {job.seed} {job.group}" for job in ran]
    quick = [f"{cell} {seed} quick" for seed in (0, 1) for cell in ("n_50", "n_100", "minority_30")]
    assert sorted(names) == sorted(quick + [f"{cell} 0 ctgan" for cell in ("n_50", "n_100", "minority_30")])


def test_one_cell_is_measured_and_taken_up_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cells.DATASETS, "planted", PLANTED)
    arms = ("controls", "leaven", "independent_columns")
    job = table_lift.Job("planted", "n_50", 0, "quick", arms)
    asked = unit.Asked(folder, recipe={"utility": {"repeats": 1, "draws": 100}})
    table_lift.one(job, asked, folder)
    record = json.loads(job.path(folder).read_text())
    assert table_lift.finished(job.path(folder), arms, asked.settings)
    assert not table_lift.finished(job.path(folder), ["leaven"], asked.settings)
    assert not table_lift.finished(job.path(folder), arms, {**asked.settings, "majority": 7})
    found = record["arms"]
    assert {"real", "duplicates", "classic: class_weights", "leaven"} <= set(found)
    assert found["real"]["rows"] == 50 and found["duplicates"]["rows"] == 100
    assert any(name.startswith("independent_columns") for name in found)
    chosen = record["leaven"]["chosen"]
    assert found["leaven"] == found["leaven: best" if chosen else "real"]
    assert record["leaven"]["folds"] == 20 and all("gain" in trial for trial in record["leaven"]["trials"])
    again = unit.measure(asked, PLANTED, "n_50", 0, ["controls"])["arms"]
    assert len(again) == 5 and again == {name: found[name] for name in again}  # equal seeds, equal scores


def test_quicker_forests_are_the_same_forests() -> None:
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)

    def forest() -> np.ndarray:
        return RandomForestClassifier(20, random_state=1).fit(x, y).predict_proba(x)

    before = forest()
    stages.quicker_forests()
    assert np.array_equal(before, forest())
