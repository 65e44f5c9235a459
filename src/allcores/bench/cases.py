"""The words in which is said what is measured, and the arrays of a case.

A statement is what a user would type: `x` and `y` are arrays, `sorted_x` is one of them in order, and `{axis}` becomes
``, axis=0`` or nothing; `{axis_or_0}` where one has to be named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sizes:
    """The shapes that cases refer to, and how much is read to learn the machine's limits; tests take tiny ones."""

    long: tuple[int, ...] = (7_300_000,)
    table: tuple[int, ...] = (2600, 2800)
    short_rows: tuple[int, ...] = (260_000, 28)
    narrow: tuple[int, ...] = (1_000_000, 7)
    series: tuple[int, ...] = (2_000_000,)
    columns: tuple[int, ...] = (2600, 800)
    cached: tuple[int, ...] = (100_000,)
    thousand: tuple[int, ...] = (1000,)
    ten: tuple[int, ...] = (10,)
    square: tuple[int, ...] = (10, 10)
    memory: int | None = None  # bytes; None: four times the largest cache
    in_cache: int = 2000  # times 256 KiB
    least: float = 2e-3  # seconds that a sample takes at least


@dataclass(frozen=True)
class Peer:
    """What another package offers for a function, and for which dtypes it has compiled it."""

    name: str
    statement: str
    dtypes: str = "fd"
    one_dimensional: bool = False


@dataclass(frozen=True)
class Function:
    """A function, NumPy's way to say the same if there is one, and what its array contains: something that must be read
    to its end. `compared` is an expression of what of a result `r` everybody has to agree on; nothing: all of it."""

    name: str
    content: str
    allcores: str
    numpy: str = ""
    peers: tuple[Peer, ...] = ()
    compared: str = ""
    along: bool = True

    def peers_for(self, case: Case) -> tuple[Peer, ...]:
        char = np.dtype(case.dtype).char
        flat = len(case.shape) == 1 and case.layout == "C"
        return tuple(peer for peer in self.peers if char in peer.dtypes and (flat or not peer.one_dimensional))


@dataclass(frozen=True)
class Case:
    """Arrays of one kind, and the functions that are measured on them: all, and those of ``--quick``."""

    group: str
    dtype: str
    shape: tuple[int, ...]
    axis: int | None
    functions: tuple[str, ...]
    quick: tuple[str, ...] = ()
    layout: str = "C"
    plotted: bool = False

    @property
    def label(self) -> str:
        shape = f"{self.shape[0]:,} elements" if len(self.shape) == 1 else str(self.shape)
        layout = "" if self.layout == "C" else f" {self.layout}"
        axis = "" if self.axis is None else f", axis {self.axis}"
        return f"{self.dtype} {shape}{layout}{axis}"

    def fill(self, statement: str) -> str:
        axis = "" if self.axis is None else f", axis={self.axis}"
        return statement.format(axis=axis, axis_or_0=axis or ", axis=0")


# ---- contents


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Positive numbers, so that no sum cancels and relative errors mean something."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0, 100, shape, dtype=dtype)
    return rng.random(shape, dtype=dtype)


def gaps(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """2% NaN, at least one."""
    x = values(rng, shape, dtype)
    x[rng.random(shape, dtype=np.float32) < 0.02] = np.nan
    x.flat[x.size // 3] = np.nan
    return x


def factors(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Around 1, so that millions of them neither overflow nor become subnormal numbers, which are slow."""
    return np.exp(rng.normal(0, 1e-4, shape)).astype(dtype)


def factors_with_gaps(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    x = factors(rng, shape, dtype)
    x[rng.random(shape, dtype=np.float32) < 0.02] = np.nan
    return x


def sparse(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """10% zeros."""
    x = values(rng, shape, dtype)
    x[rng.random(shape, dtype=np.float32) < 0.1] = 0
    return x


def zeros(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Nothing is true: `any` has to look at everything."""
    return np.full(shape, 0, dtype)  # unlike np.zeros, with pages of its own


def ones(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Everything is true: `all` has to look at everything."""
    return np.ones(shape, dtype)


def missing(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """All NaN: `allnan` has to look at everything."""
    return np.full(shape, np.nan, dtype)


CONTENTS: dict[str, Callable[[np.random.Generator, tuple[int, ...], np.dtype[Any]], Array]] = {
    make.__name__: make for make in (values, gaps, factors, factors_with_gaps, sparse, zeros, ones, missing)
}


@lru_cache(maxsize=6)
def arrays(layout: str, dtype: str, shape: tuple[int, ...], content: str, seed: int = 1) -> tuple[Array, Array]:
    """The array of a case, and the contiguous memory in which it lies: what must be read to read it.

    The last few are kept: neighbours in a table share them, and making them costs as much as measuring.
    """
    if layout == "transposed":
        shape = shape[::-1]
    elif layout == "strided":
        shape = (*shape[:-1], 2 * shape[-1])
    base = CONTENTS[content](np.random.default_rng(seed), shape, np.dtype(dtype))
    base.setflags(write=False)
    if layout == "transposed":
        return base.T, base
    if layout == "strided":
        return base[..., ::2], base
    return base, base


def operands(case: Case, function: Function) -> tuple[dict[str, Array], list[Array]]:
    """The arrays that a function's call names, and the contiguous memory in which they lie."""
    x, base = arrays(case.layout, case.dtype, case.shape, function.content)
    found, bases = {"x": x}, [base]
    if re.search(r"\by\b", function.allcores):
        found["y"], base = arrays(case.layout, case.dtype, case.shape, function.content, 2)
        bases.append(base)
    if "sorted_x" in function.allcores:
        found["sorted_x"] = np.sort(x, axis=None)
    return found, bases
