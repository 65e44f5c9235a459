"""Moving windows of what can be merged; the compiled twin is ext/window.pyx, which explains the order of operations.

A chunk is handled whole: elements (lines, groups, L, columns), and states are tuples (count, field, ...) of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import drive
from .drive import LEAVES, LINES, TILE, Array, claim

MOST = 64  # the largest window that is a group of its own
GROUP = 32
DIGITS = 53  # of a float64

State = tuple[Array, ...]
Merge = Callable[[State, State], State]


def claimed(shape: tuple[int, ...], cursor: Array) -> Iterator[tuple[tuple[Any, ...], int, int, slice]]:
    """Chunks of views (outer..., n, inner): outer positions, a range of n, columns."""
    outer, n, inner = int(np.prod(shape[:-2], dtype=np.int64)), shape[-2], shape[-1]
    lines, run, tile = int(cursor[LINES]), int(cursor[LEAVES]), int(cursor[TILE])
    parts, tiles = -(-n // run), -(-inner // tile)
    while (chunk := claim(cursor)) >= 0:
        rest, column = divmod(chunk, tiles)
        row, part = divmod(rest, parts)
        positions = np.unravel_index(np.arange(row * lines, min((row + 1) * lines, outer)), shape[:-2])
        yield positions, part * run, min((part + 1) * run, n), slice(column * tile, (column + 1) * tile)
        with drive.claiming:
            cursor[drive.DONE] += 1


def take(x: Array, positions: tuple[Any, ...], begin: int, end: int, columns: slice, digits: int = 64) -> Array:
    """Elements begin..end as float64, (lines, n, columns); NaN outside of the series.

    Where there are integers of more digits, as Python's numbers.
    """
    block = x[(*positions, slice(max(begin, 0), max(end, 0)), columns)]
    block = block.astype(np.float64 if within(block, digits) else object)
    lines, inside, width = block.shape
    taken = np.full((lines, end - begin, width), np.nan, block.dtype)
    at = min(max(-begin, 0), end - begin)
    taken[:, at : at + inside] = block
    return taken


def within(block: Array, digits: int) -> bool:
    """Whether these are no integers, or none of more digits."""
    if digits >= 64 or block.dtype.kind not in "iu" or not block.size:
        return True
    return -(1 << digits) <= int(block.min()) and int(block.max()) < 1 << digits


def pivot_of(x: Array, positions: tuple[Any, ...], columns: slice) -> Array:
    """The first finite element of each line, or 0."""
    block = x[(*positions, slice(None), columns)]
    finite = np.isfinite(block)
    first = np.take_along_axis(block, finite.argmax(axis=1)[:, None], axis=1)
    return np.where(finite.any(axis=1, keepdims=True), first, 0).astype(np.float64)


# ---- states


def merge_sum(a: State, b: State) -> State:
    return a[0] + b[0], a[1] + b[1]


def merge_prod(a: State, b: State) -> State:
    return a[0] + b[0], a[1] * b[1]


def merge_min(a: State, b: State) -> State:
    return a[0] + b[0], np.where(b[1] < a[1], b[1], a[1])


def merge_max(a: State, b: State) -> State:
    return a[0] + b[0], np.where(b[1] > a[1], b[1], a[1])


def last_of(better: Array, a: State, b: State) -> State:
    """(count, value, position): the better, of equals the last; what is missing is at -1."""
    later = better | ((b[1] == a[1]) & (b[2] > a[2]))
    return a[0] + b[0], np.where(later, b[1], a[1]), np.where(later, b[2], a[2])


def merge_argmin(a: State, b: State) -> State:
    return last_of(b[1] < a[1], a, b)


def merge_argmax(a: State, b: State) -> State:
    return last_of(b[1] > a[1], a, b)


def share(part: Array, whole: Array) -> Array:
    return np.asarray(part / np.maximum(whole, 1))


def merge_moments(a: State, b: State) -> State:
    """(count, mean, M2[, M3[, M4]])"""
    na, nb = a[0], b[0]
    n = na + nb
    u = share(nb, n)
    d = b[1] - a[1]
    known = [n, a[1] + d * u, (a[2] + b[2]) + (d * d) * (na * u)]
    if len(a) > 3:
        v = share(na, n)
        d2 = d * d
        known.append((a[3] + b[3]) + d * (d2 * (na * u * (v - u)) + 3 * (v * b[2] - u * a[2])))
    if len(a) > 4:
        known.append(
            ((a[4] + b[4]) + d2 * (d2 * (na * u * (v * v - u * v + u * u)) + 6 * (v * v * b[2] + u * u * a[2])))
            + 4 * d * (v * b[3] - u * a[3])
        )
    return tuple(known)


def merge_comoments(a: State, b: State) -> State:
    """(count, mean of x, mean of y, Cxy[, Cxx, Cyy])"""
    n = a[0] + b[0]
    u = share(b[0], n)
    dx, dy = b[1] - a[1], b[2] - a[2]
    known = [n, a[1] + dx * u, a[2] + dy * u, (a[3] + b[3]) + (dx * dy) * (a[0] * u)]
    if len(a) > 4:
        known.append((a[4] + b[4]) + (dx * dx) * (a[0] * u))
        known.append((a[5] + b[5]) + (dy * dy) * (a[0] * u))
    return tuple(known)


# ---- windows


@dataclass(frozen=True)
class Operation:
    """What a kernel knows of a run of elements, and how it becomes a value."""

    merge: Merge
    finish: Callable[..., Array]  # of the state, the position of the end, and the kernel's own parameters
    least: Callable[[int, int], int] = lambda count, ddof: count
    nothing: float = 0.0  # stands for a missing element
    moments: int = 0  # fields that begin as zero
    centred: bool = False  # relative to a pivot
    position: bool = False
    digits: Callable[[int], int] = lambda window: 64  # of integers, up to which float64 is exact; 64: it need not be


def elements(operation: Operation, given: list[Array], begin: int) -> State:
    """The states of single elements."""
    present = np.logical_and.reduce([values == values for values in given])
    count = present.astype(np.float64)
    nothing = operation.nothing
    if given[0].dtype == object and nothing == 0:
        nothing = 0  # -0.0 would make floats of integers
    fields = [np.where(present, values, np.asarray(nothing, values.dtype)) for values in given]
    if operation.position:
        at = np.arange(begin, begin + count.shape[1], dtype=np.float64)[:, None]
        fields.append(np.where(present, at, -1.0))
    return (count, *fields, *(np.zeros_like(count) for _ in range(operation.moments)))


def scan(merge: Merge, states: State, length: int, *, backwards: bool) -> State:
    """Within groups (axis 2): what is known of the elements up to each one, or from each one on."""
    known = tuple(np.empty_like(field) for field in states)
    order = range(length - 1, -1, -1) if backwards else range(length)
    before: State = ()
    for p in order:
        here = tuple(field[:, :, p] for field in states)
        before = here if not before else merge(here, before) if backwards else merge(before, here)
        for field, value in zip(known, before, strict=True):
            field[:, :, p] = value
    return known


def part(state: State, begin: int, end: int) -> State:
    return tuple(field[:, begin:end] for field in state)


def in_a_row(merge: Merge, totals: State, q: int) -> tuple[State, State]:
    """From the totals of groups (axis 1) to those of q - 1 and of q groups in a row, by doubling."""
    known, have, power, run = totals[0].shape[1], 0, 1, totals
    fewer: State = ()
    while power <= q - 1:
        if (q - 1) & power:
            width = known - have - power + 1
            fewer = part(run, 0, width) if not have else merge(part(fewer, 0, width), part(run, have, have + width))
            have += power
        power *= 2
        if power <= q - 1:
            width = known - power + 1
            run = merge(part(run, 0, width), part(run, power // 2, power // 2 + width))
    width = known - q + 1
    return fewer, merge(part(fewer, 0, width), part(totals, have, have + width))


def windows(merge: Merge, states: State, length: int, window: int) -> State:
    """What is known of the windows that end in the groups (axis 1) after the first q + 1."""
    q, rest = divmod(window - 1, length)
    groups = states[0].shape[1]
    prefix = part(scan(merge, states, length, backwards=False), q + 1, groups)
    suffix = scan(merge, states, length, backwards=True)
    count = groups - q - 1
    # A window starts `rest` elements before element p of a group: in that group or the one before.
    later = tuple(field[:, 1 : count + 1, : length - rest] for field in suffix)
    earlier = tuple(field[:, :count, length - rest :] for field in suffix)
    if q:
        fewer, between = in_a_row(merge, tuple(field[:, 1:-1, 0] for field in suffix), q)
        later = merge(later, tuple(field[:, 1 : count + 1, None] for field in fewer))
        earlier = merge(earlier, tuple(field[:, :count, None] for field in between))
    low, high = tuple(field[:, :, :rest] for field in prefix), tuple(field[:, :, rest:] for field in prefix)
    known = merge(earlier, low), (merge(later, high) if q else high)
    return tuple(np.concatenate(fields, axis=2) for fields in zip(*known, strict=True))


def slide(
    operation: Operation,
    inputs: tuple[Array, ...],
    window: int,
    offset: int,
    min_count: int,
    ddof: int,
    cursor: Array,
    out: Array,
) -> int:
    length = window if window <= MOST else GROUP
    q = (window - 1) // length
    for positions, begin, end, columns in claimed(out.shape, cursor):
        first, last = (begin + offset) // length, (end - 1 + offset) // length
        low, high = (first - q - 1) * length, (last + 1) * length
        with np.errstate(all="ignore"):
            given = [take(x, positions, low, high, columns, operation.digits(window)) for x in inputs]
            if operation.centred:
                given = [v - pivot_of(x, positions, columns) for v, x in zip(given, inputs, strict=True)]
            states = elements(operation, given, low)
            lines, _, width = given[0].shape
            states = tuple(field.reshape(lines, -1, length, width) for field in states)
            known = tuple(field.reshape(lines, -1, width) for field in windows(operation.merge, states, length, window))
            ends = np.arange(first * length, high, dtype=np.float64)[:, None]
            values = operation.finish(known, ends, ddof)
            values = np.where(known[0] >= operation.least(min_count, ddof), values, np.nan)
            at = begin + offset - first * length
            out[(*positions, slice(begin, end), columns)] = values[:, at : at + end - begin]
    return 0


def spoilt(mean: Array) -> Array:
    """NaN where an infinity has come in, else 0: squares that overflow without one are infinite."""
    return np.asarray(mean - mean)


def variance(known: State, ends: Array, ddof: int) -> Array:
    return np.asarray((known[2] + spoilt(known[1])) / (known[0] - ddof))


def skewness(known: State, ends: Array, ddof: int) -> Array:
    n, _, m2, m3 = known
    v = m2 / n
    return np.asarray((np.sqrt(n * (n - 1)) / (n - 2)) * ((m3 / n) / (v * np.sqrt(v))))


def kurtosis(known: State, ends: Array, ddof: int) -> Array:
    n, _, m2, _, m4 = known
    v = m2 / n
    kurt = ((n * n - 1) * ((m4 / n) / (v * v)) - 3 * (n - 1) * (n - 1)) / ((n - 2) * (n - 3))
    return np.asarray(kurt)


def correlation(known: State, ends: Array, ddof: int) -> Array:
    r = known[3] / (np.sqrt(known[4]) * np.sqrt(known[5]))
    r = np.where(r > 1, 1.0, r)
    return np.where(r < -1, -1.0, r)


def beyond(count: int, ddof: int) -> int:
    return max(count, ddof + 1)


def value(known: State, ends: Array, ddof: int) -> Array:
    return known[1]


def all_digits(window: int) -> int:
    return DIGITS


def digits_of_sum(window: int) -> int:
    return DIGITS - (window - 1).bit_length()


def total(known: State) -> Array:
    return np.asarray(known[1] + 0.0, dtype=np.float64)


def position_of(known: State, ends: Array, ddof: int) -> Array:
    return np.asarray(ends - known[2])


COUNT = Operation(merge_sum, lambda known, ends, ddof: known[0])
SUM = Operation(merge_sum, lambda known, ends, ddof: total(known), nothing=-0.0, digits=digits_of_sum)
MEAN = Operation(merge_sum, lambda known, ends, ddof: total(known) / known[0], nothing=-0.0, digits=digits_of_sum)
PROD = Operation(merge_prod, value, nothing=1.0)
MIN = Operation(merge_min, value, nothing=np.inf, digits=all_digits)
MAX = Operation(merge_max, value, nothing=-np.inf, digits=all_digits)
ARGMIN = Operation(merge_argmin, position_of, nothing=np.inf, position=True, digits=all_digits)
ARGMAX = Operation(merge_argmax, position_of, nothing=-np.inf, position=True, digits=all_digits)
VAR = Operation(merge_moments, variance, beyond, moments=1, centred=True)
STD = Operation(merge_moments, lambda *known: np.sqrt(variance(*known)), beyond, moments=1, centred=True)
SKEW = Operation(merge_moments, skewness, lambda count, ddof: max(count, 3), moments=2, centred=True)
KURT = Operation(merge_moments, kurtosis, lambda count, ddof: max(count, 4), moments=3, centred=True)
COV = Operation(
    merge_comoments,
    lambda known, ends, ddof: (known[3] + (spoilt(known[1]) + spoilt(known[2]))) / (known[0] - ddof),
    beyond,
    moments=1,
    centred=True,
)
CORR = Operation(merge_comoments, correlation, moments=3, centred=True)


def move_count(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(COUNT, (a,), window, offset, min_count, 0, cursor, out)


def move_sum(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(SUM, (a,), window, offset, min_count, 0, cursor, out)


def move_mean(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(MEAN, (a,), window, offset, min_count, 0, cursor, out)


def move_prod(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(PROD, (a,), window, offset, min_count, 0, cursor, out)


def move_min(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(MIN, (a,), window, offset, min_count, 0, cursor, out)


def move_max(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(MAX, (a,), window, offset, min_count, 0, cursor, out)


def move_argmin(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(ARGMIN, (a,), window, offset, min_count, 0, cursor, out)


def move_argmax(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(ARGMAX, (a,), window, offset, min_count, 0, cursor, out)


def move_skew(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(SKEW, (a,), window, offset, min_count, 0, cursor, out)


def move_kurt(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(KURT, (a,), window, offset, min_count, 0, cursor, out)


def move_var(a: Array, window: int, offset: int, min_count: int, ddof: int, cursor: Array, out: Array) -> int:
    return slide(VAR, (a,), window, offset, min_count, ddof, cursor, out)


def move_std(a: Array, window: int, offset: int, min_count: int, ddof: int, cursor: Array, out: Array) -> int:
    return slide(STD, (a,), window, offset, min_count, ddof, cursor, out)


def move_cov(a: Array, b: Array, window: int, offset: int, min_count: int, ddof: int, cursor: Array, out: Array) -> int:
    return slide(COV, (a, b), window, offset, min_count, ddof, cursor, out)


def move_corr(a: Array, b: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return slide(CORR, (a, b), window, offset, min_count, 0, cursor, out)
