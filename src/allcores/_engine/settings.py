"""Workers and backend: context variables, environment variables, and what this machine allows."""

from __future__ import annotations

import math
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .. import _kernels
from .contexts import contextmanager
from .imports import importing, load_masked_arrays

if TYPE_CHECKING:
    from concurrent.futures import Future


class Sender(Protocol):
    """Sends tasks to an executor."""

    @property
    def workers(self) -> int: ...

    def once(self, value: Any) -> Any:
        """A placeholder for an argument of many tasks."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]: ...


_workers: ContextVar[int | None] = ContextVar("allcores_workers", default=None)
_backend: ContextVar[str | None] = ContextVar("allcores_backend", default=None)
_sender: ContextVar[Sender | None] = ContextVar("allcores_executor", default=None)
_arrays: ContextVar[bool] = ContextVar("allcores_executor_for_arrays", default=False)
_budget: ContextVar[int | None] = ContextVar("allcores_memory_budget", default=None)
_limit: ContextVar[Limit | None] = ContextVar("allcores_limit", default=None)

# Positive: small arrays may take the fast path. Each `use_backend` that is open anywhere in the process, and each call
# that sends arrays to an executor, closes it, since reading a context variable would cost as much as the door: other
# threads are slower meanwhile, no more.
doors = 1
_doors_lock = threading.RLock()  # garbage collection and signals may enter anywhere


def affinity() -> int:
    """CPUs on which this process may run, or as many as Python was told: by ``-X cpu_count`` or PYTHON_CPU_COUNT."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read(*path: str) -> str:
    """A small file: without pathlib, which takes 5 ms to import, and without `open`, which late at exit is no more."""
    file = os.open(os.path.join(*path), os.O_RDONLY)
    try:
        return os.fsdecode(os.read(file, 1 << 16))
    finally:
        os.close(file)


@cache
def quota(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> float | None:
    """CPUs' worth of time that the control group of this process may use, v2 or v1; None where there is no limit."""
    try:
        lines = read(membership).splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, unified = root, True
        elif "cpu" in controllers.split(","):
            places = (os.path.join(root, controllers), os.path.join(root, "cpu"))
            base, unified = next((place for place in places if os.path.isdir(place)), root), False
        else:
            continue
        # The limit of a group holds for the groups below it; inside a container only part of the path can be seen.
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            directory = os.path.join(base, *parts[:depth])
            try:
                if unified:
                    most, period = read(directory, "cpu.max").split()
                else:
                    most = read(directory, "cpu.cfs_quota_us").strip()
                    period = read(directory, "cpu.cfs_period_us").strip()
                if most not in ("max", "-1"):
                    limits.append(int(most) / int(period))
            except (OSError, ValueError, ZeroDivisionError):
                continue
    return min(limits, default=None)


def cores() -> int:
    """Cores that this process may use: its affinity, capped by its control group's quota."""
    limit = quota()
    return affinity() if limit is None else max(1, min(affinity(), math.ceil(limit)))


@cache
def memory_limit(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> int:
    """Bytes of memory that this process may use: the machine's, capped by its control groups'."""
    limits = [1 << 34]  # where nobody says
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    try:
        lines = read(membership).splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = os.path.join(root, "memory") if controllers else root
        parts = [part for part in path.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            try:
                limits.append(int(read(base, *parts[:depth], "memory.limit_in_bytes" if controllers else "memory.max")))
            except (OSError, ValueError):  # there is none, or it is "max"
                continue
    return min(limits)


def get_memory_budget() -> int:
    """Number of bytes that calls on lazy sources may have in memory at a time.

    Returns
    -------
    int
        What `set_memory_budget` set in this context, else an eighth of the memory that this process may use: the
        machine's, capped by the limit of its control group.

    Examples
    --------
    >>> import allcores as ac
    >>> with ac.set_memory_budget(100_000_000):
    ...     ac.get_memory_budget()
    100000000
    """
    budget = _budget.get()
    return memory_limit() // 8 if budget is None else budget


def budget_of_piece(workers: int) -> int:
    """Bytes that a piece may have, of which each worker has one: copies and what is kept take as much and more."""
    return get_memory_budget() // (4 * workers)


@contextmanager
def set_memory_budget(nbytes: int | None) -> Iterator[None]:
    """Context manager that bounds what calls on lazy sources have in memory at a time.

    Parameters
    ----------
    nbytes : int or None
        Number of bytes; None: an eighth of the memory that this process may use. Fewer parts are read at a time where
        they would be too much. A single stored chunk is always read whole.

    Raises
    ------
    TypeError, ValueError
        If `nbytes` is not an integer, or not positive.

    Notes
    -----
    The setting belongs to the current context (`contextvars`), as that of `set_workers`. Results don't depend on it.

    Examples
    --------
    >>> import allcores as ac
    >>> with ac.set_memory_budget(1 << 28):
    ...     ac.sum([1.0, 2.0])
    np.float64(3.0)
    """
    if nbytes is not None:
        if isinstance(nbytes, (bool, np.bool_)):
            raise TypeError("nbytes must be an integer or None, not bool")
        try:
            nbytes = operator.index(nbytes)
        except TypeError:
            raise TypeError(f"nbytes must be an integer or None, not {type(nbytes).__name__}") from None
        if nbytes < 1:
            raise ValueError(f"nbytes must be positive, got {nbytes}")
    token = _budget.set(nbytes)
    try:
        yield
    finally:
        _budget.reset(token)


def is_count(workers: object) -> bool:
    """Whether `workers` is plainly a good argument. Small arrays need no more: they are computed by the caller."""
    return type(workers) is int and workers > 0


def check_workers(workers: object, name: str = "workers") -> int:
    """A number of workers from an argument: None and -1 mean all cores; zero and other negative numbers are errors."""
    if workers is None:
        return cores()
    if isinstance(workers, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer or None, not bool")
    try:
        number = operator.index(workers)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer or None, not {type(workers).__name__}") from None
    if number == -1:
        return cores()
    if number < 1:
        raise ValueError(f"{name} must be a positive number, -1 or None (all cores), got {number}")
    return number


def _from_environment() -> int | None:
    text = os.environ.get("ALLCORES_WORKERS")
    if not text:
        return None
    try:
        return check_workers(int(text), "ALLCORES_WORKERS")
    except ValueError:
        raise ImportError(f"ALLCORES_WORKERS={text!r} must be a positive integer, or -1 for all cores") from None


ENVIRONMENT_WORKERS = _from_environment()

# In a worker of a process pool: its part of the cores.
_part: int | None = None


def limit_workers(number: int) -> None:
    """In a worker process: the number of workers of calls that don't say, whatever its environment says."""
    global _part
    _part = number


def workers_and_source() -> tuple[int, str]:
    """The number of workers of a call that does not say, and where it comes from."""
    number = _workers.get()
    return _default_workers() if number is None else (number, "set_workers")


def put_workers(number: int) -> None:
    """Set the number of workers of this context from here on; the default number leaves it unset."""
    _workers.set(None if number == _default_workers()[0] else number)


def _default_workers() -> tuple[int, str]:
    if _part is not None:
        return _part, "its part in a process pool"
    if ENVIRONMENT_WORKERS is not None:
        return ENVIRONMENT_WORKERS, "ALLCORES_WORKERS"
    limit = quota()
    if limit is not None and limit < affinity():
        return cores(), f"control group quota of {limit:g} CPUs"
    return cores(), "CPU affinity"


class Limit:
    """The workers that a call under way may use, with the calls of a user's function that it makes."""

    __slots__ = ("over", "workers")

    def __init__(self, workers: int) -> None:
        self.workers, self.over = workers, False


@contextmanager
def at_most(workers: int) -> Iterator[None]:
    """No call of this context uses more workers meanwhile, whatever it says."""
    limit = Limit(within_limit(workers))
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)
        limit.over = True  # threads and asynchronous tasks that were begun meanwhile may keep the context


def within_limit(workers: int) -> int:
    limit = _limit.get()
    return workers if limit is None or limit.over else min(workers, limit.workers)


def resolve_workers(workers: object) -> int:
    """The number of workers of one call. Every call that is more than a fast path begins with this."""
    load_masked_arrays()
    return within_limit(workers_and_source()[0] if workers is None else check_workers(workers))


def get_workers() -> int:
    """Number of workers that a call uses which does not say ``workers=``.

    Returns
    -------
    int
        What `set_workers` set in this context, else the environment variable ``ALLCORES_WORKERS``, else the number of
        cores that this process may use: its CPU affinity, or from Python 3.13 on what ``-X cpu_count`` says, capped by
        the CPU quota of its control group. Within a call that was given a number of workers, `map_blocks` for example,
        no more than these, and 1 in a block that is computed beside others.

    Examples
    --------
    >>> import allcores as ac
    >>> with ac.set_workers(2):
    ...     ac.get_workers()
    2
    """
    return resolve_workers(None)


@contextmanager
def set_workers(workers: int | None) -> Iterator[None]:
    """Context manager that sets the default number of workers, as `scipy.fft.set_workers` does.

    Parameters
    ----------
    workers : int or None
        Number of workers of the calls inside the ``with`` block that do not say; None and -1 mean all the cores that
        this process may use.

    Raises
    ------
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    The setting belongs to the current context (`contextvars`): other threads and asynchronous tasks don't see it, but
    for threads that free-threaded Python 3.14 starts in the ``with`` block, which begin with a copy of its context.

    Examples
    --------
    >>> import allcores as ac
    >>> with ac.set_workers(1):
    ...     ac.sum([1.0, 2.0])
    np.float64(3.0)
    """
    token = _workers.set(check_workers(workers))
    try:
        yield
    finally:
        _workers.reset(token)


def sender() -> Sender | None:
    """Where calls of this context compute, unless on threads."""
    return _sender.get()


def sends_arrays() -> bool:
    """Whether that holds for arrays in memory, too."""
    return _arrays.get()


@contextmanager
def use_sender(sender: Sender | None, arrays: bool = False) -> Iterator[None]:
    tokens = _sender.set(sender), _arrays.set(arrays)
    _move_doors(-int(arrays))
    try:
        yield
    finally:
        _move_doors(int(arrays))
        _sender.reset(tokens[0])
        _arrays.reset(tokens[1])


def backend() -> str:
    """The backend of this context."""
    return _backend.get() or _kernels.DEFAULT


@cache
def _load(name: str) -> None:
    """The fallback is imported when it is first used; only then the lock is taken, for which others may wait."""
    with importing:
        _kernels.load(name)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run the calls of a ``with`` block on another backend."""
    if name not in _kernels.available():
        raise ValueError(f"backend must be one of {', '.join(_kernels.available())}, got {name!r}")
    _load(name)
    token = _backend.set(name)
    _move_doors(-1)
    try:
        yield
    finally:
        _move_doors(1)
        _backend.reset(token)


def _move_doors(by: int) -> None:
    global doors
    with _doors_lock:
        doors += by


def _new_lock() -> None:
    """In a forked child: the lock may have been held; the executor and the call are the parent's."""
    global _doors_lock
    _doors_lock = threading.RLock()
    _sender.set(None)
    _arrays.set(False)
    _limit.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
