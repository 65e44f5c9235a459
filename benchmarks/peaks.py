"""What a call takes at its peak beyond its arguments and its result, as the table of docs/memory.md (Linux).

    python benchmarks/peaks.py [--millions 20]

Each call is made in a forked child, whose record of the largest resident set (VmHWM) is reset just before.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads in the process that forks

import numpy as np

import allcores as ac


def calls(n: int) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(0)
    x, i = rng.random(n), rng.integers(0, 1000, n)
    gaps = np.where(rng.random(n) < 0.1, np.nan, x)
    lines, cube = x.reshape(-1, 1000), x.reshape(-1, 100, 1000)
    return {
        "sum(x)": lambda: ac.sum(x),
        "median(x)": lambda: ac.median(x),
        "quantile(x, [0.1, 0.5])": lambda: ac.quantile(x, [0.1, 0.5]),
        "median(x, axis=(0, 2))": lambda: ac.median(cube, axis=(0, 2)),
        "topk(x, 10)": lambda: ac.topk(x, 10),
        "partition(x, k)": lambda: ac.partition(x, n // 2),
        "argpartition(x, k)": lambda: ac.argpartition(x, n // 2),
        "sort(x)": lambda: ac.sort(x),
        "sort(x, axis=1) of lines of 1000": lambda: ac.sort(lines, axis=1),
        "argsort(x)": lambda: ac.argsort(x),
        "rankdata(x)": lambda: ac.rankdata(x),
        "unique(x)": lambda: ac.unique(x),
        "unique(i)": lambda: ac.unique(i),
        "move_mean(x, 100)": lambda: ac.move_mean(x, 100),
        "move_median(x, 20001)": lambda: ac.move_median(x, 20001),
        "move_exp_nanmean(x, alpha=0.1)": lambda: ac.move_exp_nanmean(x, alpha=0.1),
        "push(x)": lambda: ac.push(gaps),
        "map_blocks(func, x)": lambda: ac.map_blocks(lambda a: np.sqrt(a * a + 1), x),
    }


def status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise KeyError(field)


def measure(name: str, call: Callable[[], Any]) -> None:
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    result = call()
    peak = status("VmHWM") - before
    own = sum(array.nbytes for array in (result if isinstance(result, tuple) else (result,)))
    print(f"| `{name}` | {(peak - own) / 1e6:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=int, default=20, help="elements of float64")
    made = calls(1_000_000 * parser.parse_args().millions)
    print("| call | MB |\n|---|--:|", flush=True)
    for name, call in made.items():
        child = os.fork()
        if not child:
            measure(name, call)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
