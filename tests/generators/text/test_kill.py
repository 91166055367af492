"""A translation that is killed in its middle goes on: nothing is translated twice, and the result is the same."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from leaven.generators.contract import Budget, silent
from leaven.generators.text.back_translation import BackTranslation

WHO = ["The old man", "My sister", "A small dog", "The teacher", "Our neighbour", "The doctor", "A tall girl"]
DOES = ["sees", "likes", "wants", "buys", "finds", "takes", "forgets", "loves", "needs", "has"]
WHAT = ["a red car", "the new house", "some cold water", "my book", "the open door", "a good friend",
        "the long way", "an apple", "the blue table", "two eggs"]  # fmt: skip
TEXTS = [f"{who} {does} {what}." for who in WHO for does in DOES for what in WHAT]


def translated() -> dict[str, list[str]]:
    """All ways of all texts, under the cache folder of the environment."""
    generator = BackTranslation({"alternatives": 1})
    generator.texts, generator.labels = TEXTS, np.zeros(len(TEXTS), int)
    generator._learn(seed=1, budget=Budget(), progress=silent)
    return generator._ways


def rows(path: Path) -> int:
    """Kept answers, 0 where there is no file yet."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_a_kill_in_mid_translation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "whole"))
    whole = translated()
    calls = tmp_path / "killed" / "calls.sqlite"
    monkeypatch.setenv("LEAVEN_CACHE", str(calls.parent))
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
         "import test_kill; test_kill.translated()"],
        env=os.environ,
    )  # fmt: skip
    until = time.monotonic() + 120
    while rows(calls) == 0:
        assert process.poll() is None and time.monotonic() < until, "it ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = rows(calls)
    assert 0 < before < rows(tmp_path / "whole" / "calls.sqlite"), "it was killed too late"
    with sqlite3.connect(calls) as connection:
        connection.execute(
            "CREATE TRIGGER twice BEFORE INSERT ON calls WHEN EXISTS (SELECT 1 FROM calls WHERE key = NEW.key) "
            "BEGIN SELECT RAISE(ABORT, 'translated twice'); END"
        )
    assert translated() == whole
    assert rows(calls) == rows(tmp_path / "whole" / "calls.sqlite")
