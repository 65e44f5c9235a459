"""Truth and counts; the compiled twin is ext/truth.pyx."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..common import Array
from . import drive
from .drive import END, NEXT, chunks


def look(
    x: Array, where: Array | None, cursor: Array, output: Array, padding: int, answer: Callable[[Array], Array]
) -> int:
    """Write one answer a column of each chunk. Where there is one answer in all, stop as soon as it is known."""
    single = output[0].size == 1
    for block, keep, _, region in chunks(x, where, cursor):
        if keep is not None:
            block = np.where(keep, block, x.dtype.type(padding))
        output[region] = answer(block)
        if single and output.dtype == np.uint8 and output[region] != padding:
            with drive.alone_at(cursor):
                cursor[NEXT] += cursor[END]
    return 0


def any(x: Array, where: Array | None, cursor: Array, truth: Array) -> int:
    return look(x, where, cursor, truth, 0, lambda block: (block != 0).any(axis=1))


def all(x: Array, where: Array | None, cursor: Array, truth: Array) -> int:
    return look(x, where, cursor, truth, 1, lambda block: (block != 0).all(axis=1))


def anynan(x: Array, where: Array | None, cursor: Array, truth: Array) -> int:
    return look(x, where, cursor, truth, 0, lambda block: (block != block).any(axis=1))


def allnan(x: Array, where: Array | None, cursor: Array, truth: Array) -> int:
    return look(x, where, cursor, truth, 1, lambda block: (block != block).all(axis=1))


def count_nonzero(x: Array, where: Array | None, cursor: Array, count: Array) -> int:
    return look(x, where, cursor, count, 0, lambda block: np.count_nonzero(block, axis=1))


def nancount(x: Array, where: Array | None, cursor: Array, count: Array) -> int:
    return look(x, where, cursor, count, 0, lambda block: np.count_nonzero(block == block, axis=1))
