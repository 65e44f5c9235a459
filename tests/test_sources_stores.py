"""Where sources are and what is stored there: dtypes, paths, stores that are gone, files replaced or damaged."""

from __future__ import annotations

import faulthandler
import io
import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from describe_helpers import described

import allcores as ac
from allcores._engine import sources
from allcores.sources import hdf5


@pytest.fixture(autouse=True)
def limit():
    """A hang is a failure."""
    faulthandler.dump_traceback_later(180, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def same(got, want):
    """Values, field by field, and the dtype; bytes between fields may be anything."""
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    assert got.shape == want.shape
    if got.dtype.names is None:
        np.testing.assert_array_equal(got, want)
    for name in got.dtype.names or ():
        same(got[name], want[name])


def filled(shape, dtype):
    """Elements that no order of bytes reads as each other."""
    a = np.zeros(shape, dtype)
    if a.dtype.names is not None:
        for name in a.dtype.names:
            a[name] = filled(a[name].shape, a[name].dtype)
    elif a.dtype.kind == "V":
        a = np.frombuffer(np.arange(1, a.nbytes + 1).astype(np.uint8).tobytes(), a.dtype).reshape(shape)
    else:
        a[...] = np.arange(1, a.size + 1).reshape(shape).astype(a.dtype)
    return a


RECORDS = [
    [("a", ">i4"), ("b", "<i4")],
    [("a", ">f8"), ("b", ">f8")],
    [("t", ">f4"), ("n", "<i8"), ("f", "u1")],
    [("s", ">U3"), ("i", "<i2"), ("c", ">c8"), ("b", "S5")],
    [("a", ">i4"), ("m", "<f4", (2, 3)), ("n", ">f4", (2,))],
    [("outer", [("inner", ">i2"), ("other", "<u8")]), ("x", "?")],
    [("t", ">M8[s]"), ("d", "<m8[ns]"), ("v", "V3")],
    [(("a title", "a"), ">i4"), ("b", "<i4")],
    [("größe", ">f8"), ("ж", "<f8")],  # in version 3 of the format
    {"names": ["a", "b"], "formats": [">i2", "<f8"], "offsets": [1, 5], "itemsize": 20},
    np.dtype([("a", "u1"), ("b", ">f8"), ("c", "<i2")], align=True),
]
SCALARS = [">U3", "<U3", "S4", ">M8[us]", "<m8[D]", ">m8[D]", ">c16", ">f2", "V5", "S0", "?", ">i8", "<u2"]


@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
@pytest.mark.parametrize("dtype", [*RECORDS, *SCALARS], ids=str)
def test_dtypes_of_npy_and_their_handles(tmp_path, dtype):
    """Records keep the bytes of their fields; other elements come in the machine's order."""
    for number, (shape, order) in enumerate([((7, 5), "C"), ((7, 5), "F"), ((6,), "C"), ((), "C"), ((0, 3), "C")]):
        a = np.array(filled(shape, dtype), order=order)
        path = tmp_path / f"{number}.npy"
        np.save(path, a)
        want = np.load(path)
        want = want if want.dtype.names else want.astype(want.dtype.newbyteorder("="))
        source = ac.open(path)
        for each in (source, pickle.loads(pickle.dumps(source)), ac.open(np.load(path))):
            assert each.dtype == want.dtype
            same(np.asarray(each), want)
            if shape == (7, 5):
                for key in (np.s_[2:5, 1:3], np.s_[::3, 4], np.s_[3], np.s_[2:2]):
                    same(each[key], want[key])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
def test_versions_of_npy(tmp_path, version, order):
    a = np.array(filled((7, 5), [("a", ">i4"), ("b", "<f8")]), order=order)
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array(file, a, version)
    same(ac.open(tmp_path / "x.npy")[1:, 2:], a[1:, 2:])


def field(block):
    return block["b"] * 2


def negative(block):
    return -block


@pytest.fixture(scope="module")
def pools():
    """Ours and the standard library's, started before any test changes its directory."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, context) as theirs, ac.futures.ProcessPoolExecutor(2) as ours:
        for pool in (theirs, ours):
            list(pool.map(abs, range(4)))
        yield theirs, ours


def test_records_on_pools(tmp_path, pools):
    a = np.zeros(200_000, [("a", ">i4"), ("b", "<f8"), ("c", ">f8")])
    a["b"], a["c"] = np.arange(len(a)), 7
    np.save(tmp_path / "x.npy", a)
    source = ac.open(tmp_path / "x.npy")
    for pool in pools:
        np.testing.assert_array_equal(ac.map_blocks(field, source, executor=pool), a["b"] * 2)


# ---- paths

X = np.random.default_rng(0).normal(size=(600, 300))


def save_npy(path):
    np.save(path, X)


def save_hdf5(**options):
    def save(path):
        with hdf5.imported(path).File(path, "w") as file:
            file.create_dataset("g/x", data=X, **options)

    return save


def save_zarr(group="", codec=None, **options):
    def save(path):
        import zarr

        if codec is not None:
            options["compressors"] = getattr(zarr.codecs, codec)()
        where = {"store": path, "name": group or None, "shape": X.shape, "dtype": "f8"}
        zarr.create_array(**where, **{"chunks": (60, 300), **options})[...] = X

    return save


# How an array is saved in a path, and the extension.
STORES = {
    "npy": (save_npy, "npy"),
    "contiguous": (save_hdf5(), "h5"),
    "gzip": (save_hdf5(chunks=(60, 300), compression="gzip", compression_opts=1), "h5"),
    "lzf": (save_hdf5(chunks=(60, 300), compression="lzf"), "hdf5"),
    "zarr": (save_zarr(), "zarr"),
    "zarr in a group": (save_zarr("g/x"), "zarr"),
    "zarr through zarr": (save_zarr(codec="GzipCodec"), "zarr"),
    "shards": (save_zarr(shards=(300, 300)), "zarr"),
    "format 2": (save_zarr(zarr_format=2), "zarr"),
}
ZARR = [kind for kind, (_, extension) in STORES.items() if extension == "zarr"]


@pytest.fixture
def saved(request, tmp_path, monkeypatch, h5py, zarr):
    """A relative path, of a store in the current directory."""
    save, extension = STORES[request.param]
    monkeypatch.chdir(tmp_path)
    save(f"x.{extension}")
    (tmp_path / "elsewhere").mkdir()
    return f"x.{extension}"


@pytest.mark.parametrize("saved", STORES, indirect=True)
@pytest.mark.parametrize("opened", ["by path", "by Path", "by package"])
def test_relative_paths(saved, opened, monkeypatch, pools, h5py, zarr):
    """Whatever the current directory is when something is read, here and in other processes."""
    if opened != "by package":
        source = ac.open(saved if opened == "by path" else Path(saved))
    elif saved.endswith("npy"):
        pytest.skip("NumPy maps it: an array")
    elif saved.endswith("zarr"):
        found = zarr.open(saved, mode="r")
        source = ac.open(found if isinstance(found, zarr.Array) else found["g/x"])
    else:
        dataset = h5py.File(saved, "r")["g/x"]
        monkeypatch.chdir("elsewhere")  # what is open already is where it is
        source = ac.open(dataset)
        monkeypatch.chdir("..")
    want = ac.mean(source, axis=1)
    monkeypatch.chdir("elsewhere")
    np.testing.assert_array_equal(source[...], X)
    assert os.path.dirname(os.getcwd()) in source.name
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[100:200], X[100:200])
    for pool in pools:
        np.testing.assert_array_equal(ac.mean(source, axis=1, executor=pool), want)
    np.testing.assert_array_equal(ac.map_blocks(negative, source, executor=pools[0]), -X)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2"])
def test_shards_of_zarr_in_another_process(tmp_path, dtype, pools, zarr):
    """The codec of chunks within a shard has no byte order where an element is a byte, but one once it was sent."""
    array = zarr.create_array(tmp_path / "x.zarr", shape=(60, 40), chunks=(10, 10), shards=(20, 20), dtype=dtype)
    array[...] = (np.arange(2400).reshape(60, 40) % 2).astype(dtype)
    source = ac.open(tmp_path / "x.zarr")
    same(pickle.loads(pickle.dumps(source))[...], array[...])
    assert ac.sum(source, executor=pools[1]) == 1200


@pytest.mark.parametrize("kind", ["zip", "logging", "logging zip", "fsspec", "relative fsspec", "memory"])
def test_other_stores_of_zarr(tmp_path, monkeypatch, kind, zarr):
    from zarr.storage import FsspecStore, LocalStore, LoggingStore, MemoryStore, ZipStore

    monkeypatch.chdir(tmp_path)
    if "zip" in kind:
        with ZipStore("x.zip", mode="w") as store:
            save_zarr("g/x")(store)
        store = ZipStore("x.zip", mode="r")
    elif kind == "fsspec":
        pytest.importorskip("fsspec")
        save_zarr("g/x")("x.zarr")
        store = FsspecStore.from_url("file://" + os.path.abspath("x.zarr"), read_only=True)
    elif kind == "relative fsspec":
        pytest.importorskip("fsspec")
        from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
        from fsspec.implementations.local import LocalFileSystem

        save_zarr("g/x")("x.zarr")
        store = FsspecStore(AsyncFileSystemWrapper(LocalFileSystem(), asynchronous=True), True, "x.zarr")
    elif kind == "memory":
        store = MemoryStore()
        save_zarr("g/x")(store)
    else:
        store = LocalStore("x.zarr")
        save_zarr("g/x")(store)
    if "logging" in kind:
        store = LoggingStore(store, log_handler=logging.NullHandler())
    array = zarr.open_array(store=store, path="g/x", mode="r")
    source = ac.open(array)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    np.testing.assert_array_equal(source[...], X)
    if "logging" not in kind:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[...], X)
    if kind in ("logging", "fsspec", "relative fsspec"):
        shutil.rmtree(tmp_path / "x.zarr")
        with pytest.raises(OSError, match=r"x\.zarr.*/g/x: can't read .* there is no zarr array"):
            ac.mean(source)


@pytest.mark.parametrize("saved", ZARR, indirect=True)
def test_a_zarr_array_that_is_gone(saved, zarr):
    """An error, not the fill value everywhere; and nothing is written where it was."""
    found = zarr.open(saved, mode="r+")
    source = ac.open(found if isinstance(found, zarr.Array) else found["g/x"])
    handle = pickle.dumps(source)
    os.rename(saved, "moved")
    for call in (lambda: source[...], lambda: ac.mean(source), lambda: ac.map_blocks(negative, source)):
        with pytest.raises(OSError, match=r"x\.zarr"):
            call()
    with pytest.raises(FileNotFoundError, match=r"there is no zarr array in .*x\.zarr"):
        pickle.loads(handle)
    with pytest.raises(FileNotFoundError, match=r"there is no zarr array in .*x\.zarr"):
        source[:60] = 1.0
    assert not os.path.exists(saved)
    os.rename("moved", saved)
    np.testing.assert_array_equal(source[...], X)
    shutil.rmtree(os.path.join(saved, "g/x" if "g" in os.listdir(saved) else "c"), ignore_errors=True)
    if "zarr.json" in os.listdir(saved) and "g" not in os.listdir(saved):
        assert ac.mean(source) == 0  # chunks that were never written, or deleted, have the fill value


CHANGES = ["fewer rows", "dtype", "chunks", "fill value", "shrunk", "a group", "damaged"]
CHANGED = [*(("zarr", change) for change in CHANGES), ("zarr through zarr", "chunks"), ("format 2", "a group")]


@pytest.mark.parametrize(("saved", "change"), CHANGED, indirect=["saved"])
def test_a_zarr_array_that_is_another_now(saved, change, zarr):
    """What is read by another array's chunks, or is not there any more, is an error, not numbers."""
    source, array = ac.open(saved), zarr.open_array(saved, mode="r+")
    own = ac.open(array)
    handles = [pickle.dumps(each) for each in (source, own)]
    array.attrs["unit"] = "m"
    array.append(np.ones((60, 300)))
    for each in (source, own, *map(pickle.loads, handles)):  # has grown: what was opened is there
        assert each.shape == X.shape
        np.testing.assert_array_equal(each[...], X)
    other = {"shape": X.shape, "dtype": "f8", "chunks": (60, 300), "zarr_format": array.metadata.zarr_format}
    others = {"fewer rows": {"shape": (60, 300)}, "dtype": {"dtype": "i8"}, "chunks": {"chunks": (30, 300)}}
    others["fill value"] = {"fill_value": 3}
    if change == "shrunk":
        array.resize((60, 300))
    elif change == "damaged":
        for name in (".zarray", "zarr.json"):
            if os.path.exists(f"{saved}/{name}"):
                Path(saved, name).write_text("{")
    elif change == "a group":
        shutil.rmtree(saved)
        zarr.create_group(saved, zarr_format=other["zarr_format"])
        if other["zarr_format"] == 2:
            shutil.copy(f"{saved}/.zgroup", f"{saved}/.zarray")
    else:
        zarr.create_array(saved, overwrite=True, **{**other, **others[change]})[...] = 7
    calls = [lambda source=source: source[...], lambda source=source: ac.mean(source), lambda: own[100:200]]
    calls += [lambda handle=handle: pickle.loads(handle) for handle in handles]
    calls += [lambda: pickle.dumps(own), lambda: own.write(np.s_[:60, :300], 1.0)]
    for call in calls:
        with pytest.raises(OSError, match=r"x\.zarr.*than the one that was opened|there is no zarr array in .*x\.zarr"):
            call()


def test_a_zip_of_zarr_that_is_replaced(tmp_path, zarr):
    """What is open is read on; who opens the path would find another file, and says so."""
    from zarr.storage import ZipStore

    for name, value in (("x.zip", 1.0), ("y.zip", 2.0)):
        with ZipStore(tmp_path / name, mode="w") as store:
            zarr.create_array(store, shape=(100,), chunks=(10,), dtype="f8")[...] = value
    source = ac.open(zarr.open_array(ZipStore(tmp_path / "x.zip", mode="r"), mode="r"))
    handle = pickle.dumps(source)
    os.replace(tmp_path / "y.zip", tmp_path / "x.zip")
    assert ac.sum(source) == 100
    for call in (lambda: pickle.dumps(source), lambda: pickle.loads(handle)):
        with pytest.raises(OSError, match=r"x\.zip: another file"):
            call()


def zstd_frame(data, says):
    """A zstd frame of one block, stored as it is, which says how many bytes it has, or does not."""
    head = b"\x28\xb5\x2f\xfd" + (b"\xa0" + len(data).to_bytes(4, "little") if says else b"\x00\x58")
    return head + (len(data) << 3 | 1).to_bytes(3, "little") + data


@pytest.mark.parametrize("codec", ["zstd that says its size", "zstd that does not", "none", "gzip of HDF5"])
def test_chunks_of_another_length(tmp_path, codec, zarr, h5py):
    """A chunk has all of its elements, or is an error: never what was in memory before."""
    path = tmp_path / ("x.h5" if "HDF5" in codec else "x.zarr")
    if "HDF5" in codec:
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=np.arange(1000.0), chunks=(100,), compression="gzip")
    else:
        options = {"compressors": None} if codec == "none" else {}
        zarr.create_array(path, shape=(1000,), chunks=(100,), dtype="f8", **options)[...] = np.arange(1000.0)

    def store(data):
        if "HDF5" in codec:
            with h5py.File(path, "r+") as file:
                file["x"].id.write_direct_chunk((300,), zlib.compress(data))
        else:
            (path / "c" / "3").write_bytes(data if codec == "none" else zstd_frame(data, "says" in codec))

    whole = np.arange(300.0, 400).tobytes()
    for data, good in [(whole, True), (whole[:400], False), (whole + whole, False), (b"", False), (whole[:-1], False)]:
        store(data)
        assert ac.sum(ac.open(path)[400:]) == sum(range(400, 1000))
        if good:
            np.testing.assert_array_equal(ac.open(path), np.arange(1000.0))
            continue
        for call in (lambda: ac.open(path)[350:360], lambda: ac.sum(ac.open(path))):
            with pytest.raises(OSError, match=r"x\.(zarr|h5).*: can't read") as raised:
                call()
            del raised  # which keeps the file open


@pytest.mark.parametrize("saved", ["npy", "contiguous", "gzip", "lzf"], indirect=True)
@pytest.mark.parametrize("change", [os.remove, lambda path: os.replace("other", path)], ids=["removed", "replaced"])
def test_files_that_are_gone_or_replaced(saved, change, monkeypatch, pools):
    """What is open is read on; who opens the path would find another file, and says so."""
    shutil.copy(saved, "other")
    source = ac.open(saved)
    handle = pickle.dumps(source)
    change(saved)
    np.testing.assert_array_equal(source[...], X)
    for call in (lambda: pickle.loads(handle), lambda: pickle.dumps(source)):
        with pytest.raises(OSError, match=r"x\.(npy|h5|hdf5)"):
            call()
    for pool in pools:
        with pytest.raises(OSError, match=r"x\.(npy|h5|hdf5)"):
            ac.mean(source, executor=pool)
    # Of a copy on another computer nobody knows its number.
    shutil.copy("other" if os.path.exists("other") else saved, "copy")
    os.replace("copy", saved)
    monkeypatch.setattr(sources.platform, "node", lambda: "another")
    np.testing.assert_array_equal(pickle.loads(handle)[...], X)


def test_a_file_is_known_by_more_than_its_number(tmp_path):
    """A file's number is free for the next one when it is gone, and each file system has its own."""
    path = tmp_path / "x.npy"
    for _ in range(3):
        np.save(path, X)
        handle = pickle.dumps(ac.open(path))
        np.testing.assert_array_equal(pickle.loads(handle)[...], X)
        with open(path, "r+b") as file:  # the same file, of other values
            file.seek(-8, os.SEEK_END)
            file.write(bytes(8))
        assert pickle.loads(handle)[-1, -1] == 0
        os.remove(path)
        np.save(path, -X)
        with pytest.raises(OSError, match=r"x\.npy: another file is there now"):
            pickle.loads(handle)
    mark = sources.mark_of(os.fspath(path))
    sources.check_same("x.npy", os.fspath(path), mark)
    sources.check_same("x.npy", os.fspath(path), mark._replace(computer="another", device=7, inode=7, birth=7))
    for field in ("device", "inode", "birth"):
        with pytest.raises(OSError, match=r"^x\.npy: another file is there now"):
            sources.check_same("x.npy", os.fspath(path), mark._replace(**{field: getattr(mark, field) + 1}))


OTHERS = {
    "dtype": X.view("i8"),
    "order": np.asfortranarray(X),
    "shape": X.reshape(300, 600),
    "byte order": X.astype(">f8"),
    "records": X.view("f8,f8"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_npy_files_that_are_written_anew_in_place(tmp_path, other, pools):
    """Another array's bytes are never read as the array that was opened; the same kind of array is what it is now."""
    path = tmp_path / "x.npy"
    np.save(path, X)
    source = ac.open(path)
    handle = pickle.dumps(source)
    np.save(path, -X)
    for each in (source, pickle.loads(handle)):
        np.testing.assert_array_equal(each[...], -X)
    np.save(path, other)
    calls = [
        lambda: source[3:5],
        lambda: ac.mean(source, axis=0),
        lambda: ac.median(source),
        lambda: ac.map_blocks(negative, source),
        lambda: pickle.loads(handle),
        lambda: pickle.dumps(source),
        *(lambda pool=pool: ac.mean(source, executor=pool) for pool in pools),
    ]
    for call in calls:
        with pytest.raises(OSError, match=r"x\.npy: .*another array has been written to the file"):
            call()


@pytest.mark.parametrize("chunks", [None, (60, 300)])
def test_other_drivers_of_hdf5(tmp_path, monkeypatch, chunks, h5py):
    """No descriptor says which file is open: HDF5 itself is asked whether it is the one in its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    save_hdf5(chunks=chunks)("x.h5")
    shutil.copy("x.h5", "elsewhere/x.h5")
    shutil.copy("x.h5", "other.h5")
    with h5py.File("x.h5", "r", driver="stdio") as file:
        source = ac.open(file["g/x"])
        monkeypatch.chdir("elsewhere")
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[...], X)
        with pytest.raises(FileNotFoundError, match=r"x\.h5: the file that was opened is not there"):
            pickle.dumps(ac.open(file["g/x"]))
        monkeypatch.chdir(tmp_path)
        os.replace("other.h5", "x.h5")
        for call in (lambda: pickle.dumps(source), lambda: pickle.dumps(ac.open(file["g/x"]))):
            with pytest.raises(OSError, match=r"x\.h5: (another file|the file that was opened is not there)"):
                call()
        np.testing.assert_array_equal(source[...], X)


def test_an_open_file_whose_path_has_another(tmp_path, h5py):
    """A contiguous dataset is read from the file that is open."""
    for name, value in (("x.h5", 1.0), ("y.h5", 2.0)):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = np.full(200_000, value)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        assert ac.mean(file["x"]) == 1
        os.replace(tmp_path / "y.h5", tmp_path / "x.h5")
        assert ac.mean(file["x"]) == 1
        with pytest.raises(FileNotFoundError, match=r"x\.h5"):
            pickle.dumps(ac.open(file["x"]))


def test_files_that_shrink(tmp_path):
    np.save(tmp_path / "x.npy", X)
    source = ac.open(tmp_path / "x.npy")
    handle = pickle.dumps(source)
    os.truncate(tmp_path / "x.npy", 100_000)
    with pytest.raises(OSError, match=r"x\.npy"):
        source[...]
    with pytest.raises(OSError, match=r"x\.npy: the array has"):
        pickle.loads(handle)


# ---- HDF5


@pytest.fixture(scope="module", params=[0, 512], ids=lambda size: f"userblock {size}")
def everything(request, tmp_path_factory, h5py):
    """A file with a dataset of each kind."""
    path = tmp_path_factory.mktemp("kinds") / "x.h5"
    shape = (300, 4)
    with h5py.File(path, "w", userblock_size=request.param) as file:
        file["before"] = np.full(1000, 3.0)
        for order in "<>":
            for char in ("f8", "f4", "f2", "i4", "u8", "c16", "c8"):
                file.create_dataset(f"written {order}{char}", data=filled(shape, order + char))
                file.create_dataset(f"never {order}{char}", shape, order + char, fillvalue=np.dtype(char).type(5))
        for name, dtype in (
            ("bool", "?"),
            ("enum", h5py.enum_dtype({"A": 0, "B": 7}, ">i2")),
            ("bytes", "S5"),
            ("opaque", "V5"),
            ("text", h5py.string_dtype()),
            ("record", [("a", ">i4"), ("b", "<f8", (2,)), ("c", ">f8")]),
            ("record with text", [("a", ">i4"), ("t", h5py.string_dtype())]),
            ("arrays", np.dtype((">f8", (3,)))),
        ):
            file.create_dataset(f"never {name}", shape, dtype)
            for kind, options in (("written", {}), ("chunked", {"chunks": (70, 4), "compression": "gzip"})):
                dataset = file.create_dataset(f"{kind} {name}", shape, dtype, **options)
                if name == "arrays":
                    dataset[...] = filled((*shape, 3), ">f8")
                elif "text" not in name:
                    dataset[...] = filled(shape, dtype)
        chunked = {"chunks": (70, 4), "compression": "gzip"}
        file.create_dataset("chunked, never", shape, ">f8", fillvalue=2.5, **chunked)
        file.create_dataset("chunked, in part", shape, ">f8", fillvalue=2.5, **chunked)[80:100] = 1
        file.create_dataset("scale offset", data=filled(shape, "i4"), chunks=(70, 4), scaleoffset=0)
        file.create_dataset("checked", data=filled(shape, "f8"), chunks=(70, 4), fletcher32=True)
        # Numbers of fewer bits than their bytes have, as cameras write them.
        type_ = h5py.h5t.STD_I32LE.copy()
        type_.set_precision(12)
        type_.set_offset(4)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        for name, layout in (("bits", h5py.h5d.CONTIGUOUS), ("chunked bits", h5py.h5d.CHUNKED)):
            plan.set_layout(layout)
            if layout == h5py.h5d.CHUNKED:
                plan.set_chunk((70, 4))
                plan.set_deflate(1)
            space = h5py.h5s.create_simple(shape)
            made = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), type_, space, plan))
            made[...] = np.arange(1200).reshape(shape)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.COMPACT)
        h5py.Dataset(h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F64BE, space, plan))[...] = filled(shape, "f8")
        file.create_dataset("external", shape, "f8", external=[(os.fspath(path) + ".raw", 0, 9600)])[...] = filled(
            shape, "f8"
        )
        layout = h5py.VirtualLayout((400, 4), "f8")
        layout[:300] = h5py.VirtualSource(file["external"])
        file.create_virtual_dataset("virtual", layout, fillvalue=-1)
        file["scalar"], file["scalar text"], file["scalar >"] = 3.5, "abc", np.array(2, ">i4")
        file["scalar record"] = filled((), [("a", ">i4"), ("b", "<f8")])
        file.create_dataset("no rows", (0, 3), ">f8")
        file.create_dataset("no columns", (3, 0), "f8", chunks=(3, 1), maxshape=(None, None))
        file.create_dataset("no records", (0,), [("a", ">i4"), ("b", "<f8")])
    return path


def test_kinds_of_datasets(everything, h5py):
    """Each has what h5py has for it, here and in another process."""
    with h5py.File(everything, "r") as file:
        for name, dataset in file.items():
            want = np.asarray(dataset[()])
            if want.dtype.kind in "iufcmM":
                want = want.astype(want.dtype.newbyteorder("="))
            if dataset.dtype.kind == "O":
                want = want.astype(object)
            source = ac.open(dataset)
            for each in (source, pickle.loads(pickle.dumps(source))):
                assert (each.shape, each.dtype) == (want.shape, want.dtype), name
                if name == "scalar text":
                    assert each[...] == want
                    continue
                same(np.asarray(each), want)
                if want.ndim > 1:
                    same(each[3:90, 1:], want[3:90, 1:])
            if want.dtype.char in "?ilQfdFD":  # NumPy adds float16 in float16
                np.testing.assert_array_equal(ac.max(dataset, initial=1), np.max(want, initial=1), err_msg=name)
                np.testing.assert_allclose(ac.sum(dataset), np.sum(want), rtol=1e-6, err_msg=name)


def test_only_what_lies_there_as_in_memory_is_read_without_hdf5(everything, h5py):
    with h5py.File(everything, "r") as file:
        flat = {name for name in file if isinstance(ac.open(file[name]), sources.FlatFile)}
        direct = {name for name in file if getattr(ac.open(file[name]), "direct", False)}
    numbers = {f"written {order}{char}" for order in "<>" for char in ("f8", "f4", "f2", "i4", "u8", "c16", "c8")}
    assert flat == numbers | {"before", "written bool", "written enum", "scalar", "scalar >"}
    assert direct == {"chunked bool", "chunked enum", "chunked, never", "chunked, in part"}


@pytest.mark.parametrize("shuffle", [False, True])
def test_chunks_at_the_end_without_filters(tmp_path, shuffle, h5py, monkeypatch):
    """As H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS stores them, which h5py can't set: their masks say nothing."""
    x = np.random.default_rng(0).normal(size=(70, 40))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(30, 20), compression="gzip", shuffle=shuffle)
    source = ac.open(tmp_path / "x.h5")
    raw = zlib.decompress

    def damaged_at_the_end(data, bufsize):
        damaged.append(data)
        if len(damaged) % 2:
            raise zlib.error("incorrect header check")
        return raw(data, bufsize=bufsize)

    for region in (np.s_[:], np.s_[50:70, 30:40], np.s_[25:65, 3:]):
        damaged = []
        monkeypatch.setattr(hdf5.zlib, "decompress", damaged_at_the_end)
        np.testing.assert_array_equal(source[region], x[region])
        assert damaged
    monkeypatch.undo()
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(30, 20), compression="gzip", shuffle=shuffle)
        file["x"].id.write_direct_chunk((30, 0), b"not of gzip")
    with pytest.raises(OSError, match=r"y\.h5/x: can't read"):
        ac.open(tmp_path / "y.h5")[...]


def test_null_dataspaces(tmp_path, h5py):
    """An array without elements, as a dataset and as h5py's own object."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["nothing"], file["x"], file["y"] = h5py.Empty(">f4"), np.arange(3.0), np.empty((0, 2))
    with h5py.File(tmp_path / "x.h5", "r") as file:
        for empty in (file["nothing"], file["nothing"][()], h5py.Empty("f4")):
            source = ac.open(empty)
            assert (source.shape, source.dtype) == ((0,), np.float32)
            assert ac.sum(empty) == 0
            assert ac.sort(empty).shape == (0,)
            assert ac.map_blocks(np.negative, empty).shape == (0,)
            with pytest.raises(ValueError, match="zero-size"):
                ac.max(empty)
    columns = [described(tmp_path / "x.h5", name) for name in ("nothing", "x", "y")]
    assert [(column.shape, column.count, column.numeric) for column in columns] == [
        ((0,), 0, True),
        ((3,), 3, True),
        ((0, 2), 0, True),
    ]


def test_files_that_are_written_while_they_are_read(tmp_path, pools, h5py):
    """SWMR, the writer's and a reader's handles: what is opened elsewhere is opened in that way, too."""
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        dataset = file.create_dataset("x", (600, 300), "f8", chunks=(60, 300), maxshape=(None, 300))
        dataset[...] = X
        with pytest.raises(BlockingIOError, match=r"x\.h5"):
            ac.mean(dataset, executor=pools[0])  # locked against those who read
        file.swmr_mode = True
        dataset[0] = 7
        want = X.copy()
        want[0] = 7
        for pool in pools:
            np.testing.assert_array_equal(ac.map_blocks(negative, dataset, executor=pool), -want)
        code = f"""
            import h5py, pickle, sys, allcores as ac
            if __name__ == "__main__":
                from concurrent.futures import ProcessPoolExecutor
                import multiprocessing
                file = h5py.File({os.fspath(tmp_path / "x.h5")!r}, "r", swmr=True)
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    assert ac.max(file["x"], executor=pool) == ac.max(file["x"][...])
        """
        (tmp_path / "reader.py").write_text(textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, tmp_path / "reader.py"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        dataset.resize((700, 300))
        source = ac.open(file["x"])
        dataset.resize((600, 300))
        with pytest.raises(OSError, match="another dataset"):
            pickle.loads(pickle.dumps(source))


def test_a_file_that_is_open_for_writing_elsewhere(tmp_path, h5py):
    path = os.fspath(tmp_path / "x.h5")
    code = f"import h5py; f = h5py.File({path!r}, 'w'); f['x'] = 1.0; print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout.readline() == "open\n"
            with pytest.raises(BlockingIOError, match=r"lock.*x\.h5"):
                ac.open(path)
        finally:
            writer.communicate("\n", timeout=30)
    assert ac.open(path)[()] == 1


def test_what_another_process_cannot_open(tmp_path, h5py):
    with h5py.File(io.BytesIO(), "w") as file:
        file["x"] = X
        assert ac.sum(file["x"]) == ac.sum(ac.open(X, chunks=X.shape))
        with pytest.raises(TypeError, match=r"can't be read in another process: .* driver 'fileobj'"):
            pickle.dumps(ac.open(file["x"]))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(None, data=X)
        np.testing.assert_array_equal(ac.open(dataset)[...], X)
        with pytest.raises(TypeError, match="can't be read in another process: it has no name"):
            pickle.dumps(ac.open(dataset))


# ---- damaged files


def npy_header(version, header):
    text = header.encode() + b"\n"
    return (
        b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + bytes(999)
    )


SHAPES = ["(True,)", f"(0, {2**63})", f"(0, {2**70})", "(1,) * 70", str((1,) * 70), "(3.7,)", "'33'", "[3]", "3"]
HEADERS = [
    "{'descr': '<f8', 'fortran_order': 'x', 'shape': (3,), }",
    "{'descr': '<f8', 'fortran_order': 1, 'shape': (3,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'more': 1, }",
    "{'descr': '<f8', 'fortran_order': False, }",
    "{'descr': 'nothing', 'fortran_order': False, 'shape': (3,), }",
    "[3]",
]
WHOLE = io.BytesIO()
np.save(WHOLE, np.arange(1000.0))
WHOLE = WHOLE.getvalue()
OBJECTS = io.BytesIO()
np.save(OBJECTS, np.array([1, "a"], object), allow_pickle=True)
ARCHIVE = io.BytesIO()
np.savez(ARCHIVE, a=np.arange(5))

BAD = {
    "short": WHOLE[:-100],
    "large_short": WHOLE.replace(b"(1000,), }  ", b"(100000,), }")[:-100],
    "no_bytes": b"",
    "magic": WHOLE[:6],
    "header": WHOLE[:60],
    "garbage": b"hello world" * 10,
    "zeros": bytes(200),
    "version": WHOLE[:6] + b"\x09" + WHOLE[7:],
    "negative": WHOLE.replace(b"(1000,), }", b"(-100,), }"),
    "scalar": WHOLE.replace(b"(1000,)", b"np.i(2)"),
    "archive": ARCHIVE.getvalue(),
    "objects": OBJECTS.getvalue(),
    "pickled": pickle.dumps([1, 2]),
}


@pytest.mark.parametrize("descr", ["'<U0'", "'|S0'", "'|V0'", "[('größe', '<U0'), ('ж\\n', '<f8')]"])
@pytest.mark.parametrize("shape", [(3, 2), (0,), ()], ids=str)
def test_npy_of_strings_without_characters(tmp_path, descr, shape):
    for version in (1, 2, 3) if descr.isascii() else (3,):
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
        (tmp_path / "x.npy").write_bytes(npy_header(version, header))
        want, source = np.load(tmp_path / "x.npy"), ac.open(tmp_path / "x.npy")
        for got in (source[...], np.asarray(source), pickle.loads(pickle.dumps(source))[...]):
            same(got, want)


def test_damaged_headers(tmp_path):
    """Whatever NumPy refuses, and shapes that it takes for others, in each version; and versions that are none."""
    headers = [*HEADERS, *(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}" for shape in SHAPES)]
    files = [npy_header(version, header) for version in (1, 2, 3) for header in headers]
    files += [WHOLE[:6] + bytes(version) + WHOLE[8:] for version in ((1, 1), (2, 1), (4, 0), (0, 0))]
    for number, data in enumerate(files):
        path = tmp_path / f"{number}.npy"
        path.write_bytes(data)
        with pytest.raises((OSError, ValueError), match=path.name) as raised:
            ac.open(path)
        assert raised.type is not UnicodeDecodeError


@pytest.mark.parametrize("extension", ["npy", "h5", "zarr"])
@pytest.mark.parametrize("kind", [*BAD, "missing", "directory", "pipe"])
def test_damaged_files(tmp_path, kind, extension, h5py, zarr):
    """OSError or ValueError, which names the file."""
    path = tmp_path / f"{kind}.{extension}"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes with names")
        os.mkfifo(path)
    elif kind != "missing":
        path.write_bytes(BAD[kind])
    with pytest.raises((OSError, ValueError), match=path.stem) as raised:
        ac.open(path)
    assert raised.type is not UnicodeDecodeError
    assert kind != "missing" or raised.type is FileNotFoundError


def test_damaged_zarr(tmp_path, zarr):
    save_zarr()(tmp_path / "x.zarr")
    for damage in ("{", "[]", '{"zarr_format": 3, "node_type": "array"}'):
        (tmp_path / "x.zarr" / "zarr.json").write_text(damage)
        with pytest.raises((OSError, ValueError), match=r"x\.zarr"):
            ac.open(tmp_path / "x.zarr")


def test_names_that_are_not_there(tmp_path, zarr):
    save_zarr("g/x")(tmp_path / "x.zarr")
    assert ac.open(tmp_path / "x.zarr", "g/x").shape == X.shape
    assert ac.open(tmp_path / "x.zarr", "g").shape == X.shape
    with pytest.raises(ValueError, match="one of its arrays: g/x"):
        ac.open(tmp_path / "x.zarr", "h")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_files_that_may_not_be_read(tmp_path):
    np.save(tmp_path / "x.npy", X)
    os.chmod(tmp_path / "x.npy", 0)
    with pytest.raises(PermissionError, match=r"x\.npy"):
        ac.open(tmp_path / "x.npy")
