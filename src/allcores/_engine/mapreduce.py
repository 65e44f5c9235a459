"""Pieces of work: on threads of this process, or on an executor. What they give is folded, or put side by side.

    Work       worker: claim a piece -> read -> reduce -> partial --+
               worker: claim a piece -> read -> reduce -> partial --+-> Tree: neighbours in pairs -> finish(result)

    Mapped     worker: claim a piece -> read it and what is around -> compute -> finish(part of the output)

    Carried    worker: claim a piece -> read -> look --- join -- outputs -> finish(part of the output)
                                                           | state
               worker: claim the next -> read -> look --- join -- outputs -> finish(part of the output)

On an executor (`set_executor`, ``executor=``) a task is a number of neighbouring pieces, of which only what has been
folded, or the outputs come back; the next task of a chain begins with the state in which the one before has ended. What
all pieces need travels once a worker.

A family says what is special to it in a subclass of one of the three: plain data, so that other processes can have it.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy as np

from .._kernels.common import Flags, Fold, Partials
from . import grid, jobs, settings, team
from .arguments import is_plain
from .execute import Call
from .flight import Flight
from .grid import Pieces
from .sources import FlatFile, Operand, Region, Source, announce, own_region, part_of, stand_in, turns_at
from .turns import Turns
from .view import Array

# Bytes of a task on an executor, at least. Tests change it: results must not.
task_size = 64 << 20
# Bytes of a piece of what gives outputs. Tests change it, too.
piece = grid.PIECE

Things = tuple[Any, ...]


class Tree:
    """Partial results folded as they come: neighbours in pairs, one left over moves up. At most a few are kept."""

    def __init__(self, fold: Fold, count: int) -> None:
        self.fold, self.counts = fold, [count]
        while self.counts[-1] > 1:
            self.counts.append(-(-self.counts[-1] // 2))
        self._waiting: dict[tuple[int, int], Partials] = {}
        self._lock = threading.Lock()

    def put(self, number: int, partials: Partials, call: Call) -> Partials | None:
        """Put partial result `number`; whoever puts the last one gets the result."""
        for level, count in enumerate(self.counts[:-1]):
            if number ^ 1 < count:
                with self._lock:
                    other = self._waiting.pop((level, number ^ 1), None)
                    if other is None:
                        self._waiting[level, number] = partials
                        return None
                pair = (other, partials) if number & 1 else (partials, other)
                flags = Flags()
                with flags.watch():  # folds are of arrays with one axis at least
                    partials = self.fold(*(tuple(field[None] for field in half) for half in pair))
                partials = tuple(field[0] for field in partials)
                call.status |= flags.raised
            number >>= 1
        return partials


class Parts(Protocol):
    """What is to be done, cut into results, and these into parts."""

    @property
    def results(self) -> int: ...

    @property
    def parts(self) -> int:
        """Of each result."""

    @property
    def elements(self) -> int:
        """Of a whole piece."""

    def region(self, result: int, part: int) -> Region: ...


@dataclass(frozen=True)
class Work:
    """What is to be done with each piece. `things`: what all pieces need, the operands first."""

    pieces: Parts
    dtype: np.dtype[Any]  # of elements in memory

    @property
    def nbytes(self) -> int:
        """Of a piece."""
        return self.pieces.elements * self.dtype.itemsize

    @property
    def returned(self) -> int:
        """Bytes of what a piece gives, where that is more than a partial."""
        return 0

    def begin(self, things: Any) -> Array | None:
        """Memory that a worker needs for any number of pieces."""
        return np.empty(self.pieces.elements, things[0].dtype) if isinstance(things[0], FlatFile) else None

    def announce(self, region: Region, things: Any) -> None:
        """Which one will be asked for soon."""
        announce(things[0], region)

    def piece(self, region: Region, things: Any, memory: Array | None, call: Call) -> Partials:
        """The partial of one."""
        raise NotImplementedError

    def fold(self, a: Partials, b: Partials) -> Partials:
        """Of two neighbours, in arrays that have one axis more in front."""
        raise NotImplementedError


@dataclass(frozen=True)
class Side(Work):
    """Each piece gives its part of outputs. Operands broadcast together; those in memory are not copied."""

    pieces: Pieces
    axis: int
    width: int  # bytes an element of all operands and outputs
    leading: tuple[int, ...]  # what a position has several outputs for: their first axes
    output: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return self.pieces.elements * self.width

    @property
    def returned(self) -> int:
        return self.pieces.elements * self.output.itemsize * prod(self.leading)

    def announce(self, region: Region, things: Any) -> None:
        for thing in things:
            announce(thing, own_region(thing, region))

    def operands(self, region: Region, things: Things, memory: Array | None) -> tuple[Array, ...]:
        found = []
        for thing in things:
            own = own_region(thing, region)
            found.append(thing[own] if isinstance(thing, np.ndarray) else part_of(thing, own, memory))
            memory = None  # which is for one
        return tuple(found)


@dataclass(frozen=True)
class Mapped(Side):
    """Outputs at a position depend on operands at some positions before and after it, along the axis."""

    before: int = 0
    after: int = 0
    unit: int = 1  # what is read begins at a multiple of this: where the order of operations follows positions

    def compute(self, operands: tuple[Array, ...], call: Call) -> Partials:
        """The outputs of all positions of some operands, of which those too near to a cut are then dropped."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Elements along the axis that are read for a piece, at most."""
        shape, sizes = self.pieces.shape, self.pieces.size
        return min(shape[self.axis], sizes[self.axis] + self.before + self.after + self.unit)

    @property
    def nbytes(self) -> int:
        return self.pieces.elements // self.pieces.size[self.axis] * self.length * self.width

    def begin(self, things: Any) -> Array | None:
        if not isinstance(things[0], FlatFile):
            return None
        return np.empty(self.pieces.elements // self.pieces.size[self.axis] * self.length, things[0].dtype)

    def around(self, region: Region) -> tuple[Region, slice]:
        """What a piece depends on, at least as long as what one position does; and where in that the piece is."""
        part, n = region[self.axis], self.pieces.shape[self.axis]
        begin = max(0, part.start - self.before) // self.unit * self.unit
        end = min(n, max(part.stop + self.after, begin + self.before + self.after + 1))
        return _along(region, self.axis, slice(begin, end)), slice(part.start - begin, part.stop - begin)

    def announce(self, region: Region, things: Any) -> None:
        super().announce(self.around(region)[0], things)

    def piece(self, region: Region, things: Any, memory: Array | None, call: Call) -> Partials:
        around, inside = self.around(region)
        outputs = self.compute(self.operands(around, things, memory), call)
        behind = len(region) - self.axis - 1
        index: tuple[Any, ...] = (..., inside, *[slice(None)] * behind)
        return tuple(output[index] for output in outputs)


@dataclass(frozen=True)
class Carried(Side):
    """Outputs depend on all operands before them: the pieces of a result are a chain, and a state goes along it."""

    def look(self, operands: tuple[Array, ...], call: Call) -> Any:
        """What can be known of a piece, whatever comes before it."""

    def join(self, operands: tuple[Array, ...], seen: Any, state: Any, call: Call) -> tuple[Any, Any]:
        """What the outputs need besides, and the state after the piece. `state` is that before it, None at first."""
        raise NotImplementedError

    def outputs(self, operands: tuple[Array, ...], joined: Any, call: Call) -> Partials:
        raise NotImplementedError


def _along(region: Region, axis: int, part: slice) -> Region:
    return (*region[:axis], part, *region[axis + 1 :])


class Outputs:
    """An array, or what is not in memory, into which pieces put their parts, from any thread."""

    def __init__(self, to: Operand, pieces: Pieces, leading: tuple[int, ...] = ()) -> None:
        self.to, self.leading = to, tuple(slice(0, length) for length in leading)
        begins = [range(0, length, size) for length, size in zip(pieces.shape, pieces.size, strict=True)]
        self.turn = turns_at(to, [range(1)] * len(leading) + begins) if isinstance(to, Source) else nullcontext()

    def put(self, region: Region, partials: Partials) -> None:
        (values,) = partials
        region = (*self.leading, *region)
        if not isinstance(self.to, Source):
            self.to[region] = values
            return
        values = np.ascontiguousarray(values, self.to.dtype)
        with self.turn:
            self.to.write(region, values)


def room_for(
    out: Any, operands: list[Operand], shape: tuple[int, ...], dtype: np.dtype[Any], leading: tuple[int, ...] = ()
) -> Array:
    """Where outputs may be put while operands are still read: a good `out`, or a new array."""
    shared = out is not None and any(isinstance(a, np.ndarray) and np.may_share_memory(out, a) for a in operands)
    if is_plain(out) and not shared:
        return np.asarray(out)
    if leading:
        return np.empty(leading + shape, dtype)
    return np.empty_like(np.broadcast_to(stand_in(operands[0]), shape), dtype)


def cut(operands: Iterable[Operand], shape: tuple[int, ...], axis: int, width: int, call: Call, **more: int) -> Pieces:
    """Pieces of outputs, as the first operand that is stored in chunks has them; `more`: see `grid.cut_along`."""
    whole = [operand for operand in operands if operand.shape == shape]
    chunks = next((operand.chunks for operand in whole if isinstance(operand, Source) and operand.chunks), None)
    fortran = bool(whole) and isinstance(whole[0], FlatFile) and whole[0].order == "F"
    most = max(1, min(piece, settings.budget_of_piece(call.workers)) // width)
    share = settings.budget_of_piece(1) // width  # fewer workers then
    return Pieces(shape, grid.cut_along(shape, chunks, axis, fortran, most, share, **more), (False,) * len(shape))


def chains(pieces: Pieces, axis: int) -> Pieces:
    """Those that differ along the axis alone are parts of one result."""
    return replace(pieces, reduced=tuple(i == axis for i in range(len(pieces.shape))))


Finish = Callable[[Region, Partials], None]


def to_travel(thing: Any) -> Any:
    """A thing for several runs, so that it travels once for all of them."""
    sender = settings.sender()
    return thing if sender is None or team.here.worker else sender.once(thing)


def run(work: Work, things: Things, finish: Finish, call: Call) -> None:
    """Compute all pieces, and `finish` each result, or each piece where these give outputs: from any thread, several at
    a time. What reads a source may be a user's function."""
    sender = settings.sender()
    if sender is None or team.here.worker:
        with settings.at_most(call.workers):
            run_here(work, things, finish, call)
    else:
        run_there(work, things, finish, call, sender)


def run_here(work: Work, things: Things, finish: Finish, call: Call) -> None:
    """On threads, each of which claims the next piece."""
    pieces = work.pieces
    results, parts = pieces.results, pieces.parts
    lock = threading.Lock()
    turns = Turns(results * parts)
    # What is read, and as much again for what reading and computing take.
    most = max(1, settings.get_memory_budget() // (2 * work.nbytes))
    workers = min(call.workers, most, turns.count)
    gathering = Chains(work, turns) if isinstance(work, Carried) else Trees(work)

    def worker(numbers: Iterator[int]) -> None:
        mine = Call(1)
        try:
            memory = work.begin(things)
            for number in numbers:
                if number + workers < turns.count:
                    work.announce(pieces.region(*gathering.place(number + workers)), things)
                result, part = gathering.place(number)
                region = pieces.region(result, part)
                partials = gathering.piece(result, part, region, things, memory, mine)
                if partials is not None:
                    finish(region, partials)
        finally:
            with lock:
                call.status |= mine.status

    turns.under_way(worker, workers)


class Trees:
    """Partials of the parts of each result, folded as they come."""

    def __init__(self, work: Work) -> None:
        self.work, self.parts = work, work.pieces.parts
        self._trees: dict[int, Tree] = defaultdict(lambda: Tree(work.fold, self.parts))
        self._lock = threading.Lock()

    def place(self, number: int) -> tuple[int, int]:
        """Result and part of a piece."""
        return divmod(number, self.parts)

    def piece(
        self, result: int, part: int, region: Region, things: Things, memory: Array | None, call: Call
    ) -> Partials | None:
        with self._lock:
            tree = self._trees[result]
        partials = tree.put(part, self.work.piece(region, things, memory, call), call)
        if partials is not None:
            with self._lock:
                del self._trees[result]
        return partials


class Chains:
    """The state of each chain. Pieces are claimed in the order in which they wait for each other: the first part of
    each chain, then the second ones, and so on."""

    def __init__(self, work: Carried, turns: Turns) -> None:
        self.work, self.turns, self.results = work, turns, work.pieces.results
        self._states: dict[int, tuple[int, Any]] = {}  # of each chain the next part, and the state before it
        self._changed = threading.Condition()

    def place(self, number: int) -> tuple[int, int]:
        part, result = divmod(number, self.results)
        return result, part

    def piece(
        self, result: int, part: int, region: Region, things: Things, memory: Array | None, call: Call
    ) -> Partials | None:
        operands = self.work.operands(region, things, memory)
        seen = self.work.look(operands, call)
        with self._changed:
            # The timeout is for signals; and for a stop, of which nobody notifies.
            while (found := self._states.get(result, (0, None)))[0] != part:
                if self.turns.stopped:
                    return None
                self._changed.wait(0.02)
        joined, state = self.work.join(operands, seen, found[1], call)
        with self._changed:
            self._states[result] = part + 1, state
            self._changed.notify_all()
        return self.work.outputs(operands, joined, call)


# ---- on an executor


@dataclass(frozen=True, slots=True)
class Share:
    """What a task computes: all parts of some results, or some parts of one."""

    results: range
    parts: range


def shares(work: Work, workers: int) -> Iterator[Share]:
    """The pieces of all tasks: eight tasks for each worker, so that none has much left to do when the others have
    finished; but neither small ones, since each takes an engine up to some ms, nor very large ones, since they are what
    is cancelled, nor such as give back more than there is memory for. Several parts are a power of two, hence a
    subtree; of one chain alone, since the next task begins where it ends."""
    pieces, nbytes = work.pieces, work.nbytes
    wanted = pieces.results * pieces.parts * nbytes // (8 * workers)
    count = max(1, min(max(wanted, task_size), 8 * task_size) // nbytes)
    if work.returned:
        count = max(1, min(count, settings.budget_of_piece(workers) // work.returned))
    parts = pieces.parts if count >= pieces.parts else 1 << (count.bit_length() - 1)
    together = 1 if isinstance(work, Carried) else max(1, count // pieces.parts)
    for first in range(0, pieces.results, together):
        for part in range(0, pieces.parts, parts):
            yield Share(
                range(first, min(first + together, pieces.results)), range(part, min(part + parts, pieces.parts))
            )


def compute(work: Work, share: Share, state: Any, backend: str, *things: Any) -> tuple[list[Partials], Any, int]:
    """A task: of each result its parts, folded, or of a chain its outputs and the state after them; and floating-point
    flags."""
    mine = Call(1)
    memory = work.begin(things)
    found = []
    with settings.use_backend(backend), settings.use_sender(None):
        for result in share.results:
            tree = Tree(work.fold, len(share.parts))
            for number, part in enumerate(share.parts):
                region = work.pieces.region(result, part)
                if isinstance(work, Carried):
                    operands = work.operands(region, things, memory)
                    joined, state = work.join(operands, work.look(operands, mine), state, mine)
                    partials: Partials | None = work.outputs(operands, joined, mine)
                else:
                    partials = tree.put(number, work.piece(region, things, memory, mine), mine)
                if partials is not None:
                    found.append(partials)
    return found, state, mine.status


def run_there(work: Work, things: Things, finish: Finish, call: Call, sender: settings.Sender) -> None:
    """On an executor: a few tasks more than it has workers are under way at a time."""
    pieces, carried = work.pieces, isinstance(work, Carried)
    every = list(shares(work, sender.workers))
    step = len(every[0].parts)
    trees: dict[int, Tree] = defaultdict(lambda: Tree(work.fold, -(-pieces.parts // step)))
    # Of a chain one task after the other, each with the state in which the one before has ended.
    ready: deque[tuple[Share, Any]] = deque((share, None) for share in every if not (carried and share.parts.start))
    later = {(share.results.start, share.parts.start): share for share in every if carried}
    flight: Flight[Share] = Flight(len(every))
    job = jobs.current.get()
    with nullcontext() if job is None else job.part(flight):
        common, backend = sender.once(work), settings.backend()
        held = [sender.once(thing) for thing in things]
        try:
            while not flight.stopped:
                while len(flight) < 2 * sender.workers and ready:
                    share, state = ready.popleft()
                    flight.add(share, sender.submit(compute, common, share, state, backend, *held))
                arrived = flight.next() if flight else None
                if arrived is None:
                    return
                share, future = arrived
                if future.cancelled() and flight.stopped:
                    return
                found, state, status = future.result()
                call.status |= status
                flight.done += 1
                if carried:
                    following = later.get((share.results.start, share.parts.stop))
                    if following is not None:
                        ready.append((following, state))
                    for part, outputs in zip(share.parts, found, strict=True):
                        finish(pieces.region(share.results.start, part), outputs)
                    continue
                for result, partials in zip(share.results, found, strict=True):
                    total = trees[result].put(share.parts.start // step, partials, call)
                    if total is not None:
                        del trees[result]
                        finish(pieces.region(result, 0), total)
        finally:
            flight.cancel()
