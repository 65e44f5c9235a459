"""A user's function over blocks of arrays: which elements of each array a block gets, and where its result belongs.

Pure arithmetic, no arrays. Blocks depend on the shapes and on the arguments alone, never on the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .grid import ceil_div

# Bytes of all arguments in a block on threads, so that temporaries stay in a core's own cache. An expression of
# two arrays took 14 ms; with blocks of a quarter 18, since the GIL is asked for more often; of twice the size up to 20.
CACHE = 1 << 20
# At least so many blocks on threads, where there are as many elements: a function may be slow.
FEW = 16
# On an executor, where dispatch takes 0.1 ms: blocks of some MiB, but not too few and not too many.
HANDED = 1 << 20
LEAST, MOST = 32, 256


@dataclass(frozen=True, slots=True)
class Blocks:
    """`n` elements along an axis, in blocks of `size`; one block where there is no element."""

    n: int
    size: int

    @property
    def count(self) -> int:
        return max(1, ceil_div(self.n, self.size))

    def span(self, number: int) -> tuple[int, int]:
        return min(number * self.size, self.n), min((number + 1) * self.size, self.n)


def for_threads(n: int, row: int) -> Blocks:
    """Blocks for threads, given what `row_bytes` says."""
    return equal(n, max(FEW, ceil_div(n * row, CACHE)))


def for_executor(n: int, row: int) -> Blocks:
    return equal(n, min(MOST, max(LEAST, ceil_div(n * row, HANDED))))


def equal(n: int, count: int) -> Blocks:
    return Blocks(n, max(1, ceil_div(n, count)))


# ---- shapes


def broadcast(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of arrays together, as NumPy has it."""
    ndim = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (ndim - len(shape)) + shape for shape in shapes]
    result = []
    for lengths in zip(*padded, strict=True):
        others = {length for length in lengths if length != 1}
        if len(others) > 1:
            raise ValueError(
                f"arrays of shapes {', '.join(map(str, shapes))} do not go together: "
                "an array that every block needs whole can be a keyword argument"
            )
        result.append(others.pop() if others else 1)
    return tuple(result)


def own_axis(shape: tuple[int, ...], together: tuple[int, ...], axis: int) -> int | None:
    """Along which axis of its own an array is cut; None: it is passed whole."""
    own = axis - (len(together) - len(shape))
    return None if own < 0 or shape[own] != together[axis] else own


def row_bytes(together: tuple[int, ...], axis: int, arrays: list[tuple[tuple[int, ...], int]]) -> int:
    """Bytes of all arguments at one position along the axis, but no less than one temporary of the shape of them
    together; of each argument its shape and the size of its elements."""
    n = max(1, together[axis])
    own = sum(prod(shape) * size // n for shape, size in arrays if own_axis(shape, together, axis) is not None)
    return max(own, prod(together) // n * max((size for _, size in arrays), default=1))


@dataclass(frozen=True, slots=True)
class Axes:
    """Where the axes of an argument are in a result.

    First those in `drop` are lost, then axes are made so that those in `new` are new, as dask.array has it.
    """

    ndim: int
    drop: tuple[int, ...] = ()
    new: tuple[int, ...] = ()

    @property
    def result(self) -> int:
        """Number of axes of the result."""
        return self.ndim - len(self.drop) + len(self.new)

    def place(self, axis: int) -> int | None:
        """Where an axis of the argument is in the result; None: nowhere."""
        kept = [old for old in range(self.ndim) if old not in self.drop]
        if axis not in kept:
            return None
        free = [position for position in range(self.result) if position not in self.new]
        return free[kept.index(axis)]


# ---- halos


@dataclass(frozen=True, slots=True)
class Halo:
    """What a block begin..end needs around it: elements low..high of the axis, and so many that lie beyond its ends."""

    low: int
    high: int
    before: int
    after: int


def halo(span: tuple[int, int], n: int, depth: tuple[int, int]) -> Halo:
    begin, end = span
    low, high = begin - depth[0], end + depth[1]
    return Halo(max(low, 0), min(high, n), max(-low, 0), max(high - n, 0))
