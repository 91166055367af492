"""How a command ends on a signal, wherever the signal falls."""

import signal
import subprocess
import sys

import pytest

DROPPED = """
import signal, sys, time
from leaven.flows.ending import run

class Destroyed:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))
        for _ in range(1000):  # the signal's handler is called in here, and Python drops what it raises
            pass

def app(arguments, standalone_mode):
    Destroyed()
    time.sleep(60)

sys.exit(run(app))
"""
DISGUISED = """
import os, signal, sys
from leaven.flows import ending
from leaven.generators.errors import FitError

def app(arguments, standalone_mode):
    try:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException as stopped:  # as some libraries do
            raise FitError("the fit went wrong") from stopped
    except FitError:
        ending.raise_if_ended()

sys.exit(ending.run(app))
"""
SWALLOWED = """
import signal, sys, time
from leaven.flows import ending, progress

def app(arguments, standalone_mode):
    try:
        signal.raise_signal(int(sys.argv[1]))
        time.sleep(60)
    except BaseException:  # as some libraries do
        pass
    with progress.stage("next"):
        time.sleep(60)

sys.exit(ending.run(app))
"""


def ends(script: str, *arguments: int) -> int:
    """The exit status of a command that a signal ends with its one line."""
    ended = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        # Tests that a shell runs in the background have SIGINT ignored, and their children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert ended.stderr == "leaven: interrupted; what was finished is kept, a rerun resumes\n"
    return ended.returncode


@pytest.mark.parametrize(("sent", "status"), [(2, 130), (15, 143)])
def test_a_signal_that_python_drops_is_asked_for_again(sent: int, status: int) -> None:
    assert ends(DROPPED, sent) == status


def test_a_failure_that_a_signal_made_is_an_end() -> None:
    assert ends(DISGUISED) == 143


@pytest.mark.parametrize(("sent", "status"), [(2, 130), (15, 143)])
def test_a_signal_that_a_library_swallows_ends_the_next_stage(sent: int, status: int) -> None:
    assert ends(SWALLOWED, sent) == status
