"""A store in a bucket: a version is seen whole or not at all, whoever publishes and whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from leaven.generators.errors import InputError, StoreError
from leaven.pipelines import objects
from leaven.pipelines.store import Store

PUBLISH = """
import json, sys
from leaven.pipelines.stage import describe
from leaven.pipelines.store import Store

def publish(store, name, content, latest=True):
    version = store.new_id(name, content)
    with store.draft(name) as folder:
        (folder / "data").mkdir()
        (folder / "data" / "rows").write_text(version + content * 1000)
        files = [describe(folder / "data" / "rows", folder).model_dump()]
        told = {"name": name, "version": version, "verdict": "released" if latest else "withheld", "files": files}
        (folder / "manifest.json").write_text(json.dumps(told))
        store.publish(name, version, folder, latest)
    return version
"""
space: dict[str, Any] = {}
exec(PUBLISH, space)
publish = space["publish"]


def another(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """The store as another machine sees it: with a cache of its own."""
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "another"))
    return Store(bucket)


def test_another_machine_sees_what_was_published(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Store(bucket)
    assert store.names() == [] and store.versions("a") == [] and store.latest("a") is None
    first, second = publish(store, "a", "11"), publish(store, "a", "22", latest=False)
    there = another(bucket, monkeypatch, tmp_path)
    assert there.names() == ["a"] and there.versions("a") == [first, second] and there.latest("a") == first
    version = there.find("a")
    assert version.manifest["version"] == first and not (version.place / "data").exists()
    assert (version.path / "data" / "rows").read_text().startswith(first) and not version.altered()
    with pytest.raises(
        InputError, match=f"store {bucket}: has no dataset 'b'; did you mean 'a'|there are: a"
    ):
        there.find("b")
    (tmp_path / "kept").write_text("{}")
    store.keep("a", "schema.json", tmp_path / "kept")
    kept = there.kept("a", "schema.json")
    assert kept is not None and kept.read_text() == "{}" and there.kept("a", "none") is None


def test_a_reader_who_polls_lists_nothing(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(bucket)
    version = publish(store, "a", "11")

    def refused(path: str) -> Any:
        raise AssertionError(f"{path} was listed")

    monkeypatch.setattr(store.files, "_files", refused)
    assert store.find("a").id == version


def test_the_pointer_never_goes_back(bucket: str) -> None:
    store = Store(bucket)
    first, second = publish(store, "a", "11"), publish(store, "a", "22")
    store.point("a", first)
    assert store.latest("a") == second


def test_a_pointer_written_in_between_is_read_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put = Store(bucket), objects.Bucket._put
    publish(store, "a", "11")
    asked: list[str] = []

    def late(self: Any, path: str, content: bytes, mode: Any = "overwrite") -> None:
        if path.endswith("latest.json") and not asked:
            asked.append(path)
            put(
                self, path, json.dumps({"version": "99990101T000000Z-abcdef"}).encode()
            )  # somebody else's, newer
        put(self, path, content, mode)

    monkeypatch.setattr(objects.Bucket, "_put", late)
    publish(store, "a", "22")
    assert asked and store.latest("a") == "99990101T000000Z-abcdef"


def test_a_failed_upload_shows_nothing_and_is_found(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put = Store(bucket), objects.Bucket._put
    before = publish(store, "a", "11")

    def broken(self: Any, path: str, content: Any, mode: Any = "overwrite") -> None:
        if path.endswith("manifest.json"):
            raise StoreError("the network is gone")
        put(self, path, content, mode)

    monkeypatch.setattr(objects.Bucket, "_put", broken)
    with pytest.raises(StoreError, match="the network is gone"):
        publish(store, "a", "22")
    monkeypatch.setattr(objects.Bucket, "_put", put)
    assert store.versions("a") == [before] and store.find("a").id == before
    unfinished = store.files.unfinished("a/versions")
    assert len(unfinished) == 1 and next(iter(unfinished.values())) < 60
    store.files.remove(f"a/versions/{next(iter(unfinished))}")
    assert not store.files.unfinished("a/versions") and store.versions("a") == [before]


def test_an_altered_or_missing_file_is_refused(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import obstore

    store = Store(bucket)
    version = publish(store, "a", "11")
    files: Any = store.files
    files.replace(f"a/versions/{version}/data/rows", b"other")
    there = another(bucket, monkeypatch, tmp_path)
    with pytest.raises(StoreError, match="data/rows: is not the file that the manifest lists"):
        _ = there.find("a").path
    assert not [path for path in tmp_path.rglob("*") if path.name == "rows" or path.name.startswith(".draft")]
    obstore.delete(files._store, f"a/versions/{version}/data/rows")
    with pytest.raises(StoreError, match="data/rows: is missing, though the manifest lists it"):
        _ = there.find("a").path


def test_what_a_killed_download_leaves_is_in_no_version(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(Store(bucket), "a", "11")
    version, seen = another(bucket, monkeypatch, tmp_path).find("a"), []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        seen.append(self.is_relative_to(version.place))
        return real(self, target)

    version.manifest  # noqa: B018 (is copied first)
    monkeypatch.setattr(Path, "replace", replace)
    _ = version.path
    assert seen == [False]


def test_a_reader_beside_the_publisher_does_not_fail_it(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put = Store(bucket), objects.Bucket._put

    def watched(self: Any, path: str, content: Any, mode: Any = "overwrite") -> None:
        put(self, path, content, mode)
        if path.endswith("manifest.json"):
            assert Store(bucket).get("a", path.split("/")[2]).manifest["name"] == "a"

    monkeypatch.setattr(objects.Bucket, "_put", watched)
    version = publish(store, "a", "11")
    assert store.latest("a") == version and not store.find("a").altered()


def test_one_part_brings_no_other_files(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    publish(Store(bucket), "a", "11")
    version = another(bucket, monkeypatch, tmp_path).find("a")
    assert version.paths("train") == [] and not (version.place / "data").exists()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://someone:secret@bucket/x", "holds a name or key; credentials are taken from the environment"),
        ("s3://key:secret/x", "holds a name or key"),
        ("az://container/x?sig=secret", "holds a name or key"),
        ("s3:///x", "names no bucket"),
    ],
)
def test_a_wrong_uri_is_refused_without_its_secret(uri: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Store(uri)
    assert "secret" not in str(caught.value)


def test_no_bucket_and_no_server_are_one_line(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(bucket.replace("bucket-", "nobody-"))
    with pytest.raises(StoreError, match="cannot list a/versions: NoSuchBucket: The specified") as caught:
        publish(store, "a", "11")
    assert "\n" not in str(caught.value) and "planted-secret" not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="cannot list") as caught:
        Store(bucket).names()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_two_publishers_and_a_reader(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines publish and are killed at some moment; a third only ever reads whole versions, never older ones."""
    script = PUBLISH + ("\nstore = Store(sys.argv[1])\nwhile True:\n    publish(store, 'a', sys.argv[2])\n")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, bucket, str(number)],
            env={**os.environ, "LEAVEN_CACHE": str(tmp_path / f"writer{number}")},
        )
        for number in (1, 2)
    ]
    reader, seen = another(bucket, monkeypatch, tmp_path), ""
    try:
        deadline, count = time.monotonic() + 40, 0
        while count < 12 and time.monotonic() < deadline:
            if reader.latest("a") is None:
                time.sleep(0.1)
                continue
            version = reader.find("a")
            assert version.id >= seen and version.manifest["version"] == version.id
            assert (version.path / "data" / "rows").read_text().startswith(version.id)
            count, seen = count + (version.id != seen), version.id
    finally:
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
    assert count >= 12
    for version in reader.versions("a"):
        assert not reader.get("a", version).altered()
