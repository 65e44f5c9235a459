"""Threads: the GIL is released, settings stay where they belong, calls nest, fork and end without a hang."""

from __future__ import annotations

import _thread
import asyncio
import os
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from helpers import COMPILED, FUNCTIONS, GIL, bits, on_thread, outcome, python, sample

import allcores as ac
from allcores import _kernels, background
from allcores._engine import execute, grid, settings
from allcores._engine import team as team_module
from allcores._engine.registry import REDUCTIONS
from allcores._engine.threads import Threads


def endless(name, level):
    """More work than a kernel does before it returns to Python, in little memory: kernel, operand, cursor, partials."""
    a = np.full(10_000, {"any": 0.0, "allnan": np.nan}.get(name, 1.0))
    x = np.lib.stride_tricks.as_strided(a, (1 << 19, a.size, 1), (0, 8, 8), writeable=False)
    cut = grid.Grid(len(x), a.size, 1, 1, grid.power_above(grid.ceil_div(a.size, grid.LINE_LEAF)), 1)
    partials = execute.partials(REDUCTIONS[name].partial(a.dtype), cut)
    return getattr(_kernels.load(level), name), x, execute.cursor_of(cut), partials


def runs_meanwhile(function) -> bool:
    """Whether Python runs in this thread while another is inside `function`.

    With a switch interval of a minute, nobody gets the GIL from a thread that does not give it up. Where it is given
    up for some milliseconds only, a busy machine may be too slow to notice: there are ten tries.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        for _ in range(10):
            inside, seen = threading.Event(), []

            def work(inside=inside, seen=seen):
                inside.set()
                function()
                seen.append("returned")

            thread = threading.Thread(target=work)
            thread.start()
            inside.wait()
            seen.append("here")
            thread.join()
            if seen == ["here", "returned"]:
                return True
    finally:
        sys.setswitchinterval(interval)
    return False


with_a_gil = pytest.mark.skipif(not GIL, reason="there is no GIL")


@with_a_gil
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("level", COMPILED)
def test_a_kernel_releases_the_gil(name, level):
    """In one call of the compiled function, which is in the middle of its work when it returns."""
    kernel, x, cursor, partials = endless(name, level)
    chunks = cursor[execute.END]

    def one_call():
        cursor[:4] = 0, chunks, 0, 0
        kernel(x, None, cursor, *partials)

    assert runs_meanwhile(one_call)
    assert 0 < cursor[execute.DONE] < cursor[execute.END]


@with_a_gil
def test_python_does_not():
    """The test above can fail."""
    assert not runs_meanwhile(lambda: sum(range(1_000_000)))


@pytest.mark.parametrize("level", COMPILED)
def test_a_kernel_stops(level):
    """At its next chunk, and by itself after 20 ms or so."""
    kernel, x, cursor, partials = endless("sum", level)
    cursor[execute.STOP] = 1
    kernel(x, None, cursor, *partials)
    assert cursor[execute.DONE] == cursor[execute.NEXT] == 0
    cursor[execute.STOP] = 0
    began = time.monotonic()
    kernel(x, None, cursor, *partials)
    assert time.monotonic() - began > 0.01
    assert 0 < cursor[execute.DONE] == cursor[execute.NEXT] < cursor[execute.END]


def test_the_fallback_stops():
    kernel, x, cursor, partials = endless("sum", "fallback")
    cursor[execute.END], cursor[execute.STOP] = 3, 1
    kernel(x, None, cursor, *partials)
    assert cursor[execute.DONE] == cursor[execute.NEXT] == 0


def test_set_workers_belongs_to_its_thread():
    before = ac.get_workers()
    found = {}
    gate = threading.Barrier(2)

    def work(n):
        with ac.set_workers(n):
            gate.wait()
            found[n] = ac.get_workers()
            gate.wait()
        found[-n] = ac.get_workers()

    threads = [threading.Thread(target=work, args=(n,)) for n in (3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {3: 3, 7: 7, -3: before, -7: before}


def test_set_workers_belongs_to_its_task():
    async def work(n):
        with ac.set_workers(n):
            await asyncio.sleep(0.01)
            return ac.get_workers()

    async def both():
        return await asyncio.gather(work(3), work(7))

    assert asyncio.run(both()) == [3, 7]


def test_set_workers_nests():
    with ac.set_workers(5):
        with ac.set_workers(2):
            assert ac.get_workers() == 2
        assert ac.get_workers() == 5
        with pytest.raises(ZeroDivisionError), ac.set_workers(3):
            raise ZeroDivisionError
        assert ac.get_workers() == 5


def test_calls_in_a_worker_run_inline(team):
    """No deadlock where workers call allcores themselves, however many."""
    a = sample((500, 20), "d")
    want = bits(ac.sum(a, axis=0, workers=1))
    call = partial(ac.sum, a, axis=0, workers=3)
    futures = [on_thread(team_module.threads, call, most=3) for _ in range(50)]
    assert all(bits(future.result(timeout=30)) == want for future in futures)
    assert on_thread(team_module.threads, lambda: team_module.here.worker).result(timeout=30)


@pytest.mark.parametrize("name", ["sum", "nanvar", "argmax", "any", "nanmean"])
def test_many_callers(name, backend, team):
    """Many threads call at once, each with a team."""
    arrays = [sample((300, 20), "d", seed) for seed in range(8)]
    want = [bits(getattr(ac, name)(a, axis=0, workers=1)) for a in arrays]

    def work(i):
        with settings.use_backend(backend):
            return bits(getattr(ac, name)(arrays[i % 8], axis=0, workers=1 + i % 5))

    with ThreadPoolExecutor(8) as pool:
        for i, result in enumerate(pool.map(work, range(200))):
            assert result == want[i % 8]


def test_a_busy_pool_is_not_waited_for(team):
    """Helpers that have not started when the work is done are cancelled, and nobody waits for them."""
    leave, threads = threading.Event(), team_module.threads
    busy = [on_thread(threads, leave.wait, 20, most=3) for _ in range(2 * max(3, threads._most))]
    try:
        assert ac.sum(np.ones((500, 20)), workers=3) == 10_000
    finally:
        leave.set()
    assert all(future.result(timeout=30) for future in busy)  # false of those that have waited in vain


def test_the_pool_grows(team):
    a = sample((500, 20), "d")
    for workers in (2, 9, 3, 12):
        assert bits(ac.sum(a, workers=workers)) == bits(ac.sum(a, workers=1))


def test_an_error_in_a_helper_reaches_the_caller(team, monkeypatch):
    main, begun = threading.get_ident(), threading.Event()
    compute = execute.compute

    def fails(*args):
        if threading.get_ident() != main:
            begun.set()
            raise MemoryError("in a helper")
        assert begun.wait(30)
        return compute(*args)

    monkeypatch.setattr(execute, "compute", fails)
    with pytest.raises(MemoryError, match="in a helper"):
        ac.sum(np.ones(5000), workers=3)


def test_helpers_stop_where_the_caller_raises(team):
    """Or an interrupt would wait for all that is left to do."""
    main, begun, stopped, seen = threading.get_ident(), threading.Event(), threading.Event(), []

    def work():
        if threading.get_ident() == main:
            assert begun.wait(30)
            raise KeyboardInterrupt
        begun.set()
        seen.append(stopped.wait(10))

    with pytest.raises(KeyboardInterrupt):
        team_module.together(work, 2, stopped.set)
    assert seen == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("name", ["sum", "var", "nanmax"])
def test_fork_while_the_pool_is_busy(name, team):
    a = sample((2000, 50), "d")
    want = bits(getattr(ac, name)(a, axis=0))
    stop, busy = threading.Event(), threading.Event()

    def keep_busy():
        while not stop.is_set():
            getattr(ac, name)(a, axis=0, workers=4)
            busy.set()

    threads = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert busy.wait(30)
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                code = 1
                try:
                    same = bits(getattr(ac, name)(a, axis=0, workers=3)) == want
                    with settings.use_backend("fallback"):
                        code = 0 if same and bits(getattr(ac, name)(a[:50], axis=0, workers=3)) else 2
                finally:
                    os._exit(code)
            assert wait(child) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert bits(getattr(ac, name)(a, axis=0)) == want


def wait(child, timeout=30):
    """The exit code of a child; kills one that hangs."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def test_functions_are_usable_from_any_thread():
    a = sample((50, 7), "d")
    results = {}

    def work():
        for name in FUNCTIONS:
            results[name] = outcome(getattr(ac, name), a, axis=0)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for name in FUNCTIONS:
        assert bits(results[name]) == bits(outcome(getattr(ac, name), a, axis=0))


def test_no_hang_where_nobody_can_help():
    """The threads have ended: the caller does everything."""
    result = python("""
        import numpy as np, allcores as ac
        from allcores._engine import execute, settings, threads
        execute.threshold = settings.doors = 0
        x = np.ones((1000, 100))
        assert ac.sum(x, workers=3) == 100000
        threads._close()
        print(ac.sum(x, workers=3))
    """)
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("100000.0", "", 0)


@pytest.fixture
def no_more_threads(monkeypatch):
    """As at the limit of a user or a control group, and always in WebAssembly. A test may let some be started."""
    allowed = threading.Semaphore(0)

    def limited(start, *args):
        if not allowed.acquire(blocking=False):
            raise RuntimeError("can't start new thread")
        return start(*args)

    monkeypatch.setattr(team_module, "threads", Threads("allcores", team_module._become_worker))
    monkeypatch.setattr(team_module, "_dispatch_latency", None)
    monkeypatch.setattr(background, "_coordinators", Threads("allcores-call", background._become_coordinator))
    monkeypatch.setattr(_thread, "start_new_thread", partial(limited, _thread.start_new_thread))
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda thread: limited(start, thread))
    return allowed


def test_no_thread_is_to_be_had(no_more_threads):
    x = np.random.default_rng(0).normal(size=(3000, 400))
    for name in ("sum", "nanvar", "median", "sort"):
        function = getattr(ac, name)
        assert bits(function(x, axis=0, workers=3)) == bits(function(x, axis=0, workers=1)), name
    assert (ac.map_blocks(np.abs, x, workers=3) == abs(x)).all()
    with pytest.raises(RuntimeError, match="can't start new thread"):
        ac.submit(ac.sum, x)
    no_more_threads.release(2)
    assert team_module.dispatch_latency() < 1
    assert bits(ac.sum(x, workers=3)) == bits(ac.sum(x, workers=1))


def test_one_bare_thread_is_to_be_had(no_more_threads):
    """The one that would start another makes the calls itself."""
    no_more_threads.release()
    assert ac.submit(ac.sum, np.ones(10)).result(timeout=10) == 10


def test_what_could_not_be_submitted_is_not_called_later(no_more_threads):
    busy, begun, late = threading.Event(), threading.Event(), []
    no_more_threads.release(2)
    first = ac.submit(lambda: (begun.set(), busy.wait(10))[1])
    assert begun.wait(10)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        ac.submit(late.append, 1)
    busy.set()
    assert first.result(timeout=10)
    end, threads = time.monotonic() + 10, background._coordinators
    while (threads._unfinished or not threads.started) and time.monotonic() < end:
        time.sleep(0.001)  # a moment later it is known that the thread is there, and that it is free
    on_thread(threads, int).result(timeout=10)
    assert late == []
