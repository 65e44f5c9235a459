"""Modules that are imported when they are first used, so that `import allcores` stays quick.

A child that is forked while another thread is within an import inherits the lock of that module, which nobody will
release: importing it there waits for ever. So a fork waits for our imports to end.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import cache

# Held by whoever imports: `with importing: from . import calls`.
importing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=importing.acquire, after_in_parent=importing.release, after_in_child=importing.release)


@cache
def load_masked_arrays() -> None:
    """NumPy imports them when somebody names them, as some of its functions do."""
    with importing, suppress(ImportError):  # when the interpreter goes down nothing is imported any more
        import numpy.ma  # noqa: F401
