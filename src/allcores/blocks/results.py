"""Results of blocks: the first one says what the whole will be; the others must be like it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._engine.sources import Source, as_source, turns_at
from .plan import ALL, Array, Plan, Slices

MaskedArray = np.ma.MaskedArray


@dataclass(frozen=True, slots=True)
class Form:
    """What all results have in common: plain data, so that workers in other processes can check theirs."""

    source: str  # who says so
    kind: type[Any] | None  # None: any
    dtype: np.dtype[Any]
    cast: bool  # to the dtype, which the caller has chosen

    def put(self, number: int, result: Any, to: Array) -> None:
        """Check a result, and copy it to where it belongs."""
        if type(result) is not self.kind:
            result = as_array(result)
            if type(result) is not self.kind and self.kind is not None:
                raise TypeError(
                    f"block {number} gave an array of type {type(result).__name__}, "
                    f"but {self.source} one of type {self.kind.__name__}"
                )
            if isinstance(result, MaskedArray) and not isinstance(to, MaskedArray):
                raise TypeError(f"block {number} gave a masked array, but {self.source} is not")
        if result.shape != to.shape:
            raise ValueError(
                f"block {number} gave an array of shape {result.shape} instead of {to.shape}, by {self.source}"
            )
        if result.dtype == self.dtype:
            to[...] = result
        elif self.cast:
            np.copyto(to, result, casting="same_kind")
        else:
            raise TypeError(
                f"block {number} gave an array of dtype {result.dtype}, but {self.source} one of {self.dtype}; "
                "dtype= says what the result is to be"
            )


def as_array(result: Any) -> Any:
    """An array of what a function has returned. Parts of mapped files, and what is computed from them, are arrays."""
    array = np.asanyarray(result)
    return array.view(np.ndarray) if isinstance(array, np.memmap) else array


def trimmed(result: Any, trim: Slices | None) -> Any:
    return result if trim is None else as_array(result)[trim]


class Whole:
    """The result of map_blocks: blocks side by side along one axis."""

    def __init__(self, plan: Plan, dtype: Any, out: Any) -> None:
        self.plan = plan
        self.dtype = None if dtype is None else np.dtype(dtype)
        self.given: Any = out
        self.form: Form | None = None
        self.array: Any = None
        self.store: Source | None = None  # instead of an array
        self._writing: Any = nullcontext()
        self._index: Slices | None = None  # before the axis of a block's part; None: there is one block, of no axes
        if out is not None:
            self._take_out()

    def _take_out(self) -> None:
        """With an `out` nothing needs to be known of the first result."""
        plan, out = self.plan, self.given
        self.store = as_source(out)
        if self.store is None and not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an ndarray or a source, not {type(out).__name__}")
        if self.dtype is not None and out.dtype != self.dtype:
            raise TypeError(f"out must have the dtype {self.dtype}, got {out.dtype}")
        if self.store is None and not out.flags.writeable:
            raise ValueError("out must be writeable")
        if plan.shape:
            axis = self._axis(out.ndim)
            length = plan.out_span(plan.count - 1)[1]
            if axis is None or out.shape[axis] != length or plan.result_ndim not in (None, out.ndim):
                raise ValueError(
                    f"out must have {length} elements along axis {plan.out_axis}, got the shape {out.shape}"
                )
            self._index = (ALL,) * axis
        if self.store is None:
            self.array = out.copy(order="K") if self._overlaps() else out
        elif self._index is not None:
            begins = [plan.out_span(number)[0] for number in range(plan.count)]
            self._writing = turns_at(self.store, [*[range(1)] * len(self._index), begins])
        self.form = Form("out", None, out.dtype, True)

    def _axis(self, ndim: int) -> int | None:
        """The axis of a result along which blocks are put together."""
        axis = self.plan.out_axis
        return axis % ndim if -ndim <= axis < ndim else None

    def begin(self, number: int, result: Any, new: Callable[[tuple[int, ...], Any], Array] | None = None) -> None:
        """Take the first result, and make room for all; `new` makes an array of a shape and dtype."""
        plan, result = self.plan, as_array(result)
        shape = result.shape
        if plan.result_ndim not in (None, result.ndim):
            raise ValueError(
                f"block {number} gave an array of shape {shape}, of {result.ndim} dimensions: by drop_axis and "
                f"new_axis it has {plan.result_ndim}"
            )
        if plan.shape:
            begin, end = plan.out_span(number)
            axis = self._axis(result.ndim)
            if axis is None or shape[axis] != end - begin:
                raise ValueError(
                    f"block {number} gave an array of shape {shape}: it needs {end - begin} elements, as many as the "
                    f"block, along axis {plan.out_axis} (drop_axis and new_axis say which axes are lost or made)"
                )
            self._index = (ALL,) * axis
            shape = shape[:axis] + (plan.out_span(plan.count - 1)[1],) + shape[axis + 1 :]
        dtype = result.dtype if self.dtype is None else self.dtype
        if isinstance(result, MaskedArray):
            mask = np.zeros(shape, np.ma.make_mask_descr(dtype))
            self.array = type(result)(np.empty(shape, dtype), mask=mask)
        elif new is not None and type(result) is np.ndarray and not dtype.hasobject:
            self.array = new(shape, dtype)
        else:
            self.array = np.empty_like(result, dtype, shape=shape)
        self.form = Form(f"block {number}", type(result), dtype, self.dtype is not None)
        self.put(number, result)

    def target(self, number: int) -> Array:
        """Where the result of a block belongs."""
        if self._index is None:
            return self.array  # type: ignore[no-any-return]
        begin, end = self.plan.out_span(number)
        part = slice(begin, end)
        return self.array[(*self._index, part)] if self._index else self.array[part]  # type: ignore[no-any-return]

    def put(self, number: int, result: Any) -> None:
        assert self.form is not None
        if self.store is None:
            self.form.put(number, result, self.target(number))
            return
        region = [slice(0, length) for length in self.store.shape]
        if self._index is not None:
            region[len(self._index)] = slice(*self.plan.out_span(number))
        values = np.empty([part.stop - part.start for part in region], self.form.dtype)
        self.form.put(number, result, values)
        with self._writing:
            self.store.write(tuple(region), values)

    def _overlaps(self) -> bool:
        """Whether writing a block could change what another one is yet to read."""
        cut = zip(self.plan.arguments, self.plan.cuts, strict=True)
        whole = ((value, None) for value in self.plan.keywords.values())
        return any(
            isinstance(value, np.ndarray)
            and np.may_share_memory(self.given, value)
            and not self._written_after_reading(value, axis)
            for value, axis in (*cut, *whole)
        )

    def _written_after_reading(self, value: Array, cut: int | None) -> bool:
        """Whether `out` is this very argument: each block writes what it alone has read."""
        same = value.shape == self.given.shape and value.strides == self.given.strides and cut == self.plan.out_axis
        return (
            same
            and not self.plan.reads_around
            and value.__array_interface__["data"] == self.given.__array_interface__["data"]
        )

    def blank(self, number: int) -> None:
        """Of a block that failed: NaN, NaT, masked, or zero."""
        if self.given is None and self.array is not None:
            target = self.target(number)
            if isinstance(target, MaskedArray):
                target[...] = np.ma.masked
            elif target.dtype.kind in "fc":
                target[...] = np.nan
            elif target.dtype.kind in "mM":
                target[...] = np.array("NaT", target.dtype)  # without a unit NumPy 2.5 warns
            elif target.dtype.hasobject:
                target[...] = None
            else:
                target[...] = np.zeros((), target.dtype)

    def value(self) -> Any:
        if self.given is not None and self.array is not self.given and self.array is not None:
            self.given[...] = self.array
        return self.array if self.given is None else self.given


class Partials:
    """The results of blocks as they are, in order."""

    form: Form | None = Form("", None, np.dtype(object), False)  # there is nothing to wait for
    array: Any = None

    def __init__(self, plan: Plan) -> None:
        self.values: list[Any] = [None] * plan.count

    def begin(self, number: int, result: Any, new: object = None) -> None:
        self.put(number, result)

    def put(self, number: int, result: Any) -> None:
        self.values[number] = result

    def target(self, number: int) -> Any:
        return None
