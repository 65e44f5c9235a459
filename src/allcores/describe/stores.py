"""Arrays of .zarr directories, and of .h5 and .hdf5 files: read in pieces of whole stored chunks."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from .._engine.sources import Region, Source, as_source
from .._families.lazy_reductions import stored
from .blocks import BLOCK, ahead
from .progress import Progress
from .statistics import NUMBERS, TIMES, Column, Description, Problem, Statistics


def describe_zarr(path: str, progress: Progress) -> Description:
    try:
        import zarr
    except ImportError as error:
        raise Problem('reading it needs zarr: pip install "allcores[zarr]"') from error
    found = zarr.open(path, mode="r")
    if isinstance(found, zarr.Array):
        arrays = {"": found}
    else:
        members = found.members(max_depth=None)
        arrays = {name: member for name, member in sorted(members) if isinstance(member, zarr.Array)}
    return Description(path, "zarr", columns_of(arrays, progress))


def describe_hdf5(path: str, progress: Progress) -> Description:
    try:
        import h5py
    except ImportError as error:
        raise Problem('reading it needs h5py: pip install "allcores[hdf5]"') from error
    with h5py.File(path, "r") as file:
        datasets: dict[str, Any] = {}
        file.visititems(
            lambda name, member: datasets.update({name: member}) if isinstance(member, h5py.Dataset) else None
        )
        return Description(path, "hdf5", columns_of(datasets, progress))


def columns_of(arrays: dict[str, Any], progress: Progress) -> list[Column]:
    if not arrays:
        raise Problem("no arrays in it")
    total, done = sum(numbers(array) for array in arrays.values()), 0
    columns = []
    for name, array in arrays.items():
        dtype, shape = whole(array)
        if dtype.kind not in NUMBERS + TIMES:
            columns.append(Column(name, str(dtype), shape, count=prod(shape)))
            continue
        source = as_source(array)
        assert source is not None
        tally = Statistics()
        for block in ahead(source.part(region) for region in regions(source)):
            tally.add(block)
            done += block.nbytes
            progress.update(done, total)
        columns.append(tally.report(source.dtype, name=name, shape=shape))
    return columns


def whole(array: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Its dtype and shape: without elements where there is no shape, with more axes where elements are arrays."""
    dtype = np.dtype(array.dtype)
    return dtype.base, (0,) if array.shape is None else (*array.shape, *dtype.shape)


def numbers(array: Any) -> int:
    """Bytes of an array of which there are statistics; 0 of others."""
    dtype, shape = whole(array)
    return prod(shape) * dtype.itemsize if dtype.kind in NUMBERS + TIMES else 0


def regions(source: Source) -> Iterator[Region]:
    """Pieces of some 32 MiB."""
    if not source.shape:
        yield ()
        return
    pieces = stored(source, tuple(range(source.ndim)), BLOCK)
    for part in range(pieces.parts):
        yield pieces.region(0, part)
