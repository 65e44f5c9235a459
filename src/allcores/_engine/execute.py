"""The only place where kernels are called: one pass over the chunks of a grid, inline or by a team of threads.

    a family                                    threads of this process
      view, grid, outputs
        |
       run:  one chunk, one worker, too short,
             or within a team already?          -- inline -->  kernel(*operands, *parameters, cursor, *outputs)
        | no
        v
       cursor [next end stop done]  <--- claim ---  kernel(*operands, *parameters, cursor, *outputs)     no GIL
        |        ^                                  kernel(*operands, *parameters, cursor, *outputs)
        |        +-- claim -- kernel(...) on the caller too: every 20 ms back in Python for signals
        v
       outputs: the result itself, or partials (parts, outer, inner)
        |
       fold:  over the parts, a fixed binary tree  -> finish -> result

An executor's worker comes here as well, with its piece of the work: see mapreduce.py. What travels is data (the name of
a kernel, where the elements are, a piece's number), so that threads, processes and clusters run the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import _kernels
from .._kernels.common import Partials
from . import grid as _grid
from . import jobs, settings, team
from .grid import Grid
from .registry import Field
from .view import Array

NEXT, END, STOP, DONE, LINES, LEAVES, TILE = range(7)  # of a cursor: see ext/cursor.pxd

log = logging.getLogger("allcores")

# Elements from which a team is used; None: measured. Tests set it to 0.
threshold: int | None = None
# Elements in a chunk of what gives partials. Tests change it, and the next: results must not.
chunk_size = _grid.CHUNK
# Of what writes as much as it reads. With chunks of 4 instead of 1 MiB, new results took 6 instead of 12 ms in most new
# processes (7.3 M elements, two workers).
output_chunk = 4 * _grid.CHUNK


@dataclass(slots=True)
class Call:
    """What the passes of one call share."""

    workers: int
    status: int = 0  # floating-point flags, as NumPy numbers them


def team_of(workers: int, elements: int, ns: float) -> int:
    """How many workers some work gets, of so many: those it may have here, if it is worth a team."""
    workers = team.allowed(workers)
    return workers if workers > 1 and worth_a_team(elements, ns) else 1


def worth_a_team(elements: int, ns: float) -> bool:
    """Whether half of the work takes longer than twice the dispatch to a team."""
    if threshold is not None:
        return elements >= threshold
    seconds = elements * ns * 1e-9
    # Below this the work is shorter than any dispatch: don't start threads to measure one.
    return seconds > 40e-6 and seconds > 4 * team.dispatch_latency()


def cursor_of(grid: Grid, begin: int = 0, end: int | None = None) -> Array:
    """The shared state of the workers of a pass."""
    chunks = grid.chunks if end is None else end
    return np.array([begin, chunks, 0, 0, grid.lines, grid.leaves, grid.tile, 0], np.int64)


def compute(
    backend: str,
    kernel: str,
    operands: Sequence[Array | None],
    parameters: Sequence[Any],
    cursor: Array,
    outputs: Sequence[Array | None],
) -> int:
    """What a worker does: claimed chunks until there are none or a stop is asked for; return floating-point flags.

    The kernel returns to Python every 20 ms, which lets the main thread handle signals.
    """
    function = getattr(_kernels.load(backend), kernel)
    status = 0
    while cursor[NEXT] < cursor[END] and not cursor[STOP]:
        status |= function(*operands, *parameters, cursor, *outputs)
    return status


class Under:
    """A pass under way, for those who watch the call."""

    def __init__(self, cursor: Array) -> None:
        self.cursor = cursor

    def stop(self) -> None:
        self.cursor[STOP] = 1

    def progress(self) -> tuple[int, int]:
        return int(self.cursor[DONE]), int(self.cursor[END])


def run(
    kernel: str,
    operands: Sequence[Array | None],
    parameters: Sequence[Any],
    grid: Grid,
    outputs: Sequence[Array | None],
    workers: int,
    ns: float,
) -> int:
    """One pass: `kernel(*operands, *parameters, cursor, *outputs)` over all chunks.

    `workers`: how many the call may have. `ns`: nanoseconds an element of the grid. Returns the floating-point flags
    that were raised.
    """
    begin = time.perf_counter()
    backend, cursor = settings.backend(), cursor_of(grid)
    workers = min(workers, grid.chunks)
    if workers > 1:
        workers = team_of(workers, grid.outer * grid.n * grid.inner, ns)
    work = partial(compute, backend, kernel, operands, parameters, cursor, outputs)
    job = jobs.current.get()
    if job is None:
        status = _together(work, cursor, workers)
    else:
        with job.part(Under(cursor)):
            status = _together(work, cursor, workers)
    if log.isEnabledFor(logging.DEBUG):
        log.debug(
            "%s %s (%d, %d, %d) %s: %d chunks, %s, %.3f ms",
            kernel,
            backend,
            grid.outer,
            grid.n,
            grid.inner,
            next(output.dtype for output in outputs if output is not None),
            grid.chunks,
            "inline" if workers == 1 else f"team of {workers}",
            1e3 * (time.perf_counter() - begin),
        )
    return status


def _together(work: partial[int], cursor: Array, workers: int) -> int:
    if workers == 1:
        return work()
    status = 0
    for flags in team.together(work, workers, partial(cursor.__setitem__, STOP, 1)):
        status |= flags
    return status


def partials(fields: Sequence[Field], grid: Grid) -> Partials:
    """Where a pass puts the partials of each part of each output position."""
    shape = grid.partials_shape
    return tuple(
        np.empty(shape, field.dtype) if field.fill is None else np.full(shape, field.fill, field.dtype)
        for field in fields
    )


def fold(kernel: str, partials: Partials) -> int | None:
    """Fold the parts into the first; return floating-point flags, None where nothing is compiled."""
    function = getattr(_kernels.load(settings.backend()), f"fold_{kernel}", None)
    return None if function is None else int(function(*partials))
