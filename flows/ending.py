"""How a command ends: its exit status, and one line on standard error for whatever went wrong."""

import contextlib
import difflib
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from typing import Any

from leaven.generators.errors import RESUMES, LeavenError

USAGE = 2
FAILED = 1
INTERRUPTED = 130
TERMINATED = 143
_AGAIN = 0.05  # seconds
_came: list[signal.Signals] = []  # the signals that asked the command to end


class Terminated(BaseException):
    """SIGTERM: ends the command the way Ctrl-C does, so that locks, workers and drafts are cleared away."""


def run(app: Any, arguments: list[str] | None = None) -> int:
    """Run the typer application; returns the exit status and never raises."""
    interrupt = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(ValueError):  # not in the main thread, as in some tests
        signal.signal(signal.SIGTERM, _terminate)
        if interrupt is signal.default_int_handler:  # else somebody, such as nohup, ignores it
            signal.signal(signal.SIGINT, _interrupt)
    ignored, sys.unraisablehook = sys.unraisablehook, _unraisable
    try:
        code = app(arguments, standalone_mode=False)
        if code == INTERRUPTED:  # typer's way of saying Ctrl-C
            return _stopped(KeyboardInterrupt())
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, Terminated) as stopped:
        return _stopped(stopped)
    except LeavenError as error:
        return _stopped(_end()) if _came else _fail(error, str(error), error.exit_code)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if _came:
            return _stopped(_end())
        if type(error).__name__ == "Abort":
            return _stopped(error)
        if hasattr(error, "format_message"):  # typer's own complaints about how it was called
            return _fail(error, _usage(error, app), USAGE)
        return _unexpected(error)
    finally:
        sys.unraisablehook = ignored
        if signal.getsignal(signal.SIGINT) is _interrupt:  # one that comes again finds nothing to end
            signal.signal(signal.SIGINT, signal.SIG_IGN if _came else interrupt)
        _came.clear()  # they ended this command, not whatever the process does next


def raise_if_ended() -> None:
    """End the command if a signal has asked for it: libraries swallow what it raised, or make an error of it. Other
    threads end with the main one."""
    if _came and threading.current_thread() is threading.main_thread():
        raise _end()


def _interrupt(*_: Any) -> None:
    _came.append(signal.SIGINT)
    raise KeyboardInterrupt


def _terminate(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _came.append(signal.SIGTERM)
    raise Terminated


def _end() -> BaseException:
    """What the signal that came last raises."""
    return Terminated() if _came[-1] == signal.SIGTERM else KeyboardInterrupt()


def _unraisable(what: Any) -> None:
    """Python drops what is raised in a destructor or a weak reference's callback: an end is asked for again."""
    if not issubclass(what.exc_type, KeyboardInterrupt | Terminated):
        sys.__unraisablehook__(what)
        return
    sent = signal.SIGINT
    if issubclass(what.exc_type, Terminated):
        sent = signal.SIGTERM
        signal.signal(sent, _terminate)
    # Not from here: what the signal raises would be dropped again.
    again = threading.Timer(_AGAIN, signal.pthread_kill, (threading.main_thread().ident, sent))
    again.daemon = True
    again.start()


def _stopped(stopped: BaseException) -> int:
    print(f"leaven: interrupted; {RESUMES}", file=sys.stderr)
    return TERMINATED if isinstance(stopped, Terminated) else INTERRUPTED


def _fail(error: BaseException, message: str, code: int) -> int:
    if os.environ.get("LEAVEN_DEBUG"):
        traceback.print_exception(error)
    print(f"leaven: {' '.join(message.split())}", file=sys.stderr)
    return code


def _usage(error: Any, app: Any) -> str:
    """typer's message, with the nearest command or option where one was mistyped."""
    message = error.format_message().rstrip(".")
    names = [command.name or command.callback.__name__.strip("_") for command in app.registered_commands]
    mistyped = re.match(r"No such command '(.*?)'", message)
    if mistyped:
        near = difflib.get_close_matches(mistyped[1], names, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
        return f"there is no command '{mistyped[1]}'; {hint}"
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def _unexpected(error: Exception) -> int:
    """A fault of ours, or of the machine: one line, and where the traceback is."""
    where = ""
    if os.environ.get("LEAVEN_DEBUG"):
        traceback.print_exception(error)
    else:
        handle, name = tempfile.mkstemp(prefix="leaven-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            traceback.print_exception(error, file=file)
        where = f"; traceback: {name}"
    text = " ".join(str(error).split())[:300]
    print(f"leaven: unexpected {type(error).__name__}: {text}{where}", file=sys.stderr)
    return FAILED
