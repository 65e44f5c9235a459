"""Elements of given ranks of what is not in memory, or not to be searched in this process.

    lines of which several fit into memory     one pass: each worker reads some whole lines, and selects from them
    long lines, some at a time                 sample -> brackets around the ranks
                                               pass: what is below, at the ends, inside; what is inside is kept
                                               few inside -> search these; many -> narrower brackets, another pass

The brackets are those of `selection.search`; here passes are over the pieces of a source, for all lines that are
still searched, on threads or an executor. What is found is exact: how a source is cut changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np

from .._engine import grid, settings
from .._engine.execute import Call
from .._engine.grid import Pieces
from .._engine.mapreduce import run, to_travel
from .._engine.sources import FlatFile, InMemory, Region, Source
from .._engine.view import Array
from .._kernels.common import Partials
from .._kernels.keys import from_keys, to_keys
from . import selection
from .lazy_reductions import chunk, where_it_is
from .selection import POSITION, Bracket, Part, Ranks, lines_of, run_selection_pass, search, select, spread

# Tests change these: results must not.
piece = grid.PIECE  # bytes that are looked at together
slab = 256 << 20  # bytes of whole lines, at most
sampled = 1 << 16  # bytes of a piece of a sample
budget = 1 << 22  # keys that are kept of all long lines: 32 MB, and twice that to search them

RUN = 4096  # bytes that should adjoin in a file
LEAST = 1024  # of them for each line
LANES = 64  # long ones that are searched at a time, or so many as are stored together
MOST_RANKS = 64  # at a time: of more, brackets meet, and nothing is left out
PIECES = 64  # of a sample, at least
SAMPLES = 1 << 20  # keys of a sample of all lines

Things = tuple[Source | Array]


def select_from(
    a: Source | Array, searched: np.dtype[Any], reduced: tuple[int, ...], ranks: Ranks, skip: bool, call: Call
) -> tuple[Array, Array]:
    """As `selection.select`: elements of the ranks of each line, (m, kept...), and how many numbers a line has.

    `searched`: the dtype in which they are searched.
    """
    source = a if isinstance(a, Source) else InMemory(a, None)
    skip = skip and searched.kind == "f"
    kept = tuple(axis for axis in range(source.ndim) if axis not in reduced)
    shape = tuple(source.shape[axis] for axis in kept)
    values, counts = np.empty((ranks.m, *shape), searched), np.empty(shape, POSITION)
    whole = whole_lines(source, reduced, kept, searched.itemsize, call.workers)
    thing = to_travel(where_it_is(source))
    if whole is not None:

        def finish(region: Region, partials: Partials) -> None:
            at = tuple(region[axis] for axis in kept)
            values[(slice(None), *at)], counts[at] = partials

        run(WholeLines(whole, searched, reduced, ranks, skip), (thing,), finish, call)
    else:
        for box in boxes(source, reduced, settings.budget_of_piece(call.workers) // searched.itemsize):
            for begin in range(0, ranks.m, MOST_RANKS):
                some = Part(ranks, begin, min(MOST_RANKS, ranks.m - begin))
                lines = LongLines(source, thing, searched, reduced, kept, box, some, skip, call)
                lines.find(values[begin : begin + some.m], counts)
    return values, counts


def whole_lines(
    source: Source, reduced: tuple[int, ...], kept: tuple[int, ...], itemsize: int, workers: int
) -> Pieces | None:
    """Pieces of whole lines, if a worker has memory for one, and there is one for each worker."""
    n = prod(source.shape[axis] for axis in reduced)
    # A copy of what was read, with lines in lines, in a wider dtype perhaps.
    share = settings.budget_of_piece(workers)
    if n * itemsize > share or (source.size < n * workers and source.size * itemsize > 2 * piece):
        return None
    most = min(max(piece, RUN * n), slab, share, ceil(source.nbytes / workers)) // itemsize
    least = tuple(
        source.shape[i] if i in reduced else 1 if source.chunks is None else source.chunks[i]
        for i in range(source.ndim)
    )
    # What is less than a stored chunk is read several times: then as much as there is memory for.
    least = halved(source.shape, least, kept, share // itemsize)
    sizes = grid.widened(source.shape, least, (axis for axis in contiguous_first(source) if axis in kept), most)
    return Pieces(source.shape, sizes, tuple(axis in reduced for axis in range(source.ndim)))


def halved(shape: tuple[int, ...], sizes: tuple[int, ...], axes: Sequence[int], most: int) -> tuple[int, ...]:
    """Sizes of a box, halved along its longest one of some axes while it has more than `most` elements."""
    box = [min(size, length) for size, length in zip(sizes, shape, strict=True)]
    while prod(box) > most and any(box[axis] > 1 for axis in axes):
        longest = max(axes, key=lambda axis: box[axis])
        box[longest] = ceil(box[longest] / 2)
    return tuple(box)


def contiguous_first(source: Source) -> Iterator[int]:
    """Axes in the order of memory, the fastest first."""
    axes = range(source.ndim)
    return iter(axes if isinstance(source, FlatFile) and source.order == "F" else reversed(axes))


def boxes(source: Source, reduced: tuple[int, ...], most: int) -> Iterator[Region]:
    """All of the source, in boxes of not too many long lines each; a piece should have no more than `most` elements."""
    shape, chunks = source.shape, source.chunks or (1,) * source.ndim
    kept = [axis for axis in contiguous_first(source) if axis not in reduced]
    n = prod(shape[axis] for axis in reduced)
    least = tuple(shape[axis] if axis in reduced else chunks[axis] for axis in range(source.ndim))
    lines = min(LANES, max(1, most // prod(min(chunks[axis], shape[axis]) for axis in reduced)))
    widths = grid.widened(shape, halved(shape, least, kept, 16 * LANES * n), kept, lines * n)
    for starts in product(*(range(0, length, width) for length, width in zip(shape, widths, strict=True))):
        yield tuple(
            slice(start, min(start + width, length)) for start, width, length in zip(starts, widths, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Within:
    """Pieces of a box, or some of these, which are parts of one result."""

    box: Region
    pieces: Pieces
    numbers: tuple[int, ...]
    results = 1

    @property
    def parts(self) -> int:
        return len(self.numbers)

    def region(self, result: int, part: int) -> Region:
        inside = self.pieces.region(0, self.numbers[part])
        return tuple(
            slice(part.start + outer.start, part.stop + outer.start)
            for part, outer in zip(inside, self.box, strict=True)
        )


# ---- whole lines


@dataclass(frozen=True, slots=True)
class WholeLines:
    pieces: Pieces
    dtype: np.dtype[Any]
    reduced: tuple[int, ...]
    ranks: Ranks
    skip: bool

    @property
    def nbytes(self) -> int:
        return self.pieces.elements * self.dtype.itemsize

    def begin(self, things: Things) -> Array | None:
        return memory_for(things[0], self.pieces)

    def announce(self, region: Region, things: Things) -> None:
        announce(region, things[0])

    def piece(self, region: Region, things: Things, memory: Array | None, call: Call) -> Partials:
        x = chunk(things[0], region, memory).astype(self.dtype, copy=False)
        return select(lines_of(x, self.reduced), self.ranks, self.skip, 1)

    def fold(self, a: Partials, b: Partials) -> Partials:
        raise AssertionError("a whole line has no other parts")


def memory_for(source: Source | Array, pieces: Pieces) -> Array | None:
    return np.empty(pieces.elements, source.dtype) if isinstance(source, FlatFile) else None


def announce(region: Region, source: Source | Array) -> None:
    if isinstance(source, FlatFile):
        source.view(source.ghost[region]).announce()


# ---- long lines


@dataclass(frozen=True, slots=True)
class SampleWork:
    """Keys of some lines at some places of each piece."""

    pieces: Within
    dtype: np.dtype[Any]
    reduced: tuple[int, ...]
    kept: tuple[int, ...]
    lines: tuple[int, ...]
    each: int

    @property
    def nbytes(self) -> int:
        return self.pieces.pieces.elements * self.dtype.itemsize

    def begin(self, things: Things) -> Array | None:
        return memory_for(things[0], self.pieces.pieces)

    def announce(self, region: Region, things: Things) -> None:
        announce(region, things[0])

    def columns(self, region: Region, things: Things, memory: Array | None) -> Array:
        """A piece, with one column for each line."""
        x = chunk(things[0], region, memory).astype(self.dtype, copy=False)
        return x.transpose(self.reduced + self.kept).reshape(-1, prod(x.shape[axis] for axis in self.kept))

    def piece(self, region: Region, things: Things, memory: Array | None, call: Call) -> Partials:
        x = self.columns(region, things, memory)
        places = spread(len(x), min(len(x), self.each))
        return tuple(to_keys(x[places, line]) for line in self.lines)

    def fold(self, a: Partials, b: Partials) -> Partials:
        return tuple(np.concatenate(both, axis=-1) for both in zip(a, b, strict=True))


@dataclass(frozen=True, slots=True)
class SelectionWork(SampleWork):
    """`selection.selection_pass`: of each line its counts, and the keys inside brackets, as long as these are no more
    than `each`."""

    brackets: tuple[list[Bracket], ...]
    shares: tuple[float, ...]  # of the elements, those that are likely to be inside; 0: nothing is kept

    def piece(self, region: Region, things: Things, memory: Array | None, call: Call) -> Partials:
        x = self.columns(region, things, memory)
        return tuple(
            field
            for line, brackets, share in zip(self.lines, self.brackets, self.shares, strict=True)
            for field in self.selection_pass(x[:, line], brackets, share)
        )

    def selection_pass(self, x: Array, brackets: list[Bracket], share: float) -> Partials:
        cut = grid.cut_windows((1, len(x), 1), 1, grid.CHUNK, 1)
        room = np.full(cut.chunks, min(cut.run, int(1.5 * share * cut.run) + 64) if share else 0)
        found = run_selection_pass(x, brackets, cut, room, 1)
        inside = found.counts[:, 3::4].sum(axis=1)
        if share and not found.complete and inside.sum() <= self.each:
            found = run_selection_pass(x, brackets, cut, inside, 1)
        kept = [found.kept[begin : begin + size] for begin, size in zip(found.begin, inside, strict=True)]
        return found.counts.sum(axis=0), np.concatenate(kept) if found.complete else found.kept[:0]

    def fold(self, a: Partials, b: Partials) -> Partials:
        fields: list[Array] = []
        for counts, kept, other_counts, other_kept in zip(a[::2], a[1::2], b[::2], b[1::2], strict=True):
            few = kept.size + other_kept.size <= self.each
            fields += [counts + other_counts, np.concatenate((kept, other_kept), axis=-1) if few else kept[:, :0]]
        return tuple(fields)


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass has found of one line."""

    brackets: list[Bracket]
    counts: Array
    kept: Array

    @property
    def numbers(self) -> int:
        return int(self.counts[0])

    @property
    def totals(self) -> list[list[int]]:
        totals: list[list[int]] = self.counts[1:].reshape(-1, 4).tolist()
        return totals

    @property
    def inside(self) -> int:
        return int(self.counts[3::4].sum())

    @property
    def complete(self) -> bool:
        return self.inside == self.kept.size


class LongLines:
    """The lines of a box, searched together: a pass is for all that are not found yet."""

    def __init__(
        self,
        source: Source,
        thing: Any,
        searched: np.dtype[Any],
        reduced: tuple[int, ...],
        kept: tuple[int, ...],
        box: Region,
        ranks: Ranks,
        skip: bool,
        call: Call,
    ) -> None:
        self.source, self.thing, self.dtype, self.call = source, thing, searched, call
        self.reduced, self.kept, self.box = reduced, kept, box
        self.shape = tuple(part.stop - part.start for part in box)
        self.n = prod(self.shape[axis] for axis in reduced)
        self.count = prod(self.shape[axis] for axis in kept)
        self.budget = max(LEAST, min(budget, settings.get_memory_budget() // 64) // self.count)
        self.searches = [search(self.n, searched, ranks, skip, self.budget) for _ in range(self.count)]

    def find(self, values: Array, counts: Array) -> None:
        lengths = tuple(self.shape[axis] for axis in self.kept)
        starts = tuple(self.box[axis].start for axis in self.kept)
        asked: dict[int, Any] = {line: next(searching) for line, searching in enumerate(self.searches)}
        ordered: dict[int, Array] = {}
        while asked:
            if isinstance(next(iter(asked.values())), int):  # all searches ask for the same, at the same time
                answers: dict[int, Any] = self.sample(asked)
                ordered = answers
            else:
                answers = self.selection_pass(asked, ordered)
            asked = {}
            for line, answer in answers.items():
                try:
                    asked[line] = self.searches[line].send(answer)
                except RuntimeError as error:
                    raise RuntimeError(f"{self.source.name}: {error}") from None
                except StopIteration as found:
                    at = tuple(i + start for i, start in zip(np.unravel_index(line, lengths), starts, strict=True))
                    keys, counts[at] = found.value
                    values[(slice(None), *at)] = from_keys(keys, self.dtype)

    def cut(self, most: int) -> Pieces:
        """Pieces with all lines, of some `most` bytes."""
        chunks = self.source.chunks or (1,) * self.source.ndim
        least = tuple(chunks[i] if i in self.reduced else self.shape[i] for i in range(self.source.ndim))
        axes = (axis for axis in contiguous_first(self.source) if axis in self.reduced)
        sizes = grid.widened(self.shape, least, axes, most // self.dtype.itemsize)
        return Pieces(self.shape, sizes, (True,) * self.source.ndim)

    def sample(self, sizes: dict[int, int]) -> dict[int, Array]:
        """Keys of each line, in order."""
        pieces = self.cut(sampled)
        # More than is asked for: another pass costs more than a larger sample.
        size = min(4 * max(sizes.values()), max(selection.sample_size, SAMPLES // self.count))
        parts = min(pieces.parts, PIECES if self.source.chunks else 4 * PIECES)
        numbers = tuple(spread(pieces.parts, parts).tolist())
        work = SampleWork(
            Within(self.box, pieces, numbers), self.dtype, self.reduced, self.kept, tuple(sizes), ceil(size / parts)
        )
        return {line: np.sort(keys) for line, keys in zip(sizes, self.run(work), strict=True)}

    def selection_pass(self, brackets: dict[int, list[Bracket]], ordered: dict[int, Array]) -> dict[int, Found]:
        shares = {line: likely(edges, ordered[line]) for line, edges in brackets.items()}
        # What would not fit is not kept.
        found = self.one_pass(
            brackets, {line: share if share * self.n <= self.budget else 0.0 for line, share in shares.items()}
        )
        # It does fit, against all likelihood.
        again = {
            line: each.inside / self.n
            for line, each in found.items()
            if not each.complete and each.inside <= self.budget
        }
        if again:
            found |= self.one_pass({line: brackets[line] for line in again}, again)
        return found

    def one_pass(self, brackets: dict[int, list[Bracket]], shares: dict[int, float]) -> dict[int, Found]:
        pieces = self.cut(min(piece, settings.budget_of_piece(self.call.workers)))
        work = SelectionWork(
            Within(self.box, pieces, tuple(range(pieces.parts))),
            self.dtype,
            self.reduced,
            self.kept,
            tuple(brackets),
            self.budget,
            tuple(brackets.values()),
            tuple(shares.values()),
        )
        partials = self.run(work)
        return {
            line: Found(edges, counts, kept)
            for (line, edges), counts, kept in zip(brackets.items(), partials[::2], partials[1::2], strict=True)
        }

    def run(self, work: SampleWork) -> Partials:
        results: list[Partials] = []
        run(work, (self.thing,), lambda region, partials: results.append(partials), self.call)
        return results[0]


def likely(brackets: list[Bracket], ordered: Array) -> float:
    """Which share of all keys is inside brackets, judging by a sample."""
    lows, highs = np.array(brackets, ordered.dtype).T
    inside = np.searchsorted(ordered, highs, "left") - np.searchsorted(ordered, lows, "right")
    return max(1, int(np.maximum(inside, 0).sum())) / len(ordered)
