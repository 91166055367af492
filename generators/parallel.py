"""Many small trainings beside each other, each on one thread in a process of its own: two threads in one are slower."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

Call = tuple[Callable[..., Any], tuple[Any, ...]]
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Like `map`: a function of each argument, in order, wherever that is done."""


def beside(calls: Iterable[Call], processes: int) -> Iterator[Any]:
    """The results of calls, in their order; with one process, here and one after the other.

    Functions and arguments must be picklable. Calls are taken as they are needed, so that not all arguments lie in
    memory at once. A result does not depend on the number of processes as long as a call's own threads are the same.
    """
    if processes <= 1:
        for function, arguments in calls:
            yield function(*arguments)
        return
    from joblib import Parallel, delayed

    work = Parallel(n_jobs=processes, return_as="generator", pre_dispatch=processes)
    yield from work(delayed(function)(*arguments) for function, arguments in calls)
