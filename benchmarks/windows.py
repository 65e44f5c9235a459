"""Moving windows, exponential weights and filled gaps against bottleneck, numbagg, polars, pandas and SciPy, as far as
they are installed.

    python benchmarks/windows.py --rounds 7 --functions move_mean,move_median

Interleaved; medians in milliseconds, and how many times as long as allcores on all workers the best other takes. Who
does not agree with allcores to six digits is not timed.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np

import allcores as ac
from allcores.bench.timing import Contender, interleave, ratio

PACKAGES = {
    "bottleneck": "bottleneck",
    "numbagg": "numbagg",
    "polars": "polars",
    "pandas": "pandas",
    "scipy": "scipy.ndimage",
}

# `copy` is what NumPy takes for a copy of the input: as much memory is read, and as much new memory written.
OURS = ("copy", "1 worker", "all workers")

# What others call the same. x is the array, w the window, s a polars and p a pandas Series of x; {axis} is an axis.
PEERS: dict[str, dict[str, str]] = {
    "move_sum": {"numbagg": "numbagg.move_sum(x, window=w, axis={axis})", "pandas": "p.rolling(w).sum().to_numpy()"},
    "move_mean": {"numbagg": "numbagg.move_mean(x, window=w, axis={axis})", "pandas": "p.rolling(w).mean().to_numpy()"},
    "move_std": {"pandas": "p.rolling(w).std(ddof=0).to_numpy()"},
    "move_var": {"pandas": "p.rolling(w).var(ddof=0).to_numpy()"},
    "move_min": {"pandas": "p.rolling(w).min().to_numpy()"},
    "move_max": {"pandas": "p.rolling(w).max().to_numpy()"},
    "move_median": {
        "scipy": "scipy.median_filter(x, w, origin=w // 2)",  # not NaN at the beginning, and no NaN anywhere
        "pandas": "p.rolling(w).median().to_numpy()",
    },
    "move_rank": {},
    "move_quantile": {"polars": "s.rolling_quantile(0.1, interpolation='linear', window_size=w).to_numpy()"},
    "move_skew": {"pandas": "p.rolling(w).skew().to_numpy()"},
    "move_kurt": {"pandas": "p.rolling(w).kurt().to_numpy()"},
    **{
        f"move_exp_nan{name}": {"numbagg": f"numbagg.move_exp_nan{name}({inputs}, alpha=0.1, axis={{axis}})"}
        for name, inputs in (
            *((name, "x") for name in ("count", "sum", "mean", "var", "std")),
            *((name, "x, y") for name in ("cov", "corr")),
        )
    },
    "push": {
        "numbagg": "numbagg.ffill(x, limit=w or None, axis={axis})",
        "pandas": "p.ffill(limit=w or None).to_numpy()",
    },
}


def call(name: str, axis: int) -> str:
    """Ours; bottleneck's is the same where it has the function."""
    if name.startswith("move_exp"):
        return f"ac.{name}({'x, y' if name.endswith(('cov', 'corr')) else 'x'}, alpha=0.1, axis={axis})"
    if name == "push":
        return f"ac.push(x, w or None, axis={axis})"
    return f"ac.{name}(x, w, {'0.1, ' if name == 'move_quantile' else ''}axis={axis})"


def cases(name: str) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Shape, axis, window. Of push the limit is the window: 0 means none."""
    if name.startswith("move_exp") or name == "push":
        for window in (0, 3) if name == "push" else (0,):
            yield (7_300_000,), 0, window
            yield (2600, 2800), 0, window
            yield (2600, 2800), 1, window
        return
    sorting = name in ("move_median", "move_rank", "move_quantile")
    n = 1_000_000 if sorting else 7_300_000
    for window in (5, 51, 1001, 20_001) if sorting else (5, 50, 1000, 20_001):
        yield (n,), 0, window
    yield (2600, 2800), 0, 20


def statements(name: str, axis: int, window: int, flat: bool) -> Iterator[tuple[str, str]]:
    if not (name == "move_rank" and window > 1001) and not name.startswith("move_exp") and name != "move_quantile":
        yield "bottleneck", call(name, axis).replace("ac.", "bottleneck.")
    for package, statement in PEERS[name].items():
        if flat or package == "numbagg":
            yield package, statement.format(axis=axis)


def agrees(found: Any, wanted: Any, window: int) -> bool:
    """In the second half: beginnings differ, and running sums lose digits later."""
    half = slice(max(len(wanted) // 2, window), None)
    return bool(np.allclose(np.asarray(found)[half], wanted[half], rtol=1e-6, atol=1e-6, equal_nan=True))


def contenders(name: str, x: Any, axis: int, window: int) -> list[Contender]:
    ours, arrays = call(name, axis), {"x": x, "w": window, "y": x[::-1].copy()}
    found = [
        Contender("all workers", ours, {"ac": ac, **arrays}),
        Contender("1 worker", ours, {"ac": ac, **arrays}, lambda: ac.set_workers(1)),
        Contender("copy", "x.copy()", arrays),
    ]
    wanted = found[0].result()
    for package, statement in statements(name, axis, window, x.ndim == 1):
        try:
            module = import_module(PACKAGES[package])
        except ImportError:
            continue
        names: dict[str, Any] = {package: module, **arrays}
        if package in ("polars", "pandas"):
            names[statement[0]] = module.Series(x)
        other = Contender(package, statement, names, nullcontext)
        try:
            if agrees(other.result(), wanted, window):
                found.append(other)
        except (AttributeError, TypeError, ValueError):
            continue  # not in this version, or not for this case
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--functions", default=",".join(PEERS), help="default: all")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"allcores {ac.__version__}, {ac.get_workers()} workers, NumPy {np.__version__}\n")
    print(f"| function | array | window | {' | '.join(OURS)} | others | best/ac |\n|---|---|--:|--:|--:|--:|---|--:|")
    rng = np.random.default_rng(0)
    for name in args.functions.split(","):
        for shape, axis, window in cases(name):
            x = rng.normal(size=shape)
            if name == "push":
                x[rng.random(shape) < 0.1] = np.nan
            seconds = interleave(contenders(name, x, axis, window), args.rounds)
            times = {who: 1e3 * median(samples) for who, samples in seconds.items()}
            others = sorted((who for who in times if who not in OURS), key=times.__getitem__)
            best = f"{ratio(seconds[others[0]], seconds['all workers']):.2f}" if others else "-"
            array = f"{shape[0]:,}" if len(shape) == 1 else f"{shape}, axis {axis}"
            ours = " | ".join(f"{times[who]:.1f}" for who in OURS)
            listed = ", ".join(f"{who} {times[who]:.1f}" for who in others)
            print(f"| {name} | {array} | {window:,} | {ours} | {listed} | {best} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
