"""No call is made twice, and a kill costs one batch."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

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
