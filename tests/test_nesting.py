"""Calls within calls: in blocks, in the background, in threads of others, several at once. None waits for threads that
others keep busy, and none uses more workers than the call around it may."""

from __future__ import annotations

import contextvars
import gc
import signal
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from helpers import everyday, on_thread, plain_call, python

import allcores as ac
from allcores import background
from allcores._engine import execute, settings
from allcores._engine import team as team_module
from allcores._engine.threads import Threads

# ---- in a fresh process

FRESH = """
    import asyncio, faulthandler, sys, threading, time
    faulthandler.dump_traceback_later({limit}, exit=True)
    sys.path.insert(0, {tests!r})
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    import allcores as ac
    from allcores._engine import team
    from allcores._engine.threads import Threads
    from helpers import COMPUTING, bits, plain_call, silence

    x = np.random.default_rng(0).normal(size=(6 * 300, 300))  # a block is worth a team
    blocks = [x[begin : begin + 300] for begin in range(0, len(x), 300)]

    def fresh():
        # As in a process that has measured nothing, and has no threads to lend.
        team._dispatch_latency, team.threads = None, Threads("allcores", team._become_worker)

    def call(name, block, **more):
        return plain_call(name, block, **more)

    def in_blocks(name, **more):
        def function(block):
            call(name, block, **more)
            return block
        return ac.map_blocks(function, x, block_size=300, workers=3)

    def from_blocks(name):
        fresh()
        in_blocks(name)

    def from_submit(name):
        fresh()
        futures = [ac.submit(call, name, block) for block in blocks]
        futures += [ac.submit(in_blocks, name) for _ in range(3)]
        futures += [ac.submit(lambda: ac.submit(in_blocks, name).result()) for _ in range(3)]
        [future.result() for future in futures]

    def from_threads(name):
        fresh()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda block: call(name, block, workers=3), blocks))
            list(pool.map(lambda _: in_blocks(name), range(3)))

    def from_all(name):
        fresh()
        def function(block):
            ac.map_blocks(lambda part: (call(name, part), part)[1], block, block_size=150)
            ac.submit(call, name, block).result()
            return block
        async def tasks():
            calls = [asyncio.to_thread(ac.map_blocks, function, x, block_size=300, workers=3) for _ in range(2)]
            await asyncio.gather(*calls, asyncio.wrap_future(ac.submit(in_blocks, name)))
        with ThreadPoolExecutor(2) as pool:
            done = pool.submit(lambda: ac.submit(in_blocks, name, workers=3).result())
            asyncio.run(tasks())
            done.result()

    with silence():
        for name in COMPUTING[{first}::{step}]:
            {scenario}(name)
    print("done")
"""


@pytest.mark.parametrize("scenario", everyday(["from_blocks", "from_submit", "from_threads", "from_all"], ["from_all"]))
def test_every_function_in_a_fresh_process(scenario):
    """Several at once for some of the functions: those that share a way through the engine are many."""
    few = {"from_all": (1, 4), "from_submit": (0, 2)}.get(scenario, (0, 1))
    code = FRESH.format(limit=100, tests=str(Path(__file__).parent), scenario=scenario, first=few[0], step=few[1])
    result = python(code, timeout=150)
    assert (result.stdout.strip(), result.returncode) == ("done", 0), result.stderr[-4000:]


def in_time(function, *args, seconds=30.0, **kwargs):
    """What a call returns; fails where it hangs."""
    found = []
    context = contextvars.copy_context()  # `set_workers` holds
    thread = threading.Thread(target=lambda: found.append(context.run(lambda: function(*args, **kwargs))), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"{function} hangs"
    assert found, f"{function} has raised an error"
    return found[0]


# ---- a busy pool


@pytest.fixture
def busy(monkeypatch):
    """Threads of the pool that others keep busy; nothing has been measured."""
    monkeypatch.setattr(team_module, "_dispatch_latency", None)
    monkeypatch.setattr(team_module, "threads", Threads("allcores", team_module._become_worker))
    leave = threading.Event()
    begun = threading.Semaphore(0)

    def wait(block):
        begun.release()
        assert leave.wait(60)
        return block

    thread = threading.Thread(target=ac.map_blocks, args=[wait, np.arange(3.0)], kwargs={"block_size": 1, "workers": 3})
    with ac.set_workers(3):
        monkeypatch.setattr(settings, "cores", lambda: 2)  # or another call would have more threads started
        thread.start()
        for _ in range(3):
            assert begun.acquire(timeout=30)
        yield
    leave.set()
    thread.join()


@pytest.mark.parametrize("name", ["sum", "nanmedian", "move_mean", "push", "sort", "argpartition", "topk", "unique"])
def test_a_busy_pool_is_not_waited_for(name, busy, monkeypatch):
    """And what nobody helps with is not remembered by the pool: memory of arrays is free again."""
    a = np.random.default_rng(0).normal(size=(4000, 200))
    held = weakref.ref(a)
    in_time(plain_call, name, a)
    monkeypatch.setattr(execute, "threshold", 0)
    for _ in range(20):
        in_time(plain_call, name, a)
    del a
    gc.collect()
    assert held() is None
    assert not team_module._wanted
    assert team_module.threads.waiting <= 3


def test_late_helpers_find_nothing(team, monkeypatch):
    """Threads that are free when the call is over."""
    seen = []
    compute = execute.compute
    monkeypatch.setattr(execute, "compute", lambda *args: (seen.append(threading.get_ident()), compute(*args))[1])
    leave = threading.Event()
    threads = team_module.threads
    held = [on_thread(threads, leave.wait, 30, most=3) for _ in range(max(3, threads._most))]
    ac.sum(np.ones((500, 20)), workers=3)
    assert seen == [threading.get_ident()]
    leave.set()
    for future in held:
        future.result(timeout=30)
    on_thread(threads, int).result(timeout=30)
    assert seen == [threading.get_ident()]


# ---- the latency of the pool


@pytest.fixture
def unmeasured(monkeypatch):
    for name, value in {"_dispatch_latency": None, "_measure_after": 0.0, "_pause": 1.0}.items():
        monkeypatch.setattr(team_module, name, value)


def test_a_measurement_is_short(unmeasured, monkeypatch):
    """Also where threads do not answer; nobody else waits meanwhile."""
    monkeypatch.setattr(team_module, "int", lambda: time.sleep(3), raising=False)
    began = time.monotonic()
    assert team_module.dispatch_latency() == team_module.LATEST
    assert time.monotonic() - began < 2
    with team_module._measuring:
        assert team_module.dispatch_latency() == team_module.LATEST
        monkeypatch.setattr(team_module, "_dispatch_latency", None)
        assert team_module.dispatch_latency() == team_module.LATEST


def test_a_bad_measurement_is_not_for_ever(unmeasured, monkeypatch):
    times = iter([400e-6, 450e-6, 90e-6])
    now = [100.0]
    monkeypatch.setattr(team_module, "measure", lambda: next(times))
    monkeypatch.setattr(team_module.time, "monotonic", lambda: now[0])
    assert team_module.dispatch_latency() == 400e-6
    assert team_module.dispatch_latency() == 400e-6  # not at once
    now[0] += 1.5
    assert team_module.dispatch_latency() == 400e-6  # the least one
    now[0] += 1.5
    assert team_module.dispatch_latency() == 400e-6
    now[0] += 1.5
    assert team_module.dispatch_latency() == 90e-6
    now[0] += 1000
    assert team_module.dispatch_latency() == 90e-6  # that will do


def test_no_thread_no_team(unmeasured, monkeypatch):
    monkeypatch.setattr(team_module, "measure", lambda: float("inf"))
    assert team_module.dispatch_latency() == float("inf")
    assert team_module._dispatch_latency is None


# ---- workers are those of the whole call


class AtWork:
    """How many threads are within kernels or blocks, at most."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1


@pytest.fixture
def kernels(team, monkeypatch):
    """Counts the threads that run kernels, each of which takes a moment."""
    at_work = AtWork()
    compute = execute.compute

    def counted(*args):
        with at_work:
            time.sleep(0.001)
            return compute(*args)

    monkeypatch.setattr(execute, "compute", counted)
    return at_work


def big():
    return np.random.default_rng(0).normal(size=(40, 300))


def nested(block):
    """Calls that would have more workers, if they could."""
    ac.sum(block, workers=4)
    with ac.set_workers(4):
        ac.nanmedian(block, axis=1)
        ac.map_blocks(np.abs, block, workers=4)
    return block


WAYS = {
    "map_blocks": lambda f, **how: ac.map_blocks(f, big(), block_size=10, **how),
    "one block": lambda f, **how: ac.map_blocks(f, big(), block_size=40, **how),
    "map_overlap": lambda f, **how: ac.map_overlap(f, big(), 1, block_size=10, **how),
    "reduction": lambda f, **how: ac.reduction(
        big(), lambda x, axis, keepdims: np.sum(f(x), axis=axis, keepdims=keepdims), np.sum, block_size=10, **how
    ),
    "aggregate": lambda f, **how: ac.reduction(
        big(), np.sum, lambda x, axis, keepdims: np.sum(f(x), axis=axis, keepdims=keepdims), block_size=10, **how
    ),
    "apply_along_axis": lambda f, **how: ac.apply_along_axis(
        lambda x: f(x[None]).sum(), 1, big(), block_size=10, **how
    ),
    "progress": lambda f, **how: ac.map_blocks(
        lambda x: x, big(), block_size=10, progress=lambda done, total: f(big()), **how
    ),
    "submit": lambda f, **how: ac.submit(ac.map_blocks, f, big(), block_size=10, **how).result(),
    "submit within": lambda f, **how: ac.map_blocks(lambda x: ac.submit(f, x).result(), big(), block_size=10, **how),
}


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("way", WAYS)
def test_workers_of_the_whole_call(way, workers, kernels):
    seen = []

    def function(block):
        seen.append(ac.get_workers())
        return nested(block)

    in_time(WAYS[way], function, workers=workers)
    assert kernels.most <= workers
    assert max(seen) <= workers
    with ac.set_workers(workers):
        in_time(WAYS[way], function)
    assert kernels.most <= workers


def test_blocks_beside_others_have_one_worker(kernels):
    seen = []

    def function(block):
        seen.append(ac.get_workers())
        submitted = ac.submit(threading.get_ident)
        assert submitted.done()  # here, at once: those who could make it may all wait for this block
        assert submitted.result() == threading.get_ident()
        return block

    in_time(ac.map_blocks, function, big(), block_size=10, workers=2)
    assert seen == [1] * 4


def test_workers_are_alone_in_any_context(kernels):
    """Who leaves the context of a call is still in one of its threads."""

    def function(block):
        for _ in range(10):
            contextvars.Context().run(nested, block)
        return block

    in_time(ac.map_blocks, function, big(), block_size=10, workers=2)
    assert kernels.most <= 2


def test_one_block_has_all_the_workers_of_the_call(kernels):
    """And after the call there is no limit."""
    ac.map_blocks(nested, big(), block_size=40, workers=2)
    assert kernels.most == 2
    for _ in range(20):  # helpers may come late
        ac.sum(np.ones((2000, 50)), workers=3)
    assert kernels.most == 3


def test_a_limit_ends_with_its_call(kernels):
    """Also for whom has kept the context."""
    kept = []
    ac.map_blocks(lambda x: (kept.append(contextvars.copy_context()), x)[1], big(), workers=1)
    assert kept[0].run(ac.get_workers) == ac.get_workers() == 3


def test_a_source_that_calls(kernels, tmp_path):
    """Reading is part of the call."""

    class Calling(ac.Source):
        def __init__(self):
            self.name, self.shape, self.dtype, self.chunks = "calling", (600_000,), np.dtype(float), (100_000,)

        def read(self, region):
            nested(big())
            return np.ones(region[0].stop - region[0].start)

    assert ac.sum(Calling(), workers=1) == 600_000
    assert kernels.most == 1


# ---- calls in the background that wait for others


WAITING = """
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    import allcores as ac
    from allcores._engine import settings

    def outer():
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(lambda i: ac.submit(ac.sum, np.full(10, i)).result(), range(3)))

    futures = [ac.submit(outer) for _ in range(3 * max(2, settings.cores()))]
    print({int(future.result()) for future in futures})
"""


def test_waiting_from_threads_of_others():
    """As many calls as there are coordinators, each of which waits for threads that wait for calls."""
    result = python(WAITING, timeout=40)
    assert (result.stdout.strip(), result.returncode) == ("{30}", 0), result.stderr[-4000:]


def test_waiting_with_a_time_limit():
    gate, end = threading.Event(), threading.Event()
    held = [ac.submit(gate.wait, 30) for _ in range(max(2, settings.cores()))]
    late = ac.submit(end.wait, 30)
    try:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            late.result(timeout=0.02)  # the main thread waits for its turn
        assert not late.running()

        def wait():
            with pytest.raises(TimeoutError):
                late.exception(timeout=background.PATIENCE + 0.01)
            return late.running()

        assert in_time(wait)
        assert time.monotonic() - began < 10
        end.set()
        assert in_time(late.result) is True
        assert not any(future.done() for future in held)
    finally:
        end.set()
        gate.set()
    assert all(future.result(timeout=30) for future in held)


def test_a_cancelled_call_is_not_begun_by_who_waits():
    gate, seen = threading.Event(), []
    held = [ac.submit(gate.wait, 30) for _ in range(max(2, settings.cores()))]
    late = ac.submit(seen.append, 1)
    threading.Timer(0.01, late.cancel).start()
    with pytest.raises(BaseException, match=r"^$"):
        late.result(timeout=30)
    assert in_time(late.cancelled)
    gate.set()
    assert all(future.result(timeout=30) for future in held)
    assert seen == []


# ---- in the middle of anything

HELD = """
    import faulthandler, sys, threading
    faulthandler.dump_traceback_later(30, exit=True)
    import concurrent.futures.thread, logging
    import numpy as np
    import allcores as ac
    import allcores.blocks.calls
    from allcores import background
    from allcores._engine import execute, settings, team
    from allcores._engine.threads import Threads
    from allcores._kernels import fallback

    kinds = type(threading.Lock()), type(threading.RLock())
    places = [(concurrent.futures.thread, "_global_shutdown_lock"), (logging, "_lock")]
    places += [(threading, name) for name in vars(threading)]
    ours = [each for name, each in sys.modules.items() if name.startswith("allcores")]
    places += [(each, name) for each in ours for name in vars(each)]
    held = {id(found): (each, name, found) for each, name in places if isinstance(found := vars(each)[name], kinds)}
    names = {name for _, name, _ in held.values()}
    assert {"_global_shutdown_lock", "_active_limbo_lock", "_doors_lock"} <= names, names

    execute.threshold = 0
    x = np.ones((3000, 20))

    def calls(submit):
        assert ac.sum(x, workers=3) == 60_000
        assert ac.map_blocks(np.abs, x, workers=3).sum() == 60_000
        if submit:
            assert ac.submit(ac.sum, x, workers=3).result() == 60_000

    for each, name, lock in held.values():
        for backend in ("fallback", settings.backend()):
            team._dispatch_latency, team.threads = None, Threads("allcores", team._become_worker)
            background._coordinators = Threads("allcores-call", background._become_coordinator)
            for _ in range(2):  # nothing is there yet, and all
                with lock, settings.use_backend(backend):
                    calls(each not in ours)  # the coordinator needs those of ours
                calls(True)
    print("done")
"""


def test_calls_where_a_lock_is_held():
    """As from `__del__` or a signal handler, in the middle of somebody's `Executor.submit` or `Thread.start`, or of a
    call: no lock of a module is waited for."""
    result = python(HELD, timeout=60)
    assert (result.stdout.strip(), result.returncode) == ("done", 0), result.stderr[-4000:]


INTERRUPTS = """
    import faulthandler, signal, sys, threading
    faulthandler.dump_traceback_later(40, exit=True)
    from concurrent.futures import ThreadPoolExecutor
    import numpy as np
    import allcores as ac
    from allcores._engine import settings

    x, made, within = np.ones(2_000_000), 0, False

    def call(*_):
        global made, within
        if within:
            return  # signals that come faster than they are handled
        made, within = made + 1, True
        assert ac.sum(x, workers=2) == 2_000_000
        assert ac.submit(ac.sum, x, workers=2).result() == 2_000_000
        within = False

    class Log:
        def __init__(self):
            self.cycle = self
        __del__ = call

    def submits(pool):
        pool.submit(int)

    def starts(pool):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

    def computes(pool):
        with settings.use_backend("fallback"):
            ac.nanmax(x[:50_000], workers=2)
            ac.submit(int).progress()

    {before}
    with ThreadPoolExecutor(1) as pool:
        for number in range(100_000):
            if {begins} == "collected" and number % 20 == 0:
                Log()
            {does}(pool)
            if made >= {most}:
                break
    print("done" if made >= {most} else made)
    signal.setitimer(signal.ITIMER_REAL, 0)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer's signals here")
@pytest.mark.parametrize("does", ["submits", "starts", "computes"])
@pytest.mark.parametrize("begins", ["collected", "signalled"])
def test_calls_of_destructors_and_signal_handlers(begins, does):
    before, most = "import gc; gc.set_threshold(150, 2, 2)", 2
    if begins == "signalled":
        most = 30
        before = "signal.signal(signal.SIGALRM, call); signal.setitimer(signal.ITIMER_REAL, 0.005, 0.011)"
    code = INTERRUPTS.format(before=before, begins=repr(begins), does=does, most=most)
    result = python(code, timeout=60)
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("done", "", 0)
