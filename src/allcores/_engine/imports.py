"""Modules that are imported when they are first used, so that `import allcores` stays quick.

A child that is forked while another thread is within an import inherits the lock of that module, which nobody will
release: importing it there waits for ever. So a fork waits for our imports to end.

A fork takes the locks of those who registered last first. What is imported may need a lock of logging or of thread
pools, so they are registered before us. A library that is imported later (h5py has such a lock) may hold a fork up in
the middle of its own first import, and the import waits for the fork: so the fork waits for a limited time.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401
import logging  # noqa: F401
import os
import threading
from contextlib import suppress
from functools import cache

# Held by whoever imports: `with importing: from . import calls`.
importing = threading.RLock()


_PATIENCE = 5.0  # seconds


def _before_fork() -> None:
    importing.acquire(timeout=_PATIENCE)


def _after_fork() -> None:
    with suppress(RuntimeError):  # another thread has it still
        importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


@cache
def load_masked_arrays() -> None:
    """NumPy imports them when somebody names them, as some of its functions do."""
    with importing, suppress(ImportError):  # when the interpreter goes down nothing is imported any more
        import numpy.ma  # noqa: F401
