"""From the arguments of a NumPy signature to what the engine reduces, or to NumPy where no kernel covers them.

Bad arguments are not examined here beyond noticing them: NumPy is asked, and raises its own error.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from numbers import Number
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from . import doors, reading, reduction, settings
from .inputs import in_memory, is_more
from .notices import UNDER, warn_of
from .operands import SMALL, Array, lines_of, memory_order, native, relined, scattered
from .reduction import Call
from .registry import KERNELS
from .sources import Source, as_source

NoValue: Any = np._NoValue

UNSIGNED = "BHILQ"
SIGNED = "?bhilq"

POSITIONS = frozenset(name for name, row in KERNELS.items() if row.ordered)

# How `initial` takes part where it is not a number more to add or to multiply.
EXTREMA: dict[str, Callable[..., Any]] = {"min": np.minimum, "max": np.maximum, "nanmin": np.fmin, "nanmax": np.fmax}


@dataclass(slots=True)
class Request:
    """A reduction that kernels cover."""

    a: Array | Source
    reduced: tuple[int, ...]
    where: Array | None
    out: Any
    keepdims: bool
    call: Call

    @property
    def n(self) -> int:
        """Number of elements that make one result."""
        n = 1
        for axis in self.reduced:
            n *= self.a.shape[axis]
        return n

    def reduce(self, kernel: str, finish: reduction.Finish, **options: Any) -> tuple[Array, ...]:
        return reading.reduce(kernel, self.a, self.reduced, finish, where=self.where, call=self.call, **options)

    def deliver(self, result: Array, *, root: bool = False) -> Any:
        """Warn of what happened, then hand the result over as NumPy does.

        Of an underflow only where a result, or its square if it is a `root`, is that small. Elsewhere it was in our own
        arithmetic, or something that disappears beside larger elements.
        """
        status = self.call.status
        if status & UNDER:
            least = float(np.finfo(result.dtype).tiny) if result.dtype.kind == "f" else 0.0
            if not (np.abs(result) < (least**0.5 if root else least)).any():
                status &= ~UNDER
        if status:
            warn_of(status)
        if self.keepdims:
            result = result.reshape(keepdims_shape(self.a.shape, self.reduced))
        if self.out is not None:
            self.out[...] = result
            return self.out
        return result[()] if result.ndim == 0 else result


def keepdims_shape(shape: tuple[int, ...], reduced: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in reduced else length for axis, length in enumerate(shape))


def as_operand(a: Any) -> tuple[Any, bool]:
    """The array to work on, and whether it is a plain one.

    Masked arrays, matrices and other subclasses keep their meaning: they are NumPy's. What is not an array at all is
    converted, pandas' and xarray's objects among them. Integers that have fields as well are NumPy's, too.
    """
    if is_more(a):
        return a, False
    values = in_memory(a)
    return values, values.dtype.names is None


def listed(a: Any) -> Any:
    """A list as an array, and what is not in memory as a source, once; other array-likes are converted where they are
    examined."""
    if type(a) is np.ndarray:
        return a
    if type(a) is list or type(a) is tuple:
        return np.asarray(a)
    source = as_source(a)
    return a if source is None else source


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
) -> tuple[Any, Request | None]:
    """The operand, and a request where kernels cover the call; otherwise None: `ask_numpy` is to answer, or to
    complain."""
    with briefly:
        workers = settings.resolve_workers(workers)
    return examine(kernel, a, axis, out, keepdims, where, workers, same_axes)


def examine(
    kernel: str, a: Any, axis: Any, out: Any, keepdims: Any, where: Any, workers: int, same_axes: bool
) -> tuple[Any, Request | None]:
    if isinstance(a, Source) and a.size > SMALL and a.dtype.char in KERNELS[kernel].cells:
        plain = True
    else:  # what is no larger, and what no kernel covers, is like any array
        a, plain = as_operand(a)
    if not plain or a.dtype.char not in KERNELS[kernel].cells or a.ndim == 0 or a.size == 0:
        return a, None
    if keepdims is not NoValue and type(keepdims) is not bool:
        return a, None
    if axis is None:
        reduced = tuple(range(a.ndim))
    elif type(axis) is int and -a.ndim <= axis < a.ndim:
        reduced = (axis % a.ndim,)
    else:
        try:
            axes = axis if type(axis) is tuple else (operator.index(axis),)
            if any(isinstance(i, bool) for i in (axis, *axes)):
                return a, None
            reduced = tuple(sorted(normalize_axis_tuple(axes, a.ndim)))
        except (TypeError, ValueError, OverflowError):
            return a, None
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
    keep = keepdims is True
    if out is not None:
        shape = (
            keepdims_shape(a.shape, reduced)
            if keep
            else tuple(length for i, length in enumerate(a.shape) if i not in reduced)
        )
        if not is_room(out) or tuple(out.shape) != shape:
            return a, None
    operand = a
    if isinstance(a, np.ndarray) and scattered(a, reduced, mask, KERNELS[kernel].ordered):
        operand = relined(a, reduced)
        mask = None if mask is None else relined(mask, reduced)
    return a, Request(operand, reduced, mask, out, keep, Call(workers))


def is_room(out: Any) -> bool:
    """Whether results can be put there by an assignment: an array, mapped or not, or a source."""
    if type(out) is np.ndarray or isinstance(out, np.memmap):
        return bool(out.flags.writeable)
    return as_source(out) is not None


def other_dtype(out: Any, dtype: Any) -> bool:
    """Whether there is an `out` of another dtype, whatever its byte order: an assignment takes care of that."""
    return out is not None and (not hasattr(out, "dtype") or native(np.dtype(out.dtype)) != dtype)


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
    """The result by the short way, in `out` if there is one; or None, with nothing changed.

    `dtype` and `out` may be what the result has anyway. What the door does not take as it is, scattered arrays and
    tuples of axes, it gets as a copy.
    """
    if settings.doors <= 0 or type(a) is not np.ndarray or not (workers is None or settings.is_count(workers)):
        return None
    if settings.sends_arrays():
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
def reduced_axes(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """The axes that these plain integers name, in their order; nothing where one is out of bounds or named twice."""
    reduced = {i + ndim if i < 0 else i for i in axes}
    if len(reduced) < len(axes) or not reduced <= set(range(ndim)):
        return ()
    return tuple(sorted(reduced))


def by_copy(name: str, a: Array, axis: Any, keepdims: Any, mask: Array | None, more: tuple[Any, ...]) -> Any:
    """What the door says of several axes, and of scattered arrays laid out in lines."""
    door = getattr(doors, name)
    if axis is None:
        reduced = tuple(range(a.ndim))
    elif type(axis) is tuple:
        reduced = reduced_axes(axis, a.ndim) if {*map(type, axis)} == {int} else ()
    else:
        reduced = reduced_axes((axis,), a.ndim) if type(axis) is int else ()
    if not reduced:
        return None
    whole = len(reduced) == a.ndim
    if keepdims is not True and keepdims is not False and keepdims is not NoValue:
        return None
    if not scattered(a, reduced, mask, name in POSITIONS):
        # Perhaps one of those that it takes as they are, said with a tuple; or transposed.
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
    """What the door says of an array that is C-contiguous once its axes are in another order."""
    order = memory_order(a.shape, a.strides, a.itemsize)
    if len(reduced) != 1 or not order or order == tuple(range(a.ndim)):
        return None
    result = door(a.transpose(order), order.index(reduced[0]), False, *more)
    if result is None:
        return None
    kept = [axis for axis in order if axis not in reduced]
    result = result.transpose(sorted(range(len(kept)), key=kept.__getitem__))
    return result.reshape(keepdims_shape(a.shape, reduced)) if keepdims is True else result


def ask_numpy(function: Callable[..., Any], a: Any, **arguments: Any) -> Any:
    """NumPy's own function, with the arguments that were given. If it raises, `out` is as it was.

    Operands that are no arrays are converted first, as `a` is: libraries that take part in NumPy's protocols would
    answer, or ask us again.
    """
    given = {name: value for name, value in arguments.items() if value is not NoValue}
    with briefly:
        for name in CONVERTED:
            if name in given:
                given[name] = converted(given[name])
        rehearse(function, a, given)
    if isinstance(a, Source):
        a = a.load()
    out = bare(given.get("out"))
    before = out.copy() if isinstance(out, np.ndarray) else None
    try:
        return function(a, **given)
    except BaseException:
        if isinstance(out, np.ndarray) and out.flags.writeable:
            out[...] = before
        raise


CONVERTED = ("where", "weights", "mean", "ddof")  # operands beside the array


def converted(operand: Any) -> Any:
    """An operand that is neither an array nor a scalar, as an array."""
    plain = operand is None or isinstance(operand, np.ndarray) or np.isscalar(operand)
    return operand if plain else in_memory(operand)


def bare(out: Any) -> Any:
    """The array of an `out` in a tuple, as ufuncs take it."""
    return out[0] if type(out) is tuple and len(out) == 1 else out


# ---- bad arguments

LARGE = 1 << 20  # elements from which bad arguments are looked for before NumPy computes

FREEDOM = ("ddof", "correction")  # which could leave a small lane without degrees of freedom
ARRAYS = ("out", "correction", *CONVERTED)  # arguments whose shape has to go with that of the array
OF_ONES = ("where", "weights", "mean")  # which are full of ones in small, the others of zeros


class _Briefly:
    """Errors of a ``with`` block have the traceback of who called this function, and no other cause."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception):
            error.__traceback__ = error.__cause__ = None
            error.__suppress_context__ = True


briefly = _Briefly()


def rehearse(function: Callable[..., Any], a: Any, given: dict[str, Any]) -> None:
    """Raise what NumPy raises for bad arguments, which it often finds after it has computed: by the same call in small.

    All lengths that are equal stay so, as do 0 and 1, so that shapes go together in small where they do in large.
    Where that is not all that matters, it is left to the call itself.
    """
    plain = type(a) is np.ndarray or isinstance(a, Source) or type(a) is np.ma.MaskedArray
    if not plain or a.size < LARGE or a.dtype.kind not in "biufcmMSU":
        return
    operands = {name: bare(given[name]) if name == "out" else given[name] for name in ARRAYS if name in given}
    arrays = {name: operand for name, operand in operands.items() if isinstance(operand, np.ndarray)}
    if any(type(array) is not np.ndarray for array in arrays.values()):
        return
    if type(given.get("correction")) in (list, tuple):
        return  # NumPy takes these, but no arrays
    if "out" not in arrays and hasattr(type(operands.get("out")), "__array_ufunc__"):
        return  # results that other libraries put there, whatever they take
    lengths = sorted({0, 1, *a.shape, *(length for array in arrays.values() for length in array.shape)})

    def in_small(array: Any, fill: Any) -> Array:
        result: Array = np.full([lengths.index(length) for length in array.shape], fill).astype(array.dtype)
        return result

    few = given | {name: in_small(array, name in OF_ONES) for name, array in arrays.items()}
    for name in FREEDOM:
        if isinstance(given.get(name), (Number, np.bool_)):
            few[name] = 0
    if "out" in arrays:
        few["out"].flags.writeable = arrays["out"].flags.writeable
        if type(given["out"]) is tuple:
            few["out"] = (few["out"],)
    if "weights" in arrays and arrays["weights"].dtype.kind in "biuf" and not function.__name__.startswith("nan"):
        # NumPy refuses weights that are not finite, or all zero, after it has sorted the elements.
        few["weights"] = in_small(arrays["weights"], arrays["weights"].max(initial=0))
    if "kth" in given:
        few["kth"] = good_place(given["kth"], a, given["axis"])
    example = in_small(a, 0)
    if type(a) is np.ma.MaskedArray:
        example = example.view(np.ma.MaskedArray)
    if (
        a.dtype.kind == "c"
        and (given.get("dtype") is not None or "out" in arrays)
        and works(function, example.real, few)
    ):
        return  # NumPy warns where imaginary parts are lost: once is enough
    try:
        with np.errstate(all="ignore"):
            function(example, **few)
    except Exception as error:
        shape_matters = type(error) is ValueError and any(word in str(error) for word in ("shape", "dimension"))
        for name, array in arrays.items() if shape_matters else ():
            if works(function, example, {key: value for key, value in few.items() if key != name}):
                raise ValueError(
                    f"{name} has the shape {array.shape}, which does not go with axis {given.get('axis')!r} of an array"
                    f" of shape {a.shape}"
                ) from None
        raise


def works(function: Callable[..., Any], a: Array, given: dict[str, Any]) -> bool:
    try:
        with np.errstate(all="ignore"):
            function(a, **given)
    except Exception:
        return False
    return True


def good_place(kth: Any, a: Any, axis: Any) -> Any:
    """What stands for places in a lane, if they are there; what is not an integer is NumPy's to refuse."""
    places = np.asarray(kth)
    if places.dtype.kind not in "iu":
        return kth
    if axis is None or (isinstance(axis, int) and -a.ndim <= axis < a.ndim):
        n = a.size if axis is None else a.shape[axis]
        bad = places[(places < -n) | (places >= n)]
        if bad.size:
            raise ValueError(f"kth(={bad.flat[0]}) out of bounds ({n})")
    return np.zeros_like(places)
