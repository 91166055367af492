"""Which failures a retry can help: those of storage that come and go. Wrong input or a full disk stay as they are."""

import errno
from typing import Any

PASSING = {errno.EAGAIN, errno.EINTR, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.EBUSY}


def can_help(task: Any, run: Any, state: Any) -> bool:
    """Prefect's `retry_condition_fn`: whether the failure is a passing one."""
    error = state.result(raise_on_failure=False)
    while error is not None:
        if isinstance(error, OSError) and error.errno in PASSING:
            return True
        error = getattr(error, "__cause__", None)
    return False
