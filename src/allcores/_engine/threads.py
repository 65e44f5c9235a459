"""Threads that call what is put into their queue, the oldest first.

    caller                          recruiter, a bare thread             threads
      put, and are there enough? -- no ---> start what is missing ---->  get, call
                                 -- yes -------------------------------> get, call

A call may begin anywhere: garbage collection and signals put it into the middle of whatever this thread was doing,
`Executor.submit` and `Thread.start` of the user among that, with locks that can't be taken twice. So whoever puts waits
for nobody and takes no lock: a `SimpleQueue` can be put to from within a `put`, a deque appends and pops in one step,
and a thread is started by another one, which holds no lock of its own, and for which nobody waits.
"""

from __future__ import annotations

import _thread
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, _base
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

Call = Callable[[], object]

_all: weakref.WeakSet[Threads] = weakref.WeakSet()
_closed = False  # the interpreter goes down


class Threads:
    """Threads that live until the interpreter goes down, which waits for what has been put until then."""

    def __init__(self, name: str, prepare: Call) -> None:
        self._name, self._prepare = name, prepare
        self._forget()
        _all.add(self)

    def _forget(self) -> None:
        """In a forked child: the threads were not copied, and the locks may have been held."""
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        # One element for each call that is waiting or running, and one for each thread.
        self._unfinished: deque[None] = deque()
        self._threads: deque[None] = deque()
        self._most = 0
        self._recruiting = threading.RLock()

    def call(self, functions: Sequence[Call], most: int) -> None:
        """Have functions called, by `most` threads or as many as were allowed before. They raise nothing.

        RuntimeError where there are no threads, because the interpreter goes down or the system has none: then it is
        unknown which of them will be called.
        """
        self._most = max(self._most, most)
        for function in functions:
            self._unfinished.append(None)
            self._calls.put(function)
        # What is put before `_closed` is read here comes before the None that ends the threads.
        if _closed:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        # Threads never end before that. Calls that others put from now on are looked after by those who put them.
        if self._short():
            _thread.start_new_thread(self._recruit, ())

    @property
    def waiting(self) -> int:
        """How many calls nobody has begun."""
        return self._calls.qsize()

    @property
    def started(self) -> bool:
        """Whether there is a thread."""
        return bool(self._threads)

    def _short(self) -> bool:
        return len(self._threads) < min(self._most, len(self._unfinished))

    def _recruit(self) -> None:
        with self._recruiting:
            while self._short():
                # With `daemon` given, it does not ask the thread that starts it, which threading does not know.
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=not _joined)
                try:
                    thread.start()
                except RuntimeError:  # no more threads
                    break
                self._threads.append(None)
            if self._threads:
                return
            self._threads.append(None)
        self._work()  # no thread could be started, so this one works

    def _work(self) -> None:
        self._prepare()
        calls, unfinished = self._calls, self._unfinished  # a child that is forked here gets others
        while (function := calls.get()) is not None:
            try:
                function()
            except BaseException:
                _base.LOGGER.exception("exception in a thread of allcores")
            del function
            unfinished.pop()
        calls.put(None)  # for the next thread

    def _close(self) -> None:
        self._calls.put(None)
        if self._unfinished:
            self._recruit()  # what was put a moment ago may have no thread yet


def call_back(future: Future[Any]) -> None:
    """Call the callbacks of a future that is done. The standard library logs what they raise, but an exit or an
    interrupt, which would end the thread that found the result, and keep it from the other callbacks."""
    for callback in future._done_callbacks:  # type: ignore[attr-defined]
        try:
            callback(future)
        except BaseException:
            _base.LOGGER.exception("exception calling callback for %r", future)


def at_exit(function: Call) -> bool:
    """Have a function called when the interpreter goes down, before it waits for threads; those that were registered
    last are called first. False where it is too late."""
    if hasattr(threading, "_register_atexit"):
        with suppress(RuntimeError):
            threading._register_atexit(function)
            return True
    return False


def closed() -> bool:
    """Whether the interpreter goes down, so that there are no threads any more."""
    return _closed


def _close() -> None:
    global _closed
    _closed = True
    for threads in list(_all):
        threads._close()


def _forget() -> None:
    for threads in list(_all):
        threads._forget()


# Where nobody would wake them, the interpreter must not wait for threads.
_joined = at_exit(_close)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
