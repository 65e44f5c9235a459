"""Blocks on the threads of this process.

    caller                                             pool threads
    block 0: dtype, shape, and how long it takes
        |
    worth handing over? -- no --> all of them here
        | yes
        v
    Turns [next, done] <------------- claim ---------- take, func, put into `out`
        ^                                              take, func, put into `out`
        +--- claim --- take, func, put; tell the progress

Each block's result is copied to its place in `out` by whoever computed it, while it is in that core's cache.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np

from .._engine import jobs, place, settings, team
from .failures import Failures
from .plan import Plan
from .results import Partials, Whole, trimmed
from .watching import Tell


class Turns:
    """The numbers of blocks, each given to one worker."""

    def __init__(self, count: int) -> None:
        self.count = self.end = count
        self.next = self.done = 0
        self.lock = threading.Lock()
        # Calls within the function are stopped with this one; their chunks are not its blocks.
        self.within = jobs.Job()

    def claim(self, finished: int) -> int:
        """The next block, or -1 if there is none; `finished`: how many the claimant has done meanwhile."""
        with self.lock:
            self.done += finished
            if self.next >= self.end:
                return -1
            number = self.next
            self.next = number + 1
            return number

    def stop(self) -> None:
        with self.lock:
            self.end = 0
        self.within.stop()

    def progress(self) -> tuple[int, int]:
        return self.done, self.count


@cache
def keep_freed_memory() -> None:
    """Have glibc keep what a block's temporaries take, which it otherwise returns to the system after each block: with
    five of them a block, page faults took 60 of 90 ms. It keeps twice the largest piece that was ever freed."""
    np.empty(1 << 22, np.uint8)


def run(plan: Plan, sink: Whole | Partials, failures: Failures, workers: Any, tell: Tell) -> None:
    workers = settings.resolve_workers(workers)
    keep_freed_memory()
    turns = Turns(plan.count)
    job = jobs.current.get()
    with nullcontext() if job is None else job.part(turns):
        token = None if job is None else jobs.current.set(turns.within)
        try:
            _run(plan, sink, failures, workers, tell, turns)
        finally:
            if token is not None:
                jobs.current.reset(token)


def _run(plan: Plan, sink: Whole | Partials, failures: Failures, workers: int, tell: Tell, turns: Turns) -> None:
    caller = threading.get_ident()
    tell(0, plan.count)
    # The first block that succeeds: whatever follows it has to be like it.
    seconds = 0.0
    finished, begun = 0, False
    while not begun:
        number = turns.claim(finished)
        if number < 0:
            return
        began = time.perf_counter()
        try:
            sink.begin(number, trimmed(plan.func(*plan.take(number), **plan.keywords_of(number)), plan.trim(number)))
            begun = True
        except Exception as error:
            failures.add(number, error)
            if failures.fatal:
                return
        seconds = time.perf_counter() - began
        finished = 1
        tell(number + 1, plan.count)

    def work(finished: int = 0) -> None:
        func, take, trim, keywords = plan.func, plan.take, plan.trim, plan.keywords_of
        here = threading.get_ident() == caller
        try:
            while (number := turns.claim(finished)) >= 0:
                try:
                    sink.put(number, trimmed(func(*take(number), **keywords(number)), trim(number)))
                except Exception as error:
                    failures.add(number, error)
                    if failures.fatal:
                        turns.stop()
                finished = 1
                if here:
                    tell(turns.done + 1, plan.count)
        except BaseException:
            turns.stop()
            raise

    rest = plan.count - turns.next
    workers = min(workers, rest)
    with turns.lock:
        turns.done += finished
    if workers > 1 and not team.here.worker and worth_a_team(rest * seconds):
        # As in the helpers, calls within the function run where they are.
        team.here.worker = True
        try:
            team.together(work, workers, turns.stop)
        finally:
            team.here.worker = False
    else:
        work()
    if not failures.fatal:
        tell(plan.count, plan.count)


def worth_a_team(seconds: float) -> bool:
    return place.threshold == 0 or place.worth_handing_over(seconds)
