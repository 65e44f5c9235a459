"""submit: futures of calls in the background, which can be watched and cancelled while they run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import sys
import threading
import time
import weakref
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, as_completed, wait

import numpy as np
import pytest
from helpers import GIL, collect, python

import allcores as ac
from allcores import background
from allcores._engine import execute, jobs, settings

STEP = 0.005
# Half a minute of work for all cores of a small machine, in eight bytes.
ENDLESS = np.lib.stride_tricks.as_strided(np.ones(1), (10**11,), (0,), writeable=False)


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """Three threads for any work, and never the door for small arrays."""
    monkeypatch.setattr(execute, "threshold", 0)
    monkeypatch.setattr(settings, "doors", False, raising=False)
    with ac.set_workers(3):
        yield


class Gate:
    """Blocks of a call that wait for each other: how many have begun, and how many may end."""

    def __init__(self):
        self.begun = self.ended = 0
        self.lock = threading.Lock()
        self.may = threading.Semaphore(0)

    def __call__(self, x):
        with self.lock:
            self.begun += 1
        assert self.may.acquire(timeout=20)
        with self.lock:
            self.ended += 1
        return x

    def let(self, number):
        for _ in range(number):
            self.may.release()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def gated(blocks=10, **options):
    gate = Gate()
    return gate, ac.submit(ac.map_blocks, gate, np.arange(float(blocks)), block_size=1, **options)


def slow_sum(x):
    time.sleep(STEP)
    return ac.sum(x)


# ---- results


def test_results_and_errors():
    x = np.random.default_rng(0).normal(size=(200, 30))
    future = ac.submit(ac.nanmean, x, axis=0, workers=2)
    assert isinstance(future, concurrent.futures.Future)
    np.testing.assert_array_equal(future.result(timeout=20), ac.nanmean(x, axis=0))
    assert future.done()
    assert not future.cancelled()
    assert not future.running()
    assert not future.cancel()
    assert future.exception() is None
    failed = ac.submit(ac.sum, x, axis=5)
    with pytest.raises(ValueError, match="out of bounds"):
        failed.result(timeout=20)
    assert isinstance(failed.exception(), ValueError)
    assert not failed.cancel()
    with pytest.raises(SystemExit):
        ac.submit(sys.exit, 3).result(timeout=20)


def test_the_caller_s_context_holds():
    with ac.set_workers(7), np.errstate(divide="raise"):
        workers = ac.submit(ac.get_workers)
        failed = ac.submit(np.divide, 1.0, 0.0)
    assert workers.result(timeout=20) == 7
    assert isinstance(failed.exception(timeout=20), FloatingPointError)


def test_first_in_first_out_and_bounded():
    order, most = [], [0, 0]
    lock = threading.Lock()

    def work(i):
        with lock:
            order.append(i)
            most[0] += 1
            most[1] = max(most)
        time.sleep(0.002)
        with lock:
            most[0] -= 1

    futures = [ac.submit(work, i) for i in range(40)]
    wait(futures, timeout=20)
    bound = max(2, settings.cores())
    assert most[1] <= bound
    # One that has begun may not say so before others have; but none begins before its turn.
    assert all(i - place < bound for place, i in enumerate(order))
    assert sorted(order) == list(range(40))


def test_all_threads_are_used():
    gate, future = gated()
    until(lambda: gate.begun == 3)
    gate.let(10)
    assert future.result(timeout=20).sum() == 45


def test_callbacks():
    seen = []
    future = ac.submit(int, "3")
    future.add_done_callback(lambda f: seen.append(f.result()))
    until(lambda: seen == [3])
    gate, future = gated()
    future.add_done_callback(lambda f: seen.append(f.cancelled()))
    until(lambda: gate.begun)
    future.cancel()
    assert seen == [3]
    gate.let(10)
    until(lambda: seen == [3, True])


# ---- progress


def test_progress():
    gate, future = gated(progress=None)
    until(lambda: gate.begun == 3)
    assert future.running()
    assert future.progress() == (0, 10)
    gate.let(4)
    until(lambda: gate.begun == 7)
    assert future.progress() == (4, 10)
    gate.let(6)
    future.result(timeout=20)
    assert future.progress() == (10, 10)


def test_progress_of_kernels(monkeypatch):
    """Chunks of all passes."""
    monkeypatch.setattr(ac._engine.execute, "chunk_size", 64)
    monkeypatch.setattr(ac._engine.execute, "output_chunk", 64)
    x = np.ones((1000, 100))
    for function, options in [(ac.sum, {}), (ac.nanvar, {"axis": 0}), (ac.move_mean, {"window": 5}), (ac.push, {})]:
        future = ac.submit(function, x, **options)
        future.result(timeout=20)
        done, total = future.progress()
        assert done == total > 10, function


def test_progress_before_and_without_chunks():
    gate, first = gated()
    others = [ac.submit(time.sleep, 0.001) for _ in range(2 * settings.cores() + 2)]
    until(lambda: gate.begun)
    last = ac.submit(gate, 3)
    assert last.progress() == (0, 0)
    gate.let(11)
    wait([first, *others, last], timeout=20)
    assert last.progress() == (1, 1)
    failed = ac.submit(int, "x")
    wait([failed])
    assert failed.progress() == (1, 1)


def test_only_blocks_are_counted():
    """Not the chunks of calls within a block."""
    future = ac.submit(ac.map_blocks, lambda x: x + ac.sum(np.ones((500, 100))), np.arange(8.0), block_size=1)
    future.result(timeout=20)
    assert future.progress() == (8, 8)


def test_several_calls_in_one():
    def both():
        for _ in range(2):
            ac.map_blocks(np.sqrt, np.arange(8.0), block_size=2)

    future = ac.submit(both)
    future.result(timeout=20)
    assert future.progress() == (8, 8)


# ---- cancelling


def test_cancel_before_it_runs():
    gates = [gated() for _ in range(settings.cores() + 2)]
    waiting = gates[-1][1]
    assert not waiting.running()
    assert waiting.cancel()
    assert waiting.cancelled()
    assert waiting.done()
    assert waiting.cancel()
    assert wait([waiting], timeout=5).done
    with pytest.raises(CancelledError):
        waiting.result()
    for gate, _ in gates:
        gate.let(10)
    wait([future for _, future in gates], timeout=20)
    assert gates[-1][0].begun == 0
    assert waiting.progress() == (0, 0)


def test_cancel_while_it_runs():
    """True at once; done when the last block has stopped; nobody begins another one."""
    gate, future = gated(100)
    until(lambda: gate.begun == 3)
    gate.let(2)
    until(lambda: gate.begun == 5)
    assert future.cancel()
    assert future.cancel()
    time.sleep(0.05)
    assert not future.done()
    assert future.running()
    gate.let(3)
    with pytest.raises(CancelledError):
        future.result(timeout=20)
    assert future.cancelled()
    assert future.done()
    assert future.cancel()
    assert gate.begun == gate.ended == 5
    assert future.progress() == (5, 100)


def test_cancelled_even_if_it_would_have_been_finished():
    """The last block, an exception, and a function that knows nothing of it."""
    gate, future = gated(3)
    until(lambda: gate.begun == 3)
    assert future.cancel()
    gate.let(3)
    wait([future], timeout=20)
    assert future.cancelled()
    for end in (lambda: 1, lambda: 1 / 0):
        begun, go = threading.Event(), threading.Event()
        future = ac.submit(lambda begun=begun, go=go, end=end: (begun.set(), go.wait(20), end()))
        begun.wait(20)
        assert future.cancel()
        go.set()
        wait([future], timeout=20)
        assert future.cancelled()


@pytest.mark.parametrize("catch", [Exception, BaseException])
def test_cancel_past_what_a_function_catches(catch):
    begun = threading.Event()

    def stubborn():
        for _ in range(3):
            try:
                while True:
                    begun.set()
                    ac.map_blocks(lambda x: (time.sleep(0.001), x)[1], np.arange(100.0), block_size=1)
            except catch:
                pass

    future = ac.submit(stubborn)
    begun.wait(20)
    assert future.cancel()
    wait([future], timeout=20)
    assert future.cancelled()


def test_cancel_between_passes():
    """A pass that would begin after it does not."""
    begun, go, after, out = threading.Event(), threading.Event(), [], np.zeros(5000)

    def passes():
        ac.map_blocks(np.sqrt, np.arange(8.0), block_size=2)
        begun.set()
        go.wait(20)
        ac.move_mean(np.ones(5000), 3, 1, out=out)
        after.append(1)

    future = ac.submit(passes)
    begun.wait(20)
    future.cancel()
    go.set()
    wait([future], timeout=20)
    assert future.cancelled()
    assert not after
    assert not out.any()


def test_cancel_a_kernel():
    """At its next chunk: long before its end."""
    for workers in (1, 3):
        future = ac.submit(ac.nansum, ENDLESS, workers=workers)
        until(lambda future=future: future.progress()[0] > 2)
        assert future.cancel()
        wait([future], timeout=20)
        assert future.cancelled()
        done, total = future.progress()
        assert 2 < done < total


def test_cancel_stops_calls_within_a_block():
    begun, ended = threading.Semaphore(0), []

    def block(x):
        begun.release()
        ended.append(ac.nansum(ENDLESS[: 10**10]))  # it ends soon where it goes on
        return x

    future = ac.submit(ac.map_blocks, block, np.arange(6.0), block_size=1)
    for _ in range(3):
        assert begun.acquire(timeout=20)
    assert future.cancel()
    wait([future], timeout=60)
    assert not ended
    assert future.cancelled()


def test_cancel_at_any_time():
    """A race, often: it ends cancelled where cancel() said so, and otherwise not."""
    x = np.ones((300, 100))
    for i in range(200):
        future = ac.submit(ac.sum, x, axis=0)
        time.sleep(i * 2e-6)
        said = future.cancel()
        wait([future], timeout=20)
        assert said == future.cancelled()
        if not said:
            np.testing.assert_array_equal(future.result(), np.full(100, 300.0))


def test_the_threads_go_on_after_cancelling():
    for _ in range(5):
        gate, future = gated(50)
        until(lambda gate=gate: gate.begun)
        future.cancel()
        gate.let(3)
        wait([future], timeout=20)
    assert ac.submit(ac.sum, np.ones((100, 100))).result(timeout=20) == 10_000
    assert ac.sum(np.ones((100, 100))) == 10_000
    assert jobs.current.get() is None


# ---- together with others


def test_wait_and_as_completed():
    gate, held = gated()
    quick = [ac.submit(ac.sum, np.full((100, 100), i)) for i in range(5)]
    done, pending = wait([held, *quick], timeout=20, return_when=FIRST_COMPLETED)
    assert held in pending
    assert done
    assert sorted(future.result() for future in as_completed(quick, timeout=20)) == [i * 1e4 for i in range(5)]
    held.cancel()
    gate.let(3)
    assert next(as_completed([held], timeout=20)) is held
    assert wait([held]).not_done == set()


def test_asyncio():
    async def main():
        x = np.ones((500, 100))
        totals = await asyncio.gather(*(asyncio.wrap_future(ac.submit(ac.sum, x * i)) for i in range(4)))
        assert totals == [5e4 * i for i in range(4)]
        gate, future = gated()
        task = asyncio.wrap_future(future)
        while gate.begun < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0.01)
        gate.let(3)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait, [future], 20)
        assert future.cancelled()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wrap_future(ac.submit(lambda: 1 / 0))

    asyncio.run(main())


def test_tqdm():
    tqdm = pytest.importorskip("tqdm").tqdm
    futures = [ac.submit(ac.sum, np.ones((100, 100))) for _ in range(5)]
    with open("/dev/null", "w") as null:
        results = [future.result() for future in tqdm(as_completed(futures), total=5, file=null)]
        with tqdm(file=null) as bar:
            gate, future = gated()
            gate.let(10)
            while not future.done():
                bar.n, bar.total = future.progress()
                bar.refresh()
            bar.n, bar.total = future.progress()
            assert (bar.n, bar.total) == (10, 10)
    assert results == [1e4] * 5


def test_nested():
    """Calls in the background that wait for others, many more than there are coordinators."""

    def outer(depth):
        if not depth:
            return ac.sum(np.ones((50, 100)))
        inner = [ac.submit(outer, depth - 1) for _ in range(3)]
        return sum(future.result(timeout=20) for future in inner)

    futures = [ac.submit(outer, 2) for _ in range(20)]
    assert [future.result(timeout=30) for future in futures] == [9 * 5000] * 20


def test_cancel_reaches_what_is_nested():
    begun, blocks = threading.Event(), []

    def outer():
        return ac.submit(ac.map_blocks, slow_block, np.arange(20_000.0), block_size=1).result()

    def slow_block(x):
        begun.set()
        blocks.append(x)
        time.sleep(0.001)
        return x

    future = ac.submit(outer)
    assert begun.wait(20)
    future.cancel()
    wait([future], timeout=60)
    assert future.cancelled()
    assert len(blocks) < 10_000


def test_many_threads_submit_and_cancel():
    x = np.ones((100, 100))

    def work(i):
        future = ac.submit(ac.sum, x, axis=i % 2)
        if i % 3 == 0:
            return future.cancel() == (wait([future], timeout=20) and future.cancelled())
        return future.result(timeout=20).sum() == 1e4

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(work, range(300)))


# ---- what is left


def test_nothing_is_kept():
    class Kept(np.ndarray):
        pass

    def fail(x):
        raise ValueError

    gc.disable()
    try:
        for function in (np.sqrt, fail):
            x = np.ones(10).view(Kept)
            reference = weakref.ref(x)
            future = ac.submit(function, x)
            wait([future], timeout=20)
            del x, future
            if not GIL:
                collect()  # what a thread has made that waits now is freed by nobody else
            until(lambda reference=reference: reference() is None)
    finally:
        gc.enable()


def test_a_cancelled_call_lets_go_of_its_arguments():
    gates = [gated() for _ in range(settings.cores() + 2)]

    class Kept(np.ndarray):
        pass

    x = np.ones(10).view(Kept)
    reference = weakref.ref(x)
    future = ac.submit(np.sqrt, x)
    del x
    future.cancel()
    assert reference() is None
    for gate, _ in gates:
        gate.let(10)
    wait([future for _, future in gates], timeout=20)


def test_small_calls_look_for_no_job(monkeypatch):
    """What takes the compiled short way does not slow down."""
    monkeypatch.undo()

    class Watched:
        def get(self):
            raise AssertionError

    monkeypatch.setattr(jobs, "current", Watched())
    monkeypatch.setattr(settings, "doors", 1)
    from allcores import _kernels

    if _kernels.DEFAULT != "fallback":
        assert ac.sum(np.ones(10)) == 10
    with pytest.raises(AssertionError):
        ac.sum(np.ones(5_000_000))


# ---- exit

EXIT = """
    import time, threading, atexit
    import numpy as np, allcores as ac
    from allcores._engine import execute
    execute.threshold = 0
    begun, blocks = threading.Event(), []
    def slow(x):
        begun.set()
        blocks.append(x)
        time.sleep(0.01)
        return x
"""


def run(code):
    import textwrap

    return python(textwrap.dedent(EXIT) + textwrap.dedent(code))


def test_the_interpreter_waits():
    result = run("""
        future = ac.submit(ac.map_blocks, slow, np.arange(30.0), block_size=1, workers=2)
        future.add_done_callback(lambda f: print(f.result().sum(), flush=True))
    """)
    assert (result.stdout.split(), result.stderr, result.returncode) == (["435.0"], "", 0)


def test_an_interrupt_does_not_wait():
    result = run("""
        future = ac.submit(ac.map_blocks, slow, np.arange(3000.0), block_size=1, workers=2)
        later = [ac.submit(time.sleep, 1) for _ in range(20)]
        begun.wait()
        for f in (future, *later):
            f.add_done_callback(lambda f: print(f.cancelled(), flush=True))
        atexit.register(lambda: print(len(blocks) < 1500, flush=True))
        raise KeyboardInterrupt
    """)
    assert "KeyboardInterrupt" in result.stderr
    assert result.stdout.split().count("True") >= 19
    assert result.stdout.split()[-1] == "True"


def test_submit_at_exit():
    result = run("""
        ac.submit(int)
        def late():
            try:
                print(ac.submit(ac.sum, np.ones(10)).result())
            except RuntimeError as error:
                print("refused")
        atexit.register(late)
    """)
    assert (result.stdout.split(), result.stderr, result.returncode) == (["refused"], "", 0)


def test_callbacks_that_exit(caplog):
    """It is logged, and the others are called."""
    called, go = threading.Semaphore(0), threading.Event()
    future = ac.submit(go.wait, 20)
    for callback in (sys.exit, lambda _: called.release()):
        future.add_done_callback(callback)
    go.set()
    assert future.result(timeout=20)
    assert called.acquire(timeout=20)
    assert "SystemExit" in caplog.text


def test_coordinators_are_named():
    assert ac.submit(lambda: threading.current_thread().name).result(timeout=20).startswith("allcores-call")
    assert background._coordinators._most == max(2, settings.cores())
