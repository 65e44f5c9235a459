"""Partitions: from arguments to kernels that divide lines around elements of given ranks, or find the first elements.

    a  ->  lines; the elements of some ranks are pivots  ->  less, equal, between, equal, ..., greater

Within a class elements keep their order. So the result is the same for all kernels, chunks and workers, unlike the
order that NumPy leaves.

    lines that fit into the caches     one pass, which searches the pivots and distributes the elements
    long lines, one by one             pivots, as for quantiles; the last pass for these mostly tells how much of
                                       each class a chunk has, else another one counts; a pass that puts each
                                       element where it belongs
      only the first few               one pass for those beyond an element of a sample
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .._engine import execute, settings
from .._engine.arguments import as_operand, check_axis, integer, reduced_axes
from .._engine.delegation import ask_numpy
from .._engine.grid import cut_windows
from .._engine.inputs import elements, is_missing, is_more
from .._engine.registry import FUNCTIONS, SELECTIONS
from .._engine.view import Array, side_by_side
from .._kernels.keys import key_dtype, reversed_order, to_keys
from . import selection
from .quantiles import kernel_dtype
from .selection import POSITION, Selected, cut_long, run_selection_pass, select_long, spread

FEW = 64  # a line that is so many times as long as its result has few first elements


def partition(name: str, a: Any, kth: Any, axis: Any, kind: Any, order: Any, workers: int | None) -> Any:
    """partition, argpartition"""
    workers = settings.resolve_workers(workers)
    a, plain = as_operand(a)
    searched = kernel_dtype(a.dtype) if plain and a.ndim and a.size else None
    whole = axis is None
    given = () if whole else reduced_axes(axis, a.ndim, several=())
    along = a.ndim - 1 if whole else given[0] if given else -1
    ranks = None
    if searched is not None and along >= 0 and kind == "introselect" and order is None:
        ranks = good_ranks(kth, a.size if whole else a.shape[along])
    if ranks is None or searched is None:
        return ask_numpy(getattr(np, name), a, kth=kth, axis=axis, kind=kind, order=order)
    if whole:
        a, along = a.reshape(-1), 0
    positions = FUNCTIONS[name].positions
    source = a.astype(searched, copy=False)
    result = np.empty_like(a, POSITION if positions else searched, subok=False)
    divide(source, result, along, ranks, positions, False, workers)
    return result.astype(np.intp if positions else a.dtype, copy=False)


def good_ranks(kth: Any, n: int) -> Array | None:
    """The ranks in order, each once; None where NumPy raises."""
    if type(kth) is int and -n <= kth < n:
        return np.array([kth % n], np.intp)
    if is_more(kth):
        return None
    try:
        ranks = np.asarray(kth)
    except ValueError:
        return None
    if ranks.ndim > 1 or ranks.dtype.kind not in "iu" or not ranks.size:
        return None
    ranks = ranks.reshape(-1).astype(np.intp)
    if ((ranks < -n) | (ranks >= n)).any():
        return None
    return np.asarray(np.unique(np.where(ranks < 0, ranks + n, ranks)))


def divide(a: Array, result: Array, axis: int, ranks: Array, positions: bool, backwards: bool, workers: int) -> None:
    """Fill `result`, of a's shape but perhaps shorter along the axis."""
    if result.shape == a.shape:
        x, out = side_by_side([a, result], axis, 1)
    elif a.flags.c_contiguous:
        x, out = (v.reshape(prod(v.shape[:axis]), v.shape[axis], -1) for v in (a, result))
    else:
        x, out = (np.moveaxis(v, axis, -1)[None, ..., None] for v in (a, result))
    n = x.shape[-2]
    if n <= selection.longest:
        grid = cut_windows(x.shape, None, execute.output_chunk, workers)
        operands, parameters = (x, np.ascontiguousarray(ranks, np.intp)), (int(positions), int(backwards))
        execute.run("divide", operands, parameters, grid, (out,), workers, SELECTIONS["divide"].ns)
        return
    for line in np.ndindex(*x.shape[:-2], x.shape[-1]):
        at = (*line[:-1], slice(None), line[-1])
        few = positions and FEW * out.shape[-2] < n
        if not (few and first_of_long(x[at], out[at], backwards, workers)):
            divide_long(x[at], out[at], ranks, positions, backwards, workers)


def first_of_long(x: Array, out: Array, backwards: bool, workers: int) -> bool:
    """Find the positions of the first elements of one line, if they are few, among those beyond an element of a sample.

    Returns False where the sample has misled: there are fewer such elements, too many in a chunk, or all are such.
    """
    info = np.iinfo(key_dtype(x.dtype))
    top = int(info.max) - (x.dtype.kind == "f")  # NaN has a greater key
    sample = to_keys(x[spread(len(x), selection.sample_size)])
    sample = np.sort(sample[sample <= top])
    likely = len(out) * len(sample) / len(x)
    number = int(likely + 4 * likely**0.5) + 8
    if number >= len(sample):
        return False
    low, high = (int(sample[-number]), top) if backwards else (int(info.min), int(sample[number]))
    grid = cut_windows((1, len(x), 1), 1, execute.output_chunk, workers)
    room = 4 * number * len(x) // len(sample) // grid.chunks + 64
    everything = low == info.min and high == info.max  # the kernel needs a key that is not in demand
    if everything or room * grid.chunks > selection.budget:
        return False
    counts, kept = np.empty(grid.chunks, POSITION), np.empty((grid.chunks, room), POSITION)
    execute.run("gather", (x,), (low, high), grid, (counts, kept), workers, SELECTIONS["gather"].ns)
    if counts.max() > room or not len(out) <= counts.sum() < len(x):
        return False
    found = kept[np.arange(room) < counts[:, None]]
    among = np.empty((len(out), 1), POSITION)
    divide(x[found][:, None], among, 0, np.array([len(out) - 1]), True, backwards, 1)
    out[:] = found[among[:, 0]]
    return True


@dataclass(frozen=True, slots=True)
class AmongNumbers:
    """The ranks, or the last one alone; with `backwards`, from the other end."""

    ranks: tuple[int, ...]
    backwards: bool
    m: int

    def __call__(self, counts: Array) -> Array:
        last = np.maximum(counts, 1)[:, None] - 1
        wanted = np.minimum(np.array(self.ranks), last)
        return np.asarray(last - wanted if self.backwards else wanted)


def divide_long(x: Array, out: Array, ranks: Array, positions: bool, backwards: bool, workers: int) -> None:
    """Divide one line, of one dimension. With `backwards` there is one rank."""
    top = int(np.iinfo(key_dtype(x.dtype)).max)
    last: list[Selected] = []
    keys, count = select_long(x, AmongNumbers(tuple(ranks.tolist()), backwards, len(ranks)), True, workers, last)
    pivots = sorted({int(key) if rank < count else top for key, rank in zip(keys, ranks, strict=True)})
    found = [last[0].classes(key) if last and key < top else None for key in pivots]
    if all(classes is not None for classes in found):
        grid, numbers = last[0].grid, last[0].counts[:, 0]
        below, same = np.stack(found, axis=2)  # type: ignore[arg-type]
    else:
        grid = cut_long(len(x), len(pivots), workers)
        selected = run_selection_pass(x, [(key, key) for key in pivots], grid, np.zeros(grid.chunks, np.int64), workers)
        numbers, below, same = selected.counts[:, 0], selected.counts[:, 1::4], selected.counts[:, 2::4]
    last.clear()
    if backwards and not (pivots[0] == top and x.dtype.kind == "f"):  # NaN is last in both directions
        less, ends = numbers[:, None] - below - same, np.array([~pivots[0]], np.int64)
    else:
        less, ends = below, np.array(pivots, np.int64)
    lengths = np.full(grid.chunks, grid.run)
    lengths[-1] = len(x) - grid.run * (grid.chunks - 1)
    # How many elements come up to each border between two classes, then how many are in each class.
    borders = np.stack([less, less + same], axis=2).reshape(grid.chunks, -1)
    classes = np.diff(borders, axis=1, prepend=0, append=lengths[:, None])
    totals = classes.sum(axis=0)
    following = np.cumsum(totals) - totals + np.cumsum(classes, axis=0) - classes
    following = np.ascontiguousarray(following, np.int64)
    operands, parameters = (x, ends, following), (int(positions), int(backwards))
    execute.run("scatter", operands, parameters, grid, (out,), workers, SELECTIONS["scatter"].ns)


# ---- the first ones


def topk(a: Any, k: Any, axis: Any, largest: bool, ordered: bool, workers: int | None) -> tuple[Array, Array]:
    workers = settings.resolve_workers(workers)
    a = elements("a", a)
    if axis is None:
        a, axis = a.reshape(-1), 0
    axis = check_axis(axis, a.ndim)
    count = integer("k", k)
    if not 0 <= count <= a.shape[axis]:
        raise ValueError(f"k must be between 0 and {a.shape[axis]}, the length of the axis, got {count}")
    shape = tuple(count if i == axis else length for i, length in enumerate(a.shape))
    indices = np.empty(shape, POSITION)
    searched = kernel_dtype(a.dtype)
    if searched is None:
        indices[...] = np.take(in_order(a, axis, largest), np.arange(count), axis)
    elif indices.size:
        divide(a.astype(searched, copy=False), indices, axis, np.array([count - 1]), True, largest, workers)
    values = taken(a, indices, axis)
    if ordered and searched is not None and count > 1:
        keys = reversed_order(to_keys(values.astype(searched, copy=False)), searched, largest)
        order = np.argsort(keys, axis, kind="stable")
        values, indices = taken(values, order, axis), taken(indices, order, axis)
    return values, indices.astype(np.intp, copy=False)


def taken(a: Array, indices: Array, axis: int) -> Array:
    """`np.take_along_axis`, which by itself would take 5 us even for one dimension."""
    return a[indices] if a.ndim == 1 else np.take_along_axis(a, indices, axis)


def in_order(a: Array, axis: int, largest: bool) -> Array:
    """Positions in order for dtypes without a kernel, by NumPy: equal elements by position, missing ones last."""
    strings = a.dtype.kind == "T"
    missing = is_missing(a) if strings or largest else None
    if strings:  # None among them can't be compared
        a = np.copy(a)
        a[missing] = ""
    if largest:
        order = a.shape[axis] - 1 - np.flip(np.argsort(np.flip(a, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(a, axis, kind="stable")
    if missing is None or a.dtype.kind not in "fcmMT":
        return np.asarray(order)
    later = np.argsort(np.take_along_axis(missing, order, axis), axis, kind="stable")
    return np.asarray(np.take_along_axis(order, later, axis))
