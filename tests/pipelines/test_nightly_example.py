"""The worked example of docs/production.md: each release is trained on once, and compared with the one before."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.pipelines.stage import file_digest


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[2] / "docs/examples/nightly_classifier.py"
    spec = importlib.util.spec_from_file_location("nightly_classifier", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_release_is_compared_with_last_nights_model(
    example: ModuleType, small: Any, tmp_path: Path
) -> None:
    store, models = tmp_path / "store", tmp_path / "models"

    def night() -> Any:
        return example.train.fn("blobs", str(store), str(models))

    small.release(store)
    first = night()
    assert first["last_night"] is None and first["accuracy"] > 0.6
    model = file_digest(models / "blobs/model.joblib")
    assert night() == first and file_digest(models / "blobs/model.joblib") == model, "nothing new to learn"

    # Labels the wrong way round: tonight's rows are bad, which the comparison has to show.
    bad = []
    for shard in small.synthetic:
        table = pq.read_table(shard)
        turned = ["no" if label == "yes" else "yes" for label in table.column("ill").to_pylist()]
        place = table.column_names.index("ill")
        field = table.schema.field("ill")
        table = table.set_column(place, field, [turned])
        bad.append(tmp_path / shard.name)
        pq.write_table(table, bad[-1])
    small.release(store, synthetic=bad * 3)
    second = night()
    assert second["last_night"] == first["accuracy"], "the same model on the same test rows"
    assert second["accuracy"] < second["last_night"] and second["version"] != first["version"]
    assert json.loads((models / "blobs/scores.json").read_text()) == [first, second]
