"""Regions put together from stored chunks, which the workers themselves decompress."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from .._engine.sources import Region
from .._engine.view import Array


def put_together(
    region: Region,
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    fill: Any,
    chunk_at: Callable[[tuple[int, ...]], Array | None],
) -> Array:
    """The elements of a region. `chunk_at` gives the chunk that begins there; None if it was never written, and has the
    fill value."""
    firsts = (range(part.start // size * size, part.stop, size) for part, size in zip(region, chunks, strict=True))
    values: Array | None = None
    for first in product(*firsts):
        chunk = chunk_at(first)
        if chunk is not None and chunk.dtype == dtype and is_chunk(region, first, chunks):
            return chunk if chunk.flags.writeable else chunk.copy()
        if values is None:
            values = np.empty([part.stop - part.start for part in region], dtype)
        begins = [max(part.start, at) for part, at in zip(region, first, strict=True)]
        ends = [min(part.stop, at + size) for part, at, size in zip(region, first, chunks, strict=True)]
        to = values[
            tuple(slice(b - part.start, e - part.start) for b, e, part in zip(begins, ends, region, strict=True))
        ]
        if chunk is None:
            to[...] = fill
        else:
            to[...] = chunk[tuple(slice(b - at, e - at) for b, e, at in zip(begins, ends, first, strict=True))]
    return np.empty([part.stop - part.start for part in region], dtype) if values is None else values


def is_chunk(region: Region, first: tuple[int, ...], chunks: tuple[int, ...]) -> bool:
    """Whether a region is all of one chunk."""
    return all(
        part.start == at and part.stop == at + size for part, at, size in zip(region, first, chunks, strict=True)
    )


def checked(data: Any, dtype: np.dtype[Any], chunks: tuple[int, ...], first: tuple[int, ...]) -> Array:
    """The elements of a chunk."""
    values = np.frombuffer(data, np.uint8)
    size = int(np.prod(chunks)) * dtype.itemsize
    if len(values) != size:
        raise OSError(f"the chunk at {first} has {len(values):,} bytes instead of {size:,}")
    return values.view(dtype).reshape(chunks)
