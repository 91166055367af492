"""How strict the label screen should be is chosen on validation: wrong labels want a strict one, right ones none."""

from pathlib import Path
from typing import Any

import pytest
from end_to_end import planted

from leaven.flows.tasks import Stage
from leaven.flows.trials import Trials
from leaven.flows.workers import Workers
from leaven.generators.catalog import CATALOG, Entry
from leaven.pipelines.choose import Choice, Tried, choose
from leaven.pipelines.ingest import ingest
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.run import Run
from leaven.pipelines.split import split

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.write(tmp_path_factory.mktemp("planted"), train=150, held_out=1200)


@pytest.fixture(autouse=True)
def without_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in (("oracle", "Oracle"), ("sloppy", "Sloppy")):
        monkeypatch.setitem(CATALOG, name, Entry("table", f"end_to_end.planted:{path}", "for tests"))
    monkeypatch.setattr(
        Stage, "__call__", lambda self, *args, **options: self.function(*args, **options), raising=True
    )


def tried(folder: Path, work: Path, **settings: Any) -> tuple[Trials, Choice]:
    recipe = Recipe.model_validate(
        {
            "name": "curation",
            "source": {"kind": "table", "path": "train.csv"},
            "task": {"target": "y"},
            "split": {"validation_path": "validation.csv", "test_path": "test.csv"},
            "amount": {"ratio": 4.0},
            "utility": {"repeats": 1, "learners": ["logistic_regression", "boosted_tree"], "draws": 200},
            "gates": {"worst_attack": False},
            "threads": 1,
            **settings,
        }
    )
    source = ingest(recipe, folder, work)
    run = Run.start(recipe, work, source, 4e9)
    parts = split(recipe, source, work)
    trials = Trials(run, Workers(1, threads=1), parts, [Tried(one) for one in run.candidates(150)])
    trials.in_folds()
    return trials, choose(run, trials.baselines, trials.tried, 150)


def gains(choice: Choice) -> dict[Any, float]:
    return {one.screen.label_agreement: one.gain["value"] for one in choice.trials if one.screen and one.gain}


def test_turned_labels_want_a_strict_screen(folder: Path, tmp_path: Path) -> None:
    trials, choice = tried(folder, tmp_path, candidates=[{"generator": "sloppy"}])
    found = gains(choice)
    assert found["strict"] > found[False] + 0.01 and found["mild"] > found[False]
    assert choice.chosen is not None and choice.chosen.screen is not None
    assert choice.chosen.screen.label_agreement in ("mild", "strict")
    (one,) = trials.tried
    rows, rejected = one.counts(2)
    assert rows["kept"] == 600 and rows["sampled"] > 900 and rejected["label_agreement"] > 200
    assert one.counts(0)[0]["kept"] == 600 and "label_agreement" not in one.counts(0)[1]
    made = trials.again(choice, [trials.parts.path("train.parquet")], "certify")
    assert not isinstance(made, str)
    assert made[1].reasons["label_agreement"] > 0, "what is certified passes the screen that was chosen"


def test_right_labels_do_not(folder: Path, tmp_path: Path) -> None:
    _, choice = tried(folder, tmp_path, candidates=[{"generator": "oracle"}])
    found = gains(choice)
    assert choice.chosen is not None and choice.chosen.screen is not None
    assert choice.chosen.screen.label_agreement in (False, "mild")
    assert found[False] > found["strict"] - 0.01


def test_a_rerun_chooses_the_same(folder: Path, tmp_path: Path) -> None:
    first, choice = tried(folder, tmp_path / "a", candidates=[{"generator": "sloppy"}])
    again, same = tried(folder, tmp_path / "b", candidates=[{"generator": "sloppy"}])
    assert choice == same
    ways = [[one.tried[0].counts(number) for number in range(3)] for one in (first, again)]
    assert ways[0] == ways[1]
