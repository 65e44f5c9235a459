"""Every function in pure Python over NumPy: ``ac.fallback.nansum(x)`` gives the same bits as ``ac.nansum(x)``, slower.

For comparison at any time, and to read: the kernels in ``allcores/_kernels/fallback`` are the definition.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._engine import settings
from ._engine.registry import FUNCTIONS

if TYPE_CHECKING:
    from .quantiles import *  # noqa: F403
    from .reductions import *  # noqa: F403
    from .scans import *  # noqa: F403
    from .selection import *  # noqa: F403
    from .sorting import *  # noqa: F403
    from .windows import *  # noqa: F403


def _on_fallback(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with settings.use_backend("fallback"):
            return function(*args, **kwargs)

    return call


__all__: list[str] = [*FUNCTIONS]


if not TYPE_CHECKING:  # or every name would be there

    def __getattr__(name: str) -> Callable[..., Any]:
        row = FUNCTIONS.get(name)
        if row is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        call = _on_fallback(getattr(import_module(f"{__package__}.{row.module}"), name))
        globals()[name] = call
        return call


def __dir__() -> list[str]:
    return sorted(__all__)
