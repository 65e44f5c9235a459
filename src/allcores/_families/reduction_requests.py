"""From the arguments of a NumPy signature to a reduction that kernels cover.

Bad arguments are only noticed here. NumPy is then asked, and raises its own error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .._engine import doors, settings
from .._engine.arguments import NoValue, Request, as_operand, keepdims_shape, reduced_axes
from .._engine.delegation import briefly
from .._engine.execute import Call
from .._engine.fp_warnings import UNDER, warn_of
from .._engine.inputs import is_more
from .._engine.registry import REDUCTIONS
from .._engine.sources import Source
from .._engine.view import SMALL, Array, lines_of, memory_order, native, relined, scattered
from .lazy_reductions import reduce
from .reduction_passes import Finish

UNSIGNED = "BHILQ"
SIGNED = "?bhilq"

POSITIONS = frozenset(name for name, row in REDUCTIONS.items() if row.ordered)

# How `initial` takes part where it is not simply added or multiplied.
EXTREMA: dict[str, Callable[..., Any]] = {"min": np.minimum, "max": np.maximum, "nanmin": np.fmin, "nanmax": np.fmax}


@dataclass(slots=True)
class Reduction(Request):
    """A reduction that kernels cover."""

    where: Array | None
    call: Call

    def reduce(self, kernel: str, finish: Finish, **options: Any) -> tuple[Array, ...]:
        return reduce(kernel, self.a, self.reduced, finish, where=self.where, call=self.call, **options)

    def deliver(self, result: Array, *, root: bool = False) -> Any:
        """Warn of the flags that were raised, then return the result as NumPy does.

        An underflow is told only where a result, or its square if it is a `root`, is that small. Elsewhere it happened
        in our own arithmetic, or to something that disappears beside larger elements.
        """
        status = self.call.status
        if status & UNDER:
            least = float(np.finfo(result.dtype).tiny) if result.dtype.kind == "f" else 0.0
            if not (np.abs(result) < (least**0.5 if root else least)).any():
                status &= ~UNDER
        if status:
            warn_of(status)
        return self.as_returned(result)


def prepare(
    kernel: str,
    a: Any,
    axis: Any,
    *,
    out: Any = None,
    keepdims: Any = False,
    where: Any = NoValue,
    workers: int | None = None,
    same_axes: bool = True,
) -> tuple[Any, Reduction | None]:
    """The operand, and a request if kernels cover the call. Otherwise None: then `ask_numpy` answers, or raises."""
    with briefly:
        workers = settings.resolve_workers(workers)
    return examine(kernel, a, axis, out, keepdims, where, workers, same_axes)


def examine(
    kernel: str, a: Any, axis: Any, out: Any, keepdims: Any, where: Any, workers: int, same_axes: bool
) -> tuple[Any, Reduction | None]:
    if isinstance(a, Source) and a.size > SMALL and a.dtype.char in REDUCTIONS[kernel].cells:
        plain = True
    else:  # small sources, and those that no kernel covers, are loaded like any array
        a, plain = as_operand(a)
    if not plain or a.dtype.char not in REDUCTIONS[kernel].cells or a.ndim == 0 or a.size == 0:
        return a, None
    if keepdims is not NoValue and type(keepdims) is not bool:
        return a, None
    reduced = reduced_axes(axis, a.ndim)
    if not reduced or (isinstance(axis, tuple) and not same_axes):
        return a, None
    mask = None
    if where is not NoValue and where is not True:
        mask = np.asarray(where)
        if mask.dtype != np.bool_ or is_more(where):
            return a, None
        try:
            mask = np.broadcast_to(mask, a.shape)
        except ValueError:
            return a, None
    request = Reduction(a, reduced, out, keepdims is True, mask, Call(workers))
    if not request.has_room():
        return a, None
    if isinstance(a, np.ndarray) and scattered(a, reduced, mask, REDUCTIONS[kernel].ordered):
        request.a = relined(a, reduced)
        request.where = None if mask is None else relined(mask, reduced)
    return a, request


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which NumPy adds and multiplies elements of `dtype`."""
    if dtype.char in SIGNED:
        return np.dtype(np.promote_types(dtype, np.intp) if dtype.kind != "b" else np.intp)
    if dtype.char in UNSIGNED:
        return np.promote_types(dtype, np.uintp)
    return native(dtype)


def fits(initial: Any, dtype: np.dtype[Any]) -> bool:
    """Whether `initial` is a plain number of the result's dtype."""
    if isinstance(initial, (bool, np.bool_)):
        return True
    if dtype.kind == "f":
        return isinstance(initial, (int, float, np.integer, np.floating)) and not isinstance(initial, np.longdouble)
    if dtype.kind in "iu" and isinstance(initial, (int, np.integer)):
        return bool(np.iinfo(dtype).min <= int(initial) <= np.iinfo(dtype).max)
    return False


def short_way(
    name: str,
    a: Any,
    axis: Any,
    keepdims: Any,
    workers: Any,
    *ddof: float,
    dtype: Any = None,
    out: Any = None,
    where: Any = NoValue,
    initial: Any = NoValue,
) -> Any:
    """The result by the fast path, in `out` if there is one; or None, with nothing changed.

    `dtype` and `out` may be what the result has anyway. Scattered arrays and tuples of axes, which the door does not
    take as they are, are copied for it.
    """
    if settings.doors <= 0 or type(a) is not np.ndarray or not (workers is None or settings.is_count(workers)):
        return None
    mask = None
    if where is not NoValue and where is not True:
        if type(where) is not np.ndarray or where.dtype.char != "?" or a.size > SMALL:
            return None
        try:
            mask = where if where.shape == a.shape else np.broadcast_to(where, a.shape)
        except ValueError:
            return None
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except TypeError:
        return None
    more: tuple[Any, ...] = ddof
    if initial is not NoValue and name not in EXTREMA:
        dtype_of_sum = accumulator(a.dtype)
        if not fits(initial, dtype_of_sum):
            return None
        try:
            more = (float(initial) if dtype_of_sum.kind == "f" else int(initial),)
        except OverflowError:
            return None
    if mask is not None or more:
        more = (mask, *more)
    door = getattr(doors, name)
    result = None if type(axis) is tuple else door(a, axis, keepdims, *more)
    if result is None:
        result = by_copy(name, a, axis, keepdims, mask, more)
    if result is None:
        return None
    if wanted is not None and (wanted != result.dtype or wanted.char != result.dtype.char):
        return None  # of long and long long, which are equal, scalars have different types
    if initial is not NoValue and name in EXTREMA:
        if not fits(initial, result.dtype):
            return None
        result = EXTREMA[name](result.dtype.type(initial), result)
    if out is None:
        return result
    if type(out) is not np.ndarray or out.shape != result.shape or out.dtype != result.dtype or not out.flags.writeable:
        return None
    out[...] = result
    return out


@cache
def named_axes(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """`reduced_axes` for plain integers, which takes less time."""
    reduced = {i + ndim if i < 0 else i for i in axes}
    if len(reduced) < len(axes) or not reduced <= set(range(ndim)):
        return ()
    return tuple(sorted(reduced))


def by_copy(name: str, a: Array, axis: Any, keepdims: Any, mask: Array | None, more: tuple[Any, ...]) -> Any:
    """The door's answer for several axes, and for scattered arrays, which are laid out in lines."""
    door = getattr(doors, name)
    if axis is None:
        reduced = tuple(range(a.ndim))
    elif type(axis) is tuple:
        reduced = named_axes(axis, a.ndim) if {*map(type, axis)} == {int} else ()
    else:
        reduced = named_axes((axis,), a.ndim) if type(axis) is int else ()
    if not reduced:
        return None
    whole = len(reduced) == a.ndim
    if keepdims is not True and keepdims is not False and keepdims is not NoValue:
        return None
    if not scattered(a, reduced, mask, name in POSITIONS):
        # Perhaps the door takes this array as it is: with one axis in a tuple, or transposed.
        if type(axis) is tuple and (whole or len(reduced) == 1):
            result = door(a, None if whole else reduced[0], keepdims, *more)
            if result is not None:
                return result
        return transposed(door, a, reduced, keepdims, more) if a.ndim > 2 and not whole and mask is None else None
    if whole:
        if mask is not None:
            more = (mask.ravel(), *more[1:])
        result = door(a.ravel(), None, False, *more)
        return np.asarray(result).reshape((1,) * a.ndim) if result is not None and keepdims is True else result
    if mask is not None:
        more = (lines_of(mask, reduced), *more[1:])
    result = door(lines_of(a, reduced), 1, False, *more)
    if result is None:
        return None
    if keepdims is True:
        return result.reshape(keepdims_shape(a.shape, reduced))
    return result.reshape([length for i, length in enumerate(a.shape) if i not in reduced])


def transposed(door: Any, a: Array, reduced: tuple[int, ...], keepdims: Any, more: tuple[Any, ...]) -> Any:
    """The door's answer for an array that is C-contiguous once its axes are in another order."""
    order = memory_order(a.shape, a.strides, a.itemsize)
    if len(reduced) != 1 or not order or order == tuple(range(a.ndim)):
        return None
    result = door(a.transpose(order), order.index(reduced[0]), False, *more)
    if result is None:
        return None
    kept = [axis for axis in order if axis not in reduced]
    result = result.transpose(sorted(range(len(kept)), key=kept.__getitem__))
    return result.reshape(keepdims_shape(a.shape, reduced)) if keepdims is True else result
