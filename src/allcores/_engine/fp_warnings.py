"""Floating-point warnings: from flags of any thread to what NumPy would say under the caller's `np.errstate`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

DIVIDE, OVER, UNDER, INVALID = 1, 2, 4, 8

# For each flag its bit, as NumPy numbers them, its name in np.geterr(), its text, and an operation that raises it.
KINDS: tuple[tuple[int, str, str, Callable[[], Any]], ...] = (
    (DIVIDE, "divide", "divide by zero", lambda: np.true_divide(np.ones(1), np.zeros(1))),
    (OVER, "over", "overflow", lambda: np.add.reduce(np.array([1.7e308, 1.7e308]))),
    (UNDER, "under", "underflow", lambda: np.multiply.reduce(np.array([1e-300, 1e-300]))),
    (INVALID, "invalid", "invalid value", lambda: np.add.reduce(np.array([np.inf, -np.inf]))),
)


def warn_caller(message: str) -> None:
    """A RuntimeWarning that points at the code outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("allcores"):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, RuntimeWarning, stacklevel=level)


def warn_of(status: int) -> None:
    """Warn of the flags that were raised; where the caller asked for something else than a warning, let NumPy do it."""
    wanted: dict[str, str] = dict(np.geterr())  # type: ignore[arg-type]
    for bit, name, text, happen in KINDS:
        if not status & bit or wanted[name] == "ignore":
            continue
        if wanted[name] == "warn":
            warn_caller(f"{text} encountered in reduce")
        else:
            happen()
