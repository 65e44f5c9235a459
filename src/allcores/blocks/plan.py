"""What is to be done: a function, its arguments in each block, and where its results belong."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._engine import block_grid, settings
from .._engine.block_grid import Axes, Blocks
from .._engine.sources import Source, as_source

Array = NDArray[Any]
Function = Callable[..., Any]
Slices = tuple[slice, ...]

ALL = slice(None)

# Bytes of a source that are read at a time, at least.
PIECE = 4 << 20


def as_argument(value: Any) -> Any:
    """Arrays and their subclasses as they are, Python's and NumPy's scalars too, which have promotion rules of their
    own; what is not in memory as a source; of all else NumPy makes an array."""
    if value is None or isinstance(value, (np.ndarray, np.generic, int, float, complex, str, bytes)):
        return value
    source = as_source(value)
    return np.asarray(value) if source is None else source


def axis_of(axis: Any, ndim: int, name: str) -> int:
    """An axis as a number from 0."""
    return int(np.lib.array_utils.normalize_axis_index(operator.index(axis), ndim, name))


def axes_of(axes: Any, ndim: int, name: str) -> tuple[int, ...]:
    if axes is None:
        return ()
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(axes, ndim, name)))


def size_of(block_size: Any) -> int:
    if isinstance(block_size, (bool, np.bool_)):
        raise TypeError("block_size must be an integer, not bool")
    try:
        size = operator.index(block_size)
    except TypeError:
        raise TypeError(f"block_size must be an integer, got {block_size!r}") from None
    if size < 1:
        raise ValueError(f"block_size must be positive, got {size}")
    return size


def parameters_of(func: Function) -> frozenset[str]:
    """The names of a function's parameters; none of ufuncs and other compiled functions."""
    try:
        return frozenset(inspect.signature(func).parameters)
    except (ValueError, TypeError):
        return frozenset()


class Plan:
    """A function over blocks of arrays.

    Results of blocks are put together along `out_axis`; a negative number counts from the end.
    """

    reads_around = False  # whether a block needs elements that belong to others

    def __init__(
        self,
        name: str,
        func: Function,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        block_axis: Any,
        block_size: Any,
        *,
        on_executor: bool,
    ) -> None:
        if not callable(func):
            raise TypeError(f"func must be callable, got {func!r}")
        if not arguments:
            raise TypeError(f"{name}() needs at least one array")
        self.name, self.func, self.keywords = name, func, keywords
        self.arguments = tuple(as_argument(value) for value in arguments)
        shapes = [np.shape(value) for value in self.arguments]
        self.shape = block_grid.broadcast(shapes)
        self.ndim = len(self.shape)
        size = None if block_size is None else size_of(block_size)
        if self.shape:
            self.axis = axis_of(block_axis, self.ndim, "block_axis")
            self.cuts = [block_grid.own_axis(shape, self.shape, self.axis) for shape in shapes]
            n = self.shape[self.axis]
            arrays = [a for a in self.arguments if isinstance(a, (np.ndarray, np.generic, Source))]
            row = block_grid.row_bytes(self.shape, self.axis, [(a.shape, a.itemsize) for a in arrays])
            default = block_grid.for_executor if on_executor else block_grid.for_threads
            self.blocks = default(n, row) if size is None else Blocks(n, size)
            if size is None:
                self._follow_chunks()
        else:  # one element: nothing can be cut
            self.axis, self.cuts, self.blocks = 0, [None] * len(shapes), Blocks(1, 1)
        # What every block needs whole has to be in memory.
        self.arguments = tuple(
            value.load() if isinstance(value, Source) and cut is None else value
            for value, cut in zip(self.arguments, self.cuts, strict=True)
        )
        self.out_axis = self.axis
        self.result_ndim: int | None = None  # None: whatever it is
        wanted = parameters_of(func)
        self._ids = "block_id" in wanted and "block_id" not in keywords
        self._infos = "block_info" in wanted and "block_info" not in keywords

    def _follow_chunks(self) -> None:
        """Blocks of sources are of whole stored chunks, and have some MiB, since each is read for itself."""
        chunk, row = 1, 0
        for value, cut in zip(self.arguments, self.cuts, strict=True):
            if isinstance(value, Source) and cut is not None:
                row = max(row, value.nbytes // max(1, value.shape[cut]))
                chunk = chunk if value.chunks is None else max(chunk, value.chunks[cut])
        if row:
            size = max(self.blocks.size, PIECE // row)
            self.blocks = Blocks(self.blocks.n, -(-size // chunk) * chunk)

    def workers(self, wanted: int) -> int:
        """As many as have room for the blocks of sources within the memory budget, but one."""
        size = sum(
            self.blocks.size * value.nbytes // max(1, value.shape[cut])
            for value, cut in zip(self.arguments, self.cuts, strict=True)
            if isinstance(value, Source) and cut is not None
        )
        return min(wanted, self.count, max(1, settings.get_memory_budget() // (2 * size))) if size else wanted

    @property
    def count(self) -> int:
        return self.blocks.count

    def change_axes(self, drop_axis: Any, new_axis: Any) -> Axes:
        """Take account of axes that the function loses and makes."""
        drop = axes_of(drop_axis, self.ndim, "drop_axis")
        made = 0 if new_axis is None else np.size(new_axis)
        new = axes_of(new_axis, self.ndim - len(drop) + made, "new_axis")
        axes = Axes(self.ndim, drop, new)
        if drop or new:
            place = axes.place(self.axis)
            if place is None and self.ndim:
                raise ValueError(
                    f"axis {self.axis}, along which blocks are cut, can't be dropped: the function would get a part "
                    "of it. Cut along another axis (block_axis=), or see reduction()"
                )
            self.out_axis, self.result_ndim = place or 0, axes.result
        return axes

    def take(self, number: int) -> tuple[Any, ...]:
        """The positional arguments of a block."""
        begin, end = self.blocks.span(number)
        part = slice(begin, end)
        return tuple(
            value if cut is None else value[part] if cut == 0 else value[(ALL,) * cut + (part,)]
            for value, cut in zip(self.arguments, self.cuts, strict=True)
        )

    def keywords_of(self, number: int) -> dict[str, Any]:
        if not (self._ids or self._infos):
            return self.keywords
        keywords = dict(self.keywords)
        if self._ids:
            keywords["block_id"] = self.location(number, self.ndim, self.axis)
        if self._infos:
            keywords["block_info"] = {
                position: self._info(np.shape(value), cut, number)
                for position, (value, cut) in enumerate(zip(self.arguments, self.cuts, strict=True))
            }
        return keywords

    def location(self, number: int, ndim: int, axis: int | None) -> tuple[int, ...]:
        return tuple(number if i == axis else 0 for i in range(ndim))

    def _info(self, shape: tuple[int, ...], cut: int | None, number: int) -> dict[str, Any]:
        """What dask.array tells a function about the block of one argument."""
        begin, end = self.blocks.span(number)
        return {
            "shape": shape,
            "num-chunks": tuple(self.count if i == cut else 1 for i in range(len(shape))),
            "array-location": [(begin, end) if i == cut else (0, length) for i, length in enumerate(shape)],
            "chunk-location": self.location(number, len(shape), cut),
        }

    def slices(self, number: int) -> Slices:
        """Which part of the arrays together a block is."""
        begin, end = self.blocks.span(number)
        return tuple(
            slice(begin, end) if axis == self.axis else slice(0, length) for axis, length in enumerate(self.shape)
        )

    def out_span(self, number: int) -> tuple[int, int]:
        """Which elements along `out_axis` of the whole result are the block's."""
        return self.blocks.span(number)

    def trim(self, number: int) -> Slices | None:
        """What of the function's result is the block's; None: all of it."""
        return None
