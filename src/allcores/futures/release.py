"""Large results leave a worker without being in memory twice: pages are freed as soon as they are copied.

This is done only to arrays that nobody can look at any more: they own their memory, and only the buffer refers to them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from .pickling import Source
from .segments import Segment

LARGE = 64 << 20  # bytes from which it is worth it
PIECE = 16 << 20
DONTNEED = 4  # MADV_DONTNEED on Linux, which not every Python has as a constant


@cache
def _madvise() -> Any:
    """The system's function, or None."""
    if not sys.platform.startswith("linux"):
        return None
    function = getattr(ctypes.CDLL(None), "madvise", None)
    if function is not None:
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function


def expendable(buffer: memoryview) -> int:
    """The address of memory that only this buffer leads to; else 0."""
    if buffer.nbytes < LARGE or _madvise() is None:
        return 0
    references = _references(buffer)
    owner = getattr(buffer.obj, "base", None)
    if type(owner) is not np.ndarray or owner.base is not None or not owner.flags.owndata:
        return 0
    alone = references == _when_alone() and owner.nbytes == buffer.nbytes
    return int(owner.__array_interface__["data"][0]) if alone else 0


def _references(buffer: memoryview) -> int:
    """References to the array behind a buffer, and those that this call makes for itself."""
    return sys.getrefcount(getattr(buffer.obj, "base", None))


@cache
def _when_alone() -> int:
    """That number where only the buffer refers to the array. Python 3.14 makes fewer references for itself than
    3.13."""
    return _references(memoryview(np.empty(2)[:]))  # type: ignore[arg-type]


def move_pages(sources: list[Source], spans: Sequence[tuple[int, int]], size: int) -> Segment | None:
    """A segment with the sources, some of which hold nothing any more; None if there is none to be freed.

    If memory runs out on the way there is an OSError, and all sources are what they were.
    """
    buffers = [source for source in sources if isinstance(source, memoryview)]
    addresses = [expendable(buffer) for buffer in buffers]
    if not any(addresses) or len(buffers) < len(sources):
        return None
    segment = Segment.create(size, reserve=False)
    freed: list[tuple[int, int, int]] = []
    try:
        for buffer, address, (begin, _) in zip(buffers, addresses, spans, strict=True):
            for at in range(0, buffer.nbytes, PIECE):
                piece = buffer[at : at + PIECE]
                segment.reserve(begin + at, piece.nbytes)
                segment.pwrite(piece, begin + at)
                if address:
                    freed.append(_free(address + at, begin + at, piece.nbytes))
    except OSError:
        for address, begin, count in freed:
            back: Any = (ctypes.c_char * count).from_address(address)
            os.preadv(segment.fd, [back], begin)
        raise
    segment.used = 1
    return segment


def _free(address: int, begin: int, count: int) -> tuple[int, int, int]:
    """Free the whole pages of a piece, whose first and last one may hold something else. Returns what was freed: its
    address, where its copy begins, and how many bytes."""
    first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (address + count) // mmap.PAGESIZE * mmap.PAGESIZE
    if last <= first or _madvise()(first, last - first, DONTNEED) != 0:
        return address, begin, 0
    return first, begin + first - address, last - first
