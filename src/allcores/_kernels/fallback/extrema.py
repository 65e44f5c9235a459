"""Extrema and their positions; the compiled twin is ext/extrema.pyx.

NumPy finds the value, in whatever order it looks. What it leaves open is decided by position: the first of equal zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..common import Array
from .drive import chunks


def ends(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The lowest and the highest value of a dtype."""
    if dtype.kind == "f":
        return dtype.type(-np.inf), dtype.type(np.inf)
    if dtype.kind == "b":
        return np.False_, np.True_
    info = np.iinfo(dtype)
    return dtype.type(info.min), dtype.type(info.max)


def position(block: Array, *, greatest: bool, skip: bool) -> Array:
    """Where the first extremum along axis 1 of (outer, n, inner) is; -1 where there is nothing but NaN."""
    if not skip:
        # argmin and argmax return the first NaN, or if there is none the first of equal elements.
        return np.asarray(block.argmax(axis=1) if greatest else block.argmin(axis=1))
    low, high = ends(block.dtype)
    number = block == block
    filled = np.where(number, block, low if greatest else high)
    index = filled.argmax(axis=1) if greatest else filled.argmin(axis=1)
    # An infinity that stands for NaN may have come before a real one.
    chosen = np.take_along_axis(filled, index[:, None], axis=1)
    index = ((filled == chosen) & number).argmax(axis=1)
    return np.where(number.any(axis=1), index, -1)


def search(
    x: Array, where: Array | None, cursor: Array, value: Array, index: Array | None, *, greatest: bool, skip: bool
) -> int:
    low, high = ends(x.dtype)
    for block, keep, start, region in chunks(x, where, cursor):
        if keep is not None:
            block = np.where(keep, block, x.dtype.type(np.nan) if skip else low if greatest else high)
        at = position(block, greatest=greatest, skip=skip)
        found = np.take_along_axis(block, np.maximum(at, 0)[:, None], axis=1)[:, 0]
        value[region] = found if index is not None or not skip else np.where(at < 0, x.dtype.type(np.nan), found)
        if index is not None:
            index[region] = np.where(at < 0, -1, at + start)
    return 0


def min(x: Array, where: Array | None, cursor: Array, value: Array) -> int:
    return search(x, where, cursor, value, None, greatest=False, skip=False)


def max(x: Array, where: Array | None, cursor: Array, value: Array) -> int:
    return search(x, where, cursor, value, None, greatest=True, skip=False)


def nanmin(x: Array, where: Array | None, cursor: Array, value: Array) -> int:
    return search(x, where, cursor, value, None, greatest=False, skip=True)


def nanmax(x: Array, where: Array | None, cursor: Array, value: Array) -> int:
    return search(x, where, cursor, value, None, greatest=True, skip=True)


def argmin(x: Array, where: Array | None, cursor: Array, value: Array, index: Array) -> int:
    return search(x, where, cursor, value, index, greatest=False, skip=False)


def argmax(x: Array, where: Array | None, cursor: Array, value: Array, index: Array) -> int:
    return search(x, where, cursor, value, index, greatest=True, skip=False)


def nanargmin(x: Array, where: Array | None, cursor: Array, value: Array, index: Array) -> int:
    return search(x, where, cursor, value, index, greatest=False, skip=True)


def nanargmax(x: Array, where: Array | None, cursor: Array, value: Array, index: Array) -> int:
    return search(x, where, cursor, value, index, greatest=True, skip=True)


def ptp(x: Array, where: Array | None, cursor: Array, low: Array, high: Array) -> int:
    for block, _, _, region in chunks(x, where, cursor):
        for output, greatest in ((low, False), (high, True)):
            at = position(block, greatest=greatest, skip=False)
            output[region] = np.take_along_axis(block, at[:, None], axis=1)[:, 0]
    return 0
