"""Rows on demand over Prefect's REST API, from a generator that stands in the store: as the docs do it with curl."""

import json
import shutil
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.flows.on_demand import sample
from leaven.generators.errors import InputError
from leaven.pipelines.store import Store

from .conftest import RECIPE, points
from .serving import Served

pytestmark = [pytest.mark.prefect, pytest.mark.slow]


@pytest.fixture
def served(tmp_path: Path, store: Store) -> Iterator[Served]:
    folder = tmp_path / "work"
    shutil.copytree(store.root, folder / "store")
    points(200, 1).to_csv(folder / "points.csv", index=False)
    (folder / "recipe.yaml").write_text(json.dumps({**RECIPE, "store": "store"}))
    one = Served(folder, tmp_path / "prefect")
    yield one
    one.stop()


def test_rows_are_asked_for_over_http_and_lie_where_the_run_says(served: Served) -> None:
    versions = served.folder / "store" / "points" / "versions"
    released, before = sorted(path.name for path in versions.iterdir())[0], sorted(versions.iterdir())
    deployment = served.call("GET", "/deployments/name/sample/points")
    create = f"/deployments/{deployment['id']}/create_flow_run"

    run = served.call("POST", create, {"parameters": {"rows": 120, "where": ["colour=red"]}})
    named = served.call("POST", create, {"parameters": {"rows": 20, "out": "twenty.csv", "seed": 3}})
    state = served.ended(run["id"])
    assert state["type"] == "COMPLETED", state["message"]
    place = served.folder / "store" / "points" / "samples" / f"{run['id']}.parquet"
    assert str(place) in state["message"] and f"points@{released}" in state["message"]
    rows = pq.read_table(place).to_pandas()
    assert len(rows) == 120 and set(rows["colour"]) == {"red"}
    assert served.ended(named["id"])["type"] == "COMPLETED"
    assert len((place.parent / "twenty.csv").read_text().splitlines()) == 21
    assert sorted(versions.iterdir()) == before  # nothing was fitted or published

    wanted = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "type": {"any_": ["table"]}}}
    [artifact] = served.call("POST", "/artifacts/filter", wanted)
    assert json.loads(artifact["data"])[0]["path"] == str(place)

    with pytest.raises(urllib.error.HTTPError) as refused:
        served.call("POST", create, {"parameters": {"rows": "many"}})
    assert refused.value.code == 409
    failed = served.ended(served.call("POST", create, {"parameters": {"where": ["size=1"]}})["id"])
    assert failed["type"] == "FAILED" and "size" in failed["message"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "pints"}, "did you mean 'points'"),
        ({"out": "../latest.json"}, "leads out of"),
        ({"store": "s3://bucket/store", "out": None}, "s3://bucket"),
    ],
)
def test_what_cannot_be_is_refused(
    prefect_server: None, place: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        sample(**{"name": "points", "rows": 5, "store": place, **options})
