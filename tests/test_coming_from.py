"""The rows of docs/coming-from.md: what others do, and what allcores does."""

from __future__ import annotations

import re
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from pool_helpers import Script

import allcores as ac
from allcores.futures import ProcessPoolExecutor

NAN = np.nan
PAGE = Path(__file__).parent.parent / "docs" / "coming-from.md"


def named(package):
    """A package, in the version that the page is about: others may differ, which is no fault of ours."""
    if not PAGE.exists():
        pytest.skip("the documentation is not here")
    module = pytest.importorskip(package)
    version = re.search(rf"{package} ([\d.]+\d)", PAGE.read_text(encoding="utf-8"), re.IGNORECASE)[1]
    if not module.__version__.startswith(f"{version}."):
        pytest.skip(f"the page is about {package} {version}, this is {module.__version__}")
    return module


def equal(a, b):
    return np.array_equal(a, b, equal_nan=True)


def keeps_order(parted, k):
    """Of [3, 1, 2, 5, 4, 0], elements below and above the one at `k` are in the order in which they were."""
    before = [3, 1, 2, 5, 4, 0]
    return [*parted[:k]] == [v for v in before if v < k] and [*parted[k + 1 :]] == [v for v in before if v > k]


# ---- NumPy


@pytest.fixture(autouse=True)
def numpy():
    named("numpy")


def test_numpy_float32():
    x = np.full((2**20, 2), 0.1, "f4")
    assert np.sum(x, axis=0)[0] == np.float32(105891.84)
    assert ac.sum(x, axis=0)[0] == np.float32(104857.6)


def test_numpy_order():
    x = np.array([1, 0] * 50)
    stable = np.argsort(x, kind="stable")
    assert equal(ac.argsort(x), stable)
    assert equal(ac.argsort(x, kind="quicksort"), stable)
    assert keeps_order(ac.partition([3, 1, 2, 5, 4, 0], 2), 2)


def test_numpy_zeros():
    assert np.signbit(np.max([0.0, -0.0]))
    assert not np.signbit(ac.max([0.0, -0.0]))
    assert np.signbit(ac.max([-0.0, 0.0]))


def test_numpy_integers():
    x = np.array([-128, 127], "i1")
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.quantile(x, 0.5) == 127.5
    assert ac.quantile(x, 0.5) == -0.5


def test_numpy_pandas():
    pd = pytest.importorskip("pandas")
    series = pd.Series([1.0, NAN])
    assert np.mean(series) == 1
    assert np.isnan(ac.mean(series))
    assert ac.nanmean(series) == 1
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    assert isinstance(np.sum(frame, axis=0), pd.Series)
    assert type(ac.sum(frame, axis=0)) is np.ndarray


def test_numpy_delegated():
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    assert ac.sum(masked) == np.sum(masked) == 4
    assert type(ac.sum(masked, axis=0, keepdims=True)) is type(np.sum(masked, axis=0, keepdims=True))
    for dtype in (complex, "f2", object):
        x = np.arange(4).astype(dtype)
        assert type(ac.sum(x)) is type(np.sum(x))


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads")
def test_numpy_interrupt():
    x = np.random.default_rng(0).random(10_000_000)
    main = threading.main_thread().ident
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        signal.pthread_kill(main, signal.SIGINT)

    def calls():
        for _ in range(200):
            ac.move_median(x, 1001)

    timer = threading.Timer(0.05, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        calls()
    assert time.perf_counter() - sent[0] < 1  # 20 ms, on a machine that is not busy
    timer.join()


# ---- bottleneck


def test_bottleneck_warnings():
    bn = named("bottleneck")
    x = np.array([NAN])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(bn.nanmean(x))
        assert np.isnan(bn.nanmax(x))
    for function in (ac.nanmean, ac.nanmax):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(function(x))


def test_bottleneck_reductions():
    bn = named("bottleneck")
    cube = np.ones((2, 2, 2))
    with pytest.raises(TypeError, match="axis"):
        bn.nanmean(cube, axis=(0, 1))
    assert equal(ac.nanmean(cube, axis=(0, 1)), [1, 1])
    assert type(bn.nansum(np.ones(2))) is float
    assert type(ac.nansum(np.ones(2))) is np.float64
    assert type(bn.nansum(np.ones(2, int))) is int
    assert type(ac.nansum(np.ones(2, int))) is np.int64
    x = np.full(2**24, 0.1, "f4")
    assert bn.nansum(x) == 1935089.0
    assert ac.nansum(x) == np.float32(1677721.6)
    small = np.array([100, 100], "i1")
    assert bn.ss(small) == 32
    assert ac.ss(small) == 20000


@pytest.mark.parametrize(
    ("name", "x", "window", "theirs", "ours"),
    [
        ("move_sum", [np.inf, 1, 2, 3], 2, [NAN, np.inf, NAN, NAN], [NAN, np.inf, 3, 5]),
        ("move_mean", [1e16, 1, 1, 1], 2, [NAN, 5e15, 0, 0], [NAN, 5e15, 1, 1]),
        ("move_var", [1e12, 1, 2, 3, 4], 3, [4.47392427e07] * 2, [2 / 3] * 2),
    ],
)
def test_bottleneck_windows(name, x, window, theirs, ours):
    bn = named("bottleneck")
    x = np.array(x)
    np.testing.assert_allclose(getattr(bn, name)(x, window)[-len(theirs) :], theirs)
    np.testing.assert_allclose(getattr(ac, name)(x, window)[-len(ours) :], ours)


def test_bottleneck_names():
    bn = named("bottleneck")
    theirs = set(bn.get_functions("all", as_string=True))
    assert "move_median" in theirs
    assert theirs <= set(ac.__all__)
    assert not keeps_order(bn.partition(np.array([3, 1, 2, 5, 4, 0]), 2), 2)


# ---- joblib


def double(x):
    x *= 2
    return x


def fail(x):
    raise KeyError("bad")


def test_joblib_workers():
    joblib = named("joblib")
    assert joblib.Parallel()._effective_n_jobs() == 1
    assert joblib.Parallel(-1)._effective_n_jobs() >= 1
    assert joblib.Parallel(-2)._effective_n_jobs() == max(1, joblib.cpu_count() - 1)
    with pytest.raises(ValueError, match="n_jobs"):
        joblib.Parallel(0)(joblib.delayed(abs)(v) for v in (1, 2))
    for workers in (0, -2):
        with pytest.raises(ValueError, match="workers"):
            ac.sum([1.0], workers=workers)
    assert ac.sum([1.0], workers=-1) == 1


PARALLEL = """
import numpy as np, joblib

def double(x):
    x *= 2
    return x

x = np.ones(1_000_000)
try:
    joblib.Parallel(2)(joblib.delayed(double)(x) for _ in range(2))
except ValueError as error:
    print(error)
print(*joblib.Parallel(2)(joblib.delayed(lambda v: v + 1)(v) for v in (1, 2)))
"""


def test_joblib_script(tmp_path):
    """Without a guard: joblib's workers don't import the script; a large argument is read-only; lambdas are sent."""
    named("joblib")
    with Script(tmp_path, PARALLEL, guard=False) as script:
        out, err, code = script.finish(60)
    assert code == 0, err
    assert " ".join(out) == "output array is read-only 2 3"


def test_joblib_arguments():
    x = np.ones(1_000_000)
    with ProcessPoolExecutor(2) as pool:
        for y in pool.map(double, [x, x]):
            assert y[0] == 2
        assert x[0] == 1
        assert pool.transfer_stats()["bytes_shared"] == 4 * x.nbytes
        with pytest.raises(KeyError) as caught:
            ac.map_blocks(fail, x, executor=pool)
        assert "block 0 of" in caught.value.__notes__[0]
        assert len(ac.map_blocks(fail, x, executor=pool, errors="collect")[1]) > 1


# ---- dask


@pytest.fixture
def da():
    named("dask")
    return pytest.importorskip("dask.array")


def test_dask_lazy(da):
    x = np.random.default_rng(0).normal(size=(400, 1000))
    assert isinstance(da.nansum(da.from_array(x)), da.Array)
    sums = {float(da.from_array(x, chunks=chunks).sum().compute()) for chunks in (1000, 500, 100, 91, 37, 13)}
    assert len(sums) > 1


def test_dask_blocks(da):
    x = np.ones((400, 1000))
    shapes = []

    def noted(block):
        shapes.append(block.shape)
        return block + 1

    da.map_blocks(noted, da.from_array(x, chunks=(100, 500))).compute()
    assert (0, 0) in shapes
    shapes.clear()
    ac.map_blocks(noted, x)
    assert set(shapes) == {(25, 1000)}
    assert da.map_blocks(lambda block: block[:1], da.from_array(x, chunks=(100, 1000))).compute().shape == (4, 1000)
    with pytest.raises(ValueError, match="block 0 gave an array of shape"):
        ac.map_blocks(lambda block: block[:1], x, block_size=100)


def test_dask_order_statistics(da):
    x = np.random.default_rng(1).exponential(size=100_000)
    lazy = da.from_array(np.sort(x), chunks=1000)
    with pytest.raises(NotImplementedError):
        da.median(lazy.reshape(100, 1000))
    with pytest.raises(NotImplementedError):
        da.quantile(lazy.reshape(100, 1000), 0.5)
    assert da.percentile(lazy, [50]).compute()[0] != np.percentile(x, 50) == ac.percentile(x, 50)
    assert da.topk(lazy, 2).compute().shape == (2,)
    values, positions = ac.topk(x, 2)
    assert equal(x[positions], values)
    assert not hasattr(da, "sort")


def test_dask_overlap(da):
    x = np.arange(20.0)
    with pytest.raises(NotImplementedError, match="Asymmetric"):
        da.map_overlap(lambda b: b, da.from_array(x, chunks=5), depth={0: (0, 2)}, boundary="reflect").compute()
    assert equal(ac.map_overlap(lambda b: b, x, {0: (0, 2)}, "reflect", block_size=5), x)
