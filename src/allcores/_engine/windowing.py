"""From the arguments of a moving-window function to a kernel that writes the result in place.

    a, [b], out of one shape  ->  views (outer..., n, inner), n along the axis of the window
                              ->  chunks: lines x run x tile; a kernel reads what it needs around it
                              ->  out, in disjoint slices

Bad arguments raise what bottleneck raises, before anything is written.
"""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np
from numpy.exceptions import AxisError

from .._kernels.fallback.ranks import METHODS
from . import doors, execute, settings
from .grid import cut_windows
from .inputs import elements, in_memory, is_more, with_integers, with_nan
from .operands import Array, native, side_by_side
from .registry import REALS, WINDOWS

DOUBLE = np.dtype(np.float64)


def integer(name: str, value: Any) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, not bool")
    try:
        return int(operator.index(value))
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def check_ddof(ddof: Any) -> int:
    value = integer("ddof", ddof)
    if not -sys.maxsize <= value <= sys.maxsize:
        raise OverflowError(f"ddof must be an integer of {sys.maxsize.bit_length() + 1} bits, got {value}")
    return value


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


def check_window(window: Any, n: int) -> int:
    w = integer("window", window)
    if not 1 <= w <= n:
        raise ValueError(f"window must be between 1 and {n}, the length of the axis, got {w}")
    return w


def check_count(min_count: Any, window: int) -> int:
    if min_count is None:
        return window
    least = integer("min_count", min_count)
    if least < 1:
        raise ValueError(f"min_count must be greater than zero, got {least}")
    if least > window:
        raise ValueError(f"min_count must not be greater than window ({window}), got {least}")
    return least


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


def room_for(out: Any, operands: tuple[Array, ...], dtype: np.dtype[Any], planes: tuple[int, ...] = ()) -> Array:
    """Where a kernel may write the result: a good `out` that no operand shares memory with, or a new array."""
    if out is not None and is_plain(out) and not any(np.may_share_memory(out, a) for a in operands):
        return np.asarray(out)
    shape = operands[0].shape
    return np.empty(planes + shape, dtype) if planes else np.empty_like(operands[0], dtype, subok=False)


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


def check_quantiles(q: Any) -> Array:
    points = elements("q", q)
    if points.dtype.kind == "c":
        raise TypeError(f"q must be of real numbers, not of dtype {points.dtype}")
    points = points.astype(np.float64)
    bad = ~((points >= 0) & (points <= 1))
    if bad.any():
        raise ValueError(f"q must be between 0 and 1, got {points[bad][0]}")
    return points


def check_method(method: Any) -> int:
    """The number by which kernels know the method."""
    names = METHODS[: METHODS.index("median")]
    if method not in names:
        raise ValueError(f"method must be one of {', '.join(names)}, got {method!r}")
    return names.index(method)


def move(
    name: str,
    arrays: tuple[Any, ...],
    window: Any,
    min_count: Any,
    axis: Any,
    out: Any,
    workers: int | None,
    center: bool,
    *parameters: int | float | tuple[float, ...],
    planes: tuple[int, ...] = (),
) -> Array:
    """The moving windows of one call. `parameters` are the kernel's own, checked by the caller.

    `planes` is the shape of what a position has several results for: it comes before the input's shape.
    """
    plain = workers is None or settings.is_count(workers)
    if plain and settings.doors > 0 and out is None and type(arrays[0]) is np.ndarray:
        small: Array | None = getattr(doors, name)(*arrays, window, min_count, axis, bool(center), *parameters)
        if small is not None:
            return small
    workers = settings.resolve_workers(workers)
    given, shape, dtype = looked_at(arrays)
    axis = check_axis(axis, len(shape))
    window = check_window(window, shape[axis])
    least = 0 if min_count is None and name == "move_count" else check_count(min_count, window)
    offset = (window - 1) // 2 if center else 0
    if WINDOWS[name].counts and not has_dtype(out, dtype):
        dtype = counting_dtype(dtype, window)
    if out is not None:
        check_out(out, planes + shape, dtype)
    operands = prepared(given, shape)
    result = room_for(out, operands, dtype, planes)
    if result.size:
        results = [result[at] for at in np.ndindex(*planes)] if planes else [result]
        run(name, operands, results, axis, (window, offset, least, *parameters), workers, window)
    return deliver(result, out)


def run(
    name: str,
    operands: tuple[Array, ...],
    results: list[Array],
    axis: int,
    parameters: tuple[Any, ...],
    workers: int,
    span: int | None,
) -> None:
    """Fill `results`, of the operands' shape, by the kernel `name(*operands, *parameters, cursor, *results)`.

    `span` is how far along the axis a result depends on elements; None: on the whole line, which is not cut then.
    """
    views = side_by_side([*operands, *results], axis, len(operands))
    inputs, outputs = views[: len(operands)], views[len(operands) :]
    grid = cut_windows(outputs[0].shape, span, execute.output_chunk, workers)
    execute.run(name, inputs, parameters, grid, outputs, workers, WINDOWS[name].ns * len(results))
