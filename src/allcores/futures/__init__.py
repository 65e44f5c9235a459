"""Process pools, and arrays that processes share: mirrors `concurrent.futures`.

Nothing here is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._engine.imports import importing
from .shared import share, shared_empty

if TYPE_CHECKING:
    from .process import BrokenProcessPool, ProcessPoolExecutor

__all__ = ["BrokenProcessPool", "ProcessPoolExecutor", "share", "shared_empty"]


if not TYPE_CHECKING:  # or every name would be there

    def __getattr__(name: str) -> Any:
        if name in ("BrokenProcessPool", "ProcessPoolExecutor"):
            with importing:
                from . import process

            return getattr(process, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
