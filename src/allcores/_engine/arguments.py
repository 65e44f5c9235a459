"""From the arguments of a NumPy signature to what the engine reduces, or to NumPy where no kernel covers them.

Bad arguments are not examined here beyond noticing them: NumPy is asked, and raises its own error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from . import doors, reduction, settings
from .notices import warn_of
from .operands import Array
from .reduction import Call
from .registry import KERNELS

NoValue: Any = np._NoValue


@dataclass(slots=True)
class Request:
    """A reduction that kernels cover."""

    a: Array
    reduced: tuple[int, ...]
    where: Array | None
    out: Array | None
    keepdims: bool
    call: Call

    @property
    def n(self) -> int:
        """Number of elements that make one result."""
        n = 1
        for axis in self.reduced:
            n *= self.a.shape[axis]
        return n

    def reduce(self, kernel: str, finish: reduction.Finish, **options: Any) -> tuple[Array, ...]:
        return reduction.reduce(kernel, self.a, self.reduced, finish, where=self.where, call=self.call, **options)

    def deliver(self, result: Array) -> Any:
        """Warn of what happened, then hand the result over as NumPy does."""
        if self.call.status:
            warn_of(self.call.status)
        if self.keepdims:
            result = result.reshape(keepdims_shape(self.a.shape, self.reduced))
        if self.out is not None:
            self.out[...] = result
            return self.out
        return result[()] if result.ndim == 0 else result


def keepdims_shape(shape: tuple[int, ...], reduced: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in reduced else length for axis, length in enumerate(shape))


def as_operand(a: Any) -> tuple[Any, bool]:
    """The array to work on, and whether it is a plain one.

    Masked arrays, matrices and other subclasses keep their meaning: they are NumPy's. What is not an array at all is
    converted, pandas' and xarray's objects among them.
    """
    if type(a) is np.ndarray:
        return a, True
    if isinstance(a, np.memmap):
        return np.asarray(a), True
    if isinstance(a, np.ndarray):
        return a, False
    return np.asarray(a), True


def prepare(
    kernel: str,
    a: Any,
    axis: Any,
    *,
    out: Any = None,
    keepdims: Any = False,
    where: Any = NoValue,
    workers: int | None = None,
    same_axes: bool = True,
) -> tuple[Any, Request | None]:
    """The operand, and a request where kernels cover the call; otherwise None: NumPy is to answer, or to complain."""
    workers = settings.resolve_workers(workers)
    a, plain = as_operand(a)
    if not plain or a.dtype.char not in KERNELS[kernel].cells or not a.dtype.isnative or a.ndim == 0 or a.size == 0:
        return a, None
    if keepdims is not NoValue and type(keepdims) is not bool:
        return a, None
    if axis is None:
        reduced = tuple(range(a.ndim))
    elif type(axis) is int and -a.ndim <= axis < a.ndim:
        reduced = (axis % a.ndim,)
    else:
        try:
            axes = axis if type(axis) is tuple else (operator.index(axis),)
            if any(isinstance(i, bool) for i in (axis, *axes)):
                return a, None
            reduced = tuple(sorted(normalize_axis_tuple(axes, a.ndim)))
        except (TypeError, ValueError):
            return a, None
        if not reduced or (isinstance(axis, tuple) and not same_axes):
            return a, None
    mask = None
    if where is not NoValue and where is not True:
        mask = np.asarray(where)
        if mask.dtype != np.bool_:
            return a, None
        try:
            mask = np.broadcast_to(mask, a.shape)
        except ValueError:
            return a, None
    keep = keepdims is True
    if out is not None:
        shape = (
            keepdims_shape(a.shape, reduced)
            if keep
            else tuple(length for i, length in enumerate(a.shape) if i not in reduced)
        )
        if type(out) is not np.ndarray or out.shape != shape or not out.flags.writeable or not out.dtype.isnative:
            return a, None
    return a, Request(a, reduced, mask, out, keep, Call(workers))


def every_axis(axes: tuple[Any, ...], ndim: int) -> bool:
    """Whether these plain integers name every axis once."""
    return {type(i) for i in axes} == {int} and sorted(i + ndim if i < 0 else i for i in axes) == list(range(ndim))


def short_way(
    name: str, a: Any, axis: Any, keepdims: Any, workers: Any, *ddof: float, dtype: Any = None, out: Any = None
) -> Any:
    """The result by the short way, in `out` if there is one; or None, with nothing changed.

    A tuple of axes may name one axis or all of them; `dtype` and `out` may be what the result has anyway.
    """
    if settings.doors <= 0 or type(a) is not np.ndarray or not (workers is None or settings.is_count(workers)):
        return None
    if type(axis) is tuple:
        if len(axis) == 1:
            (axis,) = axis
        elif every_axis(axis, a.ndim):
            axis = None
        else:
            return None
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except TypeError:
        return None
    result = getattr(doors, name)(a, axis, keepdims, *ddof)
    if result is None or (wanted is not None and wanted != result.dtype):
        return None
    if out is None:
        return result
    if type(out) is not np.ndarray or out.shape != result.shape or out.dtype != result.dtype or not out.flags.writeable:
        return None
    out[...] = result
    return out


def ask_numpy(function: Callable[..., Any], a: Any, **arguments: Any) -> Any:
    """NumPy's own function, with the arguments that were given. If it raises, `out` is as it was."""
    given = {name: value for name, value in arguments.items() if value is not NoValue}
    out = given.get("out")
    before = out.copy() if isinstance(out, np.ndarray) else None
    try:
        return function(a, **given)
    except BaseException:
        if isinstance(out, np.ndarray) and out.flags.writeable:
            out[...] = before
        raise
