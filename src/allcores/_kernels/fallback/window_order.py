"""Moving medians, quantiles and ranks, line by line; the compiled twin is ext/window_order.pyx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..common import QUANTILE_METHODS, Array
from .ranks import quantiles, ranks
from .window import claimed, take

Line = tuple[Array, int, tuple[Any, ...], Array | None]


def lines_of(a: Array, window: int, offset: int, cursor: Array) -> Iterator[Line]:
    """The elements of all windows of each line of a chunk, where in them its last element is, and where results go.

    Integers that float64 may not tell apart are positions among distinct values, which come last.
    """
    n, inner = a.shape[-2:]
    values = None
    for positions, begin, end, columns in claimed(a.shape, cursor):
        low = begin + offset - (window - 1)
        if a.dtype.kind in "iu" and a.dtype.itemsize == 8:
            first = max(low, 0)
            block = a[(*positions, slice(first, end + offset), columns)]
            values, places = np.unique(block, return_inverse=True)
            block = take(places.reshape(block.shape), (slice(None),), low - first, end + offset - first, slice(None))
        else:
            block = take(a, positions, low, end + offset, columns)
        for number in range(len(block)):
            for i, column in enumerate(range(*columns.indices(inner))):
                at = (*(axis[number] for axis in positions), slice(begin, end), column)
                yield block[number, :, i], n - 1 - low, at, values


def move_quantile(
    a: Array, window: int, offset: int, min_count: int, q: tuple[float, ...], method: int, cursor: Array, *out: Array
) -> int:
    for v, _, at, values in lines_of(a, window, offset, cursor):
        results = quantiles(v, window - 1, window, min_count, np.array(q), method, values)
        for output, result in zip(out, results, strict=True):
            with np.errstate(all="ignore"):  # of rounding to the dtype of the result
                output[at] = result
    return 0


def move_median(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    return move_quantile(a, window, offset, min_count, (0.5,), QUANTILE_METHODS.index("median"), cursor, out)


def move_rank(a: Array, window: int, offset: int, min_count: int, cursor: Array, out: Array) -> int:
    for v, last, at, _ in lines_of(a, window, offset, cursor):
        out[at] = ranks(v, window - 1, window, min_count, last)
    return 0
