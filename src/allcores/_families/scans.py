"""What depends on all elements before: from arguments to kernels that write the result, or replace values, in place.

    a, [b], alpha, out of one shape  ->  views (outer..., n, inner), n along the axis
    one chunk for each series        ->  one pass
    series cut into chunks           ->  ends of chunks or leaves  ->  fold: what comes before each  ->  second pass

Bad arguments raise what bottleneck or numbagg raise, before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .._engine import doors, execute, mapreduce, settings
from .._engine.arguments import (
    DOUBLE,
    by_pieces,
    check_axis,
    check_out,
    counting_dtype,
    deliver,
    has_dtype,
    integer,
    is_plain,
    looked_at,
    numbers,
    opened,
    opened_out,
    prepared,
    room_for,
)
from .._engine.execute import Call
from .._engine.grid import SCAN_LEAF, Backwards, RunGrid, cut_scans, cut_windows, leaves_of, scan_leaf
from .._engine.inputs import elements, is_more
from .._engine.registry import FLOATS, REALS, SCANS
from .._engine.sources import Operand, Source, laid_out, stand_in, to_send
from .._engine.view import Array, in_native, native, side_by_side
from .._kernels.common import Partials

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
    """`alpha` as float64, which broadcasts to the input's shape. A masked one is missing: not between 0 and 1."""
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
    return values


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
    target = opened_out(out)
    if SCANS[name].counts and dtype.itemsize == 2 and not has_dtype(target, dtype):
        dtype = counting_dtype(dtype, shape[axis])
    if out is not None:
        check_out(target, shape, dtype)
    if by_pieces(given, target):
        return deliver(scan_by_pieces(name, given, factors, shape, dtype, axis, least, target, workers), out)
    operands = (*prepared(given, shape), np.broadcast_to(factors, shape))
    result = room_for(out, operands, dtype)
    if result.size:
        scan(name, operands, result, axis, least, workers)
    return deliver(result, out)


def scan(name: str, operands: tuple[Array, ...], result: Array, axis: int, least: float, workers: int) -> None:
    """Fill `result`, of the operands' shape."""
    *inputs, output = lines_of([*operands, result], axis)
    series, n = output.size // output.shape[-2], output.shape[-2]
    leaf = scan_leaf(series, n)
    grid = cut_scans(output.shape, leaf, execute.output_chunk, workers)
    row, decays = SCANS[name], takes_four(name, inputs[-1], least)
    states = None
    if leaf < n:
        states = known_before(name, inputs, leaf, least, decays, grid, workers)
    execute.run(name, (*inputs, states), (leaf, least, decays), grid, (output,), workers, row.ns)


def lines_of(arrays: list[Array], axis: int) -> list[Array]:
    """The operands and the result as views (outer..., n, inner), of lines or of enough columns."""
    views = side_by_side(arrays, axis, len(arrays) - 1)
    if 1 < views[0].shape[-1] < COLUMNS:
        views = [view.swapaxes(-1, -2)[..., None] for view in views]
    return views


def takes_four(name: str, alpha: Array, least: float) -> int:
    """Whether four elements are taken at a time: of one alpha. One of 1 forgets all, and an infinity times a decay of 0
    would be NaN."""
    one = not any(stride for stride, length in zip(alpha.strides, alpha.shape, strict=True) if length > 1)
    return int(SCANS[name].decays and least == 0 and one and alpha.flat[0] < 1)


def known_before(
    name: str, inputs: list[Array], leaf: int, least: float, decays: int, grid: RunGrid, workers: int
) -> Array:
    """The states before each leaf, (fields, outer, leaves, inner)."""
    states = known_after(name, inputs, leaf, least, decays, grid, workers)
    execute.fold(name, tuple(states))
    return states


def known_after(
    name: str, inputs: list[Array], leaf: int, least: float, decays: int, grid: RunGrid, workers: int
) -> Array:
    """The states at the end of each leaf, begun from nothing."""
    row, leaves = SCANS[name], leaves_of(grid, leaf)
    states = np.empty((row.fields + MORE, *leaves.partials_shape))
    execute.run(f"ends_{name}", inputs, (leaf, least, decays), leaves, tuple(states), workers, row.ns * leaf)
    return states


# ---- piece by piece: the state at the end of one is where the next one begins


@dataclass(frozen=True)
class ScanWork(mapreduce.Carried):
    """`scan`, the last operand being alpha. Lanes are lines or columns, in leaves or whole, as they are in memory."""

    name: str
    least: float
    decays: int
    columns: bool
    leaves: bool

    def lanes(self, x: Array, shape: tuple[int, ...]) -> Array:
        """A view or a copy (outer, n, inner) of an operand that broadcasts to a shape."""
        n = shape[self.axis]
        series = prod(shape) // n
        view = (1, n, max(series, 2)) if self.columns else (series, n, 1)  # one column alone would be a line
        if x.size == 1 or x.size == n == x.shape[self.axis]:
            return np.broadcast_to(x.reshape(1, -1, 1), view)
        x = np.moveaxis(np.broadcast_to(x, shape), self.axis, 0 if self.columns else -1)
        return np.broadcast_to(x.reshape((1, n, series) if self.columns else view), view)

    def inputs(self, operands: tuple[Array, ...]) -> tuple[list[Array], RunGrid, int]:
        *given, alpha = operands
        shape = np.broadcast_shapes(*(x.shape for x in operands))
        inputs = [self.lanes(x, shape) for x in (*(numbers("a", x) for x in given), alpha)]
        leaf = SCAN_LEAF if self.leaves else shape[self.axis]
        return inputs, cut_scans(inputs[0].shape, leaf, execute.output_chunk), leaf

    def look(self, operands: tuple[Array, ...], call: Call) -> Array | None:
        if not self.leaves:
            return None  # all depends on what comes before
        inputs, grid, leaf = self.inputs(operands)
        return known_after(self.name, inputs, leaf, self.least, self.decays, grid, call.workers)

    def join(self, operands: tuple[Array, ...], seen: Array | None, state: Any, call: Call) -> tuple[Any, Any]:
        fields = SCANS[self.name].fields
        if seen is None:
            inputs, _, _ = self.inputs(operands)
            if state is None:
                state = np.zeros((fields + MORE, len(inputs[0]), 1, inputs[0].shape[-1]))
            return self.written(operands, state, call), state
        # A leaf before the first one, of what has come before; and one after the last, which gets what comes next.
        edge = np.zeros_like(seen[:, :, :1])
        before = edge.copy() if state is None else state
        before[fields + 1], before[fields + 4] = 1, 0  # its decay
        states = np.concatenate((before, seen, edge), axis=2)
        execute.fold(self.name, tuple(states))
        return np.ascontiguousarray(states[:, :, 1:-1]), states[:, :, -1:].copy()

    def written(self, operands: tuple[Array, ...], states: Array, call: Call) -> Array:
        """The results of lanes that begin with these states, which become those at their ends."""
        inputs, grid, leaf = self.inputs(operands)
        output = np.empty(inputs[0].shape, self.output)
        parameters = (leaf, self.least, self.decays)
        execute.run(self.name, (*inputs, states), parameters, grid, (output,), call.workers, SCANS[self.name].ns)
        shape = list(np.broadcast_shapes(*(x.shape for x in operands)))
        n = shape.pop(self.axis)
        if self.columns:
            return np.moveaxis(output[..., : prod(shape)].reshape(n, *shape), 0, self.axis)
        return np.moveaxis(output.reshape(*shape, n), -1, self.axis)

    def outputs(self, operands: tuple[Array, ...], joined: Array, call: Call) -> Partials:
        return (self.written(operands, joined, call) if self.leaves else joined,)


def scan_by_pieces(
    name: str,
    given: list[Operand],
    alpha: Array,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    axis: int,
    least: float,
    out: Any,
    workers: int,
) -> Operand:
    """`scan` of what is not in memory, or is to be computed elsewhere, into an `out` that need not be in memory."""
    operands = [a if isinstance(a, Source) else numbers(letter, a) for letter, a in zip("ab", given, strict=False)]
    result: Operand = out if isinstance(out, Source) else mapreduce.room_for(out, operands, shape, dtype)
    if not result.size:
        return result
    whole = [np.broadcast_to(stand_in(a), shape) for a in operands]
    output = result if isinstance(result, np.ndarray) else laid_out(shape, dtype, whole[0].strides)
    *_, factors, lanes = lines_of([*whole, np.broadcast_to(alpha, shape), output], axis)
    n, decays = shape[axis], takes_four(name, factors, least)
    leaves = scan_leaf(lanes.size // n, n) < n
    call, width = Call(workers), sum(a.itemsize for a in operands) + alpha.itemsize + dtype.itemsize
    pieces = mapreduce.chains(mapreduce.cut(operands, shape, axis, width, call, unit=SCAN_LEAF), axis)
    work = ScanWork(pieces, dtype, axis, width, (), dtype, name, least, decays, lanes.shape[-1] > 1, leaves)
    alpha = alpha.reshape((1,) * (len(shape) - alpha.ndim) + alpha.shape)
    mapreduce.run(work, (*map(to_send, operands), alpha), mapreduce.Outputs(result, pieces).put, call)
    return result


# ---- gaps


def fill(name: str, a: Any, limit: Any, axis: Any, out: Any, workers: int | None, *, backwards: bool = False) -> Array:
    """The last number before each gap of a series, or the first one after it; `name` is that of the limit."""
    if short(a, workers) and out is None:
        small: Array | None = (doors.bfill if backwards else doors.ffill)(a, limit, axis)
        if small is not None:
            return small
    workers = settings.resolve_workers(workers)
    values: Any = opened(a)
    values = values if isinstance(values, Source) else elements("a", a)
    axis = check_axis(axis, values.ndim)
    length = values.shape[axis]
    most = length if limit is None else min(integer(name, limit), length)
    if most < 0:
        raise ValueError(f"{name} must be nonnegative, got {most}")
    if values.dtype.kind not in "biufcmM":
        raise TypeError(f"a must be an array of numbers or times, not of dtype {values.dtype}")
    target: Any = opened_out(out)
    if out is not None:
        check_out(target, values.shape, values.dtype)
    if by_pieces([values], target):
        return deliver(fill_by_pieces(values, axis, most, backwards, target, workers), out)
    return deliver(filled(values, axis, most, backwards, out, workers), out)


def filled(values: Array, axis: int, most: int, backwards: bool, out: Any, workers: int) -> Array:
    """In `out`, where that is possible."""
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
    return result


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


def missing(a: Array) -> Array:
    found: Array = np.isnat(a) if a.dtype.kind in "mM" else np.isnan(a)
    return found


@dataclass(frozen=True)
class FillWork(mapreduce.Carried):
    """Gaps of a piece are filled by `filled`; then those at its beginning, with what has come before. The state is of
    each series: whether there has been a number, the last one, and how many elements have come after it."""

    most: int
    backwards: bool

    def forwards(self, a: Array) -> Array:
        return np.flip(a, self.axis) if self.backwards else a

    def look(self, operands: tuple[Array, ...], call: Call) -> Any:
        (a,) = operands
        result = filled(a, self.axis, self.most, self.backwards, None, call.workers)
        if a.dtype.kind in "biu":
            return result, None, None
        a = self.forwards(a)
        gaps = missing(a)
        since = np.argmin(np.flip(gaps, self.axis), self.axis, keepdims=True)
        last = np.take_along_axis(a, a.shape[self.axis] - 1 - since, self.axis)
        return result, gaps, (~gaps.all(self.axis, keepdims=True), last, since)

    def join(self, operands: tuple[Array, ...], seen: Any, state: Any, call: Call) -> tuple[Any, Any]:
        result, gaps, after = seen
        if gaps is None or state is None:
            return result, after
        known, last, since = state
        n = gaps.shape[self.axis]
        if gaps.take(0, self.axis).any():
            ago = np.arange(1, n + 1).reshape([-1 if i == self.axis else 1 for i in range(gaps.ndim)])
            head = np.logical_and.accumulate(gaps, self.axis) & known & (since <= self.most - ago)
            np.copyto(self.forwards(result), last, where=head)
        found, its_last, its_since = after
        return result, (found | known, np.where(found, its_last, last), np.where(found, its_since, since + n))

    def outputs(self, operands: tuple[Array, ...], joined: Array, call: Call) -> Partials:
        return (joined,)


def fill_by_pieces(values: Operand, axis: int, most: int, backwards: bool, out: Any, workers: int) -> Operand:
    """`filled`, of what is not in memory or is to be computed elsewhere, into an `out` that need not be in memory."""
    shape, dtype = values.shape, values.dtype
    result: Operand = out if isinstance(out, Source) else mapreduce.room_for(out, [values], shape, dtype)
    if result.size:
        call, width = Call(workers), 2 * dtype.itemsize + 2
        pieces = mapreduce.chains(mapreduce.cut([values], shape, axis, width, call), axis)
        if backwards:
            pieces = Backwards(pieces.shape, pieces.size, pieces.reduced)
        work = FillWork(pieces, dtype, axis, width, (), dtype, most, backwards)
        mapreduce.run(work, (to_send(values),), mapreduce.Outputs(result, pieces).put, call)
    return result


def push_blocks(a: Array, result: Array, axis: int, limit: int) -> None:
    """The same for dtypes without a kernel, by NumPy, some elements along the axis at a time."""
    a, result = np.moveaxis(a, axis, 0), np.moveaxis(result, axis, 0)
    step = max(1, execute.output_chunk // 4 * len(a) // a.size)
    at, last = np.full(a.shape[1:], -1), a[0]
    for begin in range(0, len(a), step):
        block = a[begin : begin + step]
        here = np.arange(begin, begin + len(block)).reshape([-1] + [1] * (a.ndim - 1))
        found = np.where(missing(block), -1, here)
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
