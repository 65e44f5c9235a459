"""Overhead a task on executors, interleaved with what the engine itself takes, and bytes sent.

    python benchmarks/cluster.py

An empty task: the executor's own submit, and Courier.submit, which packs the task, compares versions and unpacks it in
the worker. A common array of 8 MiB: once a worker, against once a task. Medians of rounds, in which all take turns.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import numpy as np

from allcores.futures import cluster

TASKS, ROUNDS = 200, 9


def nothing(number: int) -> int:
    return number


def look(x: Any, number: int) -> int:
    return len(x) + number


@contextlib.contextmanager
def dask() -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as local,
        Client(local) as client,
    ):
        yield client.get_executor()


@contextlib.contextmanager
def loky() -> Iterator[Executor]:
    import loky

    with loky.ProcessPoolExecutor(2) as executor:
        yield executor


@contextlib.contextmanager
def stdlib() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@contextlib.contextmanager
def ray() -> Iterator[Executor]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    with cluster.RayExecutor() as executor:
        yield executor
    ray.shutdown()


def interleaved(ways: dict[str, Callable[[int], Any]], count: int) -> dict[str, float]:
    """Microseconds a task: medians of rounds in which each way has its turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, submit in ways.items():
            began = time.perf_counter()
            for future in [submit(number) for number in range(count)]:
                future.result()
            times[name].append((time.perf_counter() - began) / count * 1e6)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def empty(name: str, executor: Any) -> None:
    with cluster.Courier(executor) as courier:
        ways: dict[str, Callable[[int], Any]] = {}
        if name == "dask":
            client = executor._client
            ways["Client.submit"] = lambda number: client.submit(nothing, number, pure=False)
            ways["executor.submit"] = lambda number: executor.submit(nothing, number, pure=False)
        else:
            ways["executor.submit"] = lambda number: executor.submit(nothing, number)
        ways["Courier.submit"] = lambda number: courier.submit(nothing, number)
        found = interleaved(ways, TASKS)
    first = next(iter(found.values()))
    print(f"{name:8} empty task  ", *(f"{way} {us:6.0f} us ({us / first:.2f})" for way, us in found.items()), sep="  ")


def common(name: str, executor: Any) -> None:
    x, count = np.random.default_rng(0).normal(size=1 << 20), 20
    options = {"pure": False} if name == "dask" else {}
    before = cluster.transfer_stats(executor)["bytes_sent"]
    with cluster.Courier(executor) as courier:

        def once(count: int) -> None:
            held = courier.once(x)
            for future in [courier.submit(look, held, number) for number in range(count)]:
                future.result()

        def each(count: int) -> None:
            for future in [executor.submit(look, x, number, **options) for number in range(count)]:
                future.result()

        ways: dict[str, Callable[[int], None]] = {"with each task": each, "once a worker": once}
        if name == "dask":

            def scattered(count: int) -> None:
                held = executor._client.scatter(x, broadcast=True, hash=False)
                for future in [executor.submit(look, held, number, pure=False) for number in range(count)]:
                    future.result()

            ways["scattered"] = scattered
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(6):
            for way, call in ways.items():
                began = time.perf_counter()
                call(count)
                times[way].append((time.perf_counter() - began) * 1e3)
    sent = (cluster.transfer_stats(executor)["bytes_sent"] - before) / 6 / x.nbytes
    found = {way: statistics.median(ms[1:]) for way, ms in times.items()}
    print(
        f"{name:8} {count} tasks with 8 MiB  ", *(f"{way} {ms:5.0f} ms" for way, ms in found.items()), sep="  ", end=""
    )
    print(f"   sent {sent:.2f} times the array, instead of {count}")


def main() -> None:
    for start in (dask, loky, stdlib, ray):
        try:
            with start() as executor:
                empty(start.__name__, executor)
                common(start.__name__, executor)
        except ImportError as error:
            print(start.__name__, error)


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore", message="Sending large graph")
    main()
