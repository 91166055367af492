"""The store: a version is seen whole or not at all, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leaven.generators.errors import InputError, StoreError
from leaven.pipelines import store as module
from leaven.pipelines.store import Store


def publish(store: Store, name: str, content: str, latest: bool = True) -> str:
    version = store.new_id(name, content)
    with store.draft(name) as folder:
        (folder / "data").mkdir()
        (folder / "data" / "rows").write_text(content)
        (folder / "manifest.json").write_text(
            json.dumps({"name": name, "version": version, "verdict": "released" if latest else "withheld"})
        )
        store.publish(name, version, folder, latest)
    return version


def test_versions_follow_each_other_and_only_released_ones_are_latest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.names() == [] and store.versions("a") == [] and store.latest("a") is None
    first, second = publish(store, "a", "11"), publish(store, "a", "22", latest=False)
    third = publish(store, "a", "33")  # the three are made in one second
    assert store.versions("a") == [first, second, third] == sorted({first, second, third})
    fourth = publish(store, "a", "44", latest=False)
    assert store.find("a").id == third and store.find("a", released_only=False).id == fourth
    assert store.find(f"a@{second}").verdict == "withheld"
    assert store.names() == ["a"]
    assert not list((tmp_path / "a" / "versions").glob(".*"))


def test_an_unknown_name_or_version_names_the_nearest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(InputError, match="there are: none yet"):
        store.find("churn")
    version = publish(store, "churn", "11", latest=False)
    with pytest.raises(InputError, match=f"no released version.*churn@{version}"):
        store.find("churn")
    with pytest.raises(InputError, match="did you mean 'churn'"):
        store.find("chrun")
    with pytest.raises(InputError, match=f"the nearest is '{version}'"):
        store.find("churn@2026")
    with pytest.raises(InputError, match=r"has no dataset '\.\./churn'"):
        store.find("../churn")


@pytest.mark.parametrize("uri", ["ftp://host/x", "http://host/x"])
def test_an_unknown_scheme_names_the_known_ones(uri: str) -> None:
    with pytest.raises(InputError, match="expected a folder, or one of s3://, gs://, az://"):
        Store(uri)


def test_a_file_uri_is_a_folder(tmp_path: Path) -> None:
    assert Store(f"file://{tmp_path}").root == Store(tmp_path).root


@pytest.mark.parametrize("failing", ["fsync", "rename", "point"])
def test_a_failed_publication_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store = Store(tmp_path)
    before = publish(store, "a", "11")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(module.os, "fsync", full)
    elif failing == "rename":
        monkeypatch.setattr(Path, "rename", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        StoreError, match="No space left on device; what was finished is kept, a rerun resumes"
    ):
        publish(store, "a", "22")
    monkeypatch.undo()
    assert store.find("a").id == before
    # With the pointer alone missing, the version itself is whole and can be named.
    assert len(store.versions("a")) == (2 if failing == "point" else 1)
    assert not list((tmp_path / "a").rglob(".draft-*"))
    assert publish(store, "a", "33") == store.latest("a")


def test_a_store_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match=r"cannot write .*Not a directory") as caught,
        Store(tmp_path / "file").lock("a"),
    ):
        pass
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"), Store(tmp_path).lock("a"):
        pass


def test_a_version_without_a_manifest_is_not_seen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    version = publish(store, "a", "11")
    half = tmp_path / "a" / "versions" / "99990101T000000Z-abcdef"
    half.mkdir()
    assert store.versions("a") == [version] and store.find("a", released_only=False).id == version
    with store.draft("a") as folder, pytest.raises(StoreError, match=r"has no manifest\.json"):
        store.publish("a", "x", folder, latest=True)


def test_the_lock_is_held_once_and_dies_with_its_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    script = (
        "import sys, time; from leaven.pipelines.store import Store; s = Store(sys.argv[1]);"
        "l = s.lock('a'); l.__enter__(); d = s.draft('a'); print(d.__enter__(), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    left_over = Path(other.stdout.readline().strip())
    assert left_over.is_dir()
    with (
        pytest.raises(InputError, match=rf"another run of 'a' is going on \(pid {other.pid}, since 20"),
        store.lock("a"),
    ):
        pass
    with store.lock("b"):  # another name is free
        pass
    other.send_signal(signal.SIGKILL)
    other.wait()
    with store.lock("a"):
        assert not left_over.exists(), "the killed run's leftovers are swept"
    with store.lock("a"), pytest.raises(InputError, match="another run"), store.lock("a"):
        pass


def test_readers_see_the_old_version_or_the_new_one(tmp_path: Path) -> None:
    """Another process publishes and is killed at any moment, again and again."""
    store = Store(tmp_path)
    publish(store, "a", "first")
    script = """
import sys, json
from leaven.pipelines.store import Store
s = Store(sys.argv[1])
with s.lock("a"):
    while True:
        v = s.new_id("a", "abcdef")
        with s.draft("a") as f:
            (f / "data").mkdir(); (f / "data" / "rows").write_text(v * 1000)
            (f / "manifest.json").write_text(json.dumps({"name": "a", "version": v, "verdict": "released"}))
            s.publish("a", v, f, True)
"""
    for moment in (0.0, 0.01, 0.03):
        writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
        try:
            count = len(store.versions("a"))
            deadline = time.monotonic() + 30
            while len(store.versions("a")) < count + 2 and time.monotonic() < deadline:
                seen = store.find("a")
                assert seen.manifest["version"] == seen.id
            time.sleep(moment)
        finally:
            writer.kill()
            writer.wait()
        versions = store.versions("a")
        assert len(versions) >= count + 2
        for version in versions[1:]:
            assert (tmp_path / "a" / "versions" / version / "data" / "rows").read_text() == version * 1000
        with store.lock("a"):
            assert not [left for left in (tmp_path / "a").rglob(".draft-*") if left.is_dir()]
        for left in (tmp_path / "a").rglob(".draft-*"):  # a pointer that was being written
            os.utime(left, (0, 0))  # not one that another process is writing just now
        with store.lock("a"):
            assert not list((tmp_path / "a").rglob(".draft-*"))


def test_what_is_kept_for_the_next_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.kept("a", "schema.json") is None
    (tmp_path / "new").write_text("{}")
    store.keep("a", "schema.json", tmp_path / "new")
    kept = store.kept("a", "schema.json")
    assert kept is not None and kept.read_text() == "{}"
    assert store.names() == [] and store.work("a").is_dir()
