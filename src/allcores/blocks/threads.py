"""Blocks on the threads of this process.

    caller                                             pool threads

    Turns [next, done] <------------- claim ---------- take, func, put into `out`
        ^                                              take, func, put into `out`
        +--- claim --- take, func, put; tell the progress

Each block's result is copied to its place in `out` by whoever computed it, while it is in that core's cache. Who has
finished before the first block waits for it, since that one says what `out` is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache

import numpy as np

from .._engine.turns import Turns
from .failures import Failures
from .gather import Gather
from .plan import Plan
from .progress import Tell
from .results import Partials, Whole, trimmed


@cache
def keep_freed_memory() -> None:
    """Have glibc keep what a block's temporaries take, which it otherwise returns to the system after each block: with
    five of them a block, page faults took 60 of 90 ms. It keeps twice the largest piece that was ever freed."""
    np.empty(1 << 22, np.uint8)


def run(plan: Plan, sink: Whole | Partials, failures: Failures, workers: int, tell: Tell) -> None:
    keep_freed_memory()
    turns = Turns(plan.count)
    caller = threading.get_ident()
    gather = Gather(sink, failures)

    def over() -> bool:
        return turns.stopped or failures.fatal

    def work(numbers: Iterator[int]) -> None:
        func, take, trim, keywords = plan.func, plan.take, plan.trim, plan.keywords_of
        here = threading.get_ident() == caller
        for number in numbers:
            try:
                result = trimmed(func(*take(number), **keywords(number)), trim(number))
            except Exception as error:
                gather.fail(number, error)
            else:
                gather.put(number, result)
                del result
                if sink.form is None:
                    gather.wait_for_the_first(over)
            if failures.fatal:
                turns.stop()
            elif here:
                tell(turns.done + 1, plan.count)

    tell(0, plan.count)
    turns.under_way(work, plan.workers(min(workers, plan.count)))
    if not turns.stopped:
        tell(plan.count, plan.count)
