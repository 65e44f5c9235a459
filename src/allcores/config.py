"""What is installed and what is used."""

from __future__ import annotations

import platform
from typing import Any, Literal, overload

import numpy as np

from . import _kernels
from ._engine import settings


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the backend, the levels and the number of workers, and where each comes from.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print, or return a dictionary, as `numpy.show_config` does.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: version, backend and why it was chosen, the levels built and those that run here, the
        number of workers and its source, and the versions of Python and NumPy.

    Raises
    ------
    AttributeError
        If `mode` is neither of the two, as NumPy does.

    Examples
    --------
    >>> import allcores as ac
    >>> sorted(ac.show_config(mode="dicts"))
    ['allcores', 'backend', 'numpy', 'python', 'workers']
    """
    from . import __version__

    if mode not in ("stdout", "dicts"):
        raise AttributeError(f"Invalid `mode`, use one of: stdout, dicts (got {mode!r})")
    workers, source = settings.workers_and_source()
    backend = settings.backend()
    reason = _kernels.REASON if backend == _kernels.DEFAULT else "chosen in this context"
    config: dict[str, Any] = {
        "allcores": __version__,
        "backend": {
            "name": backend,
            "reason": reason,
            "built": list(_kernels.built()),
            "available": list(_kernels.available()),
        },
        "workers": {"number": workers, "source": source, "affinity": settings.affinity(), "quota": settings.quota()},
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if mode == "dicts":
        return config
    print(f"allcores {__version__} (Python {config['python']}, NumPy {config['numpy']})")
    print(f"  backend  {backend}: {reason}")
    print(f"  levels   built: {', '.join(_kernels.built()) or 'none'}; run here: {', '.join(_kernels.available())}")
    quota = "no quota" if settings.quota() is None else f"quota {settings.quota():g}"
    print(f"  workers  {workers}: {source} ({settings.affinity()} CPUs, {quota})")
    return None
