"""Many threads of the user's at once: settings, pools, doors, caches and sources; and no GIL where none is needed."""

from __future__ import annotations

import random
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import BACKENDS, FUNCTIONS, MOVES, SCANNED, bits, python, sample

import allcores as ac
from allcores import _kernels, background
from allcores._engine import doors, execute, registry, settings, sources, view
from allcores._engine import team as team_module
from allcores._engine.threads import Threads
from allcores.futures import ProcessPoolExecutor, store

pytestmark = pytest.mark.thread_unsafe(reason="makes threads of its own, and looks at what all threads share")

THREADS = 6


@pytest.fixture(autouse=True)
def impatient():
    """With a GIL, threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(work, count: int = THREADS) -> list:
    """What `work(number)` returns in so many threads that begin at the same time."""
    gate = threading.Barrier(count)

    def begin(number: int):
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return [future.result(timeout=60) for future in [threads.submit(begin, number) for number in range(count)]]


# ---- settings


def test_settings_belong_to_their_thread():
    before = ac.get_workers(), ac.get_memory_budget(), settings.doors
    pools = [ThreadPoolExecutor(1) for _ in range(THREADS)]

    def work(number: int) -> None:
        for i in range(50):
            name = BACKENDS[(number + i) % len(BACKENDS)]
            with (
                ac.set_workers(number + 1),
                ac.set_memory_budget(number + 1),
                ac.set_executor(pools[number]),
                settings.use_backend(name),
            ):
                assert ac.get_workers() == ac.get_memory_budget() == number + 1
                assert settings.sender().executor is pools[number]
                assert settings.backend() == ac.show_config(mode="dicts")["backend"]["name"] == name
                assert settings.doors < 1
        assert settings.sender() is None

    at_once(work)
    assert (ac.get_workers(), ac.get_memory_budget(), settings.doors) == before
    for pool in pools:
        pool.shutdown()


# ---- the team


@pytest.mark.parametrize("backend_name", BACKENDS)
def test_teams_of_all_sizes(backend_name, team, monkeypatch):
    """More threads come while others use those that are there."""
    a = sample((40, 30), "d")
    want = [bits(ac.nanvar(a, axis=0, workers=1)), bits(ac.move_mean(a, 3, axis=0)), bits(ac.nanmedian(a, axis=1))]

    def work(number: int) -> None:
        with settings.use_backend(backend_name):
            for workers in random.Random(number).choices(range(2, 12), k=20):
                got = ac.nanvar(a, axis=0, workers=workers), ac.move_mean(a, 3, axis=0), ac.nanmedian(a, axis=1)
                assert [bits(result) for result in got] == want

    monkeypatch.setattr(team_module, "threads", Threads("allcores", team_module._become_worker))
    at_once(work)


def test_the_dispatch_latency_is_measured(monkeypatch):
    """By whoever needs it first, or by several; while threads start."""
    for _ in range(10):
        monkeypatch.setattr(team_module, "_dispatch_latency", None)
        monkeypatch.setattr(team_module, "threads", Threads("allcores", team_module._become_worker))

        def work(number: int) -> float:
            team_module.threads.call([int] * number, 2 * number + 1)
            return team_module.dispatch_latency()

        assert all(10e-6 <= seconds <= 500e-6 for seconds in at_once(work))


# ---- doors, kernels, caches


def test_everything_is_looked_up_for_the_first_time(monkeypatch):
    a = sample((20, 10), "d")
    names = ("nansum", "mean", "nanvar", "max", "argmin", "any")
    want = [bits(getattr(ac, name)(a, axis=0)) for name in names]
    for _ in range(5):
        for name in names:
            monkeypatch.delitem(vars(doors), name, raising=False)
        for cached in (_kernels.load, registry.fields_of, view.reduced_last, view.memory_order):
            cached.cache_clear()

        def work(number: int) -> None:
            for name, bits_of_it in zip(names, want, strict=True):
                assert bits(getattr(ac, name)(a, axis=0)) == bits_of_it
                with settings.use_backend(BACKENDS[number % len(BACKENDS)]):
                    assert bits(getattr(ac, name)(a, axis=0)) == bits_of_it

        at_once(work)


def test_more_than_caches_keep():
    """Shapes, strides and quantiles of all kinds, so that each thread drops what the others have looked up."""
    a = sample((12, 8, 10), "d")
    axes = [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)]

    def results(order):
        x = a.transpose(order)
        for i in range(60):
            q = (i + 1) / 61
            yield bits(ac.sum(x[: i % 7 + 2], axis=(0, 2)))
            yield bits(ac.quantile(x[:, : i % 5 + 2], [q, q / 2], axis=1))
            yield bits(ac.partition(x, i % x.shape[-1]))

    want = [list(results(order)) for order in axes]
    assert at_once(lambda number: list(results(axes[number])) == want[number]) == [True] * THREADS


# ---- sources, user functions, calls in the background


def test_sources_are_registered_while_others_are_read():
    class Stored:
        """What has an adapter of its own."""

    def register(kind: type) -> None:
        ac.register_source(kind, lambda thing: sources.InMemory(np.arange(1000.0), (100,)))

    register(Stored)
    kinds = []

    def work(number: int) -> None:
        for _ in range(30):
            if number % 2:
                kinds.append(type("Other", (), {}))
                register(kinds[-1])
            assert ac.sum(Stored()) == 499500

    try:
        at_once(work)
    finally:
        for kind in (Stored, *kinds):
            del sources._adapters[kind]


def test_blocks_are_put_together(monkeypatch):
    """The first block says what the result will be: those that come earlier wait for it."""
    monkeypatch.setattr(execute, "threshold", 0)
    a = np.arange(600.0)

    def block(x):
        if x[0] == 0:
            time.sleep(0.001)
        return x * 2

    def work(number: int) -> None:
        for _ in range(5):
            np.testing.assert_array_equal(ac.map_blocks(block, a, block_size=10, workers=4), a * 2)

    at_once(work, 3)


def test_calls_in_the_background():
    """Submitted, watched and cancelled from all sides, and looked through as at exit."""
    a = sample((300, 300), "d")
    want = bits(ac.nanvar(a, axis=0))

    def work(number: int) -> None:
        for i in range(20):
            future = ac.submit(ac.nanvar, a, axis=0)
            future.progress()
            if (number + i) % 3 == 0:
                future.cancel()
            alive = [reference() for reference in background._futures.valuerefs()]  # as at exit
            assert any(other is future for other in alive)
            del alive
            if (number + i) % 3:
                assert bits(future.result(timeout=60)) == want

    at_once(work)


# ---- segments, pools of processes


class Fake:
    """As a segment: its size, and whether it was closed."""

    def __init__(self, size: int) -> None:
        self.size, self.closed = size, 0

    def close(self) -> None:
        self.closed += 1


def test_free_segments_are_neither_lost_nor_given_twice():
    """They come back from whatever thread an array dies in."""
    count = 20
    free = store.Store(count)
    for size in range(count):
        free.give_back(Fake(size + 1))

    def work(number: int) -> None:
        for i in range(300):
            segment = free.spare(1 + (number + i) % count)
            if segment is not None:
                segment.used = segment.__dict__.get("used", 0) + 1
                assert segment.used == 1, "two threads have it"
                segment.used = 0
                free.give_back(segment)

    at_once(work)
    left = [segment for _, segment in free._free]
    assert sorted(segment.size for segment in left) == list(range(1, count + 1))
    assert not any(segment.closed for segment in left)
    free.close()
    assert [segment.closed for segment in left] == [1] * count


def test_a_pool_of_processes_for_several_threads():
    a = np.arange(50_000.0)
    with ProcessPoolExecutor(2, threshold=0) as pool:

        def work(number: int) -> None:
            for i in range(10):
                np.testing.assert_array_equal(pool.submit(np.add, a, number * i).result(timeout=60), a + number * i)

        at_once(work, 4)
        assert pool.transfer_stats()["tasks"] == 40


def test_threads_of_pools_keep_no_context():
    """Where Python hands the context to new threads, ours would have whatever there was at the first call, for ever."""
    result = python(
        """
        import threading, time
        from contextvars import ContextVar
        import allcores as ac
        from allcores import background
        from allcores._engine import team
        from allcores.futures import ProcessPoolExecutor
        mine = ContextVar("mine", default="nothing")
        mine.set("something")
        assert ac.submit(mine.get).result() == "something"
        found, done = [], threading.Semaphore(0)
        for threads in (team.threads, background._coordinators):
            threads.call([lambda: (found.append(mine.get()), done.release())], 1)
            done.acquire(timeout=30)
        with ProcessPoolExecutor(1) as pool:
            future = pool.submit(time.sleep, 0.5)
            future.add_done_callback(lambda _: found.append(mine.get()))
        print(*found)
        """,
        env={"PYTHON_THREAD_INHERIT_CONTEXT": "1"},
    )
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("nothing nothing nothing", "", 0)


# ---- without a GIL


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_there_is_no_gil():
    """Not after the import, and not after a call of each family on each backend: CPython would warn, too."""
    result = python(f"""
        import sys
        assert not sys._is_gil_enabled()
        import numpy as np, allcores as ac
        from allcores import _kernels
        from allcores._engine import settings
        assert not sys._is_gil_enabled()
        assert _kernels.DEFAULT != "fallback"
        a = np.random.default_rng(0).normal(size=(60, 50))
        for backend in _kernels.available():
            with settings.use_backend(backend):
                for name in {FUNCTIONS!r}:
                    getattr(ac, name)(a, axis=0)
                for name in {MOVES!r}:
                    two = (a, a) if name in ("move_cov", "move_corr") else (a,)
                    getattr(ac, name)(*two, 5, **({{"q": 0.3}} if name == "move_quantile" else {{}}))
                for name in {[name for name in SCANNED if name.startswith("move")]!r}:
                    two = (a, a) if name.endswith(("cov", "corr")) else (a,)
                    getattr(ac, name)(*two, 0.5)
                ac.push(a), ac.replace(a, np.nan, 0), ac.nanmedian(a), ac.quantile(a, 0.3), ac.topk(a, 3)
                ac.partition(a, 5), ac.argpartition(a, 5), ac.sort(a), ac.argsort(a), ac.unique(a), ac.rankdata(a)
                ac.map_blocks(np.sqrt, np.abs(a)), ac.submit(ac.sum, a).result()
            assert not sys._is_gil_enabled(), backend
        print("none")
    """)
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("none", "", 0)
