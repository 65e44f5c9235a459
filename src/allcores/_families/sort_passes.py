"""Sorting: short lines whole, long ones in passes.

    lines up to LONG     one pass over (outer..., n, inner): each line is sorted in the caches of one worker
                         sort_lines    by NumPy, where that is faster; longer ones too, if there are many

    a longer line        in_order   it ascends or descends: then it is copied, and nothing else is done
                         tally, refill    integers from a narrow range: counted, written anew
                         splits     a sample of the keys says where buckets begin, each of some BUCKET elements
                         spread     runs of the line, each sorted into buckets     claimed: runs
                         gather_*   the pieces of each bucket, sorted              claimed: buckets

    or, by NumPy         count_classes, to_classes   into some classes a worker    claimed: runs
                         sort_classes                each by NumPy's sort          claimed: classes

A bucket is a range of keys, so equal keys are in the same one. Sorted keys, their positions, their ranks and the
different values are all found bucket by bucket. How a line is cut changes no bit, since there is only one stable order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._engine import execute, settings
from .._engine.grid import RunGrid, ceil_div, cut_windows, power_above
from .._engine.registry import REALS, SORTS
from .._engine.view import Array, side_by_side
from .._kernels.keys import elements_of, evened, keys_of

# Tests change these: results must not.
LONG = 65_536  # elements of a line that is sorted whole, at most
RUN = 65_536  # elements that are spread at a time, at most: their places have 16 bits
BUCKET = 16_384  # elements of a bucket, about
BUCKETS = 1024  # buckets, at most: the pieces of more would be shorter than a few cache lines
BINS = 1 << 17  # ranges of keys that a table tells apart
FEWER_BINS = 1 << 12  # fewer ranges, where they suffice: then the table stays in the first-level cache
SAMPLE = 16_384
LONGEST_CLASS = 1 << 23  # elements that NumPy sorts at a time, about: some 30 ms, in which nothing is interrupted
CLASSES = 16  # classes, at most: with more, putting elements into them takes longer than sorting gains
CLASSED = ("v4",)  # levels at which NumPy's sort, and what puts elements into classes, have the widest vectors
LEAST, ANY = 32, 1 << 62  # elements of a line that NumPy sorts, at least and at most
# The bounds within which NumPy has vector code and was measured to be faster:
BY_NUMPY = {
    "v3": {("f", 4): ANY, ("f", 8): ANY, ("i", 4): 256, ("u", 4): 256, ("i", 8): 128, ("u", 8): 128},
    "v4": {("f", 4): ANY, ("f", 8): ANY, ("i", 4): ANY, ("u", 4): ANY, ("i", 8): ANY, ("u", 8): ANY},
}
LONGEST_OF_MANY = 1 << 20  # elements of a line that is sorted whole where each worker has some such lines
COUNTED = 1 << 17  # different integers that are counted, at most: the counters stay in the caches
MARKED = 1 << 22  # different integers that are marked, at most, a byte each

POSITION = np.dtype(np.int64)
WORDS = {8: np.dtype(np.uint64)}
NARROW = np.dtype(np.uint32)
NO_SPLIT: Array = np.empty(0, np.uint64)
NO_TABLE: Array = np.zeros(1, np.uint16)


def letter(dtype: np.dtype[Any]) -> int:
    """The letter by which kernels know a dtype: long is int or long long."""
    return ord(
        {"l": "q" if dtype.itemsize == 8 else "i", "L": "Q" if dtype.itemsize == 8 else "I"}.get(dtype.char, dtype.char)
    )


def covered(a: Array) -> bool:
    """Whether kernels take the elements, once they are in the machine's byte order."""
    return a.dtype.char in REALS and a.dtype.names is None


def runs(n: int, run: int) -> RunGrid:
    return RunGrid(1, n, 1, 1, max(1, run), 1)


def shares(n: int, workers: int) -> RunGrid:
    """A grid that cuts a long line into runs, some for each worker."""
    return runs(n, min(RUN, ceil_div(n, 4 * workers)))


def one_pass(
    name: str,
    operands: tuple[Any, ...],
    parameters: tuple[Any, ...],
    grid: RunGrid,
    outputs: tuple[Any, ...],
    workers: int,
    cost: float = 1.0,
) -> None:
    """Run one pass. `cost` is how many elements a unit of the grid's n stands for."""
    execute.run(name, operands, parameters, grid, outputs, workers, SORTS[name].ns * cost)


# ---- any lines


def lines(name: str, a: Array, result: Array, axis: int, parameters: tuple[Any, ...], workers: int) -> None:
    """Run the kernel `name` on each whole line of `a` along `axis`."""
    view, output = side_by_side([a, result], axis, 1)
    grid = cut_windows(output.shape, None, execute.output_chunk, workers)
    one_pass(name, (view,), parameters, grid, (output,), workers)


def each_line(a: Array, result: Array, axis: int) -> Any:
    """The lines along an axis, one after the other, each with the place of its results."""
    for at in np.ndindex(*a.shape[:axis], *a.shape[axis + 1 :]):
        index = (*at[:axis], slice(None), *at[axis:])
        yield a[index], result[index]


def is_for_numpy(dtype: np.dtype[Any], n: int) -> bool:
    """Whether NumPy sorts a line of n elements faster than radix does."""
    widest = BY_NUMPY.get(settings.backend())
    return widest is not None and dtype.itemsize >= 4 and LEAST <= n <= widest[dtype.kind, dtype.itemsize]


def sort(a: Array, result: Array, axis: int, workers: int) -> None:
    """Sort `a` along `axis` into `result`, which may be `a`."""
    n = a.shape[axis]
    many = n <= LONGEST_OF_MANY and a.size >= 2 * workers * n
    if is_for_numpy(a.dtype, n) and (n <= LONG or many):
        lines("sort_lines", a, result, axis, (), workers)
        return
    if n <= LONG:
        lines("sort", a, result, axis, (), workers)
        return
    for line, output in each_line(a, result, axis):
        if already(line, output, False, workers) or count(line, output, workers) or in_classes(line, output, workers):
            continue
        buckets = spread(line, False, workers)
        operands = (buckets.parts, *buckets.ends)
        one_pass("gather_sort", operands, (buckets.run,), buckets.grid, (output,), workers, buckets.cost)


def argsort(a: Array, result: Array, axis: int, workers: int) -> None:
    if a.shape[axis] <= LONG:
        lines("argsort", a, result, axis, (), workers)
        return
    for line, output in each_line(a, result, axis):
        if not already(line, output, True, workers):
            buckets = spread(line, True, workers)
            parameters = (buckets.run, letter(line.dtype))
            one_pass("gather_argsort", buckets.operands, parameters, buckets.grid, (output,), workers, buckets.cost)


def rank(a: Array, result: Array, axis: int, method: int, missing: int, workers: int) -> None:
    if a.shape[axis] <= LONG:
        lines("rankdata", a, result, axis, (method, missing), workers)
        return
    for line, output in each_line(a, result, axis):
        rank_buckets(spread(line, True, workers), line.dtype, output, method, missing, workers)


# ---- long lines


def already(line: Array, output: Array, positions: bool, workers: int) -> bool:
    """Whether a line is in order, or is when it is reversed; then the result is in `output`."""
    n = len(line)
    down = bool(np.less(*evened(keys_of(line[[-1, 0]]), line.dtype)))
    apart = positions or not np.may_share_memory(line, output)
    if down and not apart:
        return False
    grid = shares(n, workers)
    kept = np.zeros(grid.parts, np.uint8)
    operands = (line.reshape(1, n, 1),)
    one_pass("in_order", operands, (int(down), int(positions)), grid, (kept, output if apart else None), workers)
    return bool(kept.all())


def sample_of(line: Array, size: int) -> Array:
    """A sorted sample of keys, from positions that look random but are the same for each array of this length."""
    with np.errstate(over="ignore"):
        at = np.arange(size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(11)
    return np.sort(evened(keys_of(line[(at % np.uint64(len(line))).astype(np.intp)]), line.dtype))


def narrow(line: Array, most: int) -> tuple[int, int]:
    """The first key of the narrow range of some integers, and how many keys it has, up to `most`; 0 if there is
    none."""
    n = len(line)
    if line.dtype.kind == "f":
        return 0, 0
    if line.itemsize <= 2:
        width = 1 << 8 * line.itemsize
        return (1 << 31) - width // 2 if line.dtype.kind == "i" else 0, width
    sample = sample_of(line, min(n, SAMPLE // 16))
    span = int(sample[-1]) - int(sample[0]) + 1
    if 3 * span > min(most, n):
        return 0, 0
    # The range is widened by its own width on both sides, for elements that are not in the sample.
    least = max(0, int(sample[0]) - span)
    return least, min(3 * span, int(np.iinfo(sample.dtype).max) + 1 - least)  # keys wrap around beyond the greatest one


def tally(line: Array, least: int, run: int, counts: Array, workers: int) -> bool:
    """Count the keys of a narrow range in each run. Returns whether there are no others."""
    kept = np.zeros(len(counts), np.uint8)
    one_pass("tally", (line.reshape(1, -1, 1),), (least,), runs(len(line), run), (kept, counts), workers)
    return bool(kept.all())


def counted(line: Array, workers: int) -> tuple[int, Array] | None:
    """The first key of the narrow range of some integers, and how often each key occurs; None if there is none."""
    least, width = narrow(line, COUNTED)
    if not width:
        return None
    run = max(ceil_div(len(line), 4 * workers), width)
    counts: Array = np.empty((ceil_div(len(line), run), width), POSITION)
    return (least, counts.sum(axis=0)) if tally(line, least, run, counts, workers) else None


def marked(line: Array, workers: int) -> Array | None:
    """The different values of integers from a range that is not too wide; None for others."""
    least, width = narrow(line, MARKED)
    if not width:
        return None
    run = max(ceil_div(len(line), 4 * workers), width // 2)
    marks = np.empty((ceil_div(len(line), run), width), np.uint8)
    if not tally(line, least, run, marks, workers):
        return None
    return found_from(line, least, np.flatnonzero(np.bitwise_or.reduce(marks)))


def found_from(line: Array, least: int, at: Array) -> Array:
    """The elements whose keys are so far beyond the first key."""
    word = keys_of(line[:1]).dtype
    return elements_of(at.astype(word) + word.type(least), line.dtype)


def count(line: Array, output: Array, workers: int) -> bool:
    """Sort integers, if they are from a narrow range."""
    found = counted(line, workers)
    if found is None:
        return False
    least, times = found
    one_pass("refill", (np.cumsum(times),), (least,), shares(len(line), workers), (output,), workers)
    return True


def in_classes(line: Array, output: Array, workers: int) -> bool:
    """Sort in classes that follow each other, each by NumPy, where it has AVX-512."""
    n = len(line)
    number = power_above(max(2, 2 * workers, ceil_div(n, LONGEST_CLASS)))
    if settings.backend() not in CLASSED or line.itemsize < 4 or number > CLASSES:
        return False
    if not (output.flags.c_contiguous and output.flags.aligned):
        return False
    if np.may_share_memory(line, output):
        line = line.copy()
    floats = line.dtype.kind == "f"
    sample = elements_of(sample_of(line, SAMPLE), line.dtype)
    if floats:
        sample[np.isnan(sample)] = np.inf
    pivots = sample[np.arange(1, number) * SAMPLE // number]
    grid = shares(n, workers)
    counts = np.empty((grid.parts, number), POSITION)
    one_pass("count_classes", (line, pivots), (), grid, (counts,), workers)
    ends = np.concatenate([np.zeros(1, POSITION), np.cumsum(counts.sum(axis=0))])
    first = ends[:-1] + np.cumsum(counts, axis=0) - counts
    one_pass("to_classes", (line, pivots, first), (), grid, (output,), workers)
    one_pass("sort_classes", (ends,), (), runs(number, 1), (output,), workers, n / number)
    if floats:
        nan = line.dtype.type(np.nan)  # not np.nan: all elements would be made float64 for it
        output[output.searchsorted(nan) :] = nan
        order_zeros(line, output)
    return True


def order_zeros(line: Array, result: Array) -> None:
    """Put zeros of both signs in order of position. NumPy's sort is not stable, and its vector code may give two zeros
    the same sign, so that `result` does not tell whether there is a negative one."""
    zero = line.dtype.type(0)
    first, last = (int(result.searchsorted(zero, side)) for side in ("left", "right"))
    if last - first > 1:
        bits = line.view(f"i{line.itemsize}")
        if bits.min() == np.iinfo(bits.dtype).min:  # the bits of -0.0
            result[first:last] = line[line == zero]


@dataclass(frozen=True, slots=True)
class Buckets:
    """What `spread` leaves of a line."""

    parts: Array
    places: Array | None
    ends: tuple[Array, Array]  # of the buckets in each run, and in the sorted line
    run: int
    grid: RunGrid  # of buckets
    cost: float  # elements of a bucket, on average

    @property
    def operands(self) -> tuple[Any, ...]:
        return (self.parts, self.places, *self.ends)


def spread(line: Array, positions: bool, workers: int) -> Buckets:
    """Sort each run of a line into buckets."""
    n = len(line)
    count = power_above(max(1, min(n // BUCKET, BUCKETS)))
    table, split, low, shift = splits(line, count)
    if len(split):
        count = len(split) + 1
    grid = shares(n, workers)
    counts = np.empty((grid.parts, count + 1), np.int32)
    parts = np.empty(n, WORDS.get(line.itemsize, NARROW))
    places = np.empty(n, np.uint16) if positions else None
    operands = (line.reshape(1, n, 1), table, split)
    one_pass("spread", operands, (low, shift), grid, (counts, parts, places), workers)
    offsets = np.zeros(count + 1, POSITION)
    np.cumsum(np.diff(counts, axis=1).sum(axis=0), out=offsets[1:])
    return Buckets(parts, places, (counts, offsets), grid.run, runs(count, 1), n / count)


def splits(line: Array, buckets: int) -> tuple[Array, Array, int, int]:
    """Where buckets begin: a table of ranges of keys; or, where one of these would hold far more than others, keys."""
    n = len(line)
    if buckets == 1:
        return NO_TABLE, NO_SPLIT, 0, 0
    size = min(SAMPLE, n, 32 * buckets)
    sample = sample_of(line, size)
    low, high = int(sample[0]), int(sample[-1])
    for most in (FEWER_BINS, BINS):
        shift = max(0, (high - low).bit_length() - most.bit_length() + 1)
        bins = ((sample - sample[0]) >> sample.dtype.type(shift)).astype(np.intp)
        first = np.flatnonzero(np.diff(bins, prepend=-1))
        number = np.diff(first, append=size)
        if number.max() * buckets <= 2 * size:
            break
    if number.max() * 32 <= size:
        # A bin belongs to the bucket in which its middle is.
        table = np.zeros((high - low >> shift) + 1, np.uint16)
        bucket = (first + number // 2) * buckets // size
        table[bins[first]] = np.diff(bucket, prepend=0)
        return np.cumsum(table, dtype=np.uint16), NO_SPLIT, low, shift
    # A key that is there often gets a bucket of its own: from itself to the next key.
    last = np.iinfo(sample.dtype).max
    chosen, times = np.unique(sample[np.arange(1, buckets // 2) * size // (buckets // 2)], return_counts=True)
    ends = chosen[(times > 1) & (chosen < last)]
    keys = np.union1d(chosen, ends + ends.dtype.type(1)).astype(np.uint64)
    split = np.full(power_above(len(keys) + 1) - 1, np.iinfo(np.uint64).max, np.uint64)
    split[: len(keys)] = keys
    return NO_TABLE, split, 0, 0


def distinct_of(
    buckets: Buckets, dtype: np.dtype[Any], missing: int, first: bool, times: bool, workers: int
) -> tuple[Array, Array, Array | None]:
    """How many different elements each bucket has; then these elements, or where each occurs first; and how often each
    occurs, if asked for."""
    counts, offsets = buckets.ends
    n = len(buckets.parts)
    number: Array = np.empty(buckets.grid.n, POSITION)
    found: Array = np.empty(n, POSITION if first else dtype)
    often: Array | None = np.empty(n, POSITION) if times else None
    outputs = (found, number, often)
    if first:
        parameters = (buckets.run, letter(dtype), missing)
        one_pass("gather_first", buckets.operands, parameters, buckets.grid, outputs, workers, buckets.cost)
    else:
        operands = (buckets.parts, counts, offsets)
        one_pass("gather_distinct", operands, (buckets.run, missing), buckets.grid, outputs, workers, buckets.cost)
    found = packed(found, offsets, number, workers)
    return number, found, None if often is None else packed(often, offsets, number, workers)


def packed(source: Array, offsets: Array, number: Array, workers: int) -> Array:
    """The first `number` elements of each bucket, one after the other."""
    ends = np.cumsum(number)
    total = int(ends[-1])
    if len(number) == 1:
        return source[:total].copy() if total < len(source) else source
    out: Array = np.empty(total, source.dtype)
    one_pass("pack", (source, offsets, ends), (), runs(len(number), 1), (out,), workers, total / len(number))
    return out


def rank_buckets(
    buckets: Buckets,
    dtype: np.dtype[Any],
    output: Array,
    method: int,
    missing: int,
    workers: int,
    number: Array | None = None,
) -> None:
    """Ranks of a line; `number`: how many different elements each bucket has, if known."""
    distinct = None
    if method == DENSE:
        if number is None:
            number = np.empty(buckets.grid.n, POSITION)
            found = np.empty(len(buckets.parts), dtype)
            outputs = (found, number, None)
            operands = (buckets.parts, *buckets.ends)
            one_pass("gather_distinct", operands, (buckets.run, missing), buckets.grid, outputs, workers, buckets.cost)
        distinct = np.cumsum(number) - number
    parameters = (buckets.run, letter(dtype), method, missing)
    one_pass("gather_rank", (*buckets.operands, distinct), parameters, buckets.grid, (output,), workers, buckets.cost)


DENSE = 3


# ---- distinct elements


def unique(
    a: Array, index: bool, inverse: bool, counts: bool, missing: int, workers: int
) -> tuple[Array, Array | None, Array | None, Array | None]:
    """The different elements of a line in order, where each occurs first, which of them each element is, and how often
    each occurs."""
    if not (index or inverse or counts) and len(a) > LONG:
        found = marked(a, workers)
        if found is not None:
            return found, None, None, None
    if not (index or inverse) and len(a) > LONG:
        tallied = counted(a, workers)
        if tallied is not None:
            at = np.flatnonzero(tallied[1])
            return found_from(a, tallied[0], at), None, None, tallied[1][at]
    buckets = spread(a, index or inverse, workers)
    number, found, times = distinct_of(buckets, a.dtype, missing, index, counts, workers)
    which = None
    if inverse:
        which = np.empty(len(a), POSITION)
        rank_buckets(buckets, a.dtype, which, DENSE, missing, workers, number)
    if not index:
        return found, None, which, times
    return take(a, found, workers), found, which, times


def take(a: Array, index: Array, workers: int) -> Array:
    """a[index] for lines."""
    out: Array = np.empty(len(index), a.dtype)
    one_pass("take", (a, index), (), shares(len(index), workers), (out,), workers)
    return out


def lexsort(keys: list[Array], result: Array, axis: int, workers: int) -> None:
    """The order by the last key; where that is equal, by the one before; and so on."""

    def along(a: Array, order: Array) -> Array:
        return take(a, order, workers) if a.ndim == 1 else np.take_along_axis(a, order, axis)

    argsort(keys[0], result, axis, workers)
    for key in keys[1:]:
        order = np.empty_like(result)
        argsort(along(key, result), order, axis, workers)
        result[...] = along(result, order)


# ---- searching


def search(a: Array, v: Array, right: bool, sorter: Array | None, workers: int) -> Array:
    """Where each element of `v` would be put into the sorted line `a`."""
    flat = v.reshape(-1)
    out: Array = np.empty(len(flat), POSITION)
    if len(flat) and len(a):
        grid = shares(len(flat), workers)
        cost = max(1, len(a).bit_length()) / 12
        operands = (a, int(right), sorter, flat)
        one_pass("searchsorted", operands, (), grid, (out,), workers, cost)
    else:
        out[...] = 0
    return out.reshape(v.shape)
