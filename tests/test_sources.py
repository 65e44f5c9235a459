"""What is not in memory: the same bits as the same array in memory, or as any other source with the same chunks."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
import warnings
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import EXACT, FUNCTIONS, CountingSource, everyday

import allcores as ac
from allcores._engine import grid, mapreduce, settings, sources
from allcores._engine.view import SMALL
from allcores._families import lazy_reductions
from allcores.sources import zarrs

SHAPES = [(300_001,), (1000, 333), (64, 50, 90), (3, 70_003), (70_003, 3)]
POSITIONS = ("argmin", "argmax", "nanargmin", "nanargmax")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """So that arrays of some MB have many pieces."""
    monkeypatch.setattr(lazy_reductions, "piece", 1 << 16)
    monkeypatch.setattr(lazy_reductions, "stored_piece", 1 << 17)


def example(shape, seed=0):
    x = np.random.default_rng(seed).normal(size=shape)
    x.ravel()[:: max(1, x.size // 50)] = np.nan
    return x


def axes_of(ndim, function):
    pairs = [] if function in POSITIONS else list(itertools.combinations(range(ndim), 2))
    return [None, *range(ndim), *pairs]


def outcome(function, a, **arguments):
    """The result, or what it raised, as something to compare: type, dtype, shape, bits."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = getattr(ac, function)(a, **arguments)
        except ValueError as error:
            return type(error), str(error), None
    array = np.asarray(result)
    return type(result), array.dtype, array.shape, array.tobytes()


# ---- .npy: the bits of the array in memory


@pytest.mark.parametrize("order", everyday(["C", "F"], ["C"]))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_npy_has_the_bits_of_memory(tmp_path, function, shape, order):
    x = np.array(example(shape), order=order)
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    for axis in axes_of(x.ndim, function):
        want = outcome(function, x, axis=axis)
        assert outcome(function, source, axis=axis) == want, axis
        assert outcome(function, source, axis=axis, workers=1) == want, axis


@pytest.mark.parametrize("dtype", ["?", "b", "H", "i", "i8", "u8", "f", ">f8", ">i4", "<f8"])
@pytest.mark.parametrize("function", ["sum", "mean", "nanvar", "max", "argmin", "count_nonzero", "any"])
def test_dtypes_of_npy(tmp_path, function, dtype):
    x = np.nan_to_num(example((400, 500)) * 50).astype(np.int8).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    for axis in (None, 0, 1):
        want = outcome(function, x.astype(x.dtype.newbyteorder("=")), axis=axis)
        assert outcome(function, source, axis=axis) == want


def test_masks_and_outputs(tmp_path, zarr):
    x, where = example((700, 300)), np.random.default_rng(1).random((700, 300)) < 0.5
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    for function in ("sum", "nanmean", "var", "nanstd"):
        for axis in (None, 0, 1):
            assert outcome(function, source, axis=axis, where=where) == outcome(function, x, axis=axis, where=where)
            stored = getattr(ac, function)(ac.open(x, chunks=(64, 50)), axis=axis, where=where)
            np.testing.assert_allclose(stored, getattr(ac, function)(x, axis=axis, where=where), rtol=1e-12)
    out = np.empty(300)
    assert ac.nanmean(source, axis=0, out=out) is out
    assert np.array_equal(out, ac.nanmean(x, axis=0))
    stored = zarr.create_array(store={}, shape=(300,), chunks=(100,), dtype="f8")
    assert ac.nanmean(source, axis=0, out=stored) is stored
    assert np.array_equal(stored[...], out)


def test_pieces_change_no_bit(tmp_path, monkeypatch):
    x = example((5000, 90))
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    for piece in (1, 1 << 17, 1 << 22):
        monkeypatch.setattr(lazy_reductions, "piece", piece)
        for axis in (None, 0, 1):
            assert outcome("nanvar", source, axis=axis) == outcome("nanvar", x, axis=axis)


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 9, 1), (4097, 2), (2, 4097), (33, 65, 2), (9000, 3), (30_000, 1)])
@pytest.mark.parametrize("most", [1, 1 << 10, 1 << 16])
def test_pieces_cover_everything_once(shape, most):
    sizes = grid.cut_flat(shape, 8, most)
    pieces = grid.Pieces(shape, sizes, (*(False for _ in shape[:-2]), True, False))
    seen = np.zeros(shape, int)
    for result in range(pieces.results):
        for part in range(pieces.parts):
            seen[pieces.region(result, part)] += 1
    assert (seen == 1).all()
    leaf = grid.LINE_LEAF if shape[-1] == 1 else grid.ROWS_LEAF
    run = sizes[-2]
    assert run == shape[-2] or (run % leaf == 0 and (run // leaf).bit_count() == 1)
    assert shape[-1] == 1 or shape[-1] % sizes[-1] != 1


# ---- chunks


@pytest.fixture(scope="module")
def stores(tmp_path_factory, zarr, h5py):
    """Of each shape the same array in memory, zarr and HDF5, in the same chunks."""
    directory = tmp_path_factory.mktemp("stores")
    made = {}
    for number, (shape, chunks) in enumerate(
        [((300_001,), (7000,)), ((700, 333), (64, 100)), ((64, 50, 90), (16, 50, 7)), ((70_003, 3), (4096, 3))]
    ):
        x = example(shape)
        array = zarr.create_array(store=directory / f"{number}.zarr", shape=shape, chunks=chunks, dtype="f8")
        array[...] = x
        path = directory / f"{number}.h5"
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("gzip", data=x, chunks=chunks, compression="gzip", compression_opts=1)
            file.create_dataset("shuffled", data=x, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True)
            file.create_dataset("lzf", data=x, chunks=chunks, compression="lzf")
            file.create_dataset("plain", data=x, chunks=chunks)
            file.create_dataset("swapped", data=x.astype(">f8"), chunks=chunks, compression="gzip", compression_opts=1)
            file.create_dataset("contiguous", data=x)
        made[shape] = x, chunks, array, path
    return made


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", everyday([(300_001,), (700, 333), (64, 50, 90), (70_003, 3)], [(700, 333)]), ids=str)
def test_chunks_give_the_same_bits_wherever_they_are(stores, function, shape, h5py):
    x, chunks, array, path = stores[shape]
    with h5py.File(path, "r") as file:
        names = ("gzip", "shuffled", "lzf", "plain", "swapped")
        kinds = {"zarr": array, **{name: file[name] for name in names}}
        for axis in axes_of(x.ndim, function):
            want = outcome(function, ac.open(x, chunks=chunks), axis=axis)
            for name, source in kinds.items():
                assert outcome(function, source, axis=axis) == want, (name, axis)
            memory = outcome(function, x, axis=axis)
            assert outcome(function, file["contiguous"], axis=axis) == memory
            assert want[:3] == memory[:3]
            if len(memory) == 4:
                near = np.frombuffer(want[3], memory[1]), np.frombuffer(memory[3], memory[1])
                np.testing.assert_allclose(*near, rtol=1e-11, atol=1e-11)


class Turned(ac.Source):
    """Gives its parts in another layout, and in the other byte order."""

    def __init__(self, x, chunks):
        self.name, self.shape, self.dtype, self.chunks, self.x = "turned", x.shape, x.dtype, chunks, x

    def read(self, region):
        return np.asfortranarray(self.x[region]).astype(self.dtype.newbyteorder())


@pytest.mark.parametrize("shape", [(300, 400), (500, 600)], ids=str)  # loaded, and read by chunks
def test_layouts_of_what_is_read_change_no_bit(tmp_path, shape):
    x, chunks = np.random.default_rng(0).normal(size=shape), (50, 70)
    np.save(tmp_path / "c.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    given = [ac.open(ac.open(tmp_path / f"{order}.npy"), chunks=chunks) for order in "cf"]
    given += [ac.open(np.asfortranarray(x), chunks=chunks), Turned(x, chunks), ac.open(Turned(x, None), chunks=chunks)]
    for function in ("sum", "mean", "nanstd", "prod", "ss", "argmax"):
        for axis in (None, 0, 1):
            want = outcome(function, ac.open(x, chunks=chunks), axis=axis)
            for source in given:
                assert outcome(function, source, axis=axis) == want, (function, axis, source)
    for source in given:
        part = source[100:160, 60:80]
        np.testing.assert_array_equal(part, x[100:160, 60:80])
        assert part.dtype == x.dtype


def test_chunks_of_whole_leaves_have_the_bits_of_memory():
    line, table = example((1 << 18,)), example((4096, 70))
    for function in ("sum", "nanmean", "nanvar", "argmax"):
        assert outcome(function, ac.open(line, chunks=(1 << 14,))) == outcome(function, line)
        assert outcome(function, ac.open(table, chunks=(256, 35)), axis=0) == outcome(function, table, axis=0)


def test_positions_do_not_follow_chunks():
    """The lowest position in C order, though a chunk that comes later has it."""
    x = np.zeros((600, 600))
    x[100, 500] = x[101, 3] = 1
    assert ac.argmax(ac.open(x, chunks=(300, 100))) == 100 * 600 + 500


def nan_here_and_there(number):
    """Tables of which whole parts, whole lanes, or all but one element are NaN."""
    x = np.random.default_rng(0).normal(size=(600, 260))
    assert x.size > SMALL  # or it would be loaded
    yield "first parts", np.where(np.arange(600)[:, None] < 300, np.nan, x)
    yield "last parts", np.where(np.arange(600)[:, None] >= 300, np.nan, x)
    yield "parts between", np.where(np.abs(np.arange(600)[:, None] - 300) < 150, np.nan, x)
    yield "columns", np.where(np.arange(260) % 3 == 0, np.nan, x)
    yield "first columns", np.where(np.arange(260) < 140, np.nan, x)
    yield "all", np.full_like(x, np.nan)
    for at in ((0, 0), (350, 130), (599, 259)):
        alone = np.full_like(x, np.nan)
        alone[at] = number
        yield f"all but {number} at {at}", alone


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if "nan" in name or "arg" in name] + ["min", "max"])
def test_parts_of_nan(tmp_path, function, monkeypatch):
    """Parts that have no number are left out, or found; lanes of none are as in memory."""
    monkeypatch.setattr(lazy_reductions, "stored_piece", 1 << 16)
    for label, x in nan_here_and_there(np.inf if function.endswith("min") else -np.inf):
        np.save(tmp_path / "x.npy", x)
        source = ac.open(tmp_path / "x.npy")
        for axis in (None, 0, 1):
            want = outcome(function, x, axis=axis)
            assert outcome(function, source, axis=axis) == want, (label, axis)
            got = outcome(function, ac.open(x, chunks=(100, 70)), axis=axis)
            if function in EXACT or want[0] is ValueError:
                assert got == want, (label, axis)
            else:
                assert got[:3] == want[:3]
                near = (np.frombuffer(each[3], each[1]) for each in (got, want))
                np.testing.assert_allclose(*near, rtol=1e-11, atol=1e-11, err_msg=f"{label} {axis}")


@pytest.mark.parametrize("where", ["within a part", "between parts"])
@pytest.mark.parametrize("kind", ["a file", "chunks", "an executor"])
def test_flags_of_parts(tmp_path, kind, where):
    """What overflows in a part, or where parts are put together, warns as in memory."""
    x = np.zeros(300_000)
    x[[0, 1] if where == "within a part" else [0, -1]] = np.finfo(float).max
    np.save(tmp_path / "x.npy", x)
    source = ac.open(x, chunks=(10_000,)) if kind == "chunks" else ac.open(tmp_path / "x.npy")
    with ThreadPoolExecutor(2) as pool, ac.set_executor(pool if kind == "an executor" else None):
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            ac.sum(source)
        with np.errstate(all="raise"):
            assert ac.sum(ac.open(np.ones(300_000), chunks=(10_000,))) == 300_000


def test_missing_chunks_have_the_fill_value(tmp_path, zarr, h5py):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", (1000, 300), "f8", chunks=(100, 100), compression="gzip", fillvalue=2.5)
        dataset[:100] = 1
    source = ac.open(tmp_path / "x.h5")
    assert ac.sum(source) == 100 * 300 + 900 * 300 * 2.5
    array = zarr.create_array(store={}, shape=(1000, 300), chunks=(100, 100), dtype="f8", fill_value=2.5)
    assert ac.sum(array) == 1000 * 300 * 2.5


@pytest.mark.parametrize("compressor", [None, "zstd", "blosc", "gzip"])
@pytest.mark.parametrize("dtype", ["f8", ">f4", "i2", "u8", "?", "c8"])
def test_chunks_of_zarr(tmp_path, dtype, compressor, zarr):
    """Those that are read without zarr, and those that are not, have what zarr has."""
    made = {"zstd": zarr.codecs.ZstdCodec, "blosc": zarr.codecs.BloscCodec, "gzip": zarr.codecs.GzipCodec}
    values = (example((301, 203)) * 10 > 3).astype(dtype)
    stored = zarr.create_array(
        store=tmp_path / "x.zarr",
        shape=values.shape,
        chunks=(50, 40),
        dtype=dtype,
        fill_value=1,
        compressors=[made[compressor]()] if compressor else None,
    )
    stored[:170] = values[:170]
    for array in (stored, zarr.open_array(tmp_path / "x.zarr", mode="r")):
        source = zarrs.Zarr(array)
        assert (source.files is not None) == (compressor in (None, "zstd"))
        for key in ((), np.s_[50:100, 40:80], np.s_[3:99, 10:203], np.s_[160:301, 0:5], np.s_[3:3, 0:5]):
            for each in (source, pickle.loads(pickle.dumps(source))):
                np.testing.assert_array_equal(each[key], array[key])
                assert each[key].dtype.isnative


def test_long_parts_with_gaps(tmp_path):
    """Runs with little between them are read through, some MiB of them at a time."""
    x = example((6000, 100))
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    np.testing.assert_array_equal(source[:, 10:60], x[:, 10:60])
    np.testing.assert_array_equal(ac.open(source[5:, :99])[:, 1:3], x[5:, 1:3])


def test_copies_of_sources(tmp_path, zarr):
    x = example((200, 300))
    copy = np.array(ac.open(x))
    copy[0] = 7
    assert not (x[0] == 7).any()
    array = zarr.create_array(store=tmp_path / "x.zarr", shape=(50, 40), chunks=(50, 40), dtype="f8", compressors=None)
    array[...] = 1
    for source in (ac.open(array), ac.open(x)):
        np.array(source)[0] = 7
        source[:10][0] = 7
        assert ac.open(array)[:].flags.writeable


def test_a_chunk_that_is_cut_off(tmp_path, zarr):
    array = zarr.create_array(
        store=tmp_path / "x.zarr", shape=(200_000,), chunks=(50_000,), dtype="f8", compressors=None
    )
    array[...] = 1
    (tmp_path / "x.zarr" / "c" / "2").write_bytes(bytes(1000))
    with pytest.raises(OSError, match=r"x\.zarr: can't read \[\d+:\d+\]: the chunk at \(100000,\) has 1,000 bytes"):
        ac.sum(array)


# ---- other functions, and blocks


def test_other_functions_load_what_is_within_the_budget(tmp_path):
    x = example((1000, 300))
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    assert np.array_equal(ac.sort(source), ac.sort(x), equal_nan=True)
    assert np.array_equal(ac.nanmedian(source, axis=0), ac.nanmedian(x, axis=0))
    with (
        ac.set_memory_budget(1 << 20),
        pytest.raises(MemoryError, match=r"x\.npy has 2,400,000 bytes.*budget of 1,048,576"),
    ):
        ac.sort(source)


def files(x, directory):
    np.save(directory / "x.npy", x)
    yield ac.open(directory / "x.npy")
    with suppress(ImportError):
        import zarr

        array = zarr.create_array(directory / "x.zarr", shape=x.shape, chunks=(70, 50), dtype="f8", overwrite=True)
        array[...] = x
        yield array


def kinds(x, directory):
    return [*files(x, directory), ac.open(x, chunks=(11, 13))]


def test_blocks_of_sources(tmp_path):
    x = example((1000, 300))
    want = np.sqrt(x * x + 1)
    for source in kinds(x, tmp_path):
        for options in ({}, {"block_size": 77}, {"block_axis": 1}, {"workers": 1}):
            got = ac.map_blocks(lambda b: np.sqrt(b * b + 1), source, **options)
            assert np.array_equal(got, want, equal_nan=True)
        assert np.array_equal(ac.map_blocks(np.add, source, x), x + x, equal_nan=True)
        assert np.array_equal(ac.map_blocks(np.add, x[:1], source), x[:1] + x, equal_nan=True)
        step = ac.map_overlap(lambda b: b - np.roll(b, 1, 0), source, (1, 0), "reflect")
        assert np.array_equal(step, x - np.vstack([x[:1], x[:-1]]), equal_nan=True)
        assert np.array_equal(ac.reduction(source, np.nanmax, np.nanmax, axis=0), np.nanmax(x, axis=0))
        assert np.array_equal(ac.apply_along_axis(np.cumsum, 0, source), np.cumsum(x, axis=0), equal_nan=True)


def test_blocks_are_of_whole_stored_chunks():
    """Or two of them would read the same one."""
    read = []

    class Told(ac.Source):
        name, shape, dtype, chunks = "told", (2_000_000,), np.dtype(float), (30_000,)

        def read(self, region):
            read.append(region[0].start)
            return np.zeros(region[0].stop - region[0].start)

    assert not ac.map_blocks(np.sqrt, Told()).any()
    assert len(read) > 1
    assert all(start % 30_000 == 0 for start in read)


def test_blocks_into_sources(tmp_path, zarr, h5py):
    x = example((1000, 300))
    for source in kinds(x, tmp_path):
        for size in (None, 77):
            out = zarr.create_array(store={}, shape=x.shape, chunks=(128, 300), dtype="f8")
            assert ac.map_blocks(np.negative, source, out=out, block_size=size) is out
            assert np.array_equal(out[...], -x, equal_nan=True)
            with h5py.File(tmp_path / "out.h5", "w") as file:
                dataset = file.create_dataset("x", x.shape, "f8", chunks=(64, 64), compression="gzip")
                ac.map_blocks(np.negative, source, out=dataset, block_size=size)
                assert np.array_equal(dataset[...], -x, equal_nan=True)
            mapped = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "f8", x.shape)
            ac.map_blocks(np.negative, source, out=mapped, block_size=size)
            assert np.array_equal(mapped, -x, equal_nan=True)
    with pytest.raises(ValueError, match="out must have 1000 elements"):
        ac.map_blocks(np.negative, x, out=zarr.create_array(store={}, shape=(999, 300), chunks=(9, 9), dtype="f8"))
    with pytest.raises(TypeError, match="can't be written to"):
        ac.map_blocks(np.negative, x, out=ac.open(tmp_path / "x.npy"))


# ---- the source itself


def test_what_a_source_is(tmp_path):
    x = example((40, 30))
    for source in kinds(x, tmp_path):
        source = ac.open(source)
        assert (source.shape, source.ndim, source.size, source.nbytes, len(source)) == ((40, 30), 2, 1200, 9600, 40)
        assert source.dtype == np.float64
        for key in (np.s_[3], np.s_[-1, 2:5], np.s_[..., 1], np.s_[5:2], np.s_[::7, 1:20:3], np.s_[...], ()):
            assert np.array_equal(source[key], x[key], equal_nan=True), key
        assert np.array_equal(np.asarray(source), x, equal_nan=True)
        assert "shape=(40, 30)" in repr(source)
        for key in (np.s_[::-1], np.s_[[1, 2]], np.s_[1, 1, 1], np.s_[40], np.s_[None]):
            with pytest.raises(IndexError):
                source[key]
        with pytest.raises(ValueError, match="can't be avoided"):
            np.asarray(source, copy=False)


def test_sources_cross_processes_as_handles(tmp_path, h5py):
    x = example((400, 300))
    for source in files(x, tmp_path):
        data = pickle.dumps(ac.open(source))
        assert len(data) < 5000
        assert np.array_equal(pickle.loads(data)[...], x, equal_nan=True)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(50, 50), compression="gzip")
    again = pickle.loads(pickle.dumps(ac.open(tmp_path / "x.h5")))
    assert np.array_equal(again[...], x, equal_nan=True)


def test_empty_and_small_arrays(tmp_path):
    for x in (np.empty((0, 3)), np.float64(2.5), np.arange(7)):
        np.save(tmp_path / "x.npy", x)
        source = ac.open(tmp_path / "x.npy")
        assert outcome("sum", source) == outcome("sum", np.asarray(x))
    with pytest.raises(TypeError, match="without axes"):
        len(ac.open(np.zeros(())))


def test_what_is_not_to_be_opened(tmp_path, zarr, h5py):
    with pytest.raises(FileNotFoundError):
        ac.open(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="known by the extension"):
        ac.open(tmp_path / "x.csv")
    with pytest.raises(TypeError, match="source must be"):
        ac.open(3)
    x = np.ones((2000, 300))
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(ValueError, match="has one array"):
        ac.open(tmp_path / "x.npy", "x")
    with pytest.raises(ValueError, match="for each of 2 axes"):
        ac.open(x, chunks=(3,))
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(100_000)
    with pytest.raises((OSError, ValueError), match=r"x\.npy"):
        ac.open(tmp_path / "x.npy")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["g/b"] = x, x
    with pytest.raises(ValueError, match=r"one of its datasets: a, g/b"):
        ac.open(tmp_path / "two.h5")
    assert ac.sum(ac.open(tmp_path / "two.h5", "g/b")) == x.size
    group = zarr.create_group(store=tmp_path / "two.zarr")
    group.create_array("a", shape=(3,), dtype="f8")
    group.create_array("b", shape=(4,), dtype="f8")
    with pytest.raises(ValueError, match="one of its arrays: a, b"):
        ac.open(tmp_path / "two.zarr")
    assert ac.open(tmp_path / "two.zarr", "b").shape == (4,)


def test_a_file_that_is_cut_off_while_it_is_read(tmp_path):
    x = example((2000, 300))
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(1_000_000)
    out = np.full(300, 7.0)
    for _ in range(3):
        with pytest.raises(OSError, match=r"x\.npy: can't read .* the file ends"):
            ac.nanmean(source, axis=0, out=out)
    assert (out == 7).all()
    assert ac.sum(x[1]) == ac.sum(x[1])  # threads stay usable


class Failing(ac.Source):
    def __init__(self, chunk):
        self.name, self.shape, self.dtype, self.chunks = "a failing source", (200_000,), np.dtype(float), (10_000,)
        self.chunk = chunk

    def read(self, region):
        if region[0].start <= self.chunk < region[0].stop:
            raise RuntimeError("no such block")
        return np.zeros(region[0].stop - region[0].start)


def test_a_part_that_cannot_be_read_is_named():
    with pytest.raises(OSError, match=r"a failing source: can't read \[\d+:\d+\]: no such block"):
        ac.sum(Failing(123_456))
    assert ac.sum(Failing(-1)) == 0


def test_nobody_goes_on_after_an_error():
    """Where a helper could not read a part, the others begin no more of them."""
    main, failed, read = threading.get_ident(), threading.Event(), []

    class Helpless(ac.Source):
        name, shape, dtype, chunks = "helpless", (1 << 24,), np.dtype(float), (1 << 14,)

        def read(self, region):
            if threading.get_ident() != main:
                failed.set()
                raise RuntimeError("not by a helper")
            assert failed.wait(30)
            failed.wait(0.001)
            read.append(region)
            return np.zeros(region[0].stop - region[0].start)

    with pytest.raises(OSError, match="not by a helper"):
        ac.sum(Helpless(), workers=2)
    assert len(read) < 900  # of 1024, with time for the error to arrive


def test_registered_types():
    class Thing:
        def __init__(self, x):
            self.x = x

    x = example((200_000,))
    ac.register_source(Thing, lambda thing: ac.open(thing.x, chunks=(5000,)))
    try:
        assert outcome("nanmean", Thing(x)) == outcome("nanmean", ac.open(x, chunks=(5000,)))
    finally:
        del sources._adapters[Thing]
    for bad in (3, np.ma.MaskedArray):
        with pytest.raises(TypeError, match="kind must"):
            ac.register_source(bad, lambda thing: thing)
    with pytest.raises(TypeError, match="adapter must"):
        ac.register_source(Thing, None)


# ---- memory, and calls in the background


def test_the_budget_bounds_what_is_read_at_a_time():
    source = CountingSource(1 << 20, 1 << 14)
    with ac.set_memory_budget(1 << 18):  # two pieces of 128 KiB
        ac.sum(source, workers=4)
    assert source.most == 1
    source = CountingSource(1 << 20, 1 << 14)
    ac.sum(source, workers=4)
    assert source.most > 1


def test_memory_of_a_large_file(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "f8", (4_000_000, 4))
    array[...] = 1
    del array
    source = ac.open(tmp_path / "x.npy")
    ac.sum(source, axis=0)
    tracemalloc.start()
    assert (ac.sum(source, axis=0) == 4_000_000).all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 << 20


def test_budgets():
    assert settings.memory_limit() // 8 == ac.get_memory_budget()
    for bad, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="nbytes"), ac.set_memory_budget(bad):
            pass


def test_limits_of_control_groups(tmp_path):
    membership = tmp_path / "membership"
    membership.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("1000000\n")
    for inner in ("max", "2000000"):
        (tmp_path / "a" / "b" / "memory.max").write_text(inner)
        settings.memory_limit.cache_clear()
        assert settings.memory_limit(os.fspath(tmp_path), os.fspath(membership)) == 1_000_000
    settings.memory_limit.cache_clear()


def test_background_calls_of_sources_stop():
    class Slow(CountingSource):
        def read(self, region):
            threading.Event().wait(0.02)
            return super().read(region)

    future = ac.submit(ac.nanmean, Slow(1 << 20, 1 << 14), workers=2)
    while future.progress()[0] < 1 and not future.done():
        threading.Event().wait(0.005)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(timeout=10)
    assert future.cancelled()


# ---- python -m allcores describe


def test_describe_stores(tmp_path, capsys, zarr, h5py):
    from allcores.__main__ import main

    x = example((3000, 200))
    counts = np.arange(20, dtype="i4")
    group = zarr.create_group(store=tmp_path / "x.zarr")
    group.create_array("a", shape=x.shape, chunks=(70, 50), dtype="f8")[...] = x
    group.create_array("g/b", shape=(20,), chunks=(7,), dtype="i4")[...] = counts
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=x, chunks=(70, 50), compression="gzip")
        file["g/b"], file["name"] = counts, "text"
    np.savez(tmp_path / "x.npz", **{"a": x, "g/b": counts})
    for name in ("x.zarr", "x.h5"):
        assert main(["describe", "--json", os.fspath(tmp_path / name)]) == 0
        (got,) = json.loads(capsys.readouterr().out)
        assert main(["describe", "--json", os.fspath(tmp_path / "x.npz")]) == 0
        (want,) = json.loads(capsys.readouterr().out)
        for a, b in zip(want["columns"], got["columns"], strict=False):
            assert (a["name"], a["dtype"], a["shape"], a["count"]) == (b["name"], b["dtype"], b["shape"], b["count"])
            np.testing.assert_allclose(
                [a[k] for k in ("mean", "std", "min", "max")], [b[k] for k in ("mean", "std", "min", "max")]
            )
    with h5py.File(tmp_path / "none.h5", "w"):
        pass
    (tmp_path / "none.zarr").mkdir()
    for name in ("none.h5", "none.zarr"):
        assert main(["describe", os.fspath(tmp_path / name)]) == 2
    (tmp_path / "bad.h5").write_bytes(b"not one")
    assert main(["describe", os.fspath(tmp_path / "bad.h5")]) == 2


# ---- on executors


def double(block):
    return 2 * block


@pytest.fixture(scope="module", params=["threads", "processes", "ours", "loky"])
def executor(request):
    if request.param == "threads":
        pool = ThreadPoolExecutor(2)
    elif request.param == "processes":
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))
    elif request.param == "ours":
        pool = ac.futures.ProcessPoolExecutor(2)
    else:
        pool = pytest.importorskip("loky").ProcessPoolExecutor(2)
    with pool:
        yield pool


def test_executors_give_the_same_bits(tmp_path, executor, monkeypatch):
    monkeypatch.setattr(mapreduce, "task_size", 1 << 18)
    x = example((3000, 200))
    where = np.random.default_rng(1).random(x.shape) < 0.5
    for source in kinds(x, tmp_path):
        for function in ("sum", "nanmean", "nanvar", "nanargmin", "any"):
            for axis in (None, 0, 1):
                want = outcome(function, source, axis=axis)
                with ac.set_executor(executor):
                    assert outcome(function, source, axis=axis) == want
        want = outcome("nanmean", source, axis=0, where=where)
        with ac.set_executor(executor):
            assert outcome("nanmean", source, axis=0, where=where) == want


def test_blocks_of_sources_on_executors(tmp_path, executor, zarr):
    x = example((3000, 200))
    for source in files(x, tmp_path):
        assert np.array_equal(ac.map_blocks(double, source, executor=executor), 2 * x, equal_nan=True)
        with ac.set_executor(executor):
            assert np.array_equal(ac.map_blocks(np.add, source, x), 2 * x, equal_nan=True)
            got = ac.map_overlap(np.cumsum, source, (2, 0), "reflect", axis=1)
            assert np.array_equal(got, np.cumsum(x, axis=1), equal_nan=True)
            out = zarr.create_array(store={}, shape=x.shape, chunks=(128, 200), dtype="f8")
            ac.map_blocks(double, source, out=out)
            assert np.array_equal(out[...], 2 * x, equal_nan=True)


def test_calls_of_a_worker_are_not_sent():
    """Those that a block makes are its worker's, or all workers could wait for one executor."""

    class Counting(ThreadPoolExecutor):
        tasks = 0

        def submit(self, *args, **kwargs):
            self.tasks += 1
            return super().submit(*args, **kwargs)

    source = ac.open(np.ones(300_000), chunks=(10_000,))
    with Counting(2) as pool:

        def function(block):
            with ac.set_executor(pool):
                return block + ac.sum(source)

        assert (ac.map_blocks(function, np.zeros(4), block_size=1, workers=2) == 300_000).all()
        assert pool.tasks == 0
        with ac.set_executor(pool):
            assert ac.sum(source) == 300_000
        assert pool.tasks > 0


def test_executors_say_what_could_not_be_read(tmp_path, executor):
    x = example((3000, 200))
    np.save(tmp_path / "x.npy", x)
    source = ac.open(tmp_path / "x.npy")
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(1_000_000)
    with ac.set_executor(executor), pytest.raises(OSError, match=r"x\.npy"):
        ac.sum(source, axis=0)
    np.save(tmp_path / "x.npy", x)
    with ac.set_executor(executor):
        assert outcome("sum", ac.open(tmp_path / "x.npy")) == outcome("sum", x)


def test_what_executors_can_be():
    with pytest.raises(TypeError, match="executor"), ac.set_executor(3):
        pass
    with ac.set_executor(None):
        assert ac.sum([1.0]) == 1


DOCS = Path(__file__).parent.parent / "docs" / "sources.md"


@pytest.mark.parametrize("number", range(3))
def test_the_programs_of_the_documentation(tmp_path, number):
    program = DOCS.read_text().split("```python\n")[number + 1].split("```")[0]
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
