"""Types of the functions of arrays, as users see them: checked by mypy and pyright, and called by test_typing.py.

Where arguments decide between a scalar and an array, NumPy's own annotations mostly say Any, and so do ours. What is
wrong on purpose carries the error that it must give; a comment that is not needed is an error itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
from numpy.typing import NDArray

import allcores as ac

Float = NDArray[np.float32]
floats: Float = np.arange(12, dtype=np.float32).reshape(3, 4)
integers: NDArray[np.int64] = np.arange(12)
into = np.empty(4)


def reductions() -> None:
    assert_type(ac.nansum(floats), Any)
    assert_type(ac.nansum(floats, axis=0), Any)
    assert_type(ac.sum([1, 2, 3], dtype=np.float64, initial=1, where=[True, False, True]), Any)
    ac.nanmean(floats, (0, 1), keepdims=True, workers=2)
    ac.var(floats, axis=0, ddof=1, out=into)
    ac.max(floats, axis=-1, initial=0.0, where=floats > 1)
    ac.nanargmin(floats, axis=0)
    ac.count_nonzero(floats, axis=(0, 1))
    ac.anynan(floats, 0)
    if TYPE_CHECKING:
        ac.nansum(floats, axis="columns")  # type: ignore[arg-type]
        ac.nansum(floats, worker=2)  # type: ignore[call-arg]
        ac.nansum(floats, workers="all")  # type: ignore[arg-type]
        ac.var(floats, None, None, None, 1, False, 2)  # type: ignore[call-arg]
        ac.ss(floats, out=[0.0])  # type: ignore[call-arg]


def order_statistics() -> None:
    assert_type(ac.median(floats, axis=0), Any)
    assert_type(ac.nanquantile(floats, [0.25, 0.75], axis=1, method="hazen"), Any)
    assert_type(ac.partition(floats, 2), Float)
    assert_type(ac.partition([3, 1, 2], [0, 1]), NDArray[Any])
    assert_type(ac.argpartition(floats, 2), NDArray[np.intp])
    values, positions = ac.topk(floats, 2, largest=False)
    assert_type(values, Float)
    assert_type(positions, NDArray[np.intp])
    if TYPE_CHECKING:
        ac.quantile(floats)  # type: ignore[call-arg]
        ac.topk(floats, 2, 0, False)  # type: ignore[call-overload]


def sorting() -> None:
    assert_type(ac.sort(integers), NDArray[np.int64])
    assert_type(ac.sort([3, 1, 2], stable=True, descending=True), NDArray[Any])
    assert_type(ac.argsort(integers), NDArray[np.intp])
    assert_type(ac.lexsort((integers, integers)), NDArray[np.intp])
    assert_type(ac.rankdata(floats, axis=0), NDArray[np.float64])
    assert_type(ac.searchsorted(integers, 3, side="right"), Any)
    assert_type(ac.unique(integers), NDArray[np.int64])
    assert_type(ac.unique(integers, return_counts=True), Any)
    assert_type(ac.unique_values(floats), Float)
    assert_type(ac.unique_counts(floats).counts, NDArray[np.intp])
    if TYPE_CHECKING:
        ac.sort(integers, out=[0])  # type: ignore[call-overload]
        ac.unique_values(x=integers)  # type: ignore[call-overload]


def windows() -> None:
    assert_type(ac.move_mean(floats, 2, min_count=1, center=True), NDArray[Any])
    assert_type(ac.move_quantile(floats, 2, [0.1, 0.9], axis=0), NDArray[Any])
    ac.move_var(floats, 2, 1, -1, 1)
    ac.move_cov(floats, floats, 2, ddof=1)
    ac.move_cov(ac.open(floats), floats, 2, executor=None)
    if TYPE_CHECKING:
        ac.move_mean(floats)  # type: ignore[call-arg]
        ac.move_mean(floats, 2.5)  # type: ignore[arg-type]
        ac.move_mean(floats, 2, None, -1, into)  # type: ignore[call-arg]


def scans() -> None:
    assert_type(ac.push(floats, 2), NDArray[Any])
    assert_type(ac.ffill(floats, limit=2, axis=0), NDArray[Any])
    assert_type(ac.move_exp_nanmean(floats, 0.5), NDArray[Any])
    assert_type(ac.bfill(ac.open(floats), executor=None), NDArray[Any])
    assert_type(ac.replace(floats.copy(), 0, 1), Float)
    if TYPE_CHECKING:
        ac.replace([1.0, 2.0], 1, 0)  # type: ignore[arg-type]


def fallback() -> None:
    assert_type(ac.fallback.sort(integers), NDArray[np.int64])
    ac.fallback.nansum(floats, axis=0, keepdims=True)
    if TYPE_CHECKING:
        ac.fallback.nansum(floats, worker=2)  # type: ignore[call-arg]
        ac.fallback.nonsense(floats)  # type: ignore[attr-defined]


FUNCTIONS: list[Callable[[], None]] = [reductions, order_statistics, sorting, windows, scans, fallback]
