"""Numbered pieces of work that are not kernels' chunks, each done by one worker: blocks of a user's function, of a
source.

A kernel claims its chunks itself, without the GIL. Here a piece takes Python anyway, and a lock is as good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext

from . import jobs, settings, team


class Turns:
    """The numbers of pieces, each given to one worker."""

    def __init__(self, count: int) -> None:
        self.count = self.end = count
        self.next = self.done = 0
        self.stopped = False
        self.lock = threading.Lock()
        # Calls within a piece are stopped with this one; their chunks are not its pieces.
        self.within = jobs.Job()

    def claim(self, finished: int) -> int:
        """The next piece, or -1 if there is none; `finished`: how many the claimant has done meanwhile."""
        with self.lock:
            self.done += finished
            if self.next >= self.end:
                return -1
            number = self.next
            self.next = number + 1
            return number

    def numbers(self) -> Iterator[int]:
        """What one worker claims: a piece is done when the next one is asked for."""
        finished = 0
        while (number := self.claim(finished)) >= 0:
            finished = 1
            yield number

    def stop(self) -> None:
        self.stopped, self.end = True, 0
        self.within.stop()

    def progress(self) -> tuple[int, int]:
        return self.done, self.count

    def under_way(self, work: Callable[[Iterator[int]], object], workers: int) -> None:
        """Call `work` with the numbers of its pieces, here and on threads; calls within it then run where they are.

        Whoever raises stops the others. If this call is in the background, the pieces are its progress, and stop with
        it.
        """

        def share() -> None:
            try:
                work(self.numbers())
            except BaseException:
                self.stop()
                raise

        def alone() -> None:
            with settings.at_most(1):
                share()

        workers = team.allowed(workers)
        job = jobs.current.get()
        with nullcontext() if job is None else job.part(self):
            token = None if job is None else jobs.current.set(self.within)
            try:
                team.together(alone if workers > 1 else share, workers, self.stop)
            finally:
                if token is not None:
                    jobs.current.reset(token)
