"""Threads of this process around one cursor.

W - 1 threads of a pool and the caller each make the same kernel call and share one cursor: one GIL hand-over a worker
and call, not a chunk, and a slow core claims fewer chunks. Helpers that have not started when the cursor runs out are
cancelled, so that a call never waits for a busy pool, and a call inside a worker runs inline: no deadlock.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from . import settings
from .operands import Array
from .task import STOP, Slots, Task


class _Here(threading.local):
    """Whether this thread is a worker."""

    worker = False


here = _Here()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_hand_over: float | None = None


def _forget_pool() -> None:
    """In a forked child: the threads were not copied, and the lock may have been held."""
    global _pool, _pool_size, _lock
    _lock, _pool, _pool_size = threading.Lock(), None, 0
    here.worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _become_worker() -> None:
    here.worker = True


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
    """Hand a call to the pool.

    An interrupt can fall between the start of a new thread and its registration; nobody would wake that thread at exit.
    The pool is given up then, which wakes all of its threads, and a new one is made when it is needed.
    """
    global _pool, _pool_size
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
            # What is queued already would be nobody's: a thread might begin it when its caller has its result.
            threads.shutdown(wait=False, cancel_futures=True)
            # Another thread has put a larger pool in the place of this one meanwhile.
            if not (replaced and isinstance(error, RuntimeError)):
                raise


def hand_over() -> float:
    """Seconds that a round trip through the pool takes, measured once a process; infinite where there is no thread."""
    global _hand_over
    if _hand_over is None:
        times = []
        for _ in range(9):
            begin = time.perf_counter()
            try:
                submit(1, int).result()
            except (RuntimeError, CancelledError):
                return math.inf  # the interpreter is going down, or the system starts no more threads
            times.append(time.perf_counter() - begin)
        _hand_over = min(max(sorted(times)[len(times) // 2], 10e-6), 500e-6)
    return _hand_over


def together(work: Callable[[], Any], workers: int, stop: Callable[[], None]) -> list[Any]:
    """Call `work` here and on `workers` - 1 threads, in copies of this context; return what it returned, wherever.

    `work` claims its share of something, and must end soon after `stop`.
    """
    helpers: list[Future[Any]] = []
    try:
        try:
            for _ in range(workers - 1):
                helpers.append(submit(workers - 1, copy_context().run, work))
        except RuntimeError:
            pass  # as in hand_over: what could not be handed over, the caller does
        results = [work()]
        # The helpers' last chunks, with an eye on signals.
        started = not_cancelled(helpers)
        while wait(started, timeout=0.02).not_done:
            pass
    except BaseException:
        stop()
        raise
    finally:
        # However the call ends, nobody may write to its results any more.
        wait(not_cancelled(helpers))
    return results + [helper.result() for helper in started]


def run(task: Task, cursor: Array, sinks: Slots, workers: int) -> int:
    """Run the task on the caller and `workers` - 1 threads; return the floating-point flags of all."""
    status = 0
    for flags in together(partial(task.run, cursor, sinks), workers, partial(cursor.__setitem__, STOP, 1)):
        status |= flags
    return status


def not_cancelled(helpers: list[Future[Any]]) -> list[Future[Any]]:
    """Cancel those that have not started; return the others. (`wait` would wait for the pool to drop the former.)"""
    return [helper for helper in helpers if not helper.cancel()]
