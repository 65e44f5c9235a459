"""zarr arrays: read chunk by chunk, or shard by shard, each decompressed by the worker that needs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .._engine.later import importing
from .._engine.operands import Array
from .._engine.sources import Region, Source
from .chunked import checked, put_together

KINDS = "biufc"


def open_path(path: str, name: str | None) -> Source:
    """The array of a store, or of a group in it."""
    try:
        with importing:
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
        check_there(array)
        self.files = ChunkFiles.of(array)

    def __reduce__(self) -> tuple[Any, ...]:
        return Zarr, (self.array,)

    def read(self, region: Region) -> Array:
        if self.files is not None:
            return put_together(region, self.files.chunks, self.dtype, self.array.fill_value, self.files.chunk)
        return np.ascontiguousarray(self.array[region], self.dtype).reshape([part.stop - part.start for part in region])

    def write(self, region: Region, values: Any) -> None:
        self.array[region] = values


def directory_of(array: Any) -> str:
    """Where an array is, in a store that is a directory."""
    return os.path.abspath(os.path.join(str(array.store_path.store.root), array.store_path.path))


def check_there(array: Any) -> None:
    """In another process, or another directory, a path may lead nowhere; for zarr all chunks would be missing, and have
    the fill value."""
    if type(array.store_path.store).__name__ == "LocalStore":
        directory = directory_of(array)
        if not any(os.path.exists(os.path.join(directory, name)) for name in ("zarr.json", ".zarray")):
            raise FileNotFoundError(f"there is no zarr array in {directory}")


def zstd() -> Callable[..., Any]:
    """The decompressor that zarr itself uses."""
    with importing:
        from numcodecs.zstd import decompress

    found: Callable[..., Any] = decompress
    return found


@dataclass(frozen=True, slots=True)
class ChunkFiles:
    """Chunks in files of their own, which a worker reads and decompresses without zarr: all reading there goes through
    one event loop, which keeps two workers from being faster than one."""

    directory: str
    key: Callable[[tuple[int, ...]], str]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    decompress: Callable[..., Any] | None

    @classmethod
    def of(cls, array: Any) -> ChunkFiles | None:
        """None where zarr is to read: of format 2, with shards, other codecs, or in other stores than a directory."""
        store, meta = array.store_path.store, array.metadata
        if (
            type(store).__name__ != "LocalStore"
            or array.shards
            or not array.shape
            or np.dtype(array.dtype).kind not in KINDS
        ):
            return None
        if getattr(meta, "zarr_format", 0) != 3 or getattr(meta, "storage_transformers", ()):
            return None
        endian, *packed = meta.codecs
        names = [type(codec).__name__ for codec in meta.codecs]
        if names not in (["BytesCodec"], ["BytesCodec", "ZstdCodec"]):
            return None
        dtype = np.dtype(array.dtype).newbyteorder(getattr(endian.endian, "value", None) or "=")
        directory = directory_of(array)
        return cls(directory, meta.encode_chunk_key, dtype, tuple(array.chunks), zstd() if packed else None)

    def chunk(self, first: tuple[int, ...]) -> Array | None:
        """The chunk that begins there, or None if there is none."""
        key = self.key(tuple(at // size for at, size in zip(first, self.chunks, strict=True)))
        try:
            with open(os.path.join(self.directory, key), "rb") as file:
                data = file.read()
        except FileNotFoundError:
            if not os.path.isdir(self.directory):
                raise
            return None
        if self.decompress is not None:
            data = self.decompress(data, np.empty(prod(self.chunks) * self.dtype.itemsize, np.uint8))
        return checked(data, self.dtype, self.chunks, first)
