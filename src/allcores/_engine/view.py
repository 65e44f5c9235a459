"""What a kernel reads: canonical views of the user's array, and the way back to the result's shape.

    a, any layout                                 x, a view of the same memory
    shape (30, 7, 400), reduce axis 1    ->       (outer..., n, inner) = (30, 7, 400)
    its transpose, reduce axis 1         ->       the same view: the order in memory decides, not the order of axes
    C-contiguous, reduce all             ->       (84000, 1)

Nothing is copied. The longest reduced axis becomes n; all other axes are carried along, reduced ones among them, whose
partials are folded afterwards. Carried axes that are faster in memory than n become inner where they adjoin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Up to so many elements an array that is scattered in memory is copied, which is faster than describing it.
SMALL = 131_072


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in the machine's byte order, which kernels and NumPy's own loops work in.

    One with fields stays as it is: each field has an order of its own, some may share bytes, and no kernel takes it.
    """
    return dtype.newbyteorder("=") if dtype.kind in "biufcmMSU" else dtype


def in_native(a: Array) -> Array:
    """The array if it is in the machine's byte order, else a copy in that order."""
    return a if a.dtype.isnative else a.astype(native(a.dtype))


@dataclass(slots=True)
class Axis:
    length: int
    stride: int
    mask_stride: int
    reduced: bool
    axes: tuple[int, ...]  # of the user's array, slowest first


@dataclass(frozen=True, slots=True)
class Canonical:
    """A view (outer..., n, inner) and what its carried positions mean."""

    x: Array
    mask: Array | None
    along: Axis  # what n is made of
    carried: tuple[Axis, ...]  # what (outer..., inner) are made of
    flipped: tuple[int, ...]  # which of the user's kept axes run backwards


def canonical(a: Array, reduced: Sequence[int], mask: Array | None = None, *, ordered: bool = False) -> Canonical:
    """View `a` as (outer..., n, inner), to be reduced along the axes `reduced`.

    `mask` has a's shape. `ordered`: elements along a reduced axis keep their order, and reduced axes are not merged
    with each other unless they adjoin in C order.
    """
    if mask is None and a.flags.c_contiguous and len(reduced) in (1, a.ndim):
        return adjoining(a, reduced)
    flips = [slice(None)] * a.ndim
    flipped = []
    for axis, (length, stride) in enumerate(zip(a.shape, a.strides, strict=True)):
        if stride < 0 and length > 1 and not (ordered and axis in reduced):
            flips[axis] = slice(None, None, -1)
            if axis not in reduced:
                flipped.append(axis)
    if any(flip.step for flip in flips):
        a = a[tuple(flips)]
        mask = None if mask is None else mask[tuple(flips)]
    mask_strides = a.strides if mask is None else mask.strides
    axes = [
        Axis(length, stride, mask_stride, axis in reduced, (axis,))
        for axis, (length, stride, mask_stride) in enumerate(zip(a.shape, a.strides, mask_strides, strict=True))
        if length > 1
    ]
    # Slowest first; a broadcast axis is the slowest of all. Stable, so C order decides between equals.
    axes.sort(key=lambda axis: -abs(axis.stride) or -(1 << 62))
    axes = coalesce(axes, ordered)
    candidates = [axis for axis in axes if axis.reduced]
    n = max(candidates, key=lambda axis: axis.length, default=None)
    carried = [axis for axis in axes if axis is not n]
    if n is None:
        n = Axis(1, 0, 0, True, ())
    inner = []
    if axes and axes[-1] is not n:
        # All carried axes at the end that adjoin, reduced or not.
        inner = [carried.pop()]
        at = axes.index(n) if n in axes else -1
        while carried and axes.index(carried[-1]) > at and adjoin(carried[-1], inner[0]):
            inner.insert(0, carried.pop())
    outer = carried
    columns = Axis(1, 0, 0, False, ()) if not inner else inner[-1]
    layout = [*outer, n, Axis(prod(axis.length for axis in inner), columns.stride, columns.mask_stride, False, ())]
    shape = tuple(axis.length for axis in layout)
    x = np.lib.stride_tricks.as_strided(a, shape, tuple(axis.stride for axis in layout), writeable=False)
    if mask is not None:
        strides = tuple(axis.mask_stride for axis in layout)
        mask = np.lib.stride_tricks.as_strided(mask, shape, strides, writeable=False)
    return Canonical(x, mask, n, (*outer, *inner), tuple(flipped))


def scattered(a: Array, reduced: Sequence[int], mask: Array | None, ordered: bool) -> bool:
    """Whether a small array takes more than two strides to be described: then it is reduced from a copy.

    Depends on the array and the arguments alone, so every way of a call finds the same order of elements.
    """
    if a.ndim < 2 or not 0 < a.size <= SMALL:
        return False
    if a.ndim == 2 and (len(reduced) == 1 or (mask is None and not ordered)):
        return 0 in a.strides
    if 1 < len(reduced) < a.ndim:
        return True
    if mask is not None:
        return not (a.flags.c_contiguous and mask.flags.c_contiguous)
    if len(reduced) == a.ndim:
        return not a.flags.forc
    return not memory_order(a.shape, a.strides, a.itemsize)


@lru_cache(maxsize=256)
def memory_order(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The order of axes in which an array is C-contiguous; an empty tuple if there is none."""
    order = tuple(sorted(range(len(shape)), key=lambda axis: -strides[axis]))
    for axis in reversed(order):
        if shape[axis] > 1 and strides[axis] != size:
            return ()
        size *= shape[axis]
    return order


@cache
def reduced_last(ndim: int, reduced: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """An order of axes that has the reduced ones last, and the way back."""
    order = (*(axis for axis in range(ndim) if axis not in reduced), *reduced)
    return order, tuple(sorted(range(ndim), key=order.__getitem__))


def lines_of(a: Array, reduced: tuple[int, ...]) -> Array:
    """The elements as a contiguous array (kept, n): the reduced axes come last, in their order."""
    order, _ = reduced_last(a.ndim, reduced)
    lines = np.ascontiguousarray(a.transpose(order))
    return lines.reshape(-1, prod(lines.shape[-len(reduced) :]))


def relined(a: Array, reduced: tuple[int, ...]) -> Array:
    """`a` with its elements laid out in memory as in `lines_of`."""
    order, back = reduced_last(a.ndim, reduced)
    return np.ascontiguousarray(a.transpose(order)).transpose(back)


def adjoining(a: Array, reduced: Sequence[int]) -> Canonical:
    """`canonical` for most arrays, which are C-contiguous and reduced along one axis or all: a tenth of the work.

    After a pass over large arrays Python's own data are no longer in the caches, and every step costs several times.
    """
    first, last, size = reduced[0], reduced[-1] + 1, a.itemsize
    outer, n, inner = prod(a.shape[:first]), prod(a.shape[first:last]), prod(a.shape[last:])
    along = Axis(n, inner * size, inner * size, True, tuple(reduced))
    carried = []
    if outer > 1:
        carried.append(Axis(outer, n * inner * size, n * inner * size, False, tuple(range(first))))
    if inner > 1:
        carried.append(Axis(inner, size, size, False, tuple(range(last, a.ndim))))
    x = a.reshape((outer, n, inner) if outer > 1 else (n, inner))
    return Canonical(x, None, along, tuple(carried), ())


def adjoin(slow: Axis, fast: Axis) -> bool:
    """Whether two axes adjoin in memory, so that they make one."""
    return slow.stride == fast.stride * fast.length and slow.mask_stride == fast.mask_stride * fast.length


def coalesce(axes: list[Axis], ordered: bool) -> list[Axis]:
    """Join neighbours of the same kind that adjoin in memory."""
    joined: list[Axis] = []
    for axis in axes:
        last = joined[-1] if joined else None
        in_order = not (ordered and axis.reduced) or (last is not None and last.axes[-1] < axis.axes[0])
        if last is not None and last.reduced == axis.reduced and adjoin(last, axis) and in_order:
            joined[-1] = Axis(
                last.length * axis.length, axis.stride, axis.mask_stride, axis.reduced, last.axes + axis.axes
            )
        else:
            joined.append(axis)
    return joined


def side_by_side(arrays: Sequence[Array], axis: int, inputs: int) -> list[Array]:
    """View arrays of one shape as (outer..., n, inner) together, with n along `axis`; at least one axis is outer.

    All but the first `inputs` are to be written; the first one's order in memory decides. Axes become one where they
    adjoin in all of the arrays.
    """
    shape = arrays[0].shape
    if all(a.flags.c_contiguous for a in arrays):
        whole = prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
        return [a.reshape(whole) for a in arrays]
    # Slowest first; a broadcast axis is the slowest of all.
    order = sorted(
        (i for i in range(len(shape)) if i != axis and shape[i] > 1),
        key=lambda i: -abs(arrays[0].strides[i]) or -(1 << 62),
    )
    groups: list[tuple[int, list[int]]] = []  # a length, and its stride in each array
    for i in order:
        strides = [a.strides[i] for a in arrays]
        if groups and all(slow == fast * shape[i] for slow, fast in zip(groups[-1][1], strides, strict=True)):
            groups[-1] = groups[-1][0] * shape[i], strides
        else:
            groups.append((shape[i], strides))
    along = shape[axis], [a.strides[axis] for a in arrays]
    inner = 1, [a.itemsize for a in arrays]
    # Axes become columns only where these lie closer together in memory than the elements along n.
    if groups and 0 < abs(groups[-1][1][0]) < abs(along[1][0]):
        inner = groups.pop()
    layout = [*(groups or [(1, [0] * len(arrays))]), along, inner]
    return [
        np.lib.stride_tricks.as_strided(
            a, [length for length, _ in layout], [strides[k] for _, strides in layout], writeable=k >= inputs
        )
        for k, a in enumerate(arrays)
    ]
