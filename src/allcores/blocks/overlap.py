"""Blocks that see some of their neighbours' elements.

Nothing is copied but blocks at the ends of the axis, and all of them where other axes have a boundary too: a block is a
view of the array, halo included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._engine.block_grid import Axes, Halo, halo
from .plan import ALL, Array, Function, Plan, Slices, axis_of
from .tree import joined

Depth = tuple[int, int]

# dask.array's names of boundaries, and NumPy's for the same.
MODES: dict[str, Any] = {"reflect": "symmetric", "periodic": "wrap", "nearest": "edge"}


def per_axis(value: Any, ndim: int, default: Any, name: str) -> list[Any]:
    """One value for each axis, of one for all, a sequence, or a dict."""
    if isinstance(value, dict):
        result = [default] * ndim
        for axis, of_axis in value.items():
            result[axis_of(axis, ndim, name)] = of_axis
        return result
    if isinstance(value, (tuple, list)):
        if len(value) != ndim:
            raise ValueError(f"{name} must have a value for each of {ndim} axes, got {value!r}")
        return list(value)
    return [value] * ndim


def depth_of(value: Any, axis: int, length: int) -> Depth:
    before, after = value if isinstance(value, (tuple, list)) else (value, value)
    if not all(isinstance(d, (int, np.integer)) and not isinstance(d, bool) and d >= 0 for d in (before, after)):
        raise ValueError(f"depth must be of nonnegative integers, got {value!r} for axis {axis}")
    if max(before, after) > length:
        raise ValueError(f"depth {value} is more than the {length} elements of axis {axis}")
    return int(before), int(after)


def padded(block: Any, width: list[Depth], kind: Any) -> Any:
    """A block between what `kind` says; NumPy's own function would drop a mask."""
    options = {"mode": MODES[kind]} if isinstance(kind, str) else {"constant_values": kind}
    if not isinstance(block, np.ma.MaskedArray):
        return np.pad(block, width, **options)
    mask = np.ma.getmaskarray(block)
    mask = np.pad(mask, width, MODES[kind]) if isinstance(kind, str) else np.pad(mask, width)
    return np.ma.array(np.pad(block.data, width, **options), mask=mask)


class OverlapPlan(Plan):
    """Blocks of one array with `depth` elements of their neighbours, and trimmed results."""

    reads_around = True

    def __init__(
        self,
        func: Function,
        x: Array,
        depth: Any,
        boundary: Any,
        trim: bool,
        keywords: dict[str, Any],
        block_axis: Any,
        block_size: Any,
        *,
        on_executor: bool,
    ) -> None:
        super().__init__("map_overlap", func, (x,), keywords, block_axis, block_size, on_executor=on_executor)
        self.x = x
        depths = per_axis(depth, x.ndim, 0, "depth")
        self.depth = [depth_of(value, axis, x.shape[axis]) for axis, value in enumerate(depths)]
        self.boundary = per_axis("none" if boundary is None else boundary, x.ndim, "none", "boundary")
        for kind in self.boundary:
            if isinstance(kind, str) and kind != "none" and kind not in MODES:
                raise ValueError(f"boundary must be {', '.join(MODES)}, none or a number, got {kind!r}")
        self.axes = Axes(x.ndim)
        self.trims = trim
        self.bounded = [
            depth != (0, 0) and not (isinstance(kind, str) and kind == "none")
            for depth, kind in zip(self.depth, self.boundary, strict=True)
        ]
        if not trim:
            halos = [self.halo(number) for number in range(self.count)] if x.ndim else []
            lengths = [h.high - h.low + (h.before + h.after) * self.bounded[self.axis] for h in halos]
            self.ends = np.cumsum([0, *lengths])

    def change_axes(self, drop_axis: Any, new_axis: Any) -> Axes:
        self.axes = super().change_axes(drop_axis, new_axis)
        return self.axes

    def halo(self, number: int) -> Halo:
        return halo(self.blocks.span(number), self.shape[self.axis], self.depth[self.axis])

    def take(self, number: int) -> tuple[Any, ...]:
        x = self.x
        if not x.ndim:
            return (x,)
        around = self.halo(number)
        block = self.part(around.low, around.high)
        pads = [depth if bounded else (0, 0) for depth, bounded in zip(self.depth, self.bounded, strict=True)]
        pads[self.axis] = (around.before, around.after) if self.bounded[self.axis] else (0, 0)
        if not any(map(any, pads)):
            return (block,)
        kind = self.boundary[self.axis]
        if isinstance(kind, str) and any(pads[self.axis]):
            block = joined([*self.beyond(kind, *pads[self.axis], block)], self.axis)
            pads[self.axis] = (0, 0)
        # Where boundaries meet in a corner, a number of the last axis holds, as in dask.array.
        for axis, pad in enumerate(pads):
            if any(pad):
                width = [pad if i == axis else (0, 0) for i in range(x.ndim)]
                block = padded(block, width, self.boundary[axis])
        return (block,)

    def part(self, begin: int, end: int) -> Any:
        return self.x[(ALL,) * self.axis + (slice(begin, end),)]

    def beyond(self, kind: str, before: int, after: int, block: Any) -> Sequence[Any]:
        """A block between what is beyond the ends of the array."""
        n = self.shape[self.axis]
        if kind == "periodic":
            return self.part(n - before, n), block, self.part(0, after)
        if kind == "reflect":
            return np.flip(self.part(0, before), self.axis), block, np.flip(self.part(n - after, n), self.axis)
        first, last = self.part(0, 1), self.part(n - 1, n)
        return np.repeat(first, before, self.axis), block, np.repeat(last, after, self.axis)

    def trim(self, number: int) -> Slices | None:
        if not self.trims or not self.ndim:
            return None
        around = self.halo(number)
        begin, end = self.blocks.span(number)
        result = [ALL] * self.axes.result
        for axis, (before, after) in enumerate(self.depth):
            place = self.axes.place(axis)
            if place is None:
                continue
            if axis == self.axis and not self.bounded[axis]:
                before, after = begin - around.low, around.high - end
            elif not self.bounded[axis]:
                continue
            result[place] = slice(before, -after if after else None)
        return tuple(result)

    def out_span(self, number: int) -> tuple[int, int]:
        if self.trims or not self.ndim:
            return super().out_span(number)
        return int(self.ends[number]), int(self.ends[number + 1])
