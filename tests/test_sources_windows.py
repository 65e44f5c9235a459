"""Moving windows, exponential weights and filled gaps of what is not in memory, or on an executor: memory's bits."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import BACKENDS, COMPILED, COMPUTING, FUNCTIONS, MOVES, SCANNED, SORTED, plain_call, takes

import allcores as ac
from allcores import quantiles, selection
from allcores._engine import mapreduce, settings
from allcores._engine.registry import SCANS, WINDOWS

FILLS = ("push", "ffill", "bfill")
EXPONENTIAL = tuple(name for name in SCANNED if name.startswith("move_exp"))
BY_PIECES = (*MOVES, *EXPONENTIAL, *FILLS)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """So that small arrays have many pieces, and tasks."""
    monkeypatch.setattr(mapreduce, "piece", 1 << 12)
    monkeypatch.setattr(mapreduce, "task_size", 1 << 14)


def example(shape, seed=0):
    """With gaps, one of which is long, and an infinity."""
    x = np.random.default_rng(seed).normal(size=shape)
    flat = x.reshape(-1)
    flat[:: max(2, x.size // 60)] = np.nan
    flat[x.size // 3 : x.size // 3 + x.size // 5] = np.nan
    flat[x.size * 3 // 4] = np.inf
    return x


def calls(name, shape, axis):
    """Arguments after the arrays."""
    n = shape[axis]
    if name in FILLS:
        return [((limit,), {}) for limit in (None, 0, 1, 100)]
    if name in EXPONENTIAL:
        many = np.random.default_rng(3).random(shape)
        alphas = [(0.1, {}), (1.0, {}), (np.linspace(0, 1, n), {}), (0.3, {"min_weight": 0.2}), (many, {})]
        return [((alpha,), more) for alpha, more in alphas]
    q = (([0.1, 0.5],),) if name == "move_quantile" else ((),)
    windows = sorted({1, 2, min(n, 33), min(n, 70), min(n, 600), n})
    return [
        ((window, *q[0]), {"min_count": (None, 1, max(1, window // 3))[i % 3], "center": i % 2 == 0})
        for i, window in enumerate(windows)
    ]


def arrays_of(name, x):
    row = {**WINDOWS, **SCANS}.get(name)
    return (x, example(x.shape, 1)) if row is not None and row.inputs == 2 else (x,)


def check_same(got, want, where):
    got = np.asarray(got)
    assert (got.dtype, got.shape) == (want.dtype, want.shape), where
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(want).tobytes(), where


@pytest.fixture(scope="module")
def stores(tmp_path_factory, zarr, h5py):
    """Of a shape the array, and what has its elements without being in memory: all of the same memory order."""
    directory = tmp_path_factory.mktemp("stores")
    files, made = [], {}

    def of(x):
        key = x.shape, x.dtype.str
        if key not in made:
            path = directory / f"{len(made)}"
            np.save(path.with_suffix(".npy"), x)
            chunks = tuple(n // 3 + 1 for n in x.shape)
            stored = zarr.create_array(store=path.with_suffix(".zarr"), shape=x.shape, chunks=chunks, dtype=x.dtype)
            stored[...] = x
            file = h5py.File(path.with_suffix(".h5"), "w")
            file.create_dataset("x", data=x, chunks=tuple(min(n, 37) for n in x.shape), compression="gzip")
            files.append(file)
            made[key] = ac.open(path.with_suffix(".npy")), stored, file["x"]
        return made[key]

    yield of
    for file in files:
        file.close()


# Of scans: few series in leaves, as lines and as columns; many, each of them whole. One piece, and many.
SHAPES = {
    "windows": [(1500,), (150, 33), (9, 7, 31)],
    "exponential": [(3000,), (1300, 2), (2, 1300), (1300, 18), (1200, 260), (5, 6, 7)],
    "fills": [(2000,), (300, 33), (9, 7, 31)],
}


@pytest.mark.parametrize("name", BY_PIECES)
def test_memory_has_the_same_bits(name, stores):
    for shape in SHAPES["windows" if name in MOVES else "fills" if name in FILLS else "exponential"]:
        x = example(shape)
        for axis in range(x.ndim) if x.size < 300_000 else (0,):
            for arguments, options in calls(name, shape, axis)[: 2 if x.size > 100_000 else None]:
                a, *rest = arrays_of(name, x)
                want = getattr(ac, name)(a, *rest, *arguments, axis=axis, **options)
                for source in stores(x):
                    got = getattr(ac, name)(source, *rest, *arguments, axis=axis, **options)
                    check_same(got, want, (shape, axis, arguments, options, source))


@pytest.mark.parametrize("name", BY_PIECES)
def test_order_in_memory(tmp_path, name):
    """Of a file in Fortran's order, and of two operands of which one is lazy, or both, or one repeats."""
    x = example((1100, 19))
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    source, memory = ac.open(tmp_path / "f.npy"), np.asfortranarray(x)
    for axis in (0, 1):
        arguments, options = calls(name, x.shape, axis)[1]
        _, *rest = arrays_of(name, x)
        want = getattr(ac, name)(memory, *rest, *arguments, axis=axis, **options)
        got = getattr(ac, name)(source, *rest, *arguments, axis=axis, **options)
        check_same(got, want, axis)
        assert got.flags.f_contiguous == want.flags.f_contiguous
        if rest:
            for b in (rest[0], rest[0][:1], rest[0][:, :1]):
                want = getattr(ac, name)(x, b, *arguments, axis=axis, **options)
                for first, second in ((ac.open(x), ac.open(b)), (x, ac.open(b)), (ac.open(x), b)):
                    check_same(getattr(ac, name)(first, second, *arguments, axis=axis, **options), want, axis)


@pytest.mark.parametrize("backend", BACKENDS)
def test_sizes_of_pieces_change_no_bit(backend, monkeypatch):
    shapes = [(1100, 3), (530, 260)] if backend in COMPILED else [(1100, 3)]
    with settings.use_backend(backend):
        for shape in shapes:
            x = example(shape)
            for name in ("move_var", "move_skew", "move_sum", "move_argmax", *EXPONENTIAL, "bfill"):
                arguments, options = calls(name, shape, 0)[-3 if name in MOVES else 0]
                want = getattr(ac, name)(*arrays_of(name, x), *arguments, axis=0, **options)
                for piece, workers in ((1, 2), (1 << 14, 1), (1 << 20, 3)):
                    monkeypatch.setattr(mapreduce, "piece", piece)
                    a, *rest = arrays_of(name, x)
                    got = getattr(ac, name)(ac.open(a), *rest, *arguments, axis=0, workers=workers, **options)
                    check_same(got, want, (name, piece))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "u8", "f2", "f4", ">f4", "g"])
@pytest.mark.parametrize("name", ["move_mean", "move_rank", "move_count", "move_min", "move_exp_nancount", "push"])
def test_dtypes(name, dtype):
    x = np.nan_to_num(example((900, 4)) * 50, posinf=7).astype(dtype)
    x[x.dtype.type(0) == x] = x.dtype.type(1)
    if name == "move_min" and dtype in ("i8", "u8"):
        x += x.dtype.type(2**60)  # float64 can't tell these apart
    native = x.astype(x.dtype.newbyteorder("="))
    arguments, options = calls(name, x.shape, 0)[2]
    want = getattr(ac, name)(native, *arguments, axis=0, **options)
    check_same(getattr(ac, name)(ac.open(x), *arguments, axis=0, **options), want, name)


@pytest.mark.parametrize("dtype", ["e", "g", "F", "M8[s]", "m8[ms]"])
@pytest.mark.parametrize("name", FILLS)
def test_gaps_of_other_dtypes(name, dtype):
    x = (np.random.default_rng(0).normal(size=(800, 5)) * 100).astype(dtype if dtype[0] not in "mM" else "i8")
    x = x.astype(dtype)
    x[np.random.default_rng(1).random(x.shape) < 0.8] = (
        np.datetime64("NaT") if dtype[0] == "M" else (np.timedelta64("NaT") if dtype[0] == "m" else np.nan)
    )
    for axis in (0, 1):
        for limit in (None, 3):
            np.testing.assert_array_equal(
                getattr(ac, name)(ac.open(x), limit, axis), getattr(ac, name)(x, limit, axis), strict=True
            )


# ---- executors


@pytest.fixture(scope="module", params=["threads", "ours"])
def executor(request):
    with ThreadPoolExecutor(2) if request.param == "threads" else ac.futures.ProcessPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize("name", BY_PIECES)
def test_executors_give_the_same_bits(name, executor, tmp_path):
    """Of arrays in memory, whether large or small, and of files."""
    for shape in ((40,), (1300, 18)):
        x = example(shape)
        np.save(tmp_path / "x.npy", x)
        for axis in range(x.ndim):
            arguments, options = calls(name, shape, axis)[-2]
            a, *rest = arrays_of(name, x)
            want = getattr(ac, name)(a, *rest, *arguments, axis=axis, **options)
            for given in (a, ac.open(tmp_path / "x.npy")):
                got = getattr(ac, name)(given, *rest, *arguments, axis=axis, executor=executor, **options)
                check_same(got, want, (shape, axis))


def test_executors_compute(executor):
    """Where it is said, and nowhere else."""

    class Counting(ThreadPoolExecutor):
        tasks = 0

        def submit(self, *args, **kwargs):
            self.tasks += 1
            return super().submit(*args, **kwargs)

    x = example((3000, 4))
    with Counting(2) as pool:
        for name in BY_PIECES:
            before = pool.tasks
            arguments, options = calls(name, x.shape, 0)[0]
            getattr(ac, name)(*arrays_of(name, x), *arguments, axis=0, executor=pool, **options)
            assert pool.tasks > before + 1, name
            with ac.set_executor(pool):
                before = pool.tasks
                getattr(ac, name)(*arrays_of(name, x), *arguments, axis=0, **options)
                assert pool.tasks == before, name  # an array in memory
                getattr(ac, name)(*map(ac.open, arrays_of(name, x)), *arguments, axis=0, **options)
                assert pool.tasks > before + 1, name


# ---- outputs


@pytest.mark.parametrize("name", BY_PIECES)
def test_outputs(name, tmp_path, zarr, h5py):
    """Into an array, a mapped file, and what is not in memory, whose chunks are cut elsewhere."""
    x = example((700, 9))
    a, *rest = arrays_of(name, x)
    arguments, options = calls(name, x.shape, 0)[2]
    want = getattr(ac, name)(a, *rest, *arguments, axis=0, **options)
    shape = want.shape
    with h5py.File(tmp_path / "x.h5", "w") as file:
        outs = [
            np.empty(shape),
            np.empty((*shape, 2))[..., 0],
            np.empty(shape, ">f8"),
            np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "f8", shape),
            zarr.create_array(tmp_path / "out.zarr", shape=shape, chunks=[min(n, 50) for n in shape], dtype="f8"),
            file.create_dataset("out", shape, "f8", chunks=tuple(min(n, 11) for n in shape)),
        ]
        for out in outs:
            for given in (ac.open(a, chunks=(100, 4)), a):
                assert getattr(ac, name)(given, *rest, *arguments, axis=0, out=out, **options) is out
                np.testing.assert_array_equal(out[...], want)
        np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), want)


def test_an_output_that_is_the_operand(tmp_path, zarr):
    """In memory it has the right answer; what is read while it is written is refused."""
    x = example((700, 9))
    want, y = ac.move_mean(x, 20, axis=0), x.copy()
    with ThreadPoolExecutor(2) as pool:
        assert ac.move_mean(y, 20, axis=0, out=y, executor=pool) is y
    np.testing.assert_array_equal(y, want)
    stored = zarr.create_array(tmp_path / "x.zarr", shape=x.shape, chunks=x.shape, dtype="f8")
    stored[...] = x
    again = zarr.open_array(tmp_path / "x.zarr", mode="r+")
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    for source, out in ((stored, stored), (stored, again), (ac.open(tmp_path / "x.npy"), mapped)):
        for function, arguments in ((ac.move_sum, (20,)), (ac.move_exp_nansum, (0.5,)), (ac.ffill, ())):
            with pytest.raises(ValueError, match="out must not be what is read"):
                function(source, *arguments, axis=0, out=out)
        np.testing.assert_array_equal(out[...], x)


class Unread(ac.Source):
    """Nobody may read it."""

    def __init__(self, shape=(600, 5), dtype=float):
        self.name, self.shape, self.dtype, self.chunks = "unread", shape, np.dtype(dtype), None

    def read(self, region):
        raise AssertionError("it was read")


@pytest.mark.parametrize("name", BY_PIECES)
def test_bad_arguments_come_first(name, zarr):
    """With the errors of the same call in memory, before anything is read or written."""
    x = np.zeros((600, 5))
    (arguments, _), *_ = calls(name, x.shape, 0)
    planes = np.shape(arguments[1]) if name == "move_quantile" else ()

    def outcome(a, *given, **options):
        try:
            getattr(ac, name)(*[a] * len(arrays_of(name, x)), *given, **options)
        except Exception as error:
            return type(error), str(error).replace("unread", "an array")
        raise AssertionError("nothing was raised")

    good = np.full((*planes, *x.shape), 7.0)
    locked = good.copy()
    locked.flags.writeable = False
    bad = [{"axis": 2}, {"axis": 0.5}, {"workers": 0}, {"out": good[..., :3]}, {"out": good.astype("f4")}]
    bad += [{"out": locked}, {"out": good.tolist()}]
    bad += [] if name in FILLS else [{"axis": 0, "min_count" if name in MOVES else "min_weight": -1}]
    for options in bad:
        assert outcome(Unread(), *arguments, **options) == outcome(x, *arguments, **options), options
    for given in [(0,), (601,), (1.5,)] if name in MOVES else [(-1,), ("a",)]:
        assert outcome(Unread(), *given, *arguments[1:], axis=0) == outcome(x, *given, *arguments[1:], axis=0)
    for dtype in ("U3", "c16") if name not in FILLS else ("U3", "V4"):
        assert outcome(Unread(dtype=dtype), *arguments) == outcome(x.astype(dtype), *arguments), dtype
    stored = zarr.create_array(store={}, shape=(*planes, 600, 4), chunks=(*planes, 9, 4), dtype="f8", fill_value=7)
    with pytest.raises(ValueError, match=r"out must have the shape"):
        getattr(ac, name)(*[Unread()] * len(arrays_of(name, x)), *arguments, axis=0, out=stored)
    with pytest.raises(TypeError, match="unread can't be written to"):
        getattr(ac, name)(*[x] * len(arrays_of(name, x)), *arguments, axis=0, out=Unread((*planes, 600, 5)))
    assert (good == 7).all()
    assert (stored[...] == 7).all()


def test_what_is_empty_or_has_no_axes():
    for name in BY_PIECES:
        arguments, options = calls(name, (3, 4), 0)[0]
        for shape in ((3, 0), (0, 3)):
            a = [np.zeros(shape)] * len(arrays_of(name, np.zeros(9)))
            if name in MOVES and not shape[0]:
                with pytest.raises(ValueError, match="window must be"):
                    getattr(ac, name)(*map(ac.open, a), *arguments, axis=0, **options)
                continue
            arguments = (0.5,) if name in EXPONENTIAL else arguments
            want = getattr(ac, name)(*a, *arguments, axis=0)
            check_same(getattr(ac, name)(*map(ac.open, a), *arguments, axis=0), want, (name, shape))
        with pytest.raises(ValueError, match="at least one dimension"):
            getattr(ac, name)(*[ac.open(np.array(1.0))] * len(a), *arguments)


# ---- memory, and those who watch


def test_memory_of_large_files(tmp_path, monkeypatch):
    """From disk to disk, neither the input nor the result is in memory."""
    monkeypatch.undo()
    for name in "xy":
        array = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", "f8", (1_000_000, 4))
        array[...] = 1
        del array
    source = ac.open(tmp_path / "x.npy")
    out = np.load(tmp_path / "y.npy", mmap_mode="r+")
    with ac.set_memory_budget(4 << 20):
        for function in (
            lambda: ac.move_mean(source, 1000, axis=0, out=out),
            lambda: ac.move_exp_nanmean(source, 0.1, axis=0, out=out),
            lambda: ac.ffill(source, axis=0, out=out),
        ):
            function()
            tracemalloc.start()
            function()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 6 << 20
    np.testing.assert_array_equal(out[-5:], np.ones((5, 4)))


@pytest.mark.parametrize("name", ["move_mean", "move_exp_nanmean", "move_exp_nanvar", "bfill"])
def test_cancelled(name):
    class Slow(ac.Source):
        def __init__(self):
            self.name, self.shape, self.dtype, self.chunks = "slow", (1 << 22, 2), np.dtype(float), (512, 2)
            self.begun, self.reads = threading.Event(), 0

        def read(self, region):
            self.reads += 1
            self.begun.set()
            threading.Event().wait(0.005)
            return np.ones([part.stop - part.start for part in region])

    source = Slow()
    future = ac.submit(getattr(ac, name), source, *calls(name, (50,), 0)[1][0], axis=0)
    assert source.begun.wait(60)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(timeout=60)
    assert source.reads < 4000  # of 8192


# ---- who takes what


class Loaded(Exception):
    """All of it has been asked for."""


class Kept(ac.Source):
    """Has its elements, but does not give all of them at once, and writes down what is written."""

    def __init__(self, x):
        self.x, self.name, self.shape, self.dtype, self.chunks = x, "kept", x.shape, x.dtype, None

    def read(self, region):
        return self.x[region]

    def write(self, region, values):
        self.x[region] = values

    def load(self):
        raise Loaded


ROWS = {
    "reductions": FUNCTIONS,
    "medians, quantiles, percentiles": quantiles.__all__,
    "moving windows": MOVES,
    "exponential weights, `push`, `ffill`, `bfill`": (*EXPONENTIAL, *FILLS),
    "`sort`": ("sort",),
    "other sorting, ranks, `unique`, partitions": (*(name for name in SORTED if name != "sort"), *selection.__all__),
    "`replace`": ("replace",),
    "`map_blocks`, `map_overlap`": ("map_blocks", "map_overlap"),
    "`reduction`": ("reduction",),
    "`apply_along_axis`": ("apply_along_axis",),
}
BLOCKS = {
    "map_blocks": lambda a, **more: ac.map_blocks(np.sqrt, a, **more),
    "map_overlap": lambda a, **more: ac.map_overlap(np.sqrt, a, 1, **more),
    "reduction": lambda a, **more: ac.reduction(a, np.sum, np.sum, **more),
    "apply_along_axis": lambda a, **more: ac.apply_along_axis(np.sum, 0, a, **more),
}


def called(name, a, **more):
    if name in BLOCKS:
        return BLOCKS[name](a, **more)
    return plain_call(name, a, **more)


def reach(name):
    """What the table says of a function: executor, lazy source, lazy `out`."""
    x = np.random.default_rng(0).random((400, 400))  # more than what is loaded because it is small
    cells = ["yes" if takes(name, "executor") else "no"]
    try:
        called(name, Kept(x))
        cells.append("yes")
    except Loaded:
        cells.append("loaded")
    except (TypeError, AttributeError):
        cells.append("no")
    if not takes(name, "out"):
        return [*cells, "no"]
    more = {"axis": 0} if takes(name, "axis") else {}
    want = np.asarray(called(name, x, **more))
    out = Kept(np.zeros(want.shape, want.dtype))
    assert called(name, x, out=out, **more) is out
    np.testing.assert_array_equal(out.x, want)
    return [*cells, "yes"]


DOCS = Path(__file__).parent.parent / "docs" / "sources.md"


def test_the_table_of_the_documentation():
    lines = DOCS.read_text().split("## Who takes what")[1].split("\n\n")[1].splitlines()
    table = {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:])}
    assert list(table) == list(ROWS)
    assert {*COMPUTING, *BLOCKS} == {name for names in ROWS.values() for name in names}
    for row, (threads, *cells) in table.items():
        for name in ROWS[row]:
            # Some results are not put anywhere: then there is no such argument.
            found = reach(name)
            without = cells[:2] == found[:2] and not takes(name, "out")
            assert found == cells or (row == "reductions" and without), (row, name)
            assert (threads == "yes") == takes(name, "workers")
