"""zarr arrays: read chunk by chunk, or shard by shard, each decompressed by the worker that needs it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .._engine.later import importing
from .._engine.operands import Array, native
from .._engine.sources import Region, Source
from .chunked import checked, put_together

KINDS = "biufc"
METADATA = {2: ".zarray", 3: "zarr.json"}  # by the version of the format


def open_path(path: str, name: str | None) -> Source:
    """The array of a store, or of a group in it."""
    try:
        with importing:
            import zarr
    except ImportError:
        raise ImportError(f"{path} needs zarr: pip install 'allcores[zarr]'") from None
    found = opened(path, name)
    group = opened(path, None) if found is None else found
    names = []
    if isinstance(group, zarr.Group):
        names = sorted(key for key, member in group.members(max_depth=None) if isinstance(member, zarr.Array))
    if isinstance(found, zarr.Group) and len(names) == 1:
        found = found[names[0]]
    if not isinstance(found, zarr.Array):
        raise ValueError(f"{path}: name must be one of its arrays: {', '.join(names) or 'there are none'}")
    return Zarr(found)


def opened(path: str, name: str | None) -> Any:
    """The array or group of that name, or None."""
    import zarr

    try:
        return zarr.open(path, path=name, mode="r")
    except FileNotFoundError:
        if name:
            return None
        raise FileNotFoundError(f"{path}: there is no zarr array or group") from None
    except Exception as error:  # whatever damaged metadata lead to
        raise OSError(f"{path}: can't be read: {type(error).__name__}: {error}") from error


class Zarr(Source):
    def __init__(self, array: Any) -> None:
        self.array = located(array)
        self.name = str(self.array.store_path)
        self.shape, self.stored = tuple(array.shape), np.dtype(array.dtype)
        self.dtype = native(self.stored)
        self.chunks = tuple(array.shards or array.chunks)
        check_there(self.array)
        self.files = ChunkFiles.of(self.array)

    def __reduce__(self) -> tuple[Any, ...]:
        return Zarr, (self.array,)

    def read(self, region: Region) -> Array:
        if self.files is not None:
            return put_together(region, self.files.chunks, self.dtype, self.array.fill_value, self.files.chunk)
        values = np.ascontiguousarray(self.array[region], self.dtype).reshape([s.stop - s.start for s in region])
        check_there(self.array)
        return values

    def write(self, region: Region, values: Any) -> None:
        check_there(self.array)
        self.array[region] = values


def located(array: Any) -> Any:
    """The array, with an absolute path to its store: it may be read when the current directory is another one."""
    store = absolute(array.store_path.store)
    if store is array.store_path.store:
        return array
    inner, array = copy.copy(array._async_array), copy.copy(array)
    object.__setattr__(inner, "store_path", type(inner.store_path)(store, inner.store_path.path))
    object.__setattr__(array, "_async_array", inner)
    return array


def absolute(store: Any) -> Any:
    from zarr.storage import LocalStore, WrapperStore, ZipStore

    if isinstance(store, WrapperStore):
        inside = absolute(store._store)
        return store if inside is store._store else store._with_store(inside)
    place = ""
    if isinstance(store, LocalStore):
        place = "root"
    elif isinstance(store, ZipStore) and store.read_only:  # a copy of one that is being written would write it, too
        place = "path"
    if place and not getattr(store, place).is_absolute():
        store, path = copy.copy(store), getattr(store, place).absolute()
        setattr(store, place, path)
    return store


def directory_of(array: Any) -> str:
    """Where an array is, in a store that is a directory."""
    return os.path.join(str(array.store_path.store.root), *array.store_path.path.split("/"))


def check_there(array: Any) -> None:
    """For zarr what is missing has the fill value: that would be everything where a store is gone, or where its path
    leads nowhere, as it may in another process."""
    from zarr.core.sync import sync
    from zarr.storage import LocalStore

    name = METADATA[array.metadata.zarr_format]
    if isinstance(array.store_path.store, LocalStore):
        there = os.path.exists(os.path.join(directory_of(array), name))
    else:
        there = sync((array.store_path / name).exists())
    if not there:
        raise FileNotFoundError(f"there is no zarr array in {array.store_path}")


def zstd() -> Callable[..., Any]:
    """The decompressor that zarr itself uses."""
    with importing:
        from numcodecs.zstd import decompress

    found: Callable[..., Any] = decompress
    return found


def content_size(frame: bytes) -> int | None:
    """How many bytes a zstd frame says that it has, decompressed; None where it does not say (RFC 8878, 3.1.1.1)."""
    if not frame.startswith(b"\x28\xb5\x2f\xfd"):
        return None
    flags = frame[4] if len(frame) > 4 else 0
    single = flags >> 5 & 1
    length = (single, 2, 4, 8)[flags >> 6]
    begin = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(frame[begin : begin + length], "little")
    return None if not length else size + 256 if length == 2 else size


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
            if not os.path.exists(os.path.join(self.directory, METADATA[3])):
                raise
            return None
        if self.decompress is not None:
            # Into memory of ours where the frame fits it exactly: of what is shorter the rest would stay as it was.
            size = prod(self.chunks) * self.dtype.itemsize
            data = self.decompress(data, np.empty(size, np.uint8) if content_size(data) == size else None)
        return checked(data, self.dtype, self.chunks, first)
