"""Pieces of work whose partial results are folded: on threads of this process, or on an executor.

    worker: claim a piece -> read -> reduce it in this thread -> partial result -+
    worker: claim a piece -> read -> reduce it in this thread -> partial result -+-> Tree: neighbours in pairs -> result

On an executor (`set_executor`, ``executor=``) a task is a number of neighbouring pieces: it folds what they give, as
the tree does, and only that comes back. What all pieces need travels once a worker.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from .._kernels.common import Flags, Fold, Partials
from . import jobs, settings, team
from .execute import Call
from .flight import Flight
from .sources import Region
from .turns import Turns
from .view import Array

# Bytes of a task on an executor, at least. Tests change it: results must not.
task_size = 64 << 20

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

    def region(self, result: int, part: int) -> Region: ...


class Work(Protocol):
    """What is to be done with each piece: data, so that another process can do it. `things`: what all pieces need."""

    @property
    def pieces(self) -> Parts: ...

    @property
    def nbytes(self) -> int:
        """Of a piece."""

    def begin(self, things: Any) -> Array | None:
        """Memory that a worker needs for any number of pieces."""

    def piece(self, region: Region, things: Any, memory: Array | None, call: Call) -> Partials:
        """The partial result of one."""

    def announce(self, region: Region, things: Any) -> None:
        """Which one will be asked for soon."""

    def fold(self, a: Partials, b: Partials) -> Partials:
        """Of two neighbours."""


Finish = Callable[[Region, Partials], None]


def to_travel(thing: Any) -> Any:
    """A thing for several runs, so that it travels once for all of them."""
    sender = settings.sender()
    return thing if sender is None or team.here.worker else sender.once(thing)


def run(work: Work, things: Things, finish: Finish, call: Call) -> None:
    """Compute all pieces, and `finish` each result, one at a time. What reads a source may be a user's function."""
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
    trees: dict[int, Tree] = defaultdict(lambda: Tree(work.fold, parts))
    lock = threading.Lock()
    turns = Turns(results * parts)
    # What is read, and as much again for what reading and reducing it take.
    most = max(1, settings.get_memory_budget() // (2 * work.nbytes))
    workers = min(call.workers, most, turns.count)

    def worker(numbers: Iterator[int]) -> None:
        mine = Call(1)
        try:
            memory = work.begin(things)
            for number in numbers:
                if number + workers < turns.count:
                    work.announce(pieces.region(*divmod(number + workers, parts)), things)
                result, part = divmod(number, parts)
                with lock:
                    tree = trees[result]
                region = pieces.region(result, part)
                partials = tree.put(part, work.piece(region, things, memory, mine), mine)
                if partials is not None:
                    with lock:
                        del trees[result]
                        finish(region, partials)
        finally:
            with lock:
                call.status |= mine.status

    turns.under_way(worker, workers)


# ---- on an executor


@dataclass(frozen=True, slots=True)
class Share:
    """What a task computes: all parts of some results, or some parts of one."""

    results: range
    parts: range


def shares(pieces: Parts, nbytes: int, workers: int) -> Iterator[Share]:
    """The pieces of all tasks: eight tasks for each worker, so that none has much left to do when the others have
    finished; but neither small ones, since each takes an engine up to some ms, nor very large ones, since they are what
    is cancelled. Several parts are a power of two, hence a subtree."""
    wanted = pieces.results * pieces.parts * nbytes // (8 * workers)
    count = max(1, min(max(wanted, task_size), 8 * task_size) // nbytes)
    parts = pieces.parts if count >= pieces.parts else 1 << (count.bit_length() - 1)
    together = max(1, count // pieces.parts)
    for first in range(0, pieces.results, together):
        for part in range(0, pieces.parts, parts):
            yield Share(
                range(first, min(first + together, pieces.results)), range(part, min(part + parts, pieces.parts))
            )


def compute(work: Work, share: Share, backend: str, *things: Any) -> tuple[list[Partials], int]:
    """A task: of each result its parts, folded; and floating-point flags."""
    mine = Call(1)
    memory = work.begin(things)
    found = []
    with settings.use_backend(backend), settings.use_sender(None):
        for result in share.results:
            tree = Tree(work.fold, len(share.parts))
            for number, part in enumerate(share.parts):
                partials = tree.put(number, work.piece(work.pieces.region(result, part), things, memory, mine), mine)
            assert partials is not None
            found.append(partials)
    return found, mine.status


def run_there(work: Work, things: Things, finish: Finish, call: Call, sender: settings.Sender) -> None:
    """On an executor: a few tasks more than it has workers are under way at a time."""
    pieces = work.pieces
    every = list(shares(pieces, work.nbytes, sender.workers))
    step = len(every[0].parts)
    trees: dict[int, Tree] = defaultdict(lambda: Tree(work.fold, -(-pieces.parts // step)))
    flight: Flight[Share] = Flight(len(every))
    job = jobs.current.get()
    with nullcontext() if job is None else job.part(flight):
        common, backend = sender.once(work), settings.backend()
        held = [sender.once(thing) for thing in things]
        following = iter(every)
        try:
            while not flight.stopped:
                while len(flight) < 2 * sender.workers and (share := next(following, None)) is not None:
                    flight.add(share, sender.submit(compute, common, share, backend, *held))
                arrived = flight.next() if flight else None
                if arrived is None:
                    return
                share, future = arrived
                if future.cancelled() and flight.stopped:
                    return
                found, status = future.result()
                call.status |= status
                flight.done += 1
                for result, partials in zip(share.results, found, strict=True):
                    total = trees[result].put(share.parts.start // step, partials, call)
                    if total is not None:
                        del trees[result]
                        finish(pieces.region(result, 0), total)
        finally:
            flight.cancel()
