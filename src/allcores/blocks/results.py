"""Results of blocks: the first one says what the whole will be; the others must be like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .plan import ALL, Array, Plan, Slices

MaskedArray = np.ma.MaskedArray


@dataclass(frozen=True, slots=True)
class Form:
    """What all results have in common: plain data, so that workers in other processes can check theirs."""

    number: int  # of the block that came first
    kind: type[Any]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # of that block's result
    axis: int
    cast: bool  # to a dtype that the caller has chosen

    def put(self, number: int, result: Any, to: Array) -> None:
        """Check a result, and copy it to where it belongs."""
        if type(result) is not self.kind:
            result = as_array(result)
            if type(result) is not self.kind:
                raise TypeError(
                    f"block {number} gave an array of type {type(result).__name__}, "
                    f"but block {self.number} one of type {self.kind.__name__}"
                )
        if result.shape != to.shape:
            raise ValueError(
                f"block {number} gave an array of shape {result.shape} instead of {to.shape}: "
                f"block {self.number} gave one of shape {self.shape}"
            )
        if result.dtype == self.dtype:
            to[...] = result
        elif self.cast:
            np.copyto(to, result, casting="same_kind")
        else:
            raise TypeError(
                f"block {number} gave an array of dtype {result.dtype}, but block {self.number} one of {self.dtype}; "
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
        if out is not None and not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an ndarray, not {type(out).__name__}")
        if out is not None and self.dtype is not None and out.dtype != self.dtype:
            raise TypeError(f"out must have the dtype {self.dtype}, got {out.dtype}")
        if out is not None and not out.flags.writeable:
            raise ValueError("out must be writeable")
        self.given: Any = out
        self.form: Form | None = None
        self.array: Any = None
        self._index: Slices | None = ()

    def begin(self, number: int, result: Any, new: Callable[[tuple[int, ...], Any], Array] | None = None) -> None:
        """Take the first result, and make room for all; `new` makes an array of a shape and dtype."""
        plan, result = self.plan, as_array(result)
        single = not plan.shape
        ndim = result.ndim
        if plan.result_ndim is not None and ndim != plan.result_ndim:
            raise ValueError(
                f"block {number} gave an array of shape {result.shape}, of {ndim} dimensions: by drop_axis and "
                f"new_axis it has {plan.result_ndim}"
            )
        begin, end = plan.out_span(number)
        length = end - begin
        axis = plan.out_axis % ndim if -ndim <= plan.out_axis < ndim else -1
        if not single and (axis < 0 or result.shape[axis] != length):
            raise ValueError(
                f"block {number} gave an array of shape {result.shape}: it needs {length} elements, as many as the "
                f"block, along axis {plan.out_axis} (drop_axis and new_axis say which axes are lost or made)"
            )
        dtype = result.dtype if self.dtype is None else self.dtype
        shape = result.shape
        if not single:
            shape = shape[:axis] + (plan.out_span(plan.count - 1)[1],) + shape[axis + 1 :]
        if self.given is not None:
            check_out(self.given, shape, result)
            dtype, self.array = self.given.dtype, self.given
            if self._overlaps():
                self.array = np.empty_like(self.given)
        elif isinstance(result, MaskedArray):
            mask = np.zeros(shape, np.ma.make_mask_descr(dtype))
            self.array = type(result)(np.empty(shape, dtype), mask=mask)
        elif new is not None and type(result) is np.ndarray and not dtype.hasobject:
            self.array = new(shape, dtype)
        else:
            self.array = np.empty_like(result, dtype, shape=shape)
        cast = self.dtype is not None or self.given is not None
        self.form = Form(number, type(result), dtype, result.shape, max(axis, 0), cast)
        self._index = None if single else (ALL,) * axis
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
        self.form.put(number, result, self.target(number))

    def _overlaps(self) -> bool:
        """Whether writing a block could change what another one is yet to read."""
        return any(
            isinstance(value, np.ndarray)
            and np.may_share_memory(self.given, value)
            and not self._written_after_reading(value, cut)
            for value, cut in zip(self.plan.arguments, self.plan.cuts, strict=True)
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
            elif target.dtype.kind in "fcmM":
                target[...] = target.dtype.type("nan" if target.dtype.kind in "fc" else "NaT")
            elif target.dtype.hasobject:
                target[...] = None
            else:
                target[...] = np.zeros((), target.dtype)

    def value(self) -> Any:
        if self.given is not None and self.array is not self.given and self.array is not None:
            self.given[...] = self.array
        return self.array if self.given is None else self.given


def check_out(out: Any, shape: tuple[int, ...], result: Any) -> None:
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if isinstance(result, MaskedArray) and not isinstance(out, MaskedArray):
        raise TypeError("the result is masked, and out is not")


class Partials:
    """The results of blocks as they are, in order."""

    form: Form | None = Form(0, object, np.dtype(object), (), 0, False)  # there is nothing to wait for
    array: Any = None

    def __init__(self, plan: Plan) -> None:
        self.values: list[Any] = [None] * plan.count

    def begin(self, number: int, result: Any, new: object = None) -> None:
        self.put(number, result)

    def put(self, number: int, result: Any) -> None:
        self.values[number] = result

    def target(self, number: int) -> Any:
        return None
