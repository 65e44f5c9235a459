"""NumPy's CPU-bound calls, and your own functions, on all the cores of a machine."""

__version__ = "0.1.0"

from sys import modules as _modules

from . import fallback, quantiles, reductions, scans, selection, sorting, windows
from ._engine.settings import get_memory_budget, get_workers, set_memory_budget, set_workers
from .background import submit
from .blocks import apply_along_axis, map_blocks, map_overlap, reduction
from .config import show_config
from .executor import set_executor
from .futures.shared import share, shared_empty
from .quantiles import *
from .reductions import *
from .scans import *
from .selection import *
from .sorting import *
from .sources import Source, open, register_source
from .windows import *

__all__ = [
    "Source",
    "apply_along_axis",
    "fallback",
    "get_memory_budget",
    "get_workers",
    "map_blocks",
    "map_overlap",
    "open",
    "reduction",
    "register_source",
    "set_executor",
    "set_memory_budget",
    "set_workers",
    "share",
    "shared_empty",
    "show_config",
    "submit",
]
__all__ += quantiles.__all__
__all__ += reductions.__all__
__all__ += scans.__all__
__all__ += selection.__all__
__all__ += sorting.__all__
__all__ += windows.__all__

if hasattr(_modules.get("threadpoolctl"), "register"):
    from . import threadpool as threadpool
