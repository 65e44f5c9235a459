"""Filling gaps, and replacing in place; the compiled twin is ext/fill.pyx."""

from __future__ import annotations

import numpy as np

from ..common import Array
from .drive import LEAVES
from .window import claimed


def push(a: Array, seeds: Array | None, limit: int, cursor: Array, out: Array) -> int:
    """`seeds` (outer, parts, inner): the position of the last number before each chunk, or -1; None: there is none."""
    run = int(cursor[LEAVES])
    for positions, begin, end, columns in claimed(a.shape, cursor):
        block = a[(*positions, slice(begin, end), columns)]
        at = np.where(block == block, np.arange(begin, end)[:, None], -1)
        if seeds is not None:
            lines = np.ravel_multi_index(positions, a.shape[:-2])
            at[:, 0] = np.maximum(at[:, 0], seeds[lines, begin // run, columns])
        at = np.maximum.accumulate(at, axis=1)
        here = np.arange(begin, end)[:, None]
        series = a[(*positions, slice(None), columns)]
        last = np.take_along_axis(series, np.maximum(at, 0), axis=1)
        out[(*positions, slice(begin, end), columns)] = np.where((at >= 0) & (here - at <= limit), last, block)
    return 0


def ends_push(a: Array, run: int, cursor: Array, last: Array) -> int:
    """The position of the last number in each run of n, or -1."""
    for positions, begin, end, columns in claimed((*a.shape[:-2], *last.shape[-2:]), cursor):
        lines = np.ravel_multi_index(positions, a.shape[:-2])
        for part in range(begin, end):
            first = part * run
            block = a[(*positions, slice(first, first + run), columns)]
            at = np.where(block == block, np.arange(first, first + block.shape[1])[:, None], -1)
            last[lines, part, columns] = at.max(axis=1)
    return 0


def replace(old: float, new: float, cursor: Array, a: Array) -> int:
    """Replace values in `a`, a view (outer..., n, 1)."""
    for positions, begin, end, columns in claimed(a.shape, cursor):
        where = (*positions, slice(begin, end), columns)
        block = a[where]
        a[where] = np.where(block != block if old != old else block == a.dtype.type(old), a.dtype.type(new), block)
    return 0
