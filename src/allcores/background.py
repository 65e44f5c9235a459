"""Calls in the background: `submit`.

    submit -> BackgroundFuture, Job        coordinator threads, first in first out
                 |     |                        |
     cancel() ---+--> Job.stop                  +-- in a copy of the caller's context, in which the Job is current:
     progress() ----> Job.progress                      fn(*args, **kwargs), whose chunks all workers share

Coordinators are not the threads that compute chunks, so that a call in the background uses all of those. Where another
thread waits for a call that has not begun, it begins on a thread of its own: those who could make it may all be busy
with calls that wait for that thread.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from ._engine import jobs, settings, team
from ._engine.threads import Threads, at_exit, call_back

__all__ = ["BackgroundFuture", "submit"]

WAITING, RUNNING, ENDED = range(3)

PATIENCE = 0.05  # seconds that somebody waits for a call to begin

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class BackgroundFuture(Future[Result], Generic[Result]):
    """A future of a call in the background: it can be cancelled while it runs, and says how far it is.

    To its base class it is pending until it ends, since there nothing that runs can be cancelled.
    """

    def __init__(self, work: Callable[[], Result], context: Context) -> None:
        super().__init__()
        self._work: Callable[[], Result] | None = work
        self._context: Context | None = context
        self._job = jobs.Job()
        self._stage = WAITING
        self._turn = threading.RLock()  # a signal may cancel while this thread has it

    def cancel(self) -> bool:
        """Cancel the call, also while it runs: it stops at its next chunk.

        Returns
        -------
        bool
            Whether the future can only end as cancelled; False if it has ended otherwise. `done` turns true when the
            last chunk has stopped. What an ``out=`` of the call then holds is unspecified.
        """
        with self._turn:
            before, stopped = self._stage, self._job.stopped
            if before == ENDED:
                return stopped
            self._job.stop()
            if before == RUNNING:
                return True
            self._stage, self._work, self._context = ENDED, None, None
        self._end_cancelled()
        return True

    def result(self, timeout: float | None = None) -> Result:
        """What the call returns, or raises, as soon as it has ended: see `concurrent.futures.Future.result`."""
        return super().result(self._left(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the call raises, as soon as it has ended: see `concurrent.futures.Future.exception`."""
        return super().exception(self._left(timeout))

    def progress(self) -> tuple[int, int]:
        """Chunks that are done, and all that are known of.

        Returns
        -------
        tuple of int
            (0, 0) before the call begins. A call of several passes learns of their chunks one after the other. When it
            has returned both numbers are the same, and at least 1: small calls do without chunks.
        """
        done, total = self._job.progress()
        if self._stage == ENDED and not self._job.stopped:
            done = total = max(total, 1)
        return done, total

    def running(self) -> bool:
        """Whether the call has begun and not ended."""
        return self._stage == RUNNING

    def _left(self, timeout: float | None) -> float | None:
        """Seconds that are left of a time-out when the call has begun, which is soon.

        The main thread waits for its turn, since no call that runs depends on it; unless no coordinator can be started,
        since a signal has interrupted it where it starts threads.
        """
        if self._stage != WAITING or (_coordinators.started and threading.get_ident() == threading.main_thread().ident):
            return timeout
        began = time.monotonic()
        with suppress(TimeoutError, CancelledError):
            super().exception(PATIENCE if timeout is None else min(timeout, PATIENCE))
        with self._turn:
            context = self._context
        if context is not None:
            box: list[Callable[[], None]] = [partial(context.copy().run, self._run)]
            with suppress(RuntimeError):  # there may be no more threads
                _thread.start_new_thread(_alone, (box,))
        return None if timeout is None else max(0.0, timeout - (time.monotonic() - began))

    def _run(self, within: bool = False) -> None:
        """Make the call. `within` another one in the background, whose job it belongs to."""
        with self._turn:
            if self._stage != WAITING:
                return
            self._stage, work = RUNNING, self._work
            self._work = self._context = None
        assert work is not None
        token = None if within else jobs.current.set(self._job)
        try:
            result = work()
        except BaseException as error:
            if within and isinstance(error, jobs.Stopped):
                raise
            self._end(error=error)
            self = None  # type: ignore[assignment]  # its exception's traceback refers to this frame
        else:
            self._end(result)
        finally:
            if token is not None:
                jobs.current.reset(token)

    def _end(self, result: Any = None, error: BaseException | None = None) -> None:
        with self._turn:
            self._stage, stopped = ENDED, self._job.stopped
        if stopped:
            self._end_cancelled()
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)

    def _give_up(self) -> None:
        """In a forked child: the call is made in the parent, whose threads may have held the locks."""
        self._condition, self._turn, self._job = threading.Condition(), threading.RLock(), jobs.Job()
        if not self.done():
            self._stage, self._work, self._context = ENDED, None, None
            vars(self).update(_done_callbacks=[], _waiters=[])  # they are the parent's
            self.set_exception(RuntimeError("this process was forked while the call was made in its parent"))

    def _invoke_callbacks(self) -> None:
        call_back(self)

    def _end_cancelled(self) -> None:
        super().cancel()
        self.set_running_or_notify_cancel()  # wakes those who wait for several futures


# ---- coordinators


class _Here(threading.local):
    coordinator = False


_here = _Here()
# By their id. Not a set: it can't be looked through while other threads add to it.
_futures: weakref.WeakValueDictionary[int, BackgroundFuture[Any]] = weakref.WeakValueDictionary()


def _forget() -> None:
    """In a forked child: the threads were not copied."""
    global _futures
    for reference in _futures.valuerefs():
        if (future := reference()) is not None:
            future._give_up()
    _futures = weakref.WeakValueDictionary()
    _here.coordinator = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _become_coordinator() -> None:
    _here.coordinator = True


def _at_exit() -> None:
    """Where an interrupt ends the program, nobody wants to wait for what is not finished."""
    error = getattr(sys, "last_type", None)
    if error is not None and issubclass(error, KeyboardInterrupt) and not hasattr(sys, "ps1"):
        for reference in _futures.valuerefs():
            if (future := reference()) is not None:
                future.cancel()


at_exit(_at_exit)
_coordinators = Threads("allcores-call", _become_coordinator)


def _call(box: list[Callable[[], None]]) -> None:
    """Call what is in the box, which nobody keeps: an exception's traceback leads to this frame and its caller's."""
    box.pop()()


def _alone(box: list[Callable[[], None]]) -> None:
    """The same in a thread that makes no other call."""
    _become_coordinator()
    _call(box)


def submit(
    fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
) -> BackgroundFuture[Result]:
    """Run a call in the background, on all cores.

    Parameters
    ----------
    fn : callable
        A function of allcores, or one that calls some.
    *args
        Its arguments.
    **kwargs
        Its keyword arguments.

    Returns
    -------
    BackgroundFuture
        A `concurrent.futures.Future`. Its method ``cancel()`` also stops a call that runs, at its next chunk, and
        ``progress()`` tells the number of chunks that are done and of all.

    See Also
    --------
    map_blocks : Your own function, in blocks.

    Notes
    -----
    Calls begin in the order in which they are submitted, as many at a time as there are cores (at least two), each in
    a copy of the caller's context: `set_workers` and `numpy.errstate` hold. At exit the interpreter waits for them,
    unless an interrupt ends it. What cannot be stopped is a call that NumPy makes, and a single block of your own
    function.

    A submitted call that submits makes that call at once. A call for which a thread other than the main one waits, by
    ``result()`` or ``exception()``, begins within a moment, whatever else runs.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> future = ac.submit(ac.nansum, np.ones((100, 100)), axis=0)
    >>> future.result().shape
    (100,)
    """
    if not callable(fn):
        raise TypeError(f"fn must be callable, got {fn!r}")
    context = copy_context()
    future = BackgroundFuture(lambda: fn(*args, **kwargs), context)
    if _here.coordinator or team.here.worker:
        # Those who could make the call may all be waiting for it.
        context.run(future._run, True)
    else:
        call = partial(_call, [partial(context.run, future._run)])
        try:
            _coordinators.call([call], max(2, settings.cores()))
        except BaseException:
            future.cancel()  # it may be called yet
            raise
        _futures[id(future)] = future
    return future
