"""Blocks on executors: results straight into shared memory, faults, and that nothing is left of them."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import signal
import threading
import time
from concurrent.futures import wait

import numpy as np
import pytest
from block_helpers import (
    X,
    dtype_by_value,
    fails_from,
    in_pieces,
    kills,
    masked,
    negative,
    nested,
    objects,
    plus,
    process_of,
    slow,
    smooth,
    spoils,
    spread,
    total,
)
from helpers import collect
from pool_helpers import Script, become_nobody, memory_files, overwrite, run_script, shared_names, wait_for

import allcores as ac
from allcores.blocks import executors
from allcores.futures import BrokenProcessPool, ProcessPoolExecutor, segments, shared


@pytest.fixture(scope="module")
def pool():
    gc.collect()
    names, files = shared_names(), len(memory_files())
    with ProcessPoolExecutor(2) as pool:
        yield pool
    collect()
    assert len(memory_files()) <= files
    assert wait_for(lambda: set(shared_names()) <= set(names))  # other processes' tests have some, too


# ---- results


def test_result_is_shared(pool):
    got = ac.map_blocks(negative, X, executor=pool)
    np.testing.assert_array_equal(got, -X)
    assert shared.find(got) is not None
    assert type(got) is np.ndarray
    assert got.flags.writeable
    small = ac.map_blocks(negative, X[:100], executor=pool)
    assert shared.find(small) is None
    np.testing.assert_array_equal(small, -X[:100])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", ["C", "F"])
def test_axes_and_orders(pool, axis, order):
    x = np.asarray(X.reshape(512, 512), order=order)
    got = ac.map_blocks(negative, x, executor=pool, block_axis=axis, block_size=100)
    np.testing.assert_array_equal(got, -x)
    got = ac.map_blocks(np.sum, x, executor=pool, block_axis=axis, axis=1 - axis, drop_axis=1 - axis, block_size=100)
    np.testing.assert_allclose(got, x.sum(axis=1 - axis))


def test_nothing_is_pickled(pool):
    """Neither of shared arguments nor of the result: no segment is filled, and little goes through the pipe."""
    x, out = ac.share(X), ac.shared_empty(X.shape)
    ac.map_blocks(negative, x, executor=pool, out=out, block_size=1 << 12)
    before = pool.transfer_stats()
    assert ac.map_blocks(negative, x, executor=pool, out=out, block_size=1 << 12) is out
    after = pool.transfer_stats()
    np.testing.assert_array_equal(out, -X)
    assert after["tasks"] - before["tasks"] == 32
    assert after["bytes_shared"] == before["bytes_shared"]
    assert after["bytes_pickled"] - before["bytes_pickled"] < 32 * 3000


def test_out(pool):
    for out in (np.empty(X.shape), np.empty(X.shape, np.float32), ac.shared_empty((2, *X.shape))[1]):
        assert ac.map_blocks(negative, X, executor=pool, out=out, block_size=1 << 13) is out
        np.testing.assert_allclose(out, -X, rtol=1e-6)
    x = ac.share(X)
    assert ac.map_blocks(negative, x, executor=pool, out=x, block_size=1 << 13) is x
    np.testing.assert_array_equal(x, -X)
    got = ac.map_blocks(negative, X, executor=pool, dtype="f4", block_size=1 << 13)
    assert got.dtype == np.float32
    assert shared.find(got) is not None
    with pytest.raises(TypeError, match="Cannot cast"):
        ac.map_blocks(negative, X, executor=pool, out=ac.shared_empty(X.shape, int))


def test_what_every_block_needs_is_shared_once(pool):
    rng = np.random.default_rng(1)
    x, weights, more = rng.normal(size=(64, 1 << 15)), rng.normal(size=1 << 15), np.ones(1)
    before = pool.transfer_stats()["bytes_shared"]
    got = ac.map_blocks(total, ac.share(x), weights=weights, more=more, executor=pool, block_size=2)
    np.testing.assert_allclose(got, x @ weights + 1)
    got = ac.map_blocks(plus, ac.share(x), weights, executor=pool, block_size=2, out=ac.shared_empty(x.shape))
    np.testing.assert_array_equal(got, x + weights)
    assert pool.transfer_stats()["bytes_shared"] == before
    with pytest.raises(ValueError, match="read-only"):
        ac.map_blocks(spoils, x, weights=weights, executor=pool)
    mine = ac.share(weights)
    ac.map_blocks(spoils, x, weights=mine, executor=pool)
    assert mine[0] == 7
    ac.map_blocks(spoils, x, weights=np.zeros(5), executor=pool)


def test_blocks_run_in_the_workers(pool):
    pids = set(ac.map_blocks(process_of, np.zeros(100), executor=pool))
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_blocks_do_not_depend_on_workers(pool):
    got = [ac.map_blocks(in_pieces, np.zeros(1000), executor=pool, workers=workers) for workers in (None, 1, 3, 50)]
    assert len(set(got[0])) == 32
    for other in got:
        np.testing.assert_array_equal(other, got[0])


def test_kinds_of_results(pool):
    got = ac.map_blocks(masked, np.arange(10.0), executor=pool, block_size=3)
    assert got.mask.tolist() == [False] * 6 + [True] * 4
    got = ac.map_blocks(objects, np.arange(10), executor=pool, block_size=3)
    assert got.tolist() == [str(i) for i in range(10)]
    with pytest.raises(TypeError, match="block 8 gave an array of dtype float32, but block 0 one of float64"):
        ac.map_blocks(dtype_by_value, np.arange(131072.0), executor=pool, block_size=128)


def test_the_others(pool):
    got = ac.map_overlap(smooth, X, {0: 1}, "periodic", executor=pool)
    np.testing.assert_array_equal(got, smooth(X))
    assert shared.find(got) is not None
    np.testing.assert_allclose(ac.reduction(X, np.sum, np.sum, axis=0, executor=pool), X.sum(axis=0))
    np.testing.assert_allclose(ac.reduction(X, np.sum, np.sum, axis=1, executor=pool), X.sum(axis=1))
    x = X.reshape(-1, 1024)
    want = np.apply_along_axis(spread, 0, x, q=20)
    np.testing.assert_array_equal(ac.apply_along_axis(spread, 0, x, q=20, executor=pool), want)


def test_calls_within_workers(pool):
    np.testing.assert_array_equal(
        ac.map_blocks(nested, np.arange(20.0), executor=pool, block_size=7), 4 - np.arange(20)
    )


def others():
    yield "threads", concurrent.futures.ThreadPoolExecutor
    yield "stdlib", concurrent.futures.ProcessPoolExecutor
    try:
        import loky
    except ImportError:
        return
    yield "loky", loky.ProcessPoolExecutor


@pytest.mark.parametrize("kind", [kind for _, kind in others()], ids=[name for name, _ in others()])
def test_any_executor(kind):
    import multiprocessing

    context = {} if kind is concurrent.futures.ThreadPoolExecutor else {"context": multiprocessing.get_context("spawn")}
    if kind is concurrent.futures.ProcessPoolExecutor:
        context = {"mp_context": context["context"]}
    with kind(2, **({} if kind.__module__.startswith("loky") else context)) as executor:
        x = X[:5000]
        got = ac.map_blocks(total, x, weights=np.array([1.0, 2.0]), executor=executor, block_size=700)
        np.testing.assert_allclose(got, x @ [1, 2])
        with pytest.raises(ValueError, match="500") as caught:
            ac.map_blocks(fails_from, np.arange(1000), first=500, executor=executor, block_size=50)
        assert "in block 10 of 20 of allcores.map_blocks, [500:550]" in caught.value.__notes__
        _, failures = ac.map_blocks(
            fails_from, np.arange(100), first=50, executor=executor, block_size=10, errors="collect"
        )
        assert [failure.index for failure in failures] == [5, 6, 7, 8, 9]
        np.testing.assert_allclose(ac.reduction(x, np.sum, np.sum, executor=executor), x.sum())


def test_tasks_in_flight():
    """As many as `workers` says, and no more results waiting in memory."""
    running, most, submitted = set(), [], []

    class Counting(concurrent.futures.ThreadPoolExecutor):
        def submit(self, *args):
            submitted.append(1)
            future = super().submit(*args)
            running.add(future)
            future.add_done_callback(running.discard)
            most.append(len(running))
            return future

    with Counting(4) as executor:
        for workers in (1, 3, None):
            most.clear()
            ac.map_blocks(slow, np.arange(20), executor=executor, workers=workers, block_size=1)
            assert max(most) == (workers or 8)
        submitted.clear()
        with pytest.raises(ValueError, match="5"):
            ac.map_blocks(fails_from, np.arange(1000), first=5, executor=executor, block_size=1)
        assert len(submitted) < 30
        assert not running


# ---- errors


def test_an_error_names_its_block(pool):
    for _ in range(5):
        with pytest.raises(KeyError) as caught:
            ac.map_blocks(fails_from, np.arange(1000), first=300, kind=KeyError, executor=pool, block_size=100)
        assert caught.value.args == (300,)
        assert caught.value.__notes__ == ["in block 3 of 10 of allcores.map_blocks, [300:400]"]
        assert "Traceback" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="5") as caught:
        ac.apply_along_axis(fails_from, 1, np.full((4, 3), 5), first=5, executor=pool)
    assert "in block 0 of 4" in caught.value.__notes__[0]


class LastFirst(concurrent.futures.Executor):
    """Does four tasks, the last one first, and gives whoever waits for one time to cancel others."""

    def __init__(self):
        self.tasks = []

    def submit(self, function, /, *args, **kwargs):
        future = concurrent.futures.Future()
        self.tasks.append((future, function, args, kwargs))
        if len(self.tasks) == 4:
            threading.Thread(target=self.work).start()
        return future

    def work(self):
        for future, function, args, kwargs in reversed(self.tasks[:4]):
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except Exception as error:
                    future.set_exception(error)
            time.sleep(0.1)


def test_blocks_before_one_that_fails_are_done():
    """So that the first one that fails is named, whoever is the first to fail."""
    with pytest.raises(ValueError, match="1"):
        ac.map_blocks(fails_from, np.arange(4.0), first=1, executor=LastFirst(), block_size=1, workers=4)


def test_an_error_in_progress_waits_for_those_who_write():
    begun, ended = threading.Event(), []

    def function(x):
        if x[0]:
            begun.set()
            time.sleep(0.3)
            ended.append(1)
        else:
            assert begun.wait(30)
        return x

    def tell(done, total):
        if done:
            raise RuntimeError("enough")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with pytest.raises(RuntimeError, match="enough"):
            ac.map_blocks(function, np.arange(2.0), executor=pool, block_size=1, progress=tell)
        assert ended == [1]


def test_errors_are_collected(pool):
    x = np.arange(200_000.0)
    result, failures = ac.map_blocks(fails_from, x, first=150_000, executor=pool, block_size=10_000, errors="collect")
    assert [failure.index for failure in failures] == [15, 16, 17, 18, 19]
    assert shared.find(result) is not None
    np.testing.assert_array_equal(result[:150_000], x[:150_000])
    assert np.isnan(result[150_000:]).all()
    # Where the first fail, the first that does not says what results are like.
    result, failures = ac.map_blocks(fails_from, -x, first=-99_999, executor=pool, block_size=10_000, errors="collect")
    assert [failure.index for failure in failures] == list(range(10))
    np.testing.assert_array_equal(result[100_000:], -x[100_000:])
    result, failures = ac.map_blocks(fails_from, x, first=-1, executor=pool, block_size=10_000, errors="collect")
    assert result is None
    assert len(failures) == 20


def test_what_can_t_be_pickled(pool):
    with pytest.raises(TypeError, match="pickle") as caught:
        ac.map_blocks(total, X, weights=threading.Lock(), executor=pool)
    assert any("in block 0" in note for note in caught.value.__notes__)  # Python 3.14 has more
    assert ac.map_blocks(negative, X[:10], executor=pool).shape == (10, 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dying_worker(number):
    before = len(memory_files())  # of the other pool
    with ProcessPoolExecutor(2) as pool:
        with pytest.raises(BrokenProcessPool, match=number.name) as caught:
            ac.map_blocks(kills, np.arange(100), number=number, executor=pool, block_size=1)
        assert "of 100 of allcores.map_blocks" in caught.value.__notes__[0]
        with pytest.raises(BrokenProcessPool):
            ac.map_blocks(negative, X, executor=pool)
    with ProcessPoolExecutor(2) as pool:
        _, failures = ac.map_blocks(kills, np.arange(100), number=number, executor=pool, block_size=1, errors="collect")
        assert all(isinstance(failure.exception, BrokenProcessPool) for failure in failures)
        assert {failure.index for failure in failures} >= set(range(50, 100))
    gc.collect()
    assert len(memory_files()) <= before


def test_a_pool_that_is_shut_down():
    pool = ProcessPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown") as caught:
        ac.map_blocks(negative, X, executor=pool)
    assert "in block 0" in caught.value.__notes__[0]
    result, failures = ac.map_blocks(negative, X, executor=pool, block_size=1 << 16, errors="collect")
    assert result is None
    assert [type(failure.exception) for failure in failures] == [RuntimeError] * 2


def test_a_pool_that_is_shut_down_meanwhile():
    """By a call in progress, which is told of every block."""
    with ProcessPoolExecutor(1) as pool, pytest.raises((RuntimeError, concurrent.futures.CancelledError)):
        ac.map_blocks(
            slow,
            np.arange(100),
            executor=pool,
            block_size=1,
            progress=lambda done, total: done == 3 and pool.shutdown(wait=False, cancel_futures=True),
        )


def test_an_error_in_progress(pool):
    def tell(done, total):
        if done == 3:
            raise KeyError("enough")

    before = pool.transfer_stats()["tasks"]
    with pytest.raises(KeyError, match="enough"):
        ac.map_blocks(slow, np.arange(100), executor=pool, block_size=1, progress=tell)
    assert pool.transfer_stats()["tasks"] - before < 15


def test_progress(pool):
    told = []
    ac.map_blocks(negative, X, executor=pool, block_size=1 << 13, progress=lambda *told_now: told.append(told_now))
    assert told == [(done, 16) for done in range(17)]


# ---- memory that is not to be had


def test_no_shared_memory(pool, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(executors.shared, "shared_empty", refuse)
    weights = np.zeros(1 << 16)
    got = ac.map_blocks(plus, X.reshape(4, -1), weights, executor=pool, block_size=1)
    assert shared.find(got) is None
    np.testing.assert_array_equal(got, X.reshape(4, -1))


def test_segments_with_names(monkeypatch):
    """As on macOS and Windows."""
    names = shared_names()
    monkeypatch.setattr(segments, "_decided", False)
    with ProcessPoolExecutor(2) as pool:
        got = ac.map_blocks(plus, X.reshape(4, -1), X[: 1 << 15].ravel(), executor=pool, block_size=1)
        np.testing.assert_array_equal(got, X.reshape(4, -1) + X[: 1 << 15].ravel())
        assert shared.find(got) is not None
    del got
    gc.collect()
    assert set(shared_names()) <= set(names)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_workers_that_may_not_open_it():
    """Blocks are sent once more, with copies, and their results come back."""
    with ProcessPoolExecutor(1) as pool:
        ac.map_blocks(negative, X[:10], executor=pool)  # imports
        pool.submit(become_nobody).result()
        x = X.reshape(4, -1)
        row = x[0].copy()
        with pytest.warns(RuntimeWarning, match="arrays are pickled"):
            got = ac.map_blocks(plus, x, row, executor=pool, block_size=1)
        np.testing.assert_array_equal(got, x + x[0])
        out = ac.shared_empty(x.shape)
        assert ac.map_blocks(negative, x, executor=pool, out=out, block_size=1) is out
        np.testing.assert_array_equal(out, -x)
        # What the user has shared is not copied behind their back.
        with pytest.raises(PermissionError, match="shared"):
            ac.map_blocks(negative, ac.share(x), executor=pool, block_size=1)


def test_a_worker_s_arguments_are_its_own(pool):
    x = X.copy()
    with pytest.raises(ValueError, match="shape"):
        ac.map_blocks(overwrite, x, executor=pool)
    np.testing.assert_array_equal(x, X)


# ---- in the background


def test_submit(pool):
    future = ac.submit(ac.map_blocks, slow, np.arange(20.0), executor=pool, block_size=1)
    assert wait_for(lambda: future.progress()[0] > 2)
    assert future.progress()[1] == 20
    np.testing.assert_array_equal(future.result(timeout=20), np.arange(20))
    assert future.progress() == (20, 20)


def test_cancel(pool):
    """Blocks that have not begun are not; those that run are waited for."""
    out = ac.shared_empty((100, 1 << 12))
    future = ac.submit(ac.map_blocks, slow, np.ones(out.shape), executor=pool, block_size=1, out=out)
    assert wait_for(lambda: future.progress()[0] > 4)
    assert future.cancel()
    wait([future], timeout=20)
    assert future.cancelled()
    written = out.any(axis=1).sum()
    assert 4 < written < len(out)
    time.sleep(0.1)
    assert out.any(axis=1).sum() == written
    assert ac.map_blocks(negative, X[:10], executor=pool).shape == (10, 2)


def test_many_callers(pool):
    futures = [ac.submit(ac.map_blocks, negative, X + i, executor=pool) for i in range(4)]
    for i, future in enumerate(futures):
        np.testing.assert_array_equal(future.result(timeout=60), -(X + i))
    threads = [threading.Thread(target=lambda: ac.map_blocks(negative, X, executor=pool)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# ---- interrupts, and what is left


def test_ctrl_c(tmp_path):
    """Back at once, however long the function takes; no worker, no word from one."""
    code = """
    from block_helpers import sleeps
    try:
        with ProcessPoolExecutor(2) as pool:
            ac.map_blocks(negative, np.zeros(10), executor=pool)
            ac.map_blocks(sleeps, np.zeros(1000), executor=pool, block_size=1, mark="begun")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """
    with Script(tmp_path, "from block_helpers import negative\n" + __import__("textwrap").dedent(code)) as script:
        assert wait_for((tmp_path / "begun").exists, 20)
        os.killpg(script.process.pid, signal.SIGINT)
        out, err, _ = script.finish(20)
        assert (out, err) == (["interrupted"], "")
        assert script.gone()


def test_nothing_is_left(tmp_path):
    """A hundred calls: no descriptor, no segment, nothing on stderr."""
    out, err, code = run_script(
        tmp_path,
        """
        import gc
        from block_helpers import X, fails_from, negative
        with ProcessPoolExecutor(2) as pool:
            ac.map_blocks(negative, X, executor=pool)
            gc.collect()
            before = len(open_files())
            for i in range(50):
                ac.map_blocks(negative, X, executor=pool)
                try:
                    ac.map_blocks(fails_from, np.arange(200_000.0), first=1e5, executor=pool)
                except ValueError:
                    pass
            gc.collect()
            print(len(open_files()) <= before + 8)
            y = ac.map_blocks(negative, X, executor=pool)
        print((y == -X).all())
        del y
        gc.collect()
        print(len(memory_files()))
        """,
    )
    assert (out, err, code) == (["True", "True", "0"], "", 0)
