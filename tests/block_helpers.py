"""What the suites of blocks on executors share: functions for workers, which shall not have to import pytest."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
from pool_helpers import kill_self

import allcores as ac

X = np.random.default_rng(0).normal(size=(1 << 17, 2))  # 2 MiB


def negative(x):
    return -x


def total(x, *, weights, more=0.0):
    return x @ weights + more


def plus(x, y):
    return x + y


def process_of(x):
    time.sleep(0.02)  # so that each worker gets some, also on a loaded machine
    return np.full(len(x), os.getpid())


def fails_from(x, first, kind=ValueError):
    time.sleep(0.001)
    if x[0] >= first:
        raise kind(int(x[0]))
    return x


def kills(x, number=signal.SIGKILL):
    if x[0] >= 50:
        kill_self(number)
    return x


def spoils(x, weights):
    weights[0] = 7
    return x


def dtype_by_value(x):
    return x if x[0] < 1000 else x.astype(np.float32)


def in_pieces(x, block_id=None, block_info=None):
    return np.full(len(x), block_id[0] * 1000 + block_info[0]["array-location"][0][0])


def slow(x):
    time.sleep(0.02)
    return x


def masked(x):
    return np.ma.masked_greater(x, 5)


def objects(x):
    return np.array([str(v) for v in x], dtype=object)


def smooth(x):
    return x + np.roll(x, 1, 0) + np.roll(x, -1, 0)


def spread(line, q=50):
    return np.percentile(line, q)


def nested(x):
    return ac.map_blocks(np.negative, x, block_size=2, workers=2) + ac.submit(ac.sum, np.ones(4)).result()


def sleeps(x, mark):
    """For a minute; there is a file as soon as it does."""
    with open(mark, "w"):
        pass
    time.sleep(60)
    return x
