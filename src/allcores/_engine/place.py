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

from . import team
from .task import Slots, Task

log = logging.getLogger("allcores")

# Elements from which a team is used; None: measured. Tests set it to 0.
threshold: int | None = None


def worth_a_team(elements: int, ns: float) -> bool:
    """Whether half of the work takes longer than handing it over, twice."""
    if threshold is not None:
        return elements >= threshold
    # Below this the work is shorter than any hand-over: don't start threads to measure one.
    return elements * ns > 40_000 and elements * ns * 1e-9 > 4 * team.hand_over()


def run(task: Task, sinks: Slots, workers: int, ns: float) -> int:
    """Fill the sinks; return the floating-point flags that were raised."""
    begin = time.perf_counter()
    elements = task.grid.outer * task.grid.n * task.grid.inner
    workers = min(workers, task.grid.chunks)
    if workers > 1 and not team.here.worker and worth_a_team(elements, ns):
        where = f"team of {workers}"
        status = team.run(task, sinks, workers)
    else:
        where = "inline"
        status = task.run(task.cursor(), sinks)
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
            where,
            1e3 * (time.perf_counter() - begin),
        )
    return status
