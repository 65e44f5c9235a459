"""The loop around every reduction kernel: claim chunks, lay their elements out in leaves, fold, store.

The compiled twin is ext/drive.pxd. Here a chunk is handled whole, all of its leaves side by side:

    lines     (outer, leaves, 4096)  padded at the end     kernel.line:  -> one field (outer, leaves) a field
    columns   (outer, leaves of up to 32 rows, inner)      kernel.rows:  -> one field (outer, leaves, inner) a field
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..common import Array, truths

LANES = 32
BLOCK = 8 * LANES
LINE_LEAF = 4096
ROWS_LEAF = 32

NEXT, END, STOP, DONE, LINES, LEAVES, TILE = range(7)

# A lock for each cursor in use, by its id; a compiled kernel claims with an atomic instruction instead. One lock for
# all cursors would not do: a signal or garbage collection may begin a call while this thread holds it, and that call
# would wait for helpers that wait for this thread.
_guards: dict[int, tuple[object, threading.Lock]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_guards.clear)  # another thread may have held one


def alone_at(cursor: Array) -> threading.Lock:
    """The lock of a cursor, which lives as long as the cursor."""
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


def chunks(x: Array, mask: Array | None, cursor: Array) -> Iterator[tuple[Any, ...]]:
    """The chunks that this worker claims: elements (outer, n, inner), their mask, where they begin, and where results
    go."""
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
