"""Threads of numeric libraries: as many as pay, no more."""

import contextlib
from collections.abc import Iterator

THREADS_PAY = 50_000  # rows below which threads wait for each other longer than they work


@contextlib.contextmanager
def limited(threads: int, rows: int) -> Iterator[int]:
    """At most `threads` threads in the block, and one where there are few rows; yields how many.

    On a busy machine the threads of a small boosted tree spin while they wait for each other: fifty times slower
    than one thread was seen.
    """
    import sklearn.ensemble  # noqa: F401  a limit binds only libraries that are loaded already
    from threadpoolctl import threadpool_limits

    count = threads if rows >= THREADS_PAY else 1
    with threadpool_limits(limits=count):
        yield count
