"""Pieces of shared memory: how they are made, found by another process, and mapped.

On Linux a segment is a memfd: memory with a descriptor and no name. Another process finds it as /proc/<pid>/fd/<n> of
any process that keeps it open, and the kernel frees it with the last descriptor and mapping, whoever is killed. Its
first 64 bytes hold a random token, so that what is found under a number is what was meant.

Other systems have segments with names: see named.py. This module knows neither arrays nor pools.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

if TYPE_CHECKING:
    from .named import NamedHandle, NamedSegment

HEADER = 64
ALIGNMENT = 64

Buffer = memoryview

AnySegment: TypeAlias = Union["Segment", "NamedSegment"]
AnyHandle: TypeAlias = Union["Handle", "NamedHandle"]


class Refused(Exception):
    """A segment of another process that this one may not open, or that is not the one that was meant."""


class Handle(NamedTuple):
    """Where a segment is found: plain data."""

    boot: str
    pid: int
    started: int
    fd: int
    token: bytes
    size: int


_decided: bool | None = None


def decide(without: bool) -> None:
    """In a worker: what the parent has."""
    global _decided
    _decided = without


def without_names() -> bool:
    """Whether segments are memfds here."""
    if _decided is None:
        decide(_from_environment())
    return bool(_decided)


def _from_environment() -> bool:
    """ALLCORES_SEGMENTS=named asks for segments with names, as tests do."""
    wanted = os.environ.get("ALLCORES_SEGMENTS", "")
    if wanted not in ("", "memfd", "named"):
        raise ValueError(f"ALLCORES_SEGMENTS={wanted!r} must be memfd or named")
    here = hasattr(os, "memfd_create") and hasattr(os, "posix_fallocate") and os.path.isdir("/proc/self/fd")
    if wanted == "memfd" and not here:
        raise ValueError("ALLCORES_SEGMENTS=memfd: this system has none")
    return here and wanted != "named"


def create(size: int) -> AnySegment:
    """A new segment. OSError where there is no memory or no descriptor for it."""
    if without_names():
        return Segment.create(size)
    return named().NamedSegment.create(size)  # type: ignore[no-any-return]


def named() -> Any:
    """The module for the other kind, which needs multiprocessing."""
    from . import named

    return named


@cache
def boot() -> str:
    """This machine since it was started."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def started(pid: int) -> int:
    """When a process began, in ticks since boot: its number may have been another's before."""
    return status(pid)[1]


def status(pid: int) -> tuple[str, int]:
    """A letter for the state of a process (Z and X: it has ended), and when it began."""
    # The second field is the name in brackets, which may itself hold brackets and blanks.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[0], int(fields[19])


@cache
def _started_here(pid: int) -> int:
    return started(pid)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_started_here.cache_clear)  # its number may have been an ancestor's


def _read(path: str) -> str:
    """A small file; without importing a codec, which a process that has changed its user may not be allowed to read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode("latin-1")
    finally:
        os.close(fd)


def aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def layout(sizes: list[int]) -> tuple[list[tuple[int, int]], int]:
    """Begin and end of each of several buffers in a segment, and the segment's size."""
    spans = []
    end = HEADER
    for size in sizes:
        begin = aligned(end)
        end = begin + size
        spans.append((begin, end))
    return spans, max(end, HEADER)


def map_file(fd: int, size: int, *, private: bool = False) -> mmap.mmap:
    """Map a segment, writable. Private: what is written stays in this process, page by page."""
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    try:
        if sys.version_info >= (3, 13):
            return mmap.mmap(fd, size, flags=flags, trackfd=False)
        return mmap.mmap(fd, size, flags=flags)  # keeps a descriptor of its own
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"no address space for {size} bytes of shared memory") from None
        raise


def _identity(fd: int, fstat: Callable[[int], os.stat_result] = os.fstat) -> tuple[int, int] | None:
    """Which file a descriptor is."""
    try:
        status = fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Segment:
    """A segment that this process keeps open. `close` and the collector let go of it; mappings live on.

    A forked child has a descriptor of its own under the same number, and so hands the segment on in its own name.
    """

    __slots__ = ("__weakref__", "_file", "_handle", "_mapping", "fd", "size", "token", "used")

    def __init__(self, fd: int, size: int, token: bytes) -> None:
        self.fd, self.size, self.token = fd, size, token
        self._file = _identity(fd)
        self._handle: Handle | None = None
        self._mapping: mmap.mmap | None = None
        self.used = 0

    @classmethod
    def create(cls, size: int, *, reserve: bool = True) -> Segment:
        """A new segment. OSError where there is no memory or no descriptor for it.

        Without `reserve` memory has to be reserved before it is used.
        """
        token = os.urandom(16)
        fd = os.memfd_create("allcores")
        try:
            # A plain truncate would promise what may not be there, and the first write would end in SIGBUS.
            if reserve:
                os.posix_fallocate(fd, 0, size)
            else:
                os.truncate(fd, size)
            os.pwrite(fd, token, 0)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, size, token)

    def reserve(self, offset: int, count: int) -> None:
        os.posix_fallocate(self.fd, offset, count)

    @property
    def handle(self) -> Handle:
        pid = os.getpid()
        if self._handle is None or self._handle.pid != pid:
            # The same object for all views that are sent together: it is pickled once.
            self._handle = Handle(boot(), pid, _started_here(pid), self.fd, self.token, self.size)
        return self._handle

    @property
    def mapping(self) -> mmap.mmap:
        """The segment in this process's memory, mapped once: mapping 128 MiB anew costs 50 ms, a copy into it 10."""
        if self._mapping is None:
            self._mapping = map_file(self.fd, self.size)
        return self._mapping

    def pwrite(self, data: Buffer, offset: int) -> None:
        """Write without a mapping: for pages that are touched for the first time, 95 ms instead of 135 (128 MiB)."""
        while data.nbytes:
            written = os.pwrite(self.fd, data, offset)
            data, offset = data[written:], offset + written

    def read(self) -> bytearray:
        """A copy of everything."""
        copy = bytearray(self.size)
        rest, offset = memoryview(copy), 0
        while rest.nbytes and (count := os.preadv(self.fd, [rest], offset)):
            rest, offset = rest[count:], offset + count
        return copy

    def close(self, close: Callable[[int], None] = os.close, identity: Callable[[int], object] = _identity) -> None:
        # Functions by arguments: an array may die so late at exit that this module's names are gone.
        fd, self.fd, self._mapping = self.fd, -1, None
        if fd >= 0 and identity(fd) == self._file:
            close(fd)

    @property
    def is_open(self) -> bool:
        """Whether the descriptor is still this segment's. Daemons close all that they have, and the number may be
        another file's by now."""
        return self.fd >= 0 and _identity(self.fd) == self._file

    def __del__(self) -> None:
        self.close()


def open_handle(handle: Handle, *, write: bool = False) -> int:
    """A descriptor of another process's segment; Refused where it is not to be had."""
    try:
        if handle.boot != boot() or started(handle.pid) != handle.started:
            raise Refused("the segment belongs to another machine or to a process that is no more")
        # Never wait: in another PID namespace this may be somebody's named pipe.
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        fd = os.open(f"/proc/{handle.pid}/fd/{handle.fd}", flags)
    except (OSError, ValueError, IndexError) as error:
        raise Refused(f"no access to the memory of process {handle.pid}: {error}") from None
    try:
        if os.pread(fd, len(handle.token), 0) == handle.token and os.fstat(fd).st_size >= handle.size:
            return fd
    except OSError:
        pass
    os.close(fd)
    raise Refused(f"what process {handle.pid} has open under this number is another file")


def map_handle(handle: AnyHandle) -> mmap.mmap:
    """Map another process's segment privately."""
    if not isinstance(handle, Handle):
        try:
            return named().map_named(handle, private=True)  # type: ignore[no-any-return]
        except OSError as error:
            raise Refused(f"no access to the memory called {handle.name}: {error}") from None
    fd = open_handle(handle)
    try:
        return map_file(fd, handle.size, private=True)
    except OSError as error:
        raise Refused(f"the memory of process {handle.pid} can't be mapped: {error}") from None
    finally:
        os.close(fd)


def open_segment(handle: AnyHandle) -> AnySegment:
    """Another process's segment, to write to."""
    if not isinstance(handle, Handle):
        try:
            return named().NamedSegment.open(handle)  # type: ignore[no-any-return]
        except OSError as error:
            raise Refused(f"no access to the memory called {handle.name}: {error}") from None
    segment = Segment(open_handle(handle, write=True), handle.size, handle.token)
    segment.used = 1
    return segment
