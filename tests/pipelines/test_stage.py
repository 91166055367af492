"""Stage records: what is reused, what is made again, and what a killed stage leaves."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from leaven.generators.errors import StoreError
from leaven.pipelines import stage


class Maker:
    """A stage function that counts its calls."""

    def __init__(self, text: str = "one") -> None:
        self.calls, self.text = 0, text

    def __call__(self, out: Path) -> dict[str, Any]:
        self.calls += 1
        (out / "file.txt").write_text(self.text)
        return {"text": self.text}


def run(work: Path, make: Any, **config: Any) -> stage.Record:
    return stage.run(work, "demo", inputs={"a": "1"}, config=config, make=make)


def test_a_finished_stage_is_reused(tmp_path: Path) -> None:
    make = Maker()
    first, second = run(tmp_path, make), run(tmp_path, make)
    assert make.calls == 1
    assert second.digest == first.digest and second.path("file.txt").read_text() == "one"


def test_what_a_twin_finished_first_is_kept(tmp_path: Path) -> None:
    """A worker that was thought lost goes on beside the one that took its place; readers may have its folder open."""
    seen: list[int] = []

    def overtaken(out: Path) -> dict[str, Any]:
        seen.append(run(tmp_path, Maker()).folder.stat().st_ino)
        return Maker()(out)

    late = run(tmp_path, overtaken)
    assert seen == [late.folder.stat().st_ino]
    assert list(tmp_path.iterdir()) == [late.folder]


def test_another_config_is_another_record(tmp_path: Path) -> None:
    make = Maker()
    run(tmp_path, make, k=1), run(tmp_path, make, k=2)
    assert make.calls == 2 and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["delete", "alter", "record"])
def test_a_damaged_record_is_made_again(tmp_path: Path, damage: str) -> None:
    make = Maker()
    record = run(tmp_path, make)
    if damage == "delete":
        record.path("file.txt").unlink()
    elif damage == "alter":
        record.path("file.txt").write_text("two")
    else:
        record.path(stage.RECORD).write_text("{")
    again = run(tmp_path, make)
    assert make.calls == 2 and again.path("file.txt").read_text() == "one"


def test_a_failing_stage_leaves_nothing(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        (out / "half").write_text("x")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(tmp_path, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    def fill(out: Path) -> None:
        raise OSError(errno.ENOSPC, "Error writing bytes to file")

    with pytest.raises(StoreError, match=r"No space left on device; what was finished is kept") as error:
        run(tmp_path, fill)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_what_was_killed_is_not_taken_for_finished_and_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".making-demo-x"
    left.mkdir()
    (left / "file.txt").write_text("half")
    make = Maker()
    old = run(tmp_path, make, k=0)
    os.utime(left, (1, 1)), os.utime(old.folder, (1, 1))
    kept = run(tmp_path, make, k=1)
    assert stage.sweep(tmp_path, started=1000) == 2
    assert list(tmp_path.iterdir()) == [kept.folder]


def test_the_digest_follows_content_not_place_or_time(tmp_path: Path) -> None:
    one, two = run(tmp_path / "a", Maker()), run(tmp_path / "b", Maker())
    assert one.digest == two.digest
    assert run(tmp_path / "c", Maker("other")).digest != one.digest
