"""The compiled short way for small contiguous arrays; see ext/door.pxd. It returns None for what it does not take."""

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
