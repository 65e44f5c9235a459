"""Which file a piece of memory is mapped from.

A mapping stays with its file, whatever becomes of the name: the file may be deleted or moved, and another one take its
name (`os.replace`, as programs do that write whole files safely). Then the name leads to other data than the mapping.
"""

from __future__ import annotations

import mmap
import os
import sys
import weakref
from functools import cache
from typing import Any, NamedTuple


class File(NamedTuple):
    """A file, whatever it is called."""

    device: int
    inode: int


# A mapping never changes its file. Where the name was another file's when it was first asked for, None.
_known: weakref.WeakKeyDictionary[mmap.mmap, File | None] = weakref.WeakKeyDictionary()


def file_and_size(mapping: mmap.mmap, begin: int, path: str | os.PathLike[str]) -> tuple[File, int] | None:
    """The file that is mapped at the address `begin`, and its size, if it is what `path` leads to. None where it is
    not, and where the system does not tell."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    file = File(status.st_dev, status.st_ino)
    if mapping not in _known:
        # In this order: a file that takes the name from now on is another one than was found.
        _known[mapping] = file if _is_mapped(begin, file, path) else None
    return (file, status.st_size) if _known[mapping] == file else None


def _is_mapped(begin: int, file: File, path: str | os.PathLike[str]) -> bool:
    if sys.platform == "win32":
        return True  # nobody can replace, move or delete a file that is mapped there
    if sys.platform == "darwin":
        return _darwin(begin) == file
    region = _linux(begin)
    if region is None:
        return False
    mapped, name = region
    if mapped.device == file.device:
        return mapped.inode == file.inode
    # Some file systems (btrfs, overlays) tell another device here. The name is followed by " (deleted)" if it is gone.
    return name == os.fsencode(os.path.realpath(path))


def _linux(address: int) -> tuple[File, bytes] | None:
    """The file that is mapped at an address, and its present name."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            for line in maps:
                begin, _, end = line.split(b" ", 1)[0].partition(b"-")
                if int(begin, 16) <= address < int(end, 16):
                    _, _, _, device, inode, *name = line.rstrip(b"\n").split(None, 5)
                    major, _, minor = device.partition(b":")
                    return File(os.makedev(int(major, 16), int(minor, 16)), int(inode)), b"".join(name)
    except OSError:
        pass  # no /proc
    return None


@cache
def _proc_pidinfo() -> Any:
    import ctypes

    function = getattr(ctypes.CDLL(None), "proc_pidinfo", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int]
    return function


def _darwin(address: int) -> File | None:
    """The file that is mapped at an address: from <sys/proc_info.h>, `struct proc_regionwithpathinfo`."""
    import ctypes
    import struct

    info = ctypes.create_string_buffer(1272)
    ask = _proc_pidinfo()
    if ask is None or ask(os.getpid(), 8, address, info, len(info)) != len(info):  # PROC_PIDREGIONPATHINFO
        return None
    device, _, _, inode = struct.unpack_from("=IHHQ", info, 96)
    return File(device, inode)
