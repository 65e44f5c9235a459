"""Pieces of work: a new family writes what is special to it, and has lazy sources, executors and lazy outputs.

Three toys, one of each kind of work; then what the mechanism promises of them, faults among it.
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import prod
from multiprocessing import get_context

import numpy as np
import pytest
from helpers import CountingSource

import allcores as ac
from allcores._engine import mapreduce, settings
from allcores._engine.arguments import opened
from allcores._engine.execute import Call
from allcores._engine.grid import Pieces, cut_along
from allcores._engine.mapreduce import Carried, Mapped, Outputs, Work, chains, cut
from allcores._engine.sources import part_of, to_send

# ---- the toys


@dataclass(frozen=True)
class Counts(Work):
    """A histogram: partials are added."""

    edges: tuple[float, ...]

    def piece(self, region, things, memory, call):
        return (np.histogram(part_of(things[0], region, memory), self.edges)[0],)

    def fold(self, a, b):
        return (a[0] + b[0],)


def histogram(a, edges, workers=2):
    a, found = opened(a), []
    sizes = cut([a], a.shape, 0, 8, Call(workers)).size
    work = Counts(Pieces(a.shape, sizes, (True,) * a.ndim), a.dtype, tuple(edges))
    mapreduce.run(work, (to_send(a),), lambda region, partials: found.append(partials), Call(workers))
    return found[0][0]


class Differences(Mapped):
    """Each element less the one before it along the axis: a halo of one element."""

    def compute(self, operands, call):
        (x,) = operands
        first = np.full_like(x.take([0], self.axis), np.nan)
        return (np.concatenate((first, np.diff(x, axis=self.axis)), self.axis),)


class Totals(Carried):
    """A running sum: the state is the sum so far."""

    def join(self, operands, seen, state, call):
        (x,) = operands
        totals = x.cumsum(self.axis) + (0 if state is None else state)
        return totals, totals.take([-1], self.axis)

    def outputs(self, operands, joined, call):
        return (joined,)


def side_by_side(kind, a, axis, out=None, workers=2, **halo):
    a, call = opened(a), Call(workers)
    pieces = cut([a], a.shape, axis, 16, call)
    pieces = chains(pieces, axis) if kind is Totals else pieces
    result = np.empty(a.shape, a.dtype) if out is None else opened(out)
    work = kind(pieces, a.dtype, axis, 16, (), a.dtype, **halo)
    mapreduce.run(work, (to_send(a),), Outputs(result, pieces).put, call)
    return result if out is None else out


TOYS = {
    "bins": (lambda a, axis, **more: histogram(a, EDGES), lambda x, axis: np.histogram(x, EDGES)[0]),
    "halo": (
        lambda a, axis, **more: side_by_side(Differences, a, axis, before=1, **more),
        lambda x, axis: np.diff(x, axis=axis, prepend=np.nan),
    ),
    "carried": (
        lambda a, axis, **more: side_by_side(Totals, a, axis, **more),
        lambda x, axis: np.cumsum(x, axis),
    ),
}
EDGES = (-1000.0, -3.0, 0.0, 2.0, 1000.0)

# ---- what they get


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(mapreduce, "piece", 1 << 11)
    monkeypatch.setattr(mapreduce, "task_size", 1 << 13)


def whole_numbers(shape):
    """Of which sums are exact in any order."""
    return np.random.default_rng(0).integers(-9, 9, shape).astype(float)


@pytest.fixture(scope="module", params=["threads", "executor of threads", "processes"])
def where(request):
    if request.param == "threads":
        yield None
    elif request.param == "processes":
        with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
            yield pool
    else:
        with ThreadPoolExecutor(2) as pool:
            yield pool


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("shape", [(3001,), (1, 500), (70, 41), (9, 8, 30)], ids=str)
def test_toys(tmp_path, toy, shape, where, zarr):
    function, oracle = TOYS[toy]
    x = whole_numbers(shape)
    np.save(tmp_path / "c.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    stored = zarr.create_array(tmp_path / "x.zarr", shape=shape, chunks=[n // 3 + 1 for n in shape], dtype="f8")
    stored[...] = x
    sources = [ac.open(tmp_path / "c.npy"), ac.open(tmp_path / "f.npy"), stored]
    for axis in range(len(shape)):
        want = oracle(x, axis)
        with ac.set_executor(where):
            for source in sources:
                np.testing.assert_array_equal(function(source, axis), want)
        if where is not None and toy != "bins":
            np.testing.assert_array_equal(function(x, axis), want)
    if toy != "bins":
        # Chunks of the output are cut elsewhere: nobody may write half of one that another worker has read.
        out = zarr.create_array(store={}, shape=shape, chunks=[min(n, 7) for n in shape], dtype="f8")
        with ac.set_executor(where):
            assert function(stored, 0, out=out) is out
        np.testing.assert_array_equal(out[...], oracle(x, 0))


@pytest.mark.parametrize(("before", "after", "unit"), [(0, 0, 1), (3, 0, 1), (0, 5, 1), (2, 2, 7), (900, 40, 32)])
def test_what_is_around_a_piece(before, after, unit):
    """What is read begins at a multiple of the unit, and has what one position depends on, if there is as much."""
    pieces = Pieces((3, 1000), (1, 150), (False, False))
    work = Mapped(pieces, np.dtype(float), 1, 16, (), np.dtype(float), before, after, unit)
    for result in range(pieces.results):
        region = pieces.region(result, 0)
        around, inside = work.around(region)
        begin, end = around[1].start, around[1].stop
        assert begin % unit == 0
        assert 0 <= begin <= max(0, region[1].start - before)
        assert end >= min(1000, region[1].stop + after)
        assert min(1000, before + after + 1) <= end - begin <= work.length
        assert (begin + inside.start, begin + inside.stop) == (region[1].start, region[1].stop)
        assert around[0] == region[0]


@pytest.mark.parametrize("shape", [(10_000,), (300, 40), (40, 300), (7, 50, 30)], ids=str)
@pytest.mark.parametrize("chunks", [None, 7, 64])
@pytest.mark.parametrize(("span", "unit"), [(1, 1), (20, 1), (5000, 1), (1, 512), (300, 32)])
def test_sizes_of_pieces(shape, chunks, span, unit):
    """Multiples of the unit along the axis; within the share where it can be; whole chunks where these fit."""
    for axis in range(len(shape)):
        for fortran in (False, True):
            for most, share in ((1, 1), (500, 2000), (4000, 1 << 20)):
                n = shape[axis]
                long = min(span, n)
                stored = None if chunks is None else (chunks,) * len(shape)
                size = cut_along(shape, stored, axis, fortran, most, share, long, unit)
                assert all(1 <= each <= length for each, length in zip(size, shape, strict=True))
                assert size[axis] == n or size[axis] % unit == 0
                lanes = prod(size) // size[axis]
                assert lanes * (size[axis] + long) <= share or lanes == 1
                if lanes * (size[axis] + long) > share:
                    assert size[axis] <= max(2 * long, unit, 1) + unit or size[axis] == n


# ---- faults


def until(met):
    for _ in range(6000):
        if met():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not within a minute")


class Falling(ac.Source):
    """Raises, or ends its process, in one part."""

    def __init__(self, fault):
        self.name, self.shape, self.dtype, self.chunks = "a falling source", (40_000,), np.dtype(float), (100,)
        self.fault = fault

    def read(self, region):
        if region[0].start <= 20_000 < region[0].stop:
            if self.fault == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("no such block")
        return np.zeros(region[0].stop - region[0].start)


@pytest.mark.parametrize("toy", TOYS)
def test_a_source_that_raises(toy, where):
    """Nobody waits for what never comes: not for the next part of a chain either."""
    with (
        ac.set_executor(where),
        pytest.raises(OSError, match=r"a falling source: can't read \[\d+:\d+\]: no such"),
    ):
        TOYS[toy][0](Falling("raises"), 0)
    until(lambda: settings.doors > 0)  # tasks that have begun on threads are not waited for


def test_nobody_waits_for_what_could_not_be_read():
    """The part after it has been read, and waits for it, when it fails."""

    class Late(ac.Source):
        def __init__(self):
            self.name, self.shape, self.dtype, self.chunks = "late", (1 << 14,), np.dtype(float), (1 << 10,)
            self.later = threading.Event()

        def read(self, region):
            if region[0].start == 1 << 12:
                assert self.later.wait(60)
                threading.Event().wait(0.1)
                raise RuntimeError("no such block")
            if region[0].start > 1 << 12:
                self.later.set()
            return np.ones(region[0].stop - region[0].start)

    future = ac.submit(side_by_side, Totals, Late(), 0, workers=2)
    with pytest.raises(OSError, match="no such block"):
        future.result(timeout=30)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal here")
@pytest.mark.parametrize("toy", TOYS)
def test_a_worker_that_dies(toy):
    with (
        ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool,
        ac.set_executor(pool),
        pytest.raises(BrokenProcessPool),
    ):
        TOYS[toy][0](Falling("dies"), 0)


class Endless(ac.Source):
    def __init__(self):
        self.name, self.shape, self.dtype, self.chunks = "endless", (1 << 24,), np.dtype(float), (100,)
        self.read_once, self.reads = threading.Event(), 0

    def read(self, region):
        self.reads += 1
        self.read_once.set()
        threading.Event().wait(0.002)
        return np.zeros(region[0].stop - region[0].start)


@pytest.mark.parametrize("on", ["threads", "executor"])
@pytest.mark.parametrize("toy", TOYS)
def test_cancelled(toy, on):
    source = Endless()
    with ThreadPoolExecutor(2) as pool, ac.set_executor(None if on == "threads" else pool):
        future = ac.submit(TOYS[toy][0], source, 0)
        assert source.read_once.wait(60)
        done, total = future.progress()
        assert 0 <= done < total
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(timeout=60)
    until(lambda: settings.doors > 0)
    assert source.reads < 20_000  # of 100,000


def test_states_wait_in_order():
    """Whoever has read a later part waits for the earlier one: the sums are right however long it takes."""

    class Late(ac.Source):
        def __init__(self):
            self.name, self.shape, self.dtype, self.chunks = "late", (1 << 14,), np.dtype(float), (1 << 10,)

        def read(self, region):
            if (region[0].start >> 10) % 3 == 0:
                threading.Event().wait(0.01)
            return np.ones(region[0].stop - region[0].start)

    got = side_by_side(Totals, Late(), 0, workers=4)
    np.testing.assert_array_equal(got, np.arange(1, (1 << 14) + 1))


@pytest.mark.parametrize("toy", ["halo", "carried"])
def test_memory(toy):
    """Few parts are there at a time, and as many as the budget has room for."""
    few, many = CountingSource(1 << 16, 1 << 11), CountingSource(1 << 16, 1 << 11)
    with ac.set_memory_budget(1 << 17):  # two pieces of two arrays of 16 KiB, twice
        TOYS[toy][0](few, 0, workers=4)
    TOYS[toy][0](many, 0, workers=4)
    assert few.most <= 2 < many.most


def test_results_that_come_back_are_within_the_budget(monkeypatch):
    """Tasks under way, twice as many as workers, have at most the budget to give back."""
    monkeypatch.setattr(mapreduce, "task_size", 1 << 22)
    pieces = Pieces((1 << 20,), (1 << 10,), (False,))
    work = Mapped(pieces, np.dtype(float), 0, 16, (), np.dtype(float))
    with ac.set_memory_budget(1 << 18):
        for share in mapreduce.shares(work, 2):
            assert 4 * len(share.results) * work.returned <= settings.get_memory_budget()
