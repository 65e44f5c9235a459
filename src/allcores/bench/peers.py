"""The packages to compare with, as far as they are installed."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from typing import Any

# The name of a contender, and the name by which statements call its module.
PEERS = {"bottleneck": "bn", "numbagg": "numbagg", "polars": "pl", "scipy": "scipy"}


@cache
def load(name: str) -> Any:
    """The module, or None. What a package warns of while it is imported is not ours to show."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module(name)
        except ImportError:
            return None


def installed() -> dict[str, str]:
    """Names and versions."""
    return {name: str(load(name).__version__) for name in PEERS if load(name) is not None}
