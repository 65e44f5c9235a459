"""KERNELS: one row a kernel. Tests, benchmarks and documentation iterate it.

`cells` are the dtypes that are compiled, as NumPy's characters: what they promise never to leave to NumPy. `fields` are
what a partial holds: "T" is the dtype of the elements, "A" their accumulator (float64, or 64-bit integers where the
result is an integer), "R" what its rounding has lost (nothing, in integers). `fill` is the answer of a chunk that need
not be looked at any more.

WINDOWS: the same for kernels of moving windows, which write their results in place. SCANS: for those of what depends on
all elements before; `fields` is the number of what they know of a series, 0 where that is nothing but a position.
SELECTIONS: for those of order statistics. SORTS: for those of sorting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .._kernels import folds
from .._kernels.common import Fold

INTEGERS = "bhilqBHILQ"
FLOATS = "fd"
REALS = "?" + INTEGERS + FLOATS


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a partial: its dtype, and the value where nobody has written."""

    dtype: np.dtype[Any]
    fill: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cells: str
    fields: tuple[str, ...]
    fold: Fold
    promise: str  # of the fallback against the compiled kernel, and of any of them against itself
    ns: float  # an element of float64, beyond the caches, on one core: decides from where a team pays
    ordered: bool = False  # elements keep their order in C, for positions
    fill: int | None = None

    def partial(self, dtype: np.dtype, integers: bool = False) -> tuple[Field, ...]:
        """The fields for elements of `dtype`."""
        return fields_of(self, dtype.char, integers)  # long and long long are equal, but not the same

    def cost(self, itemsize: int, fields: tuple[Field, ...]) -> float:
        """Nanoseconds an element: bound by memory, unless narrow elements are turned into float64 one by one."""
        return self.ns * max(itemsize / 8, 0.5 if fields[0].dtype.kind == "f" else 0.0)


@cache
def fields_of(row: Row, char: str, integers: bool) -> tuple[Field, ...]:
    dtype = np.dtype(char)
    types = {"T": dtype, "A": np.dtype(np.int64 if integers else np.float64), "R": np.dtype(np.float64)}
    fields = (field for field in row.fields if not (integers and field == "R"))
    return tuple(Field(types.get(field) or np.dtype(field), row.fill) for field in fields)


BITS = "the same bits"

KERNELS = {
    row.name: row
    for row in (
        Row("sum", REALS, ("A", "R"), folds.total, BITS, 0.20),
        Row("prod", REALS, ("A",), folds.multiply, BITS, 0.20),
        Row("ss", REALS, ("A", "R"), folds.total, BITS, 0.20),
        Row("var", REALS, ("f8", "f8", "f8", "f8"), folds.moments, BITS, 0.50),
        Row("nansum", FLOATS, ("A", "R"), folds.total, BITS, 0.25),
        Row("nanprod", FLOATS, ("A",), folds.multiply, BITS, 0.25),
        Row("nanmean", FLOATS, ("A", "R", "i8"), folds.total, BITS, 0.30),
        Row("nanvar", REALS, ("f8", "f8", "f8", "f8"), folds.moments, BITS, 0.60),
        Row("min", REALS, ("T",), folds.minimum, BITS, 0.25),
        Row("max", REALS, ("T",), folds.maximum, BITS, 0.25),
        Row("ptp", INTEGERS + FLOATS, ("T", "T"), folds.extent, BITS, 0.30),
        Row("nanmin", FLOATS, ("T",), folds.nanminimum, BITS, 0.25),
        Row("nanmax", FLOATS, ("T",), folds.nanmaximum, BITS, 0.25),
        Row("argmin", REALS, ("T", "i8"), folds.first_minimum, BITS, 0.25, ordered=True),
        Row("argmax", REALS, ("T", "i8"), folds.first_maximum, BITS, 0.25, ordered=True),
        Row("nanargmin", FLOATS, ("T", "i8"), folds.first_nanminimum, BITS, 0.25, ordered=True),
        Row("nanargmax", FLOATS, ("T", "i8"), folds.first_nanmaximum, BITS, 0.25, ordered=True),
        Row("any", REALS, ("u1",), folds.either, BITS, 0.20, fill=0),
        Row("all", REALS, ("u1",), folds.both, BITS, 0.20, fill=1),
        Row("anynan", FLOATS, ("u1",), folds.either, BITS, 0.20, fill=0),
        Row("allnan", FLOATS, ("u1",), folds.both, BITS, 0.20, fill=1),
        Row("count_nonzero", REALS, ("i8",), folds.add, BITS, 0.20),
        Row("nancount", FLOATS, ("i8",), folds.add, BITS, 0.20),
    )
}


@dataclass(frozen=True, slots=True)
class WindowRow:
    name: str
    ns: float  # an element of float64, on one core
    inputs: int = 1
    parameters: tuple[str, ...] = ()  # after window, offset and min_count
    counts: bool = False  # results are counts or positions, up to the window
    cells: str = REALS
    promise: str = BITS


WINDOWS = {
    row.name: row
    for row in (
        WindowRow("move_sum", 0.8),
        WindowRow("move_mean", 0.9),
        WindowRow("move_std", 1.7, parameters=("ddof",)),
        WindowRow("move_var", 1.4, parameters=("ddof",)),
        WindowRow("move_min", 0.9),
        WindowRow("move_max", 0.9),
        WindowRow("move_argmin", 3.0, counts=True),
        WindowRow("move_argmax", 3.0, counts=True),
        WindowRow("move_count", 1.6, counts=True),
        WindowRow("move_prod", 0.8),
        WindowRow("move_skew", 3.5),
        WindowRow("move_kurt", 4.5),
        WindowRow("move_cov", 3.0, inputs=2, parameters=("ddof",)),
        WindowRow("move_corr", 4.5, inputs=2),
        WindowRow("move_median", 8.0),
        WindowRow("move_quantile", 8.0, parameters=("q", "method")),
        WindowRow("move_rank", 12.0),
    )
}


@dataclass(frozen=True, slots=True)
class ScanRow:
    name: str
    ns: float  # an element of float64, on one core
    inputs: int = 1
    fields: int = 0
    counts: bool = False  # results are counts, up to the length of a series
    decays: bool = False  # sums of elements that decay: four at a time where alpha is one number
    cells: str = REALS
    promise: str = BITS


SCANS = {
    row.name: row
    for row in (
        ScanRow("push", 0.8, cells=FLOATS),
        ScanRow("replace", 0.5),
        ScanRow("move_exp_nancount", 1.1, fields=1, counts=True, decays=True),
        ScanRow("move_exp_nansum", 1.2, fields=2, decays=True),
        ScanRow("move_exp_nanmean", 1.2, fields=2, decays=True),
        ScanRow("move_exp_nanvar", 1.8, fields=4),
        ScanRow("move_exp_nanstd", 2.2, fields=4),
        ScanRow("move_exp_nancov", 2.5, inputs=2, fields=5),
        ScanRow("move_exp_nancorr", 3.5, inputs=2, fields=6),
    )
}


@dataclass(frozen=True, slots=True)
class SelectionRow:
    name: str
    ns: float  # an element of float64, on one core
    cells: str = REALS
    promise: str = BITS


SELECTIONS = {
    row.name: row
    for row in (
        SelectionRow("divide", 4.0),
        SelectionRow("gather", 0.6),
        SelectionRow("pick", 2.0),
        SelectionRow("scatter", 3.0),
        SelectionRow("selection_pass", 0.8),
    )
}


@dataclass(frozen=True, slots=True)
class SortRow:
    name: str
    ns: float  # an element of float64, on one core
    cells: str = REALS
    promise: str = BITS


SORTS = {
    row.name: row
    for row in (
        # Whole lines.
        SortRow("sort", 6.0),
        SortRow("sort_lines", 3.0, cells="fdiIqQ"),
        SortRow("argsort", 9.0),
        SortRow("rankdata", 12.0),
        # Passes over a long one.
        SortRow("in_order", 0.5),
        SortRow("tally", 0.8, cells="?" + INTEGERS),
        SortRow("refill", 0.4, cells="?" + INTEGERS),
        SortRow("spread", 2.5),
        SortRow("gather_sort", 4.0),
        SortRow("count_classes", 0.3, cells="fdiIqQ"),
        SortRow("to_classes", 0.5, cells="fdiIqQ"),
        SortRow("sort_classes", 3.0, cells="fdiIqQ"),
        SortRow("gather_argsort", 6.0),
        SortRow("gather_rank", 8.0),
        SortRow("gather_distinct", 5.0),
        SortRow("gather_first", 7.0),
        # What is done with the result.
        SortRow("pack", 0.5),
        SortRow("take", 2.0),
        SortRow("searchsorted", 8.0),
    )
}
