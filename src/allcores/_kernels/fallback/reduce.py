"""Sums, products and variances; the compiled twin is ext/reduce.pyx.

A line is read as blocks of 8 rows of 32 lanes: added down each lane, the lanes in halves, the blocks in neighbour
pairs. Columns are added down the 32 rows of a leaf. Then leaves fold in neighbour pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import folds
from .drive import Array, Flags, Fold, Slots, chunks, leaves_of_lines, leaves_of_rows, tree

Leaf = Callable[[Array], Slots]

LANES = 32
BLOCK_ROWS = 8


def reduce(
    x: Array, where: Array | None, cursor: Array, sinks: Slots, padding: Any, line: Leaf, rows: Leaf, fold: Fold
) -> int:
    """Run the leaf functions over the chunks that this worker claims; return the floating-point flags raised."""
    flags = Flags()
    for block, keep, _, region in chunks(x, where, cursor):
        if keep is not None:
            block = np.where(keep, block, block.dtype.type(padding))
        with flags.watch():
            if x.shape[-1] == 1:
                slots = tree(fold, line(leaves_of_lines(block, padding)), axis=1)
                slots = tuple(slot[:, None] for slot in slots)
            else:
                leaves = [rows(leaf) for leaf in leaves_of_rows(block)]
                slots = tree(fold, tuple(np.concatenate(field, axis=1) for field in zip(*leaves, strict=True)), axis=1)
        for sink, slot in zip(sinks, slots, strict=True):
            sink[region] = slot
    return flags.raised


def line_fold(op: Any, leaf: Array) -> Array:
    """(outer, leaves, 4096) -> (outer, leaves), in the order of the compiled kernel."""
    v = leaf.reshape(*leaf.shape[:2], -1, BLOCK_ROWS, LANES)
    lane = v[..., 0, :]
    for row in range(1, BLOCK_ROWS):
        lane = op(lane, v[..., row, :])
    width = LANES
    while width > 1:
        width //= 2
        lane = op(lane[..., :width], lane[..., width:])
    folded = tree(lambda a, b: (op(a[0], b[0]),), (lane[..., 0],), axis=2)
    return folded[0]


def rows_fold(op: Any, leaf: Array) -> Array:
    """(outer, leaves, rows, inner) -> (outer, leaves, inner)"""
    total: Array = leaf[:, :, 0]
    for row in range(1, leaf.shape[2]):
        total = op(total, leaf[:, :, row])
    return total


def terms(leaf: Array, acc: np.dtype[Any]) -> Array:
    return leaf.astype(acc)


def numbers(leaf: Array, acc: np.dtype[Any], instead: float = -0.0) -> Array:
    """NaN replaced by what changes no result."""
    return np.where(leaf == leaf, leaf, leaf.dtype.type(instead)).astype(acc)


def squares(leaf: Array, acc: np.dtype[Any]) -> Array:
    v = leaf.astype(acc)
    return np.asarray(v * v)


def zero(x: Array) -> float:
    return -0.0 if x.dtype.kind == "f" else 0


def total(x: Array, where: Array | None, cursor: Array, sink: Array, padding: Any, op: Any, of: Any, fold: Fold) -> int:
    """Kernels with one field: the sum or product of something of each element."""
    acc = np.dtype(np.float64) if sink.dtype.kind == "f" else np.dtype(np.int64)
    return reduce(
        x,
        where,
        cursor,
        (sink.view(acc),),
        padding,
        lambda leaf: (line_fold(op, of(leaf, acc)),),
        lambda leaf: (rows_fold(op, of(leaf, acc)),),
        fold,
    )


def sum(x: Array, where: Array | None, cursor: Array, total_: Array) -> int:
    return total(x, where, cursor, total_, zero(x), np.add, terms, folds.add)


def nansum(x: Array, where: Array | None, cursor: Array, total_: Array) -> int:
    return total(x, where, cursor, total_, np.nan, np.add, numbers, folds.add)


def ss(x: Array, where: Array | None, cursor: Array, total_: Array) -> int:
    return total(x, where, cursor, total_, zero(x), np.add, squares, folds.add)


def prod(x: Array, where: Array | None, cursor: Array, product: Array) -> int:
    return total(x, where, cursor, product, 1, np.multiply, terms, folds.multiply)


def nanprod(x: Array, where: Array | None, cursor: Array, product: Array) -> int:
    return total(x, where, cursor, product, np.nan, np.multiply, partial(numbers, instead=1), folds.multiply)


def nanmean(x: Array, where: Array | None, cursor: Array, total_: Array, count: Array) -> int:
    acc = np.dtype(np.float64)

    def line(leaf: Array) -> Slots:
        return line_fold(np.add, numbers(leaf, acc)), np.sum(leaf == leaf, axis=2)

    def rows(leaf: Array) -> Slots:
        return rows_fold(np.add, numbers(leaf, acc)), np.sum(leaf == leaf, axis=2)

    return reduce(x, where, cursor, (total_, count), np.nan, line, rows, folds.add)


def var(x: Array, where: Array | None, cursor: Array, count: Array, pivot: Array, shift: Array, m2: Array) -> int:
    return variance(x, where, cursor, (count, pivot, shift, m2), skip=False)


def nanvar(x: Array, where: Array | None, cursor: Array, count: Array, pivot: Array, shift: Array, m2: Array) -> int:
    return variance(x, where, cursor, (count, pivot, shift, m2), skip=True)


def variance(x: Array, where: Array | None, cursor: Array, sinks: Slots, *, skip: bool) -> int:
    flags = Flags()
    acc = np.dtype(np.float64)
    for block, keep, _, region in chunks(x, where, cursor):
        if keep is not None:
            block = np.where(keep, block.astype(np.float64) if block.dtype.kind != "f" else block, np.nan)
        with flags.watch():
            if x.shape[-1] == 1:
                used = leaves_of_lines(np.ones(block.shape, dtype=bool), False)
                leaf = leaves_of_lines(block, np.nan if skip else zero(block))
                used = leaf == leaf if skip else used
                slots = tree(folds.moments, leaf_moments(leaf, used, line_fold, acc, skip, axis=2), axis=1)
                slots = tuple(slot[:, None] for slot in slots)
            else:
                leaves = []
                for leaf in leaves_of_rows(block):
                    used = leaf == leaf if skip else np.ones(leaf.shape, dtype=bool)
                    leaves.append(leaf_moments(leaf, used, rows_fold, acc, skip, axis=2))
                joined = tuple(np.concatenate(field, axis=1) for field in zip(*leaves, strict=True))
                slots = tree(folds.moments, joined, axis=1)
        for sink, slot in zip(sinks, slots, strict=True):
            sink[region] = slot
    return flags.raised


def leaf_moments(leaf: Array, used: Array, fold: Any, acc: np.dtype[Any], skip: bool, axis: int) -> Slots:
    """(count, pivot, shift, m2) of each leaf, by the corrected two-pass algorithm."""
    count = np.sum(used, axis=axis).astype(np.float64)
    some = count > 0
    total = fold(np.add, numbers(leaf, acc) if skip else terms(leaf, acc))
    pivot = np.divide(total, count, out=np.zeros_like(count), where=some)
    v = leaf.astype(np.float64)
    d = np.subtract(v, np.expand_dims(pivot, axis), out=np.zeros(v.shape), where=used)
    sum1, sum2 = fold(np.add, d), fold(np.add, d * d)
    overflow = sum2 == np.inf
    mean = np.divide(sum1, count, out=np.zeros_like(count), where=some)
    mean[overflow] = 0.0
    rest = np.subtract(sum2, sum1 * mean, out=sum2.copy(), where=~overflow)
    return count, pivot, mean, np.where(rest < 0, 0.0, rest)
