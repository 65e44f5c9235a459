"""How arrays are pickled: their data as one buffer out of the stream, in the order in which they lie in memory.

NumPy does this itself for contiguous arrays of simple dtypes. Here also: strided, reversed and broadcast arrays,
windows over an array, datetime64 and structured dtypes, masked arrays and other subclasses, and read-only flags. Arrays
in shared memory and of mapped files are sent as handles. Everything else (Python objects, subclasses that pickle
themselves) is NumPy's matter.

Whoever writes to an array in shared memory, or of a file that is mapped to be written to, means all who see it. Where
only a copy can be sent, it is read-only: what is written to it would be lost without a word.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from . import mapped, shared
from .shared import Array

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


class Sink(Protocol):
    """What a pickler offers the functions here."""

    handles: bool  # whether arrays in shared memory and of mapped files are sent as handles, or as data

    def buffer(self, array: Array) -> Any:
        """An object that stands for the elements of an array, in C order."""

    def handle(self, found: shared.Found) -> Any:
        """The handle of a piece of shared memory, which is kept until the other side has unpickled."""


def reduce_array(array: Array, sink: Sink) -> Reduced | Any:
    """How `array` is pickled; NotImplemented: as NumPy does it."""
    cls = type(array)
    if array.dtype.hasobject:
        return NotImplemented
    if cls is np.ndarray:
        return _reduce_plain(array, sink)
    if "numpy.ma" in sys.modules and issubclass(cls, np.ma.MaskedArray):
        if cls.__reduce__ is np.ma.MaskedArray.__reduce__ and cls.__setstate__ is np.ma.MaskedArray.__setstate__:
            return _reduce_masked(array)
    elif (
        cls.__reduce__ is np.ndarray.__reduce__
        and cls.__reduce_ex__ is np.ndarray.__reduce_ex__
        and cls.__setstate__ is np.ndarray.__setstate__
    ):
        if issubclass(cls, np.memmap) and sink.handles:
            reduced = _reduce_mapped_file(array, array)
            if reduced is not None:
                return reduced
        return as_subclass, (cls, np.ndarray.view(array, np.ndarray))
    plain = np.ndarray.view(array, np.ndarray)
    if plain.flags.writeable and _seen_by_others(shared.find(plain), _mapped_file(plain)):
        return read_only, tuple(array.__reduce_ex__(5)[:3])
    return NotImplemented


def read_only(function: Callable[..., Array], args: tuple[Any, ...], state: Any = None) -> Array:
    """Unpickle an array that pickles itself, and protect it."""
    array = function(*args)
    if state is not None:
        array.__setstate__(state)
    array.flags.writeable = False
    return array


def _seen_by_others(found: object, root: Any) -> bool:
    """Whether what is written to an array is seen by other processes: by what `shared.find` and `_mapped_file` say."""
    return found is not None or (root is not None and root.mode in ("r+", "w+"))


def as_subclass(cls: type[Array], array: Array) -> Array:
    """Unpickle an instance of a subclass."""
    return array.view(cls)


# ---- plain arrays


def _reduce_plain(array: Array, sink: Sink) -> Reduced | Any:
    if not shared.is_private(array):
        found, root = shared.find(array), _mapped_file(array)
        if sink.handles and found is not None:
            handle, writable = sink.handle(found), array.flags.writeable
            return shared.view, (handle, found.offset, array.dtype, array.shape, array.strides, writable)
        if sink.handles and root is not None:
            reduced = _reduce_mapped_file(array, root)
            if reduced is not None:
                return reduced
        if _seen_by_others(found, root):
            array = array.view()
            array.flags.writeable = False
    if array.dtype.isbuiltin == 2:  # a user's own
        return NotImplemented
    if array.flags.c_contiguous:
        return plain, (sink.buffer(array), array.dtype, array.shape, None)
    if _overlaps(array):
        # Broadcast, or windows over another array: the memory that they share, once. Where it may be written, each
        # element becomes one of its own, as with any pickle.
        low, high = np.lib.array_utils.byte_bounds(array)
        memory = _bytes_at(low, high - low, array)
        offset = shared.address(array) - low
        return strided, (sink.buffer(memory), array.dtype, array.shape, array.strides, offset)
    axes = tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    return plain, (sink.buffer(array.transpose(axes)), array.dtype, tuple(array.shape[axis] for axis in axes), axes)


def _overlaps(array: Array) -> bool:
    if array.flags.writeable or array.size < 2:
        return False
    low, high = np.lib.array_utils.byte_bounds(array)
    return high - low < array.nbytes


class _Memory:
    """A range of addresses, for NumPy."""

    def __init__(self, begin: int, size: int, owner: object) -> None:
        self.__array_interface__ = {"data": (begin, True), "shape": (size,), "typestr": "|u1", "version": 3}
        self.owner = owner


def _bytes_at(begin: int, size: int, owner: object) -> Array:
    return np.asarray(_Memory(begin, size, owner))


def plain(buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], axes: tuple[int, ...] | None) -> Array:
    """Unpickle an array whose axes were put in the order of `axes`."""
    array: Array = np.ndarray(shape, dtype, buffer)
    return array if axes is None else array.transpose(np.argsort(axes))


def strided(buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Array:
    """Unpickle an array whose elements overlap."""
    return np.ndarray(shape, dtype, buffer, offset, strides)


# ---- masked arrays


def _reduce_masked(array: Any) -> Reduced:
    mask = None if array._mask is np.ma.nomask else np.asarray(array._mask)
    return masked, (type(array), array._data, mask, array._fill_value, array.hardmask)


def masked(cls: type[Any], data: Array, mask: Array | None, fill_value: Array | None, hard: bool) -> Any:
    """Unpickle a masked array."""
    array = np.ma.array(data, mask=np.ma.nomask if mask is None else mask, copy=False, hard_mask=hard).view(cls)
    if fill_value is not None:
        array.fill_value = fill_value
    return array


# ---- files


def _mapped_file(array: Array) -> Any:
    """The memmap of which an array is a view; None where it is not one of a file's."""
    base: Any = array
    for _ in range(100):  # it may be anybody's object, with a `base` of its own that leads nowhere
        if base is None or (isinstance(base, np.memmap) and getattr(base, "_mmap", None) is not None):
            return base
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return None


def _reduce_mapped_file(array: Array, root: Any) -> Reduced | None:
    """A handle to the file: None where what is in memory is not what is found there."""
    mapping, path, mode = root._mmap, root.filename, root.mode
    if mapping is None or path is None or mode not in ("r", "r+", "w+") or array.size == 0:
        return None
    begin = shared.address(np.frombuffer(mapping, np.uint8))
    low, high = np.lib.array_utils.byte_bounds(array)
    if low < begin or high > begin + len(mapping):
        return None  # no longer in the file: the result of some computation
    found = mapped.file_and_size(mapping, begin, path)
    if found is None:
        return None  # deleted or replaced meanwhile
    file, size = found
    # The mapping begins at the page in which the memmap's own data begin.
    page = root.offset - root.offset % mmap.ALLOCATIONGRANULARITY
    position = page + low - begin
    if size < position + high - low:
        # Whoever looks there, to copy it for example, is ended by a signal.
        raise OSError(f"{os.fspath(path)} has become shorter than what is mapped of it")
    where = (position, high - low, shared.address(array) - low)
    name, mode = os.fspath(path), "r" if mode == "r" else "r+"
    return file_view, (name, file, mode, where, array.dtype, array.shape, array.strides, array.flags.writeable)


def file_view(
    path: str,
    file: mapped.File,
    mode: Any,
    where: tuple[int, int, int],
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    writable: bool,
) -> Array:
    """Unpickle a view of a mapped file."""
    position, size, offset = where
    with open(path, "rb" if mode == "r" else "r+b") as opened:
        status = os.fstat(opened.fileno())
        if (status.st_dev, status.st_ino) != file:
            raise FileNotFoundError(f"{path} is another file now")
        if status.st_size < position + size:
            raise OSError(f"{path} has become shorter than what was mapped of it")
        memory: Any = np.memmap(opened, np.uint8, mode, position, (size,))
    array = np.ndarray(shape, dtype, memory, offset, strides)
    if not writable:
        array.flags.writeable = False
    return array
