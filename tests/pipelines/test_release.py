"""Release: what stands in a version, and that equal content makes no second one."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from leaven.generators.errors import StoreError
from leaven.pipelines.marked import FILE, Marked
from leaven.pipelines.stage import file_digest
from leaven.pipelines.store import Store
from leaven.pipelines.version import Version


def test_a_version_holds_everything(released: Path, small: Any) -> None:
    names = {path.relative_to(released).as_posix() for path in released.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "croissant.json",
        "data/real/test.parquet",
        "data/real/train.parquet",
        "data/real/validation.parquet",
        "data/synthetic/00000.parquet",
        "data/synthetic/00001.parquet",
        "manifest.json",
        "rejected.parquet",
        "report.html",
        "report.json",
    }
    version = Version.at(released)
    assert set(version.files) == names - {"manifest.json"} and version.altered() == []
    assert {name: file.rows for name, file in version.files.items() if file.rows}[
        "data/synthetic/00001.parquet"
    ] == 50
    assert (released / "data/real/train.parquet").stat().st_mode & 0o777 == 0o444, "bytes that versions share"
    assert version.name == "blobs" and version.id == released.name == version.report["version"]
    assert version.schema == small.schema and version.task.positive == "yes"
    assert version.manifest["seeds"] == {"split": 7} and "pandas" in version.manifest["packages"]
    assert pq.read_schema(released / "data/real/train.parquet").names == small.schema.names
    made = pq.read_schema(released / "data/synthetic/00000.parquet").names
    assert made == [*small.schema.names, "_generator", "_source_row", "_seed"]


def test_all_that_was_rejected_stands_in_one_table(released: Path) -> None:
    table = pq.read_table(released / "rejected.parquet").to_pylist()
    fault, screened = table[0], table[1:]
    assert (fault["_origin"], fault["_row"], fault["_column"], fault["_value"]) == (
        "source",
        3,
        "height",
        "tall",
    )
    assert fault["_reason"] == "not a number" and fault["height"] is None
    assert len(screened) == 4 and {row["_reason"] for row in screened} == {"copies"}
    assert all(row["_origin"] == "synthetic" and row["ill"] in ("yes", "no") for row in screened)


def test_equal_content_makes_no_new_version(small: Any, tmp_path: Path) -> None:
    first = small.release(tmp_path)
    again = small.release(tmp_path)
    assert (
        first.new and not again.new and again.path == first.path and again.report["version"] == first.version
    )
    latest = tmp_path / "blobs" / "latest.json"
    latest.unlink()  # killed after the version, before the pointer
    assert not small.release(tmp_path).new and json.loads(latest.read_text()) == {"version": first.version}
    other = small.release(tmp_path, synthetic=small.synthetic[:1])
    assert other.new and Store(tmp_path).versions("blobs") == [first.version, other.version]


def test_an_altered_version_is_not_taken_for_equal(small: Any, tmp_path: Path) -> None:
    first = small.release(tmp_path)
    (first.path / "report.html").write_text("changed")
    assert small.release(tmp_path).new


def test_a_withheld_version_does_not_become_latest(small: Any, tmp_path: Path) -> None:
    good = small.release(tmp_path)
    bad = small.release(tmp_path, verdict="withheld")
    store = Store(tmp_path)
    assert bad.verdict == "withheld" and store.find("blobs").id == good.version
    assert (
        "Not released" in (bad.path / "README.md").read_text()
        and "withheld" in (bad.path / "README.md").read_text()
    )
    assert small.release(tmp_path, verdict="withheld").path == bad.path
    assert store.latest("blobs") == good.version


def test_equal_inputs_give_equal_files_in_two_stores(small: Any, tmp_path: Path) -> None:
    one, two = small.release(tmp_path / "one"), small.release(tmp_path / "two")
    for name in ("data/synthetic/00000.parquet", "data/synthetic/00001.parquet", "rejected.parquet"):
        assert file_digest(one.path / name) == file_digest(two.path / name)


def test_real_rows_of_several_files_become_one_without_foreign_columns(small: Any, tmp_path: Path) -> None:
    real = {**small.real, "train": [*small.real["train"], *small.synthetic]}
    path = small.release(tmp_path, real=real).path
    table = pq.read_table(path / "data/real/train.parquet")
    assert table.num_rows == 300 and table.column_names == small.schema.names


def test_no_synthetic_rows_at_all(small: Any, tmp_path: Path) -> None:
    outcome = small.release(tmp_path, verdict="withheld", synthetic=[], rejected=[])
    card = (outcome.path / "README.md").read_text()
    assert "config_name: real" in card and "config_name: synthetic" not in card
    assert Version.at(outcome.path).paths("synthetic") == []
    with pytest.raises(StoreError, match="holds no generator"):
        Version.at(outcome.path).generator()


def test_what_was_marked_is_kept_with_the_version(small: Any, tmp_path: Path) -> None:
    screen = small.recipe.screen.model_copy(update={"reject_file": str(small.synthetic[0])})
    recipe = small.recipe.model_copy(update={"screen": screen})
    version = Version.at(small.release(tmp_path, recipe=recipe).path)
    assert version.vouched(FILE)
    found = Marked.kept(version.file(FILE)).among(pq.read_table(small.synthetic[0]))
    assert found.all() and not Version.at(small.release(tmp_path).path).vouched(FILE)


def test_a_generator_is_loaded_only_when_every_file_is_vouched_for(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "generator"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    (folder / "deep" / "weights").write_bytes(b"123")
    loaded = []

    class Known:
        @classmethod
        def load(cls, directory: Path) -> str:
            loaded.append(directory)
            return "generator"

    monkeypatch.setattr("leaven.generators.catalog.get", lambda name, kind: {"smote": Known}[name])
    version = Version.at(small.release(tmp_path / "store", generator=folder).path)
    assert version.vouched("generator/model.json") and version.vouched(
        version.path / "generator/deep/weights"
    )
    assert version.generator() == "generator" and loaded == [version.path / "generator"]

    added = version.path / "generator" / "extra.pkl"
    added.write_bytes(b"bad")
    assert not version.vouched("generator/extra.pkl")
    with pytest.raises(StoreError, match=r"extra\.pkl is not the file that the manifest lists"):
        version.generator()
    added.unlink()
    weights = version.path / "generator" / "deep" / "weights"
    weights.unlink()
    weights.write_bytes(b"124")
    with pytest.raises(StoreError, match="deep/weights"):
        version.generator()
    weights.unlink()
    with pytest.raises(StoreError, match="deep/weights"):
        version.generator()
    assert len(loaded) == 1


def test_numbers_that_json_does_not_know_become_null(small: Any, tmp_path: Path) -> None:
    import numpy as np

    report = small.report()
    report["fidelity"] = {
        "x": {"value": float("nan"), "floor": np.float32(0.5), "ceiling": float("inf"), "what": "x"}
    }
    path = small.release(tmp_path, report=report).path
    found = json.loads((path / "report.json").read_text(), parse_constant=lambda text: pytest.fail(text))
    assert found["fidelity"]["x"] == {"value": None, "floor": 0.5, "ceiling": None, "what": "x"}


def test_the_card_promises_no_privacy(released: Path) -> None:
    card = (released / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "license: unknown" in card
    assert "it helps" in card and "+0.010 to +0.050" in card
    assert "private" not in card.lower() and "été\\|ville" in card


def test_croissant_is_valid_and_reads(released: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(released / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    jsonld = json.loads((released / "croissant.json").read_text())
    assert jsonld["isLiveDataset"] is False
    digests = {entry["@id"]: entry["sha256"] for entry in jsonld["distribution"] if "sha256" in entry}
    assert digests == {
        name: file.sha256 for name, file in Version.at(released).files.items() if name.startswith("data/")
    }
    made = list(dataset.records("synthetic"))
    assert (
        len(made) == 100
        and made[0]["synthetic/ill"] in (b"yes", b"no")
        and made[0]["synthetic/_generator"] == b"smote"
    )
    assert len(list(dataset.records("real_validation"))) == 60
