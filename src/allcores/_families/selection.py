"""Elements of given ranks: from an array and its axes to what the kernels of ext/select.pyx find.

    lines that fit into the caches      one pass: each worker loads a few lines as ordered keys, and searches them
      numbers counted beforehand        where ranks depend on that, and a table of all counts would be long
    long lines, one by one              sample -> brackets around the ranks
                                        pass: what is below, at the ends, inside; what is inside is kept
                                        few inside -> search these; many -> narrower brackets, another pass

Nothing is copied whole but arrays whose reduced axes cannot be walked with one stride.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Protocol

import numpy as np

from .._engine import execute
from .._engine.execute import Call
from .._engine.grid import RunGrid, cut_windows
from .._engine.registry import REDUCTIONS, SELECTIONS
from .._engine.view import Array, Canonical, canonical, relined
from .._kernels.keys import from_keys, key_dtype, to_keys
from .reduction_passes import arrange, one_pass

# Tests change these: results must not.
longest = 1 << 17  # elements of a line that is searched by one worker
budget = 1 << 19  # keys that are kept of a long line: 4 MB, and searching them takes twice that
sample_size = 1 << 14

MOST_RANKS = 512  # ranks of a line that are searched in one pass, at most

POSITION = np.dtype(np.int64)


class Ranks(Protocol):
    """Which ranks are wanted."""

    def __hash__(self) -> int: ...

    @property
    def m(self) -> int:
        """How many ranks of a line are wanted."""

    def __call__(self, counts: Array) -> Array:
        """The ranks, (lines, m), for lines with so many numbers, (lines,)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the ranks."""

    ranks: Ranks
    begin: int
    m: int

    def __call__(self, counts: Array) -> Array:
        return self.ranks(counts)[:, self.begin : self.begin + self.m]


@lru_cache(maxsize=64)
def table(ranks: Ranks, n: int, every: bool) -> Array:
    """The ranks for a line of n numbers, or a table for up to n numbers."""
    counts = np.arange(n + 1) if every else np.full(1, n)
    return np.ascontiguousarray(ranks(counts), np.intp)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of an array, each of which makes one result."""

    a: Array  # with the user's axes
    reduced: tuple[int, ...]
    view: Canonical

    @property
    def n(self) -> int:
        return int(self.view.x.shape[-2])

    def arrange(self, result: Array) -> Array:
        """From the order of lines in memory, (..., outer, inner), to the kept axes of the user."""
        leading, carried = result.shape[:-2], self.view.carried
        axes = [axis for group in carried for axis in group.axes]
        if axes == sorted(axes) and not self.view.flipped:
            return result.reshape(
                (*leading, *(length for i, length in enumerate(self.a.shape) if i not in self.reduced))
            )
        lengths = [axis.length for axis in carried]
        every = [arrange(one.reshape(lengths), self.a, self.reduced, self.view) for one in result.reshape(-1, *lengths)]
        return np.stack(every).reshape((*leading, *every[0].shape))


def lines_of(a: Array, reduced: tuple[int, ...]) -> Lines:
    view = canonical(a, reduced)
    if any(axis.reduced for axis in view.carried):
        a = relined(a, reduced)
        view = canonical(a, reduced)
    return Lines(a, reduced, view)


def select_along(a: Array, reduced: tuple[int, ...], ranks: Ranks, skip: bool, workers: int) -> tuple[Array, Array]:
    """`select` for an array and the axes that make its lines."""
    n = a.shape[reduced[0]]
    if len(reduced) > 1 or not a.flags.c_contiguous or n > longest or ranks.m > MOST_RANKS:
        return select(lines_of(a, reduced), ranks, skip, workers)
    # Most arrays come here. It takes a third of the time of what follows, which matters for small ones.
    before, after = a.shape[: reduced[0]], a.shape[reduced[0] + 1 :]
    outer, inner = prod(before), prod(after)
    values, counts = np.empty((ranks.m, outer, inner), a.dtype), np.empty((outer, inner), POSITION)
    select_lines(a.reshape(outer, n, inner), ranks, skip and a.dtype.kind == "f", values, counts, workers)
    return values.reshape(ranks.m, *before, *after), counts.reshape(before + after)


def select(lines: Lines, ranks: Ranks, skip: bool, workers: int) -> tuple[Array, Array]:
    """The elements of the ranks of each line, (m, kept...), and how many numbers each line has, (kept...).

    With `skip` NaN is left out. Otherwise the results of a line with a NaN are NaN, and so are those of one without
    numbers.
    """
    x = lines.view.x
    shape = prod(x.shape[:-2]), x.shape[-1]
    values, counts = np.empty((ranks.m, *shape), x.dtype), np.empty(shape, POSITION)
    skip = skip and x.dtype.kind == "f"
    for begin in range(0, ranks.m, MOST_RANKS):
        some = ranks if ranks.m <= MOST_RANKS else Part(ranks, begin, min(MOST_RANKS, ranks.m - begin))
        part = values[begin : begin + some.m]
        if lines.n <= longest:
            select_lines(x, some, skip, part, counts, workers)
            continue
        for line in np.ndindex(*shape):
            at = np.unravel_index(line[0], x.shape[:-2]) if x.ndim > 2 else ()
            keys, counts[line] = select_long(x[(*at, slice(None), line[1])], some, skip, workers)
            part[(slice(None), *line)] = from_keys(keys, x.dtype)
    return lines.arrange(values), lines.arrange(counts)


def select_lines(x: Array, ranks: Ranks, skip: bool, values: Array, counts: Array, workers: int) -> None:
    n = x.shape[-2]
    if not skip:
        wanted, row = table(ranks, n, False), 0
    elif (n + 1) * len(values) <= max(longest, counts.size):
        wanted, row = table(ranks, n, True), 1
    else:
        (numbers,) = one_pass(REDUCTIONS["nancount"], x, None, False, Call(workers))
        wanted, row = np.ascontiguousarray(ranks(numbers.reshape(-1)), np.intp), 2
    pick(x, wanted, row, values, counts, workers)


def pick(x: Array, ranks: Array, row: int, values: Array, counts: Array, workers: int) -> None:
    grid = cut_windows(x.shape, None, execute.output_chunk, workers)
    execute.run("pick", (x, ranks), (row,), grid, (values, counts), workers, SELECTIONS["pick"].ns)


# ---- long lines

APART = 4  # up to so many brackets are compared with a key one after the other
SAMPLED = 3  # passes with brackets from a sample; after these the range of keys is halved
DEVIATIONS = 3.5  # half the width of a bracket, in standard deviations of a rank in a sample


@dataclass(frozen=True, slots=True)
class Interval:
    """Where some of the ranks are: between two keys, both excluded."""

    ranks: list[int]  # in order
    low: int
    high: int
    base: int  # how many elements are not greater than `low`
    size: int  # about how many elements are between


Bracket = tuple[int, int]


def spread(n: int, count: int) -> Array:
    """`count` positions in a line of n: one in each of as many runs, at irregular places."""
    i = np.arange(count, dtype=np.uint64)
    within = (i * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.float64) / 2**24
    return ((i.astype(np.float64) + within) * (n / count)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Sample:
    """Some keys of a long line."""

    positions: Array
    keys: Array
    ordered: Array


def sample_of(x: Array, count: int) -> Sample:
    positions = spread(len(x), min(len(x), count))
    keys = to_keys(x[positions])
    return Sample(positions, keys, np.sort(keys))


Search = Generator["int | list[Bracket]", Any, tuple[Array, int]]


def search(n: int, dtype: np.dtype[Any], ranks: Ranks, skip: bool, budget: int) -> Search:
    """Find the keys of the ranks of one line, (m,), and how many numbers it has. The generator yields numbers, to ask
    for a sample of so many keys, and brackets, to ask for a pass, which can keep up to `budget` keys inside these."""
    info = np.iinfo(key_dtype(dtype))
    floats = dtype.kind == "f"
    top = int(info.max) if floats else int(info.max) + 1  # NaN has a greater key
    # A larger sample makes narrower brackets, so that all keys inside them fit into the budget.
    fits = int((DEVIATIONS * ranks.m / 2 * n / budget) ** 2)
    ordered: Array = yield max(sample_size, min(fits, 16 * sample_size))
    count = n
    if skip:
        count = max(1, round(n * int(np.searchsorted(ordered, top)) / len(ordered)))

    def whole() -> list[Interval]:
        return [Interval(sorted(set(ranks(np.full(1, count))[0].tolist())), int(info.min) - 1, top, 0, count)]

    intervals = whole()
    known: dict[int, int] = {}
    passes = 0
    while intervals:
        if passes:
            ordered = yield 16 * sample_size
        brackets = brackets_of(intervals, ordered, passes, budget)
        del ordered  # the keys that a pass keeps may need its memory
        selected: Pass = yield brackets
        if passes == 0:
            count = selected.numbers
            if count == 0 or (not skip and count < n):
                return np.full(ranks.m, info.max, info.dtype), count
            intervals = whole()
        intervals = locate(intervals, selected, known)
        if any(interval.high - interval.low < 2 or interval.size < 1 for interval in intervals):
            raise RuntimeError("elements changed while they were read")
        passes += 1
    return np.array([known[rank] for rank in ranks(np.full(1, count))[0].tolist()], info.dtype), count


def select_long(
    x: Array, ranks: Ranks, skip: bool, workers: int, last: list[Selected] | None = None
) -> tuple[Array, int]:
    """`search` in an array. `last` gets the last pass."""
    searching = search(len(x), x.dtype, ranks, skip, budget)
    asked = next(searching)
    while True:
        if isinstance(asked, int):
            sample = sample_of(x, asked)
            answer: Any = sample.ordered
        else:
            answer = selection_pass(x, asked, sample, workers)
            del sample
            if last is not None:
                last[:] = [answer]
        try:
            asked = searching.send(answer)
        except StopIteration as found:
            keys, count = found.value
            return keys, count
        del answer


def brackets_of(intervals: list[Interval], sample: Array, done: int, budget: int) -> list[Bracket]:
    """Pairs of keys around the ranks, in order; two of them share an end at most."""
    brackets: list[Bracket] = []
    info = np.iinfo(sample.dtype)
    few = done > 0 and sum(interval.size for interval in intervals) <= budget
    for interval in intervals:
        low, high = max(interval.low, int(info.min)), min(interval.high, int(info.max))
        if few:
            brackets.append((low, high))
            continue
        # The least and the greatest key may be inside, too, as long as they are not known to be outside.
        first = np.searchsorted(sample, low, "right") if interval.low == low else 0
        last = np.searchsorted(sample, high, "left") if interval.high == high else len(sample)
        inside = sample[first:last]
        if done >= SAMPLED or len(inside) < 64:
            middle = (interval.low + interval.high) // 2
            brackets.append((middle, middle))
            continue
        joined = around(interval, inside, low, high)
        ends = np.searchsorted(inside, np.array(joined, inside.dtype))
        share = int((ends[:, 1] - ends[:, 0]).sum()) / len(inside)
        if 2 * len(joined) > len(interval.ranks) or share * interval.size <= budget:
            brackets.extend(joined)
        else:
            brackets.extend(apart(inside[ends[0, 0] : ends[-1, 1] + 1]))
    return brackets


def around(interval: Interval, inside: Array, low: int, high: int) -> list[Bracket]:
    """A bracket for each rank, wide enough that it hardly ever misses it. Brackets that overlap are joined. Those that
    share an end are not: among few distinct values nearly all would be inside then."""
    brackets: list[Bracket] = []
    for rank in interval.ranks:
        share = min((rank - interval.base + 0.5) / interval.size, 1.0)
        margin = DEVIATIONS * (len(inside) * share * (1 - share)) ** 0.5 + 2
        left, right = int(len(inside) * share - margin), int(len(inside) * share + margin) + 1
        begin = int(inside[left]) if left >= 0 else low
        end = int(inside[right]) if right < len(inside) else high
        if not brackets or begin > brackets[-1][1] or brackets[-1][1] == begin < end:
            brackets.append((begin, end))
        else:
            brackets[-1] = brackets[-1][0], max(end, brackets[-1][1])
    return brackets


def apart(inside: Array) -> list[Bracket]:
    """Brackets between keys at regular places of a sample, for ranks so dense that brackets around each of them would
    leave nothing out. A pass says between which of these keys each rank is, and that is narrow."""
    pivots = np.unique(inside[:: max(1, len(inside) // (2 * MOST_RANKS))]).tolist()
    return list(zip(pivots[::2], [*pivots[1::2], *pivots[-1:]], strict=False))


class Pass(Protocol):
    """What a selection pass over a long line has found."""

    brackets: list[Bracket]
    kept: Array  # keys inside brackets
    complete: bool  # whether all of them were kept

    @property
    def numbers(self) -> int: ...

    @property
    def totals(self) -> list[list[int]]:
        """For each bracket how many keys are below, at the low end, inside, and at the high end."""


@dataclass(slots=True)
class Selected:
    """The same, chunk by chunk."""

    brackets: list[Bracket]
    grid: RunGrid
    counts: Array  # (chunks, 1 + 4 brackets)
    begin: Array  # where in `kept` the keys of each chunk begin
    kept: Array
    complete: bool  # whether all keys inside brackets were kept

    @property
    def numbers(self) -> int:
        return int(self.counts[:, 0].sum())

    @property
    def totals(self) -> list[list[int]]:
        totals: list[list[int]] = self.counts[:, 1:].sum(axis=0).reshape(-1, 4).tolist()
        return totals

    def classes(self, key: int) -> tuple[Array, Array] | None:
        """How many keys of each chunk are less, and how many are equal. None where the pass does not tell."""
        for (low, high), count in zip(
            self.brackets, self.counts[:, 1:].reshape(-1, len(self.brackets), 4).transpose(1, 2, 0), strict=True
        ):
            below, at_low, between, at_high = count
            if key == low:
                return below, at_low
            if key == high:
                return below + at_low + between, at_high
            if low < key < high and self.complete:
                less, same = (self.kept > low) & (self.kept < key), self.kept == key
                return below + at_low + self.chunkwise(less), self.chunkwise(same)
        return None

    def chunkwise(self, wanted: Array) -> Array:
        """How many of the kept keys of each chunk are wanted."""
        return np.diff(np.searchsorted(np.flatnonzero(wanted), [*self.begin, len(wanted)]))


def cut_long(n: int, brackets: int, workers: int) -> RunGrid:
    """Chunks of a long line, larger ones for many brackets, whose counts take memory in each chunk."""
    return cut_windows((1, n, 1), 1, execute.output_chunk * max(1, brackets // 64), workers)


def selection_pass(x: Array, brackets: list[Bracket], sample: Sample, workers: int) -> Selected:
    """One pass over a long line. A sample says how many keys will be inside the brackets, and in which chunks."""
    grid = cut_long(len(x), len(brackets), workers)
    lows, highs = np.array(brackets, sample.keys.dtype).T
    inside = np.searchsorted(sample.ordered, highs, "left") - np.searchsorted(sample.ordered, lows, "right")
    inside = np.maximum(inside, 0)  # where both ends are the same
    unit = len(x) / len(sample.keys)
    mean = max(0, int(inside.sum())) * unit / grid.chunks
    room = np.full(grid.chunks, min(1.1 * mean + 8 * mean**0.5 + 16, budget / grid.chunks))
    if mean > room[0]:
        room[:] = 0  # not all fits: nothing is kept
    elif len(brackets) <= APART:
        # Where the elements of a line have some order, some chunks need more room than others.
        likely = np.zeros(grid.chunks)
        for low, high in zip(lows, highs, strict=True):
            here = sample.positions[(sample.keys > low) & (sample.keys < high)]
            likely += np.bincount(here // grid.run, minlength=grid.chunks) * unit
        more = np.maximum(room, np.minimum(1.25 * likely + 2 * unit, grid.run))
        room = more if more.sum() <= budget else room
    selected = run_selection_pass(x, brackets, grid, np.minimum(room, grid.run).astype(np.int64), workers)
    if not selected.complete and int(selected.counts[:, 3::4].sum()) <= budget:
        room = selected.counts[:, 3::4].sum(axis=1)
        del selected
        selected = run_selection_pass(x, brackets, grid, room, workers)
    return selected


def run_selection_pass(x: Array, brackets: list[Bracket], grid: RunGrid, room: Array, workers: int) -> Selected:
    keys = key_dtype(x.dtype)
    begin = np.cumsum(room) - room
    counts = np.empty((grid.chunks, 1 + 4 * len(brackets)), np.int64)
    kept = np.full(int(room.sum()), np.iinfo(keys).max, keys)  # places that are not filled come last in order
    operands = (x, np.array(brackets, np.int64), begin, room)
    ns = SELECTIONS["selection_pass"].ns * len(brackets)
    execute.run("selection_pass", operands, (), grid, (counts, kept), workers, ns)
    complete = bool((counts[:, 3::4].sum(axis=1) <= room).all())
    return Selected(brackets, grid, counts, begin, kept, complete)


def locate(intervals: list[Interval], selected: Pass, known: dict[int, int]) -> list[Interval]:
    """Put the keys of ranks that a pass has found into `known`; return where the other ranks are."""
    totals = selected.totals
    left: list[Interval] = []
    among_kept: list[tuple[int, int]] = []  # a rank, and its rank among the kept keys

    def still(rank: int, low: int, high: int, base: int, size: int) -> None:
        if left and left[-1].low == low and left[-1].high == high:
            left[-1].ranks.append(rank)
        else:
            left.append(Interval([rank], low, high, base, size))

    starts = [below for below, *_ in totals]
    before = np.cumsum([0, *(between for _, _, between, _ in totals)]).tolist()  # keys kept of earlier brackets
    for interval in intervals:
        stop = interval.base + interval.size
        for rank in interval.ranks:
            low, base, at = interval.low, interval.base, bisect_right(starts, rank) - 1
            if at >= 0:
                (begin, end), (below, at_low, between, at_high) = selected.brackets[at], totals[at]
                upto, beyond = below + at_low, below + at_low + between + at_high
                if rank < upto:
                    known[rank] = begin
                elif rank < upto + between and selected.complete:
                    among_kept.append((rank, before[at] + rank - upto))
                elif rank < upto + between:
                    still(rank, begin, end, upto, between)
                elif rank < beyond:
                    known[rank] = end
                if rank < beyond:
                    continue
                if end > low:
                    low, base = end, beyond
            if at + 1 < len(starts) and selected.brackets[at + 1][0] < interval.high:
                still(rank, low, selected.brackets[at + 1][0], base, starts[at + 1] - base)
            else:
                still(rank, low, interval.high, base, stop - base)
    if among_kept:
        places = np.array([[place for _, place in among_kept]], np.intp)
        values = np.empty((len(among_kept), 1, 1), selected.kept.dtype)
        pick(selected.kept.reshape(-1, 1), places, 0, values, np.empty((1, 1), POSITION), 1)
        known.update(zip((rank for rank, _ in among_kept), values[:, 0, 0].tolist(), strict=True))
    return left
