"""Progress of stages: bars on a terminal, a line now and then elsewhere, and Prefect's page inside a run.

A stage gets a function to call with the share done and a short text; how often it calls does not matter.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING, Any, Protocol

from leaven.flows import artifacts as pages
from leaven.flows import ending
from leaven.generators.contract import Progress
from leaven.generators.errors import InputError
from leaven.pipelines.report.words import duration

if TYPE_CHECKING:
    from rich.console import Console

LINE_SECONDS = 10.0  # between two lines of one stage, where there is no terminal
BRIEF_SECONDS = 0.5  # a stage that took less (its record was there) is not worth a line


class Display(Protocol):
    """Where progress is shown."""

    def update(self, name: str, share: float, text: str, elapsed: float) -> None:
        """`share` is 0 to 1, or NaN when unknown; `elapsed` counts from the stage's start, in seconds."""

    def finish(self, name: str, elapsed: float, ended: str) -> None:
        """The stage ended: `done in`, `failed after`, or nothing where it was refused."""


def remaining(share: float, elapsed: float) -> str:
    """`, about 3 min left`, or nothing where it is too early to tell."""
    if isnan(share) or share < 0.02 or share >= 1 or elapsed < 3:
        return ""
    return f", about {duration(elapsed * (1 - share) / share)} left"


def _worth_a_line(ended: str, elapsed: float) -> bool:
    return ended == "failed after" or (ended == "done in" and elapsed >= BRIEF_SECONDS)


class Lines:
    """Plain lines, at most one each `LINE_SECONDS` and stage."""

    def __init__(self, console: "Console"):
        self.console = console
        self._last: dict[str, float] = {}

    def update(self, name: str, share: float, text: str, elapsed: float) -> None:
        now = time.monotonic()
        if elapsed < LINE_SECONDS or now - self._last.get(name, -LINE_SECONDS) < LINE_SECONDS:
            return
        self._last[name] = now
        percent = "" if isnan(share) else f" {share:.0%}"
        self._print(f"{name}:{percent} {text}{remaining(share, elapsed)}")

    def finish(self, name: str, elapsed: float, ended: str) -> None:
        self._last.pop(name, None)
        if _worth_a_line(ended, elapsed):
            self._print(f"{name}: {ended} {duration(elapsed)}")

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """A bar for each stage that is going on; a line for each that has ended."""

    def __init__(self, console: "Console"):
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.console = console
        self.bars = RichProgress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self._tasks: dict[str, Any] = {}
        self._lock = threading.Lock()

    def update(self, name: str, share: float, text: str, elapsed: float) -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self.bars.add_task(name, total=None, text="")
        left = remaining(share, elapsed)
        room = max(10, self.console.width - len(name) - 30 - len(left))
        shown = text if len(text) <= room else text[: room - 1] + "…"
        total, completed = (None, 0.0) if isnan(share) else (1.0, share)
        self.bars.update(self._tasks[name], total=total, completed=completed, text=shown + left)

    def finish(self, name: str, elapsed: float, ended: str) -> None:
        with self._lock:
            task = self._tasks.pop(name, None)
        if task is not None:
            self.bars.remove_task(task)
        if _worth_a_line(ended, elapsed):
            mark = "[green]✓[/]" if ended == "done in" else "[red]✗[/]"
            self.bars.console.print(f"{mark} {name} [dim]{duration(elapsed)}[/]", highlight=False)


_displays: list[Display] = []


@contextlib.contextmanager
def display(console: "Console | None") -> Iterator[None]:
    """Show the stages of the block on `console`; None shows nothing."""
    if console is None:
        yield
        return
    shown: Display
    if console.is_terminal:
        shown = bars = Bars(console)
        with bars.bars, _showing(shown):
            yield
    else:
        with _showing(Lines(console)):
            yield


@contextlib.contextmanager
def _showing(shown: Display) -> Iterator[None]:
    _displays.append(shown)
    try:
        yield
    finally:
        _displays.remove(shown)


@contextlib.contextmanager
def stage(name: str) -> Iterator[Progress]:
    """Show one stage while the block runs; yields the function that the stage reports to.

    Inside a Prefect run the stage also has a progress artifact, once it has taken a few seconds. What goes
    wrong in showing progress never stops a run. A signal to end that a library swallowed ends it here.
    """
    start = time.monotonic()
    shown = list(_displays)
    page = pages.Page.here(name)

    def report(share: float, text: str) -> None:
        ending.raise_if_ended()
        share = share if isnan(share) else min(1.0, max(0.0, float(share)))
        elapsed = time.monotonic() - start
        for one in shown:
            one.update(name, share, text, elapsed)
        if page is not None:
            page.update(share, f"{text}{remaining(share, elapsed)}")

    if page is not None:
        report.picture = page.picture  # type: ignore[attr-defined]
    report(float("nan"), "")
    ended = "failed after"
    try:
        yield report
        ended = "done in"
    except InputError:
        ended = ""  # the one line that says what is wrong comes from whoever called
        raise
    finally:
        elapsed = time.monotonic() - start
        for one in shown:
            one.finish(name, elapsed, ended)
        if page is not None:
            page.finish(elapsed, ended)


def artifacts(outcome: Any) -> None:
    """Leave the outcome of a run with Prefect: the answer, what was tried, the gates, the report's address."""
    pages.publish(outcome.report, outcome.path)
