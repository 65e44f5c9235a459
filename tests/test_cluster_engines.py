"""Each engine for real: equal results, what every block needs once a worker, and what becomes of faults."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError, wait
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from cluster_helpers import (
    ENGINES,
    WEIGHTS,
    KillsOnce,
    X,
    dask,
    fails_from,
    kills,
    kills_once,
    loky,
    naps,
    own,
    smooth,
    spoils,
    stdlib,
    total,
    weighted,
)
from pool_helpers import ODD, Awkward, Closed, cause_of, check_odd, path_of_programs, raise_odd, wait_for

import allcores as ac
from allcores._engine import mapreduce
from allcores.futures import cluster
from allcores.futures.cluster import Courier, RayExecutor, transfer_stats

pytestmark = pytest.mark.filterwarnings("default")  # what engines warn of is theirs


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    with ENGINES[request.param]() as executor:
        yield executor


# ---- results


def test_blocks(engine):
    got = ac.map_blocks(weighted, X, weights=WEIGHTS, executor=engine)
    np.testing.assert_array_equal(got, X * WEIGHTS[:3])
    got = ac.map_blocks(lambda x: x + WEIGHTS[0], X, executor=engine, block_size=500)  # can't be imported
    np.testing.assert_array_equal(got, X + WEIGHTS[0])
    got = ac.map_overlap(smooth, X, {0: 1}, "periodic", executor=engine, block_size=1000)
    np.testing.assert_array_equal(got, smooth(X))
    want = ac.reduction(X, np.sum, np.sum, block_size=128)
    assert ac.reduction(X, np.sum, np.sum, executor=engine, block_size=128) == want
    got = ac.apply_along_axis(np.percentile, 0, X, q=20, executor=engine)
    np.testing.assert_array_equal(got, np.percentile(X, 20, axis=0))


def test_what_every_task_needs_travels_once_a_worker(engine):
    before = transfer_stats(engine)
    with Courier(engine) as courier:
        assert courier.workers == 2
        held = courier.once(WEIGHTS)
        futures = [courier.submit(total, held, i) for i in range(30)]
        assert [future.result(timeout=60) for future in futures] == [total(WEIGHTS, i) for i in range(30)]
        counts = {name: count - before[name] for name, count in courier.transfer_stats().items()}
    assert counts["tasks"] == 30
    # In the worst case one worker takes all that carry it, and each other asks.
    assert WEIGHTS.nbytes <= counts["bytes_sent"] < 4 * WEIGHTS.nbytes + 50_000


def test_who_may_write(engine):
    with Courier(engine) as courier:
        assert courier.submit(own, np.zeros(1 << 16)).result(timeout=60) == 7
        with pytest.raises(ValueError, match="read-only"):
            courier.submit(spoils, courier.once(np.zeros(1 << 16))).result(timeout=60)


def bits(value):
    return np.asarray(value).tobytes()


def test_reductions(engine, tmp_path, monkeypatch):
    """Of an array that travels once a worker, and of a file that workers open."""
    monkeypatch.setattr(mapreduce, "task_size", 1 << 20)
    x = np.random.default_rng(0).normal(size=(1 << 11, 1 << 10))
    x[::7, 3] = np.nan
    np.save(tmp_path / "x.npy", x)
    where = x > 0
    for function, arguments in (("nanmean", {"axis": 0}), ("nanmedian", {})):
        before = transfer_stats(engine)["bytes_sent"]
        assert bits(getattr(ac, function)(x, executor=engine, **arguments)) == bits(
            getattr(ac, function)(x, **arguments)
        )
        # In the worst case one worker takes all that carry it, and each other asks.
        assert x.nbytes <= transfer_stats(engine)["bytes_sent"] - before < 4 * x.nbytes + 200_000
    for a in (x, ac.open(tmp_path / "x.npy"), ac.open(x, chunks=(100, 256))):
        for axis in (None, 0, 1):
            assert bits(ac.nanargmax(a, axis=axis, executor=engine)) == bits(ac.nanargmax(a, axis=axis))
        assert bits(ac.std(a, axis=1, where=where, executor=engine)) == bits(ac.std(a, axis=1, where=where))
        assert bits(ac.nanmedian(a, executor=engine)) == bits(np.nanmedian(x))
        with ac.set_executor(engine):
            assert bits(ac.nanquantile(a, [0.2, 0.7], axis=0)) == bits(np.nanquantile(x, [0.2, 0.7], axis=0))


@pytest.mark.parametrize("dtype", [">f8", ">U3", ">M8[s]", "<f8", [("a", ">i4"), ("b", "<f8", (2,))]], ids=str)
def test_byte_orders_of_results(engine, dtype):
    """Results have the dtype that they have on threads."""
    a = np.zeros(3000, dtype)
    a[["a"] if a.dtype.names else ...] = np.arange(3000).astype(a.dtype[0] if a.dtype.names else dtype)
    for shape in ((3000,), (50, 60)):
        for x in (a.reshape(shape), a.reshape(shape)[::-1]):
            got = ac.map_blocks(itself, x, executor=engine, block_size=shape[0] // 2)
            assert got.dtype == x.dtype
            np.testing.assert_array_equal(got, x)


def itself(block):
    return block


def test_small_arrays_and_bad_arguments(engine):
    before = transfer_stats(engine)["tasks"]
    assert ac.sum(np.arange(5), executor=engine) == 10
    assert ac.median([1.0, 5.0, 2.0], executor=engine) == 2.0
    assert transfer_stats(engine)["tasks"] > before + 1
    with pytest.raises(np.exceptions.AxisError):
        ac.sum(X, axis=2, executor=engine)


# ---- errors


def test_exceptions_that_are_hard_to_send(engine):
    """Neither the standard library's pool nor loky's outlives one that does not come out of its pickle."""
    with Courier(engine) as courier:
        futures = {name: courier.submit(raise_odd, name) for name in ODD}
        for name, future in futures.items():
            error = future.exception(timeout=60)
            check_odd(name, error)
            assert "raise_odd" in cause_of(error) or name in ("wordless", "speechless", "closed")
        assert courier.submit(total, np.ones(3), 4).result(timeout=60) == 7
    with pytest.raises(Awkward) as caught:
        ac.map_blocks(raises_awkward, X, executor=engine, block_size=1000)
    assert caught.value.two == "two"
    assert "in block 0 of " in caught.value.__notes__[0]
    with pytest.raises(Closed):
        ac.map_blocks(raises_closed, X, executor=engine, block_size=1000)


def raises_awkward(x):
    raise Awkward("one", "two")


def raises_closed(x):
    raise Closed("one")


def test_an_error_names_its_block(engine):
    with pytest.raises(ValueError, match="500") as caught:
        ac.map_blocks(fails_from, np.arange(1000), first=500, executor=engine, block_size=50)
    assert type(caught.value) is ValueError
    assert "in block 10 of 20 of allcores.map_blocks, [500:550]" in caught.value.__notes__
    _, failures = ac.map_blocks(fails_from, np.arange(100), first=50, executor=engine, block_size=10, errors="collect")
    assert [failure.index for failure in failures] == [5, 6, 7, 8, 9]


def test_what_can_t_be_pickled(engine):
    with pytest.raises((TypeError, pickle.PicklingError)):
        ac.map_blocks(weighted, X, weights=threading.Lock(), executor=engine)
    np.testing.assert_array_equal(ac.map_blocks(np.negative, X, executor=engine), -X)


def test_cancel(engine):
    future = ac.submit(ac.map_blocks, naps_of, np.zeros(200), executor=engine, block_size=1)
    assert wait_for(lambda: future.progress()[0] > 2, 60)
    assert future.cancel()
    wait([future], timeout=20)
    assert future.cancelled()
    assert ac.map_blocks(np.negative, np.ones(10), executor=engine).sum() == -10


def naps_of(x):
    time.sleep(0.02)
    return x


def test_another_version(engine, monkeypatch):
    with Courier(engine) as courier:
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "_version", lambda: "99.9")
            future = courier.submit(naps, 0)
            wait([future], timeout=60)  # it is pickled before the name is put back
        with pytest.raises(RuntimeError, match=rf"from allcores 99.9, this worker has {ac.__version__}"):
            future.result()


# ---- workers that are lost


@pytest.mark.parametrize("start", [stdlib, loky])
def test_a_dying_worker(start):
    with start() as executor:
        with pytest.raises(BrokenProcessPool, match=r"a worker of .*\.ProcessPoolExecutor was lost") as caught:
            ac.map_blocks(kills, np.arange(1000), executor=executor, block_size=10)
        assert "of 100 of allcores.map_blocks" in caught.value.__notes__[0]


@pytest.mark.parametrize("start", [stdlib, loky])
def test_a_worker_that_dies_reading(start, monkeypatch):
    monkeypatch.setattr(mapreduce, "task_size", 1 << 20)
    with start() as executor, pytest.raises(BrokenProcessPool, match=r"a worker of .*\.ProcessPoolExecutor was lost"):
        ac.sum(KillsOnce(None), executor=executor)


@pytest.fixture(scope="module")
def dask_of_its_own():
    with dask() as executor:
        yield executor


def test_dask_runs_tasks_of_a_dead_worker_again(dask_of_its_own, tmp_path):
    executor = dask_of_its_own
    x = np.arange(1000.0)
    got = ac.map_blocks(kills_once, x, path=str(tmp_path / "once"), executor=executor, block_size=100)
    np.testing.assert_array_equal(got, x)
    # Also where all that had the common value are gone.
    with Courier(executor) as courier:
        held = courier.once(WEIGHTS)
        assert courier.submit(total, held, 1).result(timeout=60) == total(WEIGHTS, 1)
        for pid in executor._client.run(os.getpid).values():
            os.kill(pid, 9)
        assert courier.submit(total, held, 2).result(timeout=60) == total(WEIGHTS, 2)


def test_dask_reads_again_what_a_dead_worker_read(dask_of_its_own, tmp_path, monkeypatch):
    monkeypatch.setattr(mapreduce, "task_size", 1 << 20)
    source = KillsOnce(str(tmp_path / "once"))
    assert ac.sum(source, executor=dask_of_its_own) == sum(range(1 << 20))
    assert os.path.exists(source.path)


def test_a_dask_client_is_an_executor(dask_of_its_own):
    client = dask_of_its_own._client
    np.testing.assert_array_equal(ac.map_blocks(np.negative, X, executor=client), -X)


def test_dask_workers_without_allcores(monkeypatch):
    """They are asked before: a message that they can't import would end their connection, and the call would hang."""
    name = "allcores.futures.cluster"
    with dask() as executor:
        client = executor._client
        client.run(eval, f"__import__('sys').modules.__setitem__({name!r}, None)")
        with pytest.raises(ModuleNotFoundError, match=f"can't import allcores: install allcores {ac.__version__}"):
            ac.map_blocks(np.negative, X, executor=executor)
        client.run(eval, f"__import__('sys').modules.pop({name!r})")
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "_version", lambda: "99.9")
            with pytest.raises(RuntimeError, match=rf"from allcores 99.9, this worker has {ac.__version__}"):
                ac.map_blocks(np.negative, X, executor=executor)
        np.testing.assert_array_equal(ac.map_blocks(np.negative, X, executor=executor), -X)


def test_a_dask_worker_that_joins_without_allcores():
    name = "allcores.futures.cluster"
    with dask(1) as executor:
        np.testing.assert_array_equal(ac.map_blocks(np.negative, X, executor=executor), -X)
        client = executor._client
        (first,) = client.nthreads()
        client.cluster.scale(2)
        client.wait_for_workers(2)
        (late,) = set(client.nthreads()) - {first}
        client.run(eval, f"__import__('sys').modules.__setitem__({name!r}, None)", workers=[late])
        with pytest.raises(ModuleNotFoundError, match=f"worker {late} of .* can't import allcores"):
            ac.map_blocks(np.negative, X, executor=executor)


# ---- Ray's adapter


@pytest.mark.parametrize("engine", ["ray"], indirect=True)
def test_ray_executor(engine):
    assert engine._max_workers == 2
    assert list(engine.map(pow, [1, 2, 3], [2, 2, 2])) == [1, 4, 9]
    with pytest.raises(ZeroDivisionError) as caught:
        engine.submit(divmod, 1, 0).result(timeout=60)
    assert type(caught.value) is ZeroDivisionError
    with RayExecutor(max_retries=0) as executor:
        futures = [executor.submit(naps, 0.2) for _ in range(10)]
        assert all(future.cancel() for future in futures[6:])
        with pytest.raises(CancelledError):
            futures[-1].result()
        assert len({future.result(timeout=60) for future in futures[:6]}) <= 2
        with pytest.raises(BrokenProcessPool, match=r"a worker of .*\.RayExecutor was lost"):
            ac.map_blocks(kills, np.arange(1000), executor=executor, block_size=500)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(naps, 0)


def test_ray_without_a_connection(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(RuntimeError, match=r"ray\.init"):
        RayExecutor()


# ---- MPI

MPI = """
    import os
    import numpy as np
    import allcores as ac
    from cluster_helpers import *
    from allcores.futures.cluster import Courier, transfer_stats
    from mpi4py.futures import MPIPoolExecutor

    if __name__ == "__main__":
        with MPIPoolExecutor() as executor:
            got = ac.map_blocks(weighted, X, weights=WEIGHTS, executor=executor)
            np.testing.assert_array_equal(got, X * WEIGHTS[:3])
            np.testing.assert_array_equal(ac.map_blocks(lambda x: -x, X, executor=executor), -X)
            np.testing.assert_array_equal(ac.map_overlap(smooth, X, {0: 1}, "periodic", executor=executor), smooth(X))
            want = ac.reduction(X, np.sum, np.sum, block_size=128)
            assert ac.reduction(X, np.sum, np.sum, executor=executor, block_size=128) == want
            x = np.random.default_rng(0).normal(size=(2048, 512))
            for a in (x, ac.open(x, chunks=(100, 512))):
                assert ac.var(a, executor=executor) == ac.var(a)
                assert ac.median(a, executor=executor) == np.median(x)
            before = transfer_stats(executor)["bytes_sent"]
            with Courier(executor) as courier:
                held = courier.once(WEIGHTS)
                futures = [courier.submit(total, held, i) for i in range(30)]
                assert [future.result() for future in futures] == [total(WEIGHTS, i) for i in range(30)]
            assert transfer_stats(executor)["bytes_sent"] - before < 4 * WEIGHTS.nbytes + 50_000
            try:
                ac.map_blocks(fails_from, np.arange(1000), first=500, executor=executor, block_size=50)
            except ValueError as error:
                assert "in block 10 of 20" in error.__notes__[0]
                print("all right", executor._max_workers)
"""


def mpiexec(script, ranks, **options):
    """Run a script under MPI, as any user may."""
    pytest.importorskip("mpi4py")
    program = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or shutil.which("mpiexec")
    if program is None:
        pytest.skip("there is no mpiexec")
    settings = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "MPI4PY_FUTURES_BACKOFF": "1e-5",
        "PYTHONPATH": path_of_programs(),
    }
    return subprocess.run(
        [program, "-n", str(ranks), sys.executable, "-m", "mpi4py.futures", str(script)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@pytest.mark.parametrize("ranks", [2, 3])
def test_mpi(tmp_path, ranks):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(MPI))
    result = mpiexec(script, ranks)
    assert (result.stdout.split(), result.returncode) == (["all", "right", str(ranks - 1)], 0), result.stderr
