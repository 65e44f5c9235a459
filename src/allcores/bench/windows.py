"""Moving windows: what other packages offer for each, and the arrays on which they are measured.

NumPy's way is a view of all windows, which it reduces one by one; so windows are short here, and arrays not large.
benchmarks/windows.py compares longer ones, on larger arrays, without NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import Case, Function, Peer, Sizes

WINDOW = 50
VIEW = "np.lib.stride_tricks.sliding_window_view"
MISSING = "np.insert({all}, [0] * 49, np.nan{{axis_or_0}})"  # before the first whole window


def moving(name: str, content: str, reduction: str, *peers: Peer, arguments: str = "") -> Function:
    """`reduction` is NumPy's, of a view of windows along its last axis."""
    views = f"{VIEW}(x, {WINDOW}{{axis_or_0}})"
    return Function(
        name,
        content,
        MISSING.format(all=reduction.format(views=views)),
        (*bottleneck(name), *peers),
        f"ac.{name}(x, {WINDOW}{arguments}{{axis}})",
    )


def bottleneck(name: str) -> tuple[Peer, ...]:
    return () if name == "move_quantile" else (Peer("bottleneck", f"bn.{name}(x, {WINDOW}{{axis}})"),)


def numbagg(name: str) -> Peer:
    return Peer("numbagg", f"numbagg.{name}(x, window={WINDOW}{{axis}})")


def polars(method: str, arguments: str = "") -> Peer:
    return Peer("polars", f"s.rolling_{method}({arguments}window_size={WINDOW}).to_numpy()", one_dimensional=True)


FUNCTIONS = {
    function.name: function
    for function in (
        moving("move_sum", "values", "np.sum({views}, axis=-1)", numbagg("move_sum"), polars("sum")),
        moving("move_mean", "values", "np.mean({views}, axis=-1)", numbagg("move_mean"), polars("mean")),
        moving("move_std", "values", "np.std({views}, axis=-1)"),
        moving("move_var", "values", "np.var({views}, axis=-1)"),
        moving("move_min", "values", "np.min({views}, axis=-1)", polars("min")),
        moving("move_max", "values", "np.max({views}, axis=-1)", polars("max")),
        moving("move_median", "values", "np.median({views}, axis=-1)", polars("median")),
        moving(
            "move_quantile",
            "values",
            "np.quantile({views}, 0.9, axis=-1)",
            polars("quantile", "0.9, 'linear', "),
            arguments=", 0.9",
        ),
    )
}

EVERY = tuple(FUNCTIONS)
MERGED = EVERY[:6]
QUICK = ("move_mean", "move_std", "move_max", "move_median")


def cases(sizes: Sizes) -> Iterator[Case]:
    yield Case("memory", "float64", sizes.series, None, MERGED, plotted=True)
    yield Case("memory", "float64", sizes.columns, 0, MERGED, plotted=True)
    for dtype in ("float64", "float32"):
        yield Case("cache", dtype, sizes.cached, None, EVERY, QUICK if dtype == "float64" else (), plotted=True)
    yield Case("small", "float64", sizes.thousand, None, EVERY)
