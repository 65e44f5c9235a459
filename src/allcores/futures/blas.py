"""Threads of the linear algebra and OpenMP libraries in this process.

The variables of the environment hold for what will be loaded; what is loaded is told so. NumPy is: a worker can't be
started without it.
"""

from __future__ import annotations

import ctypes
import os
import sys

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

# A part of a library's file name, and the names of its getter and setter.
OPENBLAS = [
    (f"{prefix}openblas_get_num_threads{suffix}", f"{prefix}openblas_set_num_threads{suffix}")
    for prefix in ("", "scipy_")
    for suffix in ("", "64_", "_64")
]
OPENMP = [("omp_get_max_threads", "omp_set_num_threads")]
LIBRARIES = (
    ("openblas", OPENBLAS),
    ("mkl_rt", [("MKL_Get_Max_Threads", "MKL_Set_Num_Threads")]),
    ("blis", [("bli_thread_get_num_threads", "bli_thread_set_num_threads")]),
    ("libgomp", OPENMP),
    ("libomp", OPENMP),
    ("libiomp", OPENMP),
)


def limit(threads: int) -> None:
    """Let each library use at most so many threads. What the user has set lower stays."""
    for name in VARIABLES:
        value = os.environ.get(name, "")
        if not (value.isdecimal() and int(value) <= threads):
            os.environ[name] = str(threads)
    for path in _loaded():
        for part, functions in LIBRARIES:
            if part in os.path.basename(path):
                _lower(path, functions, threads)


def _loaded() -> list[str]:
    """Paths of the shared libraries in this process, where the system tells."""
    if sys.platform != "linux":
        return []
    try:
        with open("/proc/self/maps", errors="replace") as file:
            return sorted({line.split(maxsplit=5)[5].strip() for line in file if "/" in line and ".so" in line})
    except OSError:  # no /proc
        return []


def _lower(path: str, functions: list[tuple[str, str]], threads: int) -> None:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return
    for get, change in functions:
        getter, setter = getattr(library, get, None), getattr(library, change, None)
        if getter is not None and setter is not None:
            setter.restype = None
            if getter() > threads:
                setter(ctypes.c_int(threads))
            return
