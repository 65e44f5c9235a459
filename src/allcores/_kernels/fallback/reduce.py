"""Sums, products and variances; the compiled twin is ext/reduce.pyx.

A line is read as blocks of 8 rows of 32 lanes: rows are added down each lane, then the lanes in halves, then the blocks
in neighbour pairs. Columns are added down the 32 rows of a leaf. Then leaves fold in neighbour pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import folds
from ..common import Array, Flags, Fold, Partials, tree
from .drive import BLOCK, LANES, LINE_LEAF, chunks, leaves_of_lines, leaves_of_rows

Line = Callable[[Array, int], Partials]  # all leaves of a chunk side by side, and the elements in the last one
Rows = Callable[[Array], Partials]


def reduce(
    x: Array, where: Array | None, cursor: Array, outputs: Partials, padding: Any, line: Line, rows: Rows, fold: Fold
) -> int:
    """Run the leaf functions over the chunks that this worker claims; return the floating-point flags raised."""
    flags = Flags()
    for block, keep, _, region in chunks(x, where, cursor):
        if keep is not None:
            block = np.where(keep, block, block.dtype.type(padding))
        with flags.watch():
            if x.shape[-1] == 1:
                partials = tree(fold, line(leaves_of_lines(block, padding), in_last_leaf(block)), axis=1)
                partials = tuple(field[:, None] for field in partials)
            else:
                leaves = [rows(leaf) for leaf in leaves_of_rows(block)]
                partials = tree(
                    fold, tuple(np.concatenate(field, axis=1) for field in zip(*leaves, strict=True)), axis=1
                )
        for output, field in zip(outputs, partials, strict=True):
            output[region] = field
    return flags.raised


def in_last_leaf(block: Array) -> int:
    """How many elements the last leaf of a chunk (outer, n, 1) has."""
    return int((block.shape[1] - 1) % LINE_LEAF + 1)


def lanes_fold(op: Any, leaf: Array) -> Array:
    """(outer, leaves, 4096) -> (outer, leaves, blocks): down each lane of a block, then the lanes in halves."""
    rows = min(BLOCK, leaf.shape[2]) // LANES
    v = leaf.reshape(*leaf.shape[:2], -1, rows, LANES)
    lane = v[..., 0, :]
    for row in range(1, rows):
        lane = op(lane, v[..., row, :])
    width = LANES
    while width > 1:
        width //= 2
        lane = op(lane[..., :width], lane[..., width:])
    return np.asarray(lane[..., 0])


def line_product(leaf: Array) -> Array:
    """(outer, leaves, 4096) -> (outer, leaves)"""
    return tree(folds.multiply, (lanes_fold(np.multiply, leaf),), axis=2)[0]


def line_sum(leaf: Array, n: int) -> Partials:
    """(outer, leaves, 4096) -> (outer, leaves), and what the last two levels lost; the last leaf has n elements."""
    blocks = lanes_fold(np.add, leaf)
    total, rest = blocks_sum(blocks)
    if n < leaf.shape[2]:
        total[:, -1:], rest[:, -1:] = blocks_sum(blocks[:, -1:, : -(-n // BLOCK)])
    return total, rest


def line_total(leaf: Array, n: int) -> Array:
    return np.add(*line_sum(leaf, n))


def blocks_sum(blocks: Array) -> Partials:
    """Add neighbours in pairs, one left over with the last pair. The last two levels keep what their rounding loses."""
    while blocks.shape[2] > 4:
        pairs = blocks[..., :-1:2] + blocks[..., 1::2]
        if blocks.shape[2] % 2:
            pairs[..., -1] += blocks[..., -1]
        blocks = pairs
    rest = np.full(blocks.shape[:2], -0.0)
    if blocks.shape[2] == 1:
        return blocks[..., 0], rest
    total, lost = folds.two_sum(blocks[..., 0], blocks[..., 1])
    rest += lost
    if blocks.shape[2] > 2:
        more = blocks[..., 2]
        if blocks.shape[2] == 4:
            more, lost = folds.two_sum(more, blocks[..., 3])
            rest += lost
        total, lost = folds.two_sum(total, more)
        rest += lost
    return total, rest


def rows_fold(op: Any, leaf: Array) -> Array:
    """(outer, leaves, rows, inner) -> (outer, leaves, inner)"""
    total: Array = leaf[:, :, 0]
    for row in range(1, leaf.shape[2]):
        total = op(total, leaf[:, :, row])
    return total


def terms(leaf: Array, acc: np.dtype[Any]) -> Array:
    return leaf.astype(acc)


def numbers(leaf: Array, acc: np.dtype[Any], instead: float = -0.0) -> Array:
    """The elements, with NaN replaced by a number that changes no result."""
    return np.where(leaf == leaf, leaf, leaf.dtype.type(instead)).astype(acc)


def squares(leaf: Array, acc: np.dtype[Any]) -> Array:
    v = leaf.astype(acc)
    return np.asarray(v * v)


def zero(x: Array) -> float:
    return -0.0 if x.dtype.kind == "f" else 0


def total(x: Array, where: Array | None, cursor: Array, outputs: Partials, padding: Any, of: Any) -> int:
    """A kernel that adds up something of each element, in 64-bit integers, or in float64 with what rounding loses."""
    if len(outputs) == 1:
        int64 = np.dtype(np.int64)

        def exact(leaf: Array) -> Partials:
            return (of(leaf, int64).sum(axis=2, dtype=int64),)

        outputs = (outputs[0].view(int64),)
        return reduce(x, where, cursor, outputs, padding, lambda leaf, n: exact(leaf), exact, folds.total)
    float64 = np.dtype(np.float64)

    def line(leaf: Array, n: int) -> Partials:
        return line_sum(of(leaf, float64), n)

    def rows(leaf: Array) -> Partials:
        return rows_sum(of(leaf, float64))

    return reduce(x, where, cursor, outputs, padding, line, rows, folds.total)


def rows_sum(leaf: Array) -> Partials:
    total = rows_fold(np.add, leaf)
    return total, np.full_like(total, -0.0)


def sum(x: Array, where: Array | None, cursor: Array, *outputs: Array) -> int:
    return total(x, where, cursor, outputs, zero(x), terms)


def nansum(x: Array, where: Array | None, cursor: Array, *outputs: Array) -> int:
    return total(x, where, cursor, outputs, np.nan, numbers)


def ss(x: Array, where: Array | None, cursor: Array, *outputs: Array) -> int:
    return total(x, where, cursor, outputs, zero(x), squares)


def product(x: Array, where: Array | None, cursor: Array, output: Array, padding: Any, of: Any) -> int:
    acc = np.dtype(np.float64) if output.dtype.kind == "f" else np.dtype(np.int64)
    return reduce(
        x,
        where,
        cursor,
        (output.view(acc),),
        padding,
        lambda leaf, n: (line_product(of(leaf, acc)),),
        lambda leaf: (rows_fold(np.multiply, of(leaf, acc)),),
        folds.multiply,
    )


def prod(x: Array, where: Array | None, cursor: Array, output: Array) -> int:
    return product(x, where, cursor, output, 1, terms)


def nanprod(x: Array, where: Array | None, cursor: Array, output: Array) -> int:
    return product(x, where, cursor, output, np.nan, partial(numbers, instead=1))


def nanmean(x: Array, where: Array | None, cursor: Array, total_: Array, rest: Array, count: Array) -> int:
    acc = np.dtype(np.float64)

    def line(leaf: Array, n: int) -> Partials:
        return *line_sum(numbers(leaf, acc), n), np.sum(leaf == leaf, axis=2)

    def rows(leaf: Array) -> Partials:
        return *rows_sum(numbers(leaf, acc)), np.sum(leaf == leaf, axis=2)

    return reduce(x, where, cursor, (total_, rest, count), np.nan, line, rows, folds.total)


def var(x: Array, where: Array | None, cursor: Array, count: Array, pivot: Array, shift: Array, m2: Array) -> int:
    return variance(x, where, cursor, (count, pivot, shift, m2), skip=False)


def nanvar(x: Array, where: Array | None, cursor: Array, count: Array, pivot: Array, shift: Array, m2: Array) -> int:
    return variance(x, where, cursor, (count, pivot, shift, m2), skip=True)


def variance(x: Array, where: Array | None, cursor: Array, outputs: Partials, *, skip: bool) -> int:
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
                partials = leaf_moments(leaf, used, partial(line_total, n=in_last_leaf(block)), acc, skip)
                partials = tree(folds.moments, partials, axis=1)
                partials = tuple(field[:, None] for field in partials)
            else:
                leaves = []
                for leaf in leaves_of_rows(block):
                    used = leaf == leaf if skip else np.ones(leaf.shape, dtype=bool)
                    leaves.append(leaf_moments(leaf, used, partial(rows_fold, np.add), acc, skip))
                joined = tuple(np.concatenate(field, axis=1) for field in zip(*leaves, strict=True))
                partials = tree(folds.moments, joined, axis=1)
        for output, field in zip(outputs, partials, strict=True):
            output[region] = field
    return flags.raised


def leaf_moments(leaf: Array, used: Array, add: Callable[[Array], Array], acc: np.dtype[Any], skip: bool) -> Partials:
    """(count, pivot, shift, m2) of each leaf, whose elements are along axis 2, by the corrected two-pass algorithm."""
    count = np.sum(used, axis=2).astype(np.float64)
    some = count > 0
    total = add(numbers(leaf, acc) if skip else terms(leaf, acc))
    pivot = np.divide(total, count, out=np.zeros_like(count), where=some)
    v = leaf.astype(np.float64)
    d = np.subtract(v, np.expand_dims(pivot, 2), out=np.zeros(v.shape), where=used)
    sum1, sum2 = add(d), add(d * d)
    overflow = sum2 == np.inf
    mean = np.divide(sum1, count, out=np.zeros_like(count), where=some)
    mean[overflow] = 0.0
    rest = np.subtract(sum2, np.where(overflow, 0.0, sum1) * mean, out=sum2.copy(), where=~overflow)
    return count, pivot, mean, np.where(rest < 0, 0.0, rest)
