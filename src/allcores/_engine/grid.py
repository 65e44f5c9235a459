"""Shape and parameters to leaves and chunks: pure arithmetic, no arrays.

A kernel reads a view `(outer..., n, inner)`. Leaves are fixed runs along n at absolute positions; a chunk is a power
of two of whole leaves, hence a subtree of the fixed binary tree, so that its size changes no bit of any result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import lcm, prod

LINE_LEAF = 4096  # elements in a leaf where inner == 1
ROWS_LEAF = 32  # rows in a leaf where inner > 1

CHUNK = 131_072  # elements: 1 MiB of float64, some 40 us of work, so that claiming one costs nothing
TILE = 1024  # columns: the accumulators of a leaf stay in the first-level cache
NARROW = 128  # columns of the narrowest tile that is read as fast as wider ones
PARTIALS = 4 << 20  # bytes of partials in one pass; finishing needs as much again, or twice as much


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def power_above(n: int) -> int:
    """The smallest power of two that is not less than n."""
    return 1 << max(n - 1, 0).bit_length()


@dataclass(frozen=True, slots=True)
class Grid:
    """How a view of `outer` x `n` x `inner` elements is cut into chunks.

    A chunk is `lines` outer positions x `leaves` leaves along n x `tile` inner positions. Chunks are numbered along
    inner first, then along n, then along outer: the order of a C array.
    """

    outer: int
    n: int
    inner: int
    lines: int
    leaves: int
    tile: int

    @property
    def run(self) -> int:
        """Elements along n in a chunk."""
        return self.leaves * (LINE_LEAF if self.inner == 1 else ROWS_LEAF)

    @property
    def parts(self) -> int:
        """Chunks along n, which is how many partials each output position has."""
        return ceil_div(self.n, self.run)

    @property
    def tiles(self) -> int:
        return ceil_div(self.inner, self.tile)

    @property
    def chunks(self) -> int:
        # Written out: each small call asks.
        return -(-self.outer // self.lines) * -(-self.n // self.run) * -(-self.inner // self.tile)

    def chunk(self, number: int) -> tuple[int, int, int, int, int, int, int]:
        """What chunk `number` covers: part, then begin and end along outer, n and inner."""
        number, tile = divmod(number, self.tiles)
        number, part = divmod(number, self.parts)
        first, begin, left = number * self.lines, part * self.run, tile * self.tile
        return (
            part,
            first,
            min(first + self.lines, self.outer),
            begin,
            min(begin + self.run, self.n),
            left,
            min(left + self.tile, self.inner),
        )

    @property
    def partials_shape(self) -> tuple[int, int, int]:
        return self.parts, self.outer, self.inner


def cut(shape: tuple[int, ...], chunk: int = CHUNK, size: int = 8, workers: int = 1) -> Grid:
    """A grid for a view of `shape` (outer..., n, inner) with some `chunk` elements in a chunk; up to 16 times as many
    where eight chunks a worker remain.

    `size` is how many bytes the partial of a part has: parts are merged into longer ones where all partials would take
    more than PARTIALS bytes.
    """
    outer, n, inner = prod(shape[:-2]), shape[-2], shape[-1]
    large = max(chunk, min(16 * chunk, outer * n * inner // (8 * workers)))
    leaf = LINE_LEAF if inner == 1 else ROWS_LEAF
    total = ceil_div(n, leaf)
    tile = ceil_div(inner, ceil_div(inner, max(1, min(TILE, chunk))))
    if inner > NARROW and n * NARROW <= 16 * chunk and outer * ceil_div(inner, NARROW) >= 4 * workers:
        # Whole columns, in narrower tiles: nothing to fold afterwards.
        tile = min(inner, max(NARROW, min(TILE, large // n // NARROW * NARROW)))
        whole = True
    else:
        # Whole lines, where there are enough of them to keep everybody busy.
        whole = n * tile <= chunk or (n * tile <= 16 * chunk and outer * ceil_div(inner, tile) >= 64)
    leaves = power_above(total) if whole else max(1, 1 << (max(large // (leaf * tile), 1).bit_length() - 1))
    most = max(1, PARTIALS // (outer * inner * size))
    leaves = max(leaves, power_above(ceil_div(total, most)))
    lines = 1
    if leaves >= total and tile == inner:
        lines = max(1, min(outer, large // (n * inner)))
    return Grid(outer, n, inner, lines, leaves, tile)


@dataclass(frozen=True, slots=True)
class RunGrid(Grid):
    """A grid for kernels that write as many results as there are positions, such as moving windows.

    Chunks are cut into runs that end anywhere: a leaf is one element, and a kernel reads what it needs beyond the ends
    of its chunk.
    """

    @property
    def run(self) -> int:
        return self.leaves

    @property
    def partials_shape(self) -> tuple[int, int, int]:
        return self.outer, self.n, self.inner


STRIP = 64  # columns that a window kernel takes side by side
LONGEST = 8 << 20  # elements in a chunk, however long the window: some 30 ms


@lru_cache(maxsize=256)
def cut_windows(shape: tuple[int, ...], window: int | None, chunk: int = CHUNK, workers: int = 1) -> RunGrid:
    """A grid for windows along n, with some `chunk` elements in a chunk. Chunks are smaller where there would be too
    few of them, and larger where one would be less than four windows long, since beginnings of chunks are computed
    twice. With None as the window lines stay whole."""
    outer, n, inner = prod(shape[:-2]), shape[-2], shape[-1]
    chunk = max(1, min(chunk, outer * n * inner // (8 * workers)))
    tile = min(inner, STRIP)
    run = max(chunk // tile, min(4 * (window or 1), LONGEST // tile), 1)
    if window is None or (n * tile <= 16 * chunk and outer * ceil_div(inner, tile) >= 4 * workers):
        run = n  # whole lines or columns: nothing is computed twice
    run = min(n, run)
    lines = 1
    if run == n:
        tile = max(tile, min(inner, chunk // n // STRIP * STRIP))
        if tile == inner:
            lines = max(1, min(outer, chunk // (n * inner)))
    return RunGrid(outer, n, inner, lines, run, tile)


SCAN_LEAF = 512  # elements of a leaf of a long series
ENOUGH = 256  # so many series are as many lanes as leaves could give


def scan_leaf(series: int, n: int) -> int:
    """How many elements of a series are computed in order: all, if there are as many series as leaves would make
    lanes."""
    return n if series >= ENOUGH or series * SCAN_LEAF >= n else SCAN_LEAF


def cut_scans(shape: tuple[int, ...], leaf: int, chunk: int = CHUNK, workers: int = 1) -> RunGrid:
    """A grid of whole leaves, as `scan_leaf` has them: chunks may be large, but there are some for every worker."""
    outer, n, inner = prod(shape[:-2]), shape[-2], shape[-1]
    chunk = max(1, min(chunk, outer * n * inner // (4 * workers)))
    # Strips narrower than 16 columns are not faster, but one worker could do nothing at all.
    tile = min(inner, STRIP if outer * inner >= 4 * workers * STRIP else 16)
    if leaf < n:
        leaves = max(1, chunk // (leaf * tile))
        if inner == 1 and leaves > STRIP:
            leaves = leaves // STRIP * STRIP
        return RunGrid(outer, n, inner, 1, min(leaves * leaf, n), tile)
    lines = 1
    if inner == 1:
        lines = min(outer, max(8, chunk // n))  # lines are lanes here: one alone would wait for its own results
    return RunGrid(outer, n, inner, lines, n, tile)


def leaves_of(grid: RunGrid, leaf: int) -> RunGrid:
    """The same chunks, counted in leaves along n."""
    return RunGrid(grid.outer, ceil_div(grid.n, leaf), grid.inner, grid.lines, ceil_div(grid.run, leaf), grid.tile)


# ---- pieces of what is not in memory

PIECE = 4 << 20  # bytes that each worker reads at a time


@dataclass(frozen=True, slots=True)
class Pieces:
    """How a box is cut along each axis. Pieces that differ only along reduced axes are parts of one result."""

    shape: tuple[int, ...]
    size: tuple[int, ...]
    reduced: tuple[bool, ...]

    def counts(self, reduced: bool) -> tuple[int, ...]:
        """Pieces along the axes that are reduced, or kept; one along the others."""
        return tuple(
            ceil_div(length, size) if is_reduced == reduced else 1
            for length, size, is_reduced in zip(self.shape, self.size, self.reduced, strict=True)
        )

    @property
    def parts(self) -> int:
        return prod(self.counts(True))

    @property
    def results(self) -> int:
        return prod(self.counts(False))

    @property
    def elements(self) -> int:
        """How many elements a whole piece has."""
        return prod(self.size)

    def region(self, result: int, part: int) -> tuple[slice, ...]:
        region = []
        for axis in reversed(range(len(self.shape))):
            size, length = self.size[axis], self.shape[axis]
            count = ceil_div(length, size)
            if self.reduced[axis]:
                part, at = divmod(part, count)
            else:
                result, at = divmod(result, count)
            region.append(slice(at * size, min((at + 1) * size, length)))
        return tuple(reversed(region))


@dataclass(frozen=True, slots=True)
class Backwards(Pieces):
    """The last part of each result is the first one."""

    def region(self, result: int, part: int) -> tuple[slice, ...]:
        return Pieces.region(self, result, self.parts - 1 - part)


def cut_flat(shape: tuple[int, ...], itemsize: int, most: int = PIECE) -> tuple[int, ...]:
    """Sizes of pieces of a view (outer..., n, inner) of a file, of some `most` bytes: as many adjoining elements as can
    be, and along n whole aligned leaves, a power of two of them, so that each piece is a subtree."""
    *outer, n, inner = shape
    leaf = LINE_LEAF if inner == 1 else ROWS_LEAF
    elements = max(most // itemsize, 2 * leaf)
    tile = inner
    if inner * min(n, leaf) > elements:
        tile = max(2, elements // min(n, leaf))
        while inner % tile == 1:  # one column alone would be read as a line, in another order
            tile += 1
    run = n if n * tile <= elements else leaf << (max(1, elements // (leaf * tile)).bit_length() - 1)
    lines = [1] * len(outer)
    if outer and run == n and tile == inner:
        lines[-1] = max(1, min(outer[-1], elements // (n * inner)))
    return (*lines, min(run, n), tile)


def cut_stored(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int, most: int = PIECE) -> tuple[int, ...]:
    """Sizes of pieces that are whole stored chunks: one, or twice as many along an axis, last axis first, while they
    have less than `most` bytes. They depend on nothing else, since the order of operations follows them."""
    return widened(shape, chunks, reversed(range(len(shape))), most // itemsize)


ADJOINING = 512  # elements in a file that should be read together, whatever they are of


def cut_along(
    shape: tuple[int, ...],
    chunks: tuple[int, ...] | None,
    axis: int,
    fortran: bool,
    most: int,
    share: int,
    span: int = 1,
    unit: int = 1,
) -> tuple[int, ...]:
    """Sizes of pieces of outputs of which each depends on `span` elements along an axis: whole stored chunks, and at
    least three spans along it, or what is read twice would be more than what is not.

    `most`: elements of a piece. `share`: of what must not be exceeded, by several chunks or spans either, as long as
    there is another way. Along the axis pieces are multiples of `unit`.
    """
    least = [min(length, 1 if chunks is None else chunks[i]) for i, length in enumerate(shape)]

    def run(wanted: int) -> int:
        """Whole chunks and units, or at least units."""
        step = lcm(unit, least[axis])
        step = step if step <= max(wanted, 4 * least[axis]) else unit
        return min(shape[axis], ceil_div(max(wanted, 1), step) * step)

    size = list(least)
    size[axis] = run(max(3 * (span - 1), least[axis]))
    others = [i for i in range(len(shape)) if i != axis]
    while prod(size) // size[axis] * (size[axis] + span - 1) > share:
        longest = max(others, key=lambda i: size[i], default=axis)
        if size[longest] > 1 and longest != axis:
            size[longest] = ceil_div(size[longest], 2)
            continue
        shorter = ceil_div(max(span, size[axis] // 2), unit) * unit
        if shorter >= size[axis]:
            break
        size[axis] = shorter
    order = range(len(shape)) if fortran else reversed(range(len(shape)))
    apart = True  # what adjoins in a file is not along the axis
    for i in order:
        apart &= i != axis
        while size[i] < shape[i]:
            wider = min(2 * size[i], shape[i])
            lanes, length = prod(size) // size[axis], size[axis]
            if i == axis:
                fits = lanes * wider <= most and lanes * (wider + span - 1) <= share
            else:
                lanes = lanes // size[i] * wider
                fits = lanes * (length + span - 1) <= (share if apart and lanes <= ADJOINING else min(most, share))
            if not fits:
                break
            size[i] = wider
    return tuple(size)


def widened(shape: tuple[int, ...], least: tuple[int, ...], axes: Iterable[int], most: int) -> tuple[int, ...]:
    """Sizes of a box, doubled along one axis after the other while it has no more than `most` elements."""
    size = [max(1, min(length, whole)) for length, whole in zip(least, shape, strict=True)]
    for axis in axes:
        while size[axis] < shape[axis] and 2 * prod(size) <= most:
            size[axis] = min(2 * size[axis], shape[axis])
    return tuple(size)
