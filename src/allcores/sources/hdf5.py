"""HDF5 datasets.

h5py has one lock for all of HDF5, decompression included. So chunks of what is compressed in the usual way (gzip, with
or without shuffle) are read as they are stored, which is short, and decompressed by the worker that needs them, without
the lock; contiguous datasets are read from the file itself. Everything else goes through h5py, one at a time.
"""

from __future__ import annotations

import zlib
from math import prod
from typing import Any

import numpy as np

from .._engine.later import importing
from .._engine.operands import Array
from .._engine.sources import FlatFile, Region, Source
from .chunked import checked, put_together

# Of HDF5's filters, those that are undone here; numbers as in the file format.
GZIP, SHUFFLE = 1, 2


def imported(path: str) -> Any:
    try:
        with importing:
            import h5py
    except ImportError:
        raise ImportError(f"{path} needs h5py: pip install 'allcores[hdf5]'") from None
    return h5py


def open_path(path: str, name: str | None) -> Source:
    """The dataset of a file. The file stays open as long as the source lives."""
    h5py = imported(path)
    file = h5py.File(path, "r")
    names: list[str] = []
    file.visititems(lambda key, member: names.append(key) if isinstance(member, h5py.Dataset) else None)
    if name is None and len(names) == 1:
        name = names[0]
    if name is None or not isinstance(file.get(name), h5py.Dataset):
        file.close()
        raise ValueError(f"{path}: name must be one of its datasets: {', '.join(names) or 'there are none'}")
    return of_dataset(file[name])


def of_dataset(dataset: Any) -> Source:
    """A dataset as it is best read."""
    offset = dataset.id.get_offset()
    plain = dataset.dtype.kind in "?biufcb" and dataset.file.mode == "r" and dataset.file.driver == "sec2"
    if plain and offset is not None and dataset.size and not dataset.external:
        name = f"{dataset.file.filename}{dataset.name}"
        return FlatFile(dataset.file.filename, offset, tuple(dataset.shape), dataset.dtype, "C", name)
    return Hdf5(dataset)


def reopened(path: str, name: str) -> Source:
    """In another process."""
    return of_dataset(imported(path).File(path, "r")[name])


class Hdf5(Source):
    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.name = f"{dataset.file.filename}{dataset.name}"
        self.shape, self.stored = tuple(dataset.shape), dataset.dtype
        self.dtype = self.stored.newbyteorder("=")
        self.chunks = dataset.chunks
        plan = dataset.id.get_create_plist()
        self.filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        # A dataset that is open for writing may have chunks that are not in the file yet.
        self.direct = (
            self.chunks is not None
            and self.filters in ([GZIP], [SHUFFLE, GZIP])
            and dataset.dtype.kind in "biufc"
            and dataset.file.mode == "r"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.dataset.file.filename, self.dataset.name)

    def read(self, region: Region) -> Array:
        if self.direct:
            assert self.chunks is not None
            return put_together(region, self.chunks, self.dtype, self.dataset.fillvalue, self._chunk)
        values = np.empty([part.stop - part.start for part in region], self.dtype)
        if values.size:
            self.dataset.read_direct(values, region)
        return values

    def write(self, region: Region, values: Any) -> None:
        self.dataset[region] = values

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
            data = zlib.decompress(stored, bufsize=size)
        if len(self.filters) == 2 and not skipped & 1 and self.stored.itemsize > 1 and len(data) == size:
            planes = np.frombuffer(data, np.uint8).reshape(self.stored.itemsize, -1)
            data = np.ascontiguousarray(planes.T)
        return checked(data, self.stored, self.chunks, first)
