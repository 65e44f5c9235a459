"""What functions of all families look at in their arguments: operands, axes, `out`, dtypes.

Functions that NumPy has only notice what is bad: NumPy is asked, and raises its own error. Those that it does not have
raise what bottleneck, numbagg or SciPy raise, before anything is written.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.exceptions import AxisError
from numpy.lib.array_utils import normalize_axis_tuple

from .inputs import elements, in_memory, is_more, with_integers, with_nan
from .registry import REALS
from .sources import Source, as_source
from .view import Array, native

NoValue: Any = np._NoValue


def keepdims_shape(shape: tuple[int, ...], reduced: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in reduced else length for axis, length in enumerate(shape))


def as_operand(a: Any) -> tuple[Any, bool]:
    """The array to work on, and whether it is a plain one.

    Masked arrays, matrices and other subclasses keep their meaning: they are NumPy's. What is not an array at all is
    converted, pandas' and xarray's objects among them. Integers that have fields as well are NumPy's, too.
    """
    if is_more(a):
        return a, False
    values = in_memory(a)
    return values, values.dtype.names is None


def listed(a: Any) -> Any:
    """A list as an array, and what is not in memory as a source, once; other array-likes are converted where they are
    examined."""
    if type(a) is np.ndarray:
        return a
    if type(a) is list or type(a) is tuple:
        return np.asarray(a)
    source = as_source(a)
    return a if source is None else source


Axes = tuple[int, ...]


def reduced_axes(axis: Any, ndim: int, several: Any = tuple) -> Axes:
    """The axes that a call names, in order, where one argument may name `several`; nothing where that is bad."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int:
        return (axis % ndim,) if -ndim <= axis < ndim else ()
    try:
        axes: Axes = (*axis,) if isinstance(axis, several) else (operator.index(axis),)
        if any(isinstance(i, (bool, np.bool_)) for i in (axis, *axes)):
            return ()
        return tuple(sorted(normalize_axis_tuple(axes, ndim)))
    except (TypeError, ValueError, OverflowError):
        return ()


@dataclass(slots=True)
class Request:
    """What kernels cover of a call that reduces axes."""

    a: Array | Source
    reduced: Axes
    out: Any
    keepdims: bool

    @property
    def n(self) -> int:
        """Number of elements that make one result."""
        return prod(self.a.shape[axis] for axis in self.reduced)

    @property
    def whole(self) -> bool:
        """Whether there is one result."""
        return len(self.reduced) == self.a.ndim

    def shape(self, leading: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Of the result, of which there may be several side by side."""
        if self.keepdims:
            return leading + keepdims_shape(self.a.shape, self.reduced)
        return leading + tuple(length for i, length in enumerate(self.a.shape) if i not in self.reduced)

    def has_room(self, leading: tuple[int, ...] = ()) -> bool:
        """Whether `out`, if there is one, can take the result."""
        return self.out is None or (is_room(self.out) and tuple(self.out.shape) == self.shape(leading))

    def as_returned(self, result: Array, leading: tuple[int, ...] = ()) -> Any:
        """The result as NumPy has it: in `out`, or a scalar where it has no axes."""
        result = result.reshape(self.shape(leading))
        if self.out is not None:
            self.out[...] = result
            return self.out
        return result[()] if result.ndim == 0 else result


def is_room(out: Any) -> bool:
    """Whether results can be put there by an assignment: an array, mapped or not, or a source."""
    if type(out) is np.ndarray or isinstance(out, np.memmap):
        return bool(out.flags.writeable)
    return as_source(out) is not None


def other_dtype(out: Any, dtype: Any) -> bool:
    """Whether there is an `out` of another dtype, whatever its byte order: an assignment takes care of that."""
    return out is not None and (not hasattr(out, "dtype") or native(np.dtype(out.dtype)) != dtype)


# ---- of functions that NumPy does not have

DOUBLE = np.dtype(np.float64)


def integer(name: str, value: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, not bool")
    try:
        return int(operator.index(value))
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def numbers(name: str, a: Any) -> Array:
    """An array that kernels take, of one that has been looked at.

    Copied are masked arrays, of which the masked elements become NaN; objects that are integers become these where
    int64 or uint64 has them all; other objects that are numbers, and longdouble, become float64.
    """
    values = elements(name, a)
    if values.dtype.kind == "O":
        values = with_nan(values)
    if values.dtype.kind == "O":  # none is missing
        values = with_integers(values)
    if values.dtype.char in REALS + "e":
        return values
    return values.astype(DOUBLE, copy=False)


def result_dtype(dtypes: list[np.dtype[Any]]) -> np.dtype[Any]:
    """float16 and float32 keep theirs; all else gives float64."""
    different = {native(dtype) for dtype in dtypes}
    dtype = different.pop()
    return dtype if dtype.char in "ef" and not different else DOUBLE


def counting_dtype(dtype: np.dtype[Any], most: int) -> np.dtype[Any]:
    """`dtype` where it has every integer up to `most`, else float64: for counts and positions."""
    return dtype if most <= 2 ** (np.finfo(dtype).nmant + 1) else DOUBLE


def has_dtype(out: Any, dtype: np.dtype[Any]) -> bool:
    """Whether this is an array of that dtype, in any byte order."""
    return isinstance(out, np.ndarray) and out.dtype.newbyteorder("=") == dtype.newbyteorder("=")


def check_axis(axis: Any, ndim: int) -> int:
    if ndim == 0:
        raise ValueError("a must have at least one dimension, got a scalar")
    along = integer("axis", axis)
    if not -ndim <= along < ndim:
        raise AxisError(along, ndim)
    return along % ndim


def refuse_units(name: str, a: Any) -> None:
    if is_more(a) and not isinstance(a, np.ma.MaskedArray):
        elements(name, a)  # raises, or has nothing to copy


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
    refuse_units("out", out)
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if not has_dtype(out, dtype):
        raise TypeError(f"out must have the dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable")


def looked_at(arrays: tuple[Any, ...]) -> tuple[list[Array], tuple[int, ...], np.dtype[Any]]:
    """Operands before anything is copied, the shape that they have together, and the dtype of their result."""
    given = [a if isinstance(a, np.ndarray) else in_memory(a) for a in arrays]
    for letter, a in zip("ab", given, strict=False):
        refuse_units(letter, a)
        if a.dtype.kind not in "biufO":
            raise TypeError(f"{letter} must be an array of real numbers, not of dtype {a.dtype}")
    return given, np.broadcast_shapes(*(a.shape for a in given)), result_dtype([a.dtype for a in given])


def prepared(given: list[Array], shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Operands of one shape that kernels take."""
    operands = (numbers(letter, a) for letter, a in zip("ab", given, strict=False))
    return tuple(a if a.shape == shape else np.broadcast_to(a, shape) for a in operands)


def room_for(out: Any, operands: tuple[Array, ...], dtype: np.dtype[Any], leading: tuple[int, ...] = ()) -> Array:
    """Where a kernel may write the result: a good `out` that no operand shares memory with, or a new array."""
    if out is not None and is_plain(out) and not any(np.may_share_memory(out, a) for a in operands):
        return np.asarray(out)
    shape = operands[0].shape
    return np.empty(leading + shape, dtype) if leading else np.empty_like(operands[0], dtype, subok=False)


def is_plain(out: Any) -> bool:
    """Whether kernels may write to `out`: a plain array, or a mapped one."""
    return type(out) is np.ndarray or isinstance(out, np.memmap)


def deliver(result: Array, out: Any) -> Array:
    """The result, or `out` itself, with the result in it.

    What it means to assign is for a subclass to say: in a masked array no element is masked afterwards, unless its mask
    is hard.
    """
    if out is None:
        return result
    if not is_plain(out) or not np.may_share_memory(result, out):
        out[...] = result
    filled: Array = out
    return filled
