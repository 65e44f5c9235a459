"""Medians and quantiles: from the arguments of NumPy's signatures to ranks, and from elements to results.

Kernels select elements. Everything that is computed of these is computed here, by NumPy, in NumPy's order of operations
and dtypes. So nothing is rounded in another way, and results have NumPy's bits, also for float16 and other byte orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .._engine import doors, settings
from .._engine.arguments import NoValue, Request, as_operand, listed, other_dtype, reduced_axes
from .._engine.delegation import ask_numpy
from .._engine.execute import Call
from .._engine.fp_warnings import warn_caller
from .._engine.inputs import is_more
from .._engine.registry import FUNCTIONS, SELECTIONS
from .._engine.sources import Source
from .._engine.view import Array, in_native, native
from .._kernels.common import PARAMETERS, QUANTILE_METHODS
from . import weighted_quantiles
from .lazy_quantiles import select_from
from .selection import select_along

CELLS = SELECTIONS["pick"].cells
SMALL = 16384  # up to so many elements one core is done before a second one would have begun
MEDIAN = QUANTILE_METHODS.index("median")
DISCRETE = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
BETWEEN = tuple(method for method in QUANTILE_METHODS[:MEDIAN] if method not in DISCRETE)  # whose results are float64


@dataclass(slots=True)
class Selection(Request):
    """Elements of given ranks, of an array whose dtype has a kernel, or of a source."""

    dtype: np.dtype[Any]  # that of the user's array
    searched: np.dtype[Any]  # that of the kernel
    workers: int

    def pick(self, ranks: Any, skip: bool) -> tuple[Array, Array]:
        """Elements of some ranks in the user's dtype, and how many numbers each line has."""
        if isinstance(self.a, Source) or settings.sends_arrays():
            values, counts = select_from(self.a, self.searched, self.reduced, ranks, skip, Call(self.workers))
        else:
            values, counts = select_along(self.a, self.reduced, ranks, skip, self.workers)
        return values.astype(self.dtype, copy=False), counts


def kernel_dtype(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The dtype in which elements are searched, which loses nothing; None where there is none."""
    if dtype.char == "e":
        return np.dtype(np.float32)
    return native(dtype) if dtype.char in CELLS and dtype.names is None else None


def prepare(
    a: Any, axis: Any, out: Any, keepdims: Any, dtype: Any, leading: tuple[int, ...], workers: int
) -> Selection | None:
    """A request if kernels cover the call; None where NumPy answers, or raises. `dtype` is that of the result."""
    if a.ndim == 0 or a.size == 0 or not (keepdims is NoValue or isinstance(keepdims, (bool, np.bool_))):
        return None
    searched = kernel_dtype(a.dtype)
    reduced = reduced_axes(axis, a.ndim, (tuple, list))
    if searched is None or not reduced:
        return None
    keep = keepdims is not NoValue and bool(keepdims)
    request = Selection(a, reduced, out, keep, a.dtype, searched, workers)
    if other_dtype(out, native(dtype)) or not request.has_room(leading):
        return None
    if isinstance(a, np.ndarray) and a.dtype != searched:
        request.a = a.astype(searched)
    return request


def operand(a: Any) -> tuple[Any, bool]:
    """The array or source to work on, and whether it is a plain one. Small sources are like any array."""
    a = listed(a)
    if isinstance(a, Source) and a.size > SMALL:
        return a, True
    return as_operand(a)


def answer(name: str, a: Any, **given: Any) -> Any:
    return ask_numpy(getattr(np, name), a, **given)


def warn_of_empty(counts: Array, skip: bool) -> None:
    if skip and not counts.all():
        warn_caller("All-NaN slice encountered")


def short_way(a: Any, q: float, method: int, axis: Any, skip: bool, workers: Any) -> Any:
    """The result of a small array of one dimension by its door; None where that does not take it."""
    if (
        type(a) is not np.ndarray
        or a.ndim != 1
        or a.size > SMALL
        or not (axis is None or (type(axis) is int and axis in (0, -1)))
    ):
        return None
    if not (workers is None or settings.is_count(workers)) or settings.sends_arrays():
        return None
    value = doors.quantile(a, q, method, skip)
    return None if value is None else np.float32(value) if a.dtype.char == "f" else np.float64(value)


# ---- medians


@dataclass(frozen=True, slots=True)
class Middle:
    """The two middle elements, which are one where their number is odd."""

    m: int = 2

    def __call__(self, counts: Array) -> Array:
        least = np.maximum(counts, 1)
        return np.stack([(least - 1) // 2, least // 2], axis=1)


def median(name: str, a: Any, axis: Any, out: Any, keepdims: Any, workers: int | None) -> Any:
    """median, nanmedian"""
    skip = FUNCTIONS[name].skips_nan
    if settings.doors > 0 and out is None and (keepdims is False or keepdims is NoValue):
        small = short_way(a, 0.5, MEDIAN, axis, skip, workers)
        if small is not None:
            return small
    workers = settings.resolve_workers(workers)
    a, plain = operand(a)
    natural = a.dtype.newbyteorder("=") if a.dtype.kind == "f" else np.dtype(np.float64)
    request = prepare(a, axis, out, keepdims, natural, (), workers) if plain else None
    if request is None:
        given = {"axis": axis, "out": out, "keepdims": keepdims}
        return answer(name, a, **given)
    (low, high), counts = request.pick(Middle(), skip)
    warn_of_empty(counts, skip)
    even = counts % 2 == 0 if skip else request.n % 2 == 0
    return request.as_returned(mean_of_two(low, high, even))


def mean_of_two(low: Array, high: Array, even: Array | bool) -> Array:
    """The mean of two elements, as np.mean computes it: float16 is added in float32, integers in float64. Where the
    number of elements is odd it is the middle one."""
    wide = np.dtype(np.float64) if low.dtype.kind != "f" else low.dtype.newbyteorder("=")
    inner = np.dtype(np.float32) if wide.char == "e" else wide
    mean = np.array(low, inner)
    if even is True:
        mean += high
        mean /= 2
        mean += 0  # a result that underflows becomes a positive zero, too
    elif even is not False and even.any():
        np.add(mean, high, out=mean, where=even)
        np.divide(mean, 2, out=mean, where=even)
        mean += 0  # a result that underflows becomes a positive zero, too
    return mean.astype(wide, copy=False)


# ---- quantiles


def virtual(counts: Array, q: Array, method: str) -> tuple[Array, Array, Array | None]:
    """For lines of so many numbers, (lines,), and quantiles, (k,): two ranks, and the weight of the second one.

    Each has the shape (lines, k). Without a weight the element is taken as it is, and the ranks are the same.
    """
    n, less = counts.astype(q.dtype)[:, None], (counts - 1).astype(q.dtype)[:, None]
    last = (counts - 1)[:, None]
    if method == "linear":
        index = less * q
        if q.dtype.kind != "f":
            return index, index, None
    elif method == "midpoint":
        index = 0.5 * (np.floor(less * q) + np.ceil(less * q))
    elif method == "averaged_inverted_cdf":
        index = n * q - 1
    elif method in PARAMETERS:
        alpha, beta = PARAMETERS[method]
        index = n * q + (alpha + q * (1 - alpha - beta)) - 1
    else:
        low = discrete(n, less, q, method)
        return low, low, None
    low = np.floor(index)
    weight = index - low
    if method == "midpoint":
        weight = np.where(index % 1 == 0, 0.0, 0.5)
    elif method == "averaged_inverted_cdf":
        weight = np.where(weight == 0, 0.5, 1.0)
    low = low.astype(np.intp)
    inside = (index >= 0) & (index < last)
    low = np.clip(low, 0, last)
    # Beyond the ends both ranks are those of the same element, whatever the weight.
    return low, low + inside, np.where(inside, weight, 1.0).astype(index.dtype)


def discrete(n: Array, less: Array, q: Array, method: str) -> Array:
    if method == "lower":
        return np.asarray(np.floor(less * q).astype(np.intp))
    if method == "higher":
        return np.asarray(np.ceil(less * q).astype(np.intp))
    if method == "nearest":
        return np.asarray(np.around(less * q).astype(np.intp))
    index = n * q - 1 if method == "inverted_cdf" else n * q - 1 - 0.5
    below = np.floor(index)
    at = index == below
    if method == "closest_observation":
        at = at & (below % 2 == 1)
    rank: Array = np.maximum(np.where(at, below, below + 1).astype(np.intp), 0)
    return rank


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The elements that quantiles are made of: one each, or two."""

    q: bytes
    char: str
    method: str
    m: int

    def __call__(self, counts: Array) -> Array:
        low, high, weight = virtual(np.maximum(counts, 1), np.frombuffer(self.q, self.char), self.method)
        return low if weight is None else np.stack([low, high], axis=2).reshape(len(counts), -1)

    def weights(self, counts: Array) -> Array:
        """The weight of the second element of each two, (lines, k)."""
        weight = virtual(np.maximum(counts, 1), np.frombuffer(self.q, self.char), self.method)[2]
        assert weight is not None
        return weight


@lru_cache(maxsize=64)
def weights_of_whole(ranks: Quantiles, n: int) -> Array:
    return ranks.weights(np.full(1, n))


def quantile(
    name: str,
    a: Any,
    q: Any,
    axis: Any,
    out: Any,
    method: Any,
    keepdims: Any,
    weights: Any,
    workers: int | None,
) -> Any:
    """quantile, percentile, nanquantile, nanpercentile"""
    row = FUNCTIONS[name]
    plainly = weights is None and out is None and (keepdims is False or keepdims is NoValue)
    if settings.doors > 0 and plainly and type(q) is float and type(method) is str and method in BETWEEN:
        point = q / 100 if row.percent else q
        if 0 <= point <= 1:
            small = short_way(a, point, QUANTILE_METHODS.index(method), axis, row.skips_nan, workers)
            if small is not None:
                return small
    workers = settings.resolve_workers(workers)
    a, plain = operand(a)
    request = points = None
    weak = type(q) in (int, float)
    if weights is not None and isinstance(a, Source):
        a = a.load()
    if plain and isinstance(method, str) and method in QUANTILE_METHODS[:MEDIAN]:
        points = good_points(q, method, percent=row.percent)
    if points is not None:
        exact = method in DISCRETE or points.dtype.kind != "f"
        dtype = a.dtype if exact else interpolated_dtype(a.dtype, points.dtype, weak)
        if dtype is not None:
            request = prepare(a, axis, out, keepdims, dtype, points.shape, workers)
    skip = row.skips_nan
    if request is not None and points is not None and weights is not None:
        values = with_weights(request, points.reshape(-1), method, weights, axis, skip)
        if values is not None:
            # A single quantile of NumPy's is an array of no dimensions, unless it is NaN.
            single = points.ndim == 0 and request.whole
            if single and not skip and np.isnan(values).all():
                values = values.astype(request.dtype.newbyteorder("="), copy=False)
            result = request.as_returned(values, points.shape)
            return result if out is not None or result.ndim or np.isnan(result) else np.asarray(result, values.dtype)
        request = None
    if request is None or points is None:
        given = {"axis": axis, "out": out, "method": method, "keepdims": keepdims}
        return answer(name, a, q=q, weights=weights, **given)
    flat = points.reshape(-1)
    ranks = Quantiles(flat.tobytes(), flat.dtype.char, method, flat.size if exact else 2 * flat.size)
    values, counts = request.pick(ranks, skip)
    warn_of_empty(counts, skip)
    if exact:
        if points.ndim == 0 and (skip or request.whole):  # NumPy's are made of scalars, in the machine's byte order
            values = values.astype(request.dtype.newbyteorder("="), copy=False)
        return request.as_returned(values, points.shape)
    if skip and request.a.dtype.kind == "f":
        some, where = np.unique(counts, return_inverse=True)
        weight = np.moveaxis(ranks.weights(some)[where.reshape(counts.shape)], -1, 0)
    else:  # the results of lines with NaN are NaN whatever the weight
        weight = weights_of_whole(ranks, request.n).reshape(-1, *(1,) * counts.ndim)
    return request.as_returned(interpolate(values[0::2], values[1::2], weight, weak), points.shape)


def with_weights(request: Selection, q: Array, method: str, weights: Any, axis: Any, skip: bool) -> Array | None:
    """Quantiles of weighted elements; None where NumPy raises, converts weights, or is faster."""
    a = request.a
    if method != "inverted_cdf" or not isinstance(a, np.ndarray) or settings.sends_arrays():
        return None
    if a.size <= weighted_quantiles.few and a.size <= weighted_quantiles.few_lines * request.n:
        return None
    try:
        lines = weighted_quantiles.weights_of(weights, a.shape, axis, request.reduced, skip)
        values, counts = weighted_quantiles.quantiles(
            weighted_quantiles.rows(a, request.reduced), lines, q, skip, request.workers
        )
    except weighted_quantiles.Refused:
        return None
    warn_of_empty(counts, skip)
    return values.astype(request.dtype, copy=False)


def good_points(q: Any, method: str, percent: bool) -> Array | None:
    """The quantiles as an array; None where NumPy raises, or finds a dtype that nobody expects."""
    if is_more(q):
        return None
    try:
        points = in_native(np.asarray(q))
        if points.dtype.kind not in "iuf" or points.dtype.char not in "fdbhilqBHILQ":
            return None
        points = np.asarray(np.true_divide(points, 100)) if percent else points
    except (TypeError, ValueError):
        return None
    if points.ndim > 2 or points.size == 0 or not (points.min() >= 0 and points.max() <= 1):
        return None
    if points.dtype.kind != "f":
        if method in ("averaged_inverted_cdf", "weibull", "interpolated_inverted_cdf"):
            return None  # NumPy rounds the weights to integers
        points = points.astype(np.intp if method == "linear" else np.float64)
    return points


def interpolated_dtype(dtype: np.dtype[Any], points: np.dtype[Any], weak: bool) -> np.dtype[Any] | None:
    """What NumPy makes of elements and weights. It subtracts elements, which fails for bools."""
    if dtype.kind not in "iuf":
        return None
    if weak:
        return native(dtype) if dtype.kind == "f" else np.dtype(np.float64)
    return np.result_type(native(dtype), points)


def interpolate(a: Array, b: Array, t: Array, weak: bool) -> Array:
    """Interpolate between a and b by t, from the nearer end.

    The difference of integers is taken as unsigned: NumPy's own wraps around where it does not fit.
    """
    a, b = in_native(a), in_native(b)
    if a.dtype.kind in "iu":
        unsigned = np.dtype(f"u{a.itemsize}")
        span = b.view(unsigned) - a.view(unsigned)
    else:
        span = b - a
    rest, nearer = 1 - t, t >= 0.5
    if weak and a.dtype.kind == "f" and a.dtype != t.dtype:  # NumPy treats `t` like one of Python's floats here
        with np.errstate(under="ignore"):
            t, rest = t.astype(a.dtype), rest.astype(a.dtype)
    result = np.asarray(a + span * t)
    np.subtract(b, span * rest, out=result, where=nearer, casting="unsafe", dtype=result.dtype)
    result += 0  # a result that underflows becomes a positive zero, too
    return result
