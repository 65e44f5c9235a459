"""The compiled short way for small arrays; see ext/door.pxd. It returns None for what it does not take.

Public functions try it first where all but `a`, `axis` and `keepdims` is left at its default; what else can be turned
into such a call tries it `again`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _kernels
from . import settings


def closed(*args: Any) -> None:
    """The door of a backend that has none."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    door = getattr(_kernels.load(_kernels.DEFAULT), f"small_{name}", closed)
    globals()[name] = door
    return door


def every_axis(axes: tuple[Any, ...], ndim: int) -> bool:
    """Whether these plain integers name every axis once."""
    return {type(i) for i in axes} == {int} and sorted(i + ndim if i < 0 else i for i in axes) == list(range(ndim))


def again(
    name: str, a: Any, axis: Any, keepdims: Any, workers: Any, *ddof: float, dtype: Any = None, out: Any = None
) -> Any:
    """The result by the short way, in `out` if there is one; or None, with nothing changed.

    A tuple of axes may name one axis or all of them; `dtype` and `out` may be what the result has anyway.
    """
    if settings.doors <= 0 or type(a) is not np.ndarray or not (workers is None or settings.is_count(workers)):
        return None
    if type(axis) is tuple:
        if len(axis) == 1:
            (axis,) = axis
        elif every_axis(axis, a.ndim):
            axis = None
        else:
            return None
    try:
        wanted = None if dtype is None else np.dtype(dtype)
    except TypeError:
        return None
    result = (globals().get(name) or __getattr__(name))(a, axis, keepdims, *ddof)
    if result is None or (wanted is not None and wanted != result.dtype):
        return None
    if out is None:
        return result
    if type(out) is not np.ndarray or out.shape != result.shape or out.dtype != result.dtype or not out.flags.writeable:
        return None
    out[...] = result
    return out
