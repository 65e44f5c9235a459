"""reduction: partial results put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .plan import Function

SPLIT_EVERY = 16


def joined(values: list[Any], axis: int) -> Any:
    """Partial results side by side; masks are kept, which NumPy's own function would drop."""
    concatenate = np.ma.concatenate if any(isinstance(value, np.ma.MaskedArray) for value in values) else np.concatenate
    return concatenate(values, axis=axis)


def fold(values: list[Any], combine: Function, every: int, join: Callable[[list[Any]], Any] | None) -> Any:
    """Combine neighbours until at most `every` values are left; return those, joined. Without `join` there is one."""
    if join is None:
        return values[0]
    while len(values) > every:
        values = [combine(join(values[i : i + every])) for i in range(0, len(values), every)]
    return join(values)


def aggregated(
    block: Any, *, chunk: Function, aggregate: Function, axis: tuple[int, ...], keepdims: bool, bare: bool
) -> Any:
    """Both steps, for a block that has the whole of each reduced axis."""
    partial = chunk(block, axis=axis, keepdims=True)
    return aggregate([partial] if bare else partial, axis=axis, keepdims=keepdims)
