"""Rows on demand over Prefect's REST API, from a generator that stands in the store: as the docs do it with curl."""

import datetime
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.flows import notify
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


def test_a_release_starts_the_training_of_the_example(served: Served, tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "docs" / "examples" / "nightly_classifier.py"
    command = [sys.executable, str(script), "points", "--store", str(served.folder / "store")]
    environment = os.environ | {"PREFECT_API_URL": f"{served.address}/api", "NO_PROXY": "127.0.0.1"}
    log = tmp_path / "train.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=file, stderr=file)
    try:
        served.wait_for(lambda: "serving train/points" in log.read_text(), 60)
        time.sleep(3)  # the server's triggers read their automations anew
        for name in ("others", "points"):
            message = notify.content(name, "v1", "released", {}, "/store/v1")
            event = {
                "event": "leaven.version.released",
                "occurred": datetime.datetime.now(datetime.UTC).isoformat(),
                "resource": {"prefect.resource.id": f"leaven.dataset.{name}"},
                "payload": message,
                "id": str(uuid.uuid4()),
            }
            served.call("POST", "/events", [event])
        scores = tmp_path / "models" / "points" / "scores.json"
        served.wait_for(scores.exists, 90)
    finally:
        process.terminate()
        process.wait(30)
    [night] = json.loads(scores.read_text())
    assert night["version"] == Store(served.folder / "store").latest("points")
    assert night["accuracy"] > 0.7 and night["last_night"] is None
    wanted = {"flows": {"name": {"any_": ["train"]}}}
    began = [run for run in served.call("POST", "/flow_runs/filter", wanted) if run["start_time"]]
    assert len(began) == 1  # not for the other dataset


def test_rows_of_a_release_in_a_bucket_need_a_place(
    prefect_server: None, bucket: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    store, released = Store(bucket), Store(place).find("points")
    with store.draft("points") as folder:
        shutil.copytree(released.path, folder, dirs_exist_ok=True)
        store.publish("points", released.id, folder, True)
    monkeypatch.setenv("LEAVEN_STORE", bucket)
    with pytest.raises(InputError, match="the store is a bucket; name an absolute path"):
        sample(name="points", rows=5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "pints"}, "did you mean 'points'"),
        ({"out": "../latest.json"}, "leads out of"),
        ({"store": "ftp://host/store"}, "expected a folder, or one of s3://"),
    ],
)
def test_what_cannot_be_is_refused(
    prefect_server: None, place: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        sample(**{"name": "points", "rows": 5, "store": place, **options})
