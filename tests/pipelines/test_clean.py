"""What goes from a store, and what stays, on a disk and in a bucket."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from leaven.flows.cli import app
from leaven.flows.ending import run
from leaven.generators.errors import InputError
from leaven.pipelines import approval, clean
from leaven.pipelines.stage import describe
from leaven.pipelines.store import Store


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "store" if request.param == "disk" else request.getfixturevalue("bucket"))


def publish(store: Store, content: str, released: bool) -> str:
    version = store.new_id("a", content)
    with store.draft("a") as folder:
        (folder / "rows").write_text(content)
        (folder / "report.json").write_text(json.dumps({"pending": content == "777777"}))
        files = [describe(folder / name, folder).model_dump() for name in ("rows", "report.json")]
        verdict = "released" if released else "withheld"
        told = {"name": "a", "version": version, "verdict": verdict, "files": files}
        (folder / "manifest.json").write_text(json.dumps(told))
        store.publish("a", version, folder, released)
    return version


def test_the_latest_the_newest_and_the_used_stay(store: Store) -> None:
    first, second, third, fourth, fifth = (publish(store, f"{n}" * 6, n in (2, 3)) for n in range(1, 6))
    store.note_use("a", first, "training job")
    assert [one.id for one in clean.removals(store, keep=1)] == [fourth]
    found = clean.removals(store, ["a"], keep=1, keep_released=False)
    assert [(one.id, one.bytes) for one in found] == [(second, 24), (fourth, 24)]
    assert store.versions("a") == [first, second, third, fourth, fifth], "nothing goes by looking"
    clean.remove(store, found)
    assert store.versions("a") == [first, third, fifth] and store.find("a").id == third
    assert list(store.uses("a")[first]) == ["training job"] and not clean.removals(store, keep=1)
    with pytest.raises(InputError, match="has no dataset 'b'"):
        clean.removals(store, ["b"])


def test_what_was_left_unfinished_goes_when_it_is_old(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = publish(store, "111111", True)
    half = store.files.draft("a/versions")
    (half / "rows").write_text("half")
    if (
        store.files.unfinished("a/versions") == {}
    ):  # in a bucket, a draft is on this machine, an upload is not
        files: Any = store.files
        files.replace("a/versions/99990101T000000Z-abcdef/rows", b"half")
    assert len(store.files.unfinished("a/versions")) == 1 and not clean.removals(store)
    monkeypatch.setattr(clean, "ABANDONED", -1.0)
    found = clean.removals(store)
    assert [one.what for one in found] == ["unfinished"]
    clean.remove(store, found)
    assert not store.files.unfinished("a/versions") and store.versions("a") == [version]


def test_what_waits_for_approval_stays_and_what_was_approved_is_a_release(store: Store) -> None:
    waits, _ = publish(store, "777777", False), publish(store, "111111", False)
    assert not clean.removals(store, keep=1)
    approval.decide(store, f"a@{waits}", True)
    publish(store, "222222", True)
    assert waits not in [one.id for one in clean.removals(store, keep=1)]
    assert waits in [one.id for one in clean.removals(store, keep=1, keep_released=False)]


def test_a_name_without_any_version_is_cleaned_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files: Any = store.files
    if store.here:
        files.draft("a/versions")
    else:
        files.replace("a/versions/99990101T000000Z-abcdef/rows", b"half")
    monkeypatch.setattr(clean, "ABANDONED", -1.0)
    found = clean.removals(store)
    assert [(one.name, one.what) for one in found] == [("a", "unfinished")]
    clean.remove(store, found)
    assert not clean.removals(store)


def test_copies_of_what_another_machine_removed_go(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Store(bucket)
    first, second = publish(here, "111111", False), publish(here, "222222", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "another"))
    there = Store(bucket)
    clean.remove(there, clean.removals(there, keep=1))
    assert there.versions("a") == [second] and not clean.removals(there, keep=1)
    found = clean.removals(here, keep=1)
    assert [(one.what, one.id) for one in found] == [("copy", first)]
    clean.remove(here, found)
    assert not (here.root / "a/versions" / first).exists() and not clean.removals(here, keep=1)
    assert here.find("a").id == second and here.find("a").file("rows").read_text() == "222222"


def test_old_work_goes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "111111", True)
    for name, age in (("fit-old", 8 * 86400), ("fit-new", 60)):
        (store.work("a") / name).mkdir()
        (store.work("a") / name / "model").write_text("1234")
        os.utime(store.work("a") / name, (time.time() - age,) * 2)
    found = clean.removals(store)
    assert [(one.what, one.id, one.bytes) for one in found] == [("work", "fit-old", 4)]
    clean.remove(store, found)
    assert [path.name for path in store.work("a").iterdir()] == ["fit-new"]


def test_old_rows_on_demand_go_where_that_is_asked_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    version = publish(store, "111111", True)
    folder = store.root / "a" / "samples"
    folder.mkdir()
    for name, days in (("old.parquet", 40), ("new.csv", 1), (".being-written", 40)):
        (folder / name).write_text("1234")
        os.utime(folder / name, (time.time() - days * 86400,) * 2)
    (folder / "images" / "cat").mkdir(parents=True)
    (folder / "images" / "cat" / "0.png").write_text("12")
    os.utime(folder / "images", (0, 0))
    assert clean.removals(store) == []
    found = clean.removals(store, samples_days=30)
    assert [(one.what, one.id, one.bytes) for one in found] == [
        ("sample", "images", 2),
        ("sample", "old.parquet", 4),
    ]
    clean.remove(store, found)
    assert sorted(path.name for path in folder.iterdir()) == [".being-written", "new.csv"]
    assert store.find("a").id == version


def test_the_command_shows_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    first, second = publish(store, "111111", False), publish(store, "222222", False)
    asked = ["clean", "--store", str(tmp_path), "--keep", "1"]
    assert (
        run(app, asked) == 0 and "--yes removes these" in (said := capsys.readouterr().out) and first in said
    )
    assert store.versions("a") == [first, second]
    assert run(app, [*asked, "--yes"]) == 0 and "Removed." in capsys.readouterr().out
    assert store.versions("a") == [second]
    assert run(app, [*asked, "--json"]) == 0 and json.loads(capsys.readouterr().out)["found"] == []
    with store.lock("a"):
        publish(store, "333333", False)
        assert run(app, [*asked, "--yes"]) == 2 and "another run of 'a'" in capsys.readouterr().err
