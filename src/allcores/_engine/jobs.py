"""What a call in the background shares with those who watch it: how far it is, and whether it is to stop.

    future.cancel() ---> Job.stop ----> each part: claim nothing more
    future.progress() -> Job.progress   each part: done, total
                             ^
                             | a context variable
    execute.run, blocks of a user's function: they enter themselves as parts before they begin

A call may have several parts, one after the other: a pass over each slab, say. A part that would begin after `stop`
does not begin. Calls that take the fast path know nothing of this.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol

from .contexts import contextmanager


class Stopped(BaseException):
    """Ends a call that was told to stop, past any `except Exception` of a user's function."""


class Part(Protocol):
    """Chunks that are being computed."""

    def stop(self) -> None:
        """Have nobody begin another chunk. Called from any thread."""

    def progress(self) -> tuple[int, int]:
        """Chunks done, and all of them."""


class Job:
    def __init__(self) -> None:
        self._lock = threading.RLock()  # garbage collection may begin a call, and so a part, where it is held
        self._parts: list[Part] = []
        self._done = self._total = 0  # chunks of parts that are over
        self.stopped = False

    def stop(self) -> None:
        with self._lock:
            self.stopped = True
            parts = list(self._parts)
        for part in parts:
            part.stop()

    def progress(self) -> tuple[int, int]:
        """Chunks done, and all that are known of yet."""
        with self._lock:
            counts = [part.progress() for part in self._parts]
            return self._done + sum(done for done, _ in counts), self._total + sum(total for _, total in counts)

    @contextmanager
    def part(self, part: Part) -> Iterator[None]:
        """Enter a part for as long as it is computed."""
        with self._lock:
            if self.stopped:
                raise Stopped
            self._parts.append(part)
        try:
            yield
        finally:
            with self._lock:
                self._parts.remove(part)
                done, total = part.progress()
                self._done, self._total = self._done + done, self._total + total
        if self.stopped:
            raise Stopped


# The job of this context, if it belongs to a call in the background.
current: ContextVar[Job | None] = ContextVar("allcores_job", default=None)


def _forget_job() -> None:
    """In a forked child: the call is the parent's, and the job's lock may have been held."""
    current.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_job)
