"""Segments with names, where the system has no others: macOS and Windows; anywhere with ALLCORES_SEGMENTS=named.

The parent makes those of tasks and results, so that one process knows every name: a worker asks for room for its
result. A shared array that a worker has made and returns is the parent's from then on. A name goes when its segment is
closed by the process that it belongs to, when the program exits, and, where the parent is killed, when the resource
tracker notices (it says so on stderr). Windows frees a segment with its last mapping.
"""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import sys
import weakref
from multiprocessing import resource_tracker
from typing import Any, NamedTuple

PREFIX = "allcores"  # macOS allows 30 characters

# By their names. Not a set: it can't be looked through while other threads add to it.
_live: weakref.WeakValueDictionary[str, NamedSegment] = weakref.WeakValueDictionary()


class NamedHandle(NamedTuple):
    """Where a segment is found: plain data."""

    name: str
    token: bytes
    size: int


def _open(name: str, flags: int) -> int:
    import _posixshmem  # type: ignore[import-not-found]

    # Not by multiprocessing.shared_memory: before Python 3.13 who opens a segment has it removed when he ends.
    fd: int = _posixshmem.shm_open(f"/{name}", flags, mode=0o600)
    return fd


class NamedSegment:
    """As `segments.Segment`, with a name in the place of a descriptor."""

    def __init__(self, name: str, size: int, token: bytes, mapping: mmap.mmap, owner: int) -> None:
        self.name, self.size, self.token, self.mapping = name, size, token, mapping
        self._owner = owner
        self._closed = False
        self.used = 1  # there is no way to write but the mapping

    @classmethod
    def create(cls, size: int) -> NamedSegment:
        """A new segment. OSError where there is no memory for it."""
        name, token = f"{PREFIX}{os.urandom(8).hex()}", os.urandom(16)
        mapping: Any
        if sys.platform == "win32":
            mapping = mmap.mmap(-1, size, tagname=name)
        else:
            resource_tracker.register(f"/{name}", "shared_memory")
            try:
                fd = _open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
                try:
                    os.ftruncate(fd, size)
                    if hasattr(os, "posix_fallocate"):
                        os.posix_fallocate(fd, 0, size)  # ENOSPC here, not SIGBUS later
                    mapping = mmap.mmap(fd, size)
                finally:
                    os.close(fd)
            except BaseException:
                _remove(name)
                raise
        mapping[: len(token)] = token
        segment = cls(name, size, token, mapping, 0)
        segment.adopt()
        return segment

    @classmethod
    def open(cls, handle: NamedHandle) -> NamedSegment:
        """Another process's segment. OSError where there is none of this name, or another."""
        return cls(handle.name, handle.size, handle.token, map_named(handle, private=False), 0)

    def adopt(self) -> None:
        """From now on it is this process that removes the name."""
        self._owner = os.getpid()
        _live[self.name] = self

    def give_away(self) -> None:
        """Another process has adopted it."""
        self._owner = 0

    @property
    def is_open(self) -> bool:
        return not self._closed

    @property
    def is_owned(self) -> bool:
        """Whether it is this process that removes the name."""
        return self._owner == os.getpid()

    @property
    def handle(self) -> NamedHandle:
        return NamedHandle(self.name, self.token, self.size)

    def pwrite(self, data: memoryview, offset: int) -> None:
        self.mapping[offset : offset + data.nbytes] = data

    def read(self) -> bytearray:
        return bytearray(self.mapping)

    def close(self) -> None:
        """Remove the name; views of the mapping live on. A forked child has no right to."""
        if not self._closed and self.is_owned and sys.platform != "win32":
            _remove(self.name)
        self._closed = True

    def __del__(self) -> None:
        self.close()


def _remove(name: str) -> None:
    import _posixshmem

    try:
        _posixshmem.shm_unlink(f"/{name}")
    except OSError:
        pass
    finally:
        resource_tracker.unregister(f"/{name}", "shared_memory")


def map_named(handle: NamedHandle, *, private: bool) -> mmap.mmap:
    """Map a segment; OSError where there is none of this name, or another."""
    mapping: Any
    if sys.platform == "win32":
        access = mmap.ACCESS_COPY if private else mmap.ACCESS_WRITE
        mapping = mmap.mmap(-1, handle.size, tagname=handle.name, access=access)
    else:
        fd = _open(handle.name, os.O_RDWR)
        try:
            flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
            mapping = mmap.mmap(fd, handle.size, flags=flags)
        except ValueError as error:  # shorter than that
            raise OSError(errno.EINVAL, str(error)) from None
        finally:
            os.close(fd)
    if mapping[: len(handle.token)] != handle.token:
        raise OSError(errno.EINVAL, "another segment has this name")
    return mapping  # type: ignore[no-any-return]


@atexit.register
def _remove_all() -> None:
    for reference in _live.valuerefs():
        if (segment := reference()) is not None:
            segment.close()
