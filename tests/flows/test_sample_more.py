"""Rows on demand pass the screen that was taken for the release."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.flows.sample_more import _screens
from leaven.generators.rows import to_arrow
from leaven.pipelines.marked import FILE, Marked
from leaven.pipelines.task import Task

from .conftest import RECIPE, SCHEMA, points

TASK = Task(target="y", type="classification", metric="roc_auc", classes=("no", "yes"), positive="yes")


def stand_in(path: Path, taken: Any = None, **more: Any) -> Any:
    """A released version, as far as its screens are concerned, with its real rows at `path`."""
    pq.write_table(to_arrow(points(300, 1), SCHEMA), path)
    return SimpleNamespace(
        name="points",
        id="1",
        manifest={"recipe": RECIPE | {"screen": {"near_copies": False}}},
        report={"certified": {"generator": "smote", "screen": taken}},
        schema=SCHEMA,
        task=TASK,
        paths=lambda part: [path] if part == "train" else [],
        **{"files": {}, **more},
    )


@pytest.mark.parametrize(
    ("taken", "dropped"),
    [({"label_agreement": "strict"}, True), ({"label_agreement": False}, False), (None, False)],
)
def test_the_level_that_was_taken_is_applied(taken: Any, dropped: bool, tmp_path: Path) -> None:
    version = stand_in(tmp_path / "real.parquet", taken)
    fresh = points(200, 2)
    turned = fresh.assign(y=fresh["y"].map({"yes": "no", "no": "yes"}))
    reasons = _screens(version, "sampler", 1)(turned)
    share = (reasons == "label_agreement").mean()
    assert share > 0.8 if dropped else share == 0


def test_rows_that_were_marked_for_the_release_are_left_out(tmp_path: Path) -> None:
    fresh = points(200, 2)
    fresh.iloc[[4, 9]].to_csv(tmp_path / "bad.csv", index=False)
    Marked.read(tmp_path / "bad.csv", SCHEMA).keep(tmp_path)
    (tmp_path / "bad.csv").unlink()  # as on another machine
    version = stand_in(tmp_path / "real.parquet", files={FILE: None}, file=lambda name: tmp_path / name)
    assert [n for n, why in enumerate(_screens(version, "sampler", 1)(fresh)) if why == "marked"] == [4, 9]
