"""The whole flow on tables whose truth is known: what helps is released, what harms or leaks is not."""

import contextlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from end_to_end import planted

from leaven.flows import gpu, notify
from leaven.flows.decide import settle
from leaven.generators.catalog import CATALOG, Entry
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted.write(tmp_path_factory.mktemp("planted"), held_out=1000)


@pytest.fixture(autouse=True)
def known_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in (("oracle", "Oracle"), ("liar", "Liar")):
        monkeypatch.setitem(CATALOG, name, Entry("table", f"end_to_end.planted:{path}", "for tests"))


def recipe(generator: str, name: str = "planted", **settings: Any) -> Recipe:
    base: dict[str, Any] = {
        "name": name,
        "source": {"kind": "table", "path": "train.csv"},
        "task": {"target": "y"},
        "split": {"validation_path": "validation.csv", "test_path": "test.csv"},
        "candidates": [{"generator": generator}],
        "amount": {"ratio": 8.0},
        "utility": {"repeats": 2, "learners": ["logistic_regression", "random_forest"], "draws": 300},
    }
    return Recipe.model_validate(base | settings)


def run(asked: Recipe, folder: Path, store: Path) -> Any:
    from leaven.flows.augment import run_recipe

    return run_recipe(asked, folder, str(store))


def test_rows_from_the_true_process_help_and_are_released(
    prefect_server: None, folder: Path, tmp_path: Path
) -> None:
    outcome = run(recipe("oracle", screen={"label_agreement": False}), folder, tmp_path)
    report = outcome.report
    assert report["effect"] == "helps" and outcome.verdict == "released"
    assert report["utility"]["lift"]["low"] > 0
    assert report["chosen"]["generator"] == "oracle"
    assert Store(tmp_path).latest("planted") == outcome.version
    assert report["rows"]["synthetic"] > 0
    arms = report["utility"]["arms"]
    assert set(arms) >= {"real", "duplicates", "classic", "synthetic_only", "augmented", "classic_augmented"}
    assert all(arm["low"] <= arm["value"] <= arm["high"] for arm in arms.values())
    for part in ("fidelity", "diversity", "privacy"):
        for name, metric in report[part].items():
            assert {"value", "floor", "ceiling", "better", "what"} <= set(metric), name
    synthetic = pq.read_table(outcome.path / "data" / "synthetic")
    assert synthetic.column_names[-3:] == ["_generator", "_source_row", "_seed"]
    assert synthetic.num_rows == report["rows"]["synthetic"]


def test_a_person_decides_once_all_else_has_passed(
    prefect_server: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    stages: list[str] = []
    monkeypatch.setattr(notify, "emit", lambda message: told.append((message["version"], message["verdict"])))
    # As if all stages needed a GPU.
    monkeypatch.setattr(gpu, "draws", lambda run, candidate: True)
    monkeypatch.setattr(gpu, "measures", lambda run: True)
    monkeypatch.setattr(gpu, "devices", lambda: [gpu.Device(0, f"test-{tmp_path.name}")])
    monkeypatch.setattr(gpu, "_current", lambda index: contextlib.nullcontext())
    monkeypatch.setattr(gpu, "on", lambda index, function, *args, **options: function(*args, **options))
    held = gpu._slot

    def slot(device: Any) -> Any:
        stages.append(device.limit)
        return held(device)

    monkeypatch.setattr(gpu, "_slot", slot)
    asked = recipe("oracle", screen={"label_agreement": False}, gates={"approval": True})
    first = run(asked, folder, tmp_path)
    store, name = Store(tmp_path), f"planted@{first.version}"
    assert first.verdict == "withheld" and first.report["pending"] and store.latest("planted") is None
    assert [gate["gate"] for gate in first.report["gates"] if not gate["passed"]] == ["approval"]
    # Baseline, fit, sample and assess once; fit and sample for the certificate and for the worth; certify.
    assert len(stages) == 9 and len(set(stages)) == 1
    again = run(asked, folder, tmp_path)
    assert not again.new and again.verdict == "withheld" and told == [(first.version, "pending")]
    settle(store, name, True, "it helps", "Ada")
    assert store.latest("planted") == first.version
    assert run(asked, folder, tmp_path).verdict == "released"
    assert told == [(first.version, "pending"), (first.version, "released")]


def test_rows_with_wrong_labels_hurt_and_are_withheld(
    prefect_server: None, folder: Path, tmp_path: Path
) -> None:
    outcome = run(recipe("liar", screen={"label_agreement": False}), folder, tmp_path)
    assert outcome.report["effect"] == "hurts" and outcome.verdict == "withheld"
    assert outcome.report["chosen"] == "none" and outcome.report["certified"]["generator"] == "liar"
    assert Store(tmp_path).latest("planted") is None


def test_bootstrap_shows_no_lift_beyond_noise(prefect_server: None, folder: Path, tmp_path: Path) -> None:
    outcome = run(
        recipe("bootstrap", amount={"ratio": 1.0}, screen={"copies": False, "near_copies": False}),
        folder,
        tmp_path,
    )
    lift = outcome.report["utility"]["lift"]
    assert outcome.verdict == "withheld"
    assert abs(lift["value"]) < 0.03


def test_a_memoriser_is_stopped_by_privacy_though_its_rows_are_alike(
    prefect_server: None, folder: Path, tmp_path: Path
) -> None:
    outcome = run(recipe("memoriser", gates={"lift": {"min": -1.0}}), folder, tmp_path)
    failed = {gate["gate"] for gate in outcome.report["gates"] if not gate["passed"]}
    assert outcome.verdict == "withheld" and failed >= {"near_copies", "worst_attack"}
    assert Store(tmp_path).latest("planted") is None


def test_independent_columns_fail_fidelity(prefect_server: None, tmp_path: Path) -> None:
    folder = planted.write(tmp_path / "data", train=600)
    asked = recipe(
        "independent_columns", gates={"lift": {"min": -1.0}, "detection": {"max": 0.6}}, amount={"ratio": 1.0}
    )
    outcome = run(asked, folder, tmp_path / "store")
    gates = {gate["gate"]: gate["passed"] for gate in outcome.report["gates"]}
    assert gates["detection"] is False and outcome.verdict == "withheld"


def test_an_equal_rerun_makes_no_new_version_and_fits_nothing(
    prefect_server: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = recipe("oracle")
    first = run(asked, folder, tmp_path)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished fit was made again")

    monkeypatch.setattr(planted.Oracle, "fit", forbidden)
    again = run(asked, folder, tmp_path)
    assert again.version == first.version and not again.new
    assert Store(tmp_path).versions("planted") == [first.version]
