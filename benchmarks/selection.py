"""Medians, quantiles, partitions and topk against NumPy, bottleneck, numbagg and polars, whichever are installed.

    python benchmarks/selection.py --rounds 5 --only median,quantile

Interleaved; medians in milliseconds, and how many times as long as allcores on all workers the best other takes. Who
does not agree with allcores is not timed; partitions agree if the kth element does.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np

import allcores as ac
from allcores.bench.timing import Contender, interleave, ratio

N = 7_300_000
SHAPE = (2600, 2800)
PACKAGES = {"numpy": "numpy", "bottleneck": "bottleneck", "numbagg": "numbagg", "polars": "polars"}

# What is compared: of which data, our statement, theirs, and what of a result has to agree.
Case = tuple[str, str, str, list[tuple[str, str]], str]


def cases() -> Iterator[Case]:
    flat = "float64", "float32", "int64"
    for data in flat:
        yield "median", data, "ac.median(x)", [("polars", "s.median()"), ("numpy", "numpy.median(x)")], "r"
    for data in ("constant", "few distinct", "sorted", "all magnitudes", "one binade"):
        yield "median", data, "ac.median(x)", [("polars", "s.median()"), ("numpy", "numpy.median(x)")], "r"
    yield "nanmedian", "2% NaN", "ac.nanmedian(x)", [("bottleneck", "bottleneck.nanmedian(x)")], "r"
    yield (
        *("quantile", "float64", "ac.quantile(x, 0.3)"),
        [("polars", "s.quantile(0.3, 'linear')"), ("numpy", "numpy.quantile(x, 0.3)")],
        "r",
    )
    for count in (5, 101):
        q = f"numpy.linspace(0.02, 0.98, {count})"
        yield f"{count} quantiles", "float64", f"ac.quantile(x, {q})", [("numpy", f"numpy.quantile(x, {q})")], "r"
    for axis in (0, 1):
        for name, q in (
            ("nanmedian", ""),
            ("nanquantile", "0.3, "),
            ("nanquantile", "[0.05, 0.25, 0.5, 0.75, 0.95], "),
        ):
            others = [("numbagg", f"numbagg.{name}(x, {q}axis={axis})")]
            if name == "nanmedian":
                others.append(("bottleneck", f"bottleneck.nanmedian(x, axis={axis})"))
            label = f"{name}, axis {axis}" if "[" not in q else f"5 {name}s, axis {axis}"
            yield label, "table", f"ac.{name}(x, {q}axis={axis})", others, "r"
    for n in (10, 30, 100, 300):
        others = [("numbagg", "numbagg.nanmedian(x, axis=1)"), ("bottleneck", "bottleneck.nanmedian(x, axis=1)")]
        yield f"nanmedian, lanes of {n}", f"lanes of {n}", "ac.nanmedian(x, axis=1)", others, "r"
    k = N // 2
    for data in flat:
        others = [("bottleneck", f"bottleneck.partition(x, {k})"), ("numpy", f"numpy.partition(x, {k})")]
        yield "partition", data, f"ac.partition(x, {k})", others, f"r[{k}]"
    others = [("bottleneck", f"bottleneck.argpartition(x, {k})"), ("numpy", f"numpy.argpartition(x, {k})")]
    yield "argpartition", "float64", f"ac.argpartition(x, {k})", others, f"x[r[{k}]]"
    for axis in (0, 1):
        others = [(p, f"{p}.partition(x, 1300, axis={axis})") for p in ("bottleneck", "numpy")]
        yield (
            f"partition, axis {axis}",
            "plain table",
            f"ac.partition(x, 1300, axis={axis})",
            others,
            f"r.take(1300, {axis})",
        )
    yield "topk of 100", "float64", "ac.topk(x, 100)", [("numpy", f"numpy.argpartition(x, {N} - 100)")], "None"


def data(kind: str) -> Any:
    rng = np.random.default_rng(0)
    if kind.startswith("lanes"):
        n = int(kind.split()[-1])
        return rng.normal(size=(N // n, n))
    if kind.endswith("table"):
        x = rng.normal(size=SHAPE)
        if kind == "table":
            x[rng.random(SHAPE) < 0.02] = np.nan
        return x
    x = rng.normal(size=N)
    if kind == "2% NaN":
        x[rng.random(N) < 0.02] = np.nan
    return {
        "float32": lambda: x.astype(np.float32),
        "int64": lambda: rng.integers(-(2**62), 2**62, N),
        "constant": lambda: np.full(N, 3.5),
        "few distinct": lambda: rng.integers(0, 10, N).astype(np.float64),
        "sorted": lambda: np.sort(x),
        "all magnitudes": lambda: 10 ** rng.uniform(-300, 300, N),
        "one binade": lambda: 1 + rng.random(N),
    }.get(kind, lambda: x)()


def contenders(x: Any, ours: str, others: list[tuple[str, str]], agreed: str) -> list[Contender]:
    names = {"ac": ac, "x": x, "numpy": np}
    found = [Contender("all workers", ours, names), Contender("1 worker", ours, names, lambda: ac.set_workers(1))]
    wanted = eval(agreed, {"r": found[0].result(), "x": x})
    for package, statement in others:
        try:
            module = import_module(PACKAGES[package])
        except ImportError:
            continue
        names = {"numpy": np, package: module, "x": x}
        if package == "polars":
            names["s"] = module.Series(x)
        other = Contender(package, statement, names)
        if agreed == "None" or np.allclose(
            eval(agreed, {"r": other.result(), "x": x}), wanted, rtol=1e-6, equal_nan=True
        ):
            found.append(other)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--only", default="", help="cases whose name begins with one of these; default: all")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"allcores {ac.__version__}, {ac.get_workers()} workers, NumPy {np.__version__}\n")
    print("| | data | 1 worker | all workers | others | best/ac |\n|---|---|--:|--:|---|--:|")
    for name, kind, ours, others, agreed in cases():
        if not name.startswith(tuple(args.only.split(","))):
            continue
        seconds = interleave(contenders(data(kind), ours, others, agreed), args.rounds)
        times = {who: 1e3 * median(samples) for who, samples in seconds.items()}
        named = sorted((who for who in times if not who.endswith(("worker", "workers"))), key=times.__getitem__)
        best = f"{ratio(seconds[named[0]], seconds['all workers']):.2f}" if named else "-"
        listed = ", ".join(f"{who} {times[who]:.1f}" for who in named)
        print(
            f"| {name} | {kind} | {times['1 worker']:.1f} | {times['all workers']:.1f} | {listed} | {best} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
