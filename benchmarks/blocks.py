"""Blocks: an expression on threads, what a block costs, a function on processes, and the peak of memory.

    python benchmarks/blocks.py [--rounds 9] [--mib 128] [--only expression,overhead,processes,memory]

Every round runs each case on each side, one after the other, so that a busy machine slows all of them; shown are
medians, and medians of the ratios within a round. numexpr and joblib take part where they are installed.

Memory (Linux): anonymous memory of this process and the workers, and shared memory, each segment once, sampled every
2 ms while a call runs, beyond what was there before.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import statistics
import threading
import time
from pathlib import Path

import numpy as np

import allcores as ac
from allcores.futures import ProcessPoolExecutor

ELEMENTS = 7_300_000


def expression(a, b):
    return np.sqrt(a * a + b * b) * np.exp(-a)


def negative(x):
    return -x


def digits(x):
    """Plain Python, which holds the GIL."""
    return np.array([sum(map(int, str(v))) for v in x.tolist()])


def first(x):
    return x.flat[0]


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


def clock(function):
    begin = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - begin)


def compare(title, cases, rounds, *bases):
    """Run the cases in turn, and print a row of a table for each."""
    times = {name: [] for name in cases}
    for function in cases.values():
        function()
    for _ in range(rounds):
        for name, function in cases.items():
            times[name].append(clock(function))
    print(f"\n| {title} | ms |" + "".join(f" times as fast as {base} |" for base in bases))
    print("|---|--:|" + "--:|" * len(bases))
    for name, found in times.items():
        ratios = [statistics.median(b / a for a, b in zip(found, times[base], strict=True)) for base in bases]
        print(f"| {name} | {statistics.median(found):.1f} |" + "".join(f" {ratio:.2f} |" for ratio in ratios))


def expressions(options):
    rng = np.random.default_rng(0)
    a, b = rng.random(ELEMENTS), rng.random(ELEMENTS)
    out = np.empty_like(a)
    cases = {
        "map_blocks": lambda: ac.map_blocks(expression, a, b),
        "map_blocks, out=": lambda: ac.map_blocks(expression, a, b, out=out),
        "map_blocks, workers=1": lambda: ac.map_blocks(expression, a, b, workers=1),
        "NumPy": lambda: expression(a, b),
    }
    numexpr = optional("numexpr")
    if numexpr:
        numexpr.set_num_threads(ac.get_workers())
        cases[f"numexpr, {ac.get_workers()} threads"] = lambda: numexpr.evaluate(
            "sqrt(a*a + b*b) * exp(-a)", {"a": a, "b": b}
        )
    compare(f"sqrt(a*a + b*b) * exp(-a), {ELEMENTS:,} float64", cases, options.rounds, "NumPy", *list(cases)[4:])


def overhead(options):
    x = np.zeros(200_000)
    print("\n| a function that does nothing | microseconds a block |\n|---|--:|")
    for workers in (1, 2):
        for dimensions in (1, 2):
            shaped = x.reshape((-1,) + (1,) * (dimensions - 1))
            found = [
                clock(lambda w=workers, y=shaped: ac.map_blocks(lambda b: b, y, block_size=10, workers=w))
                for _ in range(options.rounds)
            ]
            print(f"| {workers} workers, {dimensions}-d | {1e3 * statistics.median(found) / (x.size / 10):.1f} |")


def processes(options):
    joblib = optional("joblib")
    x = np.random.default_rng(0).normal(size=options.mib << 17)
    shared, out = ac.share(x), ac.shared_empty(x.shape)
    numbers = np.arange(400_000)

    with ProcessPoolExecutor(2) as pool, joblib.Parallel(2) if joblib else contextlib.nullcontext() as parallel:

        def by_joblib(function, array, count):
            parts = np.array_split(array, count)
            return np.concatenate(parallel(joblib.delayed(function)(part) for part in parts))

        cases = {
            "map_blocks": lambda: ac.map_blocks(negative, x, executor=pool),
            "map_blocks, shared array": lambda: ac.map_blocks(negative, shared, executor=pool),
            "map_blocks, shared array and out": lambda: ac.map_blocks(negative, shared, executor=pool, out=out),
            "NumPy": lambda: negative(x),
        }
        if joblib:
            cases["joblib, 2 slices"] = lambda: by_joblib(negative, x, 2)
            cases["joblib, 8 slices"] = lambda: by_joblib(negative, x, 8)
        compare(f"-x, {options.mib} MiB, processes", cases, min(options.rounds, 5), *list(cases)[4:])
        cases = {
            "map_blocks": lambda: ac.map_blocks(digits, numbers, executor=pool),
            "one process": lambda: digits(numbers),
        }
        if joblib:
            cases["joblib, 8 slices"] = lambda: by_joblib(digits, numbers, 8)
        compare("plain Python over 400,000 numbers, processes", cases, min(options.rounds, 5), "one process")


# ---- memory


def family():
    """This process, its workers and the fork server's."""
    found, new = [], [os.getpid()]
    while new:
        pid = new.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                new.extend(int(child) for child in task.read_text().split())
    return found


def held(pids):
    """Bytes of anonymous memory of processes, and of the segments that they have open, each once."""
    anonymous, segments = 0, {}
    for pid in pids:
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            anonymous += int(status.split("RssAnon:")[1].split()[0]) * 1024
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if "memfd:allcores" in os.readlink(entry.path):
                        found = os.stat(entry.path)
                        segments[found.st_ino] = found.st_blocks * 512
    return anonymous, sum(segments.values())


def peak(call, pids):
    """Bytes beyond those before the call, at most: of both kinds together. What it returns lives till the end."""
    gc.collect()
    before = sum(held(pids))
    highest, done = [before], threading.Event()

    def sample():
        while not done.wait(0.002):
            highest.append(sum(held(pids)))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        result = call()
    finally:
        done.set()
        thread.join()
    del result
    return max(highest) - before


def memory(options):
    if not Path("/proc/self/fd").is_dir():
        print("\nmemory: needs Linux")
        return
    x = np.random.default_rng(0).normal(size=options.mib << 17)
    size = x.nbytes
    print(f"\n| peak beyond what was there, {options.mib} MiB float64, 2 workers | times the array | expected |")
    print("|---|--:|--:|")
    shared, out = ac.share(x), ac.shared_empty(x.shape)
    cases = {
        "submit, argument": (lambda pool: pool.submit(first, x).result(), "1"),
        "submit, shared argument": (lambda pool: pool.submit(first, shared).result(), "0"),
        "submit, shared argument and result": (
            lambda pool: pool.submit(negative, shared).result(),
            "1: the result",
        ),
        "map_blocks": (lambda pool: ac.map_blocks(negative, x, executor=pool), "1: the result"),
        "map_blocks, shared argument": (lambda pool: ac.map_blocks(negative, shared, executor=pool), "1: the result"),
        "map_blocks, both shared": (lambda pool: ac.map_blocks(negative, shared, executor=pool, out=out), "0"),
        "map_blocks, threads": (lambda pool: ac.map_blocks(negative, x), "1: the result"),
        "map_blocks, threads, out=": (lambda pool: ac.map_blocks(negative, x, out=out), "0"),
    }
    for title, (call, expected) in cases.items():
        with ProcessPoolExecutor(2) as pool:  # a new one: no segment is left to be used again
            list(pool.map(first, [x[:1]] * 4))
            found = peak(lambda call=call, pool=pool: call(pool), family())
        print(f"| {title} | {found / size:.2f} | {expected} |")


PARTS = {"expression": expressions, "overhead": overhead, "processes": processes, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--mib", type=int, default=128)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas")
    options = parser.parse_args()
    for part in options.only.split(","):
        PARTS[part](options)


if __name__ == "__main__":
    main()
