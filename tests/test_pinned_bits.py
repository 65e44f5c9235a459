"""The bits of every function, on every machine and in every version: those that are written down here.

Whoever changes them on purpose writes the new ones: `python tests/test_pinned_bits.py`. That belongs in the changelog.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import FUNCTIONS, MOVES, SCANNED

import allcores as ac

PINNED = Path(__file__).with_suffix(".json")
SHAPES = [(30_011,), (37, 811), (20, 9)]
DTYPES = ["f8", "f4", "i8", "i4", "u2", "i1"]


def sample(dtype: str, shape: tuple[int, ...], gaps: bool, seed: int) -> np.ndarray:
    """Numbers of many magnitudes, the same on every machine: made of integers by exact operations."""
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    x = ((raw >> np.uint64(11)).astype("f8") * 2.0**-53 - 0.5) * 2.0 ** ((raw & np.uint64(31)).astype("f8") - 16)
    if np.dtype(dtype).kind != "f":
        return (raw >> np.uint64(40)).astype(dtype).reshape(shape)
    if gaps:
        x[::7] = np.nan
        x[5::1001] = np.inf
    return x.astype(dtype).reshape(shape)


def samples(function: Callable[..., Any]) -> Iterator[Any]:
    """What function(x, y) gives for two arrays of each kind."""
    for shape in SHAPES:
        for dtype in DTYPES:
            for gaps in (False, True)[: 1 + (dtype[0] == "f")]:
                yield from function(sample(dtype, shape, gaps, 1), sample(dtype, shape, gaps, 2))


def along(x: np.ndarray) -> tuple[int, ...]:
    return tuple(range(x.ndim))


def reduction(name: str) -> Callable[..., Any]:
    function = getattr(ac, name)
    return lambda x, y: (function(x, axis=axis) for axis in (None, *along(x)))


def series(name: str, *parameters: Any, **more: Any) -> Callable[..., Any]:
    function, two = getattr(ac, name), name.endswith(("cov", "corr"))
    return lambda x, y: (function(x, *(y,) * two, *parameters, axis=axis, **more) for axis in along(x))


def window(name: str) -> Callable[..., Any]:
    if name == "move_quantile":
        return series(name, 7, 0.3, min_count=3)
    return series(name, 7, min_count=3)


def scan(name: str) -> Callable[..., Any]:
    return series(name, 0.3) if name.startswith("move_exp") else series(name)


CALLS: dict[str, Callable[..., Any]] = {
    **{name: reduction(name) for name in FUNCTIONS},
    **{name: window(name) for name in MOVES},
    **{name: scan(name) for name in SCANNED if name != "replace"},
    **{name: reduction(name) for name in ("median", "nanmedian", "sort", "argsort", "rankdata", "nanrankdata")},
    **{name: series(name, [0.1, 0.5, 0.93]) for name in ("quantile", "nanquantile")},
    **{name: series(name, 5) for name in ("partition", "argpartition")},
    "topk": lambda x, y: (part for axis in along(x) for part in ac.topk(x, 5, axis=axis)),
    "replace": lambda x, y: [ac.replace(x, x.flat[3], x.flat[4])],
    "unique": lambda x, y: [ac.unique(x)],
    "searchsorted": lambda x, y: [ac.searchsorted(np.sort(x, axis=None), y)],
}


def digest(name: str) -> str:
    """Of all results: dtypes, shapes, bits. Signs and payloads of NaN are nobody's promise."""
    found = hashlib.sha256()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for result in samples(CALLS[name]):
            array = np.array(result)
            if array.dtype.kind == "f":
                array[np.isnan(array)] = np.nan
            array = array.astype(array.dtype.newbyteorder("<"))
            found.update(f"{array.dtype.kind}{array.dtype.itemsize}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("name", CALLS)
def test_the_bits_are_those_that_are_written_down(name):
    assert digest(name) == json.loads(PINNED.read_text())[name]


def test_nothing_is_left_out():
    assert list(json.loads(PINNED.read_text())) == list(CALLS)


if __name__ == "__main__":
    PINNED.write_text(json.dumps({name: digest(name) for name in CALLS}, indent=1) + "\n")
