"""From the arguments of NumPy's sorting functions to passes, or to NumPy where no kernel covers them.

Bad arguments are only noticed here: NumPy is asked, and raises its own error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import doors, settings
from .._engine.arguments import NoValue, as_operand, check_axis, check_out, deliver, is_plain, reduced_axes
from .._engine.delegation import ask_numpy
from .._engine.inputs import elements, is_missing, is_more
from .._engine.registry import REALS
from .._engine.sources import Source
from .._engine.view import Array, in_native
from .._kernels.common import DIFFERENT, EQUAL, NOTHING, RANK_METHODS, ranks
from . import sort_passes
from .reductions import truth
from .sort_passes import POSITION, covered

KINDS = (None, "quicksort", "heapsort", "mergesort", "stable")
SMALL = 8192  # elements up to which the fast path is tried
LOOKED_AT = 256  # from so many floats on it pays to let NumPy sort and to look at the result
POLICIES = (None, "propagate", "omit", "raise")


def line_or_axis(a: Array, axis: Any) -> tuple[Array, int] | None:
    """The array to work on, and a good axis of it; None where NumPy raises."""
    if axis is None:
        return a.reshape(-1), 0
    along = reduced_axes(axis, a.ndim, several=())
    return (a, along[0]) if along else None


def prepare(
    a: Any, axis: Any, kind: Any, order: Any, stable: Any, descending: Any
) -> tuple[Any, tuple[Array, int] | None, dict[str, Any]]:
    """The operand; what kernels sort, if they cover it; and else arguments with which NumPy's sort is stable."""
    a, plain = as_operand(a)
    arguments = {"axis": axis, "kind": kind, "order": order, "stable": stable}
    if descending is not None:  # from NumPy 2.5
        arguments["descending"] = descending
    good = isinstance(kind, (str, type(None))) and kind in KINDS
    good = good and stable in (None, True, False) and descending in (None, True, False)
    if not is_more(a) and good and (kind is None or stable is descending is None):
        arguments |= {"kind": None, "stable": True}
        if plain and order is None and covered(a):
            return a, line_or_axis(in_native(a), axis), arguments
    return a, None, arguments


def mirrored(a: Array, out: Array | None = None) -> Array:
    """The least element the greatest, and so on; NaN stays. Twice, it is `a` again."""
    return np.negative(a, out) if a.dtype.kind == "f" else np.invert(a, out)


def same_memory(a: Array, b: Array) -> bool:
    return a.strides == b.strides and a.__array_interface__["data"] == b.__array_interface__["data"]


def small(name: str, a: Any, axis: Any, dtype: Any, workers: Any) -> Any:
    """The result of the fast path for a small array: elements in order, or positions of `dtype`; None where that does
    not take it."""
    if settings.doors <= 0 or type(a) is not np.ndarray or not 0 < a.ndim <= 2 or type(axis) is not int:
        return None
    if (axis != -1 and axis != a.ndim - 1) or not (workers is None or settings.is_count(workers)):
        return None
    if a.dtype.char not in REALS:
        return None
    if not a.dtype.isnative:
        result = small(name, in_native(a), axis, dtype, workers)
        return result.astype(a.dtype) if dtype is None and result is not None else result
    if dtype is None and a.itemsize >= 4:
        result = numpy_sorted(a)
        if result is not None:
            return result
    if a.size > SMALL:
        return None
    return getattr(doors, name)(a, np.empty(a.shape, dtype or a.dtype))


def numpy_sorted(a: Array) -> Array | None:
    """One line that one worker would sort, or a few small ones, by NumPy's own sort, as `sort_lines` has it: 1000 int64
    take 2.8 instead of 4.0 us. None where NumPy has no vectors for it, or a line of a few has zeros to put in order."""
    n, floats = a.shape[-1], a.dtype.kind == "f"
    if (
        settings.backend() == "v2"
        or a.size > (sort_passes.LONG if a.ndim == 1 else SMALL)
        or (floats and a.size < LOOKED_AT)
    ):
        return None
    if n >= sort_passes.LEAST and not sort_passes.is_for_numpy(a.dtype, n):
        return None
    result = np.sort(a)
    if floats:
        zero = a.dtype.type(0)
        if a.ndim > 1:
            return None if (result == zero).any() else result
        first = result.searchsorted(zero)
        if first < n and result[first] == zero:
            sort_passes.order_zeros(a, result)
    return result


def sort(a: Any, axis: Any, kind: Any, order: Any, stable: Any, descending: Any, out: Any, workers: int | None) -> Any:
    if kind is order is stable is descending is out is None:
        result = small("sort", a, axis, None, workers)
        if result is not None:
            return result
    workers = settings.resolve_workers(workers)
    a, work, arguments = prepare(a, axis, kind, order, stable, descending)
    if work is None:
        good = None if out is None else line_or_axis(a, axis)
        if good is not None:
            check_out(out, good[0].shape, a.dtype)
        result = ask_numpy(np.sort, a, **arguments)
        return result if out is None else deliver(result, out)
    values, along = work
    if out is not None:
        check_out(out, values.shape, values.dtype)
    if is_plain(out) and out.dtype.isnative and (same_memory(out, values) or not np.may_share_memory(out, values)):
        result = np.asarray(out)
    else:
        result = np.empty_like(values, subok=False)
    if values.size:
        sort_passes.sort(mirrored(values) if descending else values, result, along, workers)
        if descending:
            mirrored(result, result)
    return deliver(result if out is not None else result.astype(a.dtype, copy=False), out)


def argsort(a: Any, axis: Any, kind: Any, order: Any, stable: Any, descending: Any, workers: int | None) -> Any:
    if kind is order is stable is descending is None and np.intp is np.int64:
        result = small("argsort", a, axis, POSITION, workers)
        if result is not None:
            return result
    workers = settings.resolve_workers(workers)
    a, work, arguments = prepare(a, axis, kind, order, stable, descending)
    if work is None:
        return ask_numpy(np.argsort, a, **arguments)
    values, along = work
    result = np.empty_like(values, POSITION, subok=False)
    if values.size:
        sort_passes.argsort(mirrored(values) if descending else values, result, along, workers)
    return result.astype(np.intp, copy=False)


def lexsort(keys: Any, axis: Any, workers: int | None) -> Any:
    workers = settings.resolve_workers(workers)
    if isinstance(keys, Source):
        keys = keys.load()
    given: Any = None  # NumPy takes other sequences apart, or complains of what is none
    if isinstance(keys, np.ndarray):
        given = None if is_more(keys) else keys
    elif type(keys) in (list, tuple):
        operands = [as_operand(key) for key in keys]
        keys = type(keys)(key for key, _ in operands)  # of those in a tuple, NumPy asks each for its own answer
        given = keys if all(plain for _, plain in operands) else None
    if given is None or not len(given) or axis is None:
        return lexsort_by_numpy(keys, axis)
    columns = [np.asarray(key) if not covered(key) else in_native(key) for key in given]
    shape = columns[0].shape
    work = line_or_axis(columns[0], axis)
    if work is None or not shape or any(not covered(key) or key.shape != shape for key in columns):
        return lexsort_by_numpy(keys, axis)
    along = work[1]
    result: Array = np.empty(shape, POSITION)
    if result.size:
        sort_passes.lexsort(columns, result, along, workers)
    return result.astype(np.intp, copy=False)


def lexsort_by_numpy(keys: Any, axis: Any) -> Any:
    """NumPy's own reads strings and complex numbers of the other byte order as if they were in the machine's."""
    if isinstance(keys, np.ndarray):
        return np.lexsort(in_native(keys), axis)
    if isinstance(keys, (list, tuple)):
        keys = [in_native(key) if isinstance(key, np.ndarray) else key for key in keys]
    return np.lexsort(keys, axis)


# ---- ranks


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if not isinstance(value, (str, type(None))) or value not in choices:
        named = ", ".join(repr(choice) for choice in choices if choice is not None)
        raise ValueError(f"{name} must be one of {named}, got {value!r}")


def rank(a: Any, axis: Any, method: Any, nan_policy: Any, workers: int | None) -> Array:
    """The ranks, with what the policy says of NaN: an error, or NaN for the whole lane, or for NaN alone."""
    workers = settings.resolve_workers(workers)
    check_choice("method", method, RANK_METHODS)
    check_choice("nan_policy", nan_policy, POLICIES)
    values = elements("a", a)
    if axis is None:
        values, along = values.reshape(-1), 0
    else:
        along = check_axis(axis, values.ndim)
    absent = None
    if nan_policy in ("raise", "propagate") and values.dtype.kind not in "biu":
        absent = truth("anynan", values, along, None, True, NoValue, workers)
        if nan_policy == "raise" and absent.any():
            raise ValueError("The input contains nan values")
    result = ranked(values, along, method, nan_policy, workers)
    if absent is not None:
        np.copyto(result, np.nan, where=absent)
    return result


def ranked(values: Array, along: int, method: str, nan_policy: str | None, workers: int) -> Array:
    """The ranks, where those of NaN are to be left out, or do not matter."""
    missing = DIFFERENT if nan_policy is None else NOTHING
    result = np.empty(values.shape)
    if covered(values):
        values = in_native(values)
        if values.size:
            sort_passes.rank(values, result, along, RANK_METHODS.index(method), missing, workers)
        return result
    for line, output in sort_passes.each_line(values, result, along):
        absent = np.asarray(is_missing(line), np.bool_)
        order = order_of_objects(line, absent) if line.dtype.kind in "OT" else np.argsort(line, kind="stable")
        output[...] = ranks(line, order, RANK_METHODS.index(method), missing, absent=absent)
    return result


def order_of_objects(line: Array, absent: Array) -> Array:
    """Where they are in order, what is missing last: NaN is neither less nor greater, others can't be compared."""
    there = np.flatnonzero(~absent)
    return np.concatenate([there[np.argsort(line[there], kind="stable")], np.flatnonzero(absent)])


# ---- distinct elements


def unique(
    ar: Any, index: Any, inverse: Any, counts: Any, axis: Any, equal_nan: Any, in_order: Any, workers: int | None
) -> Any:
    workers = settings.resolve_workers(workers)
    a, plain = as_operand(ar)
    strings = plain and axis is None and a.dtype.kind == "T" and bool(is_missing(a).any())
    if not plain or axis is not None or not (covered(a) or strings):
        more: dict[str, Any] = {} if in_order else {"sorted": in_order}
        function: Any = np.unique
        return function(a, bool(index), bool(inverse), bool(counts), axis, equal_nan=equal_nan, **more)
    line = in_native(a.reshape(-1))
    if strings:
        found, first, which, times = unique_strings(line, is_missing(line), bool(equal_nan))
    elif not line.size:
        empty = np.empty(0, POSITION)
        found, first, which, times = line.copy(), empty, empty, empty
    else:
        missing = EQUAL if equal_nan else DIFFERENT
        wanted = bool(index), bool(inverse), bool(counts)
        found, first, which, times = sort_passes.unique(line, *wanted, missing, workers)  # type: ignore[assignment]
    results = [found.astype(a.dtype, copy=False)]
    if index:
        results.append(first.astype(np.intp, copy=False))
    if inverse:
        results.append(which.astype(np.intp, copy=False).reshape(a.shape))
    if counts:
        results.append(times.astype(np.intp, copy=False))
    return results[0] if len(results) == 1 else tuple(results)


def unique_strings(line: Array, absent: Array, equal: bool) -> tuple[Array, Array, Array, Array]:
    """Of strings some of which are missing: one more that comes last, or each another. NumPy takes these for the
    greatest of the others, as they are not different from it."""
    there, gaps = np.flatnonzero(~absent), np.flatnonzero(absent)
    found, first, inverse, times = np.unique(line[there], True, True, True)
    which = np.empty(len(line), POSITION)
    which[there] = inverse
    which[gaps] = len(found) + (0 if equal else np.arange(len(gaps)))
    last = gaps[:1] if equal else gaps
    ends = np.full(len(last), len(gaps) if equal else 1)
    return (
        np.concatenate([found, line[last]]),
        np.concatenate([there[first], last]),
        which,
        np.concatenate([times, ends]),
    )


# ---- searching


def searchsorted(a: Any, v: Any, side: Any, sorter: Any, workers: int | None) -> Any:
    workers = settings.resolve_workers(workers)
    a, plain = as_operand(a)
    sought, also_plain = as_operand(v)
    right = side == "right" if isinstance(side, str) and side in ("left", "right") else None
    order = None
    good = plain and also_plain and right is not None and a.ndim == 1 and a.dtype.char + sought.dtype.char != "OO"
    if good and sorter is not None:
        order = np.asarray(sorter)
        good = (
            not is_more(sorter)
            and order.shape == a.shape
            and order.dtype.kind in "iu"
            and np.can_cast(order.dtype, POSITION)
        )
        if good and order.size:
            order = order.astype(POSITION, copy=False)
            good = int(order.min()) >= 0 and int(order.max()) < len(a)
    dtype = None
    if good:
        try:
            dtype = np.promote_types(a.dtype, sought.dtype)
        except TypeError:
            good = False
    if not good or not covered(np.empty(0, dtype)):
        return np.searchsorted(a, v, side, sorter)
    table, keys = a.astype(dtype, copy=False), sought.astype(dtype, copy=False)
    found = sort_passes.search(table, keys, bool(right), order, workers).astype(np.intp, copy=False)
    return found[()] if found.ndim == 0 else found
