"""The reductions: what other packages offer for each, and the arrays on which they are measured."""

from __future__ import annotations

from collections.abc import Iterator

from .cases import Case, Function, Peer, Sizes

INTEGERS = "ilq"  # what bottleneck has compiled besides floats; the rest it leaves to NumPy
NUMBERS = "fdbhilq"


def bottleneck(statement: str, dtypes: str = "fd") -> Peer:
    return Peer("bottleneck", statement, dtypes)


def numbagg(statement: str) -> Peer:
    return Peer("numbagg", statement)


def polars(statement: str) -> Peer:
    """`s` is a Series of the same values. NaN counts there as a number, so only where there is none.

    Not for bool: a Series of bool remembers how many of its elements are true, and the second call reads nothing.
    """
    return Peer("polars", statement, NUMBERS, one_dimensional=True)


FUNCTIONS = {
    function.name: function
    for function in (
        Function("sum", "values", peers=(polars("s.sum()"), bottleneck("bn.nansum(x{axis})", INTEGERS))),
        Function("prod", "factors"),
        Function("ss", "values", "np.sum(x * x{axis})", (bottleneck("bn.ss(x{axis})"),)),
        Function("mean", "values", peers=(polars("s.mean()"), bottleneck("bn.nanmean(x{axis})", INTEGERS))),
        Function("var", "values", peers=(polars("s.var(ddof=0)"),)),
        Function("std", "values", peers=(polars("s.std(ddof=0)"),)),
        Function("min", "values", peers=(polars("s.min()"), bottleneck("bn.nanmin(x{axis})", INTEGERS))),
        Function("max", "values", peers=(polars("s.max()"), bottleneck("bn.nanmax(x{axis})", INTEGERS))),
        Function("ptp", "values"),
        Function("argmin", "values", peers=(polars("s.arg_min()"), bottleneck("bn.nanargmin(x{axis})", INTEGERS))),
        Function("argmax", "values", peers=(polars("s.arg_max()"), bottleneck("bn.nanargmax(x{axis})", INTEGERS))),
        Function("any", "zeros"),
        Function("all", "ones"),
        Function("count_nonzero", "sparse"),
        Function("nansum", "gaps", peers=(bottleneck("bn.nansum(x{axis})"), numbagg("numbagg.nansum(x{axis})"))),
        Function("nanprod", "factors_with_gaps"),
        Function("nanmean", "gaps", peers=(bottleneck("bn.nanmean(x{axis})"), numbagg("numbagg.nanmean(x{axis})"))),
        # numbagg divides by n - 1 unless told otherwise.
        Function(
            "nanvar", "gaps", peers=(bottleneck("bn.nanvar(x{axis})"), numbagg("numbagg.nanvar(x{axis}, ddof=0)"))
        ),
        Function(
            "nanstd", "gaps", peers=(bottleneck("bn.nanstd(x{axis})"), numbagg("numbagg.nanstd(x{axis}, ddof=0)"))
        ),
        Function("nanmin", "gaps", peers=(bottleneck("bn.nanmin(x{axis})"), numbagg("numbagg.nanmin(x{axis})"))),
        Function("nanmax", "gaps", peers=(bottleneck("bn.nanmax(x{axis})"), numbagg("numbagg.nanmax(x{axis})"))),
        Function(
            "nanargmin", "gaps", peers=(bottleneck("bn.nanargmin(x{axis})"), numbagg("numbagg.nanargmin(x{axis})"))
        ),
        Function(
            "nanargmax", "gaps", peers=(bottleneck("bn.nanargmax(x{axis})"), numbagg("numbagg.nanargmax(x{axis})"))
        ),
        Function("nancount", "gaps", "np.count_nonzero(~np.isnan(x){axis})", (numbagg("numbagg.nancount(x{axis})"),)),
        Function(
            "anynan",
            "values",
            "np.any(np.isnan(x){axis})",
            (bottleneck("bn.anynan(x{axis})"), numbagg("numbagg.anynan(x{axis})")),
        ),
        Function(
            "allnan",
            "missing",
            "np.all(np.isnan(x){axis})",
            (bottleneck("bn.allnan(x{axis})"), numbagg("numbagg.allnan(x{axis})")),
        ),
    )
}

EVERY = tuple(FUNCTIONS)
OF_INTEGERS = ("sum", "mean", "min", "max", "argmin", "any", "all", "count_nonzero")
OF_BOOL = ("sum", "mean", "any", "all", "count_nonzero")  # min and max of bool are done with the first False or True
OF_LAYOUTS = ("sum", "nansum", "nanvar", "nanmin")

QUICK = ("sum", "mean", "var", "max", "argmin", "any", "nansum", "nanmean", "nanvar", "nanmax", "nanargmin", "anynan")
QUICK_SHORT = ("sum", "max", "nanmean", "nanvar")


def cases(sizes: Sizes) -> Iterator[Case]:
    for dtype in ("float64", "float32"):
        double = dtype == "float64"
        quick = QUICK if double else QUICK_SHORT
        yield Case("memory", dtype, sizes.long, None, EVERY, quick, plotted=double)
        yield Case("memory", dtype, sizes.table, 0, EVERY, quick if double else (), plotted=double)
        yield Case("memory", dtype, sizes.table, 1, EVERY, quick if double else (), plotted=double)
        yield Case("cache", dtype, sizes.cached, None, EVERY, QUICK_SHORT if double else ())
        yield Case("small", dtype, sizes.thousand, None, EVERY, QUICK_SHORT if double else (), plotted=double)
        yield Case("small", dtype, sizes.ten, None, EVERY)
        yield Case("small", dtype, sizes.square, 0, EVERY)
        yield Case("small", dtype, sizes.square, 1, EVERY)
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
