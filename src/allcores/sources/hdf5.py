"""HDF5 datasets.

h5py has one lock for all of HDF5, decompression included. So chunks of what is compressed in the usual way (gzip, with
or without shuffle) are read as they are stored, which is short, and decompressed by the worker that needs them, without
the lock; contiguous datasets are read from the file itself. Everything else goes through h5py, one at a time.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from .._engine.imports import importing
from .._engine.sources import FlatFile, InMemory, Mark, Region, Source, check_same, mark_of
from .._engine.view import Array, native
from .chunked import checked, put_together
from .files import check_regular, named

# Of HDF5's filters, those that are undone here; numbers as in the file format.
GZIP, SHUFFLE = 1, 2
NUMBERS = "biufc"
# Drivers by which a file is one file of that name, which another process can open as well.
PLAIN_FILES = ("sec2", "stdio", "direct", "windows")


def imported(path: str) -> Any:
    try:
        with importing:
            import h5py
    except ImportError:
        raise ImportError(f"{path} needs h5py: pip install 'allcores[hdf5]'") from None
    return h5py


def open_file(path: str, swmr: bool = False) -> Any:
    h5py = imported(path)
    check_regular(path)
    try:
        return h5py.File(path, "r", swmr=swmr)
    except OSError as error:  # h5py names the file in some of them
        raise named(error, path) from error


def open_path(path: str, name: str | None) -> Source:
    """The dataset of a file. The file stays open as long as the source lives."""
    file, h5py = open_file(path), imported(path)
    if name is not None and isinstance(file.get(name), h5py.Dataset):
        return of_dataset(file[name])
    names: list[str] = []
    file.visititems(lambda key, member: names.append(key) if isinstance(member, h5py.Dataset) else None)
    if name is None and len(names) == 1:
        return of_dataset(file[names[0]])
    file.close()
    raise ValueError(f"{path}: name must be one of its datasets: {', '.join(names) or 'there are none'}")


def of_dataset(dataset: Any) -> Source:
    """A dataset as it is best read."""
    if dataset.shape is None:  # a null dataspace
        return InMemory(np.empty(0, native(dataset.dtype)), None)
    path, mark = place_of(dataset.file)
    if mark is not None and laid_out(dataset):
        offset = dataset.id.get_offset()
        return FlatFile(path, offset, tuple(dataset.shape), dataset.dtype, "C", f"{path}{dataset.name}", mark)
    return Hdf5(dataset)


def laid_out(dataset: Any) -> bool:
    """Whether the elements are in the file as they would be in memory, and stay there.

    Of a dataset that was never written nothing is stored, and what HDF5 has for an offset then depends on the file.
    """
    import h5py

    plan = dataset.id.get_create_plist()
    return bool(
        plan.get_layout() == h5py.h5d.CONTIGUOUS
        and not plan.get_external_count()
        and dataset.size
        and dataset.id.get_storage_size() == dataset.size * dataset.dtype.itemsize
        and dataset.file.mode == "r"
        and not dataset.file.swmr_mode
        and as_in_memory(dataset)
    )


def as_in_memory(dataset: Any) -> bool:
    """Whether an element is stored as NumPy has it: numbers may have fewer bits than bytes, or another format."""
    import h5py

    dtype = dataset.dtype
    return dtype.kind in NUMBERS and bool(dataset.id.get_type().equal(h5py.h5t.py_create(dtype, logical=True)))


def place_of(file: Any) -> tuple[str, Mark | None]:
    """The absolute path of an open file, and what tells it from others; None where it is not there, or not one file.

    It may have been opened by a relative path when the current directory was another one.
    """
    path = os.path.abspath(os.fsdecode(file.filename))
    if file.driver != "sec2":
        return path, mark_by_hdf5(path, file) if file.driver in PLAIN_FILES else None
    descriptor = file.id.get_vfd_handle()
    mark = mark_of(descriptor)
    for found in (path, os.path.realpath(f"/proc/self/fd/{descriptor}")):
        with suppress(OSError):
            check_same(found, found, mark)
            return found, mark
    return path, None


def mark_by_hdf5(path: str, file: Any) -> Mark | None:
    """What tells an open file from others if it is the one in that path, where its descriptor can't be asked. HDF5 has
    one number for a file, however often it is open."""
    import h5py

    number = h5py.h5o.get_info(file["/"].id).fileno
    with suppress(OSError):
        check_regular(path)
        mark = mark_of(path)
        with h5py.File(path, "r", driver=file.driver) as again:
            if h5py.h5o.get_info(again["/"].id).fileno == number:
                return mark
    return None


def reopened(
    path: str, name: str, swmr: bool, mark: Mark | None, shape: tuple[int, ...], stored: np.dtype[Any]
) -> Source:
    """In another process."""
    file, h5py = open_file(path, swmr), imported(path)
    if mark is not None:
        check_same(path, path, mark)
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise OSError(f"{path}: there is no dataset {name}")
    # One that is being appended to has grown, perhaps.
    if dataset.dtype != stored or len(dataset.shape) != len(shape) or any(map(int.__lt__, dataset.shape, shape)):
        raise OSError(f"{path}: {name} is another dataset than the one that was opened")
    return of_dataset(dataset)


class Hdf5(Source):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.path, self.mark = place_of(dataset.file)
        self.name = f"{self.path}{dataset.name}"
        # Elements may be arrays themselves, whose axes are the last ones then.
        self.stored: np.dtype[Any] = dataset.dtype.base
        self.inner: tuple[int, ...] = dataset.dtype.shape
        self.shape = (*dataset.shape, *self.inner)
        self.dtype = native(self.stored)
        self.chunks = None if dataset.chunks is None else (*dataset.chunks, *self.inner)
        plan = dataset.id.get_create_plist()
        self.filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        # A dataset that is open for writing may have chunks that are not in the file yet.
        self.direct = (
            self.chunks is not None
            and self.filters in ([GZIP], [SHUFFLE, GZIP])
            and dataset.file.mode == "r"
            and not dataset.file.swmr_mode
            and as_in_memory(dataset)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        file = self.dataset.file
        if file.driver not in PLAIN_FILES or self.dataset.name is None:
            why = "it has no name" if self.dataset.name is None else f"its file is opened by the driver {file.driver!r}"
            raise TypeError(f"{self.name} can't be read in another process: {why}")
        if self.mark is not None:
            check_same(self.path, self.path, self.mark)
        else:
            raise FileNotFoundError(f"{self.path}: the file that was opened is not there any more")
        if file.mode != "r":
            file.flush()
        shape, stored = self.shape[: self.dataset.ndim], self.dataset.dtype
        return reopened, (self.path, self.dataset.name, file.swmr_mode, self.mark, shape, stored)

    def read(self, region: Region) -> Array:
        if self.direct:
            assert self.chunks is not None
            return put_together(region, self.chunks, self.dtype, self.dataset.fillvalue, self._chunk)
        lengths = [part.stop - part.start for part in region]
        if 0 in lengths:
            return np.empty(lengths, self.dtype)
        outer, inner = region[: self.dataset.ndim], region[self.dataset.ndim :]
        if self.stored.kind in NUMBERS and not inner:
            values = np.empty(lengths, self.dtype)
            self.dataset.read_direct(values, outer)
            return values
        found: Array = np.asarray(self.dataset[outer], self.dtype)  # without axes it is a scalar, or a string
        return found[(*(slice(None) for _ in outer), *inner)] if inner else found

    def write(self, region: Region, values: Any) -> None:
        outer, inner = region[: self.dataset.ndim], region[self.dataset.ndim :]
        if tuple(part.stop - part.start for part in inner) != self.inner:
            raise TypeError(f"{self.name} has elements that are arrays, and is written to in whole ones")
        self.dataset[outer] = values

    def _chunk(self, first: tuple[int, ...]) -> Array | None:
        """The decompressed chunk that begins there, or None if it is not in the file."""
        assert self.chunks is not None
        if self.dataset.id.get_chunk_info_by_coord(first).byte_offset is None:
            return None
        skipped, stored = self.dataset.id.read_direct_chunk(first)
        size = prod(self.chunks) * self.stored.itemsize
        data: Any = stored
        # A bit of the mask for each filter that was left out for this chunk.
        if not skipped >> (len(self.filters) - 1) & 1:
            try:
                data = zlib.decompress(stored, bufsize=size)
            except zlib.error:
                return self._chunk_by_hdf5(first)
        if len(self.filters) == 2 and not skipped & 1 and self.stored.itemsize > 1 and len(data) == size:
            shuffled = np.frombuffer(data, np.uint8).reshape(self.stored.itemsize, -1)
            data = np.ascontiguousarray(shuffled.T)
        return checked(data, self.stored, self.chunks, first)

    def _chunk_by_hdf5(self, first: tuple[int, ...]) -> Array:
        """Chunks that reach beyond the end may be stored without filters, which h5py does not tell; others are damaged,
        and HDF5 says so."""
        assert self.chunks is not None
        values = np.zeros(self.chunks, self.dtype)
        ends = [min(at + size, end) for at, size, end in zip(first, self.chunks, self.shape, strict=True)]
        part = tuple(slice(at, end) for at, end in zip(first, ends, strict=True))
        self.dataset.read_direct(values, part, tuple(slice(0, s.stop - s.start) for s in part))
        return values
