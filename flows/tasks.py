"""Stages as Prefect tasks, with as little of Prefect as is needed.

A task gets one thing: the call to make. So Prefect neither walks through rows and schemas in search of futures
nor stores a stage's arguments, and its result cache stays off: stage records decide what is reused.
"""

import functools
from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from leaven.flows import retry


def _make(call: Callable[[], Any]) -> Any:
    return call()


class Stage:
    """A stage function as a task of the current flow run. Call it, or `submit` it to run beside others."""

    def __init__(self, function: Callable[..., Any], **options: Any):
        self.function = function
        settings: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "log_prints": False}
        self._task: Any = task(name=function.__name__, **settings, **options)(_make)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._task(functools.partial(self.function, *args, **options))

    def submit(self, *args: Any, **options: Any) -> Any:
        """A future of the stage's result."""
        return self._task.submit(functools.partial(self.function, *args, **options))


def storage(function: Callable[..., Any]) -> Stage:
    """A stage that reads a source or writes a store, which may fail in passing: tried up to three times.

    Other stages are deterministic: to try them again would fail again.
    """
    return Stage(function, retries=2, retry_delay_seconds=5, retry_condition_fn=retry.can_help)
