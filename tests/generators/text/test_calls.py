"""No call is made twice, and a kill costs one batch."""

import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from leaven.generators.errors import ModelError
from leaven.generators.text.calls import Calls, key


def test_a_call_is_made_once(tmp_path: Path) -> None:
    calls, asked = Calls(tmp_path / "calls.sqlite"), []

    def ask(items: list[str]) -> list[str]:
        asked.extend(items)
        return [item.upper() for item in items]

    def answers(items: list[str]) -> dict[bytes, str]:
        found: dict[bytes, str] = {}
        for part in calls.through(items, key, ask, 2):
            found |= part
        return found

    first = answers(["a", "b", "c", "a"])
    assert asked == ["a", "b", "c"]
    assert [first[key(item)] for item in "abc"] == ["A", "B", "C"]
    second = answers(["c", "d"])
    assert asked == ["a", "b", "c", "d"]
    assert second[key("c")] == "C"


def test_keys_tell_apart_all_that_an_answer_depends_on() -> None:
    assert len({key("m", 1, "text"), key("m", 2, "text"), key("n", 1, "text"), key("m", 1, "text ")}) == 4


def _killed(path: Path) -> None:
    def ask(items: list[int]) -> list[int]:
        if 6 in items:
            os.kill(os.getpid(), signal.SIGKILL)
        return items

    for _ in Calls(path).through(list(range(10)), key, ask, 3):
        pass


def test_what_was_answered_before_a_kill_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert sorted(Calls(path).kept([key(n) for n in range(10)]).values()) == list(range(6))


def test_the_cache_lies_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "there"))
    Calls().keep({key(1): "one"})
    assert (tmp_path / "there" / "calls.sqlite").is_file()


def _opened(path: Path, number: int, start: Any) -> None:
    start.wait()
    Calls(path).keep({key(number): number})


def test_many_processes_begin_one_file(tmp_path: Path) -> None:
    begun = multiprocessing.get_context("forkserver")  # forks of a process that has run Ray end with 1
    for turn in range(5):
        path, start = tmp_path / f"{turn}.sqlite", begun.Barrier(8)
        processes = [begun.Process(target=_opened, args=(path, n, start)) for n in range(8)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 8
        assert sorted(Calls(path).kept([key(n) for n in range(8)]).values()) == list(range(8))


def test_a_file_that_is_written_ahead_by_another_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waited = tmp_path / "calls.sqlite", []
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE other (n)")
    other.execute("BEGIN EXCLUSIVE")

    def wait(seconds: float) -> None:
        waited.append(seconds)
        other.execute("COMMIT")

    monkeypatch.setattr("leaven.generators.text.calls.sqlite3.connect", _impatient(sqlite3.connect))
    monkeypatch.setattr("leaven.generators.text.calls.time.sleep", wait)
    Calls(path).keep({key(1): "one"})
    assert len(waited) == 1


def _impatient(connect: Any) -> Any:
    return lambda path, timeout: connect(path, timeout=0.0)


def _damage_the_head(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _damage_the_middle(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096:8192] = b"x" * 4096  # the first page of the table
    path.write_bytes(whole)


@pytest.mark.parametrize("damage", [_damage_the_head, _damage_the_middle])
def test_a_damaged_file_is_put_aside_and_a_new_one_begun(tmp_path: Path, damage: Any) -> None:
    calls = Calls(tmp_path / "calls.sqlite")
    calls.keep({key(n): "long " * 50 for n in range(200)})
    damage(calls.path)
    damaged = calls.path.read_bytes()
    assert calls.kept([key(n) for n in range(200)]) == {}
    calls.keep({key(1): "one"})
    assert calls.kept([key(1)]) == {key(1): "one"}
    assert (tmp_path / "calls.sqlite.damaged").read_bytes() == damaged


def test_one_answer_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    calls = Calls(tmp_path / "calls.sqlite")
    calls.keep({key(n): n for n in range(3)})
    with sqlite3.connect(calls.path) as connection:
        connection.execute("UPDATE calls SET answer = ? WHERE key = ?", ("[brok", key(1)))
    found: dict[bytes, int] = {}
    for part in calls.through([0, 1, 2], key, lambda items: [10 * item for item in items], 2):
        found |= part
    assert found == {key(0): 0, key(1): 10, key(2): 2}
    assert calls.kept([key(1)]) == {key(1): 10}


@pytest.mark.parametrize("place", ["a file/calls.sqlite", "a folder"])
def test_a_place_that_cannot_be_used_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").write_text("")
    (tmp_path / "a folder").mkdir()
    with pytest.raises(ModelError, match=f"{place}: cannot be used") as caught:
        Calls(tmp_path / place).kept([key(1)])
    assert "\n" not in str(caught.value)


def test_the_answer_that_was_kept_first_is_used(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"

    def ask(items: list[str]) -> list[str | None]:
        Calls(path).keep({key("a"): "of another process"})
        return ["mine", "mine", None]

    *_, found = Calls(path).through(["a", "b", "c"], key, ask, 3)
    assert found == {key("a"): "of another process", key("b"): "mine", key("c"): None}
    assert Calls(path).kept([key("a"), key("b")]) == {key("a"): "of another process", key("b"): "mine"}
