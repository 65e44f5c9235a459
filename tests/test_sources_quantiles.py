"""Medians and quantiles of what is not in memory: the bits of the array in memory, by whole lanes and by passes."""

from __future__ import annotations

import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import GIL, everyday

import allcores as ac
from allcores._engine import mapreduce
from allcores._families import lazy_quantiles, quantiles, selection

SHAPES = {
    (200_001,): (7000,),
    (1000, 333): (64, 50),
    (64, 50, 90): (16, 50, 10),
    (3, 70_003): (1, 9000),
    (70_003, 3): (5000, 2),
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """So that arrays of some MB have many pieces, and long lanes."""
    monkeypatch.setattr(lazy_quantiles, "piece", 1 << 17)
    monkeypatch.setattr(lazy_quantiles, "slab", 1 << 19)
    monkeypatch.setattr(lazy_quantiles, "sampled", 1 << 13)
    monkeypatch.setattr(lazy_quantiles, "budget", 1 << 15)
    monkeypatch.setattr(mapreduce, "task_size", 1 << 18)


def example(kind, shape):
    x = np.random.default_rng(0).normal(size=shape)
    if kind == "some NaN":
        x.ravel()[::5] = np.nan
        x[..., -1] = np.nan
    if kind == "in order":
        x = np.sort(x, axis=None).reshape(shape)
    if kind == "few distinct":
        x = np.round(x)
    return (x * 1000).astype(np.int32) if kind == "int32" else x.astype("f4") if kind == "float32" else x


def axes_of(ndim):
    pairs = itertools.combinations(range(ndim), 2) if ndim > 1 else []
    return [None, *range(ndim), *pairs]


def same(function, source, x, *args, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, want = (getattr(ac, function)(a, *args, **arguments) for a in (source, x))
    assert type(found) is type(want)
    found, want = np.asarray(found), np.asarray(want)
    assert (found.dtype, found.shape, found.tobytes()) == (want.dtype, want.shape, want.tobytes())


@pytest.mark.parametrize(
    "kind", everyday(["normal", "some NaN", "in order", "few distinct", "int32", "float32"], ("some NaN", "int32"))
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_bits_of_memory(tmp_path, shape, kind):
    x = example(kind, shape)
    np.save(tmp_path / "c.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    sources = [ac.open(tmp_path / "c.npy"), ac.open(tmp_path / "f.npy"), ac.open(x, chunks=SHAPES[shape])]
    for source, axis in itertools.product(sources, axes_of(x.ndim)):
        same("median", source, x, axis=axis)
        same("nanquantile", source, x, [0.1, 0.5, 0.999], axis=axis)
        same("nanmedian", source, x, axis=axis, workers=1, keepdims=True)


@pytest.mark.parametrize("method", ["linear", "lower", "midpoint", "inverted_cdf", "median_unbiased"])
def test_methods(tmp_path, method):
    x = example("some NaN", (3, 70_003))
    np.save(tmp_path / "x.npy", x)
    for function, q in (("quantile", 0.3), ("nanpercentile", [[0, 30], [60, 100]])):
        for axis in axes_of(2):
            same(function, ac.open(tmp_path / "x.npy"), x, q, axis=axis, method=method)


def test_stores(tmp_path, zarr, h5py):
    x = example("some NaN", (1000, 333))
    stored = zarr.create_array(store=tmp_path / "x.zarr", shape=x.shape, chunks=(64, 50), dtype=x.dtype)
    stored[...] = x
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(64, 50), compression="gzip")
    with h5py.File(tmp_path / "x.h5", "r") as file:
        for source, axis in itertools.product((stored, file["x"], ac.open(tmp_path / "x.zarr")), axes_of(2)):
            same("nanmedian", source, x, axis=axis)
            same("quantile", source, x, [0.2, 0.8], axis=axis)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_on_an_executor(tmp_path, axis):
    x = example("some NaN", (1000, 333))
    np.save(tmp_path / "x.npy", x)
    with ThreadPoolExecutor(2) as pool:
        for a in (x, ac.open(tmp_path / "x.npy"), ac.open(x, chunks=(64, 50))):
            same("nanmedian", a, x, axis=axis, executor=pool)
            with ac.set_executor(pool):
                same("nanquantile", a, x, [0.1, 0.9], axis=axis)


def test_a_small_budget(tmp_path):
    """Long lanes, none of which fits."""
    x = example("normal", (100_000, 5))
    np.save(tmp_path / "x.npy", x)
    with ac.set_memory_budget(1 << 20):
        for axis in (None, 0, 1):
            same("median", ac.open(tmp_path / "x.npy"), x, axis=axis)


def test_killer_of_samples():
    """All that is not sampled is between two elements that are."""
    x = np.zeros(300_000)
    x[::2] = np.random.default_rng(0).normal(size=150_000) * 1e-300
    same("quantile", ac.open(x, chunks=(1000,)), x, [0.3, 0.5, 0.7])
    x = np.repeat(np.arange(300.0), 1000)
    same("quantile", ac.open(x, chunks=(1000,)), x, np.linspace(0, 1, 37))


def test_what_fits_against_all_likelihood(monkeypatch):
    """A sample that says that too much is inside must not keep a search from its end."""
    monkeypatch.setattr(lazy_quantiles, "likely", lambda brackets, ordered: 1.0)
    x = example("normal", (200_001,))
    same("median", ac.open(x, chunks=(7000,)), x)


def fruitless(passes):
    """A search of which all is inside the brackets, whatever they are."""
    search = selection.search(1000, np.dtype(float), quantiles.Middle(), False, 10)
    asked = next(search)
    while passes:
        if isinstance(asked, int):
            asked = search.send(np.sort(np.random.default_rng(passes).integers(-(2**62), 2**62, 1000)))
        else:
            counts = np.array([1000, *([0, 0, 1000, 0] * len(asked))])
            asked, passes = search.send(lazy_quantiles.Found(asked, counts, counts[:0])), passes - 1


def test_elements_that_change_meanwhile():
    """A search that no pass brings nearer to its end has one all the same."""
    with pytest.raises(RuntimeError, match="elements changed while they were read"):
        fruitless(200)


@pytest.mark.parametrize("dtype", ["u4", "i4", "i8", "u8"])
def test_many_of_the_least_and_of_the_greatest(dtype, monkeypatch):
    """As where nothing was measured: found in few passes."""
    passes = []
    one_pass = lazy_quantiles.LongLines.one_pass
    monkeypatch.setattr(lazy_quantiles.LongLines, "one_pass", lambda *args: passes.append(1) or one_pass(*args))
    for value in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        for share in (0.1, 0.6, 0.999, 1):
            x = np.random.default_rng(0).integers(0, 1000, 200_000).astype(dtype)
            x[: int(share * x.size)] = value
            passes.clear()
            same("quantile", ac.open(x, chunks=(5000,)), x, [0.3, 0.5, 0.9])
            assert len(passes) <= 4


def test_many_quantiles_of_a_long_lane(monkeypatch):
    monkeypatch.setattr(lazy_quantiles, "budget", 1 << 11)
    x = example("normal", (200_001,))
    same("quantile", ac.open(x, chunks=(7000,)), x, np.linspace(0, 1, 501))


def test_long_lanes_beyond_the_budget(monkeypatch):
    """A piece is some chunks, not as many as there are lanes."""
    import tracemalloc

    monkeypatch.setattr(lazy_quantiles, "piece", 4 << 20)
    x = np.random.default_rng(0).normal(size=(64, 50_000))
    source = ac.open(x, chunks=(1, 50_000))
    with ac.set_memory_budget(2 << 20):
        tracemalloc.start()
        got = ac.median(source, axis=1, workers=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert np.array_equal(got, np.median(x, axis=1))
    assert peak < 8 << 20


def test_out_and_bad_arguments(tmp_path, zarr):
    x = example("normal", (1000, 333))
    source = ac.open(x, chunks=(64, 50))
    out = np.full(333, 7.0)
    with pytest.raises(ValueError, match=r"range \[0, 1\]"):
        ac.quantile(source, 1.5, axis=0, out=out)
    with pytest.raises(np.exceptions.AxisError):
        ac.median(source, axis=2, out=out)
    assert (out == 7).all()
    assert ac.median(source, axis=0, out=out) is out
    assert np.array_equal(out, np.median(x, axis=0))
    stored = zarr.create_array(store={}, shape=(333,), chunks=(100,), dtype="f8")
    assert ac.median(source, axis=0, out=stored) is stored
    assert np.array_equal(stored[...], out)


def test_what_no_kernel_covers_is_loaded():
    x = example("normal", (1000, 333))
    source = ac.open(x, chunks=(64, 50))
    weights = np.ones(1000)
    same("quantile", source, x, 0.3, axis=0, method="inverted_cdf", weights=weights)
    with ac.set_memory_budget(1 << 20), pytest.raises(MemoryError, match="memory budget"):
        ac.quantile(source, 0.3, axis=0, method="inverted_cdf", weights=weights)


def test_memory(tmp_path):
    """Without a GIL, what a thread has made that waits meanwhile is freed later."""
    import tracemalloc

    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(1 << 20, 4)))
    source = ac.open(tmp_path / "x.npy")
    for axis in (None, 0):
        with ac.set_memory_budget(source.nbytes // 4):
            ac.median(source, axis=axis)
            tracemalloc.start()
            ac.median(source, axis=axis)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < source.nbytes / (4 if GIL else 3), axis


def test_a_part_that_cannot_be_read_is_named(tmp_path):
    np.save(tmp_path / "x.npy", example("normal", (200_001,)))
    source = ac.open(tmp_path / "x.npy")
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(OSError, match=r"x\.npy: can't read \[.*the file ends"):
        ac.median(source)
