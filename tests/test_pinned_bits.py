"""The bits of every function, on every machine and in every version: those that are written down here.

Whoever changes them on purpose writes the new ones: `python tests/test_pinned_bits.py`. That belongs in the changelog.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allcores as ac
from allcores._engine.registry import FUNCTIONS

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


# Values of what a function needs, and of what it may be told.
VALUES = {"window": 7, "alpha": 0.3, "kth": 5, "k": 5}
Q = {"quantiles": [0.1, 0.5, 0.93], "windows": 0.3}


def calls(name: str) -> Callable[[Any, Any], Iterator[Any]]:
    """The function of x, and of y where it takes two, along each axis; reductions of the whole array, too."""
    row, function = FUNCTIONS[name], getattr(ac, name)
    values = {key: VALUES.get(key, Q.get(row.module)) for key, _ in row.needs}
    more = {"min_count": 3} if row.module == "windows" else {}
    whole = (None,) if not row.needs and row.module in ("reductions", "quantiles", "sorting") else ()

    def results(x: Any, y: Any) -> Iterator[Any]:
        for axis in (*whole, *range(x.ndim)):
            result = function(*eval(f"({row.inputs},)", {"x": x, "y": y}), **values, **more, axis=axis)
            yield from result if isinstance(result, tuple) else (result,)

    return results


# Those that know no axis, or have more to say.
CALLS: dict[str, Callable[[Any, Any], Iterable[Any]]] = {
    "replace": lambda x, y: [ac.replace(x, x.flat[3], x.flat[4])],
    "unique": lambda x, y: [ac.unique(x)],
    "unique_values": lambda x, y: [ac.unique_values(x)],
    "unique_counts": lambda x, y: ac.unique_counts(x),
    "searchsorted": lambda x, y: [ac.searchsorted(np.sort(x, axis=None), y)],
    "lexsort": lambda x, y: (ac.lexsort((x, y), axis=axis) for axis in range(x.ndim)),
}
CALLS = {name: CALLS.get(name) or calls(name) for name in FUNCTIONS}


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
    assert set(json.loads(PINNED.read_text())) == set(CALLS)


if __name__ == "__main__":
    PINNED.write_text(json.dumps({name: digest(name) for name in CALLS}, indent=1) + "\n")
