"""Moving medians, quantiles and ranks of one line; the compiled twins are ext/quantiles.pxd and ext/ranks.pxd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..common import PARAMETERS, QUANTILE_METHODS

Array = np.ndarray[Any, Any]
BLOCK = 1 << 19  # elements of windows that are looked at at a time


def windows(v: Array, first: int, w: int) -> Iterator[tuple[slice, Array]]:
    """The windows that end at v[first], v[first + 1], ... as rows, in blocks; NaN before the line."""
    short = max(0, w - 1 - first)
    line = np.concatenate([np.full(short, np.nan), v[first + short - (w - 1) :]])
    rows = sliding_window_view(line, w) if line.size >= w else np.empty((0, w))
    step = max(1, BLOCK // w)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        yield slice(start, start + len(block)), block


def between(index: Array, n: Array) -> tuple[Array, Array, Array]:
    """The ranks on both sides of an index, and how far it lies from the lower one."""
    last = n - 1
    low = np.clip(np.floor(index), 0, last)
    inside = (index >= 0) & (index < last)
    return low, low + inside, np.where(inside, index - low, index >= last)


def after(index: Array, at: Array | bool) -> Array:
    """The rank above a fractional index; of a whole one itself, with `at`."""
    below = np.floor(index)
    return np.maximum(np.where((index == below) & at, below, below + 1), 0)


def ranks_of_quantile(n: Array, q: float, method: str) -> tuple[Array, Array, Array | None]:
    """Which two ranks of n sorted elements make the quantile, and the weight; None for an element that is taken as it
    is."""
    index = (n - 1) * q
    if method == "linear":
        return between(index, n)
    if method == "midpoint":
        return between(0.5 * (np.floor(index) + np.ceil(index)), n)
    if method == "averaged_inverted_cdf":
        low, high, t = between(n * q - 1, n)
        return low, high, np.where((t == 0) & (low < high), 0.5, 1.0)
    if method in PARAMETERS:
        alpha, beta = PARAMETERS[method]
        return between(n * q + (alpha + q * (1 - alpha - beta)) - 1, n)
    if method == "inverted_cdf":
        low = after(n * q - 1, True)
    elif method == "closest_observation":
        index = n * q - 1 - 0.5
        low = after(index, np.floor(index) % 2 == 1)
    else:
        low = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}[method](index)
    return low, low, None


def blend(a: Array, b: Array, t: Array | None) -> Array:
    """The quantile between two elements; t is None for their mean."""
    if t is None:
        return np.asarray((a + b) / 2)
    span = b - a
    return np.asarray(np.where(t >= 0.5, b - span * (1 - t), a + span * t))


def blend_integers(a: Array, b: Array, t: Array | None) -> Array:
    """The quantile between two integers. In their middle it is rounded once; elsewhere it is computed from the rounded
    elements and their exact distance."""
    a, b = a.astype(object), b.astype(object)
    low, high, span = (x.astype(np.float64) for x in (a, b, b - a))
    middle: Array = (a + b).astype(np.float64) / 2
    if t is None:
        return middle
    return np.asarray(np.where(t == 0.5, middle, np.where(t > 0.5, high - span * (1 - t), low + span * t)))


def quantiles(
    v: Array, first: int, w: int, min_count: int, q: Array, method: int, values: Array | None = None
) -> Array:
    """Row j has quantile q[j] of the windows that end at v[first], ...; NaN where these have fewer than min_count
    numbers.

    With `values`, sorted integers, the elements of v are positions among these.
    """
    name = QUANTILE_METHODS[method]
    out = np.empty((len(q), len(v) - first))
    for at, block in windows(v, first, w):
        ordered = np.sort(block, axis=1)  # NaN comes last
        count = np.count_nonzero(block == block, axis=1)
        n = np.maximum(count, 1).astype(np.float64)
        for j in range(len(q)):
            if name == "median":
                low, high, t = (n - 1) // 2, n // 2, None
            else:
                low, high, t = ranks_of_quantile(n, q[j], name)
            a = np.take_along_axis(ordered, low.astype(np.intp)[:, None], axis=1)[:, 0]
            b = np.take_along_axis(ordered, high.astype(np.intp)[:, None], axis=1)[:, 0]
            if values is not None:
                a, b = (values[np.where(count > 0, x, 0).astype(np.intp)] for x in (a, b))
            with np.errstate(all="ignore"):
                if t is not None or name == "median":
                    middle = (blend if values is None else blend_integers)(a, b, t)
                    a = middle if t is not None else np.where(low == high, a, middle)
                out[j, at] = np.where(count < max(min_count, 1), np.nan, a + 0.0)  # zeros are positive
    return out


def ranks(v: Array, first: int, w: int, min_count: int, last: int) -> Array:
    """The rank of each of v[first], v[first + 1], ... in the window that ends there: from -1 to 1, ties averaged.

    v[last] is the last element of its series: windows that end beyond it rank it once more.
    """
    out = np.empty(len(v) - first)
    for at, block in windows(v, first, w):
        ends = np.minimum(np.arange(first + at.start, first + at.stop), last)
        newest = v[ends][:, None]
        count = np.count_nonzero(block == block, axis=1)
        below = np.count_nonzero(block < newest, axis=1) + np.count_nonzero(block <= newest, axis=1)
        rank = 0.5 * (below - 1.0)
        rank = rank / np.maximum(count - 1.0, 1)
        rank = np.where(count == 1, 0.0, 2.0 * (rank - 0.5))
        out[at] = np.where((count < min_count) | (newest[:, 0] != newest[:, 0]), np.nan, rank)
    return out
