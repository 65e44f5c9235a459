"""What the suites of clusters share: functions for workers, and each engine as it is started."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import allcores as ac

X = np.random.default_rng(0).normal(size=(1 << 12, 3))
WEIGHTS = np.random.default_rng(1).normal(size=1 << 15)  # 256 KiB


def weighted(x, *, weights):
    return x * weights[: x.shape[1]]


def total(weights, number):
    return float(weights.sum()) + number


def smooth(x):
    return x + np.roll(x, 1, 0) + np.roll(x, -1, 0)


def fails_from(x, first):
    if x[0] >= first:
        raise ValueError(int(x[0]))
    return x


def spoils(weights):
    weights[0] = 7.0


def own(x):
    x[0] = 7.0
    return float(x[0])


def naps(seconds):
    time.sleep(seconds)
    return os.getpid()


def kills(x):
    if x[0] >= 500:
        os._exit(9)
    return x


def kills_once(x, path):
    if not os.path.exists(path):
        with open(path, "w"):
            os._exit(9)
    return x


class KillsOnce(ac.Source):
    """A source whose reader dies in the middle of it: the first time, or always where there is no path."""

    def __init__(self, path):
        self.name, self.shape, self.dtype, self.chunks = "killer", (1 << 20,), np.dtype(float), (1 << 14,)
        self.path = path

    def read(self, region):
        if region[0].start <= 1 << 19 < region[0].stop and not (self.path and os.path.exists(self.path)):
            if self.path:
                with open(self.path, "w"):
                    pass
            os._exit(9)
        return np.arange(region[0].start, region[0].stop, dtype=float)


@contextlib.contextmanager
def stdlib(workers=2):
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@contextlib.contextmanager
def loky(workers=2):
    module = pytest.importorskip("loky")
    with module.ProcessPoolExecutor(workers) as executor:
        yield executor


@contextlib.contextmanager
def dask(workers=2):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        # Workers import what the tests define from here.
        client.run(os.chdir, os.path.dirname(__file__))
        client.run(eval, f"__import__('sys').path.insert(0, {os.path.dirname(__file__)!r})")
        yield client.get_executor()


@contextlib.contextmanager
def ray(workers=2):
    module = pytest.importorskip("ray")
    from allcores.futures.cluster import RayExecutor

    paths = {"env_vars": {"PYTHONPATH": os.path.dirname(__file__)}}
    module.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, runtime_env=paths, logging_level=40)
    try:
        with RayExecutor() as executor:
            yield executor
    finally:
        module.shutdown()


ENGINES = {"stdlib": stdlib, "loky": loky, "dask": dask, "ray": ray}
