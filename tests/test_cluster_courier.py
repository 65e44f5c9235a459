"""The courier by itself: on executors that are simulated here, so that it is known which worker gets which task."""

from __future__ import annotations

import gc
import pickle
import threading
from collections import OrderedDict, deque
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from cluster_helpers import WEIGHTS, fails_from, naps, own, spoils, stdlib, total
from pool_helpers import Speechless, Wordless

import allcores as ac
from allcores.futures import ProcessPoolExecutor, cluster, shared
from allcores.futures.cluster import Courier, check_executor, transfer_stats


class Simulated(Executor):
    """Workers that take tasks in an order that the test decides. What crosses is pickled."""

    def __init__(self, workers, monkeypatch, protocol=5):
        self._max_workers, self.protocol = workers, protocol
        self.queue, self.sizes = deque(), []
        self.memories = [OrderedDict() for _ in range(workers)]
        self.monkeypatch = monkeypatch

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        data = pickle.dumps((function, args, kwargs), self.protocol)
        self.sizes.append(len(data))
        self.queue.append((future, data))
        return future

    def work(self, worker):
        """Have a worker take the next task."""
        future, data = self.queue.popleft()
        if not future.set_running_or_notify_cancel():
            return
        with self.monkeypatch.context() as patch:
            patch.setattr(cluster, "_kept", self.memories[worker])
            patch.setattr(cluster, "_me", lambda: f"worker {worker}")
            try:
                function, args, kwargs = pickle.loads(data)
                result = pickle.loads(pickle.dumps(function(*args, **kwargs)))
            except Exception as error:
                result = error
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


@pytest.fixture(params=[4, 5], ids=["protocol 4", "protocol 5"])
def simulated(request, monkeypatch):
    return Simulated(2, monkeypatch, request.param)


# ---- which executors


def test_not_an_executor():
    for wrong in (3, object(), ThreadPoolExecutor, "processes"):
        with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor"):
            check_executor(wrong)
        with pytest.raises(TypeError, match="executor"):
            ac.map_blocks(np.negative, np.arange(4), executor=wrong)


def test_interpreters():
    """As in Python 3.14, where it is a pool of threads."""
    kind = type("InterpreterPoolExecutor", (ThreadPoolExecutor,), {})
    with kind(1) as pool, pytest.raises(TypeError, match="NumPy can't be imported in subinterpreters"):
        ac.map_blocks(np.negative, np.arange(4), executor=pool)


# ---- once a worker


def test_first_tasks_carry_the_value(simulated):
    with Courier(simulated) as courier:
        weights = courier.once(WEIGHTS)
        futures = [courier.submit(total, weights, i) for i in range(10)]
        for i in range(10):
            simulated.work(i % 2)
    assert [future.result() for future in futures] == [total(WEIGHTS, i) for i in range(10)]
    assert [size > WEIGHTS.nbytes for size in simulated.sizes] == [True] * 2 + [False] * 8
    counts = transfer_stats(simulated)
    assert (counts["tasks"], counts["resent"]) == (10, 0)
    assert 2 * WEIGHTS.nbytes < counts["bytes_sent"] < 2 * WEIGHTS.nbytes + 10_000


def test_what_is_missing_is_sent(simulated):
    """One worker takes all that carry the value."""
    with Courier(simulated) as courier:
        weights = courier.once(WEIGHTS)
        futures = [courier.submit(total, weights, i) for i in range(4)]
        for worker in (0, 0, 1, 1):
            simulated.work(worker)
        assert [future.done() for future in futures] == [True, True, False, False]
        # The worker gets it once, though it has asked twice; but if another takes that task, the next time for sure.
        assert [size > WEIGHTS.nbytes for size in simulated.sizes[4:]] == [True, False]
        for worker in (0, 1):
            simulated.work(worker)
        assert [size > WEIGHTS.nbytes for size in simulated.sizes[6:]] == [True]
        simulated.work(1)
    assert [future.result() for future in futures] == [total(WEIGHTS, i) for i in range(4)]
    assert transfer_stats(simulated)["resent"] == 3


def test_workers_keep_little(simulated):
    for _ in range(cluster.COURIERS + 3):
        with Courier(simulated) as courier:
            values = [courier.once(WEIGHTS), courier.once(WEIGHTS[::-1])]
            future = courier.submit(lambda a, b: float(a[0] - b[0]), *values)
            simulated.work(0)
            assert future.result() == WEIGHTS[0] - WEIGHTS[-1]
    assert len(simulated.memories[0]) == cluster.COURIERS
    assert not simulated.memories[1]


def test_bytes_that_workers_keep(simulated, monkeypatch):
    monkeypatch.setattr(cluster, "KEPT", WEIGHTS.nbytes * 3 // 2)
    for count in (1, 2, 2):
        with Courier(simulated) as courier:
            values = [courier.once(WEIGHTS) for _ in range(3)]
            future = courier.submit(lambda *a: len(a), *values[:count])
            simulated.work(0)
            assert future.result() == count
    # Of the courier at hand all, of those before what is allowed.
    assert [len(values) for values in simulated.memories[0].values()] == [2]


def test_functions_and_keywords(simulated):
    table = np.arange(1 << 16)
    with Courier(simulated) as courier:
        function = courier.once(lambda x, more: table[x] + more[0])
        more = courier.once(np.ones(1 << 14))
        futures = [courier.submit(function, i, more=more) for i in range(6)]
        for _ in range(6):
            simulated.work(0)
    assert [future.result() for future in futures] == [i + 1 for i in range(6)]
    assert all(size < 5000 for size in simulated.sizes[2:])


def test_who_may_write(simulated):
    """To its own arguments a task may; what others get too is read-only."""
    with Courier(simulated) as courier:
        x = np.zeros(1 << 16)
        future = courier.submit(own, x)
        simulated.work(0)
        assert future.result() == 7
        future = courier.submit(spoils, courier.once(x))
        simulated.work(0)
        with pytest.raises(ValueError, match="read-only"):
            future.result()
        small = courier.once(np.zeros(10))
        for _ in range(2):
            future = courier.submit(own, small)
            simulated.work(0)
            assert future.result() == 7
        assert not x.any()


def test_memory_is_aligned():
    raw = bytearray(WEIGHTS.nbytes + 3)
    raw[3:] = WEIGHTS.tobytes()
    buffer = memoryview(raw)[3:]
    for once in (False, True):
        stream = pickle.dumps(WEIGHTS, 5, buffer_callback=lambda buffer: False)
        got = cluster.Received(stream, [True], [buffer], once).open()
        np.testing.assert_array_equal(got, WEIGHTS)
        assert got.ctypes.data % 16 == 0
        assert got.flags.writeable is not once


def test_arrays_cross_as_data(simulated, tmp_path):
    """No handles to memory or files, which may be on another machine."""
    WEIGHTS.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", float)
    arrays = [ac.share(WEIGHTS), mapped, np.asfortranarray(WEIGHTS.reshape(2, -1)), WEIGHTS[::2]]
    (tmp_path / "x").unlink()
    with Courier(simulated) as courier:
        for array in arrays:
            for value in (array, courier.once(array)):
                future = courier.submit(np.negative, value)
                simulated.work(0)
                np.testing.assert_array_equal(future.result(), -array)
    assert min(simulated.sizes) > WEIGHTS.nbytes // 2


# ---- in this process


def test_threads_get_the_object():
    with ThreadPoolExecutor(2) as pool, Courier(pool) as courier:
        held = courier.once(WEIGHTS)
        assert courier.submit(lambda x: x is WEIGHTS, held).result()
        assert courier.submit(lambda *, x: x is WEIGHTS, x=held).result()
        assert courier.transfer_stats()["bytes_sent"] == 0


def test_unknown_executors_of_this_process():
    """Nothing is pickled where the executor does not."""

    class Inline(Executor):
        def submit(self, function, /, *args, **kwargs):
            future = Future()
            future.set_result(function(*args, **kwargs))
            return future

    lock = threading.Lock()
    executor = Inline()
    with Courier(executor) as courier:
        held = courier.once(WEIGHTS)
        assert courier.submit(lambda x, y: x is WEIGHTS and y is lock, held, courier.once(lock)).result()
        assert cluster._kept
    assert not cluster._kept
    np.testing.assert_array_equal(ac.map_blocks(lambda x: -x, WEIGHTS, executor=executor), -WEIGHTS)
    assert transfer_stats(executor)["bytes_sent"] == 0


def test_our_own_pool():
    with ProcessPoolExecutor(2) as pool, Courier(pool) as courier:
        held = courier.once(WEIGHTS)
        futures = [courier.submit(total, held, i) for i in range(8)]
        assert [future.result() for future in futures] == [total(WEIGHTS, i) for i in range(8)]
        assert courier.transfer_stats()["bytes_shared"] == 0
        with pytest.raises(ValueError, match="read-only"):
            courier.submit(spoils, held).result()
        assert courier.submit(own, courier.once(np.zeros(5))).result() == 7


def refuses_shared(x):
    if shared.find(x) is not None:
        raise shared.Unreachable("no")
    return float(x[0])


def test_our_own_pool_without_shared_memory():
    with ProcessPoolExecutor(1) as pool, Courier(pool) as courier:
        held = courier.once(WEIGHTS)
        assert courier.submit(refuses_shared, held).result() == WEIGHTS[0]
        assert courier.submit(refuses_shared, held).result() == WEIGHTS[0]
        with pytest.raises(PermissionError):
            courier.submit(refuses_shared, ac.share(WEIGHTS)).result()


# ---- faults


def test_versions():
    with pytest.raises(RuntimeError, match=rf"from allcores 99, this worker has {ac.__version__}"):
        cluster.run("99", None, [])


def test_errors_are_the_function_s(simulated):
    with Courier(simulated) as courier:
        future = courier.submit(fails_from, np.array([3]), 2)
        simulated.work(0)
        with pytest.raises(ValueError, match="3"):
            future.result()


def test_what_is_explained(simulated):
    with Courier(simulated) as courier:
        error = ModuleNotFoundError("No module named 'allcores'")
        found = courier.explained(error)
        assert "worker of test_cluster_courier.Simulated can't import allcores: install allcores" in str(found)
        assert found.__cause__ is error
        found = courier.explained(BrokenExecutor("killed"))
        assert isinstance(found, BrokenProcessPool)
        assert "a worker of test_cluster_courier.Simulated was lost: BrokenExecutor: killed" in str(found)
        assert courier.explained(ModuleNotFoundError("No module named 'other'")).__cause__ is None
        for silent in (Wordless("one"), Speechless("one")):
            assert courier.explained(silent) is silent


def test_an_executor_that_is_shut_down_before_a_task_is_sent_again(simulated, monkeypatch):
    with Courier(simulated) as courier:
        held = courier.once(WEIGHTS)
        futures = [courier.submit(total, held, i) for i in range(3)]

        def submit(*args, **kwargs):
            raise RuntimeError("after shutdown")

        monkeypatch.setattr(simulated, "submit", submit)
        for worker in (0, 0, 1):
            simulated.work(worker)
        with pytest.raises(RuntimeError, match="after shutdown"):
            futures[2].result(timeout=1)
        with pytest.raises(RuntimeError, match="after shutdown"):
            courier.submit(total, held, 1)


def test_cancel(simulated):
    with Courier(simulated) as courier:
        held = courier.once(WEIGHTS)
        futures = [courier.submit(total, held, i) for i in range(4)]
        assert futures[3].cancel()
        assert futures[3].cancelled()
        with pytest.raises(CancelledError):
            futures[3].result()
        for worker in (0, 0, 1):
            simulated.work(worker)
        assert futures[2].cancel()  # under way for the second time
        assert futures[2].cancelled()
        assert not futures[0].cancel()
        assert futures[0].result() == total(WEIGHTS, 0)


def test_nothing_refers_to_itself(simulated):
    """Results go when the caller lets go of them, not when the collector comes."""
    gc.collect()
    gc.disable()
    try:
        with Courier(simulated) as courier:
            future = courier.submit(np.ones, 5)
            simulated.work(0)
            result = future.result()
            reference = __import__("weakref").ref(result)
            del result, future
            assert reference() is None
    finally:
        gc.enable()


def test_an_interrupt_cancels_what_is_queued():
    done = []

    def interrupt(finished, total):
        done.append(finished)
        if finished == 3:
            raise KeyboardInterrupt

    with stdlib(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            ac.map_blocks(np.negative, np.arange(1000), executor=pool, block_size=1, progress=interrupt)
        assert pool.submit(naps, 0).result(timeout=20)
        assert transfer_stats(pool)["tasks"] < 12
