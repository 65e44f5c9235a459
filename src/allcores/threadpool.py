"""allcores in threadpoolctl: `threadpool_info` lists it, `threadpool_limits` bounds its workers.

threadpoolctl lists shared libraries that are loaded, and asks a controller about those that it knows by name. Importing
this module registers ours. `import allcores` does so too where threadpoolctl was imported before; it never imports
threadpoolctl itself.

A limit is what `set_workers` would set: the number of workers of calls in this context that do not say ``workers=``.
"""

from __future__ import annotations

import threadpoolctl

from . import __version__, _kernels
from ._engine import settings


class Controller(threadpoolctl.LibController):  # type: ignore[misc]  # threadpoolctl has no types
    """What threadpoolctl knows of allcores."""

    user_api = internal_api = "allcores"
    # The one extension that every compiled installation loads. Without any, NumPy's loops are what our threads run.
    filename_prefixes = ("cpu.",) if _kernels.built() else ("_multiarray_umath.",)
    check_symbols = ("allcores_level", "PyInit__multiarray_umath")

    def get_num_threads(self) -> int:
        return settings.workers_and_source()[0]  # what is set, since it is put back

    def set_num_threads(self, num_threads: int) -> None:
        settings.put_workers(max(1, num_threads))

    def get_version(self) -> str:
        return __version__

    def set_additional_attributes(self) -> None:
        self.backend = settings.backend()


threadpoolctl.register(Controller)
