"""zarr arrays: read chunk by chunk, or shard by shard, each decompressed by the worker that needs it."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .._engine.imports import importing
from .._engine.sources import Mark, Region, Source, check_same, mark_of
from .._engine.view import Array, native
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
    """An array of zarr's. `metadata` are those that it was opened with: zarr changes its object when it is resized."""

    def __init__(self, array: Any, metadata: Any = None, mark: Mark | None = None) -> None:
        self.array = located(array)
        self.name = str(self.array.store_path)
        self.metadata = self.array.metadata if metadata is None else metadata
        self.shape, self.stored = tuple(self.metadata.shape), np.dtype(array.dtype)
        self.dtype = native(self.stored)
        self.chunks = tuple(array.shards or array.chunks)
        self.file = file_of(self.array.store_path.store)
        self.mark = mark
        if self.file is not None:
            path, number = self.file
            self.mark = mark_of(number) if mark is None else mark
            check_same(path, number, self.mark)
        self._looked_at = b""
        self.check_there()
        self.files = ChunkFiles.of(self.array)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is not None and self.mark is not None:
            check_same(self.file[0], self.file[0], self.mark)
        self.check_there()
        return Zarr, (self.array, self.metadata, self.mark)

    def check_there(self) -> None:
        """Whether the array that was opened is there. For zarr what is missing has the fill value: that would be
        everything where a store is gone, or where its path leads nowhere, as it may in another process; and chunks of
        another array are those of this one."""
        there = stored_metadata(self.array)
        if there is None:
            raise FileNotFoundError(f"there is no zarr array in {self.name}")
        if there != self._looked_at and not has_what(self.metadata, there):
            raise OSError(f"another zarr array is in {self.name} now than the one that was opened, or it has shrunk")
        self._looked_at = there

    # What is right after chunks were read was right before.

    def read(self, region: Region) -> Array:
        try:
            if self.files is None:
                values = np.ascontiguousarray(self.array[region], self.dtype).reshape(
                    [s.stop - s.start for s in region]
                )
            else:
                values = put_together(region, self.files.chunks, self.dtype, self.array.fill_value, self.files.chunk)
        except Exception:
            self.check_there()  # says more than what is wrong with another array's chunks
            raise
        self.check_there()
        return values

    def write(self, region: Region, values: Any) -> None:
        self.check_there()
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
    from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

    if isinstance(store, WrapperStore):
        inside = absolute(store._store)
        return store if inside is store._store else store._with_store(inside)
    place = ""
    if isinstance(store, LocalStore):
        place = "root"
    elif isinstance(store, ZipStore):
        # A copy of one that is being written would write it, too.
        place = "path" if store.read_only else ""
    elif isinstance(store, FsspecStore) and getattr(getattr(store.fs, "sync_fs", None), "local_file", False):
        place = "path"
    if place and not os.path.isabs(getattr(store, place)):
        store, path = copy.copy(store), getattr(store, place)
        setattr(store, place, type(path)(os.path.abspath(path)))
    return store


def directory_of(array: Any) -> str:
    """Where an array is, in a store that is a directory."""
    return os.path.join(str(array.store_path.store.root), *array.store_path.path.split("/"))


def file_of(store: Any) -> tuple[str, int] | None:
    """The path and the descriptor of a store that is one file, read from where it is open."""
    from zarr.storage import WrapperStore, ZipStore

    if isinstance(store, WrapperStore):
        return file_of(store._store)
    if isinstance(store, ZipStore) and store.read_only and store._is_open:
        zipped: Any = store._zf.fp
        return str(store.path), zipped.fileno()
    return None


def stored_metadata(array: Any) -> bytes | None:
    """The metadata of an array as they are in its store now; None where there are none."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync
    from zarr.storage import LocalStore

    name = METADATA[array.metadata.zarr_format]
    if isinstance(array.store_path.store, LocalStore):
        try:
            with open(os.path.join(directory_of(array), name), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
    found = sync((array.store_path / name).get(default_buffer_prototype()))
    return None if found is None else bytes(found.to_bytes())


def has_what(opened: Any, stored: bytes) -> bool:
    """Whether stored metadata are of the array that was opened; it may have grown since, and have other attributes."""
    try:
        there = type(opened).from_dict(json.loads(stored))
    except Exception:  # of a group, or damaged
        return False
    one, other = (meaning(metadata) for metadata in (opened, there))
    return one == other and len(opened.shape) == len(there.shape) and all(map(int.__le__, opened.shape, there.shape))


def meaning(metadata: Any) -> str:
    """What chunks mean. Pickled metadata have become dictionaries and metadata again, which for some codecs within
    shards is not the same as before: so have these."""
    given = type(metadata).from_dict(metadata.to_dict()).to_dict()
    for name in ("shape", "attributes", "dimension_names"):
        given.pop(name, None)
    return json.dumps(given, sort_keys=True, default=str)


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
            return None
        if self.decompress is not None:
            # Into memory of ours where the frame fits it exactly: of what is shorter the rest would stay as it was.
            size = prod(self.chunks) * self.dtype.itemsize
            data = self.decompress(data, np.empty(size, np.uint8) if content_size(data) == size else None)
        return checked(data, self.dtype, self.chunks, first)
