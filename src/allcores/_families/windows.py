"""From the arguments of a moving-window function to a kernel that writes the result in place.

    a, [b], out of one shape  ->  views (outer..., n, inner), n along the axis of the window
                              ->  chunks: lines x run x tile; a kernel reads what it needs around it
                              ->  out, in disjoint slices

Bad arguments raise what bottleneck raises, before anything is written.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .._engine import doors, execute, settings
from .._engine.arguments import (
    check_axis,
    check_out,
    counting_dtype,
    deliver,
    has_dtype,
    integer,
    looked_at,
    prepared,
    room_for,
)
from .._engine.grid import cut_windows
from .._engine.inputs import elements
from .._engine.registry import WINDOWS
from .._engine.view import Array, side_by_side
from .._kernels.common import QUANTILE_METHODS


def check_ddof(ddof: Any) -> int:
    value = integer("ddof", ddof)
    if not -sys.maxsize <= value <= sys.maxsize:
        raise OverflowError(f"ddof must be an integer of {sys.maxsize.bit_length() + 1} bits, got {value}")
    return value


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
    names = QUANTILE_METHODS[: QUANTILE_METHODS.index("median")]
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
    leading: tuple[int, ...] = (),
) -> Array:
    """The moving windows of one call. `parameters` are the kernel's own, checked by the caller.

    `leading` is the shape of what a position has several results for: it comes before the input's shape.
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
    least = 0 if min_count is None and WINDOWS[name].incomplete else check_count(min_count, window)
    offset = (window - 1) // 2 if center else 0
    if WINDOWS[name].counts and not has_dtype(out, dtype):
        dtype = counting_dtype(dtype, window)
    if out is not None:
        check_out(out, leading + shape, dtype)
    operands = prepared(given, shape)
    result = room_for(out, operands, dtype, leading)
    if result.size:
        results = [result[at] for at in np.ndindex(*leading)] if leading else [result]
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
