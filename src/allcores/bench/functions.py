"""What is measured of each public function: its call, NumPy's way to say the same, and what other packages have.

All of it comes from the registry, but for what is said in another way elsewhere: NumPy's expressions, and peers whose
arguments are not ours.
"""

from __future__ import annotations

from .._engine import registry
from .cases import Function, Peer
from .peers import PEERS

# Arguments for arrays of many elements.
SCALE = {"window": 50, "k": 100, "kth": 100, "alpha": 0.1}

# Of bottleneck's functions the reductions are compiled for integers, too: its nan-functions, which have none to skip.
INTEGERS = "ilq"
NUMBERS = "fdbhilq"

VIEW = "np.lib.stride_tricks.sliding_window_view(x, 50{axis_or_0})"
AROUND = "np.insert({windows}, [0] * 49, np.nan{{axis_or_0}})"  # before the first whole window


def windows(expression: str) -> str:
    """NumPy's expression of a view `v` of all windows along its last axis."""
    return AROUND.format(windows=expression.replace("(v,", f"({VIEW},"))


REDUCED = ("sum", "mean", "std", "var", "min", "max", "median")

EXPRESSIONS = {
    "ss": "np.sum(x * x{axis})",
    "nancount": "np.count_nonzero(~np.isnan(x){axis})",
    "anynan": "np.any(np.isnan(x){axis})",
    "allnan": "np.all(np.isnan(x){axis})",
    "move_quantile": windows("np.quantile(v, 0.9, axis=-1)"),
    **{f"move_{name}": windows(f"np.{name}(v, axis=-1)") for name in REDUCED},
}


def bottleneck(name: str) -> Peer:
    return Peer("bottleneck", f"bn.{name}(x{{axis}})", INTEGERS)


def numbagg(call: str) -> Peer:
    return Peer("numbagg", f"numbagg.{call}")


def polars(call: str, dtypes: str = NUMBERS) -> Peer:
    """`s` is a Series of the same values. NaN counts there as a number, so only where there is none.

    Not for bool: a Series of bool remembers how many of its elements are true, and the second call reads nothing.
    """
    return Peer("polars", f"s.{call}", dtypes, one_dimensional=True)


def rolling(call: str) -> Peer:
    return polars(f"rolling_{call}.to_numpy()", "fd")


# What other packages have under another name, or with other arguments.
OTHERS: dict[str, tuple[Peer, ...]] = {
    "sum": (polars("sum()"), bottleneck("nansum")),
    "mean": (polars("mean()"), bottleneck("nanmean")),
    "var": (polars("var(ddof=0)"),),
    "std": (polars("std(ddof=0)"),),
    "min": (polars("min()"), bottleneck("nanmin")),
    "max": (polars("max()"), bottleneck("nanmax")),
    "argmin": (polars("arg_min()"), bottleneck("nanargmin")),
    "argmax": (polars("arg_max()"), bottleneck("nanargmax")),
    # numbagg divides by n - 1 unless told otherwise.
    "nanvar": (numbagg("nanvar(x{axis}, ddof=0)"),),
    "nanstd": (numbagg("nanstd(x{axis}, ddof=0)"),),
    "median": (polars("median()"),),
    "quantile": (polars("quantile(0.3, 'linear')"),),
    "percentile": (polars("quantile(0.3, 'linear')"),),
    "nanquantile": (numbagg("nanquantile(x, 0.3{axis_or_0})"),),
    "nanpercentile": (numbagg("nanquantile(x, 0.3{axis_or_0})"),),
    "sort": (polars("sort().to_numpy()"),),
    "argsort": (polars("arg_sort().to_numpy()"),),
    "unique": (polars("unique().sort().to_numpy()"),),
    "unique_values": (polars("unique().sort().to_numpy()"),),
    "rankdata": (polars("rank('average').to_numpy()"),),
    "move_sum": (rolling("sum(window_size=50)"),),
    "move_mean": (rolling("mean(window_size=50)"),),
    "move_std": (rolling("std(window_size=50, ddof=0)"),),
    "move_var": (rolling("var(window_size=50, ddof=0)"),),
    "move_min": (rolling("min(window_size=50)"),),
    "move_max": (rolling("max(window_size=50)"),),
    "move_median": (rolling("median(window_size=50)"),),
    "move_quantile": (rolling("quantile(0.9, 'linear', window_size=50)"),),
    "move_skew": (rolling("skew(window_size=50, bias=False)"),),
}

# What of a result `r` is one and the same for everybody, where not all of it is.
COMPARED = {
    "partition": "np.take(r, 100{axis})",
    "argpartition": "np.take_along_axis(x, np.take(r, [100]{axis_or_0}){axis_or_0})",
}


def measured(row: registry.Function) -> Function:
    def call(namespace: str) -> str:
        return row.call(namespace, "{axis}" if row.along else "", **SCALE)

    same = []
    for package, _, module in (name.partition(".") for name in row.elsewhere):
        if package in PEERS:
            same.append(Peer(package, call(".".join(filter(None, (PEERS[package], module))))))
    return Function(
        name=row.name,
        content=row.content,
        allcores=call("ac"),
        numpy=EXPRESSIONS.get(row.name) or (call("np") if "numpy" in row.elsewhere else ""),
        peers=(*same, *OTHERS.get(row.name, ())),
        compared=COMPARED.get(row.name, ""),
        along=row.along,
    )


FUNCTIONS = {row.name: measured(row) for row in registry.FUNCTIONS.values()}
