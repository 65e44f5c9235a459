"""From a checked array and its axes to the values of a reduction: passes over slabs of the result.

A pass runs one kernel over one canonical view. Its partials are folded over the chunks, and over the reduced axes that
were carried along; `finish` makes a value of the partial of each output position. Where partials of all positions would
take too much memory, results are computed slab by slab: no reduction needs more than some 16 MB of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from .._engine import execute
from .._engine.execute import Call
from .._engine.grid import PARTIALS, cut
from .._engine.registry import REDUCTIONS, ReduceKernel
from .._engine.view import Array, Canonical, canonical
from .._kernels.common import Flags, Partials, tree

# What makes the values of a result, from the partial of each output position and how many elements went into it.
Finish = Callable[[Partials, Array | int], tuple[Array, ...]]


# What runs a pass, from a row, a view (outer..., n, inner), a mask, whether results are integers, and the call.
Pass = Callable[[ReduceKernel, Array, "Array | None", bool, "Call"], Partials]


def one_pass(row: ReduceKernel, x: Array, mask: Array | None, integers: bool, call: Call) -> Partials:
    """Run the kernel over a view (outer..., n, inner); the partials have the shape (outer, inner)."""
    fields = row.partial(x.dtype, integers)
    size = sum(field.dtype.itemsize for field in fields)
    grid = cut(x.shape, execute.chunk_size, size, call.workers)
    partials = execute.partials(fields, grid)
    ns = row.cost(x.itemsize, fields)
    call.status |= execute.run(row.name, (x, mask), (), grid, partials, call.workers, ns)
    if grid.parts > 1:
        status = execute.fold(row.name, partials)
        if status is None:
            return fold(row, partials, 0, call)
        call.status |= status
    return tuple(field[0] for field in partials)


def fold(row: ReduceKernel, partials: Partials, axis: int, call: Call) -> Partials:
    flags = Flags()
    with flags.watch():
        partials = tree(row.fold, partials, axis)
    call.status |= flags.raised
    return partials


def fold_carried(
    row: ReduceKernel, view: Canonical, partials: Partials, shape: tuple[int, ...], call: Call
) -> Partials:
    """Fold the reduced axes among the carried ones; what is left has the lengths of the kept ones."""
    partials = tuple(field.reshape(shape) for field in partials)
    for position in reversed(range(len(shape))):
        if view.carried[position].reduced:
            partials = fold(row, partials, position, call)
    return partials


def slabs(view: Canonical, size: int) -> Iterator[tuple[int, slice]]:
    """Cut the longest kept axis that can be cut, so that about PARTIALS bytes of partials are needed at a time.

    Yields the position of that axis among the carried ones, and a range of it.
    """
    outer = view.x.ndim - 2
    lengths = [axis.length for axis in view.carried]
    whole = size * prod(lengths)
    # The axes inside `inner` are one axis of the view: only the slowest of them can be cut.
    kept = [i for i, axis in enumerate(view.carried[: outer + 1]) if not axis.reduced]
    if whole <= PARTIALS or not kept:
        yield -1, slice(None)
        return
    position = max(kept, key=lambda i: lengths[i])
    # Never one column alone: it would be read as a line, in another order.
    count = max(1, min(-(-whole // PARTIALS), lengths[position] // 2))
    for i in range(count):
        yield position, slice(lengths[position] * i // count, lengths[position] * (i + 1) // count)


def take(x: Array, view: Canonical, position: int, part: slice) -> Array:
    """The part of the canonical view that a slab covers."""
    if position < 0:
        return x
    outer = x.ndim - 2
    if position < outer:
        return x[(slice(None),) * position + (part,)]
    unit = prod(axis.length for axis in view.carried[outer + 1 :])
    return x[..., part.start * unit : part.stop * unit]


def reduce(
    kernel: str,
    a: Array,
    reduced: tuple[int, ...],
    finish: Finish,
    *,
    where: Array | None = None,
    counted: bool = False,
    integers: bool = False,
    call: Call,
    run_pass: Pass = one_pass,
) -> tuple[Array, ...]:
    """Reduce `a`, which has elements, along the axes `reduced`; `run_pass` knows where they are.

    `where` is of a's shape. `finish` gets the partials and, if `counted`, how many elements `where` selects (without
    `where`: how many elements are reduced). Returns arrays of the kept axes' shape, one for each that finish returns.
    """
    row = REDUCTIONS[kernel]
    view = canonical(a, reduced, where, ordered=row.ordered)
    n = prod(a.shape[axis] for axis in reduced)
    kept = [axis for axis in view.carried if not axis.reduced]
    lengths = tuple(axis.length for axis in kept)
    size = sum(field.dtype.itemsize for field in row.partial(a.dtype, integers)) + 8 * counted
    results: tuple[Array, ...] = ()
    for position, part in slabs(view, size):
        x = take(view.x, view, position, part)
        mask = None if view.mask is None else take(view.mask, view, position, part)
        shape = tuple(part.stop - part.start if i == position else axis.length for i, axis in enumerate(view.carried))
        partials = fold_carried(row, view, run_pass(row, x, mask, integers, call), shape, call)
        count: Array | int = n
        if counted and mask is not None:
            counter = REDUCTIONS["count_nonzero"]
            (count,) = fold_carried(counter, view, one_pass(counter, mask, None, False, call), shape, call)
        values = finish(partials, count)
        if position < 0:
            results = values
            break
        if not results:
            results = tuple(np.empty(lengths, value.dtype) for value in values)
        at = sum(not axis.reduced for axis in view.carried[:position])
        for result, value in zip(results, values, strict=True):
            result[(slice(None),) * at + (part,)] = value
    return tuple(arrange(result, a, reduced, view) for result in results)


def arrange(result: Array, a: Array, reduced: tuple[int, ...], view: Canonical) -> Array:
    """From the order of the carried axes to that of the user's kept axes."""
    axes = [axis for group in view.carried if not group.reduced for axis in group.axes]
    shape = tuple(length for axis, length in enumerate(a.shape) if axis not in reduced)
    if axes != sorted(axes):
        result = result.reshape([a.shape[axis] for axis in axes])
        result = result.transpose(sorted(range(len(axes)), key=axes.__getitem__))
    result = result.reshape(shape)
    if view.flipped:
        kept = [axis for axis in range(a.ndim) if axis not in reduced]
        back = tuple(slice(None, None, -1) if axis in view.flipped else slice(None) for axis in kept)
        result = result[back].copy()
    return result


def position_of_all(kernel: str, a: Array, call: Call, run_pass: Pass = one_pass) -> int:
    """argmin and its kin over all axes: the position in C order of the first extremum, or -1 where all are NaN."""
    row = REDUCTIONS[kernel]
    view = canonical(a, tuple(range(a.ndim)), ordered=True)
    strides = {axis: prod(a.shape[axis + 1 :]) for axis in range(a.ndim)}

    def flat(axes: tuple[int, ...], index: Array) -> Array:
        """From an index along joined axes to its share of the position in C order."""
        if len(axes) <= 1:
            return index * strides[axes[0]] if axes else index * 0
        lengths = [a.shape[axis] for axis in axes]
        parts = np.unravel_index(np.maximum(index, 0), lengths)
        share = sum(part * strides[axis] for part, axis in zip(parts, axes, strict=True))
        return np.asarray(share)

    best: Partials | None = None
    outer = view.x.shape[:-2]
    step = max(1, PARTIALS // 2 // (24 * prod(outer[1:]) * view.x.shape[-1])) if outer else 1
    for begin in range(0, outer[0] if outer else 1, step):
        x = view.x[begin : begin + step] if outer else view.x
        value, index = run_pass(row, x, None, False, call)
        lengths = tuple(axis.length for axis in view.carried)
        if outer:
            lengths = (x.shape[0], *lengths[1:])
        value, index = value.reshape(lengths), index.reshape(lengths)
        position = flat(view.along.axes, index)
        for i, group in enumerate(view.carried):
            share = flat(group.axes, np.arange(lengths[i]) + (begin if i == 0 and outer else 0))
            position = position + share.reshape((-1,) + (1,) * (len(lengths) - i - 1))
        position = np.where(index < 0, -1, position).reshape(-1)
        order = np.argsort(position, kind="stable")
        partials = (value.reshape(-1)[order], position[order])
        found = tree(row.fold, partials)
        best = found if best is None else earlier(row, best, found)
    assert best is not None
    return int(best[1])


def earlier(row: ReduceKernel, a: Partials, b: Partials) -> Partials:
    """Fold two candidates, the one of the lower position first."""
    return row.fold(a, b) if 0 <= int(a[1]) < int(b[1]) else row.fold(b, a)
