"""apply_along_axis: a function over lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from .plan import Array, Function


def along(
    x: Array, func1d: Function, axis: int, shape: tuple[int, ...], dtype: Any, args: Any, kwargs: dict[str, Any]
) -> Array:
    """Apply a function to the lines of one block. Results have the shape and dtype of the whole array's first one."""
    lines = np.moveaxis(x, axis, -1)
    result = np.empty(lines.shape[:-1] + shape, dtype)
    for index in np.ndindex(lines.shape[:-1]):
        result[index] = func1d(lines[index], *args, **kwargs)
    # The axes of what the function gave take the place of the axis.
    made = range(lines.ndim - 1, result.ndim)
    return np.moveaxis(result, list(made), [axis + i for i in range(len(made))])


def first_line(x: Array, axis: int) -> Array:
    return x[tuple(slice(None) if i == axis else 0 for i in range(x.ndim))]
