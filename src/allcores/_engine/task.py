"""What any worker runs: a kernel's name, its operands and a grid. The only place where a kernel is called.

A task is data, never a closure, so that threads, processes and clusters run the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import __version__, _kernels
from .grid import Grid, Slices
from .operands import Array

NEXT, END, STOP, DONE, LINES, LEAVES, TILE = range(7)

Slots = tuple[Array, ...]
Parameter = int | float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kernel's slot: its dtype, and the value of a slot that nobody has written."""

    dtype: np.dtype[Any]
    fill: int | None = None


def cursor_of(grid: Grid, begin: int = 0, end: int | None = None) -> Array:
    """The shared state of the workers of a pass: see ext/cursor.pxd."""
    chunks = grid.chunks if end is None else end
    return np.array([begin, chunks, 0, 0, grid.lines, grid.leaves, grid.tile, 0], np.int64)


def compute(
    backend: str,
    kernel: str,
    operands: tuple[Array | None, ...],
    parameters: tuple[Parameter, ...],
    cursor: Array,
    sinks: Slots,
) -> int:
    """Compute claimed chunks until there are none or a stop is asked for; return floating-point flags.

    The kernel returns to Python every 20 ms, which lets the main thread handle signals.
    """
    function = getattr(_kernels.load(backend), kernel)
    status = 0
    while cursor[NEXT] < cursor[END] and not cursor[STOP]:
        status |= function(*operands, *parameters, cursor, *sinks)
    return status


@dataclass(frozen=True, slots=True)
class Task:
    """`kernel` of `backend` over the chunks of `grid`."""

    version: str
    backend: str
    kernel: str
    operands: tuple[Array | None, ...]
    parameters: tuple[Parameter, ...]
    fields: tuple[Field, ...]
    grid: Grid

    def cursor(self, begin: int = 0, end: int | None = None) -> Array:
        return cursor_of(self.grid, begin, end)

    def sinks(self) -> Slots:
        shape = self.grid.sink_shape
        return tuple(
            np.empty(shape, field.dtype) if field.fill is None else np.full(shape, field.fill, field.dtype)
            for field in self.fields
        )

    def run(self, cursor: Array, sinks: Slots) -> int:
        return compute(self.backend, self.kernel, self.operands, self.parameters, cursor, sinks)

    def fold(self, sinks: Slots) -> int | None:
        """Fold the parts of the sinks into the first; return floating-point flags, None where nothing is compiled."""
        function = getattr(_kernels.load(self.backend), f"fold_{self.kernel}", None)
        return None if function is None else int(function(*sinks))


def place_of(sink: Array, region: Slices) -> tuple[Any, ...]:
    """The index of a region in a sink, whose first axis may be several: (outer..., n, inner)."""
    if sink.ndim == 3:
        return region
    outer = np.unravel_index(np.arange(region[0].start, region[0].stop), sink.shape[:-2])
    return (*outer, *region[1:])


def run_range(task: Task, begin: int, end: int) -> tuple[list[Slots], int]:
    """What a worker in another process runs: chunks begin..end, returned as one tuple of slots a chunk."""
    if task.version != __version__:
        raise RuntimeError(f"the task is from allcores {task.version}, this worker has {__version__}")
    sinks = task.sinks()
    status = task.run(task.cursor(begin, end), sinks)
    return [
        tuple(sink[place_of(sink, task.grid.region(chunk))] for sink in sinks) for chunk in range(begin, end)
    ], status


def merge_range(task: Task, sinks: Slots, begin: int, slots: list[Slots]) -> None:
    """Put what `run_range` returned where this process's own workers would have put it."""
    for chunk, values in enumerate(slots, begin):
        for sink, value in zip(sinks, values, strict=True):
            sink[place_of(sink, task.grid.region(chunk))] = value
