"""Reductions of what is not in memory: pieces are read by the workers, each reduces its own, few are there at a time.

    worker: claim a piece -> read -> reduce it in this thread -> partial result -+
    worker: claim a piece -> read -> reduce it in this thread -> partial result -+-> Tree: neighbours in pairs -> result

A file that is laid out as an array in memory would be (`FlatFile`) is cut into aligned subtrees of the order in which
the same array in memory is reduced: the bits are the same. Pieces of other sources are whole stored chunks; the bits
are those of an array in memory where chunks are such subtrees too, and in any case those of any other source with the
same chunks. A worker that waits for a disk does not keep the others from computing; of files the next pieces are
announced to the system.

On an executor (`set_executor`) a task is a number of neighbouring pieces: it folds what they give, as the tree does,
and only that comes back.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, Protocol

import numpy as np

from .._kernels.fallback.drive import Flags, Fold
from . import grid, jobs, reduction, settings, team
from .grid import Pieces
from .operands import Array
from .reduction import Call, Finish
from .registry import KERNELS, Row
from .sources import FlatFile, FlatView, Region, Source
from .task import Slots
from .turns import Turns

# Bytes of a piece of a file. Tests change it: results must not.
piece = grid.PIECE
# Bytes of a piece of stored chunks, which the order of operations follows.
stored_piece = grid.PIECE
# Bytes of the pieces of a task on an executor.
task_size = 64 << 20


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


class Work(Protocol):
    """What is to be done with each piece: data, so that it can be done in another process."""

    @property
    def pieces(self) -> Pieces: ...

    @property
    def itemsize(self) -> int: ...

    def begin(self) -> Array | None:
        """Memory that a worker needs for any number of pieces."""

    def piece(self, region: Region, memory: Array | None, call: Call) -> Slots:
        """The partial result of one."""

    def announce(self, region: Region) -> None:
        """Which one will be asked for soon."""

    def fold(self, a: Slots, b: Slots) -> Slots:
        """Of two neighbours."""


def run(work: Work, finish: Callable[[Region, Slots], None], call: Call) -> None:
    """Compute all pieces, and `finish` each result, one at a time."""
    sender = settings.sender()
    if sender is None or team.here.worker:
        run_here(work, finish, call)
    else:
        run_there(work, finish, call, sender)


def run_here(work: Work, finish: Callable[[Region, Slots], None], call: Call) -> None:
    """On threads, each of which claims the next piece."""
    pieces = work.pieces
    results, parts = pieces.results, pieces.parts
    trees: dict[int, Tree] = defaultdict(lambda: Tree(work.fold, parts))
    lock = threading.Lock()
    turns = Turns(results * parts)
    # What is read, and as much again for what reading and reducing it take.
    most = max(1, settings.get_memory_budget() // (2 * prod(pieces.size) * work.itemsize))
    workers = min(call.workers, most, turns.count)

    def worker() -> None:
        mine = Call(1)
        try:
            memory = work.begin()
            finished = 0
            while (number := turns.claim(finished)) >= 0:
                finished = 1
                if number + workers < turns.count:
                    work.announce(pieces.region(*divmod(number + workers, parts)))
                result, part = divmod(number, parts)
                with lock:
                    tree = trees[result]
                region = pieces.region(result, part)
                slots = tree.put(part, work.piece(region, memory, mine), mine)
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

    turns.under_way(worker, workers)


# ---- on an executor


def compute(work: Work, result: int, first: int, last: int, backend: str) -> tuple[Slots, int]:
    """A task: parts first..last of a result, folded; and floating-point flags."""
    mine = Call(1)
    memory = work.begin()
    tree = Tree(work.fold, last - first)
    slots = None
    with settings.use_backend(backend), settings.use_sender(None):
        for part in range(first, last):
            slots = tree.put(part - first, work.piece(work.pieces.region(result, part), memory, mine), mine)
    assert slots is not None
    return slots, mine.status


class Tasks:
    """Tasks under way, for those who watch the call."""

    def __init__(self, count: int) -> None:
        self.count, self.done, self.stopped = count, 0, False
        self.futures: dict[Future[Any], tuple[int, int]] = {}

    def stop(self) -> None:
        self.stopped = True
        for future in list(self.futures):
            future.cancel()

    def progress(self) -> tuple[int, int]:
        return self.done, self.count


def run_there(work: Work, finish: Callable[[Region, Slots], None], call: Call, sender: settings.Sender) -> None:
    """On an executor: a few tasks more than it has workers are under way at a time."""
    pieces = work.pieces
    results, parts = pieces.results, pieces.parts
    # A power of two of parts: a subtree.
    together = 1 << (max(1, task_size // (prod(pieces.size) * work.itemsize)).bit_length() - 1)
    groups = -(-parts // together)
    numbers = iter(divmod(number, groups) for number in range(results * groups))
    trees: dict[int, Tree] = defaultdict(lambda: Tree(work.fold, groups))
    arrived: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    tasks = Tasks(results * groups)
    job = jobs.current.get()
    with nullcontext() if job is None else job.part(tasks):
        common, backend = sender.once(work), settings.backend()
        try:
            while not tasks.stopped:
                while len(tasks.futures) < 2 * sender.workers and (number := next(numbers, None)) is not None:
                    result, group = number
                    last = min((group + 1) * together, parts)
                    future = sender.submit(compute, common, result, group * together, last, backend)
                    tasks.futures[future] = number
                    future.add_done_callback(arrived.put)
                if not tasks.futures:
                    return
                try:
                    future = arrived.get(timeout=0.1)  # with an eye on signals, and on `stop`
                except queue.Empty:
                    continue
                result, group = tasks.futures.pop(future)
                if future.cancelled() and tasks.stopped:
                    return
                slots, status = future.result()
                call.status |= status
                total = trees[result].put(group, slots, call)
                tasks.done += 1
                if total is not None:
                    del trees[result]
                    finish(pieces.region(result, 0), total)
        finally:
            for future in list(tasks.futures):
                future.cancel()


def moved(row: Row, slots: Slots, begin: int) -> Slots:
    """Positions counted from the beginning of the array, not of the piece."""
    if not row.ordered or not begin:
        return slots
    value, index = slots
    return value, np.where(index < 0, index, index + begin)


# ---- files


@dataclass(frozen=True)
class FlatWork:
    """`reduction.one_pass` of a view (outer..., n, inner) of a file; `mask` is in memory."""

    view: FlatView
    pieces: Pieces
    kernel: str
    mask: Array | None
    integers: bool

    @property
    def itemsize(self) -> int:
        return self.view.file.itemsize

    def begin(self) -> Array:
        return np.empty(prod(self.pieces.size), self.view.file.dtype)

    def announce(self, region: Region) -> None:
        self.view.part(region).announce()

    def piece(self, region: Region, memory: Array | None, call: Call) -> Slots:
        row, part = KERNELS[self.kernel], self.view.part(region)
        assert memory is not None
        x = memory[: prod(part.shape)].reshape(part.shape)
        try:
            part.read(x)
        except OSError as error:
            name = self.view.file.name
            raise OSError(f"{name}: can't read {x.nbytes:,} bytes at {part.offset:,}: {error}") from error
        mask = None if self.mask is None else self.mask[region]
        slots = reduction.one_pass(row, x, mask, self.integers, call)
        shape = (*part.shape[:-2], part.shape[-1])
        return moved(row, tuple(slot.reshape(shape) for slot in slots), region[-2].start)

    def fold(self, a: Slots, b: Slots) -> Slots:
        return KERNELS[self.kernel].fold(a, b)


def flat_pass(file: FlatFile, row: Row, x: Array, mask: Array | None, integers: bool, call: Call) -> Slots:
    """`reduction.one_pass` of a view (outer..., n, inner) of a file's ghost; `mask` is in memory."""
    view = file.view(x)
    *outer, _, inner = view.shape
    most = max(1 << 16, min(piece, settings.get_memory_budget() // (4 * call.workers)))
    sizes = grid.cut_flat(view.shape, file.itemsize, most)
    pieces = Pieces(view.shape, sizes, (*(False for _ in outer), True, False))
    sinks = tuple(np.empty((*outer, inner), field.dtype) for field in row.slots(file.dtype, integers))

    def finish(region: Region, slots: Slots) -> None:
        for sink, slot in zip(sinks, slots, strict=True):
            sink[(*region[:-2], region[-1])] = slot

    run(FlatWork(view, pieces, row.name, mask, integers), finish, call)
    return tuple(sink.reshape(-1, inner) for sink in sinks)


# ---- what is stored in chunks


@dataclass(frozen=True)
class StoredWork:
    """`reduction.reduce` of whole stored chunks."""

    source: Source
    pieces: Pieces
    kernel: str
    reduced: tuple[int, ...]
    where: Array | None
    counted: bool  # how many elements `where` selects is a field more
    integers: bool

    @property
    def itemsize(self) -> int:
        return self.source.itemsize

    def begin(self) -> None:
        return None

    def announce(self, region: Region) -> None:
        pass

    def piece(self, region: Region, memory: Array | None, call: Call) -> Slots:
        reduced = self.reduced
        x = self.source.part(region)
        mask = None if self.where is None else self.where[region]
        slots = reduction.reduce(self.kernel, x, reduced, as_they_are, where=mask, integers=self.integers, call=call)
        if self.counted and mask is not None:
            slots += reduction.reduce("count_nonzero", mask, reduced, as_they_are, call=call)
        return moved(KERNELS[self.kernel], slots, region[reduced[0]].start if len(reduced) == 1 else 0)

    def fold(self, a: Slots, b: Slots) -> Slots:
        fold = KERNELS[self.kernel].fold
        if not self.counted:
            return fold(a, b)
        return (*fold(a[:-1], b[:-1]), *KERNELS["count_nonzero"].fold(a[-1:], b[-1:]))


def as_they_are(slots: Slots, count: Array | int) -> Slots:
    return slots


class PositionWork(StoredWork):
    """`reduction.position_of_all` of whole stored chunks."""

    def piece(self, region: Region, memory: Array | None, call: Call) -> Slots:
        x = self.source.part(region)
        index = reduction.position_of_all(self.kernel, x, call)
        value = x.reshape(-1)[index]
        if index >= 0:
            place = (part.start + i for part, i in zip(region, np.unravel_index(index, x.shape), strict=True))
            index = int(np.ravel_multi_index(tuple(place), self.source.shape))
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

    def finished(region: Region, slots: Slots) -> None:
        nonlocal results
        values = finish(slots[:-1], slots[-1]) if masked else finish(slots, n)
        if not results:
            results = tuple(np.empty([source.shape[axis] for axis in kept], value.dtype) for value in values)
        for result, value in zip(results, values, strict=True):
            result[tuple(region[axis] for axis in kept)] = value

    run(
        StoredWork(source, stored(source, reduced, stored_piece), kernel, reduced, where, masked, integers),
        finished,
        call,
    )
    return results


def position_of_stored(kernel: str, source: Source, call: Call) -> int:
    row, axes = KERNELS[kernel], tuple(range(source.ndim))
    found: list[Slots] = []
    # Every piece is a result of its own: ties go to the lowest position, which chunks do not follow.
    pieces = replace(stored(source, axes, stored_piece), reduced=(False,) * source.ndim)
    work = PositionWork(source, pieces, kernel, axes, None, False, False)
    run(work, lambda region, slots: found.append(slots), call)
    best, *others = sorted(found, key=lambda slots: int(slots[1]))
    for slots in others:
        best = reduction.earlier(row, best, slots)
    return int(best[1])


# ---- the way in


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
