"""Where a task runs: inline, or on a team of threads.

                 caller                                      pool threads of this process
canonical view, grid, sinks
        |
    small, one worker, or         --- inline --->  kernel(*operands, *parameters, cursor, *sinks)
    inside a worker?
        | no
        v
    cursor [next end stop done]  <------ claim ------  kernel(*operands, *parameters, cursor, *sinks)   no GIL
        |         ^                                     kernel(*operands, *parameters, cursor, *sinks)
        |         +-- claim -- kernel(...) on the caller too: every 20 ms back in Python for signals
        v
    sinks (parts, outer, inner)  -> fold over parts, a fixed binary tree -> finish -> result
"""

from __future__ import annotations

import logging
import time
from typing import Any

from . import jobs, settings, team
from .grid import Grid
from .operands import Array
from .task import DONE, END, STOP, Slots, Task, compute, cursor_of

log = logging.getLogger("allcores")

# Elements from which a team is used; None: measured. Tests set it to 0.
threshold: int | None = None


def team_of(workers: int, elements: int, ns: float) -> int:
    """How many workers some work gets, of so many: those it may have here, if it is worth a team."""
    workers = team.allowed(workers)
    return workers if workers > 1 and worth_a_team(elements, ns) else 1


def worth_a_team(elements: int, ns: float) -> bool:
    """Whether half of the work takes longer than handing it over, twice."""
    if threshold is not None:
        return elements >= threshold
    seconds = elements * ns * 1e-9
    # Below this the work is shorter than any hand-over: don't start threads to measure one.
    return seconds > 40e-6 and seconds > 4 * team.hand_over()


class Under:
    """A pass under way, for those who watch the call."""

    def __init__(self, cursor: Array) -> None:
        self.cursor = cursor

    def stop(self) -> None:
        self.cursor[STOP] = 1

    def progress(self) -> tuple[int, int]:
        return int(self.cursor[DONE]), int(self.cursor[END])


def run(task: Task, sinks: Slots, workers: int, ns: float) -> int:
    """Fill the sinks; return the floating-point flags that were raised."""
    begin = time.perf_counter()
    elements = task.grid.outer * task.grid.n * task.grid.inner
    workers = team_of(min(workers, task.grid.chunks), elements, ns)
    job = jobs.current.get()
    if job is None:
        status = _run(task, task.cursor(), sinks, workers)
    else:
        cursor = task.cursor()
        with job.part(Under(cursor)):
            status = _run(task, cursor, sinks, workers)
    if log.isEnabledFor(logging.DEBUG):
        log.debug(
            "%s %s (%d, %d, %d) %s: %d chunks, %s, %.3f ms",
            task.kernel,
            task.backend,
            task.grid.outer,
            task.grid.n,
            task.grid.inner,
            sinks[0].dtype,
            task.grid.chunks,
            "inline" if workers == 1 else f"team of {workers}",
            1e3 * (time.perf_counter() - begin),
        )
    return status


def at_once(
    kernel: str, operands: tuple[Any, ...], parameters: tuple[Any, ...], grid: Grid, sinks: Slots, ns: float
) -> bool:
    """Run a pass here that is over before anybody could help or watch; False where it is longer, or logged."""
    if worth_a_team(grid.outer * grid.n * grid.inner, ns) or log.isEnabledFor(logging.DEBUG):
        return False
    compute(settings.backend(), kernel, operands, parameters, cursor_of(grid), sinks)
    return True


def _run(task: Task, cursor: Array, sinks: Slots, workers: int) -> int:
    return task.run(cursor, sinks) if workers == 1 else team.run(task, cursor, sinks, workers)
