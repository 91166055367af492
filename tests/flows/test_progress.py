"""What is said while stages run: neither silence nor a flood."""

import io

import pytest
from rich.console import Console

from leaven.flows import progress
from leaven.generators.errors import FitError, InputError


class Clock:
    """`time.monotonic` that a test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 1000.0
        monkeypatch.setattr("leaven.flows.progress.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def written(terminal: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=80), out


def test_a_line_now_and_then_with_the_time_that_is_left(clock: Clock) -> None:
    console, out = written()
    with progress.display(console), progress.stage("fit ctgan") as tell:
        for step in range(1, 101):
            clock.now += 0.5
            tell(step / 100, f"epoch {step} of 100")
    lines = out.getvalue().splitlines()
    assert lines[0] == "fit ctgan: 20% epoch 20 of 100, about 40 s left"
    assert lines[-1] == "fit ctgan: done in 50 s"
    assert len(lines) == 6  # 50 seconds, a line each 10, and the end


def test_a_stage_whose_record_was_there_is_silent(clock: Clock) -> None:
    console, out = written()
    with progress.display(console), progress.stage("ingest") as tell:
        tell(1.0, "done")
    assert out.getvalue() == ""


def test_failures_are_said_and_refusals_left_to_the_one_line(clock: Clock) -> None:
    console, out = written()
    with progress.display(console), pytest.raises(FitError), progress.stage("fit smote"):
        raise FitError("too few rows")
    assert "fit smote: failed after" in out.getvalue()
    console, out = written()
    with progress.display(console), pytest.raises(InputError), progress.stage("ingest"):
        clock.now += 5
        raise InputError("no rows")
    assert out.getvalue() == ""


def test_bars_fit_a_terminal_and_end_in_a_line(clock: Clock) -> None:
    console, out = written(terminal=True)
    with progress.display(console), progress.stage("fit tvae(epochs=30), fold 2") as tell:
        tell(float("nan"), "preparing")
        clock.now += 20
        tell(0.5, "epoch 15 of 30, and a text that is much too long for what is left of the line")
    text = out.getvalue()
    assert "fit tvae(epochs=30), fold 2" in text and "✓" in text and "20 s" in text


def test_shares_out_of_bounds_do_no_harm_and_nothing_is_shown_without_a_display() -> None:
    with progress.stage("sample") as tell:
        tell(-1.0, "before")
        tell(7.0, "after")
    assert progress.remaining(float("nan"), 100) == "" and progress.remaining(1.0, 100) == ""
    assert progress.remaining(0.25, 60) == ", about 3 min left"
