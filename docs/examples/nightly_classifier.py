"""Train a classifier on the newest release each night, and compare it with last night's on the same test rows.

    python docs/examples/nightly_classifier.py churn --once     # now, in this process
    python docs/examples/nightly_classifier.py churn            # serves the deployment train/churn

Served, it trains at five each morning, and by an automation whenever `leaven.version.released` says that there is a
new version. A version that was trained on already is not trained on again. Needs the Prefect server of `leaven serve`
(PREFECT_API_URL) and its store (LEAVEN_STORE). Models and scores are kept in ./models.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from prefect import flow
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.runner import Runner
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import leaven
from leaven.flows.automations import ensure
from leaven.pipelines.load import find

LEARNED = ("number", "integer", "boolean", "category")


def plain(values: pd.Series) -> pd.Series:
    """Numbers as floats and all else as text, with NaN for what is missing: what scikit-learn takes."""
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return values.astype("string").astype(object).where(values.notna(), np.nan)
    return values.astype(float)


@flow(name="train")
def train(name: str, store: str | None = None, folder: str = "models") -> dict[str, Any]:
    """Train on the newest release of `name`; returns its score on real test rows, and that of the model before."""
    version, kept = find(name, store=store), Path(folder) / name
    scores, model_file = kept / "scores.json", kept / "model.joblib"
    nights = json.loads(scores.read_text()) if scores.exists() else []
    if nights and nights[-1]["version"] == version.id:
        return nights[-1]

    columns = [column.name for column in version.schema if column.type in LEARNED]
    target = version.task.target

    def part(split: Any) -> tuple[pd.DataFrame, pd.Series]:
        rows = leaven.load(name, version.id, store, split)
        features = {column: plain(rows[column]) for column in columns if column != target}
        return pd.DataFrame(features), rows[target].astype(str)

    model = make_pipeline(
        make_column_transformer(
            (
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                make_column_selector(dtype_exclude="number"),
            ),
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(random_state=0),
    ).fit(*part("augmented"))
    # A source that grows keeps its split, so no model has learned from tonight's test rows.
    test = part("test")
    before = joblib.load(model_file).score(*test) if model_file.exists() else None
    tonight = {"version": version.id, "accuracy": model.score(*test), "last_night": before}
    kept.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, model_file)
    scores.write_text(json.dumps([*nights, tonight], indent=1))
    return tonight


def serve(name: str, store: str | None) -> None:
    """Serve the deployment `train/<name>`, and have it run on each release of the dataset."""
    runner = Runner(name=f"train-{name}")
    deployment = runner.add_flow(train, name, cron="0 5 * * *", parameters={"name": name, "store": store})
    ensure(
        AutomationCore(
            name=f"train {name} on its release",
            trigger=EventTrigger(
                posture=Posture.Reactive,
                expect={"leaven.version.released"},
                match={"prefect.resource.id": f"leaven.dataset.{name}"},
                threshold=1,
            ),
            actions=[RunDeployment(source="selected", deployment_id=deployment)],
        )
    )
    print(f"serving train/{name}", flush=True)
    asyncio.run(runner.start())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("--store")
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(train(options.name, options.store), indent=1))
    else:
        serve(options.name, options.store)
