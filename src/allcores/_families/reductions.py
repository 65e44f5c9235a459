"""The reductions by kind: dtypes, identities, finish. Public functions of reductions.py are one call to these."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import GeneratorType
from typing import Any

import numpy as np

from .._engine.arguments import NoValue, keepdims_shape, listed, other_dtype
from .._engine.delegation import ask_numpy
from .._engine.fp_warnings import OVER, UNDER, warn_caller
from .._engine.inputs import is_missing, is_more
from .._engine.registry import FUNCTIONS, REDUCTIONS
from .._engine.sources import Source
from .._engine.view import Array, native
from .._kernels.common import Flags, Partials
from .._kernels.folds import multiply
from .lazy_reductions import position_of_all
from .reduction_requests import EXTREMA, Reduction, accumulator, fits, prepare, short_way


def kernel_for(name: str, a: Any) -> str:
    """The kernel of a function for an operand's dtype: integers have no NaN to skip."""
    dtype = a.dtype if isinstance(a, (np.ndarray, Source)) else np.asarray(a).dtype
    return REDUCTIONS[name].plain or name if dtype.kind in "biu" else name


def cast(values: Array, dtype: np.dtype[Any], request: Reduction) -> Array:
    """Round to the result's dtype; where that overflows or underflows, the reduction has."""
    if values.dtype == dtype:
        return values
    flags = Flags()
    with flags.watch():
        values = values.astype(dtype)
    request.call.status |= flags.raised & (OVER | UNDER)
    return values


def divide(total: Array, count: Any, request: Reduction, *, quiet: bool) -> Array:
    """A quotient whose floating-point flags are the request's; `quiet`: not those of 0 / 0."""
    flags = Flags()
    with flags.watch():
        values = np.asarray(np.true_divide(total, count))
    request.call.status |= flags.raised & (OVER | UNDER if quiet else ~0)
    return values


def together(partials: Partials) -> Array:
    """A total, and what its rounding has lost."""
    return partials[0] if len(partials) == 1 else np.add(partials[0], partials[1])


# ---- sum, prod, nansum, nanprod, ss


def result_dtype(natural: np.dtype[Any], a: Array | Source, dtype: Any) -> np.dtype[Any] | None:
    """The dtype of a sum or product where kernels give NumPy's result for it, else None."""
    if dtype is None:
        return natural
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        return None
    if not wanted.isnative:
        return None
    if a.dtype.kind == "f":
        return wanted if wanted in (natural, np.dtype(np.float64)) else None
    # Truncating a 64-bit total is the same as wrapping around at every step.
    return wanted if wanted.kind in "iu" or wanted == np.float64 else None


def total(
    name: str, a: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, initial: Any, where: Any, workers: int | None
) -> Any:
    """sum, prod, nansum, nanprod, ss: a monoid over float64 or 64-bit integers."""
    if isinstance(a, GeneratorType) and name == "sum":
        return ask_numpy(np.sum, a, axis=axis, dtype=dtype, out=out, keepdims=keepdims, initial=initial, where=where)
    a = listed(a)
    small = short_way(name, a, axis, keepdims, workers, dtype=dtype, out=out, where=where, initial=initial)
    if small is not None:
        return small
    kernel = kernel_for(name, a)
    a, request = prepare(kernel, a, axis, out=out, keepdims=keepdims, where=where, workers=workers)
    wanted = None if request is None else result_dtype(accumulator(request.a.dtype), request.a, dtype)
    if (
        request is None
        or wanted is None
        or other_dtype(out, wanted)
        or (initial is not NoValue and not fits(initial, wanted))
    ):
        return ask_numpy(
            numpys(name), a, axis=axis, dtype=dtype, out=out, keepdims=keepdims, initial=initial, where=where
        )
    integers = wanted.kind in "iu"
    op = np.multiply if REDUCTIONS[kernel].fold is multiply else np.add

    def finish(partials: Partials, count: Array | int) -> tuple[Array]:
        values = together(partials)
        if op is np.add and not integers and initial is NoValue:
            values = values + 0.0  # NumPy's sum of nothing but -0.0, or NaN, is 0.0
        if initial is not NoValue:
            first = np.array(initial).astype(np.int64) if integers else np.float64(initial)
            flags = Flags()
            with flags.watch():
                values = op(first, values)
            request.call.status |= 0 if integers else flags.raised
        return (values.view(wanted) if wanted.itemsize == 8 else cast(values, wanted, request),)

    result = request.reduce(kernel, finish, integers=integers)[0]
    if op is np.multiply and request.call.status & UNDER and np.geterr()["under"] != "ignore":
        # Zero is what it ought to be where an element is zero: nothing has underflowed there.
        nonzero = request.reduce("all", lambda partials, count: (partials[0] != 0,))[0]
        if not (nonzero & (np.abs(result) < np.finfo(result.dtype).tiny)).any():
            request.call.status &= ~UNDER
    return request.deliver(result)


# ---- mean, var, std


def mean_dtype(a: Array | Source, dtype: Any) -> np.dtype[Any] | None:
    """The dtype of a mean or variance where kernels give NumPy's result for it, else None."""
    natural = native(a.dtype) if a.dtype.kind == "f" else np.dtype(np.float64)
    if dtype is None:
        return natural
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        return None
    return wanted if wanted in (natural, np.dtype(np.float64)) and wanted.isnative else None


def mean(name: str, a: Any, axis: Any, dtype: Any, out: Any, keepdims: Any, where: Any, workers: int | None) -> Any:
    a = listed(a)
    small = short_way(name, a, axis, keepdims, workers, dtype=dtype, out=out, where=where)
    if small is not None:
        return small
    kernel = kernel_for("nanmean", a) if FUNCTIONS[name].skips_nan else "sum"
    a, request = prepare(kernel, a, axis, out=out, keepdims=keepdims, where=where, workers=workers)
    wanted = None if request is None else mean_dtype(request.a, dtype)
    if request is None or wanted is None or other_dtype(out, wanted):
        return ask_numpy(getattr(np, name), a, axis=axis, dtype=dtype, out=out, keepdims=keepdims, where=where)
    empty = False

    def finish(partials: Partials, count: Array | int) -> tuple[Array]:
        nonlocal empty
        if len(partials) > 2:
            count = partials[2]
        empty = empty or bool(np.any(np.equal(count, 0)))
        return (cast(divide(together(partials[:2]) + 0.0, count, request, quiet=kernel == "nanmean"), wanted, request),)

    result = request.reduce(kernel, finish, counted=True)[0]
    if empty:
        warn_caller("Mean of empty slice" if FUNCTIONS[name].skips_nan else "Mean of empty slice.")
    return request.deliver(result)


def degrees(ddof: Any, correction: Any) -> Any:
    """The argument that was given of the two that mean the same."""
    if correction is NoValue:
        return ddof
    if ddof != 0:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


def variance(
    name: str,
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    ddof: Any,
    keepdims: Any,
    where: Any,
    mean: Any,
    correction: Any,
    workers: int | None,
) -> Any:
    """var, std, nanvar, nanstd"""
    a = listed(a)
    if mean is NoValue and correction is NoValue and type(ddof) in (int, float):
        small = short_way(name, a, axis, keepdims, workers, ddof, dtype=dtype, out=out, where=where)
        if small is not None:
            return small
    kernel = kernel_for("nanvar", a) if FUNCTIONS[name].skips_nan else "var"
    skip = kernel == "nanvar"  # for integers NumPy's nanvar is var
    a, request = prepare(kernel, a, axis, out=out, keepdims=keepdims, where=where, workers=workers)
    wanted = None if request is None else mean_dtype(request.a, dtype)
    free = degrees(ddof, correction)
    centre = None
    if request is not None and mean is not NoValue:
        centre = np.asarray(mean)
        same = centre.dtype.kind in "biuf" and np.result_type(request.a, centre, wanted) == wanted
        if not same or is_more(mean) or centre.shape != keepdims_shape(request.a.shape, request.reduced):
            request = None
    if (
        request is None
        or wanted is None
        or other_dtype(out, wanted)
        or not isinstance(free, (int, float, np.integer, np.floating))
        or (isinstance(free, int) and abs(free) > sys.maxsize)
    ):
        return ask_numpy(
            getattr(np, name),
            a,
            axis=axis,
            dtype=dtype,
            out=out,
            ddof=ddof,
            keepdims=keepdims,
            where=where,
            mean=mean,
            correction=correction,
        )
    masked = request.where is not None
    few = False

    def finish(partials: Partials, count: Array | int) -> tuple[Array, ...]:
        """m2, the count, and the mean where it is to be replaced."""
        nonlocal few
        numbers, pivot, shift, m2 = partials
        if masked and not skip:
            # Masked elements went in as NaN, and were skipped; so were the NaN that `where` selects.
            m2 = np.where(numbers == count, m2, np.nan)
        n = numbers if skip else np.broadcast_to(np.asarray(count, dtype=np.float64), m2.shape)
        few = few or bool(np.any(n - free <= 0))
        if centre is not None:
            return m2, n, pivot, shift
        return (scale(m2, n),)

    def scale(m2: Array, n: Array) -> Array:
        values = divide(m2, np.maximum(n - free, 0), request, quiet=skip)
        if skip:
            values = np.where(n - free <= 0, np.nan, values)
        if FUNCTIONS[name].root:
            values = np.sqrt(values)
        return cast(np.asarray(values), wanted, request)

    # Where `where` selects, the kernel that skips NaN does: what is left out goes in as NaN.
    results = request.reduce("nanvar" if masked else kernel, finish, counted=masked and not skip)
    if few:
        warn_caller("Degrees of freedom <= 0 for slice." if skip else "Degrees of freedom <= 0 for slice")
    if centre is None:
        return request.deliver(results[0], root=FUNCTIONS[name].root)
    m2, n, pivot, shift = results
    flags = Flags()
    with flags.watch():
        offset = (pivot - centre.reshape(m2.shape)) + shift
        around = m2 + n * (offset * offset)
    request.call.status |= flags.raised
    return request.deliver(scale(around, n), root=FUNCTIONS[name].root)


# ---- min, max, ptp and positions


def extremum(
    name: str, a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any, workers: int | None
) -> Any:
    """min, max, nanmin, nanmax"""
    a = listed(a)
    if where is NoValue or initial is not NoValue:
        small = short_way(name, a, axis, keepdims, workers, out=out, where=where, initial=initial)
        if small is not None:
            return small
    kernel = kernel_for(name, a)
    a, request = prepare(kernel, a, axis, out=out, keepdims=keepdims, where=where, workers=workers)
    if (
        request is None
        or other_dtype(out, native(request.a.dtype))
        or (request.where is not None and initial is NoValue)
        or (initial is not NoValue and not fits(initial, request.a.dtype))
    ):
        return ask_numpy(getattr(np, name), a, axis=axis, out=out, keepdims=keepdims, initial=initial, where=where)
    empty = False

    def finish(partials: Partials, count: Array | int) -> tuple[Array]:
        nonlocal empty
        values = partials[0]
        if initial is not NoValue:
            values = EXTREMA[name](values.dtype.type(initial), values)
        if REDUCTIONS[kernel].plain:
            empty = empty or bool(np.isnan(values).any())
        return (np.asarray(values),)

    result = request.reduce(kernel, finish)[0]
    if empty:
        warn_caller("All-NaN slice encountered")
    return request.deliver(result)


def extent(a: Any, axis: Any, out: Any, keepdims: Any, workers: int | None) -> Any:
    """ptp"""
    a = listed(a)
    small = short_way("ptp", a, axis, keepdims, workers, out=out)
    if small is not None:
        return small
    a, request = prepare("ptp", a, axis, out=out, keepdims=keepdims, workers=workers)
    if request is None or other_dtype(out, native(request.a.dtype)):
        return ask_numpy(np.ptp, a, axis=axis, out=out, keepdims=keepdims)

    def finish(partials: Partials, count: Array | int) -> tuple[Array]:
        return (np.asarray(np.subtract(partials[1], partials[0])),)

    return request.deliver(request.reduce("ptp", finish)[0])


def position(name: str, a: Any, axis: Any, out: Any, keepdims: Any, workers: int | None) -> Any:
    """argmin, argmax, nanargmin, nanargmax"""
    a = listed(a)
    if type(axis) is not tuple:
        small = short_way(name, a, axis, keepdims, workers, out=out)
        if small is not None:
            return small
    kernel = kernel_for(name, a)
    a, request = prepare(kernel, a, axis, out=out, keepdims=keepdims, workers=workers, same_axes=False)
    if request is None or other_dtype(out, np.intp):
        return ask_numpy(getattr(np, name), a, axis=axis, out=out, keepdims=keepdims)
    if axis is None:
        result = np.asarray(position_of_all(kernel, request.a, request.call))
    else:

        def finish(partials: Partials, count: Array | int) -> tuple[Array]:
            return (partials[1],)

        result = request.reduce(kernel, finish)[0]
    if REDUCTIONS[kernel].plain and np.any(result < 0):
        raise ValueError("All-NaN slice encountered")
    return request.deliver(result.astype(np.intp, copy=False))


# ---- any, all, anynan, allnan and counts


def truth(name: str, a: Any, axis: Any, out: Any, keepdims: Any, where: Any, workers: int | None) -> Any:
    """any, all, anynan, allnan"""
    a = listed(a)
    small = short_way(name, a, axis, keepdims, workers, out=out, where=where)
    if small is not None:
        return small
    a, request = prepare(name, a, axis, out=out, keepdims=keepdims, where=where, workers=workers)
    if request is None or other_dtype(out, np.bool_):
        return ask_numpy(numpys(name), a, axis=axis, out=out, keepdims=keepdims, where=where)

    def finish(partials: Partials, count: Array | int) -> tuple[Array]:
        return (partials[0].view(np.bool_),)

    return request.deliver(request.reduce(name, finish)[0])


def count(name: str, a: Any, axis: Any, keepdims: Any, workers: int | None) -> Any:
    """count_nonzero, nancount"""
    a = listed(a)
    small = short_way(name, a, axis, keepdims, workers)
    if small is not None:
        return small
    a, request = prepare(name, a, axis, keepdims=keepdims, workers=workers)
    if request is None:
        return ask_numpy(numpys(name), a, axis=axis, keepdims=keepdims)

    def finish(partials: Partials, count: Array | int) -> tuple[Array]:
        return (partials[0].astype(np.intp, copy=False),)

    result = request.deliver(request.reduce(name, finish)[0])
    return SCALARS[name](result) if name in SCALARS and axis is None and not keepdims else result


# int in NumPy before 2.4, np.intp since.
COUNT_TYPE: Any = type(np.count_nonzero(np.ones(1)))
SCALARS = {"count_nonzero": COUNT_TYPE}


# ---- what NumPy has instead, for what no kernel covers


def numpys(name: str) -> Callable[..., Any]:
    """NumPy's function, or what says the same with those that NumPy has."""
    return EXPRESSIONS.get(name) or getattr(np, name)


def np_ss(a: Any, **arguments: Any) -> Any:
    wide = a.astype(accumulator(a.dtype), copy=False) if a.dtype.kind in "biu" else a
    return np.sum(np.multiply(wide, wide), **arguments)


def np_anynan(a: Any, **arguments: Any) -> Any:
    return np.any(is_missing(a), **arguments)


def np_allnan(a: Any, **arguments: Any) -> Any:
    return np.all(is_missing(a), **arguments)


def np_nancount(a: Any, keepdims: Any = False, **arguments: Any) -> Any:
    if keepdims is not False:  # which not all subclasses know
        arguments["keepdims"] = keepdims
    return np.sum(np.logical_not(is_missing(a)), dtype=np.intp, **arguments)


EXPRESSIONS: dict[str, Callable[..., Any]] = {
    "ss": np_ss,
    "anynan": np_anynan,
    "allnan": np_allnan,
    "nancount": np_nancount,
}
