"""What a call is given, as arrays: what is not in memory, what libraries mark as missing, masks and other meanings."""

from __future__ import annotations

from numbers import Complex, Number, Real
from typing import Any

import numpy as np

from .sources import as_source
from .view import Array


def in_memory(a: Any) -> Array:
    """An array-like as an array.

    A source is loaded, which fails where it is not there or is beyond the budget. Libraries that mark missing values
    (pandas, pyarrow, polars) have no dtype of NumPy's for truth values among which some are missing, and give objects.
    These become float64, with NaN for None and NA, as missing numbers do anyway. Lists, and what is a single object to
    NumPy (None), keep NumPy's meaning.
    """
    if type(a) is np.ndarray:
        return a
    source = as_source(a)
    if source is not None:
        return source.load()
    array: Array = np.asarray(a)
    marks = array.dtype.kind == "O" and array.ndim > 0 and not isinstance(a, (list, tuple, np.ndarray))
    return with_nan(array) if marks else array


def with_nan(array: Array) -> Array:
    """Objects of which some are missing and the others are numbers, as float64; others as they are.

    The missing time of pandas is among numbers a missing number; by itself it is a time.
    """
    values = array.ravel().tolist()
    kinds = set(map(type, values))
    missing = {kind for kind in kinds if kind is type(None) or kind.__name__ in ("NAType", "NaTType")}
    numbers = all(map(is_real, kinds - missing))
    if not missing or not numbers or {kind.__name__ for kind in kinds} == {"NaTType"}:
        return array
    return np.array([np.nan if type(v) in missing else float(v) for v in values], np.float64).reshape(array.shape)


def is_real(kind: type) -> bool:
    """Whether a type is one of real numbers. Decimals are numbers, but neither real nor complex ones."""
    return issubclass(kind, (Real, np.bool_)) or (issubclass(kind, Number) and not issubclass(kind, Complex))


def with_integers(array: Array) -> Array:
    """Objects that are integers as int64, or as uint64 where these have them all; others as they are."""
    values = array.ravel().tolist()
    if not values or not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
        return array
    least, most = min(values), max(values)
    for dtype in (np.int64, np.uint64):
        bounds = np.iinfo(dtype)
        if bounds.min <= least and most <= bounds.max:
            return np.array(values, dtype).reshape(array.shape)
    return array


# ---- what is more than its elements: the one rule for subclasses of ndarray, which docs/subclasses.md tells
#
#     a function that NumPy has          gets all of them as they are: NumPy's own function answers (`is_more`)
#     one that NumPy does not have       masked elements are missing; no other meaning is lost silently (`elements`)

PROTOCOLS = ("__array_function__", "__array_ufunc__", "__array_wrap__")


def is_more(a: Any) -> bool:
    """Whether the type of an array may give its elements a meaning: masks, matrices, quantities; memmaps do not."""
    return type(a) is not np.ndarray and isinstance(a, np.ndarray) and not isinstance(a, np.memmap)


def elements(name: str, a: Any) -> Array:
    """The plain array that a function works on which NumPy does not have.

    Masked elements become NaN or NaT; integers and bools of which some are masked become float64. A subclass that
    takes part in NumPy's protocols has a meaning that a plain result would lose: an error. Others are the array that
    they are.
    """
    if isinstance(a, np.ma.MaskedArray):
        if np.ma.is_masked(a):
            a = a.astype(np.float64) if a.dtype.kind in "biu" else a
            missing: Any = np.array("NaT", a.dtype) if a.dtype.kind in "mM" else np.nan
            a = np.ma.filled(a, missing)
    elif is_more(a) and any(getattr(type(a), method) is not getattr(np.ndarray, method) for method in PROTOCOLS):
        kind = type(a).__name__
        raise TypeError(f"{name} is of type {kind}, whose meaning the result would lose: give numpy.asarray({name})")
    values = in_memory(a)
    if values.dtype.names is not None and values.dtype.kind != "V":
        values = values.view(values.dtype.str)  # integers that have fields as well
    return values


def is_missing(a: Any) -> Any:
    """Where elements are NaN, NaT or missing strings; nothing is, in dtypes without one."""
    if a.dtype.kind == "T":
        absent = getattr(a.dtype, "na_object", "")
        if isinstance(absent, (str, float)):
            return np.isnan(a)
        return np.frompyfunc(lambda string: string is absent, 1, 1)(a.astype(object)).astype(bool)
    if a.dtype.kind not in "fcOmM" and not is_more(a):
        return np.zeros(a.shape, dtype=bool)
    try:
        return np.not_equal(a, a)
    except TypeError:
        if a.dtype.kind != "O" or is_more(a):
            raise
    return np.frompyfunc(is_gap, 1, 1)(a).astype(bool)  # five times as long


def is_gap(value: Any) -> bool:
    """Whether an object differs from itself, as NaN does, or does not say: pandas' NA."""
    return type(value).__name__ == "NAType" or bool(value != value)
