"""What a run leaves on Prefect's pages: progress of stages, the answer, tables, a link to the report."""

import contextlib
import contextvars
import logging
import re
import sys
import threading
import time
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FIRST_SECONDS = 3.0  # a stage that ends sooner has no progress artifact
UPDATE_SECONDS = 5.0  # between two calls of Prefect's API for one stage
PICTURE_BYTES = 60_000  # of one picture of images drawn so far, at most

_log = logging.getLogger(__name__)


def in_run() -> bool:
    """Whether this is called from within a Prefect flow or task run. Does not import Prefect."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


def key(*parts: str) -> str:
    """Parts as an artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


class Page:
    """The progress artifact of one stage of the current run."""

    def __init__(self, name: str):
        self.name = name
        self._context = (
            contextvars.copy_context()
        )  # stages may report from threads that have no run of their own
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._last = self._start + FIRST_SECONDS - UPDATE_SECONDS
        self._id: Any = None
        self._broken = False

    @classmethod
    def here(cls, name: str) -> "Page | None":
        """One for the current run, or None outside of runs."""
        return cls(name) if in_run() else None

    def update(self, share: float, text: str) -> None:
        """Send the progress, if the last time was long enough ago."""
        if self._broken or isnan(share) or time.monotonic() - self._last < UPDATE_SECONDS:
            return
        if self._lock.acquire(blocking=False):
            try:
                self._last = time.monotonic()
                self._context.run(self._send, 100 * share, text)
            finally:
                self._lock.release()

    def picture(self, pixels: "np.ndarray", columns: int) -> None:
        """Show images as they are drawn so far, uint8 (n, height, width, channels), so many side by side."""
        with self._lock:
            if not self._broken:
                self._context.run(self._send_picture, pixels, columns)

    def finish(self, elapsed: float, ended: str) -> None:
        """Fill the bar, and write one line to the run's log."""
        with self._lock:
            if self._id is not None and ended == "done in":
                self._context.run(self._send, 100.0, "done")
        with contextlib.suppress(Exception):
            from prefect.logging import get_run_logger

            get_run_logger().info("%s: %s %.1f s", self.name, ended or "refused after", elapsed)

    def _send(self, percent: float, text: str) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        try:
            description = f"{self.name}: {text}"
            if self._id is None:
                self._id = create_progress_artifact(
                    percent, key=key("stage", self.name), description=description
                )
            else:
                update_progress_artifact(self._id, percent, description=description)
        except Exception as error:  # the page is a courtesy: a run goes on without it
            self._broken = True
            _log.debug("progress of %s is not shown in Prefect: %s", self.name, error)

    def _send_picture(self, pixels: "np.ndarray", columns: int) -> None:
        from prefect.artifacts import create_image_artifact

        from leaven.pipelines.kinds.image import sheets

        try:
            drawn = sheets.sheet(sheets.thumbnails(pixels), PICTURE_BYTES, columns)
            create_image_artifact(
                drawn["src"], key=key("images", self.name), description=f"{self.name}: so far"
            )
        except Exception as error:  # as above
            _log.debug("images of %s are not shown in Prefect: %s", self.name, error)


def publish(report: dict[str, Any], folder: Path) -> None:
    """Leave the answer, the arms, the candidates and the report's address with the current run.

    Does nothing outside of a run.
    """
    if not in_run():
        return
    from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

    from leaven.flows import show

    name, page = report["name"], folder / "report.html"
    try:
        create_markdown_artifact(
            show.markdown(report, page), key=key(name, "answer"), description=show.answer(report)
        )
        create_table_artifact(
            show.candidate_cells(report), key=key(name, "candidates"), description="What was tried"
        )
        create_table_artifact(show.gate_cells(report), key=key(name, "gates"), description="What must hold")
        create_link_artifact(page.resolve().as_uri(), link_text="report.html", key=key(name, "report"))
    except Exception as error:  # the version stands in the store, whatever Prefect says
        _log.warning("the results of %s are not shown in Prefect: %s", name, error)
