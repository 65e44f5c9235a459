"""Arrays of .npy and .npz files: read in blocks, in memory order, so C and Fortran order are the same to it."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from ..sources.files import read_header
from .blocks import ahead, elements
from .progress import Progress
from .statistics import NUMBERS, TIMES, Column, Description, Problem, Statistics


class Field(NamedTuple):
    """A field of a structured dtype, at any depth; or the whole array, with no path."""

    path: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def of(self, block: Any) -> Any:
        for name in self.path:
            block = block[name]
        return block


def describe_npy(path: str, progress: Progress) -> Description:
    size = os.path.getsize(path)
    with open(path, "rb", buffering=0) as stream:
        columns = describe_array("", stream, size, lambda done: progress.update(done, size))
    return Description(path, "npy", columns)


def describe_npz(path: str, progress: Progress) -> Description:
    with open(path, "rb") as file:
        try:
            columns = describe_members(file, progress)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise Problem(f"not a readable .npz file: {str(error) or 'it ends too early'}") from error
    if not columns:
        raise Problem("no arrays in it")
    return Description(path, "npz", columns)


def describe_members(file: IO[bytes], progress: Progress) -> list[Column]:
    columns: list[Column] = []
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        total, before = sum(member.file_size for member in members), 0
        for member in members:

            def report(done: int, before: int = before) -> None:
                progress.update(before + done, total)

            name = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                try:
                    columns += describe_array(name, stream, member.file_size, report)
                except Problem as problem:
                    raise Problem(f"array {name!r}: {problem}") from None
            before += member.file_size
    return columns


def describe_array(name: str, stream: IO[bytes], size: int, report: Callable[[int], None]) -> list[Column]:
    """The columns of one array in the .npy format, of which there are `size` bytes."""
    try:
        shape, _, dtype = read_header(stream)
    except ValueError as error:
        raise Problem(error) from error
    count = math.prod(shape)
    fields = list(fields_of(dtype))
    # An array with objects in it is a pickle, and loading that would run whatever code it holds.
    kinds = "" if dtype.hasobject else NUMBERS + TIMES
    tallies = [Statistics() if field.dtype.kind in kinds else None for field in fields]
    if not dtype.hasobject:
        needed, there = count * dtype.itemsize, size - stream.tell()
        if needed > there:
            raise Problem(f"truncated: the header announces {needed:,} bytes of data, {there:,} are there")
    if count and any(tally is not None for tally in tallies):
        done = 0
        for block in ahead(elements(stream, dtype, count)):
            for field, tally in zip(fields, tallies, strict=True):
                if tally is not None:
                    tally.add(field.of(block))
            done += block.nbytes
            report(done)
    columns = []
    for field, tally in zip(fields, tallies, strict=True):
        title = ".".join((name, *field.path) if name else field.path)
        whole = (*shape, *field.shape)
        if tally is None:
            columns.append(Column(title, str(field.dtype), whole, count=math.prod(whole)))
        else:
            columns.append(tally.report(field.dtype, name=title, shape=whole))
    return columns


def fields_of(dtype: np.dtype[Any]) -> Iterator[Field]:
    """The fields of a structured dtype, those of nested ones too; a plain dtype is one field."""
    base, inner = dtype.subdtype or (dtype, ())
    if base.names is None:
        yield Field((), base, inner)
    for name in base.names or ():
        for field in fields_of(base[name]):
            yield Field((name, *field.path), field.dtype, inner + field.shape)
