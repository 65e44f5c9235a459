"""Threads of this process around one cursor.

    caller                                            threads of the pool

    together: allowed(workers) --- 1 ---> work(), here and alone
        | more
        v
    helpers ----> list of those who are wanted ---->  whoever is free takes the first: work()
    work()
    withdraw those whom nobody has taken, wait for the others

W - 1 threads of a pool and the caller each make the same kernel call and share one cursor: the GIL changes hands once a
worker and call, not once a chunk, and a slow core claims fewer chunks. Whatever the threads of the pool are busy with,
no call waits for them to begin: helpers that nobody has taken when the work is done are taken off the list, with all
they refer to. So calls may nest in any way, in blocks, in calls in the background, in threads of others.
"""

from __future__ import annotations

import _thread
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

from . import settings
from .threads import Threads, closed


class _Here(threading.local):
    """Whether this thread works for a team, or is about to."""

    worker = False


here = _Here()
_wanted: deque[Helper] = deque()


def _become_worker() -> None:
    here.worker = True


threads = Threads("allcores", _become_worker)


def _forget() -> None:
    """In a forked child: the threads were not copied, and the lock may have been held."""
    global _wanted, _measuring
    _wanted, _measuring = deque(), threading.Lock()
    here.worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class alone:
    """Calls of this thread are no team meanwhile."""

    def __enter__(self) -> None:
        self.before, here.worker = here.worker, True

    def __exit__(self, *_: object) -> None:
        here.worker = self.before


# ---- how long it takes until somebody helps

MEASURED = 5e-3  # seconds that a call gives to measuring, at most
LATEST = 500e-6  # what is assumed, at most
QUICK = 100e-6  # a latency that is not measured again

_dispatch_latency: float | None = None
_measure_after = 0.0
_pause = 1.0
_measuring = threading.Lock()


def dispatch_latency() -> float:
    """Seconds that a round trip through a pool takes, infinite where there is no thread.

    It is measured on a thread of its own, since those of the pool may be busy, and for some milliseconds at most. A
    long one may be due to what else the machine did then: it is measured again when it is needed later, at growing
    distances, and the least of all counts.
    """
    global _dispatch_latency, _measure_after, _pause
    if _dispatch_latency is not None and (_dispatch_latency <= QUICK or time.monotonic() < _measure_after):
        return _dispatch_latency
    if not _measuring.acquire(blocking=False):  # by another thread, or below this very call
        return LATEST if _dispatch_latency is None else _dispatch_latency
    try:
        with alone():
            seconds = measure()
        if seconds < math.inf:
            _dispatch_latency = seconds if _dispatch_latency is None else min(_dispatch_latency, seconds)
            _measure_after, _pause = time.monotonic() + _pause, min(2 * _pause, 60.0)
        return seconds if _dispatch_latency is None else _dispatch_latency
    finally:
        _measuring.release()


def measure() -> float:
    """The median of some round trips, between bounds."""
    if closed():
        return math.inf
    there: SimpleQueue[Helper | None] = SimpleQueue()
    end = time.perf_counter() + MEASURED
    times = []
    try:
        _thread.start_new_thread(_echo, (there,))
        for _ in range(9):
            begin = time.perf_counter()
            helper = Helper(int)
            there.put(helper)
            if not helper.wait(max(0.0, end - begin)):
                times.append(LATEST)
                break
            times.append(time.perf_counter() - begin)
    except RuntimeError:
        return math.inf  # the system starts no more threads
    finally:
        there.put(None)
    return min(max(sorted(times)[len(times) // 2], 10e-6), LATEST)


def _echo(there: SimpleQueue[Helper | None]) -> None:
    while (helper := there.get()) is not None:
        helper.help()


# ---- teams


def allowed(workers: int) -> int:
    """How many workers work may have here, of so many: one within a team, and no more than calls around this one."""
    return 1 if here.worker else settings.within_limit(workers)


class Helper:
    """Work that a thread may take from the list."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work: Callable[[], Any] | None = partial(copy_context().run, work)
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._owner = threading.RLock()
        self._ended = threading.Lock()
        self._ended.acquire()

    def take(self) -> bool:
        """Whether it is this thread's from now on, or has been already: nobody else's. Never waits."""
        return self._owner.acquire(blocking=False)

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

    def wait(self, timeout: float = math.inf) -> bool:
        """Whether it ends in time; with an eye on signals."""
        while not (self.done or self._ended.acquire(timeout=min(timeout, 0.02))):
            if timeout < math.inf:
                return False
        return True

    def outcome(self) -> Any:
        if self.error is None:
            return self.result
        try:
            raise self.error
        finally:
            self = None  # type: ignore[assignment]  # as above


def _look() -> None:
    """A thread: help whoever has waited longest."""
    with suppress(IndexError):  # nobody
        while not (helper := _wanted.popleft()).take():
            pass
        helper.help()


def ask(helpers: list[Helper]) -> None:
    """Put helpers on the list, and have as many threads look at it as there are on it."""
    _wanted.extend(helpers)
    threads.call([_look] * (len(_wanted) - threads.waiting), max(len(helpers), settings.cores()))


def end(helpers: list[Helper]) -> None:
    """Take those off the list whom nobody has taken, and wait for the others, which are left.

    An interrupt may end this anywhere, and then it is called once more.
    """
    for helper in list(helpers):
        if helper.take():
            helper.work = None
            with suppress(ValueError, IndexError):  # somebody is about to find that it is taken; or looks meanwhile
                _wanted.remove(helper)
            helpers.remove(helper)
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
