"""The whole flow on images whose truth is known: what helps is released, what harms or leaks is not."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from end_to_end import planted_images
from PIL import Image

from leaven.generators.catalog import CATALOG, Entry
from leaven.pipelines.kinds.image import learners
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.store import Store

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planted_images.write(tmp_path_factory.mktemp("planted"))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "SMALL_STEPS", 80)
    for name, of in (("oracle", "Oracle"), ("liar", "Liar")):
        monkeypatch.setitem(CATALOG, name, Entry("image", f"end_to_end.planted_images:{of}", "for tests"))


# What a network learns of good images is seen once; what harms or leaks is seen by any learner.
QUICK = {"repeats": 2, "draws": 300, "folds": 2, "learners": ["sklearn.linear_model:LogisticRegression"]}


def recipe(generator: str, **settings: Any) -> Recipe:
    base: dict[str, Any] = {
        "name": "planted",
        "source": {"kind": "image", "path": "train.npz"},
        "split": {"test_path": "test.npz", "validation": 0.4},
        "candidates": [{"generator": generator}],
        "amount": {"ratio": 8.0},
        "utility": QUICK,
        "budget": {"total": 400},
        "screen": {"label_agreement": False, "near_copies": False, "out_of_distribution": False},
        "device": "cpu",
        "threads": 1,
    }
    return Recipe.model_validate(base | settings)


def run(asked: Recipe, folder: Path, store: Path) -> Any:
    from leaven.flows.augment import run_recipe

    return run_recipe(asked, folder, str(store))


def test_images_of_the_true_process_help_and_are_released(
    prefect_server: None, folder: Path, tmp_path: Path
) -> None:
    seeds = {"repeats": 5, "draws": 300, "folds": 2}  # of two or three, the interval is a guess
    outcome = run(recipe("oracle", utility=seeds), folder, tmp_path)
    report = outcome.report
    assert (report["effect"], outcome.verdict) == ("helps", "released"), report["gates"]
    assert report["utility"]["lift_over_classic"]["value"] > 0
    assert report["chosen"]["generator"] == "oracle" and report["compared"] == "classic"
    arms = report["utility"]["arms"]
    assert set(arms) >= {"real", "duplicates", "classic", "synthetic_only", "augmented", "classic_augmented"}
    for part in ("fidelity", "diversity", "privacy"):
        assert report[part]
        for name, metric in report[part].items():
            assert {"value", "floor", "ceiling", "better", "what"} <= set(metric), name
    synthetic = pq.read_table(outcome.path / "data" / "synthetic")
    assert synthetic.column_names == ["image", "label", "_generator", "_source_row", "_seed"]
    assert synthetic.num_rows == report["rows"]["synthetic"] > 0
    with Image.open(io.BytesIO(synthetic["image"][0].as_py()["bytes"])) as first:
        assert first.size == (planted_images.SIDE, planted_images.SIDE)
        assert "synthetic" in first.text["Leaven"]  # type: ignore[attr-defined]
    assert Store(tmp_path).latest("planted") == outcome.version


def test_images_with_wrong_labels_hurt_and_are_withheld(
    prefect_server: None, folder: Path, tmp_path: Path
) -> None:
    outcome = run(recipe("liar"), folder, tmp_path)
    assert (outcome.report["effect"], outcome.verdict) == ("hurts", "withheld")
    assert outcome.report["chosen"] == "none" and outcome.report["certified"]["generator"] == "liar"
    assert Store(tmp_path).latest("planted") is None


def test_wrong_labels_are_screened_away(prefect_server: None, folder: Path, tmp_path: Path) -> None:
    outcome = run(
        recipe("liar", screen={"label_agreement": "strict", "near_copies": False}, amount={"ratio": 2.0}),
        folder,
        tmp_path,
    )
    reasons, kept = outcome.report["rejected_reasons"], outcome.report["rows"]["synthetic"]
    assert reasons.get("label_agreement", 0) > 0.4 * (sum(reasons.values()) + kept)


def test_a_memoriser_is_caught(prefect_server: None, folder: Path, tmp_path: Path) -> None:
    outcome = run(recipe("memoriser", amount={"ratio": 2.0}), folder, tmp_path)
    assert outcome.verdict == "withheld"
    failed = {gate["gate"] for gate in outcome.report["gates"] if not gate["passed"]}
    assert failed & {"near_copies", "worst_attack"}
    assert outcome.report["privacy"]["worst_attack"]["value"] > 0.8


def test_an_editor_says_where_it_started_and_is_exempt(
    prefect_server: None, folder: Path, tmp_path: Path
) -> None:
    outcome = run(recipe("policy", amount={"ratio": 1.0}), folder, tmp_path)
    assert outcome.report["privacy_exempt"]
    rows = pq.read_table(outcome.path / "data" / "synthetic")
    sources = rows["_source_row"].to_numpy()
    real = pq.read_table(outcome.path / "data" / "real" / "train.parquet")
    held = pq.read_table(outcome.path / "data" / "real" / "validation.parquet")
    labels = np.array(real["label"].to_pylist() + held["label"].to_pylist())
    assert (labels[sources] == np.array(rows["label"].to_pylist())).all()
