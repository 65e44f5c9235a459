"""Reductions of what is not in memory, or not to be reduced in this process: pieces, few of which are there at a time.

A file that is laid out as an array in memory would be (`FlatFile`) is cut into aligned subtrees of the order in which
the same array in memory is reduced: the bits are the same. Pieces of other sources are whole stored chunks; the bits
are those of an array in memory where chunks are such subtrees too, and in any case those of any other source with the
same chunks. A worker that waits for a disk does not keep the others from computing; of files the next pieces are
announced to the system.

An array in memory is cut like a file where a call has an ``executor=``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from .._engine import grid, settings
from .._engine.execute import Call
from .._engine.grid import Pieces
from .._engine.mapreduce import Work, run
from .._engine.registry import REDUCTIONS, ReduceKernel
from .._engine.sources import FlatFile, FlatView, Operand, Region, Source, part_of, to_send
from .._engine.view import Array
from .._kernels.common import Partials
from . import reduction_passes
from .reduction_passes import Finish, Pass

# Bytes of a piece of a file. Tests change it: results must not.
piece = grid.PIECE
# Bytes of a piece of stored chunks, which the order of operations follows.
stored_piece = grid.PIECE


def moved(row: ReduceKernel, partials: Partials, begin: int) -> Partials:
    """Positions counted from the beginning of the array, not of the piece."""
    if not row.ordered or not begin:
        return partials
    value, index = partials
    return value, np.where(index < 0, index, index + begin)


# ---- arrays laid out in a file, or in memory


@dataclass(frozen=True)
class FlatWork(Work):
    """`reduction_passes.one_pass` of a view (outer..., n, inner) of a file or of an array; a mask is in memory."""

    kernel: str
    integers: bool

    def begin(self, things: tuple[FlatView | Array, Array | None]) -> Array | None:
        return np.empty(self.pieces.elements, self.dtype) if isinstance(things[0], FlatView) else None

    def announce(self, region: Region, things: tuple[FlatView | Array, Array | None]) -> None:
        if isinstance(things[0], FlatView):
            things[0].part(region).announce()

    def piece(
        self, region: Region, things: tuple[FlatView | Array, Array | None], memory: Array | None, call: Call
    ) -> Partials:
        row, (view, mask) = REDUCTIONS[self.kernel], things
        x = view[region] if isinstance(view, np.ndarray) else fetched(view.part(region), memory)
        mask = None if mask is None else mask[region]
        partials = reduction_passes.one_pass(row, x, mask, self.integers, call)
        shape = (*x.shape[:-2], x.shape[-1])
        return moved(row, tuple(field.reshape(shape) for field in partials), region[-2].start)

    def fold(self, a: Partials, b: Partials) -> Partials:
        return REDUCTIONS[self.kernel].fold(a, b)


def fetched(part: FlatView, memory: Array | None) -> Array:
    """Part of a file, in a worker's memory."""
    assert memory is not None
    x = memory[: prod(part.shape)].reshape(part.shape)
    try:
        part.read(x)
    except OSError as error:
        name = part.file.name
        raise OSError(f"{name}: can't read {x.nbytes:,} bytes at {part.offset:,}: {error}") from error
    return x


def pass_of(
    view: FlatView | Array, row: ReduceKernel, dtype: Any, mask: Array | None, integers: bool, call: Call
) -> Partials:
    """`reduction_passes.one_pass`, piece by piece."""
    *outer, _, inner = view.shape
    most = max(1 << 16, min(piece, settings.budget_of_piece(call.workers)))
    sizes = grid.cut_flat(view.shape, dtype.itemsize, most)
    pieces = Pieces(view.shape, sizes, (*(False for _ in outer), True, False))
    outputs = tuple(np.empty((*outer, inner), field.dtype) for field in row.partial(dtype, integers))

    def finish(region: Region, partials: Partials) -> None:
        for output, field in zip(outputs, partials, strict=True):
            output[(*region[:-2], region[-1])] = field

    run(FlatWork(pieces, dtype, row.name, integers), (view, mask), finish, call)
    return tuple(output.reshape(-1, inner) for output in outputs)


def pass_of_file(
    file: FlatFile, row: ReduceKernel, x: Array, mask: Array | None, integers: bool, call: Call
) -> Partials:
    """`reduction_passes.one_pass` of a view of a file's ghost."""
    return pass_of(file.view(x), row, file.dtype, mask, integers, call)


def pass_of_array(row: ReduceKernel, x: Array, mask: Array | None, integers: bool, call: Call) -> Partials:
    return pass_of(x, row, x.dtype, mask, integers, call)


# ---- what is stored in chunks


@dataclass(frozen=True)
class StoredWork(Work):
    """`reduction_passes.reduce` of whole stored chunks; a mask is in memory."""

    pieces: Pieces
    kernel: str
    reduced: tuple[int, ...]
    counted: bool  # how many elements a mask selects is a field more
    integers: bool

    def piece(self, region: Region, things: StoredThings, memory: Array | None, call: Call) -> Partials:
        reduced, (source, where) = self.reduced, things
        x = part_of(source, region)
        mask = None if where is None else where[region]
        partials = reduction_passes.reduce(
            self.kernel, x, reduced, as_they_are, where=mask, integers=self.integers, call=call
        )
        if self.counted and mask is not None:
            partials += reduction_passes.reduce("count_nonzero", mask, reduced, as_they_are, call=call)
        return moved(REDUCTIONS[self.kernel], partials, region[reduced[0]].start if len(reduced) == 1 else 0)

    def fold(self, a: Partials, b: Partials) -> Partials:
        fold = REDUCTIONS[self.kernel].fold
        if not self.counted:
            return fold(a, b)
        return (*fold(a[:-1], b[:-1]), *REDUCTIONS["count_nonzero"].fold(a[-1:], b[-1:]))


StoredThings = tuple[Operand, Array | None]


def as_they_are(partials: Partials, count: Array | int) -> Partials:
    return partials


class PositionWork(StoredWork):
    """`reduction_passes.position_of_all` of whole stored chunks."""

    def piece(self, region: Region, things: StoredThings, memory: Array | None, call: Call) -> Partials:
        x = part_of(things[0], region)
        index = reduction_passes.position_of_all(self.kernel, x, call)
        value = x.reshape(-1)[index]
        if index >= 0:
            place = (part.start + i for part, i in zip(region, np.unravel_index(index, x.shape), strict=True))
            index = int(np.ravel_multi_index(tuple(place), self.pieces.shape))
        return np.asarray(value), np.asarray(index)


def stored(source: Source, reduced: tuple[int, ...], most: int) -> Pieces:
    """Pieces of a source that are whole stored chunks, several of them together up to `most` bytes."""
    chunks = source.chunks or grid.cut_flat((*source.shape, 1), source.itemsize, most)[:-1]
    sizes = grid.cut_stored(source.shape, chunks, source.itemsize, most)
    return Pieces(source.shape, sizes, tuple(axis in reduced for axis in range(source.ndim)))


def reduce_stored(
    kernel: str,
    source: Source,
    reduced: tuple[int, ...],
    finish: Finish,
    where: Array | None,
    counted: bool,
    integers: bool,
    call: Call,
) -> tuple[Array, ...]:
    kept = [axis for axis in range(source.ndim) if axis not in reduced]
    n = prod(source.shape[axis] for axis in reduced)
    masked = counted and where is not None
    results: tuple[Array, ...] = ()
    making = threading.Lock()

    def finished(region: Region, partials: Partials) -> None:
        nonlocal results
        values = finish(partials[:-1], partials[-1]) if masked else finish(partials, n)
        with making:
            if not results:
                results = tuple(np.empty([source.shape[axis] for axis in kept], value.dtype) for value in values)
        for result, value in zip(results, values, strict=True):
            result[tuple(region[axis] for axis in kept)] = value

    pieces = stored(source, reduced, stored_piece)
    run(
        StoredWork(pieces, source.dtype, kernel, reduced, masked, integers),
        (to_send(source), where),
        finished,
        call,
    )
    return results


def position_of_stored(kernel: str, source: Source, call: Call) -> int:
    row, axes = REDUCTIONS[kernel], tuple(range(source.ndim))
    found: list[Partials] = []
    # Every piece is a result of its own: ties go to the lowest position, which chunks do not follow.
    pieces = replace(stored(source, axes, stored_piece), reduced=(False,) * source.ndim)
    work = PositionWork(pieces, source.dtype, kernel, axes, False, False)
    run(work, (to_send(source), None), lambda region, partials: found.append(partials), call)
    best, *others = sorted(found, key=lambda partials: int(partials[1]))
    for partials in others:
        best = reduction_passes.earlier(row, best, partials)
    return int(best[1])


# ---- the way in


def laid_out(a: Array | Source) -> tuple[Array | Source, Pass]:
    """What tells where elements are, and the pass that reads them there."""
    if isinstance(a, FlatFile):
        return a.ghost, partial(pass_of_file, a)
    if isinstance(a, np.ndarray) and settings.sends_arrays():
        return a, pass_of_array
    return a, reduction_passes.one_pass


def reduce(
    kernel: str,
    a: Array | Source,
    reduced: tuple[int, ...],
    finish: Finish,
    *,
    where: Array | None = None,
    counted: bool = False,
    integers: bool = False,
    call: Call,
) -> tuple[Array, ...]:
    """`reduction_passes.reduce` of arrays in memory, or not."""
    a, run_pass = laid_out(a)
    if isinstance(a, Source):
        return reduce_stored(kernel, a, reduced, finish, where, counted, integers, call)
    return reduction_passes.reduce(
        kernel, a, reduced, finish, where=where, counted=counted, integers=integers, call=call, run_pass=run_pass
    )


def position_of_all(kernel: str, a: Array | Source, call: Call) -> int:
    """`reduction_passes.position_of_all` of arrays in memory, or not."""
    a, run_pass = laid_out(a)
    if isinstance(a, Source):
        return position_of_stored(kernel, a, call)
    return reduction_passes.position_of_all(kernel, a, call, run_pass)
