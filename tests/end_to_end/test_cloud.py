"""A source and a store in a bucket: the same bytes as on this machine, for whoever asks from elsewhere."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from end_to_end import planted

from leaven.flows.cli import app
from leaven.flows.ending import run
from leaven.generators.catalog import CATALOG, Entry
from leaven.generators.errors import RESUMES, StoreError
from leaven.pipelines import objects
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.store import Store

RECIPE: dict[str, Any] = {
    "name": "planted",
    "task": {"target": "y"},
    "candidates": [{"generator": "oracle"}],
    "amount": {"ratio": 8.0},
    "screen": {"label_agreement": False},
    "utility": {"repeats": 2, "learners": ["logistic_regression", "random_forest"], "draws": 300},
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "oracle", Entry("table", "end_to_end.planted:Oracle", "for tests"))


def put(bucket: str, key: str, content: bytes) -> str:
    import obstore

    from leaven.pipelines.objects import connect

    obstore.put(connect(bucket), key, content)
    return f"{bucket}/{key}"


def sources(bucket: str, folder: Path) -> dict[str, Any]:
    """What a recipe says of the planted tables in the bucket."""
    planted.write(folder, held_out=1000)
    paths = {
        part: put(bucket, f"in/{part}.csv", (folder / f"{part}.csv").read_bytes())
        for part in ("train", "validation", "test")
    }
    return {
        "source": {"kind": "table", "path": paths["train"]},
        "split": {"validation_path": paths["validation"], "test_path": paths["test"]},
    }


@pytest.mark.prefect
@pytest.mark.slow
def test_a_run_from_bucket_to_bucket(
    bucket: str,
    prefect_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from leaven.flows.augment import run_recipe

    asked = {**RECIPE, **sources(bucket, tmp_path), "store": f"{bucket}/out"}
    recipe = Recipe.model_validate(asked)
    made = run_recipe(recipe, tmp_path)
    again = run_recipe(recipe, tmp_path)
    assert made.verdict == "released" and again.version == made.version and not again.new
    local = run_recipe(recipe, tmp_path, str(tmp_path / "store"))

    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "elsewhere"))  # another machine
    there = Store(f"{bucket}/out").find("planted")
    assert there.manifest["data"] == Store(tmp_path / "store").get("planted", local.version).manifest["data"]
    told = Path.read_text(there.path / "manifest.json") + there.path.joinpath("report.json").read_text()
    assert "planted-secret" not in told

    monkeypatch.setenv("LEAVEN_STORE", f"{bucket}/out")
    assert run(app, ["path", "planted"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert len(pd.read_parquet(folder / "data" / "synthetic")) and not there.altered()
    assert run(app, ["list", "--json"]) == 0
    assert [one["version"] for one in json.loads(capsys.readouterr().out)] == [made.version]
    assert run(app, ["sample", "planted", "--rows", "7", "--out", str(tmp_path / "more.csv")]) == 0
    assert len(pd.read_csv(tmp_path / "more.csv")) == 7


@pytest.mark.prefect
@pytest.mark.slow
def test_a_network_that_is_cut_in_mid_upload_shows_nothing_and_a_rerun_ends_equal(
    wire: Any,
    bucket: str,
    prefect_server: None,
    s3_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from leaven.flows.augment import run_recipe

    monkeypatch.setattr(objects, "_RETRIES", {"max_retries": 1})  # the stage is tried again as it is
    planted.write(tmp_path, held_out=1000)
    split = {"validation_path": "validation.csv", "test_path": "test.csv"}
    quick = {"repeats": 1, "learners": ["logistic_regression"], "draws": 100}
    source = {"kind": "table", "path": "train.csv"}
    recipe = Recipe.model_validate({**RECIPE, "source": source, "split": split, "utility": quick})
    with pytest.raises(StoreError, match=f"cannot write planted/versions/.*; {RESUMES}"):
        run_recipe(recipe, tmp_path, f"{bucket}/out")
    assert wire.refused
    with pytest.MonkeyPatch.context() as whole:
        whole.setenv("AWS_ENDPOINT_URL", s3_server)  # as somebody else sees it
        there = Store(f"{bucket}/out")
        assert there.versions("planted") == [] and len(there.files.unfinished("planted/versions")) == 1
    wire.mend()
    made = run_recipe(recipe, tmp_path, f"{bucket}/out")
    local = run_recipe(recipe, tmp_path, str(tmp_path / "store"))
    assert Store(f"{bucket}/out").versions("planted") == [made.version]
    both = [json.loads((one.path / "manifest.json").read_text()) for one in (made, local)]
    assert both[0]["data"] == both[1]["data"] and both[0]["content"] == both[1]["content"]


def test_what_is_not_in_the_bucket_is_one_line(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = {**RECIPE, **sources(bucket, tmp_path)}

    def check(**changed: Any) -> tuple[int, str]:
        (tmp_path / "small.json").write_text(json.dumps({**recipe, **changed}))
        (tmp_path / "small.yaml").write_text((tmp_path / "small.json").read_text())
        return run(app, ["check", str(tmp_path / "small.yaml")]), capsys.readouterr().err

    assert check()[0] == 0
    code, said = check(source={"kind": "table", "path": f"{bucket}/in/none.csv"})
    assert code == 2 and "source.path: " in said and "is not there: no object" in said.splitlines()[-1]
    code, said = check(source={"kind": "table", "path": "http://169.254.169.254/latest"})
    assert code == 2 and "is an address in the web" in said
    code, said = check(store="s3://key:planted@bucket/x")
    assert code == 2 and "store: " in said and "planted" not in said
