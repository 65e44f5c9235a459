"""zarr arrays: read chunk by chunk, or shard by shard, each decompressed by the worker that needs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._engine.operands import Array
from .._engine.sources import Region, Source


def open_path(path: str, name: str | None) -> Source:
    """The array of a store, or of a group in it."""
    try:
        import zarr
    except ImportError:
        raise ImportError(f"{path} needs zarr: pip install 'allcores[zarr]'") from None
    found = zarr.open(path, path=name, mode="r")
    if isinstance(found, zarr.Array):
        return Zarr(found)
    names = sorted(key for key, member in found.members(max_depth=None) if isinstance(member, zarr.Array))
    if len(names) != 1:
        raise ValueError(f"{path}: name must be one of its arrays: {', '.join(names) or 'there are none'}")
    return Zarr(found[names[0]])


class Zarr(Source):
    def __init__(self, array: Any) -> None:
        self.array, self.name = array, str(array.store_path)
        self.shape, self.stored = tuple(array.shape), np.dtype(array.dtype)
        self.dtype = self.stored.newbyteorder("=")
        self.chunks = tuple(array.shards or array.chunks)

    def read(self, region: Region) -> Array:
        return np.ascontiguousarray(self.array[region], self.dtype).reshape([part.stop - part.start for part in region])

    def write(self, region: Region, values: Any) -> None:
        self.array[region] = values
