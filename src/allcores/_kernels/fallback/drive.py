"""The loop around every reduction kernel: claim chunks, lay their elements out in leaves, fold, store.

The compiled twin is ext/drive.pxd. Here a chunk is handled whole, all of its leaves side by side:

    lines     (outer, leaves, 4096)  padded at the end     kernel.line:  -> one slot (outer, leaves) a field
    columns   (outer, leaves of up to 32 rows, inner)      kernel.rows:  -> one slot (outer, leaves, inner) a field
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Slots = tuple[Array, ...]
Fold = Callable[[Slots, Slots], Slots]

LANES = 32
BLOCK = 8 * LANES
LINE_LEAF = 4096
ROWS_LEAF = 32

NEXT, END, STOP, DONE, LINES, LEAVES, TILE = range(7)

# What guards each cursor in use, by its id; a compiled kernel claims with an atomic instruction instead. One for all
# would not do: a signal or garbage collection may begin a call of its own where this thread has it, and would then wait
# for helpers that wait for this thread.
_guards: dict[int, tuple[object, threading.Lock]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_guards.clear)  # another thread may have held one


def alone_at(cursor: Array) -> threading.Lock:
    """The lock of a cursor, which is gone with it."""
    key = id(cursor)
    found = _guards.get(key)
    if found is None:
        end = weakref.ref(cursor, lambda _: _guards.pop(key, None))
        found = _guards.setdefault(key, (end, threading.Lock()))  # one step: several threads may be here
    return found[1]


def claim(cursor: Array) -> int:
    """The next chunk, or -1."""
    with alone_at(cursor):
        chunk = int(cursor[NEXT])
        if cursor[STOP] or chunk >= cursor[END]:
            return -1
        cursor[NEXT] = chunk + 1
    return chunk


def tree(fold: Fold, slots: Slots, axis: int = 0) -> Slots:
    """Fold along `axis`: neighbours in pairs, one left over moves up, until one is left. The axis is removed."""
    slots = tuple(np.moveaxis(slot, axis, 0) for slot in slots)
    while len(slots[0]) > 1:
        even = len(slots[0]) // 2 * 2
        left, right = tuple(slot[0:even:2] for slot in slots), tuple(slot[1:even:2] for slot in slots)
        pairs = fold(left, right)
        if even < len(slots[0]):
            pairs = tuple(np.concatenate((pair, slot[even:])) for pair, slot in zip(pairs, slots, strict=True))
        slots = pairs
    return tuple(slot[0] for slot in slots)


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


def chunks(x: Array, mask: Array | None, cursor: Array) -> Iterator[tuple[Any, ...]]:
    """Claimed chunks: elements (outer, n, inner), their mask, and where they begin and go."""
    outer_shape, n, inner = x.shape[:-2], x.shape[-2], x.shape[-1]
    outer = int(np.prod(outer_shape, dtype=np.int64))
    run = int(cursor[LEAVES]) * (LINE_LEAF if inner == 1 else ROWS_LEAF)
    parts, tiles = -(-n // run), -(-inner // int(cursor[TILE]))
    lines, tile = int(cursor[LINES]), int(cursor[TILE])
    while (chunk := claim(cursor)) >= 0:
        rest, column = divmod(chunk, tiles)
        row, part = divmod(rest, parts)
        positions = np.unravel_index(np.arange(row * lines, min((row + 1) * lines, outer)), outer_shape or (1,))
        take: tuple[Any, ...] = (*(positions if outer_shape else ()), slice(part * run, (part + 1) * run))
        take = (*take, slice(column * tile, (column + 1) * tile))
        block = truths(x[take]).reshape(len(positions[0]), -1, min(tile, inner - column * tile))
        block = block.astype(block.dtype.newbyteorder("="), copy=False)
        keep = None if mask is None else truths(mask[take]).reshape(block.shape)
        where = (
            slice(part, part + 1),
            slice(row * lines, (row + 1) * lines),
            slice(column * tile, (column + 1) * tile),
        )
        yield block, keep, part * run, where
        with alone_at(cursor):
            cursor[DONE] += 1


def leaves_of_lines(block: Array, padding: Any) -> Array:
    """(outer, n, 1) as (outer, leaves, 4096), the last leaf padded; a single leaf to whole blocks or rows of lanes."""
    outer, n = block.shape[:2]
    unit = LANES if n <= BLOCK else BLOCK if n <= LINE_LEAF else LINE_LEAF
    padded = np.full((outer, -(-n // unit) * unit), padding, dtype=block.dtype)
    padded[:, :n] = block[:, :, 0]
    return padded.reshape(outer, -1, min(LINE_LEAF, padded.shape[1]))


def leaves_of_rows(block: Array) -> list[Array]:
    """(outer, n, inner) as one array (outer, leaves, 32, inner) of the full leaves and one of what is left."""
    outer, n, inner = block.shape
    full = n // ROWS_LEAF * ROWS_LEAF
    leaves = [block[:, :full].reshape(outer, -1, ROWS_LEAF, inner)] if full else []
    return leaves + ([block[:, full:].reshape(outer, 1, n - full, inner)] if n > full else [])
