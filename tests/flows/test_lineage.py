"""Runs as OpenLineage events: sent where it is configured, and never a reason for a run to fail."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leaven.flows import lineage
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.store import Store

RECIPE = Recipe.model_validate(
    {
        "name": "churn",
        "source": {"kind": "table", "path": "s3://bucket/in/churn.csv"},
        "split": {"test_path": "test.csv"},
        "task": {"target": "y"},
    }
)


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """OpenLineage writes into a file; reads what was written."""
    pytest.importorskip("openlineage.client")
    transport = {"type": "file", "log_file_path": str(tmp_path / "events.json"), "append": True}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    return lambda: [json.loads(line) for line in (tmp_path / "events.json").read_text().splitlines()]


def test_a_run_is_told_with_what_it_read_and_wrote(sent: Any, tmp_path: Path) -> None:
    with lineage.events(RECIPE, tmp_path, Store(tmp_path / "store")) as told:
        told.outcome = SimpleNamespace(version="v1", report={"rows": {"synthetic": 12}})  # type: ignore[assignment]
    start, complete = sent()
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"] and start["job"]["name"] == "churn"
    read = {(one["namespace"], one["name"]) for one in complete["inputs"]}
    assert read == {("s3://bucket", "in/churn.csv"), ("file", str(tmp_path / "test.csv"))}
    (wrote,) = complete["outputs"]
    assert wrote["name"] == str(tmp_path / "store" / "churn") and not start["outputs"]
    assert wrote["facets"]["version"]["datasetVersion"] == "v1"
    assert wrote["outputFacets"]["outputStatistics"]["rowCount"] == 12


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError("no rows"), "FAIL"), (KeyboardInterrupt(), "ABORT")]
)
def test_an_end_with_an_error_is_told(sent: Any, tmp_path: Path, error: BaseException, state: str) -> None:
    with pytest.raises(type(error)), lineage.events(RECIPE, tmp_path, Store(tmp_path)):
        raise error
    last = sent()[-1]
    assert last["eventType"] == state
    assert state == "ABORT" or last["run"]["facets"]["errorMessage"]["message"] == "no rows"


def test_without_configuration_or_server_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with lineage.events(RECIPE, tmp_path, Store(tmp_path)):
        pass
    assert not caplog.records
    transport = {"type": "http", "url": "http://127.0.0.1:9", "retry": {"total": 0}}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    with lineage.events(RECIPE, tmp_path, Store(tmp_path)):
        pass
    assert "START could not be sent" in caplog.text
