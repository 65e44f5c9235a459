"""Arrays that are not in memory: what a call needs to know of them, and how their parts are read.

    zarr.Array, h5py.Dataset, ...  -- adapter -->  Source: shape, dtype, chunks, read(region)
    .npy, contiguous HDF5          ------------->  FlatFile: one array in one file, read anywhere

What a type's adapter is, is a closed list (`register`). An object that merely looks like an array is converted by
NumPy, as ever: masks, units and labels would be lost on the way, and nobody would be told.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import settings
from .view import Array, native

Region = tuple[slice, ...]


class Source(ABC):
    """An array that is read part by part.

    A subclass sets `name` (for messages), `shape`, `dtype` (native, but for fields) and `chunks`, the shape of what is
    stored together, or None where it makes no difference; and it says how to `read`. Its objects can be pickled if they
    are to be read in other processes. Several threads read at a time.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None = None

    @abstractmethod
    def read(self, region: Region) -> Array:
        """The elements of a region.

        Parameters
        ----------
        region : tuple of slice
            A slice for each axis, with a start, a stop and no step.

        Returns
        -------
        ndarray
            Of the region's shape, and of `dtype`.
        """

    def write(self, region: Region, values: Any) -> None:
        """Change the elements of a region.

        Parameters
        ----------
        region : tuple of slice
            A slice for each axis, with a start, a stop and no step.
        values : ndarray
            Of the region's shape.
        """
        raise TypeError(f"{self.name} can't be written to")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a source without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        chunks = "" if self.chunks is None else f", chunks={self.chunks}"
        return f"<allcores source {self.name!r}, shape={self.shape}, dtype={self.dtype}{chunks}>"

    def __getitem__(self, key: Any) -> Any:
        """The elements of a part, read now: integers, slices with positive steps, and an ellipsis."""
        region, rest = basic(key, self.shape)
        return self.part(region)[rest]

    def __setitem__(self, key: Any, values: Any) -> None:
        region, rest = basic(key, self.shape)
        lengths = tuple(part.stop - part.start for part in region)
        if any(isinstance(i, slice) and i.step not in (None, 1) for i in rest):
            raise IndexError(f"{self.name} can be written to in slices without a step")
        shape = tuple(length for length, i in zip(lengths, rest, strict=True) if isinstance(i, slice))
        self.write(region, np.broadcast_to(values, shape).reshape(lengths))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"{self.name} is not in memory: a copy can't be avoided")
        values = self.load()
        if dtype is not None:
            return values.astype(dtype, copy=bool(copy))
        return values.copy() if copy else values

    def part(self, region: Region, *memory: Array | None) -> Array:
        """The elements that `read` returns, C-contiguous, with errors that say what was read.

        Those of a file that is laid out as an array in memory keep the strides of that array.

        Parameters
        ----------
        region : tuple of slice
            A slice for each axis, with a start, a stop and no step.
        *memory
            As `read` takes it, where it does.

        Returns
        -------
        ndarray
            The elements.
        """
        try:
            values = self.read(region, *memory)
        except Exception as error:
            raise OSError(f"{self.name}: can't read {written(region)}: {error}") from error
        lengths = tuple(part.stop - part.start for part in region)
        if values.shape != lengths:
            raise OSError(f"{self.name}: {written(region)} has the shape {values.shape} instead of {lengths}")
        # Bits follow the layout, which is not the source's to choose where the chunks say what they are.
        return values if isinstance(self, FlatFile) else contiguous(values)

    def load(self) -> Array:
        """All of it, if that is within the memory budget.

        Returns
        -------
        ndarray
            The array, in memory.
        """
        budget = settings.get_memory_budget()
        if self.nbytes > budget:
            raise MemoryError(
                f"{self.name} has {self.nbytes:,} bytes, more than the memory budget of {budget:,} "
                "(set_memory_budget), and this call needs all of it in memory"
            )
        return self.part(tuple(slice(0, length) for length in self.shape))


def written(region: Region) -> str:
    """A region as one would write it."""
    return f"[{', '.join(f'{part.start}:{part.stop}' for part in region)}]"


def basic(key: Any, shape: tuple[int, ...]) -> tuple[Region, tuple[Any, ...]]:
    """From an index to a region, and what is then to be taken of it."""
    items = list(key) if isinstance(key, tuple) else [key]
    if any(item is Ellipsis for item in items):
        at = next(i for i, item in enumerate(items) if item is Ellipsis)
        items[at : at + 1] = [slice(None)] * (len(shape) - len(items) + 1)
    items += [slice(None)] * (len(shape) - len(items))
    if len(items) > len(shape):
        raise IndexError(f"too many indices: there are {len(shape)} axes, {len(items)} were indexed")
    region, rest = [], []
    for axis, (item, length) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            start, stop, step = item.indices(length)
            if step < 1:
                raise IndexError("sources take slices with positive steps")
            region.append(slice(start, max(start, stop)))
            rest.append(slice(None, None, step))
        elif isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            number = int(item)
            if not -length <= number < length:
                raise IndexError(f"index {number} is out of bounds for axis {axis} with size {length}")
            region.append(slice(number % length, number % length + 1))
            rest.append(0)  # type: ignore[arg-type]
        else:
            raise IndexError("sources take integers, slices and an ellipsis as indices")
    return tuple(region), tuple(rest)


# ---- which types there are

Adapter = Callable[[Any], Source]

_adapters: dict[type[Any], Adapter] = {}
_known: dict[tuple[str, str], Adapter] = {}  # types of packages that need not be imported: their module and name


def register(kind: type[Any], adapter: Adapter) -> None:
    _adapters[kind] = adapter


def know(module: str, name: str, adapter: Adapter) -> None:
    _known[module, name] = adapter


def as_source(a: Any) -> Source | None:
    """The source that an argument is, or None: it is an array, or becomes one."""
    if isinstance(a, np.ndarray):
        return None
    if isinstance(a, Source):
        return a
    for kind, adapter in list(_adapters.items()):
        if isinstance(a, kind):
            return adapter(a)
    for (module, name), adapter in list(_known.items()):
        known = getattr(sys.modules.get(module), name, None)
        if known is not None and isinstance(a, known):
            return adapter(a)
    return None


# ---- arrays in files

# Bytes between two runs that take less time to read than the system takes for another call; and of what is read so.
GAP, THROUGH = 4096, 1 << 20


class Mark(NamedTuple):
    """A file, whatever it is called. Its number may be another file's once it is gone, and is one of many where several
    file systems are mounted: device and birth (0 where nobody knows) tell these apart."""

    computer: str  # since it was started: devices have other numbers then
    device: int
    inode: int
    birth: int


@cache
def _boot() -> str:
    """Another text each time that this machine is started, where it has one."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read().decode("latin-1").strip()
    return ""


def mark_of(file: int | str) -> Mark:
    """What tells a file from another one that has its path later."""
    status, computer = os.stat(file), f"{platform.node()} {_boot()}"
    birth = getattr(status, "st_birthtime", None)
    return Mark(computer, status.st_dev, status.st_ino, _birth(file) if birth is None else int(birth * 1e9))


@cache
def _statx() -> Any:
    """Linux tells when a file was made by this call alone, which `os` has not had before Python 3.15."""
    import ctypes

    return getattr(ctypes.CDLL(None), "statx", None) if sys.platform == "linux" else None


def _birth(file: int | str) -> int:
    """When a file was made, in ns; 0 where nobody knows."""
    import ctypes

    statx, known = _statx(), ctypes.create_string_buffer(256)
    if statx is None:
        return 0
    number, path = (file, b"") if isinstance(file, int) else (-100, os.fsencode(file))  # AT_FDCWD
    if statx(number, path, 0x1000, 0x800, known):  # AT_EMPTY_PATH, STATX_BTIME
        return 0
    (given,) = struct.unpack_from("I", known, 0)
    seconds, nanoseconds = struct.unpack_from("qI", known, 80)
    return int(seconds * 10**9 + nanoseconds) if given & 0x800 else 0


def check_same(path: str, file: int | str, mark: Mark) -> None:
    """Whether an open file, or a path, is the file that was marked. On another computer nobody can tell."""
    here = mark_of(file)
    if here != mark and here.computer == mark.computer:
        raise OSError(f"{path}: another file is there now than the one that was opened")


class FlatFile(Source):
    """One array as it would be in memory, somewhere in a file. `ghost` is that array, mapped: it says where elements
    are, and is never read, since an error would be a signal then. `head` is how the file begins, if that says what its
    bytes mean: they may be written anew in place, as another array."""

    def __init__(
        self,
        path: str,
        offset: int,
        shape: tuple[int, ...],
        dtype: Any,
        order: str = "C",
        name: str | None = None,
        mark: Mark | None = None,
        head: bytes = b"",
    ) -> None:
        self.path, self.offset, self.shape, self.order = os.path.abspath(path), offset, shape, order
        self.stored = np.dtype(dtype)
        self.dtype = native(self.stored)
        self.name = name or self.path
        self._own_file = threading.Lock()  # where reading moves the file's position
        self.file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.mark = mark_of(self.file) if mark is None else mark
        check_same(self.path, self.file, self.mark)
        self.head = head
        there = os.fstat(self.file).st_size - offset
        if there < self.nbytes:
            raise OSError(f"{self.name}: the array has {self.nbytes:,} bytes, {max(there, 0):,} are there")
        self.check_head(f"{self.name}: ")
        # What is empty can't be mapped.
        self.ghost: Array = (
            np.asarray(np.memmap(self.path, self.dtype, "r", offset, shape, order))  # type: ignore[call-overload]
            if self.nbytes
            else np.ndarray(shape, self.dtype)  # which has strings of no characters, as np.empty has not
        )
        self._begin = self.ghost.__array_interface__["data"][0]

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # By an argument: this module's names may be gone when a source dies at exit.
        if hasattr(self, "file"):
            close(self.file)

    def __reduce__(self) -> tuple[Any, ...]:
        check_same(self.path, self.path, self.mark)
        self.check_head(f"{self.name}: ")
        layout = self.path, self.offset, self.shape, self.stored, self.order
        return type(self), (*layout, self.name, self.mark, self.head)

    def check_head(self, prefix: str = "") -> None:
        """Whether the bytes still mean what they meant when the file was opened."""
        there = bytearray(len(self.head))
        self.fill(memoryview(there), 0)
        if there != self.head:
            raise OSError(f"{prefix}another array has been written to the file since it was opened")

    def view(self, ghost: Array) -> FlatView:
        """Where the elements of a view of the ghost are."""
        offset = self.offset + ghost.__array_interface__["data"][0] - self._begin
        return FlatView(self, offset, ghost.shape, ghost.strides)

    def read(self, region: Region, memory: Array | None = None) -> Array:
        """`memory` takes the elements, if there is some."""
        ghost = self.ghost if not region else self.ghost[region]
        # In memory as it is in the file.
        order = sorted(range(ghost.ndim), key=lambda axis: -ghost.strides[axis])
        values: Array = np.ndarray(ghost.size, self.dtype) if memory is None else memory[: ghost.size]
        values = values.reshape([ghost.shape[axis] for axis in order])
        self.view(ghost.transpose(order)).read(values)
        return values.transpose(np.argsort(order))

    def fill(self, data: memoryview, offset: int) -> None:
        """Bytes of the file, from `offset` on."""
        while len(data):
            if hasattr(os, "preadv"):
                size = os.preadv(self.file, [data[: 1 << 30]], offset)  # macOS refuses 2 GiB
            else:
                with self._own_file:
                    os.lseek(self.file, offset, os.SEEK_SET)
                    piece = os.read(self.file, min(len(data), 1 << 30))
                size = len(piece)
                data[:size] = piece
            if not size:
                raise OSError(f"the file ends at {offset:,} bytes, {len(data):,} before its data do")
            data, offset = data[size:], offset + size

    def announce(self, offset: int, size: int) -> None:
        """Have the system read this part of the file meanwhile."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.file, offset, size, os.POSIX_FADV_WILLNEED)


@dataclass(frozen=True, slots=True)
class FlatView:
    """A strided view of a file, as NumPy has them of memory: data, so that another process can read it."""

    file: FlatFile
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def part(self, region: Region) -> FlatView:
        offset = self.offset + sum(s.start * stride for s, stride in zip(region, self.strides, strict=True))
        return FlatView(self.file, offset, tuple(s.stop - s.start for s in region), self.strides)

    def read(self, to: Array) -> None:
        """Read all into a C-contiguous array."""
        if not to.nbytes:
            return
        run, axes = to.itemsize, len(self.shape)
        while axes and (self.shape[axes - 1] == 1 or self.strides[axes - 1] == run):
            run *= self.shape[axes - 1]
            axes -= 1
        data = to.reshape(-1).view(np.uint8)
        if axes and 0 < self.strides[axes - 1] - run <= GAP:
            self.read_through(data.reshape(*self.shape[:axes], run))
        else:
            for number, at in enumerate(self.starts(axes)):
                self.file.fill(data[number * run : (number + 1) * run].data, at)
        if self.file.stored != self.file.dtype:
            to.byteswap(inplace=True)
        self.file.check_head()  # afterwards: what is right now was right then

    def starts(self, axes: int) -> Iterator[int]:
        """Where in the file the elements begin that have an index along the first axes."""
        for index in np.ndindex(self.shape[:axes]):
            yield self.offset + sum(i * stride for i, stride in zip(index, self.strides, strict=False))

    def read_through(self, to: Array) -> None:
        """Read runs along the last axis but one, and the gaps between them."""
        *_, count, run = to.shape
        stride = self.strides[to.ndim - 2]
        most = max(1, THROUGH // stride)
        memory = np.empty(min(count, most) * stride, np.uint8)
        for lines, at in zip(to.reshape(-1, count, run), self.starts(to.ndim - 2), strict=True):
            for first in range(0, count, most):
                part = lines[first : first + most]
                self.file.fill(memory[: (len(part) - 1) * stride + run].data, at + first * stride)
                part[...] = memory[: len(part) * stride].reshape(-1, stride)[:, :run]

    def announce(self) -> None:
        if min(self.shape, default=0):
            last = sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))
            if last < 2 * prod(self.shape) * self.file.itemsize:  # not with much between that nobody reads
                self.file.announce(self.offset, last + self.file.itemsize)


def contiguous(part: Array) -> Array:
    """A C-contiguous copy in the machine's byte order, unless it is that; also without axes."""
    return np.ascontiguousarray(part, native(part.dtype)).reshape(part.shape)


class InMemory(Source):
    """An array in memory, read by chunks: gives the same bits as a source that is stored in such chunks."""

    def __init__(self, array: Array, chunks: tuple[int, ...] | None) -> None:
        self.array, self.chunks, self.name = array, chunks, "an array in memory"
        self.shape, self.dtype = array.shape, native(array.dtype)

    def read(self, region: Region) -> Array:
        return self.array[region] if region else self.array


class Rechunked(Source):
    """Another source, read by other chunks."""

    def __init__(self, source: Source, chunks: tuple[int, ...]) -> None:
        self.source, self.chunks, self.name = source, chunks, source.name
        self.shape, self.dtype = source.shape, source.dtype

    def read(self, region: Region) -> Array:
        return self.source.read(region)

    def write(self, region: Region, values: Any) -> None:
        self.source.write(region, values)
