"""Check: says what was understood and what will run, refuses what a run would refuse, imports and leaves nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leaven.pipelines.check import CheckReport, check
from leaven.pipelines.estimate import human
from leaven.pipelines.recipe import Recipe


def churn(count: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer_id": np.arange(count) + 5000,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, count), "D"),
            "plan": rng.choice(["basic", "plus", "pro"], count),
            "spent": rng.gamma(2, 30, count).round(2),
            "calls": rng.poisson(2, count),
            "churn": rng.choice(["yes", "no"], count, p=[0.2, 0.8]),
        }
    )


def look(folder: Path, **parts: object) -> CheckReport:
    churn().to_csv(folder / "churn.csv", index=False)
    recipe = {"name": "churn", "source": {"kind": "table", "path": "churn.csv"}, "task": {"target": "churn"}}
    return check(Recipe.model_validate({**recipe, **parts}), folder)


def test_says_what_was_understood(tmp_path: Path) -> None:
    report = look(tmp_path)
    columns = {column.name: column for column in report.columns}
    assert [column.type for column in report.columns] == [
        "identifier",
        "date",
        "category",
        "number",
        "integer",
        "category",
    ]
    assert columns["customer_id"].shows == ""  # identifiers are not shown
    assert columns["since"].shows.startswith("2020-01-0")
    assert set(columns["plan"].shows.split(", ")) == {"basic", "plus", "pro"}
    assert columns["churn"].target and not columns["plan"].target
    assert (report.task.metric, report.task.positive) == ("roc_auc", "yes")
    assert sum(report.classes.values()) == 800
    assert report.rows["train"] + report.rows["validation"] + report.rows["test"] == 800
    assert report.folds == 10  # five, drawn twice
    natural, balanced = report.amounts
    assert natural["ratio"] == 3.0 and natural["synthetic_rows"] == 3 * report.rows["train"]
    assert balanced["shares"] == "balanced"
    assert abs(balanced["synthetic_rows"] - natural["synthetic_rows"]) <= 1
    assert "fit" in report.stages[2] and "10 folds" in report.stages[2]
    assert report.seconds > 10 and report.takes.startswith("about ")
    assert list(tmp_path.iterdir()) == [tmp_path / "churn.csv"]


def test_named_candidates_and_budgets_count(tmp_path: Path) -> None:
    ctgan = [{"generator": "ctgan", "epochs": 300}]
    slow = look(tmp_path, candidates=ctgan)
    fast = look(tmp_path, candidates=ctgan, budget={"fit": "5s", "total": "60s"})
    assert [candidate.generator for candidate in slow.candidates] == ["ctgan"]
    assert slow.candidates[0].fits == 10
    assert fast.candidates[0].fit_seconds <= 5
    assert fast.seconds < slow.seconds
    assert look(tmp_path, candidates=[{"generator": "ctgan", "epochs": 600}]).seconds > slow.seconds


def test_large_validation_needs_no_folds(tmp_path: Path) -> None:
    churn(6000).to_csv(tmp_path / "large.csv", index=False)
    recipe = Recipe.model_validate(
        {"name": "x", "source": {"kind": "table", "path": "large.csv"}, "task": {"target": "spent"}}
    )
    report = check(recipe, tmp_path)
    assert report.folds == 1
    assert report.task.type == "regression" and report.classes == {}


LIGHT = """
import json, sys, time
from pathlib import Path
from leaven.pipelines.recipe_file import load_recipe
from leaven.pipelines.check import check
recipe, folder = load_recipe(sys.argv[1])
check(recipe, folder)
print(json.dumps([m for m in ("torch", "sdv", "prefect", "sklearn", "scipy", "matplotlib") if m in sys.modules]))
"""


def run_light(recipe: Path) -> list[str]:
    out = subprocess.run(
        [sys.executable, "-c", LIGHT, str(recipe)], capture_output=True, text=True, check=True
    )
    return json.loads(out.stdout)


def test_imports_nothing_heavy(tmp_path: Path) -> None:
    churn().to_csv(tmp_path / "churn.csv", index=False)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: churn\nsource: {kind: table, path: churn.csv}\ntask: {target: churn}\n"
        "candidates: [{generator: ctgan, epochs: 2}, {generator: smote}, {generator: memoriser}]\n"
    )
    assert run_light(recipe) == []


def test_images_import_nothing_heavy_either(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels, y=np.arange(40) % 2)
    recipe = tmp_path / "recipe.yaml"
    names = ["policy", "gan", "vae", "diffusion", "autoregressive"]
    recipe.write_text(
        "name: images\nsource: {kind: image, path: images.npz}\n"
        f"candidates: [{', '.join(f'{{generator: {name}}}' for name in names)}]\n"
    )
    assert run_light(recipe) == []


def test_adult_within_seconds(shared_tables: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    path = shared_tables / "adult_train.csv.gz"
    recipe.write_text(f"name: adult\nsource: {{kind: table, path: {path}}}\ntask: {{target: income}}\n")
    start = time.process_time()
    report = check(
        Recipe.model_validate(
            {"name": "adult", "source": {"kind": "table", "path": str(path)}, "task": {"target": "income"}}
        ),
        tmp_path,
    )
    assert time.process_time() - start < 3
    assert report.rows["all"] == 32_561


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "about 10 seconds"), (47, "about 50 seconds"), (700, "about 12 minutes"), (9000, "about 2 hours")],
)
def test_estimates_in_words(seconds: float, words: str) -> None:
    assert human(seconds) == words
