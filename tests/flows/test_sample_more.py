"""Rows on demand pass the screen that was taken for the release."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.flows.sample_more import _screens
from leaven.generators.rows import to_arrow
from leaven.pipelines.task import Task

from .conftest import RECIPE, SCHEMA, points

TASK = Task(target="y", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")


@pytest.mark.parametrize(
    ("taken", "dropped"),
    [({"label_agreement": "strict"}, True), ({"label_agreement": False}, False), (None, False)],
)
def test_the_level_that_was_taken_is_applied(taken: Any, dropped: bool, tmp_path: Path) -> None:
    path = tmp_path / "real.parquet"
    pq.write_table(to_arrow(points(300, 1), SCHEMA), path)
    version: Any = SimpleNamespace(
        name="points",
        id="1",
        manifest={"recipe": RECIPE | {"screen": {"near_copies": False}}},
        report={"certified": {"generator": "smote", "screen": taken}},
        schema=SCHEMA,
        task=TASK,
        paths=lambda part: [path] if part == "train" else [],
    )
    fresh = points(200, 2)
    turned = fresh.assign(y=fresh["y"].map({"yes": "no", "no": "yes"}))
    reasons = _screens(version, "sampler", 1)(turned)
    share = (reasons == "label_agreement").mean()
    assert share > 0.8 if dropped else share == 0
