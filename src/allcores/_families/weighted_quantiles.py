"""Weighted quantiles: the first element up to which the weights add up to the share that is asked for.

    lines up to sort_passes.LONG    blocks of lines, each by one worker
    longer lines, one by one    positions in order, and weights in that order, by all workers

The weights are added one after the other, as NumPy adds them, in the order of the elements; equal elements are in the
order of their positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from .._engine import execute
from .._engine.grid import ceil_div
from .._engine.inputs import in_memory
from .._engine.turns import Turns
from .._engine.view import Array
from . import sort_passes
from .sort_passes import POSITION

# Tests change this: results must not.
block = 1 << 16  # elements that a worker takes at a time, about
few = 2048  # up to so many elements in few lines are left to NumPy, which takes half the time
few_lines = 8

NS = 30.0  # nanoseconds an element
GATHER_NS = 3.0


class Refused(Exception):
    """Raised for weights that NumPy is to judge."""


@cache
def skips_zeros() -> bool:
    """Whether NumPy's quantile 0 is the first element that has a weight; in older versions it was the first one."""
    return bool(np.quantile([0.0, 1.0], 0.0, weights=[0, 1], method="inverted_cdf") == 1)


def rows(a: Array, reduced: tuple[int, ...]) -> Array:
    """(lines, n)"""
    kept = [axis for axis in range(a.ndim) if axis not in reduced]
    n = int(np.prod([a.shape[axis] for axis in reduced]))
    return a.transpose(*kept, *reduced).reshape(-1, n)


def weights_of(weights: Any, shape: tuple[int, ...], axis: Any, reduced: tuple[int, ...], skip: bool) -> Array:
    """(lines, n), or (1, n) for all lines."""
    given = weights if isinstance(weights, np.ndarray) else in_memory(weights)
    if type(given) is not np.ndarray or given.dtype.char not in "?bhilqBHILQefd":
        raise Refused
    if given.shape == shape:
        return rows(given, reduced)
    axes = [which % len(shape) for which in (axis if isinstance(axis, (tuple, list)) else reduced)]
    if axis is None or skip or given.shape != tuple(shape[which] for which in axes):
        raise Refused
    return given.transpose(np.argsort(axes)).reshape(1, -1)


def quantiles(a: Array, weights: Array, q: Array, skip: bool, workers: int) -> tuple[Array, Array]:
    """From lines (lines, n): their elements, (q, lines), and how many numbers each has if NaN is left out."""
    if weights.min() < 0 or not (skip or 0 < weights.max() < np.inf):
        raise Refused
    if skips_zeros():
        with np.errstate(under="ignore"):
            q = np.maximum(q, np.nextafter(q.dtype.type(0), q.dtype.type(1)))
    lines, n = a.shape
    values, counts = np.empty((len(q), lines), a.dtype), np.empty(lines, POSITION)
    size = 1 if n > sort_passes.LONG else max(1, min(block // n, ceil_div(lines, workers)))

    def some(number: int, workers: int) -> None:
        part = slice(number * size, (number + 1) * size)
        own = weights if len(weights) == 1 else weights[part]
        # Whatever is worth a warning is left to NumPy; it refuses weights whose totals are not finite.
        with np.errstate(all="ignore"):
            values[:, part], counts[part] = of_block(a[part], own, q, skip, workers)

    if n > sort_passes.LONG:
        for number in range(lines):
            some(number, workers)
    else:
        each(ceil_div(lines, size), lambda number: some(number, 1), a.size, NS, workers)
    return values, counts


def each(count: int, do: Callable[[int], None], elements: int, ns: float, workers: int) -> None:
    """Have each piece computed by one of the workers."""
    if count == 1:
        do(0)
        return

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            do(number)

    Turns(count).under_way(work, execute.team_of(min(workers, count), elements, ns))


def of_block(a: Array, weights: Array, q: Array, skip: bool, workers: int) -> tuple[Array, Array]:
    lines, n = a.shape
    line = np.arange(lines)[:, None]
    order = np.empty((lines, n), POSITION)
    sort_passes.argsort(a, order, 1, workers)
    sums = in_order(weights, order, workers)
    counts = np.full(lines, n)
    missing = np.isnan(a[line[:, 0], order[:, -1]])  # NaN is last
    if skip and missing.any():
        counts -= np.isnan(a).sum(axis=1)
        sums[np.arange(n) >= counts[:, None]] = 0
    np.cumsum(sums, axis=1, out=sums)
    total = sums[:, -1:]
    if not (np.isfinite(total) & (total > 0))[counts > 0].all():
        raise Refused
    found = np.clip(first_not_below(sums, total, q), 0, np.maximum(counts, 1)[:, None] - 1)
    if not skip:
        found[missing] = n - 1
    return a[line, order[line, found]].T, counts


def in_order(weights: Array, order: Array, workers: int) -> Array:
    """The weights of elements, in float64."""
    lines, n = order.shape
    if len(weights) > 1:
        found: Array = np.take(weights, order + n * np.arange(lines)[:, None])
        return found.astype(np.float64, copy=False)
    result = np.empty((lines, n))
    line, output, places = weights[0], result.reshape(-1), order.reshape(-1)

    def some(number: int) -> None:
        part = slice(number * block, (number + 1) * block)
        output[part] = np.take(line, places[part])

    each(ceil_div(len(output), block), some, len(output), GATHER_NS, workers)
    return result


def first_not_below(sums: Array, total: Array, q: Array) -> Array:
    """Where the sums of each row reach these shares of the total, (rows, q): np.searchsorted for all rows at once."""
    rows, n = sums.shape
    if rows == 1:
        return np.array([np.searchsorted((sums[0] / total[0]).astype(q.dtype, copy=False), q)])
    row = np.arange(rows)[:, None]
    below = np.zeros((rows, len(q)), np.intp)
    step = 1 << n.bit_length() - 1
    while step:
        probe = below + step
        share = (sums[row, np.minimum(probe, n) - 1] / total).astype(q.dtype)
        below = np.where((probe <= n) & (share < q), probe, below)
        step >>= 1
    return below
