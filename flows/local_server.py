"""Prefect's server as a child process that ends with the process which started it. Run as a file, not imported.

Prefect's own temporary server outlives a parent that is killed with -9; this one notices that its parent is gone.

    python local_server.py SOCKET_FILE_DESCRIPTOR PARENT_PID

The socket is bound by the parent, so no other process can take the port in between.
"""

import os
import signal
import socket
import sys
import threading
import time

CHECK_SECONDS = 0.5
GRACE_SECONDS = 5.0


def end_with(parent: int) -> None:
    """Stop this process when `parent` is no longer its parent: politely, then for good."""
    while os.getppid() == parent:
        time.sleep(CHECK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve Prefect's API (and its page and services, unless the environment says temporary) on the socket."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    import uvicorn

    listening = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        "prefect.server.api.server:create_app",
        factory=True,
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
