"""The arrays on which each family is measured. A family that is not named here gets those of `usual`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .._engine import registry
from .cases import Case, Sizes
from .functions import FUNCTIONS

# Public modules of functions, in the registry's order.
FAMILIES = tuple(dict.fromkeys(row.module for row in registry.FUNCTIONS.values()))


def names_of(family: str) -> tuple[str, ...]:
    return tuple(name for name, row in registry.FUNCTIONS.items() if row.module == family)


def usual(family: str, sizes: Sizes) -> Iterator[Case]:
    """Two million elements, a table along both axes, what fits into the caches, and a thousand elements."""
    every = names_of(family)
    along = tuple(name for name in every if FUNCTIONS[name].along)
    yield Case("memory", "float64", sizes.series, None, every, every[:3], plotted=True)
    yield Case("memory", "float64", sizes.columns, 0, along, plotted=True)
    yield Case("memory", "float64", sizes.columns, 1, along)
    yield Case("cache", "float64", sizes.cached, None, every, every[:3])
    yield Case("small", "float64", sizes.thousand, None, every)


# ---- reductions

OF_INTEGERS = ("sum", "mean", "min", "max", "argmin", "any", "all", "count_nonzero")
OF_BOOL = ("sum", "mean", "any", "all", "count_nonzero")  # min and max of bool are done with the first False or True
OF_LAYOUTS = ("sum", "nansum", "nanvar", "nanmin")

QUICK = ("sum", "mean", "var", "max", "argmin", "any", "nansum", "nanmean", "nanvar", "nanmax", "nanargmin", "anynan")
QUICK_SHORT = ("sum", "max", "nanmean", "nanvar")


def reductions(sizes: Sizes) -> Iterator[Case]:
    every = names_of("reductions")
    for dtype in ("float64", "float32"):
        double = dtype == "float64"
        quick = QUICK if double else QUICK_SHORT
        yield Case("memory", dtype, sizes.long, None, every, quick, plotted=double)
        yield Case("memory", dtype, sizes.table, 0, every, quick if double else (), plotted=double)
        yield Case("memory", dtype, sizes.table, 1, every, quick if double else (), plotted=double)
        yield Case("cache", dtype, sizes.cached, None, every, QUICK_SHORT if double else ())
        yield Case("small", dtype, sizes.thousand, None, every, QUICK_SHORT if double else (), plotted=double)
        yield Case("small", dtype, sizes.ten, None, every)
        yield Case("small", dtype, sizes.square, 0, every)
        yield Case("small", dtype, sizes.square, 1, every)
        yield Case("layout", dtype, sizes.table[::-1], 0, OF_LAYOUTS, layout="transposed")
        yield Case("layout", dtype, sizes.table[::-1], 1, OF_LAYOUTS, layout="transposed")
        yield Case("layout", dtype, sizes.long, None, OF_LAYOUTS, layout="strided")
        yield Case("layout", dtype, sizes.table, 0, OF_LAYOUTS, layout="strided")
        yield Case("layout", dtype, sizes.table, 1, OF_LAYOUTS, layout="strided")
        yield Case("layout", dtype, sizes.short_rows, 1, OF_LAYOUTS)
        yield Case("layout", dtype, sizes.narrow, 0, OF_LAYOUTS, ("nanvar",) if double else ())
    for dtype in ("int64", "int32", "int8"):
        yield Case("integers", dtype, sizes.long, None, OF_INTEGERS, ("sum", "max") if dtype == "int32" else ())
    yield Case("integers", "bool", sizes.long, None, OF_BOOL)


# ---- moving windows

# NumPy's way is a view of all windows, which it reduces one by one, and the fallback sorts them; so arrays are not
# large. benchmarks/windows.py compares longer windows, on larger arrays, without NumPy.
SORTING = ("move_median", "move_quantile", "move_rank")
QUICK_WINDOWS = ("move_mean", "move_std", "move_max", "move_median")


def windows(sizes: Sizes) -> Iterator[Case]:
    every = names_of("windows")
    merging = tuple(name for name in every if name not in SORTING)
    yield Case("memory", "float64", sizes.series, None, merging, plotted=True)
    yield Case("memory", "float64", sizes.columns, 0, merging, plotted=True)
    for dtype in ("float64", "float32"):
        quick = QUICK_WINDOWS if dtype == "float64" else ()
        yield Case("cache", dtype, sizes.cached, None, every, quick, plotted=True)
    yield Case("small", "float64", sizes.thousand, None, every)


OWN: dict[str, Callable[[Sizes], Iterator[Case]]] = {"reductions": reductions, "windows": windows}


def cases(family: str, sizes: Sizes) -> Iterator[Case]:
    return OWN[family](sizes) if family in OWN else usual(family, sizes)
