"""What the suites over all functions share: of each one, calls that between them use every argument it has."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import numpy as np
from helpers import bits, outcome, plain_call

import allcores as ac
from allcores._engine import execute, settings
from allcores._families import selection, sort_passes, weighted_quantiles

DEFAULT = object()  # the argument is not said


def share(a, axis) -> int:
    return a.shape[axis] if isinstance(axis, int) else a.size


def mask(a, axis):
    return np.random.default_rng(2).random(a.shape) < 0.7


def quantile_method(a, axis):
    return "lower" if a.dtype.kind == "b" else DEFAULT  # NumPy takes no differences of bools


# Of each argument, what to ask for in one call after the other, if need be of the array and its axis.
OPTIONS: dict[str, tuple[Any, ...]] = {
    "window": tuple(lambda a, axis, w=w: min(w, share(a, axis)) for w in (5, 66, 310)),
    "min_count": (1, DEFAULT, 2),
    "center": (DEFAULT, True, DEFAULT),
    "ddof": (0, 1, DEFAULT),
    "alpha": (0.3, 0.001, lambda a, axis: np.linspace(0.01, 0.2, share(a, axis))),
    "min_weight": (DEFAULT, 0.2, DEFAULT),
    "limit": (DEFAULT, 5, 0),
    "n": (DEFAULT, 5, 0),
    "q": (0.3, (0.2, 0.9, 0.4), (0, 0.5)),
    "method": (quantile_method, "lower", "inverted_cdf"),
    "weights": (DEFAULT, DEFAULT, lambda a, axis: 0.7 * mask(a, axis) + 0.1),
    "kth": tuple(lambda a, axis, k=k: [share(a, axis) // 3, *k] for k in ((), (-1, 0), (1,))),
    "k": tuple(lambda a, axis, part=part: share(a, axis) // part for part in (3, 1, 10)),
    "largest": (DEFAULT, False, False),
    "sorted": (DEFAULT, DEFAULT, False),
    "descending": (DEFAULT, True, DEFAULT),
    "stable": (DEFAULT, DEFAULT, False),
    "return_index": (DEFAULT, True, True),
    "return_inverse": (DEFAULT, True, DEFAULT),
    "return_counts": (DEFAULT, True, True),
    "equal_nan": (DEFAULT, False, DEFAULT),
    "nan_policy": (DEFAULT, "omit", "propagate"),
    "side": (DEFAULT, "right", DEFAULT),
    "old": tuple(lambda a, axis, i=i: a.flat[a.size // i].item() for i in (2, 3, 5)),
    "new": tuple(lambda a, axis, i=i: a.flat[a.size // i].item() for i in (3, 7, 2)),
    "where": (DEFAULT, mask, DEFAULT),
    "initial": (DEFAULT, lambda a, axis: a.dtype.type(1), DEFAULT),
    "keepdims": (DEFAULT, DEFAULT, True),
}
RANKS = ("average", "dense", "ordinal")
# What says how to compute, not what; has but one value; or is NumPy's own.
OTHERS = {"axis", "out", "workers", "executor", "dtype", "mean", "correction"}
OTHERS |= {"overwrite_input", "kind", "order", "sorter"}
ARRAYS = {"a", "a1", "a2", "b", "v", "x", "keys", "ar"}


@cache
def arguments(name: str) -> frozenset[str]:
    return frozenset(inspect.signature(getattr(ac, name)).parameters)


def variants(name: str, a, axis) -> list[dict[str, Any]]:
    """Arguments for three calls on an array along an axis, or for one where there is nothing to choose."""
    names = [key for key in OPTIONS if key in arguments(name)]
    along: dict[str, Any] = {"axis": axis} if "axis" in arguments(name) else {}
    found = [dict(along) for _ in range(3 if names else 1)]
    for i, more in enumerate(found):
        for key in names:
            value = OPTIONS[key][i]
            if key == "method" and "q" not in arguments(name):
                value = RANKS[i]
            value = value(a, axis) if inspect.isfunction(value) else value
            if key == "q" and "percent" in name:
                value = np.multiply(value, 100)
            if value is not DEFAULT:
                more[key] = value
        if "weights" in more and isinstance(axis, tuple):
            del more["weights"]
    return found


def parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def all_bits(result: Any) -> bytes:
    """The bits of a result, of each of several, or the class of an error."""
    return b"".join(bits(np.ascontiguousarray(part) if np.ndim(part) else part) for part in parts(result))


@cache
def takes_axes(name: str) -> bool:
    """Whether it takes several axes, or none of them."""
    return not isinstance(outcome(plain_call, name, np.ones((9, 9, 9)), axis=(0, 1)), type)


# ---- ways to compute

# What is long, for those who take what is long in another way.
LONG = {
    (sort_passes, "LONG"): 100,
    (sort_passes, "RUN"): 64,
    (sort_passes, "BUCKET"): 40,
    (sort_passes, "BINS"): 1 << 10,
    (selection, "longest"): 50,
    (selection, "sample_size"): 64,
    (selection, "budget"): 50,
    (weighted_quantiles, "few"): 0,
    (weighted_quantiles, "block"): 40,
}


def engine(patch, workers: int, chunk: int, more: dict[tuple[Any, str], Any] = {}) -> Any:  # noqa: B006
    """In the context that it returns, and for as long as the patch lasts: so many workers on chunks of any array."""
    chunks = {(execute, "chunk_size"): chunk, (execute, "output_chunk"): 4 * chunk}
    closed = {(execute, "threshold"): 0, (settings, "doors"): 0}
    for (module, name), value in {**chunks, **closed, **more}.items():
        patch.setattr(module, name, value)
    return settings.set_workers(workers)
