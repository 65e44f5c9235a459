"""Order statistics by sorting; the compiled twin is ext/select.pyx.

Ordered keys are integers of the same order as the elements: NaN is the largest one, and both zeros are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..common import Array
from ..keys import from_keys, reversed_order, to_keys
from . import drive
from .drive import LEAVES, claim
from .window import claimed


def pick(x: Array, ranks: Array, row: int, cursor: Array, values: Array, counts: Array) -> int:
    """values[j, line]: the element of rank ranks[.., j] of each line; NaN where there is none. counts: its numbers.

    Ranks are from 0. `row` says which ones: the first row of `ranks`, which is for lines without NaN (0), that of the
    count of numbers (1), or that of the line (2).
    """
    outer = x.shape[:-2]
    n, inner = x.shape[-2:]
    shape = outer or (1,)
    lines = np.arange(values[0].size).reshape(-1, inner)
    x, values, counts = x.reshape((*shape, n, inner)), values.reshape(len(values), -1), counts.reshape(-1)
    for positions, _, _, columns in claimed(x.shape, cursor):
        block = x[(*positions, slice(None), columns)]
        keys = to_keys(block)
        keys.sort(axis=1)
        line = lines[np.ravel_multi_index(positions, shape), columns]
        count = np.count_nonzero(block == block, axis=1)
        wanted = ranks[0 if row == 0 else count if row == 1 else line]
        wanted = np.broadcast_to(wanted, (*line.shape, ranks.shape[1]))
        missing = (count == 0) | ((row == 0) & (count < n))
        found = np.take_along_axis(keys, np.where(missing[..., None], n - 1, wanted).swapaxes(1, 2), axis=1)
        counts[line] = count
        values[:, line] = np.moveaxis(from_keys(found, x.dtype), 1, 0)
    return 0


def selection_pass(
    x: Array, brackets: Array, begin: Array, room: Array, cursor: Array, counts: Array, kept: Array
) -> int:
    """Count the elements of x, of one dimension, around brackets of keys; keep what is inside, up to `room` a chunk."""
    run = int(cursor[LEAVES])
    while (chunk := claim(cursor)) >= 0:
        piece = x[chunk * run : (chunk + 1) * run]
        keys = to_keys(piece)
        found: list[Any] = [np.count_nonzero(piece == piece)]
        inside = []
        for low, high in brackets.astype(keys.dtype):
            between = keys[(keys > low) & (keys < high)]
            inside.append(between)
            at_high = 0 if low == high else np.count_nonzero(keys == high)
            found += [np.count_nonzero(keys < low), np.count_nonzero(keys == low), len(between), at_high]
        counts[chunk] = found
        taken = np.concatenate(inside)[: room[chunk]]
        kept[begin[chunk] : begin[chunk] + len(taken)] = taken
        with drive.alone_at(cursor):
            cursor[drive.DONE] += 1
    return 0


def divide(x: Array, ranks: Array, positions: int, backwards: int, cursor: Array, out: Array) -> int:
    """Lines of x, divided around the elements of `ranks`, which are in order, to the lines of out.

    Each class (less than a pivot, equal to it, greater) keeps its elements in their order. Where out is shorter it gets
    only the first ones. With `positions` it gets their positions instead of the elements.
    """
    for where, _, _, columns in claimed(x.shape, cursor):
        block = x[(*where, slice(None), columns)]
        keys = reversed_order(to_keys(block), x.dtype, backwards)
        pivots = np.sort(keys, axis=1)[:, ranks]
        classes = np.zeros(keys.shape, np.int64)
        for j in range(len(ranks)):
            pivot = pivots[:, j : j + 1]
            classes += (keys > pivot).astype(np.int64) + (keys >= pivot)
        order = np.argsort(classes, axis=1, kind="stable")[:, : out.shape[-2]]
        out[(*where, slice(None), columns)] = order if positions else np.take_along_axis(block, order, axis=1)
    return 0


def scatter(x: Array, pivots: Array, next: Array, positions: int, backwards: int, cursor: Array, out: Array) -> int:
    """x and out of one dimension. `pivots` are keys, all different and in order (backwards: keys of the reverse order).

    next[chunk, class]: where the first element of a class in a chunk goes. It is moved on.
    """
    run = int(cursor[LEAVES])
    while (chunk := claim(cursor)) >= 0:
        begin = chunk * run
        piece = x[begin : begin + run]
        keys = reversed_order(to_keys(piece), x.dtype, backwards)
        classes = np.searchsorted(pivots, keys, "left") + np.searchsorted(pivots, keys, "right")
        for c in range(next.shape[1]):
            members = np.flatnonzero(classes == c)
            first = next[chunk, c]
            members = members[: max(0, len(out) - first)]
            out[first : first + len(members)] = begin + members if positions else piece[members]
            next[chunk, c] += len(members)
        with drive.alone_at(cursor):
            cursor[drive.DONE] += 1
    return 0


def gather(x: Array, low: int, high: int, cursor: Array, counts: Array, kept: Array) -> int:
    """kept[chunk]: where in x, of one dimension, elements with keys from low to high are. counts: how many they are,
    even if not all of them fit."""
    run = int(cursor[LEAVES])
    while (chunk := claim(cursor)) >= 0:
        keys = to_keys(x[chunk * run : (chunk + 1) * run])
        found = np.flatnonzero((keys >= low) & (keys <= high)) + chunk * run
        counts[chunk] = len(found)
        kept[chunk, : len(found)] = found[: kept.shape[1]]
        with drive.alone_at(cursor):
            cursor[drive.DONE] += 1
    return 0
