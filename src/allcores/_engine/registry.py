"""What there is: one row a kernel, one row a public function. Every other list in the project derives from these.

KERNELS are what `execute.run` calls, by name, one table for each way to call them: REDUCTIONS give partials, which are
folded; WINDOWS and SCANS write their results in place; SELECTIONS and SORTS are the passes of plans.

FUNCTIONS are what users call: where each is public, what it is elsewhere, and what is asked of it in tests, benchmarks
and documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


BITS = "the same bits"


@dataclass(frozen=True, slots=True)
class Kernel:
    """What all kernels have.

    `cells` are the dtypes that are compiled, as NumPy's characters: what they promise never to leave to NumPy.
    """

    name: str
    ns: float  # an element of float64, beyond the caches, on one core: decides from where a team pays
    cells: str = REALS
    promise: str = field(
        default=BITS, kw_only=True
    )  # of the fallback against the compiled kernel, and of any of them against itself


# ---- kernels whose results are folded


@dataclass(frozen=True, slots=True)
class ReduceKernel(Kernel):
    """`fields` are what a partial holds: "T" is the dtype of the elements, "A" their accumulator (float64, or 64-bit
    integers where the result is an integer), "R" what its rounding has lost (nothing, in integers)."""

    fields: tuple[str, ...] = ()
    fold: Fold = folds.add
    ordered: bool = False  # elements keep their order in C, for positions
    fill: int | None = None  # the answer of a chunk that need not be looked at any more
    plain: str = ""  # the kernel for elements without NaN, where this one skips NaN

    def partial(self, dtype: np.dtype, integers: bool = False) -> tuple[Field, ...]:
        """The fields for elements of `dtype`."""
        return fields_of(self, dtype.char, integers)  # long and long long are equal, but not the same

    def cost(self, itemsize: int, fields: tuple[Field, ...]) -> float:
        """Nanoseconds an element: bound by memory, unless narrow elements are turned into float64 one by one."""
        return self.ns * max(itemsize / 8, 0.5 if fields[0].dtype.kind == "f" else 0.0)


@cache
def fields_of(row: ReduceKernel, char: str, integers: bool) -> tuple[Field, ...]:
    dtype = np.dtype(char)
    types = {"T": dtype, "A": np.dtype(np.int64 if integers else np.float64), "R": np.dtype(np.float64)}
    fields = (name for name in row.fields if not (integers and name == "R"))
    return tuple(Field(types.get(name) or np.dtype(name), row.fill) for name in fields)


REDUCTIONS = {
    row.name: row
    for row in (
        ReduceKernel("sum", 0.20, REALS, ("A", "R"), folds.total),
        ReduceKernel("prod", 0.20, REALS, ("A",), folds.multiply),
        ReduceKernel("ss", 0.20, REALS, ("A", "R"), folds.total),
        ReduceKernel("var", 0.50, REALS, ("f8", "f8", "f8", "f8"), folds.moments),
        ReduceKernel("nansum", 0.25, FLOATS, ("A", "R"), folds.total, plain="sum"),
        ReduceKernel("nanprod", 0.25, FLOATS, ("A",), folds.multiply, plain="prod"),
        ReduceKernel("nanmean", 0.30, FLOATS, ("A", "R", "i8"), folds.total, plain="sum"),
        ReduceKernel("nanvar", 0.60, REALS, ("f8", "f8", "f8", "f8"), folds.moments, plain="var"),
        ReduceKernel("min", 0.25, REALS, ("T",), folds.minimum),
        ReduceKernel("max", 0.25, REALS, ("T",), folds.maximum),
        ReduceKernel("ptp", 0.30, INTEGERS + FLOATS, ("T", "T"), folds.extent),
        ReduceKernel("nanmin", 0.25, FLOATS, ("T",), folds.nanminimum, plain="min"),
        ReduceKernel("nanmax", 0.25, FLOATS, ("T",), folds.nanmaximum, plain="max"),
        ReduceKernel("argmin", 0.25, REALS, ("T", "i8"), folds.first_minimum, ordered=True),
        ReduceKernel("argmax", 0.25, REALS, ("T", "i8"), folds.first_maximum, ordered=True),
        ReduceKernel("nanargmin", 0.25, FLOATS, ("T", "i8"), folds.first_nanminimum, ordered=True, plain="argmin"),
        ReduceKernel("nanargmax", 0.25, FLOATS, ("T", "i8"), folds.first_nanmaximum, ordered=True, plain="argmax"),
        ReduceKernel("any", 0.20, REALS, ("u1",), folds.either, fill=0),
        ReduceKernel("all", 0.20, REALS, ("u1",), folds.both, fill=1),
        ReduceKernel("anynan", 0.20, FLOATS, ("u1",), folds.either, fill=0),
        ReduceKernel("allnan", 0.20, FLOATS, ("u1",), folds.both, fill=1),
        ReduceKernel("count_nonzero", 0.20, REALS, ("i8",), folds.add),
        ReduceKernel("nancount", 0.20, FLOATS, ("i8",), folds.add),
    )
}


# ---- kernels that write their results in place


@dataclass(frozen=True, slots=True)
class WindowKernel(Kernel):
    inputs: int = 1
    parameters: tuple[str, ...] = ()  # after window, offset and min_count
    counts: bool = False  # results are counts or positions, up to the window
    incomplete: bool = False  # windows of fewer elements have a result, too, unless min_count says otherwise


WINDOWS = {
    row.name: row
    for row in (
        WindowKernel("move_sum", 0.8),
        WindowKernel("move_mean", 0.9),
        WindowKernel("move_std", 1.7, parameters=("ddof",)),
        WindowKernel("move_var", 1.4, parameters=("ddof",)),
        WindowKernel("move_min", 0.9),
        WindowKernel("move_max", 0.9),
        WindowKernel("move_argmin", 3.0, counts=True),
        WindowKernel("move_argmax", 3.0, counts=True),
        WindowKernel("move_count", 1.6, counts=True, incomplete=True),
        WindowKernel("move_prod", 0.8),
        WindowKernel("move_skew", 3.5),
        WindowKernel("move_kurt", 4.5),
        WindowKernel("move_cov", 3.0, inputs=2, parameters=("ddof",)),
        WindowKernel("move_corr", 4.5, inputs=2),
        WindowKernel("move_median", 8.0),
        WindowKernel("move_quantile", 8.0, parameters=("q", "method")),
        WindowKernel("move_rank", 12.0),
    )
}


@dataclass(frozen=True, slots=True)
class ScanKernel(Kernel):
    inputs: int = 1
    fields: int = 0  # of what is known of all elements before; none where that is nothing but a position
    counts: bool = False  # results are counts, up to the length of a series
    decays: bool = False  # sums of elements that decay: four at a time where alpha is one number


SCANS = {
    row.name: row
    for row in (
        ScanKernel("push", 0.8, cells=FLOATS),
        ScanKernel("replace", 0.5),
        ScanKernel("move_exp_nancount", 1.1, fields=1, counts=True, decays=True),
        ScanKernel("move_exp_nansum", 1.2, fields=2, decays=True),
        ScanKernel("move_exp_nanmean", 1.2, fields=2, decays=True),
        ScanKernel("move_exp_nanvar", 1.8, fields=4),
        ScanKernel("move_exp_nanstd", 2.2, fields=4),
        ScanKernel("move_exp_nancov", 2.5, inputs=2, fields=5),
        ScanKernel("move_exp_nancorr", 3.5, inputs=2, fields=6),
    )
}


# ---- passes of plans


SELECTIONS = {
    row.name: row
    for row in (
        Kernel("divide", 4.0),
        Kernel("gather", 0.6),
        Kernel("pick", 2.0),
        Kernel("scatter", 3.0),
        Kernel("selection_pass", 0.8),
    )
}


SORTS = {
    row.name: row
    for row in (
        # Whole lines.
        Kernel("sort", 6.0),
        Kernel("sort_lines", 3.0, cells="fdiIqQ"),
        Kernel("argsort", 9.0),
        Kernel("rankdata", 12.0),
        # Passes over a long one.
        Kernel("in_order", 0.5),
        Kernel("tally", 0.8, cells="?" + INTEGERS),
        Kernel("refill", 0.4, cells="?" + INTEGERS),
        Kernel("spread", 2.5),
        Kernel("gather_sort", 4.0),
        Kernel("count_classes", 0.3, cells="fdiIqQ"),
        Kernel("to_classes", 0.5, cells="fdiIqQ"),
        Kernel("sort_classes", 3.0, cells="fdiIqQ"),
        Kernel("gather_argsort", 6.0),
        Kernel("gather_rank", 8.0),
        Kernel("gather_distinct", 5.0),
        Kernel("gather_first", 7.0),
        # What is done with the result.
        Kernel("pack", 0.5),
        Kernel("take", 2.0),
        Kernel("searchsorted", 8.0),
    )
}


KERNELS: dict[str, Kernel] = {**REDUCTIONS, **WINDOWS, **SCANS, **SELECTIONS, **SORTS}


# ---- public functions


@dataclass(frozen=True, slots=True)
class Function:
    """A public function of arrays.

    `inputs` is what tests and benchmarks give it, as an expression in `x` and `y`, arrays of one shape, and `sorted_x`,
    which has one axis; `needs` are the other arguments without a default, with values for an axis of a few elements.
    """

    name: str
    module: str
    section: str  # of the reference
    kernel: str  # that does most of the work
    elsewhere: tuple[str, ...] = ()  # who has it under this name, with these arguments; the first one is the oracle
    inputs: str = "x"
    needs: tuple[tuple[str, Any], ...] = ()
    content: str = "values"  # of a benchmark's arrays: see bench/cases.py
    skips_nan: bool = False
    positions: bool = False  # its results are positions of elements
    root: bool = False  # the square root of another one's results
    percent: bool = False  # its q are hundredths
    along: bool = True  # computes along an axis
    executor: bool = False  # takes executor=
    lazy: bool = False  # takes what is not in memory, and reads it piece by piece

    @property
    def equivalent(self) -> str:
        """What it is elsewhere, such as "numpy.nanmean"; nothing where it is our own."""
        return f"{self.elsewhere[0]}.{self.name}" if self.elsewhere else ""

    def call(self, namespace: str, more: str = "", **values: Any) -> str:
        """The call as users write it, with `values` instead of the needs of those names, and `more` at its end."""
        needs = [f"{name}={values.get(name, value)!r}" for name, value in self.needs]
        return f"{namespace}.{self.name}({', '.join([self.inputs, *needs])}{more})"


def reduction(name: str, kernel: str, *elsewhere: str, **more: Any) -> Function:
    return Function(name, "reductions", "Reductions", kernel, elsewhere, executor=True, lazy=True, **more)


def without_nan(name: str, kernel: str, *elsewhere: str, content: str = "gaps", **more: Any) -> Function:
    more.setdefault("skips_nan", True)
    return Function(
        *(name, "reductions", "NaN left out, or looked for", kernel, elsewhere),
        content=content,
        executor=True,
        lazy=True,
        **more,
    )


def quantile(name: str, *elsewhere: str, **more: Any) -> Function:
    content = "gaps" if name.startswith("nan") else "values"
    return Function(
        *(name, "quantiles", "Order statistics", "selection_pass", ("numpy", *elsewhere)),
        content=content,
        executor=True,
        lazy=True,
        **more,
    )


def partition(name: str, *elsewhere: str, **more: Any) -> Function:
    return Function(name, "selection", "Order statistics", "divide", elsewhere, **more)


def sorting(name: str, kernel: str, *elsewhere: str, **more: Any) -> Function:
    return Function(name, "sorting", "Sorting and searching", kernel, elsewhere, **more)


def window(name: str, *elsewhere: str, needs: tuple[tuple[str, Any], ...] = (), root: bool = False) -> Function:
    inputs = ", ".join("xy"[: WINDOWS[name].inputs])
    return Function(
        *(name, "windows", "Moving windows", name, elsewhere, inputs), needs=(("window", 5), *needs), root=root
    )


def exponential(name: str, root: bool = False) -> Function:
    inputs = ", ".join("xy"[: SCANS[name].inputs])
    return Function(
        *(name, "scans", "Exponential windows", name, ("numbagg",), inputs),
        needs=(("alpha", 0.5),),
        content="gaps",
        skips_nan=True,
        root=root,
    )


def gaps(name: str, kernel: str, *elsewhere: str, **more: Any) -> Function:
    return Function(name, "scans", "Gaps", kernel, elsewhere, content="gaps", **more)


FUNCTIONS = {
    row.name: row
    for row in (
        reduction("sum", "sum", "numpy"),
        reduction("prod", "prod", "numpy", content="factors"),
        reduction("mean", "sum", "numpy"),
        reduction("var", "var", "numpy"),
        reduction("std", "var", "numpy", root=True),
        reduction("min", "min", "numpy"),
        reduction("max", "max", "numpy"),
        reduction("ptp", "ptp", "numpy"),
        reduction("argmin", "argmin", "numpy", positions=True),
        reduction("argmax", "argmax", "numpy", positions=True),
        reduction("any", "any", "numpy", content="zeros"),
        reduction("all", "all", "numpy", content="ones"),
        reduction("count_nonzero", "count_nonzero", "numpy", content="sparse"),
        reduction("ss", "ss", "bottleneck"),
        without_nan("nansum", "nansum", "numpy", "bottleneck", "numbagg"),
        without_nan("nanprod", "nanprod", "numpy", content="factors_with_gaps"),
        without_nan("nanmean", "nanmean", "numpy", "bottleneck", "numbagg"),
        without_nan("nanvar", "nanvar", "numpy", "bottleneck"),
        without_nan("nanstd", "nanvar", "numpy", "bottleneck", root=True),
        without_nan("nanmin", "nanmin", "numpy", "bottleneck", "numbagg"),
        without_nan("nanmax", "nanmax", "numpy", "bottleneck", "numbagg"),
        without_nan("nanargmin", "nanargmin", "numpy", "bottleneck", "numbagg", positions=True),
        without_nan("nanargmax", "nanargmax", "numpy", "bottleneck", "numbagg", positions=True),
        without_nan("nancount", "nancount", "numbagg"),
        without_nan("anynan", "anynan", "bottleneck", "numbagg", content="values", skips_nan=False),
        without_nan("allnan", "allnan", "bottleneck", "numbagg", content="missing", skips_nan=False),
        quantile("median", "bottleneck"),
        quantile("nanmedian", "bottleneck", "numbagg", skips_nan=True),
        quantile("quantile", needs=(("q", 0.3),)),
        quantile("nanquantile", needs=(("q", 0.3),), skips_nan=True),
        quantile("percentile", needs=(("q", 30),), percent=True),
        quantile("nanpercentile", needs=(("q", 30),), percent=True, skips_nan=True),
        partition("partition", "numpy", "bottleneck", needs=(("kth", 2),)),
        partition("argpartition", "numpy", "bottleneck", needs=(("kth", 2),), positions=True),
        partition("topk", needs=(("k", 2),)),
        sorting("sort", "sort_lines", "numpy"),
        sorting("argsort", "argsort", "numpy", positions=True),
        sorting("lexsort", "argsort", "numpy", inputs="(x, y)", positions=True),
        sorting("unique", "sort", "numpy", along=False),
        sorting("unique_values", "sort", "numpy", along=False),
        sorting("unique_counts", "sort", "numpy", along=False),
        sorting("searchsorted", "searchsorted", "numpy", inputs="sorted_x, y", along=False, positions=True),
        sorting("rankdata", "rankdata", "scipy.stats", "bottleneck"),
        sorting("nanrankdata", "rankdata", "bottleneck", content="gaps", skips_nan=True),
        window("move_sum", "bottleneck", "numbagg"),
        window("move_mean", "bottleneck", "numbagg"),
        window("move_std", "bottleneck", root=True),
        window("move_var", "bottleneck"),
        window("move_min", "bottleneck"),
        window("move_max", "bottleneck"),
        window("move_argmin", "bottleneck"),
        window("move_argmax", "bottleneck"),
        window("move_median", "bottleneck"),
        window("move_quantile", needs=(("q", 0.9),)),
        window("move_rank", "bottleneck"),
        window("move_count"),
        window("move_prod"),
        window("move_skew"),
        window("move_kurt"),
        window("move_cov"),
        window("move_corr", "numbagg"),
        exponential("move_exp_nancount"),
        exponential("move_exp_nansum"),
        exponential("move_exp_nanmean"),
        exponential("move_exp_nanvar"),
        exponential("move_exp_nanstd", root=True),
        exponential("move_exp_nancov"),
        exponential("move_exp_nancorr"),
        gaps("push", "push", "bottleneck"),
        gaps("ffill", "push", "numbagg"),
        gaps("bfill", "push", "numbagg"),
        gaps(
            *("replace", "replace", "bottleneck"),
            inputs="x.copy()",
            needs=(("old", 1.0), ("new", 2.0)),
            along=False,
        ),
    )
}
