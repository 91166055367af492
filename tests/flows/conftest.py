"""A store with one released and one newer, withheld version, whose generator can sample."""

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from leaven.generators import catalog
from leaven.generators.rows import Rows, to_arrow
from leaven.generators.schema import Column, Schema
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.release import release
from leaven.pipelines.store import Store

SCHEMA = Schema(
    columns=(
        Column(name="id", type="identifier"),
        Column(name="low", type="number"),
        Column(name="high", type="number"),
        Column(name="colour", type="category"),
        Column(name="y", type="category"),
    ),
    target="y",
)
RECIPE = {
    "name": "points",
    "source": {"kind": "table", "path": "points.csv"},
    "task": {"target": "y"},
    "constraints": [{"kind": "inequality", "low": "low", "high": "high"}],
    "screen": {"label_agreement": False, "near_copies": False},
}


def points(count: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    low = random.normal(size=count)
    return pd.DataFrame(
        {
            "id": [f"p{seed}-{number}" for number in range(count)],
            "low": low,
            "high": low + random.exponential(size=count),
            "colour": random.choice(["red", "blue"], count).astype(object),
            "y": np.where(low > 0.5, "yes", "no").astype(object),
        }
    )


def report(verdict: str, lift: float) -> dict[str, Any]:
    interval = {"value": lift, "low": lift - 0.01, "high": lift + 0.01}
    made = {"generator": "independent_columns", "parameters": {}, "amount": {"ratio": 0.25}}
    return {
        "name": "points",
        "created": datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC).isoformat(),
        "recipe": RECIPE,
        "task": {"target": "y", "type": "classification", "metric": "roc_auc", "classes": ["no", "yes"]},
        "chosen": made | {"label": "independent_columns"},
        "certified": made | {"label": "independent_columns"},
        "verdict": verdict,
        "effect": "helps" if lift > 0.01 else "no measurable effect",
        "rows": {"train": 200, "validation": 60, "test": 60, "synthetic": 50, "rejected": 3},
        "utility": {
            "metric": "roc_auc",
            "learners": ["random_forest"],
            "repeats": 2,
            "arms": {
                "real": {"value": 0.9, "low": 0.88, "high": 0.92},
                "augmented": {"value": 0.9 + lift, "low": 0.88, "high": 0.95},
            },
            "lift": interval,
            "lift_over_classic": None,
            "worth_real_rows": None,
            "worth_reason": "the learning curve is too noisy",
        },
        "fidelity": {
            "pair_trends": {"value": 0.05, "floor": 0.02, "ceiling": 0.2, "better": "lower", "what": "Pairs."}
        },
        "diversity": {},
        "privacy": {},
        "candidates": [
            made
            | {
                "validation": {"lift": interval | {"se": 0.005}, "reason": None},
                "rows": {"sampled": 53, "kept": 50},
                "rejected": {"constraint": 3},
                "seconds": {"fit": 1.0, "sample": 0.5, "screen": 0.1, "assess": 2.0},
            }
        ],
        "gates": [
            {
                "gate": "lift",
                "value": lift - 0.01,
                "threshold": 0.0,
                "passed": lift > 0.01,
                "what": "lift.low must be above the threshold",
            }
        ],
    }


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Versions of `points`: the first released, the second withheld. Tests only read it."""
    folder = tmp_path_factory.mktemp("versions")
    real = {}
    for seed, (part, count) in enumerate({"train": 200, "validation": 60, "test": 60}.items()):
        real[part] = [folder / f"{part}.parquet"]
        pq.write_table(to_arrow(points(count, seed), SCHEMA), real[part][0])
    model = catalog.get("independent_columns")()
    model.fit(Rows([*real["train"], *real["validation"]], SCHEMA), seed=1)
    saved = folder / "generator"
    saved.mkdir()
    model.save(saved)
    made = Store(folder / "store")
    for number, (verdict, lift) in enumerate({"released": 0.03, "withheld": -0.002}.items()):
        shard = folder / f"shard{number}.parquet"
        pq.write_table(to_arrow(points(50, 10 + number), SCHEMA), shard)
        release(
            Recipe.model_validate(RECIPE),
            store=made,
            report=report(verdict, lift),
            schema=SCHEMA,
            real=real,
            synthetic=[shard],
            rejected=[],
            generator=saved,
            seeds={"split": 7},
            stages=[],
            parents=[],
        )
    return made


@pytest.fixture
def place(store: Store) -> str:
    return str(store.root)
