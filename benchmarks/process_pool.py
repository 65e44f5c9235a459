"""Arrays to worker processes and back: this package's pool beside the standard library's, loky and joblib.

    python benchmarks/process_pool.py [--mib 128] [--rounds 7] [--only "argument and"]

Every round runs each case on each pool, one after the other, so that a busy machine slows all of them; the table shows
medians, and medians of the ratios within a round. Each case runs twice a round and the second time counts, with this
package's pool the third: segments are warm, as they are in a loop (they are mapped when they are used again, and after
ten seconds without use they are gone). `first` is the first time of all.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
import time

import numpy as np

import allcores as ac
from allcores.futures import ProcessPoolExecutor


def nothing():
    pass


def first(x):
    return x.flat[0]


def read(x):
    return x.max()


def negative(x):
    return -x


def clock(function):
    begin = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - begin)


def pools():
    found = {"allcores": ProcessPoolExecutor(2), "stdlib": concurrent.futures.ProcessPoolExecutor(2)}
    try:
        from loky import get_reusable_executor

        found["loky"] = get_reusable_executor(2)
    except ImportError:
        pass
    try:
        import joblib

        found["joblib"] = joblib.Parallel(2)
    except ImportError:
        pass
    return found


def cases(x, shared):
    slices = np.array_split(x, 8)

    def case(function, argument):
        def run(name, pool):
            if name == "joblib":
                from joblib import delayed

                return lambda: pool([delayed(function)(argument)])
            return lambda: pool.submit(function, argument).result()

        return run

    def eight(name, pool):
        if name == "joblib":
            from joblib import delayed

            return lambda: pool(delayed(read)(part) for part in slices)
        return lambda: list(pool.map(read, slices))

    def empty(name, pool):
        return lambda: [pool.submit(nothing).result() for _ in range(100)]

    def many(name, pool):
        return lambda: [future.result() for future in [pool.submit(nothing) for _ in range(100)]]

    return {
        "argument, one element read": (case(first, x), ("stdlib", "loky", "joblib"), 1),
        "argument, all read": (case(read, x), ("stdlib", "loky", "joblib"), 1),
        "argument and result": (case(negative, x), ("stdlib", "loky", "joblib"), 1),
        "eight slices": (eight, ("stdlib", "loky", "joblib"), 1),
        "shared array, one element read": (case(first, shared), (), 1),
        "shared array, all read": (case(read, shared), (), 1),
        "empty task": (empty, ("stdlib", "loky"), 100),
        "empty tasks in a row": (many, ("stdlib", "loky"), 100),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose titles begin so")
    options = parser.parse_args()
    x = np.random.default_rng(0).normal(size=options.mib << 17)
    shared = ac.share(x)
    found = pools()
    times: dict[tuple[str, str], list[float]] = {}
    begun = {}
    chosen = {title: case for title, case in cases(x, shared).items() if title.startswith(options.only)}
    for title, (make, others, count) in chosen.items():
        for round_ in range(options.rounds):
            for name in ("allcores", *others):
                if name in found:
                    call = make(name, found[name])
                    cold = clock(call) / count
                    if round_ == 0:
                        begun[title, name] = cold
                    if name == "allcores":
                        call()
                    times.setdefault((title, name), []).append(clock(call) / count)
    print(f"{options.mib} MiB float64, 2 workers, ms (medians of {options.rounds}); in brackets: times allcores\n")
    print("| | allcores | first | stdlib | loky | joblib |\n|---|---|---|---|---|---|")
    for title in chosen:
        ours = times[title, "allcores"]
        row = [f"{statistics.median(ours):.3g}", f"{begun[title, 'allcores']:.3g}"]
        for name in ("stdlib", "loky", "joblib"):
            theirs = times.get((title, name))
            if theirs is None:
                row.append("")
            else:
                ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
                row.append(f"{statistics.median(theirs):.3g} ({ratio:.2g})")
        print(f"| {title} | {' | '.join(row)} |")
    print(f"\n{found['allcores'].transfer_stats()}")
    found["allcores"].shutdown()
    found["stdlib"].shutdown()
    for method in ("forkserver", "spawn", "fork"):
        import multiprocessing

        def start(method=method):
            with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
                list(pool.map(first, [x[:1]] * 4))

        print(f"start and end of a pool of 2, {method}: {clock(start):.0f} ms, again {clock(start):.0f} ms")


if __name__ == "__main__":
    main()
