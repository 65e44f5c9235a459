"""Moving windows of what can be merged; the compiled twin is ext/window.pyx, which explains the order of operations.

A chunk is handled whole. Elements are arrays (lines, groups, L, columns), and states are tuples (count, field, ...) of
these.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..common import Array
from . import drive
from .drive import LEAVES, LINES, TILE, claim

MOST = 64  # the largest window that is a group of its own
GROUP = 32
DIGITS = 53  # binary digits of a float64
# Factors for third and fourth moments, each with the least and the greatest sum of squares for which it is right.
Scale = tuple[float, float, float]
SCALES: tuple[Scale, ...] = (
    (1.0, 2.0**-340, 2.0**340),
    (2.0**350, 2.0 ** (-1022 + 700), 2.0 ** (-340 + 700)),
    (2.0**-350, 2.0 ** (340 - 700), 2.0 ** (1020 - 700)),
)

# In correlations each series has a scale of its own, so that every sum of squares is in the range of float64 at one.
SERIES_SCALES: tuple[Scale, ...] = (
    (1.0, 2.0**-960, 2.0**1020),
    (2.0**600, 0.0, float(np.nextafter(2.0 ** (-960 + 1200), 0))),
    (2.0**-600, float(np.nextafter(2.0 ** (1020 - 1200), 1)), float(np.finfo(np.float64).max)),
)

State = tuple[Array, ...]
Merge = Callable[[State, State], State]


def claimed(shape: tuple[int, ...], cursor: Array) -> Iterator[tuple[tuple[Any, ...], int, int, slice]]:
    """The chunks of views (outer..., n, inner) that this worker claims: outer positions, a range of n, columns."""
    outer, n, inner = int(np.prod(shape[:-2], dtype=np.int64)), shape[-2], shape[-1]
    lines, run, tile = int(cursor[LINES]), int(cursor[LEAVES]), int(cursor[TILE])
    parts, tiles = -(-n // run), -(-inner // tile)
    while (chunk := claim(cursor)) >= 0:
        rest, column = divmod(chunk, tiles)
        row, part = divmod(rest, parts)
        positions = np.unravel_index(np.arange(row * lines, min((row + 1) * lines, outer)), shape[:-2])
        yield positions, part * run, min((part + 1) * run, n), slice(column * tile, (column + 1) * tile)
        with drive.alone_at(cursor):
            cursor[drive.DONE] += 1


def take(x: Array, positions: tuple[Any, ...], begin: int, end: int, columns: slice, digits: int = 64) -> Array:
    """Elements begin..end as float64, (lines, n, columns); NaN outside of the series.

    Where integers have more digits than float64, elements are Python's numbers.
    """
    block = x[(*positions, slice(max(begin, 0), max(end, 0)), columns)]
    block = block.astype(np.float64 if within(block, digits) else object)
    lines, inside, width = block.shape
    taken = np.full((lines, end - begin, width), np.nan, block.dtype)
    at = min(max(-begin, 0), end - begin)
    taken[:, at : at + inside] = block
    return taken


def within(block: Array, digits: int) -> bool:
    """Whether no element is an integer of more than so many digits."""
    if digits >= 64 or block.dtype.kind not in "iu" or not block.size:
        return True
    return -(1 << digits) <= int(block.min()) and int(block.max()) < 1 << digits


def unscaled(values: Array) -> tuple[Scale, ...]:
    return SCALES[:1]


def scales_held(values: Array) -> tuple[Scale, ...]:
    """The scales that a series in a correlation may need; few need any but the first."""
    size = np.abs(values)
    asked = (True, ((size > 0) & (size < 2.0**-420)).any(), ((size > 2.0**420) & (size < np.inf)).any())
    return tuple(itertools.compress(SERIES_SCALES, asked))


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
    """(count, value, position) of the better element, or the last of equal ones; a missing element is at -1."""
    later = better | ((b[1] == a[1]) & (b[2] > a[2]))
    return a[0] + b[0], np.where(later, b[1], a[1]), np.where(later, b[2], a[2])


def merge_argmin(a: State, b: State) -> State:
    return last_of(b[1] < a[1], a, b)


def merge_argmax(a: State, b: State) -> State:
    return last_of(b[1] > a[1], a, b)


def share(part: Array, whole: Array) -> Array:
    return np.asarray(part / np.maximum(whole, 1))


# Moments: (count, a pivot for each input, a mean relative to it for each, sums). An empty run has no mean.


def apart(a: State, b: State, at: int, inputs: int) -> Array:
    """How far b's mean is from a's."""
    d = (b[at] - a[at]) + (b[at + inputs] - a[at + inputs])
    return np.where((a[0] > 0) & (b[0] > 0), d, 0.0)


def met(a: State, b: State, distances: list[Array], u: Array) -> list[Array]:
    """The count, pivots and means of a and b together."""
    inputs, some = len(distances), a[0] > 0
    pivots = [np.where(some, a[1 + f], b[1 + f]) for f in range(inputs)]
    means = [np.where(some, a[at], b[at]) + d * u for at, d in enumerate(distances, 1 + inputs)]
    return [a[0] + b[0], *pivots, *means]


def merge_moments(a: State, b: State) -> State:
    """(count, pivot, mean, M2[, M3[, M4]])"""
    na, nb = a[0], b[0]
    u, v = share(nb, na + nb), share(na, na + nb)
    d = apart(a, b, 1, 1)
    known = [*met(a, b, [d], u), (a[3] + b[3]) + (d * d) * (na * u)]
    d2 = d * d
    if len(a) > 4:
        known.append((a[4] + b[4]) + d * (d2 * (na * u * (v - u)) + 3 * (v * b[3] - u * a[3])))
    if len(a) > 5:
        known.append(
            ((a[5] + b[5]) + d2 * (d2 * (na * u * (v * v - u * v + u * u)) + 6 * (v * v * b[3] + u * u * a[3])))
            + 4 * d * (v * b[4] - u * a[4])
        )
    return tuple(known)


def add_moments(a: State, b: State) -> State:
    """Merge an element b, before a or after it: its mean is 0 relative to itself, and so are its sums."""
    na, nb = a[0], b[0]
    u, v = share(nb, na + nb), share(na, na + nb)
    pivot = np.where(na > 0, a[1], b[1])
    d = np.where(nb > 0, (b[1] - pivot) - a[2], 0.0)
    known = [na + nb, pivot, a[2] + d * u, a[3] + (d * d) * (na * u)]
    d2 = d * d
    if len(a) > 4:
        known.append(a[4] + d * (d2 * (na * u * (v - u)) - 3 * (u * a[3])))
    if len(a) > 5:
        known.append((a[5] + d2 * (d2 * (na * u * (v * v - u * v + u * u)) + 6 * (u * u * a[3]))) - 4 * d * (u * a[4]))
    return tuple(known)


def merge_comoments(a: State, b: State) -> State:
    """(count, pivots, mean of x, mean of y, Cxy[, Cxx, Cyy])"""
    u = share(b[0], a[0] + b[0])
    dx, dy = apart(a, b, 1, 2), apart(a, b, 2, 2)
    products = (dx * dy, dx * dx, dy * dy)[: len(a) - 5]
    sums = [(a[at] + b[at]) + product * (a[0] * u) for at, product in enumerate(products, 5)]
    return (*met(a, b, [dx, dy], u), *sums)


def add_comoments(a: State, b: State) -> State:
    u = share(b[0], a[0] + b[0])
    p, q = (np.where(a[0] > 0, a[f], b[f]) for f in (1, 2))
    dx, dy = (np.where(b[0] > 0, (b[f] - pivot) - a[f + 2], 0.0) for f, pivot in ((1, p), (2, q)))
    products = (dx * dy, dx * dx, dy * dy)[: len(a) - 5]
    sums = [a[at] + product * (a[0] * u) for at, product in enumerate(products, 5)]
    return (a[0] + b[0], p, q, a[3] + dx * u, a[4] + dy * u, *sums)


# ---- windows


@dataclass(frozen=True)
class Operation:
    """A kernel: what is known of a run of elements, and how that becomes a value."""

    merge: Merge
    finish: Callable[..., Array]  # takes the state, the position of the end, and the kernel's own parameters
    least: Callable[[int, int], int] = lambda count, ddof: count
    nothing: float = 0.0  # stands for a missing element
    add: Merge | None = None  # merges one more element into moments
    sums: int = 0  # how many sums of products of deviations a state has
    scales: Callable[[Array], tuple[Scale, ...]] = unscaled  # the scales that the elements of an input may need
    position: bool = False
    digits: Callable[[int], int] = lambda window: (
        64
    )  # digits of integers up to which float64 is exact; 64 where it need not be


def elements(operation: Operation, given: list[Array], begin: int) -> State:
    """The states of single elements. Those of moments are their own pivots, and their means are 0, or NaN."""
    present = np.logical_and.reduce([values == values for values in given])
    count = present.astype(np.float64)
    nothing = operation.nothing
    if given[0].dtype == object and nothing == 0:
        nothing = 0  # -0.0 would make floats of integers
    fields = [np.where(present, values, np.asarray(nothing, values.dtype)) for values in given]
    if operation.position:
        at = np.arange(begin, begin + count.shape[1], dtype=np.float64)[:, None]
        fields.append(np.where(present, at, -1.0))
    if operation.add is not None:
        fields += [values - values for values in fields]
    return (count, *fields, *(np.zeros_like(count) for _ in range(operation.sums)))


def scan(operation: Operation, states: State, length: int, *, backwards: bool) -> State:
    """Within groups (axis 2): what is known of the elements up to each one, or from each one on."""
    known = tuple(np.empty_like(field) for field in states)
    order = range(length - 1, -1, -1) if backwards else range(length)
    before: State = ()
    for p in order:
        here = tuple(field[:, :, p] for field in states)
        if not before:
            before = here
        elif operation.add is not None:
            before = operation.add(before, here)
        else:
            before = operation.merge(here, before) if backwards else operation.merge(before, here)
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


def windows(operation: Operation, states: State, length: int, window: int) -> State:
    """What is known of the windows that end in the groups (axis 1) after the first q + 1."""
    merge = operation.merge
    q, rest = divmod(window - 1, length)
    groups = states[0].shape[1]
    prefix = part(scan(operation, states, length, backwards=False), q + 1, groups)
    suffix = scan(operation, states, length, backwards=True)
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
            lines, _, width = given[0].shape
            ends = np.arange(first * length, high, dtype=np.float64)[:, None]
            values = np.asarray(np.nan)
            for scales in itertools.product(*map(operation.scales, given)):
                scaled = [v if scale == 1 else v * scale for v, (scale, _, _) in zip(given, scales, strict=True)]
                states = tuple(field.reshape(lines, -1, length, width) for field in elements(operation, scaled, low))
                known = tuple(field.reshape(lines, -1, width) for field in windows(operation, states, length, window))
                found = operation.finish(known, ends, ddof)
                if operation.scales is not unscaled:
                    squares = zip(known[3 * len(given) :], scales, strict=False)
                    fits = [(square >= least) & (square <= most) for square, (_, least, most) in squares]
                    found = np.where(np.logical_and.reduce(fits), found, values)
                values = found
            values = np.where(known[0] >= operation.least(min_count, ddof), values, np.nan)
            at = begin + offset - first * length
            out[(*positions, slice(begin, end), columns)] = values[:, at : at + end - begin]
    return 0


def spoilt(mean: Array) -> Array:
    """NaN where an infinity has come in, else 0: squares that overflow without one are infinite."""
    return np.asarray(mean - mean)


def variance(known: State, ends: Array, ddof: int) -> Array:
    return np.asarray((known[3] + spoilt(known[2])) / (known[0] - ddof))


def skewness(known: State, ends: Array, ddof: int) -> Array:
    n, _, _, m2, m3 = known
    v = m2 / n
    return np.asarray((np.sqrt(n * (n - 1)) / (n - 2)) * ((m3 / n) / (v * np.sqrt(v))))


def kurtosis(known: State, ends: Array, ddof: int) -> Array:
    n, _, _, m2, _, m4 = known
    v = m2 / n
    kurt = ((n * n - 1) * ((m4 / n) / (v * v)) - 3 * (n - 1) * (n - 1)) / ((n - 2) * (n - 3))
    return np.asarray(kurt)


def correlation(known: State, ends: Array, ddof: int) -> Array:
    r = known[5] / (np.sqrt(known[6]) * np.sqrt(known[7]))
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
VAR = Operation(merge_moments, variance, beyond, add=add_moments, sums=1)
STD = Operation(merge_moments, lambda *known: np.sqrt(variance(*known)), beyond, add=add_moments, sums=1)
SKEW = Operation(
    merge_moments, skewness, lambda count, ddof: max(count, 3), add=add_moments, sums=2, scales=lambda values: SCALES
)
KURT = Operation(
    merge_moments, kurtosis, lambda count, ddof: max(count, 4), add=add_moments, sums=3, scales=lambda values: SCALES
)
COV = Operation(
    merge_comoments,
    lambda known, ends, ddof: (known[5] + (spoilt(known[3]) + spoilt(known[4]))) / (known[0] - ddof),
    beyond,
    add=add_comoments,
    sums=1,
)
CORR = Operation(merge_comoments, correlation, add=add_comoments, sums=3, scales=scales_held)


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
