"""Reductions of what is not in memory: pieces are read by the workers, each reduces its own, few are there at a time.

    worker: claim a piece -> read -> reduce it in this thread -> partial result -+
    worker: claim a piece -> read -> reduce it in this thread -> partial result -+-> Tree: neighbours in pairs -> result

A file that is laid out as an array in memory would be (`FlatFile`) is cut into aligned subtrees of the order in which
the same array in memory is reduced: the bits are the same. Pieces of other sources are whole stored chunks; the bits
are those of an array in memory where chunks are such subtrees too, and in any case those of any other source with the
same chunks. A worker that waits for a disk does not keep the others from computing; of files the next pieces are
announced to the system.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from .._kernels.fallback.drive import Flags, Fold
from . import grid, reduction, settings
from .grid import Pieces
from .operands import Array
from .reduction import Call, Finish
from .registry import KERNELS, Row
from .sources import FlatFile, Region, Source
from .task import Slots
from .turns import Turns

# Bytes of a piece of a file. Tests change it: results must not.
piece = grid.PIECE
# Bytes of a piece of stored chunks, which the order of operations follows.
stored_piece = grid.PIECE

# What one worker does with each piece: its partial result.
Partial = Callable[[int, Region], Slots]


class Tree:
    """Partial results folded as they come: neighbours in pairs, one left over moves up. At most a few are kept."""

    def __init__(self, fold: Fold, count: int) -> None:
        self.fold, self.counts = fold, [count]
        while self.counts[-1] > 1:
            self.counts.append(-(-self.counts[-1] // 2))
        self._waiting: dict[tuple[int, int], Slots] = {}
        self._lock = threading.Lock()

    def put(self, number: int, slots: Slots, call: Call) -> Slots | None:
        """Put partial result `number`; whoever puts the last one gets the result."""
        for level, count in enumerate(self.counts[:-1]):
            if number ^ 1 < count:
                with self._lock:
                    other = self._waiting.pop((level, number ^ 1), None)
                    if other is None:
                        self._waiting[level, number] = slots
                        return None
                pair = (other, slots) if number & 1 else (slots, other)
                flags = Flags()
                with flags.watch():  # folds are of arrays with one axis at least
                    slots = self.fold(*(tuple(field[None] for field in half) for half in pair))
                slots = tuple(field[0] for field in slots)
                call.status |= flags.raised
            number >>= 1
        return slots


def run(
    fold: Fold,
    pieces: Pieces,
    size: int,
    begin: Callable[[Call], Partial],
    finish: Callable[[Region, Slots], None],
    call: Call,
) -> None:
    """Compute all pieces, of some `size` bytes each, and `finish` each result, one at a time.

    `begin` is called by each worker for the function that gives its partial results.
    """
    results, parts = pieces.results, pieces.parts
    trees: dict[int, Tree] = {}
    lock = threading.Lock()
    turns = Turns(results * parts)

    def work() -> None:
        mine = Call(1)
        try:
            reduced_piece = begin(mine)
            finished = 0
            while (number := turns.claim(finished)) >= 0:
                finished = 1
                result, part = divmod(number, parts)
                with lock:
                    tree = trees.setdefault(result, Tree(fold, parts))
                region = pieces.region(result, part)
                slots = tree.put(part, reduced_piece(number, region), mine)
                if slots is not None:
                    with lock:
                        del trees[result]
                        finish(region, slots)
        except BaseException:
            turns.stop()
            raise
        finally:
            with lock:
                call.status |= mine.status

    # What is read, and as much again for what reading and reducing it take.
    most = max(1, settings.get_memory_budget() // (2 * size))
    turns.under_way(work, min(call.workers, most, turns.count))


def moved(row: Row, slots: Slots, begin: int) -> Slots:
    """Positions counted from the beginning of the array, not of the piece."""
    if not row.ordered or not begin:
        return slots
    value, index = slots
    return value, np.where(index < 0, index, index + begin)


def flat_pass(file: FlatFile, row: Row, x: Array, mask: Array | None, integers: bool, call: Call) -> Slots:
    """`reduction.one_pass` of a view (outer..., n, inner) of a file's ghost; `mask` is in memory."""
    view = file.view(x)
    *outer, _, inner = view.shape
    itemsize = file.itemsize
    most = max(1 << 16, min(piece, settings.get_memory_budget() // (4 * call.workers)))
    sizes = grid.cut_flat(view.shape, itemsize, most)
    pieces = Pieces(view.shape, sizes, (*(False for _ in outer), True, False))
    sinks = tuple(np.empty((*outer, inner), field.dtype) for field in row.slots(file.dtype, integers))

    def begin(mine: Call) -> Partial:
        buffer = np.empty(prod(sizes), file.dtype)

        def reduced_piece(number: int, region: Region) -> Slots:
            ahead = number + call.workers
            if ahead < pieces.results * pieces.parts:
                view.part(pieces.region(*divmod(ahead, pieces.parts))).announce()
            part = view.part(region)
            x = buffer[: prod(part.shape)].reshape(part.shape)
            try:
                part.read(x)
            except OSError as error:
                raise OSError(f"{file.name}: can't read {x.nbytes:,} bytes at {part.offset:,}: {error}") from error
            slots = reduction.one_pass(row, x, None if mask is None else mask[region], integers, mine)
            shape = (*part.shape[:-2], part.shape[-1])
            return moved(row, tuple(slot.reshape(shape) for slot in slots), region[-2].start)

        return reduced_piece

    def finish(region: Region, slots: Slots) -> None:
        for sink, slot in zip(sinks, slots, strict=True):
            sink[(*region[:-2], region[-1])] = slot

    run(row.fold, pieces, prod(sizes) * itemsize, begin, finish, call)
    return tuple(sink.reshape(-1, inner) for sink in sinks)


def stored(source: Source, reduced: tuple[int, ...]) -> Pieces:
    """Pieces of a source that are whole stored chunks."""
    chunks = source.chunks or grid.cut_flat((*source.shape[:-1], source.shape[-1], 1), source.itemsize)[:-1]
    sizes = grid.cut_stored(source.shape, chunks, source.itemsize, stored_piece)
    return Pieces(source.shape, sizes, tuple(axis in reduced for axis in range(source.ndim)))


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
    """`reduction.reduce` of arrays in memory, or not."""
    if isinstance(a, FlatFile):
        call.read = partial(flat_pass, a)
        a = a.ghost
    if isinstance(a, Source):
        return reduce_stored(kernel, a, reduced, finish, where, counted, integers, call)
    return reduction.reduce(kernel, a, reduced, finish, where=where, counted=counted, integers=integers, call=call)


def position_of_all(kernel: str, a: Array | Source, call: Call) -> int:
    """`reduction.position_of_all` of arrays in memory, or not."""
    if isinstance(a, FlatFile):
        call.read = partial(flat_pass, a)
        a = a.ghost
    if isinstance(a, Source):
        return position_of_stored(kernel, a, call)
    return reduction.position_of_all(kernel, a, call)


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
    """The same of a source that is stored in chunks."""
    row = KERNELS[kernel]
    counter = KERNELS["count_nonzero"]
    pieces = stored(source, reduced)
    kept = [axis for axis in range(source.ndim) if axis not in reduced]
    n = prod(source.shape[axis] for axis in reduced)
    results: tuple[Array, ...] = ()
    masked = counted and where is not None

    def fold_counted(a: Slots, b: Slots) -> Slots:
        return (*row.fold(a[:-1], b[:-1]), *counter.fold(a[-1:], b[-1:]))

    def begin(mine: Call) -> Partial:
        def reduced_piece(number: int, region: Region) -> Slots:
            x = source.part(region)
            mask = None if where is None else where[region]
            slots = reduction.reduce(kernel, x, reduced, as_they_are, where=mask, integers=integers, call=mine)
            if masked:
                assert mask is not None
                slots += reduction.reduce(counter.name, mask, reduced, as_they_are, call=mine)
            return moved(row, slots, region[reduced[0]].start if len(reduced) == 1 else 0)

        return reduced_piece

    def finished(region: Region, slots: Slots) -> None:
        nonlocal results
        values = finish(slots[:-1], slots[-1]) if masked else finish(slots, n)
        if not results:
            results = tuple(np.empty([source.shape[axis] for axis in kept], value.dtype) for value in values)
        for result, value in zip(results, values, strict=True):
            result[tuple(region[axis] for axis in kept)] = value

    run(fold_counted if masked else row.fold, pieces, prod(pieces.size) * source.itemsize, begin, finished, call)
    return results


def as_they_are(slots: Slots, count: Array | int) -> Slots:
    return slots


def position_of_stored(kernel: str, source: Source, call: Call) -> int:
    row = KERNELS[kernel]
    axes = tuple(range(source.ndim))
    pieces = stored(source, axes)
    found: list[tuple[int, Slots]] = []

    def begin(mine: Call) -> Partial:
        def reduced_piece(number: int, region: Region) -> Slots:
            x = source.part(region)
            index = reduction.position_of_all(kernel, x, mine)
            value = x.reshape(-1)[index]
            if index >= 0:
                place = (part.start + i for part, i in zip(region, np.unravel_index(index, x.shape), strict=True))
                index = int(np.ravel_multi_index(tuple(place), source.shape))
            return np.asarray(value), np.asarray(index)

        return reduced_piece

    def finished(region: Region, slots: Slots) -> None:
        found.append((int(slots[1]), slots))

    # Every piece is a result of its own here: ties go to the lowest position, which chunks do not follow.
    alone = Pieces(pieces.shape, pieces.size, (False,) * source.ndim)
    run(row.fold, alone, prod(pieces.size) * source.itemsize, begin, finished, call)
    best: Slots | None = None
    for _, slots in sorted(found, key=lambda pair: pair[0]):
        best = slots if best is None else reduction.earlier(row, best, slots)
    assert best is not None
    return int(best[1])
