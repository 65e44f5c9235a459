"""Where calls that don't say compute: on an executor, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ._engine import settings
from ._engine.contexts import contextmanager
from ._engine.imports import importing

if TYPE_CHECKING:
    from concurrent.futures import Executor

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def set_executor(executor: Executor | None) -> Iterator[None]:
    """Context manager that has lazy sources computed with, and your own functions called, on an executor.

    Parameters
    ----------
    executor : concurrent.futures.Executor or None
        A process pool, ``Client.get_executor()`` of Dask, ``mpi4py.futures.MPIPoolExecutor``,
        `allcores.futures.cluster.RayExecutor`, or any other. None: threads of this process.

    Raises
    ------
    TypeError
        If `executor` can't be one.

    See Also
    --------
    allcores.open : Lazy sources.

    Notes
    -----
    It holds for reductions, medians and quantiles, moving windows, exponential weights and filled gaps of lazy sources,
    and for `map_blocks` and its kin where they have no
    ``executor=``. Arrays in memory stay on threads: sending one to another process takes longer than anything that is
    compiled here. They are sent, once a worker, where the call itself has ``executor=``.

    A source crosses as a handle, and workers open it themselves, so its path must mean the same to them. A task is a
    range of pieces of 64 to 512 MiB, of which one partial result comes back. Results have the same bits as on threads.
    The setting belongs to the current context (`contextvars`), as that of `set_workers`.

    Examples
    --------
    >>> import concurrent.futures
    >>> import numpy as np
    >>> import allcores as ac
    >>> path = getfixture("tmp_path") / "x.npy"
    >>> np.save(path, np.arange(1_000_000.0))
    >>> with concurrent.futures.ThreadPoolExecutor(2) as pool, ac.set_executor(pool):
    ...     ac.mean(ac.open(path))
    np.float64(499999.5)
    """
    if executor is None:
        with settings.use_sender(None):
            yield
        return
    with importing:
        from .futures.cluster import Courier

    with Courier(executor) as courier, settings.use_sender(courier):
        yield


def on(executor: Executor | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function that computes on an executor, arrays in memory too; or where it does anyway."""
    if executor is None:
        return function(*args, **kwargs)
    with importing:
        from .futures.cluster import Courier

    with Courier(executor) as courier, settings.use_sender(courier, arrays=True):
        return function(*args, **kwargs)


def sent(executor: Executor, function: Callable[P, R]) -> Callable[P, R]:
    """The function, computing on an executor."""
    return partial(on, executor, function)
