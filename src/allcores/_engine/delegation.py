"""NumPy's own functions, where no kernel covers a call: their errors come before anything is computed or changed."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from .arguments import NoValue
from .inputs import in_memory
from .sources import Source
from .view import Array


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

FREEDOM = ("ddof", "correction")  # which could leave a small line without degrees of freedom
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
    """What stands for places in a line, if they are there; what is not an integer is NumPy's to refuse."""
    places = np.asarray(kth)
    if places.dtype.kind not in "iu":
        return kth
    if axis is None or (isinstance(axis, int) and -a.ndim <= axis < a.ndim):
        n = a.size if axis is None else a.shape[axis]
        bad = places[(places < -n) | (places >= n)]
        if bad.size:
            raise ValueError(f"kth(={bad.flat[0]}) out of bounds ({n})")
    return np.zeros_like(places)
