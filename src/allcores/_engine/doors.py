"""The fast path: compiled functions for small arrays; see ext/door.pxd. They return None for what they do not take.

Public functions try it first where all but `a`, `axis` and `keepdims` is left at its default; arguments.py turns other
calls into such ones. Here, under their public names, doors hide the builtins: no code but this is to live here.
"""

from __future__ import annotations

from typing import Any

from .. import _kernels


def closed(*args: Any) -> None:
    """The door of a backend that has none."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    door = getattr(_kernels.load(_kernels.DEFAULT), f"small_{name}", closed)
    globals()[name] = door
    return door
