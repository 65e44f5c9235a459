"""Sorting that is left to NumPy; the compiled twin is ext/by_numpy.pyx."""

from __future__ import annotations

import numpy as np

from ..common import Array
from .sort import runs_of
from .sort import sort as sort_lines

__all__ = ["count_classes", "sort_classes", "sort_lines", "to_classes"]


def count_classes(a: Array, pivots: Array, cursor: Array, counts: Array) -> int:
    """Count how many elements of each class a chunk has, in counts[chunk, class].

    Class c has what comes after pivot c - 1, but not after pivot c; NaN comes after all pivots.
    """
    for chunk, here in runs_of(len(a), cursor):
        counts[chunk] = np.bincount(np.searchsorted(pivots, a[here]), minlength=len(pivots) + 1)
    return 0


def to_classes(a: Array, pivots: Array, next: Array, cursor: Array, out: Array) -> int:
    """Move elements to their classes. next[chunk, class] is where the first one of a chunk goes; it is moved on."""
    for chunk, here in runs_of(len(a), cursor):
        which = np.searchsorted(pivots, a[here])
        counts = np.bincount(which, minlength=len(pivots) + 1)
        first = np.cumsum(counts) - counts
        order = np.argsort(which, kind="stable")
        to = (next[chunk] - first)[which[order]] + np.arange(len(order))
        fits = to < len(out)  # numbers that others change meanwhile may be of another class than they were counted in
        out[to[fits]] = a[here][order][fits]
        next[chunk] = np.minimum(next[chunk] + counts, len(out))
    return 0


def sort_classes(ends: Array, cursor: Array, out: Array) -> int:
    """Sort each class, but for the order of zeros of both signs. Class c ends at ends[c + 1]."""
    for c, _ in runs_of(len(ends) - 1, cursor):
        out[ends[c] : ends[c + 1]].sort()
    return 0
