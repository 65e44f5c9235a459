"""Small and middling arrays with `where`, `initial`, `axis` tuples and scattered layouts, against NumPy.

    python benchmarks/arguments.py --repeat 9

Each statement runs in turn with NumPy and with allcores; the figure is how many times as long NumPy takes, a median
over the rounds. Above 1, allcores is ahead.
"""

from __future__ import annotations

import argparse
from statistics import median
from timeit import Timer

import numpy as np

import allcores as ac

SHAPES = ((10,), (1000,), (100_000,), (10, 10), (40, 50), (300, 300), (4, 5, 6), (20, 30, 40))

# x is the array, m a mask of its shape; z every second of its last axis; t its axes reversed, the first backwards.
STATEMENTS = (
    "sum(x, where=m)",
    "sum(x, initial=1.0)",
    "max(x, where=m, initial=0.0)",
    "mean(x, where=m)",
    "var(x, where=m)",
    "nansum(x, axis=0, where=m)",
    "sum(z)",
    "sum(z, axis=0)",
    "max(t, axis=0)",
    "sum(t)",
    "any(z)",
    "std(t, axis=-1)",
    "argmax(x, axis=-1)",
    "argmax(t, axis=0)",
    "count_nonzero(z)",
    "min(x, axis=axes)",
)


def ratio(statement: str, names: dict[str, object], repeat: int) -> float:
    """How many times as long as allcores NumPy takes."""
    timers = [Timer(f"{module}.{statement}", globals=names) for module in ("np", "ac")]
    number = max(1, int(2e-3 / max(min(timers[0].repeat(3, 3)) / 3, 1e-7)))
    rounds = [[timer.timeit(number) for timer in timers] for _ in range(repeat)]
    return median(numpy / ours for numpy, ours in rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9, help="rounds (default: 9)")
    repeat = parser.parse_args().repeat
    print(f"allcores {ac.__version__}, NumPy {np.__version__}: NumPy's time over that of allcores\n")
    print("| | " + " | ".join(str(shape) for shape in SHAPES) + " |")
    print("|---|" + "--:|" * len(SHAPES))
    rng = np.random.default_rng(0)
    columns = []
    for shape in SHAPES:
        x = rng.normal(size=shape)
        names = {"np": np, "ac": ac, "x": x, "m": x > 0, "z": x[..., ::2], "t": x.T[::-1], "axes": (0, len(shape) - 1)}
        names["axes"] = (0,) if len(shape) == 1 else names["axes"]
        columns.append([ratio(statement, names, repeat) for statement in STATEMENTS])
    for statement, row in zip(STATEMENTS, zip(*columns, strict=True), strict=True):
        print(f"| `{statement}` | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
