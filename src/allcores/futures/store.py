"""The segments of one pool: free, under way, and behind arrays that the user holds.

    take -> [under way: written here, mapped by a worker] -> give_back -> [free] -> take ...
                      |                                         ^
                      +-- a result: lease -> [behind an array] -+  when the last view of it dies

Reuse pays: to fill 128 MiB of new memory takes 95 ms, of memory that has been used before 10. It is safe only when
nobody maps the segment privately any more: pages of a private mapping that were not written follow the segment. So the
caller gives back what a worker reports as unused, and drops the rest.
"""

from __future__ import annotations

import os
import sys
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from .pickling import Source
from .segments import AnySegment, create, layout
from .shared import Array

IDLE = 10.0  # seconds after which a free segment is given back to the system
SLACK = 1 << 20  # bytes that a segment may be larger than twice what is needed

# Before Python 3.13 a mapping keeps a descriptor. Results beyond this number are copied out of their segments, so that
# a list of results does not take all the descriptors that a process may have, often 1024.
TRACKLESS = sys.version_info >= (3, 13)
MAPPED = 256


# How often this process has forked. A child shares what is mapped here.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork)


def forks() -> int:
    return _forks


class Store:
    """Free segments, and leases."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: deque[tuple[float, AnySegment]] = deque()
        self._leases: dict[int, weakref.ref[Array]] = {}
        self._closed = False
        self.made = self.reused = 0

    def take(self, size: int) -> AnySegment:
        """A segment of at least `size` bytes. OSError where there is none to be had."""
        segment = self.spare(size)
        if segment is not None:
            self.reused += 1
            return segment
        try:
            segment = create(size)
        except OSError:
            # The memory of free segments may be what is missing.
            if not self.drop(0):
                raise
            segment = create(size)
        self.made += 1
        return segment

    def spare(self, size: int) -> AnySegment | None:
        """A free segment that fits; None where there is none."""
        free = []
        with suppress(IndexError):  # taken out and put back: while it is iterated, nobody may give one back
            while True:
                free.append(self._free.popleft())
        fits = [item for item in free if size <= item[1].size <= 2 * size + SLACK]
        found = min(fits, key=lambda item: item[1].size, default=None)
        self._free.extendleft(item for item in reversed(free) if item is not found)
        return None if found is None else found[1]

    def give_back(self, segment: AnySegment) -> None:
        """Called by the pool, and from the callbacks of weak references: anywhere, at any time, so without a lock."""
        self._free.append((time.monotonic(), segment))
        if self._closed:
            self.drop(0)
        else:
            self.drop(self._most)

    def drop(self, most: int, before: float = 0.0) -> bool:
        """Let go of the oldest free segments but `most`, and of those that have been free since `before`."""
        dropped = False
        while self._free:
            try:
                since, segment = self._free.popleft()
            except IndexError:
                break
            if len(self._free) < most and since >= before:
                self._free.appendleft((since, segment))
                break
            segment.close()
            dropped = True
        return dropped

    def trim(self) -> None:
        """Let go of segments that have not been used for some seconds."""
        self.drop(self._most, time.monotonic() - IDLE)

    @property
    def idle(self) -> bool:
        """Whether there will be something to let go of later. Without a GIL leases count, too, since arrays die only
        when the thread that has made them wakes."""
        return bool(self._free or self._leases)

    def lease(self, segment: AnySegment, again: bool) -> Array:
        """The bytes of a segment, which comes back when the last view of them has died if it is to be used `again`."""
        if not TRACKLESS and len(self._leases) >= MAPPED:
            try:
                return np.frombuffer(segment.read(), np.uint8)
            finally:
                segment.close()
        try:
            owner: Array = np.frombuffer(segment.mapping, np.uint8)
        except OSError:  # no descriptor left for the mapping
            return np.frombuffer(segment.read(), np.uint8)
        key = id(owner)
        again, born = again and len(self._leases) < self._most, _forks
        if not again:
            segment.close()  # there are enough free ones

        def end(_: object) -> None:
            if self._leases.pop(key, None) is not None and again:
                if born == _forks:
                    self.give_back(segment)
                else:
                    segment.close()  # a forked child may still look into it

        self._leases[key] = weakref.ref(owner, end)
        return owner

    def close(self) -> None:
        """Let go of all segments; arrays live on."""
        self._closed = True
        self._leases.clear()
        self.drop(0)


def fill(segment: AnySegment, sources: list[Source], spans: Sequence[tuple[int, int]]) -> None:
    """Copy the sources to their places."""
    fresh = not segment.used
    segment.used += 1
    for source, (begin, end) in zip(sources, spans, strict=True):
        if isinstance(source, memoryview) and fresh:
            segment.pwrite(source, begin)
        elif begin < end:
            place = np.frombuffer(segment.mapping, np.uint8, end - begin, begin)
            if isinstance(source, memoryview):
                np.copyto(place, np.frombuffer(source, np.uint8))
            else:
                np.copyto(place.view(source.dtype).reshape(source.shape), source)


def lay_out(sources: list[Source]) -> tuple[list[tuple[int, int]], int]:
    return layout([source.nbytes for source in sources])
