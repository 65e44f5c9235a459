"""What crosses to a worker and back: equal, with its dtype, its type and its flags, and by the way that was meant."""

from __future__ import annotations

import os
import sys
import threading
import types
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from helpers import GIL, collect, everyday
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pool_helpers import (
    METHODS,
    Homesick,
    Measured,
    Record,
    arrays,
    assert_same,
    children,
    echo,
    filled,
    first_and_last,
    flags,
    homesick,
    keep,
    kept,
    memory_files,
    nothing,
    overwrite,
    raises_what_it_keeps,
    run_script,
    slow_pid,
)

import allcores as ac
from allcores.futures import ProcessPoolExecutor, mapped, pickling, reducers, segments

ARRAYS = arrays()
LARGE = 1 << 17  # float64 elements: above the threshold


@pytest.fixture(scope="module", params=[0, None, 1 << 40], ids=["all shared", "default", "all pickled"])
def pool(request):
    with ProcessPoolExecutor(2, threshold=request.param) as pool:
        yield pool


@pytest.fixture(scope="module")
def shared_pool():
    with ProcessPoolExecutor(2, threshold=0) as pool:
        yield pool


# ---- equal


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_equal(pool, name):
    want = ARRAYS[name]
    assert_same(pool.submit(echo, want).result(), want)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_arrive_with_their_flags(shared_pool, name):
    want = ARRAYS[name]
    writeable, c, f = shared_pool.submit(flags, want).result()
    assert writeable == want.flags.writeable
    if not want.dtype.hasobject:
        assert c or not want.flags.c_contiguous
        assert f or not want.flags.f_contiguous


ANY_ARRAY = hnp.arrays(
    dtype=st.one_of(
        hnp.scalar_dtypes(), hnp.array_dtypes(allow_subarrays=False), hnp.datetime64_dtypes(), hnp.byte_string_dtypes()
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=ANY_ARRAY, data=st.data())
def test_any_view_comes_back_equal(shared_pool, array, data):
    """Slices, with steps and backwards, transposed, read-only."""
    view = array[data.draw(hnp.basic_indices(array.shape, allow_ellipsis=True))] if array.ndim else array
    view = np.asarray(view)
    view = view.transpose(data.draw(st.permutations(range(view.ndim))))
    if data.draw(st.booleans()):
        view.flags.writeable = False
    got = shared_pool.submit(echo, view).result()
    assert got.dtype == view.dtype
    assert got.shape == view.shape
    assert got.flags.writeable == view.flags.writeable
    assert got.tobytes() == view.tobytes()


@hypothesis_settings(max_examples=100, deadline=None)
@given(array=ANY_ARRAY, threshold=st.sampled_from([0, 20, 1 << 30]))
def test_pickling_by_itself(array, threshold):
    """The same without processes, many more of them."""
    pickled = pickling.dumps([array, array.T, {"again": array}], threshold)
    first, second, third = pickling.loads(pickled.data, pickled.inline())
    assert first.tobytes() == array.tobytes()
    assert second.tobytes() == array.T.tobytes()
    assert third["again"] is first


def test_nested(pool):
    big = np.arange(float(LARGE))
    thing = [(big, {"key": big[::2]}), Record("name", big[:5], {"deep": [big.reshape(2, -1)]}), "text", None]
    got = pool.submit(echo, thing).result()
    np.testing.assert_array_equal(got[0][0], big)
    np.testing.assert_array_equal(got[0][1]["key"], big[::2])
    assert got[1].name == "name"
    np.testing.assert_array_equal(got[1].values, big[:5])
    np.testing.assert_array_equal(got[1].more["deep"][0], big.reshape(2, -1))
    assert got[2:] == ["text", None]


def test_the_same_array_twice_is_one_array(shared_pool):
    array = np.arange(5)
    one, two = shared_pool.submit(echo, (array, array)).result()
    assert one is two


def test_keywords_partials_and_map(pool):
    big = np.arange(float(LARGE))
    assert pool.submit(overwrite, value=3, x=big).result() == (0, 3)
    assert pool.submit(partial(overwrite, big, value=4)).result() == (0, 4)
    for chunksize in (1, 3):
        results = list(pool.map(first_and_last, [big + i for i in range(7)], chunksize=chunksize))
        assert results == [(i, LARGE - 1 + i) for i in range(7)]
        for i, array in enumerate(pool.map(filled, [LARGE] * 5, range(5), chunksize=chunksize)):
            assert array.shape == (LARGE,)
            assert (array == i).all()


def test_other_libraries(pool):
    """Whatever pickles with out-of-band buffers."""
    frame = pd.DataFrame({"a": np.arange(float(LARGE)), "b": np.arange(LARGE), "c": ["x"] * LARGE})
    pd.testing.assert_frame_equal(pool.submit(echo, frame).result(), frame)
    table = pa.table({"a": np.arange(float(LARGE))})
    assert pool.submit(echo, table).result().equals(table)
    data = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("x", "y"), coords={"x": [1, 2, 3]})
    xr.testing.assert_identical(pool.submit(echo, data).result(), data)


def test_a_subclass_that_pickles_itself(pool):
    array = np.arange(float(LARGE)).view(Measured)
    array.unit = "m"
    got = pool.submit(echo, array).result()
    assert type(got) is Measured
    assert got.unit == "m"
    np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_start_methods(method):
    import multiprocessing

    big = np.arange(float(LARGE))
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        np.testing.assert_array_equal(pool.submit(echo, big).result(), big)
        assert pool.transfer_stats()["bytes_shared"] == 2 * big.nbytes
        assert pool.transfer_stats()["fallbacks"] == 0


# ---- a copy, not the thing itself


def test_a_worker_may_write_to_its_argument(shared_pool):
    big = np.arange(float(LARGE))
    for _ in range(5):  # in segments that are used again
        assert shared_pool.submit(overwrite, big).result() == (0, -1)
        np.testing.assert_array_equal(big, np.arange(float(LARGE)))


def test_the_result_is_writable_and_its_own():
    with ProcessPoolExecutor(1, threshold=0) as pool:
        first = pool.submit(filled, LARGE, 1.0).result()
        second = pool.submit(filled, LARGE, 2.0).result()
        first[0] = 5
        assert (first[1:] == 1).all()
        assert (second == 2).all()


def test_a_worker_that_keeps_its_argument():
    """Its segment is not used again: pages that were not written would change under the worker."""
    with ProcessPoolExecutor(1, threshold=0) as pool:
        for i in range(4):
            assert pool.submit(keep, np.full(LARGE, i)).result() == i + 1
        for _ in range(4):
            pool.submit(nothing).result()
            pool.submit(first_and_last, np.full(LARGE, 99)).result()
        for i in range(4):
            assert (pool.submit(kept, i).result() == i).all()
        assert pool.transfer_stats()["segments_abandoned"] == 4


def test_an_error_keeps_no_argument():
    with ProcessPoolExecutor(1) as pool:
        for _ in range(3):
            with pytest.raises(ValueError, match=str(1 << 17)):
                pool.submit(raises_what_it_keeps, np.ones(1 << 17)).result(timeout=30)
        assert pool.transfer_stats()["segments_abandoned"] == 0


def test_segments_are_used_again():
    big = np.arange(float(LARGE))
    with ProcessPoolExecutor(1) as pool:
        for _ in range(20):
            pool.submit(first_and_last, big).result()
        stats = pool.transfer_stats()
        assert (stats["segments_made"], stats["segments_reused"], stats["segments_abandoned"]) == (1, 19, 0)
        for _ in range(20):
            pool.submit(echo, big).result()
        stats = pool.transfer_stats()
        assert stats["segments_made"] <= 4
        assert stats["fallbacks"] == 0


def test_room_that_no_result_needs_is_used_again():
    with ProcessPoolExecutor(1) as pool:
        for i in range(10):
            assert pool.submit(filled, (LARGE,), i).result(timeout=30)[0] == i
            assert pool.submit(nothing).result(timeout=30) is None
        assert pool.transfer_stats()["segments_made"] <= 3


def test_results_outlive_everything():
    with ProcessPoolExecutor(1) as pool:
        results = [pool.submit(filled, LARGE, i).result() for i in range(10)]
        for _ in range(5):
            pool.submit(filled, LARGE, -1).result()
    view = results[3][10:20]
    for i, result in enumerate(results):
        assert (result == i).all()
    del results, result
    assert (view == 3).all()


def test_exceptions_carry_arrays(shared_pool):
    with pytest.raises(ValueError, match="with an array") as caught:
        shared_pool.submit(raise_with, np.arange(LARGE)).result()
    np.testing.assert_array_equal(caught.value.args[1], np.arange(LARGE))


def test_exceptions_put_together_carry_no_copies_of_shared_arrays(shared_pool):
    """What would be written to such a copy would be lost."""
    with pytest.raises(Homesick) as caught:
        shared_pool.submit(raise_homesick_with, ac.share(np.arange(5))).result()
    np.testing.assert_array_equal(caught.value.args[0], np.arange(5))
    assert not caught.value.args[0].flags.writeable


def raise_homesick_with(array):
    error = homesick()
    error.args = (array,)
    raise error


def raise_with(array):
    raise ValueError("with an array", array)


# ---- by which way


def test_below_the_threshold_is_pickled():
    with ProcessPoolExecutor(1, threshold=1000) as pool:
        pool.submit(echo, np.zeros(999, np.uint8)).result()
        stats = pool.transfer_stats()
        assert stats["bytes_shared"] == stats["segments_made"] == 0
        assert stats["bytes_pickled"] > 2 * 999
        pool.submit(echo, np.zeros(1000, np.uint8)).result()
        after = pool.transfer_stats()
        assert after["bytes_shared"] == 2000
        assert after["bytes_pickled"] - stats["bytes_pickled"] < 999


def test_overlapping_memory_is_sent_once():
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(10_000), 1000)
    with ProcessPoolExecutor(1, threshold=0) as pool:
        assert pool.submit(first_and_last, windows).result() == (0, 9999)
        assert pool.submit(first_and_last, np.broadcast_to(np.arange(5.0), (1 << 20, 5))).result() == (0, 4)
        assert pool.transfer_stats()["bytes_shared"] == 80_000 + 40


def test_at_most_one_segment_more_than_workers():
    """Arguments are laid out when their task is sent, not when it is submitted."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(slow_pid, range(1)))
        before = len(memory_files())
        futures = [pool.submit(wait_and_read, np.full(LARGE, i), 0.02) for i in range(30)]
        most = 0
        while not all(future.done() for future in futures):
            most = max(most, len(memory_files()))
        assert [future.result() for future in futures] == list(range(30))
        assert most - before <= 2 * (2 + 1)  # before Python 3.13 a mapping has a descriptor too
        assert pool.transfer_stats()["segments_made"] <= 3


def wait_and_read(array, seconds):
    import time

    time.sleep(seconds)
    return array[0]


# ---- share


def test_share_is_a_plain_array():
    x = ac.share([[1.5, 2], [3, 4]])
    assert type(x) is np.ndarray
    assert x.flags.writeable
    assert x.tolist() == [[1.5, 2], [3, 4]]
    assert ac.share(x) is x
    assert ac.share(np.asfortranarray(x)).flags.f_contiguous
    assert ac.shared_empty((2, 3), order="F").flags.f_contiguous
    assert ac.shared_empty(3, "i4").tolist() == [0, 0, 0]
    assert ac.shared_empty(()).shape == ()
    assert ac.shared_empty((0, 2)).shape == (0, 2)
    np.testing.assert_array_equal(ac.share(ARRAYS["structured"]), ARRAYS["structured"])
    np.testing.assert_array_equal(ac.share(ARRAYS["datetime"]), ARRAYS["datetime"])
    np.testing.assert_array_equal(ac.share(ARRAYS["strided"]), ARRAYS["strided"])
    for bad in (ARRAYS["object"], ARRAYS["masked"]):
        with pytest.raises(TypeError):
            ac.share(bad)
    with pytest.raises(ValueError, match="order"):
        ac.shared_empty(3, order="K")
    with pytest.raises(ValueError, match="negative"):
        ac.shared_empty(-3)


def test_writing_into_share_from_two_workers(shared_pool):
    out = ac.shared_empty(10)
    halves = [out[:5], out[5:]]
    assert list(shared_pool.map(overwrite, halves, [1, 2])) == [(0, 1), (0, 2)]
    assert out.tolist() == [1] * 5 + [2] * 5


def test_shared_arrays_and_their_slices_are_sent_by_handle():
    x = ac.share(np.arange(float(1 << 16)).reshape(256, 256))
    views = [x, x[3:7], x[::-2, 5], x.T, x[10, 10:], x.reshape(-1)[:3], np.broadcast_to(x[0], (3, 256))]
    with ProcessPoolExecutor(1, threshold=0) as pool, ProcessPoolExecutor(1, threshold=0) as other:
        for each in (pool, other):
            for view in views:
                np.testing.assert_array_equal(each.submit(np.copy, view).result(), view)
        before = pool.transfer_stats()["bytes_shared"]
        for view in views[:-1]:
            pool.submit(overwrite, view, 7).result()
            assert (view == 7).all()
        assert pool.transfer_stats()["bytes_shared"] == before
        with pytest.raises(ValueError, match="read-only"):
            pool.submit(overwrite, views[-1]).result()


def test_a_shared_array_comes_back_as_itself(shared_pool):
    x = ac.share(np.arange(10.0))
    back = shared_pool.submit(echo, x[2:4]).result()
    back[0] = 99
    assert x[2] == 99
    assert np.shares_memory(back, x)


def test_a_shared_array_may_be_forgotten_once_submitted(shared_pool):
    for i in range(10):
        assert shared_pool.submit(first_and_last, ac.share([i, i + 1])).result() == (i, i + 1)


def test_shared_memory_is_freed_with_its_last_reference(shared_pool):
    before = len(memory_files())
    x = ac.share(np.arange(10.0))
    assert len(memory_files()) > before
    view = x[3:]
    shared_pool.submit(echo, x).result()
    del x
    assert len(memory_files()) > before
    assert view.tolist() == list(range(3, 10))
    del view
    if not GIL:
        collect()  # the result was made by the manager's thread, which waits
    assert len(memory_files()) == before


def test_initargs_are_shared():
    x = ac.shared_empty(4)
    with ProcessPoolExecutor(2, initializer=overwrite, initargs=(x, 5)) as pool:
        pool.submit(nothing).result()
    assert x.tolist() == [5] * 4


def test_nested_pools_share(shared_pool):
    x = ac.shared_empty(6)
    assert shared_pool.submit(write_in_a_pool_of_its_own, x[2:4]).result() == (0, 8)
    assert x.tolist() == [0, 0, 8, 8, 0, 0]


def write_in_a_pool_of_its_own(x):
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(overwrite, x, 8).result()


# ---- files


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_memmap_crosses_as_its_file(shared_pool, tmp_path, mode):
    np.arange(100.0).tofile(tmp_path / "data")
    x = np.memmap(tmp_path / "data", np.float64, mode, offset=80, shape=(9, 10))
    before = shared_pool.transfer_stats()["bytes_shared"]
    for view in (x, x[3:5], x[::-2, 1::3], np.asarray(x)[2:], x.T):
        np.testing.assert_array_equal(shared_pool.submit(np.asarray, view).result(), view)
    assert shared_pool.transfer_stats()["bytes_shared"] == before
    if mode == "r":
        with pytest.raises(ValueError, match="read-only"):
            shared_pool.submit(overwrite, x).result()
    else:
        assert shared_pool.submit(overwrite, x[4], 3).result() == (50, 3)
        assert (x[4] == 3).all()
        assert np.fromfile(tmp_path / "data")[50:60].tolist() == [3] * 10


def test_memmap_that_is_not_its_file(shared_pool, tmp_path):
    """Copy-on-write, deleted, or the result of a computation: by value."""
    np.arange(100.0).tofile(tmp_path / "data")
    x = np.memmap(tmp_path / "data", np.float64, "c")
    x[0] = 7
    assert shared_pool.submit(first_and_last, x).result() == (7, 99)
    y = np.memmap(tmp_path / "data", np.float64, "r")
    assert shared_pool.submit(first_and_last, y + 1).result() == (1, 100)
    (tmp_path / "data").unlink()
    assert shared_pool.submit(first_and_last, y).result() == (0, 99)


REPLACED = {
    "replaced": lambda path, new: os.replace(new, path),
    "moved, and another there": lambda path, new: (path.rename(path.with_suffix(".old")), new.rename(path)),
    "moved": lambda path, new: path.rename(path.with_suffix(".old")),
    "deleted": lambda path, new: path.unlink(),
    "deleted, and another there": lambda path, new: (path.unlink(), new.rename(path)),
    "a link to another": lambda path, new: (path.unlink(), path.symlink_to(new)),
    "its folder moved, and another there": lambda path, new: (
        path.parent.rename(path.parent.with_suffix(".old")),
        path.parent.mkdir(),
        np.full(SHAPE, 9.0).tofile(path),
    ),
}
SHAPE = (4, 1 << 15)


@pytest.mark.parametrize("again", [False, True], ids=["first", "sent before"])
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("how", REPLACED)
def test_a_worker_sees_what_is_mapped(shared_pool, tmp_path, how, mode, again):
    """Not what has the name of the file meanwhile, nor does it write there."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path, new = folder / "data", folder / "new"
    np.arange(float(np.prod(SHAPE))).tofile(path)
    np.zeros(SHAPE).tofile(new)
    x = np.memmap(path, np.float64, mode, shape=SHAPE)
    if again:
        assert shared_pool.submit(first_and_last, x).result() == (0, x.size - 1)
    REPLACED[how](path, new)
    for view in (x, x[1:], np.asarray(x)[::-1, ::2], np.lib.stride_tricks.as_strided(x, (9,), (16,)), memory_of(x)):
        np.testing.assert_array_equal(shared_pool.submit(np.array, view).result(), view)
        if mode == "c":
            assert shared_pool.submit(overwrite, view, 3).result() == (view.flat[0], 3)  # a copy, as ever
        else:
            with pytest.raises(ValueError, match="read-only"):
                shared_pool.submit(overwrite, view, 3).result()
    assert x.flat[5] == 5
    if path.exists():
        assert 3 not in np.fromfile(path)


def memory_of(x):
    return np.frombuffer(memoryview(x).cast("B"))


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_every_view_of_a_memmap_crosses_as_its_file(shared_pool, tmp_path, mode):
    np.zeros(SHAPE).tofile(tmp_path / "data")
    x = np.memmap(tmp_path / "data", np.float64, mode, shape=SHAPE)
    before = shared_pool.transfer_stats()["bytes_shared"]
    windows = np.lib.stride_tricks.sliding_window_view(x, 3, axis=1, writeable=mode == "r+", subok=True)
    for i, view in enumerate(
        (x, memory_of(x), np.lib.stride_tricks.as_strided(x, (9,), (16,)), windows, x.T.view("u8"))
    ):
        if mode == "r":
            assert shared_pool.submit(first_and_last, view).result() == (0, 0)
        else:
            shared_pool.submit(overwrite, view, i).result()
            assert (view == i).all()
    assert shared_pool.transfer_stats()["bytes_shared"] == before


def test_a_file_that_is_replaced_on_the_way(tmp_path):
    """Between the pickling and the unpickling."""
    np.arange(100.0).tofile(tmp_path / "data")
    x = np.memmap(tmp_path / "data", np.float64, "r+")
    _, args = reducers.reduce_array(x, SimpleNamespace(handles=True))
    assert reducers.file_view(*args).tolist() == x.tolist()
    os.truncate(tmp_path / "data", 80)
    with pytest.raises(OSError, match="shorter"):
        reducers.file_view(*args)
    (tmp_path / "data").rename(tmp_path / "old")
    np.zeros(100).tofile(tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="another file"):
        reducers.file_view(*args)
    (tmp_path / "data").unlink()
    with pytest.raises(FileNotFoundError):
        reducers.file_view(*args)
    assert (tmp_path / "old").stat().st_size == 80


def test_a_file_that_has_become_shorter(shared_pool, tmp_path):
    """To copy what is no longer there would end this process."""
    np.arange(float(np.prod(SHAPE))).tofile(tmp_path / "data")
    x = np.memmap(tmp_path / "data", np.float64, "r", shape=SHAPE)
    os.truncate(tmp_path / "data", x[:1].nbytes)
    assert shared_pool.submit(first_and_last, x[:1]).result() == (0, x.shape[1] - 1)
    with pytest.raises(OSError, match="shorter"):
        shared_pool.submit(first_and_last, x).result()


def test_a_file_system_that_tells_other_devices(tmp_path, monkeypatch):
    """As btrfs and overlays do: then a mapping is known by its name. And a system that tells nothing."""
    np.arange(100.0).tofile(tmp_path / "a file")
    tell = mapped._linux

    def other_device(address):
        file, name = tell(address)
        return file._replace(device=file.device + 1), name

    def sent_as_its_file(x):
        return reducers.reduce_array(x, SimpleNamespace(handles=True, buffer=np.copy))[0] is reducers.file_view

    for pretend, expected in ((other_device, True), (lambda _: None, False)):
        monkeypatch.setattr(mapped, "_linux", pretend)
        assert sent_as_its_file(np.memmap(tmp_path / "a file", np.float64, "r")) == expected
    monkeypatch.setattr(mapped, "_linux", other_device)
    x = np.memmap(tmp_path / "a file", np.float64, "r")
    np.zeros(100).tofile(tmp_path / "new")
    os.replace(tmp_path / "new", tmp_path / "a file")
    assert not sent_as_its_file(x)


# ---- functions


def test_lambdas_and_closures(pool):
    big = np.arange(float(LARGE))
    assert pool.submit(lambda: big[-1]).result() == LARGE - 1
    assert list(pool.map(lambda x: x + big[1], range(3))) == [1, 2, 3]
    local = type("Local", (), {"values": big})
    assert pool.submit(lambda thing: thing.values[3], local()).result() == 3
    assert pool.submit(lambda: lambda: 5).result()() == 5


def test_a_module_that_cloudpickle_is_to_send_by_value(pool, monkeypatch):
    """As a program does with plugins, which its workers can't import."""
    cloudpickle = pytest.importorskip("cloudpickle")
    package, module = types.ModuleType("plugins"), types.ModuleType("plugins.one")
    exec("def plus(x): return x + 1\nclass Number(int): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "plugins", package)
    monkeypatch.setitem(sys.modules, "plugins.one", module)
    with pytest.raises(ModuleNotFoundError, match="plugins"):
        pool.submit(module.plus, 1).result()
    cloudpickle.register_pickle_by_value(package)
    try:
        assert pool.submit(module.plus, 1).result() == 2
        assert pool.submit(int, module.Number(3)).result() == 3
    finally:
        cloudpickle.unregister_pickle_by_value(package)


def test_without_cloudpickle(pool, monkeypatch):
    monkeypatch.setattr(pickling, "has_cloudpickle", lambda: False)
    tasks = pool.transfer_stats()["tasks"]
    with pytest.raises(Exception, match=r"allcores\[cloudpickle\]"):
        pool.submit(lambda: 5).result()
    assert pool.transfer_stats()["tasks"] == tasks
    assert pool.submit(echo, 5).result() == 5


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_main_without_a_file(method):
    """As in a notebook."""
    from helpers import python

    result = python(f"""
        import multiprocessing
        import numpy as np
        from allcores.futures import ProcessPoolExecutor
        class Pair:
            def __init__(self, a, b):
                self.a, self.b = a, b
        def swap(pair):
            return Pair(pair.b, pair.a)
        with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
            pair = pool.submit(swap, Pair(np.ones(100_000), 5)).result()
            assert type(pair) is Pair
            def later(pair):
                return pair.b.sum()
            print(pair.a, pool.submit(later, pair).result())
    """)
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("5 100000.0", "", 0)


def test_main_with_a_file(tmp_path):
    code = """
        with ProcessPoolExecutor(2) as pool:
            print(pool.submit(func, Thing()).result().value)
    """
    extra = "class Thing:\n    value = 1\ndef func(thing):\n    thing.value = 2\n    return thing\n"
    result = run_script(
        tmp_path, extra + "if __name__ == '__main__':\n" + code.replace("        ", "    "), guard=False
    )
    assert result == (["2"], "", 0)


# ---- statistics, threads, segments


def test_threads_in_workers():
    with ProcessPoolExecutor(2) as pool:
        found = pool.submit(threads_here).result()
    share = max(1, ac._engine.settings.cores() // 2)
    assert found == (str(share), share, share)


def threads_here():
    import os

    from allcores.futures import blas

    loaded = [path for path in blas._loaded() if "openblas" in path]
    import ctypes

    counts = []
    for path in loaded:
        library = ctypes.CDLL(path)
        for get, _ in blas.OPENBLAS:
            if hasattr(library, get):
                counts.append(getattr(library, get)())
    return os.environ["OMP_NUM_THREADS"], ac.get_workers(), max(counts, default=ac.get_workers())


def test_ten_threads_share_a_pool(shared_pool):
    errors = []

    def work(i):
        try:
            for j in range(10):
                array = np.full(100 + i, j)
                assert_same(shared_pool.submit(echo, array).result(), array)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_forged_token():
    segment = segments.Segment.create(100)
    assert segments.open_handle(segment.handle)
    for change in (
        {"token": b"0" * 16},
        {"boot": "another"},
        {"started": 1},
        {"fd": 0},
        {"fd": 9999},
        {"pid": 1 << 22},
        {"size": 1000},
    ):
        with pytest.raises(segments.Refused):
            segments.open_handle(segment.handle._replace(**change))


def test_layout_is_aligned():
    spans, size = segments.layout([1, 0, 100, 64])
    assert spans == [(64, 65), (128, 128), (128, 228), (256, 320)]
    assert size == 320


def test_no_processes_are_left():
    before = set(children())
    with ProcessPoolExecutor(2) as pool:
        pool.submit(nothing).result()
    assert not {
        pid for pid in set(children()) - before if b"forkserver" not in cmdline(pid) and b"tracker" not in cmdline(pid)
    }


def cmdline(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
