"""Elements of given ranks: from an array and its axes to what the kernels of ext/select.pyx find.

    lanes that fit into the caches      one pass: each worker brings up a few lanes as keys, and searches them
      numbers counted beforehand        where ranks depend on that, and a table of all counts would be long
    long lanes, one by one              sample -> brackets around the ranks
                                        pass: what is below, at the ends, inside; what is inside is kept
                                        few inside -> search these; many -> narrower brackets, another pass

Nothing is copied whole but arrays whose reduced axes cannot be walked with one stride.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .. import __version__
from .._kernels.fallback.select import from_keys, key_dtype, to_keys
from . import place, settings, windowing
from .grid import Stretches, cut_windows
from .operands import Array, Canonical, canonical, relined
from .reduction import Call, arrange, one_pass
from .registry import KERNELS, SELECTIONS
from .task import Field, Task

# Tests change these: results must not.
longest = 1 << 17  # elements of a lane that is searched by one worker
budget = 1 << 19  # keys that are kept of a long lane: 4 MB, and twice that to search them
sample_size = 1 << 14

MOST_RANKS = 512  # of a lane, in one pass

POSITION = np.dtype(np.int64)

# Of numbers in a lane, (lanes,), the ranks that are wanted, (lanes, m).
Ranks = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of an array: what its reduced axes make of it."""

    a: Array  # with the user's axes
    reduced: tuple[int, ...]
    view: Canonical

    @property
    def n(self) -> int:
        return int(self.view.x.shape[-2])

    def arrange(self, result: Array) -> Array:
        """From the order of lanes in memory to the kept axes of the user."""
        return arrange(result.reshape([axis.length for axis in self.view.carried]), self.a, self.reduced, self.view)


def lanes_of(a: Array, reduced: tuple[int, ...]) -> Lanes:
    view = canonical(a, reduced)
    if any(axis.reduced for axis in view.carried):
        a = relined(a, reduced)
        view = canonical(a, reduced)
    return Lanes(a, reduced, view)


def select(lanes: Lanes, ranks: Ranks, skip: bool, workers: int) -> tuple[Array, Array]:
    """Elements of the ranks of each lane, (m, kept...), and how many numbers a lane has, (kept...).

    `skip`: NaN is left out. Otherwise the results of a lane that has one are NaN, and so are those of no numbers.
    """
    x = lanes.view.x
    m = ranks(np.ones(1, POSITION)).shape[1]
    shape = prod_outer(x), x.shape[-1]
    values, counts = np.empty((m, *shape), x.dtype), np.empty(shape, POSITION)
    skip = skip and x.dtype.kind == "f"
    for begin in range(0, m, MOST_RANKS):
        part = slice(begin, begin + MOST_RANKS)

        def some(counts: Array, part: slice = part) -> Array:
            return np.ascontiguousarray(ranks(counts)[:, part], np.intp)

        if lanes.n > longest:
            outer = x.reshape((-1, *x.shape[-2:])) if x.ndim == 2 else x
            for lane in np.ndindex(*shape):
                at = np.unravel_index(lane[0], outer.shape[:-2])
                line = outer[(*at, slice(None), lane[1])]
                keys, counts[lane] = select_long(line, some, skip, workers)
                values[(part, *lane)] = from_keys(keys, x.dtype)
        else:
            select_lanes(x, some, skip, values[part], counts, workers)
    return np.stack([lanes.arrange(value) for value in values]), lanes.arrange(counts)


def prod_outer(x: Array) -> int:
    return prod(x.shape[:-2])


def select_lanes(x: Array, ranks: Ranks, skip: bool, values: Array, counts: Array, workers: int) -> None:
    n = x.shape[-2]
    if not skip:
        table, row = ranks(np.full(1, n)), 0
    elif (n + 1) * len(values) <= max(longest, counts.size):
        table, row = ranks(np.arange(n + 1)), 1
    else:
        (numbers,) = one_pass(KERNELS["nancount"], x, None, False, Call(workers))
        table, row = ranks(numbers.reshape(-1)), 2
    grid = cut_windows(x.shape, None, windowing.chunk_size, workers)
    fields = (Field(x.dtype), Field(POSITION))
    task = Task(__version__, settings.backend(), "pick", (x, table), (row,), fields, grid)
    place.run(task, (values, counts), workers, SELECTIONS["pick"].ns)


# ---- long lanes

SAMPLED = 3  # passes with brackets from a sample; then keys are halved
DEVIATIONS = 3.5  # of a rank in a sample: half the width of its bracket


@dataclass(frozen=True, slots=True)
class Interval:
    """Where some of the ranks are: between two keys, without these."""

    ranks: list[int]  # in order
    low: int
    high: int
    base: int  # elements up to `low`
    size: int  # elements between, more or less


Bracket = tuple[int, int]


def spread(n: int, count: int) -> Array:
    """`count` positions in a lane of n: one in each of as many stretches, at irregular places."""
    i = np.arange(count, dtype=np.uint64)
    within = (i * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.float64) / 2**24
    return ((i.astype(np.float64) + within) * (n / count)).astype(np.int64)


def select_long(x: Array, ranks: Ranks, skip: bool, workers: int) -> tuple[Array, int]:
    """Keys of the ranks of one lane, (m,), and how many numbers it has."""
    info = np.iinfo(key_dtype(x.dtype))
    floats = x.dtype.kind == "f"
    nothing = np.full(ranks(np.ones(1, POSITION)).shape[1], info.max, info.dtype)
    sample = np.sort(to_keys(x[spread(len(x), sample_size)]))
    top = int(info.max) if floats else int(info.max) + 1  # NaN is beyond
    numbers = np.searchsorted(sample, info.max) if floats else len(sample)
    count = max(1, round(len(x) * int(numbers) / len(sample))) if skip else len(x)
    intervals = [Interval(sorted(set(ranks(np.full(1, count))[0].tolist())), int(info.min) - 1, top, 0, count)]
    known: dict[int, int] = {}
    passes = 0
    while intervals:
        brackets, share = brackets_of(intervals, sample, info, passes < SAMPLED)
        sieved = sift(x, brackets, share, workers)
        if passes == 0:
            count = sieved.numbers
            if count == 0 or (not skip and count < len(x)):
                return nothing, count
            wanted = sorted(set(ranks(np.full(1, count))[0].tolist()))
            intervals = [Interval(wanted, int(info.min) - 1, top, 0, count)]
            sample = sample[:0]
        intervals = locate(intervals, sieved, known, workers)
        passes += 1
        if intervals and not len(sample):
            sample = np.sort(to_keys(x[spread(len(x), min(len(x), 16 * sample_size))]))
    return np.array([known[rank] for rank in ranks(np.full(1, count))[0].tolist()], info.dtype), count


def brackets_of(intervals: list[Interval], sample: Array, info: Any, trust: bool) -> tuple[list[Bracket], float]:
    """Pairs of keys around the ranks, apart from each other, and the share of elements that may lie between them."""
    brackets: list[Bracket] = []
    room = budget
    for interval in intervals:
        low, high = max(interval.low, int(info.min)), min(interval.high, int(info.max))
        if interval.size <= room and len(sample) > sample_size:
            room -= interval.size
            brackets.append((low, high))
            continue
        inside = sample[np.searchsorted(sample, low, "right") : np.searchsorted(sample, high, "left")]
        if not trust or len(inside) < 64:
            middle = (interval.low + interval.high) // 2
            brackets.append((middle, middle))
            continue
        for rank in interval.ranks:
            share = min((rank - interval.base + 0.5) / interval.size, 1.0)
            margin = DEVIATIONS * (len(inside) * share * (1 - share)) ** 0.5 + 2
            first, last = int(len(inside) * share - margin), int(len(inside) * share + margin) + 1
            begin = int(inside[first]) if first >= 0 else low
            end = int(inside[last]) if last < len(inside) else high
            if brackets and begin <= brackets[-1][1]:
                brackets[-1] = brackets[-1][0], max(end, brackets[-1][1])
            else:
                brackets.append((begin, end))
    lows, highs = np.array(brackets, sample.dtype).T
    within = int((np.searchsorted(sample, highs, "left") - np.searchsorted(sample, lows, "right")).sum())
    return brackets, max(0, within) / len(sample)


@dataclass(slots=True)
class Sieved:
    """What a pass over a long lane has found."""

    x: Array
    brackets: list[Bracket]
    grid: Stretches
    counts: Array  # (chunks, 1 + 4 brackets)
    kept: Array
    complete: bool  # whether all keys inside brackets were kept

    @property
    def numbers(self) -> int:
        return int(self.counts[:, 0].sum())


def sift(x: Array, brackets: list[Bracket], share: float, workers: int) -> Sieved:
    """One pass. `share`: of the elements inside the brackets, as a sample has it."""
    grid = cut_windows((1, len(x), 1), 1, windowing.chunk_size, workers)
    likely = grid.run * share
    room = min(int(1.25 * likely + 8 * likely**0.5) + 16, grid.run, budget // grid.chunks)
    return run_sift(x, brackets, grid, np.full(grid.chunks, room), workers)


def run_sift(x: Array, brackets: list[Bracket], grid: Stretches, room: Array, workers: int) -> Sieved:
    keys = key_dtype(x.dtype)
    begin = np.cumsum(room) - room
    counts = np.empty((grid.chunks, 1 + 4 * len(brackets)), np.int64)
    kept = np.full(int(room.sum()), np.iinfo(keys).max, keys)  # what is not filled comes last in order
    operands = (x, np.array(brackets, np.int64), begin, room)
    fields = (Field(POSITION), Field(keys))
    task = Task(__version__, settings.backend(), "sift", operands, (), fields, grid)
    place.run(task, (counts, kept), workers, SELECTIONS["sift"].ns * len(brackets))
    complete = bool((counts[:, 3::4].sum(axis=1) <= room).all())
    return Sieved(x, brackets, grid, counts, kept, complete)


def locate(intervals: list[Interval], sieved: Sieved, known: dict[int, int], workers: int) -> list[Interval]:
    """Put the keys of ranks that a pass has found into `known`; return where the other ranks are."""
    inside = int(sieved.counts[:, 3::4].sum())
    if not sieved.complete and inside <= budget:
        room = sieved.counts[:, 3::4].sum(axis=1)
        sieved = run_sift(sieved.x, sieved.brackets, sieved.grid, room, workers)
    totals = sieved.counts[:, 1:].sum(axis=0).reshape(-1, 4).tolist()
    left: list[Interval] = []
    among_kept: list[tuple[int, int]] = []  # a rank, and which one it is among the kept

    def still(rank: int, low: int, high: int, base: int, size: int) -> None:
        if left and left[-1].low == low and left[-1].high == high:
            left[-1].ranks.append(rank)
        else:
            left.append(Interval([rank], low, high, base, size))

    for interval in intervals:
        for rank in interval.ranks:
            low, base, before = interval.low, interval.base, 0
            for (begin, end), (below, at_low, between, at_high) in zip(sieved.brackets, totals, strict=True):
                upto = below + at_low
                if end <= interval.low:
                    before += between
                    continue
                if rank < below:
                    still(rank, low, min(begin, interval.high), base, min(below, interval.base + interval.size) - base)
                    break
                if rank < upto:
                    known[rank] = begin
                    break
                if rank < upto + between:
                    if sieved.complete:
                        among_kept.append((rank, before + rank - upto))
                    else:
                        still(rank, begin, end, upto, between)
                    break
                if rank < upto + between + at_high:
                    known[rank] = end
                    break
                low, base, before = end, upto + between + at_high, before + between
            else:
                still(rank, low, interval.high, base, interval.base + interval.size - base)
    if among_kept:
        places = np.array([[place for _, place in among_kept]], np.intp)
        values = np.empty((len(among_kept), 1, 1), sieved.kept.dtype)
        lane = sieved.kept.reshape(-1, 1)
        select_lanes(lane, lambda counts: places, False, values, np.empty((1, 1), POSITION), 1)
        known.update(zip((rank for rank, _ in among_kept), values[:, 0, 0].tolist(), strict=True))
    return left
