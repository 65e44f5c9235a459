"""Threads of this process around one cursor.

    caller                                            threads of the pool

    together: allowed(workers) --- 1 ---> work(), here and alone
        | more
        v
    helpers ----> list of those who are wanted ---->  whoever is free takes the first: work()
    work()
    withdraw those whom nobody has taken, wait for the others

W - 1 threads of a pool and the caller each make the same kernel call and share one cursor: one GIL hand-over a worker
and call, not a chunk, and a slow core claims fewer chunks. Whatever the threads of the pool are busy with, no call
waits for them to begin: helpers that nobody has taken when the work is done are taken off the list, with all they
refer to. So calls may nest in any way, in blocks, in calls in the background, in threads of others.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from . import settings
from .operands import Array
from .task import STOP, Slots, Task


class _Here(threading.local):
    """Whether this thread works for a team, or is about to."""

    worker = False


here = _Here()
# Garbage collection and signals may begin a call at any place of this module, with the lock held.
_lock = threading.RLock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_wanted: OrderedDict[Helper, None] = OrderedDict()
_summoned = 0  # threads of the pool that will look at the list, and have not yet


def _forget_pool() -> None:
    """In a forked child: the threads were not copied, and locks may have been held."""
    global _pool, _pool_size, _lock, _wanted, _summoned, _measuring
    _lock, _pool, _pool_size = threading.RLock(), None, 0
    _wanted, _summoned, _measuring = OrderedDict(), 0, threading.Lock()
    here.worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _become_worker() -> None:
    here.worker = True


class alone:
    """Calls of this thread are no team meanwhile: within one, or where locks of the standard library are held, and a
    signal or garbage collection begins a call."""

    def __enter__(self) -> None:
        self.before, here.worker = here.worker, True

    def __exit__(self, *_: object) -> None:
        here.worker = self.before


def pool(size: int) -> ThreadPoolExecutor:
    """The threads of this process, at least `size` of them; made when first needed, joined at exit."""
    global _pool, _pool_size
    with _lock:
        if _pool is None or _pool_size < size:
            old, _pool_size = _pool, max(size, settings.cores())
            _pool = ThreadPoolExecutor(_pool_size, thread_name_prefix="allcores", initializer=_become_worker)
            if old is not None:
                old.shutdown(wait=False)
        return _pool


def submit(size: int, function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Hand a call to the pool. Nobody may wait for its future: the pool may be busy for long.

    An interrupt can fall between the start of a new thread and its registration; nobody would wake that thread at exit.
    The pool is given up then, which wakes all of its threads, and a new one is made when it is needed.
    """
    global _pool, _pool_size, _summoned
    while True:
        threads = pool(size)
        try:
            # From an empty context: free-threaded Python 3.14 hands it to new threads, which would keep what is in it.
            return Context().run(threads.submit, function, *args)
        except BaseException as error:
            with _lock:
                replaced = _pool is not threads
                if not replaced:
                    _pool, _pool_size = None, 0
                _summoned = 0
            # What is queued already would be nobody's: a thread might begin it when its caller has its result.
            threads.shutdown(wait=False, cancel_futures=True)
            # Another thread has put a larger pool in the place of this one meanwhile.
            if not (replaced and isinstance(error, RuntimeError)):
                raise


# ---- how long it takes until somebody helps

MEASURED = 5e-3  # seconds that a call gives to measuring, at most
LATEST = 500e-6  # what is assumed, at most
QUICK = 100e-6  # a latency that is not measured again

_hand_over: float | None = None
_measure_after = 0.0
_pause = 1.0
_measuring = threading.Lock()


def hand_over() -> float:
    """Seconds that a round trip through a pool takes, infinite where there is no thread.

    It is measured on a thread of its own, since those of the pool may be busy, and for some milliseconds at most. A
    long one may be due to what else the machine did then: it is measured again when it is needed later, at growing
    distances, and the least of all counts.
    """
    global _hand_over, _measure_after, _pause
    if _hand_over is not None and (_hand_over <= QUICK or time.monotonic() < _measure_after):
        return _hand_over
    if not _measuring.acquire(blocking=False):  # by another thread, or below this very call
        return LATEST if _hand_over is None else _hand_over
    try:
        with alone():
            seconds = measure()
        if seconds < math.inf:
            _hand_over = seconds if _hand_over is None else min(_hand_over, seconds)
            _measure_after, _pause = time.monotonic() + _pause, min(2 * _pause, 60.0)
        return seconds if _hand_over is None else _hand_over
    finally:
        _measuring.release()


def measure() -> float:
    """The median of some round trips, between bounds."""
    times = []
    thread = ThreadPoolExecutor(1, thread_name_prefix="allcores")
    end = time.perf_counter() + MEASURED
    try:
        for _ in range(9):
            begin = time.perf_counter()
            Context().run(thread.submit, int).result(end - begin)
            times.append(time.perf_counter() - begin)
    except TimeoutError:
        times.append(LATEST)
    except (RuntimeError, CancelledError):
        return math.inf  # the interpreter is going down, or the system starts no more threads
    finally:
        thread.shutdown(wait=False)
    return min(max(sorted(times)[len(times) // 2], 10e-6), LATEST)


# ---- teams


def allowed(workers: int) -> int:
    """How many workers work may have here, of so many: one within a team, and no more than calls around this one."""
    return 1 if here.worker else settings.within_limit(workers)


class Helper:
    """Work that a thread of the pool may take from the list."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work: Callable[[], Any] | None = partial(copy_context().run, work)
        self.begun = self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._ended = threading.Lock()
        self._ended.acquire()

    def help(self) -> None:
        work, self.work = self.work, None
        assert work is not None
        try:
            self.result = work()
        except BaseException as error:
            self.error = error
        self.done = True
        self._ended.release()
        self = None  # type: ignore[assignment]  # its exception's traceback refers to this frame

    def wait(self) -> None:
        """With an eye on signals."""
        while not (self.done or self._ended.acquire(timeout=0.02)):
            pass

    def outcome(self) -> Any:
        if self.error is None:
            return self.result
        try:
            raise self.error
        finally:
            self = None  # type: ignore[assignment]  # as above


def _look() -> None:
    """A thread of the pool: help whoever has waited longest."""
    global _summoned
    with _lock:
        _summoned = max(0, _summoned - 1)
        if not _wanted:
            return
        helper, _ = _wanted.popitem(last=False)
        helper.begun = True
    helper.help()


def ask(helpers: list[Helper]) -> None:
    """Put helpers on the list, and have as many threads look at it as there are on it."""
    global _summoned
    with _lock:
        _wanted.update(dict.fromkeys(helpers))
    while True:
        with _lock:
            if _summoned >= len(_wanted):
                return
            _summoned += 1
        submit(len(helpers), _look)


def end(helpers: list[Helper]) -> None:
    """Take those off the list whom nobody has taken, and wait for the others, which are left."""
    with _lock:
        for helper in helpers:
            _wanted.pop(helper, None)
        helpers[:] = [helper for helper in helpers if helper.begun]
    for helper in helpers:
        helper.wait()


def together(work: Callable[[], Any], workers: int, stop: Callable[[], None]) -> list[Any]:
    """Call `work` here and, where that is allowed, on `workers` - 1 threads, in copies of this context; return what it
    returned, wherever. Calls within it are alone in their thread.

    `work` claims its share of something, and must end soon after `stop`.
    """
    workers = allowed(workers)
    if workers == 1:
        return [work()]
    helpers: list[Helper] = []
    with alone():
        try:
            helpers.extend(Helper(work) for _ in range(workers - 1))
            with suppress(RuntimeError):  # as in `measure`: what nobody takes, the caller does
                ask(helpers)
            results = [work()]
            end(helpers)  # their last chunks
            results.extend(map(Helper.outcome, helpers))
            return results
        except BaseException:
            stop()
            raise
        finally:
            # However the call ends, nobody may write to its results any more.
            end(helpers)
            helpers.clear()  # an exception's traceback refers to this frame


def run(task: Task, cursor: Array, sinks: Slots, workers: int) -> int:
    """Run the task on the caller and `workers` - 1 threads; return the floating-point flags of all."""
    status = 0
    for flags in together(partial(task.run, cursor, sinks), workers, partial(cursor.__setitem__, STOP, 1)):
        status |= flags
    return status
