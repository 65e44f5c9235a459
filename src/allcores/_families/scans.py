"""What depends on all elements before: from arguments to kernels that write the result, or replace values, in place.

    a, [b], alpha, out of one shape  ->  views (outer..., n, inner), n along the axis
    one chunk for each series        ->  one pass
    series cut into chunks           ->  ends of chunks or leaves  ->  fold: what comes before each  ->  second pass

Bad arguments raise what bottleneck or numbagg raise, before anything is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine import doors, execute, settings
from .._engine.arguments import (
    DOUBLE,
    check_axis,
    check_out,
    counting_dtype,
    deliver,
    has_dtype,
    integer,
    is_plain,
    looked_at,
    prepared,
    room_for,
)
from .._engine.grid import RunGrid, cut_scans, cut_windows, leaves_of, scan_leaf
from .._engine.inputs import elements, is_more
from .._engine.registry import FLOATS, REALS, SCANS
from .._engine.view import Array, in_native, native, side_by_side

COLUMNS = 16  # fewer columns than these are taken as lines
MORE = 5  # fields of a state besides those of the row: weight, decay, and three exponents

POSITION = np.dtype(np.int64)


def short(a: Any, workers: Any) -> bool:
    """Whether a call may try a door."""
    return settings.doors > 0 and type(a) is np.ndarray and (workers is None or settings.is_count(workers))


# ---- the exponential family


def check_weight(min_weight: Any) -> float:
    if is_more(min_weight):  # a masked one is missing
        min_weight = elements("min_weight", min_weight)
    try:
        least = float(min_weight)
    except (TypeError, ValueError):
        raise TypeError(f"min_weight must be a number, got {min_weight!r}") from None
    if not 0 <= least <= 1:
        raise ValueError(f"min_weight must be between 0 and 1, got {least}")
    return least


def weights(alpha: Any, shape: tuple[int, ...], axis: int) -> Array:
    """`alpha` as float64, in the shape of the input. A masked one is missing, which is not between 0 and 1."""
    if is_more(alpha):
        alpha = elements("alpha", alpha)
    if getattr(alpha, "dtype", DOUBLE).kind == "c":
        raise TypeError(f"alpha must be of real numbers, not of dtype {alpha.dtype}")
    try:
        values: Array = np.asarray(alpha, dtype=DOUBLE)
    except (TypeError, ValueError):
        raise TypeError(f"alpha must be a number or an array of numbers, got {alpha!r}") from None
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        bad = values[~((values >= 0) & (values <= 1))].flat[0]
        raise ValueError(f"alpha must be between 0 and 1, got {bad}")
    if values.ndim == 1:
        if len(values) != shape[axis]:
            raise ValueError(f"alpha must have the length of the axis ({shape[axis]}), got {len(values)}")
        values = values.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    elif values.ndim > 1 and values.shape != shape:
        raise ValueError(f"alpha must have the shape of the input {shape}, or one dimension, got {values.shape}")
    return np.broadcast_to(values, shape)


def exponential(
    name: str, arrays: tuple[Any, ...], alpha: Any, min_weight: Any, axis: Any, out: Any, workers: int | None
) -> Array:
    """The exponentially weighted statistics of one call."""
    if short(arrays[0], workers) and out is None:
        small: Array | None = getattr(doors, name)(*arrays, alpha, min_weight, axis)
        if small is not None:
            return small
    workers = settings.resolve_workers(workers)
    given, shape, dtype = looked_at(arrays)
    axis = check_axis(axis, len(shape))
    factors = weights(alpha, shape, axis)
    least = check_weight(min_weight)
    if SCANS[name].counts and dtype.itemsize == 2 and not has_dtype(out, dtype):
        dtype = counting_dtype(dtype, shape[axis])
    if out is not None:
        check_out(out, shape, dtype)
    operands = prepared(given, shape)
    result = room_for(out, (*operands, factors), dtype)
    if result.size:
        scan(name, (*operands, factors), result, axis, least, workers)
    return deliver(result, out)


def scan(name: str, operands: tuple[Array, ...], result: Array, axis: int, least: float, workers: int) -> None:
    """Fill `result`, of the operands' shape."""
    views = side_by_side([*operands, result], axis, len(operands))
    if 1 < views[0].shape[-1] < COLUMNS:
        views = [view.swapaxes(-1, -2)[..., None] for view in views]
    *inputs, output = views
    series, n = output.size // output.shape[-2], output.shape[-2]
    leaf = scan_leaf(series, n)
    grid = cut_scans(output.shape, leaf, execute.output_chunk, workers)
    row = SCANS[name]
    alpha = inputs[-1]
    one = not any(stride for stride, length in zip(alpha.strides, alpha.shape, strict=True) if length > 1)
    # An alpha of 1 forgets all: an infinity times a decay of 0 would be NaN.
    decays = int(row.decays and least == 0 and one and alpha.flat[0] < 1)
    states = None
    if leaf < n:
        states = known_before(name, inputs, leaf, least, decays, grid, workers)
    execute.run(name, (*inputs, states), (leaf, least, decays), grid, (output,), workers, row.ns)


def known_before(
    name: str, inputs: list[Array], leaf: int, least: float, decays: int, grid: RunGrid, workers: int
) -> Array:
    """The states before each leaf, (fields, outer, leaves, inner)."""
    row = SCANS[name]
    leaves = leaves_of(grid, leaf)
    states = np.empty((row.fields + MORE, *leaves.partials_shape))
    execute.run(f"ends_{name}", inputs, (leaf, least, decays), leaves, tuple(states), workers, row.ns * leaf)
    execute.fold(name, tuple(states))
    return states


# ---- gaps


def fill(name: str, a: Any, limit: Any, axis: Any, out: Any, workers: int | None, *, backwards: bool = False) -> Array:
    """The last number before each gap of a series, or the first one after it; `name` is that of the limit."""
    if short(a, workers) and out is None:
        small: Array | None = (doors.bfill if backwards else doors.ffill)(a, limit, axis)
        if small is not None:
            return small
    workers = settings.resolve_workers(workers)
    values = elements("a", a)
    axis = check_axis(axis, values.ndim)
    length = values.shape[axis]
    most = length if limit is None else min(integer(name, limit), length)
    if most < 0:
        raise ValueError(f"{name} must be nonnegative, got {most}")
    if values.dtype.kind not in "biufcmM":
        raise TypeError(f"a must be an array of numbers or times, not of dtype {values.dtype}")
    if out is not None:
        check_out(out, values.shape, values.dtype)
    covered = values.dtype.char in FLOATS
    apart = is_plain(out) and not np.may_share_memory(out, values)
    result = np.asarray(out) if apart else np.empty_like(values, subok=False)
    swapped = covered and not (values.dtype.isnative and result.dtype.isnative)
    target = result
    if swapped:  # in the machine's byte order meanwhile; no number moves, so that gaps can be filled where they are
        target = result.view(native(result.dtype))
        target[...] = values
        values = target
    source, output = (np.flip(values, axis), np.flip(target, axis)) if backwards else (values, target)
    if values.dtype.kind in "biu" or not values.size:
        np.copyto(result, values)
    elif covered:
        push(source, output, axis, most, workers)
    else:
        push_blocks(source, output, axis, most)
    if swapped and not result.dtype.isnative:
        values.byteswap(inplace=True)
    return deliver(result, out)


def push(a: Array, result: Array, axis: int, limit: int, workers: int) -> None:
    view, output = side_by_side([a, result], axis, 1)
    grid = cut_windows(view.shape, 1, execute.output_chunk, workers)
    row, seeds = SCANS["push"], None
    if grid.parts > 1:
        runs = RunGrid(grid.outer, grid.parts, grid.inner, grid.lines, 1, grid.tile)
        last = np.empty(runs.partials_shape, POSITION)
        execute.run("ends_push", (view,), (grid.run,), runs, (last,), workers, row.ns * grid.run)
        seeds = np.full_like(last, -1)
        np.maximum.accumulate(last[:, :-1], axis=1, out=seeds[:, 1:])
    execute.run("push", (view, seeds), (limit,), grid, (output,), workers, row.ns)


def push_blocks(a: Array, result: Array, axis: int, limit: int) -> None:
    """The same for dtypes without a kernel, by NumPy, some elements along the axis at a time."""
    a, result = np.moveaxis(a, axis, 0), np.moveaxis(result, axis, 0)
    step = max(1, execute.output_chunk // 4 * len(a) // a.size)
    at, last = np.full(a.shape[1:], -1), a[0]
    for begin in range(0, len(a), step):
        block = a[begin : begin + step]
        missing = np.isnat(block) if a.dtype.kind in "mM" else np.isnan(block)
        here = np.arange(begin, begin + len(block)).reshape([-1] + [1] * (a.ndim - 1))
        found = np.where(missing, -1, here)
        np.maximum(found[0], at, out=found[0, ...])
        np.maximum.accumulate(found, axis=0, out=found)
        values = np.take_along_axis(block, np.maximum(found - begin, 0), 0)
        values = np.where(found < begin, last, values)
        result[begin : begin + step] = np.where((found >= 0) & (here - found <= limit), values, block)
        at, last = found[-1], values[-1]


# ---- in place


def check_number(name: str, value: Any) -> Any:
    """A Python number, of what is one, or an array of no dimensions."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, (int, float, complex)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return value


def check_integer(name: str, value: Any, dtype: np.dtype[Any]) -> int:
    """An integer that the dtype has."""
    bounds = np.iinfo(dtype) if dtype.kind != "b" else np.iinfo(np.uint8)
    if isinstance(value, complex) or value != value or value in (np.inf, -np.inf) or int(value) != value:
        raise ValueError(f"{name} cannot safely be cast to {dtype}, got {value!r}")
    if not bounds.min <= value <= bounds.max:
        raise ValueError(f"{name} cannot safely be cast to {dtype}, got {value!r}")
    return int(value)


def replace(a: Any, old: Any, new: Any, workers: int | None) -> Array:
    if short(a, workers):
        small: Array | None = doors.replace(a, old, new)
        if small is not None:
            return small
    workers = settings.resolve_workers(workers)
    if not isinstance(a, np.ndarray):
        raise TypeError(f"a must be an ndarray, because it is changed in place, not {type(a).__name__}")
    old, new = check_number("old", old), check_number("new", new)
    if not a.flags.writeable:
        raise ValueError("a must be writeable")
    values: Array = np.asarray(a)
    if not isinstance(a, np.ma.MaskedArray):
        values = elements("a", a)
    kind = values.dtype.kind
    if kind in "biu":
        new = check_integer("new", new, values.dtype)
        if old != old:
            return a
        old = check_integer("old", old, values.dtype)
        if kind == "b":
            new = int(bool(new))
            if old > 1:  # which no truth value is equal to, whatever its byte
                return a
            if old == 1:  # any byte but 0 is true, which the kernel does not look for; the others are False already
                if not new:
                    values[...] = False
                return a
    elif kind == "f" and (isinstance(old, complex) or isinstance(new, complex)):
        raise TypeError(f"old and new must be real numbers, got {old!r} and {new!r}")
    if not values.size:
        return a
    masked = isinstance(a, np.ma.MaskedArray)
    if masked or values.dtype.char not in REALS:
        with np.errstate(over="ignore", under="ignore"):
            found = np.isnan(values) if old != old else values == old
            found = found & ~np.ma.getmaskarray(a) if masked else found  # what is masked is nobody's
            np.copyto(values, new, where=found, casting="unsafe")
        return a
    if not values.dtype.isnative:
        values[...] = replace(in_native(values), old, new, workers)
        return a
    if kind == "f":
        with np.errstate(over="ignore", under="ignore"):
            old, new = (float(values.dtype.type(value)) for value in (old, new))
    # The axis whose elements adjoin, more or less, is the longest loop.
    flat = values.reshape(1) if values.ndim == 0 else values
    axis = min(range(flat.ndim), key=lambda i: (flat.shape[i] == 1, abs(flat.strides[i])))
    (view,) = side_by_side([flat], axis, 0)
    if view.shape[-1] > 1:
        view = view.swapaxes(-1, -2)[..., None]
    grid = cut_windows(view.shape, 1, execute.output_chunk, workers)
    execute.run("replace", (), (old, new), grid, (view,), workers, SCANS["replace"].ns)
    return a
