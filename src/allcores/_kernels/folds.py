"""Folds: one partial of a run of elements and the run after it. Partials are tuples of arrays, one a field."""

from __future__ import annotations

import numpy as np

from .common import Partials


def add(a: Partials, b: Partials) -> Partials:
    return tuple(np.add(x, y) for x, y in zip(a, b, strict=True))


def two_sum(a: np.ndarray, b: np.ndarray) -> Partials:
    """a + b, and what its rounding has lost (Knuth's two-sum): -0.0 if that is nothing, or the sum is not finite."""
    total = np.add(a, b)
    finite = np.isfinite(total)
    x, y = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
    z = x + y
    t = z - x
    return total, -(((z - t) - x) + (t - y))


def total(a: Partials, b: Partials) -> Partials:
    """(total, rest) of floats, (total, rest, count), or (total) of integers."""
    if len(a) == 1:
        return add(a, b)
    both, lost = two_sum(a[0], b[0])
    return both, (a[1] + b[1]) + lost, *add(a[2:], b[2:])


def multiply(a: Partials, b: Partials) -> Partials:
    return tuple(np.multiply(x, y) for x, y in zip(a, b, strict=True))


def moments(a: Partials, b: Partials) -> Partials:
    """(count, pivot, shift, m2) by Chan's formula; see ext/reduce.pyx."""
    (count, pivot, shift, m2), (count_b, pivot_b, shift_b, m2_b) = a, b
    n = count + count_b
    spread = m2 + m2_b
    first = count == 0
    merged = ~first & (count_b > 0) & ~(spread == np.inf)
    weight = np.divide(count_b, n, out=np.zeros_like(n), where=merged)
    delta = np.subtract(pivot_b, pivot, out=np.zeros_like(n), where=merged)
    delta = np.add(delta, np.subtract(shift_b, shift, out=np.zeros_like(n), where=merged), out=delta, where=merged)
    return (
        n,
        np.where(first, pivot_b, pivot),
        np.add(shift, delta * weight, out=np.where(first, shift_b, shift), where=merged),
        np.add(spread, (delta * delta) * (count * weight), out=spread, where=merged),
    )


def minimum(a: Partials, b: Partials) -> Partials:
    """A minimum in which NaN wins, and the first of equal elements."""
    return tuple(np.where((y < x) | (y != y) & (x == x), y, x) for x, y in zip(a, b, strict=True))


def maximum(a: Partials, b: Partials) -> Partials:
    return tuple(np.where((y > x) | (y != y) & (x == x), y, x) for x, y in zip(a, b, strict=True))


def nanminimum(a: Partials, b: Partials) -> Partials:
    """A minimum in which NaN loses, and the first of equal elements wins."""
    return tuple(np.where((y < x) | (x != x), y, x) for x, y in zip(a, b, strict=True))


def nanmaximum(a: Partials, b: Partials) -> Partials:
    return tuple(np.where((y > x) | (x != x), y, x) for x, y in zip(a, b, strict=True))


def extent(a: Partials, b: Partials) -> Partials:
    """(low, high)"""
    return minimum(a[:1], b[:1]) + maximum(a[1:], b[1:])


def _with_index(take: np.ndarray, a: Partials, b: Partials) -> Partials:
    return tuple(np.where(take, y, x) for x, y in zip(a, b, strict=True))


def first_minimum(a: Partials, b: Partials) -> Partials:
    """(value, index) of the first NaN, or if there is none of the first of the least elements."""
    return _with_index((b[0] < a[0]) | (b[0] != b[0]) & (a[0] == a[0]), a, b)


def first_maximum(a: Partials, b: Partials) -> Partials:
    return _with_index((b[0] > a[0]) | (b[0] != b[0]) & (a[0] == a[0]), a, b)


def first_nanminimum(a: Partials, b: Partials) -> Partials:
    """(value, index) of the first of the least numbers; an index of -1 says that there is none but NaN."""
    return _with_index((b[1] >= 0) & ((a[1] < 0) | (b[0] < a[0])), a, b)


def first_nanmaximum(a: Partials, b: Partials) -> Partials:
    return _with_index((b[1] >= 0) & ((a[1] < 0) | (b[0] > a[0])), a, b)


def either(a: Partials, b: Partials) -> Partials:
    return tuple(np.bitwise_or(x, y) for x, y in zip(a, b, strict=True))


def both(a: Partials, b: Partials) -> Partials:
    return tuple(np.bitwise_and(x, y) for x, y in zip(a, b, strict=True))
