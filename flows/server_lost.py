"""A Prefect server that no longer answers, or refuses, as one clear line. Imports nothing of Prefect."""

import contextlib
import sys
from collections.abc import Iterator

from leaven.generators.errors import RESUMES, LeavenError


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Tell what Prefect's client raises when it gives up.

    Raises:
        LeavenError: the server does not answer any more, refuses the auth string, or fails.
    """
    try:
        yield
    except LeavenError:
        raise
    except Exception as error:
        line = _line(error)
        if line is None:
            raise
        raise LeavenError(f"Prefect's server {line}; {RESUMES}") from error


def _line(error: BaseException | None) -> str | None:
    """What is wrong with the server; None where the error is another one."""
    httpx = sys.modules.get("httpx")
    while httpx is not None and error is not None:
        request = getattr(error, "_request", None)
        url = f"{request.url.scheme}://{request.url.netloc.decode()}" if request is not None else ""
        if isinstance(error, httpx.HTTPStatusError):
            code = error.response.status_code
            if code in (401, 403):
                return (
                    f"at {url} refuses ({code}); set PREFECT_API_AUTH_STRING to its "
                    "PREFECT_SERVER_API_AUTH_STRING"
                )
            if code >= 500:
                return f"at {url} fails ({code}); its log says why"
        if isinstance(error, httpx.TransportError):
            return f"at {url} does not answer any more ({type(error).__name__})"
        error = error.__cause__ or error.__context__
    return None
