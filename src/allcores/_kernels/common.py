"""What the fallback and the engine share: partials folded as a tree, floating-point flags, names of methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Partials = tuple[Array, ...]  # one array a field
Fold = Callable[[Partials, Partials], Partials]


def tree(fold: Fold, partials: Partials, axis: int = 0) -> Partials:
    """Fold along `axis`: neighbours in pairs, one left over moves up, until one is left. The axis is removed."""
    partials = tuple(np.moveaxis(field, axis, 0) for field in partials)
    while len(partials[0]) > 1:
        even = len(partials[0]) // 2 * 2
        left, right = tuple(field[0:even:2] for field in partials), tuple(field[1:even:2] for field in partials)
        pairs = fold(left, right)
        if even < len(partials[0]):
            pairs = tuple(np.concatenate((pair, field[even:])) for pair, field in zip(pairs, partials, strict=True))
        partials = pairs
    return tuple(field[0] for field in partials)


class Flags:
    """Collects what NumPy would warn of: 1 divide, 2 overflow, 4 underflow, 8 invalid."""

    bits: ClassVar = {"divide by zero": 1, "overflow": 2, "underflow": 4, "invalid value": 8}

    def __init__(self) -> None:
        self.raised = 0

    def __call__(self, kind: str, flag: int) -> None:
        self.raised |= self.bits[kind]

    def watch(self) -> np.errstate:
        return np.errstate(all="call", call=self)


def truths(a: Array) -> Array:
    """Bools, of which any byte but 0 is true, with bytes of 0 and 1; other dtypes as they are."""
    return np.not_equal(a.view(np.uint8), 0) if a.dtype.kind == "b" else a


RANK_METHODS = ("average", "min", "max", "dense", "ordinal")  # the order is that of Method in ext/sort.pyx
DIFFERENT, NOTHING, EQUAL = range(
    3
)  # what NaN is for ranks: each another value, without a rank, or all of them one value


def ranks(
    v: Array,
    order: Array,
    method: int,
    missing: int,
    before: int = 0,
    distinct: int = 0,
    absent: Array | None = None,
) -> Array:
    """The ranks of the elements of a line, from 1, after `before` elements that are less and have `distinct` different
    values. `absent` says which elements are missing, where these do not differ from themselves as NaN does: strings."""
    n = len(v)
    ordered = v[order]
    gaps = ordered != ordered if absent is None else absent[order]
    new = np.ones(n, dtype=bool)
    there = n - np.count_nonzero(gaps)  # missing elements come last
    new[1:there] = ordered[1:there] != ordered[: max(there - 1, 0)]
    if missing != DIFFERENT and n:
        new[1:] &= ~gaps[:-1]
    group = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    last = np.append(first[1:], n)
    name = RANK_METHODS[method]
    if name == "average":
        values = before + 0.5 * (first + last + 1.0)[group]
    elif name == "min":
        values = before + first[group] + 1.0
    elif name == "max":
        values = before + last[group] * 1.0
    elif name == "dense":
        values = distinct + group + 1.0
    else:
        values = before + np.arange(1.0, n + 1)
    if missing == NOTHING:
        values[gaps] = np.nan
    out = np.empty(n)
    out[order] = values
    return out


QUANTILE_METHODS = (  # the order is that of Method in ext/quantile_methods.pxd
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
    "median",
)
PARAMETERS = {
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3.0, 1 / 3.0),
    "normal_unbiased": (3 / 8.0, 3 / 8.0),
}
