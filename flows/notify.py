"""Others are told what became of a run: a Prefect event, on which automations start, and a webhook where asked for.

Once for each version and verdict: what has been told is kept beside the versions, so that a run which was killed in
between tells it at its next start, and a rerun that makes nothing new tells nothing.
"""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from leaven.generators.errors import LeavenError

if TYPE_CHECKING:
    from leaven.pipelines.recipe import Notify, Recipe
    from leaven.pipelines.store import Store

EVENT = "leaven.version."  # and the verdict
TOLD = "told.json"
TRIES = 3
PAUSE_SECONDS = (1.0, 5.0)  # before the second and the third try
TIMEOUT_SECONDS = 10.0

_log = logging.getLogger(__name__)


def tell(
    recipe: "Recipe",
    store: "Store",
    version: str,
    verdict: str,
    report: dict[str, Any],
    place: str,
    events: bool = True,
) -> None:
    """Emit the event and call the webhook, unless that was done. What fails is a warning, and nothing else.

    Args:
        verdict: `released`, `withheld`, or `pending` where a person has to approve.
        place: the version's folder or URI.
        events: whether there is a Prefect server to be told.
    """
    try:
        if _told(store, recipe.name) == {"version": version, "verdict": verdict}:
            return
        message = content(recipe.name, version, verdict, report, place)
        if events:
            emit(message)
        if recipe.notify is not None and recipe.notify.webhook is not None:
            _call(recipe.notify, message)
        store.note(recipe.name, TOLD, lambda _: {"version": version, "verdict": verdict})
    except Exception as error:  # the version stands in the store, whoever heard of it
        warn(f"{recipe.name}@{version}: nobody was told that it is {verdict}: {error}")


def content(name: str, version: str, verdict: str, report: dict[str, Any], place: str) -> dict[str, Any]:
    """What is told: the payload of the event and the JSON that the webhook gets."""
    utility = report.get("utility") or {}
    return {
        "event": EVENT + verdict,
        "name": name,
        "version": version,
        "verdict": verdict,
        "effect": report.get("effect"),
        "metric": utility.get("metric"),
        "lift": utility.get("lift"),
        "failed_gates": [gate["gate"] for gate in report.get("gates", ()) if not gate["passed"]],
        "path": place,
        "report": f"{place}/report.html",
    }


def emit(message: dict[str, Any]) -> None:
    """The Prefect event of a message, about the resource `leaven.dataset.NAME`."""
    from prefect.events import emit_event

    resource = {
        "prefect.resource.id": f"leaven.dataset.{message['name']}",
        "prefect.resource.name": message["name"],
        "leaven.version": message["version"],
    }
    emit_event(message["event"], resource=resource, payload=message)


def warn(text: str) -> None:
    """A warning in the run's log, where there is a run, else in this process's."""
    from leaven.flows import artifacts

    if artifacts.in_run():
        from prefect.logging import get_run_logger

        get_run_logger().warning(text)
    else:
        _log.warning(text)


def _call(notify: "Notify", message: dict[str, Any]) -> None:
    """Post to the webhook; a fault that may pass is tried again, and one that stays is a warning."""
    try:
        url = _resolved(notify.webhook or "")
        headers = {"authorization": f"Bearer {_resolved(notify.token)}"} if notify.token else {}
        _post(url, message, headers)
    except LeavenError as error:
        warn(f"{message['name']}@{message['version']}: the webhook was not told: {error}")


def _post(url: str, message: dict[str, Any], headers: dict[str, str]) -> None:
    """Errors of httpx and its log say the URL, which may be a secret: none is passed on."""
    import httpx

    fault = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS[attempt - 1])
        try:
            with _unlogged("httpx", "httpcore"):
                answer = httpx.post(url, json=message, headers=headers, timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            fault = type(error).__name__
            continue
        if answer.is_success:
            return
        fault = f"it answered {answer.status_code}"
        if answer.status_code < 500 and answer.status_code != 429:
            break
    raise LeavenError(f"{fault}, after {attempt + 1} {'try' if attempt == 0 else 'tries'}")


@contextlib.contextmanager
def _unlogged(*names: str) -> Iterator[None]:
    """Have libraries log nothing below a warning in the block."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _resolved(text: str) -> str:
    """A value, or that of the environment variable which `env:NAME` names."""
    scheme, _, name = text.partition(":")
    if scheme != "env":
        return text
    if not os.environ.get(name):
        raise LeavenError(f"the environment variable {name}, which the recipe names, is not set")
    return os.environ[name]


def _told(store: "Store", name: str) -> Any:
    path = store.kept(name, TOLD)
    try:
        return json.loads(path.read_text()) if path else None
    except (OSError, ValueError):
        return None
