"""Blocks of a stream: the next one is read while the caller works on the last."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .statistics import Problem

T = TypeVar("T")

BLOCK = 32 << 20  # Bytes: on from here the reductions run at the full bandwidth of memory.
PIECE = 1 << 20  # A member of a zip file makes bytes of what it reads; these stay small.


def ahead(blocks: Iterator[T]) -> Iterator[T]:
    """The same blocks, read by another thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="allcores-read") as pool:
        following = pool.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = pool.submit(next, blocks, None)
            yield block


def elements(stream: IO[bytes], dtype: np.dtype[Any], count: int) -> Iterator[NDArray[Any]]:
    """Consecutive elements in two buffers by turns: a block is gone when the next but one is asked for."""
    step = max(1, BLOCK // dtype.itemsize)
    buffers = [np.empty(min(step, count) * dtype.itemsize, np.uint8) for _ in range(2 if count > step else 1)]
    for turn, start in enumerate(range(0, count, step)):
        part = buffers[turn % 2][: min(step, count - start) * dtype.itemsize]
        fill(stream, part.data)
        yield part.view(dtype)


def fill(stream: IO[bytes], part: memoryview) -> None:
    while len(part):
        size = stream.readinto(part[:PIECE])  # type: ignore[attr-defined]
        if not size:
            raise Problem("truncated: it ends before its data do")
        part = part[size:]
