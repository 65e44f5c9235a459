"""The backends: one namespace of kernels each. The default is chosen once, at import.

v2, v3, v4    the compiled families, built for an instruction-set level (x86-64-v2, ...); a family that gains nothing
              from a level is not built for it, and taken from the level below
base          the same for the compiler's baseline, where there are no levels
fallback      pure Python over NumPy
"""

from __future__ import annotations

import os
import platform
import warnings
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

FAMILIES = (
    "reduce",
    "extrema",
    "truth",
    "window",
    "window_order",
    "scan",
    "fill",
    "select",
    "divide",
    "sort",
    "search",
    "by_numpy",
)
LEVELS = {"base": 0, "v2": 2, "v3": 3, "v4": 4}


@cache
def built() -> tuple[str, ...]:
    """The compiled backends of this installation."""
    return tuple(level for level in LEVELS if "reduce" in families(level))


@cache
def families(level: str) -> frozenset[str]:
    """The families that were built for a level."""
    found: set[str] = set()
    for directory in __path__:  # an editable installation has two directories
        with suppress(OSError):
            found.update(name.partition(".")[0] for name in os.listdir(os.path.join(directory, level)))
    return frozenset(found)


@cache
def level() -> int:
    """The instruction-set level that this CPU and operating system allow."""
    try:
        cpu: Any = import_module("allcores._kernels.cpu")
    except ImportError:
        return 0
    found: int = cpu.level()
    return found


@cache
def available() -> tuple[str, ...]:
    """The backends that run here, the best one last, the fallback first."""
    return ("fallback", *(name for name in built() if LEVELS[name] <= level()))


def level_of(family: str, backend: str) -> str:
    """The level from which a backend takes a family: its own, or the next lower one for which the family was built."""
    at_most = [name for name in LEVELS if LEVELS[name] <= LEVELS[backend]]
    return next(name for name in reversed(at_most) if family in families(name))


@cache
def load(backend: str) -> Any:
    """The namespace of a backend's kernels."""
    if backend == "fallback":
        return import_module("allcores._kernels.fallback")
    kernels = SimpleNamespace()
    for family in FAMILIES:
        module = import_module(f"allcores._kernels.{level_of(family, backend)}.{family}")
        functions = {
            name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
        }
        vars(kernels).update(functions)
    return kernels


def choose() -> tuple[str, str]:
    """The default backend, and why."""
    forced = os.environ.get("ALLCORES_BACKEND")
    if forced:
        if forced not in available():
            raise ImportError(
                f"ALLCORES_BACKEND={forced!r} is not available here; choose one of {', '.join(available())}"
            )
        return forced, "ALLCORES_BACKEND"
    best = available()[-1]
    if best != "fallback":
        return best, "the best level that this CPU runs"
    if built():
        return best, f"this CPU runs none of the levels built ({', '.join(built())})"
    if platform.python_implementation() == "CPython":
        warnings.warn(
            "allcores was installed without its compiled kernels and runs its pure-Python fallback, which is slow; "
            "install a C compiler and reinstall, or set ALLCORES_BACKEND=fallback to silence this warning",
            RuntimeWarning,
            stacklevel=3,
        )
    return best, "no compiled kernels in this installation"


DEFAULT, REASON = choose()
load(DEFAULT)  # loaded now, because nothing can be imported when the interpreter goes down
