"""Sorting against NumPy, polars, bottleneck, pandas and SciPy, whichever are installed.

    python benchmarks/sorting.py --rounds 5 --cases "sort;argsort"

Interleaved; medians in milliseconds, and how many times as long as allcores on all workers the best other takes. Lines
that are in order already, or nearly, are compared with NumPy's stable sorts.
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

# Statements; x is the array, y a second one, s a polars and p a pandas Series of x.
PEERS: dict[str, dict[str, str]] = {
    "sort": {"NumPy": "np.sort(x)", "stable": "np.sort(x, kind='stable')", "polars": "s.sort()"},
    "argsort": {"NumPy": "np.argsort(x)", "polars": "s.arg_sort()"},
    "presorted": {"stable": "np.sort(x, kind='stable')"},
    "argsort, presorted": {"stable": "np.argsort(x, kind='stable')"},
    "lines": {"NumPy": "np.sort(x, axis=1)"},
    "columns": {"NumPy": "np.sort(x, axis=0)"},
    "rankdata": {"bottleneck": "bn.rankdata(x)", "scipy": "st.rankdata(x)"},
    "unique": {"pandas": "pd.unique(x)"},
    "searchsorted": {"NumPy": "np.searchsorted(y, x)"},
    "lexsort": {"NumPy": "np.lexsort((x, y))"},
    "small": {"NumPy": "for _ in range(100): np.sort(x)"},
}
OURS = {
    "sort": "ac.sort(x)",
    "argsort": "ac.argsort(x)",
    "presorted": "ac.sort(x)",
    "argsort, presorted": "ac.argsort(x)",
    "lines": "ac.sort(x, axis=1)",
    "columns": "ac.sort(x, axis=0)",
    "rankdata": "ac.rankdata(x)",
    "unique": "ac.unique(x)",
    "searchsorted": "ac.searchsorted(y, x)",
    "lexsort": "ac.lexsort((x, y))",
    "small": "for _ in range(100): ac.sort(x)",
}


def arrays(case: str) -> Iterator[tuple[str, Any, Any]]:
    """A label, x and y."""
    rng = np.random.default_rng(0)
    if case in ("sort", "argsort"):
        for char in "dfqihb" if case == "sort" else "dfqi":
            dtype = np.dtype(char)
            if dtype.kind == "f":
                yield str(dtype), rng.normal(size=N).astype(dtype), None
            else:
                info = np.iinfo(dtype)
                yield str(dtype), rng.integers(info.min, info.max, N, dtype, endpoint=True), None
    elif "presorted" in case:
        i = np.arange(N)
        yield "ascending", i * 1.0, None
        yield "descending", i[::-1] * 1.0, None
        yield "constant", np.ones(N), None
        yield "10 values", rng.integers(0, 10, N) * 1.0, None
        yield "1000 values", rng.integers(0, 1000, N) * 1.0, None
        yield "7300 teeth", i % 1000 * 1.0, None
        yield "10 teeth", i % (N // 10) * 1.0, None
    elif case in ("lines", "columns"):
        for shape in ((2600, 2800), (73_000, 100) if case == "lines" else (100, 73_000)):
            yield str(shape), rng.normal(size=shape), None
    elif case == "rankdata":
        yield "1,000,000", rng.normal(size=1_000_000), None
    elif case == "unique":
        for high in (1000, 1_000_000, 2**31):
            yield f"int32 below {high:,}", rng.integers(0, high, N).astype(np.int32), None
    elif case == "searchsorted":
        yield "2,000,000 in 2800", rng.normal(size=2_000_000), np.sort(rng.normal(size=2800))
    elif case == "lexsort":
        yield "1,800,000", rng.normal(size=1_800_000), rng.integers(0, 1000, 1_800_000)
    else:
        for n in (10, 100, 1000, 10_000):
            yield f"{n:,}, 100 times", rng.normal(size=n), None


def names_for(x: Any, y: Any) -> dict[str, Any]:
    found = {"np": np, "ac": ac, "x": x, "y": y}
    for short, name in (("bn", "bottleneck"), ("st", "scipy.stats"), ("pd", "pandas"), ("polars", "polars")):
        try:
            found[short] = import_module(name)
        except ImportError:
            continue
    if "polars" in found and x.ndim == 1:
        found["s"] = found["polars"].Series(x)
    return found


def contenders(case: str, x: Any, y: Any) -> list[Contender]:
    names = names_for(x, y)
    found = [
        Contender("all workers", OURS[case], names),
        Contender("1 worker", OURS[case], names, lambda: ac.set_workers(1)),
    ]
    for package, statement in PEERS[case].items():
        needs = {"bottleneck": "bn", "scipy": "st", "pandas": "pd", "polars": "s"}.get(package, "np")
        # The stable sort of a random array is of interest where it is a radix sort.
        if needs in names and not (case == "sort" and package == "stable" and x.itemsize > 2):
            found.append(Contender(package, statement, names))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--cases", default=";".join(PEERS), help="separated by semicolons; default: all")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"allcores {ac.__version__}, {ac.get_workers()} workers, NumPy {np.__version__}\n")
    print("| case | array | 1 worker | all workers | others | best/ac |\n|---|---|--:|--:|---|--:|")
    for case in args.cases.split(";"):
        for label, x, y in arrays(case):
            seconds = interleave(contenders(case, x, y), args.rounds)
            times = {who: 1e3 * median(samples) for who, samples in seconds.items()}
            others = sorted((who for who in times if not who.endswith(("worker", "workers"))), key=times.__getitem__)
            best = f"{ratio(seconds[others[0]], seconds['all workers']):.2f}" if others else "-"
            listed = ", ".join(f"{who} {times[who]:.1f}" for who in others)
            ours = f"{times['1 worker']:.1f} | {times['all workers']:.1f}"
            print(f"| {case} | {label} | {ours} | {listed} | {best} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
