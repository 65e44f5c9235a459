"""What files have in common: errors that name them, and the header of .npy."""

from __future__ import annotations

import io
import os
import stat
import struct
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from .._engine.sources import FlatFile, Source

LONGEST_HEADER = 1 << 16  # NumPy's own limit is 10,000, which a record of 300 fields exceeds.


def read_utf8_header(stream: IO[bytes], max_header_size: int) -> Any:
    """Version 3.0, for field names beyond Latin-1, has no public reader in NumPy: it is read as version 2.0, with such
    characters as Python's escapes."""
    (length,) = struct.unpack("<I", stream.read(4))
    if length > max_header_size:
        raise ValueError("header too long")
    header = stream.read(length).decode().encode("ascii", "backslashreplace")
    return npy.read_array_header_2_0(io.BytesIO(struct.pack("<I", len(header)) + header), max_header_size)


HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
    (3, 0): read_utf8_header,
}


def named(error: OSError, path: str) -> OSError:
    """An error of the same class whose message begins with the path."""
    text = " ".join((error.strerror or str(error)).split())
    return OSError(f"{path}: {text}") if error.errno is None else OSError(error.errno, text, path)


def check_regular(path: str) -> None:
    """A directory can't be read, and a pipe would wait for who writes into it."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{path}: not a regular file")


def open_npy(path: str) -> Source:
    """The array of a .npy file."""
    check_regular(path)
    with open(path, "rb") as stream:
        try:
            shape, order, dtype = read_header(stream)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which can't be read without running code")
            offset = stream.tell()
            stream.seek(0)
            return FlatFile(path, offset, shape, dtype, order, head=stream.read(offset))
        except (ValueError, OverflowError) as error:  # a shape may be more than an array can have
            raise ValueError(f"{path}: {error}") from error


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], str, np.dtype[Any]]:
    """Shape, order ("C" or "F") and dtype of an array in the .npy format. The stream is then at the first element.

    Raises ValueError, whose message is about the header alone.
    """
    try:
        version = npy.read_magic(stream)
    except ValueError:
        raise ValueError("not in the .npy format") from None
    if version not in HEADERS:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is not known")
    try:
        shape, fortran, dtype = HEADERS[version](stream, max_header_size=LONGEST_HEADER)
    except Exception as error:
        # Whatever a parser of Python literals makes of bytes that are none.
        raise ValueError("damaged .npy header") from error
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"damaged .npy header: shape {shape}")
    return shape, "F" if fortran else "C", dtype
