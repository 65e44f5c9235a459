"""How far would a reduction of a file scale on each engine? A model of what is measured, checked with 1 and 2 workers.

    python benchmarks/engines.py [--gib 2] [--dir /tmp]

Measured, for the N tasks that W workers get: `task`, what a worker takes for one; `overhead`, what the caller takes for
a task that does nothing, when many are under way; `fold`, what it takes to fold two partial results. They take

    max(N task / W, N overhead) + N fold + task

The last term is the worker that finishes last. It ends to scale where W = task / overhead.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import statistics
import time

import numpy as np

import allcores as ac
from allcores._engine import settings
from allcores.futures.cluster import Courier

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


def nothing():
    return None


def seconds(call, rounds=5):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def overhead(executor, tasks=400):
    """Of a task, when some are under way."""
    with Courier(executor) as courier:

        def run():
            waiting = [courier.submit(nothing) for _ in range(8)]
            for _ in range(tasks):
                waiting.pop(0).result()
                waiting.append(courier.submit(nothing))
            concurrent.futures.wait(waiting)

        run()
        return seconds(run, 3) / tasks


def engines(workers):
    yield "standard library", concurrent.futures.ProcessPoolExecutor(workers)
    yield "allcores", ac.futures.ProcessPoolExecutor(workers)
    try:
        import loky

        yield "loky", loky.ProcessPoolExecutor(workers)
    except ImportError:
        pass
    try:
        from distributed import Client, LocalCluster

        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        with cluster, Client(cluster) as client:
            yield "Dask", client.get_executor()
    except ImportError:
        pass


class Recorder:
    """Takes tasks, and runs them here, one by one."""

    workers = 1

    def __init__(self):
        self.times, self.folds = [], []

    def once(self, value):
        return value

    def submit(self, function, *args):
        future = concurrent.futures.Future()
        begin = time.perf_counter()
        future.set_result(function(*args))
        self.times.append(time.perf_counter() - begin)
        return future


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--dir", default="/tmp")
    options = parser.parse_args()
    path = os.path.join(options.dir, f"engines-{options.gib}.npy")
    if not os.path.exists(path):
        array = np.lib.format.open_memmap(path, "w+", "f8", (int(options.gib * (1 << 17)), 1024))
        array[...] = np.random.default_rng(0).normal(size=1024)
        array.flush()
        del array
    source = ac.open(path)

    def call():
        return ac.nanvar(source, axis=0)

    recorder = Recorder()
    call()
    shares = {}
    for workers in WORKERS:
        recorder.workers, recorder.times = workers, []
        with settings.use_sender(recorder):
            whole = seconds(call, 3)
        shares[workers] = [time / 3 for time in recorder.times], max(0.0, whole - sum(recorder.times) / 3)
    print(f"nanvar(axis=0) of {options.gib:g} GiB, as tasks one after the other:\n")
    print("| workers | tasks | ms each | us to fold one |")
    print("|--:|--:|--:|--:|")
    for workers, (times, folds) in shares.items():
        count = len(times) // 3
        print(f"| {workers} | {count} | {1e3 * sum(times) / count:.1f} | {1e6 * folds / count:.0f} |")
    overheads, measured = {}, {}
    for workers in (1, 2):
        for name, executor in engines(workers):
            with executor, ac.set_executor(executor):
                call()
                measured[name, workers] = seconds(call, 5)
        for name, executor in engines(workers) if workers == 2 else ():
            with executor:
                overheads[name] = overhead(executor)
    print("\n| engine | overhead, us | measured 1, ms | measured 2, ms | " + " | ".join(map(str, WORKERS)) + " |")
    print("|---|--:|--:|--:|" + "--:|" * len(WORKERS))
    for name, each in overheads.items():
        predicted = []
        for workers, (times, folds) in shares.items():
            count = len(times) // 3
            work = max(sum(times) / workers, count * each)
            predicted.append(f"{1e3 * (work + folds + sum(times) / count):.0f}")
        print(
            f"| {name} | {1e6 * each:.0f} | {1e3 * measured[name, 1]:.0f} | {1e3 * measured[name, 2]:.0f} | "
            + " | ".join(predicted)
            + " |"
        )


if __name__ == "__main__":
    main()
