"""Arrays that processes share: every view of them is found, whoever holds them hands them on, and no write is lost."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from cluster_helpers import ENGINES
from helpers import GIL, collect, everyday
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from pool_helpers import (
    METHODS,
    Measured,
    Tagged,
    echo,
    left_names,
    memory_files,
    nothing,
    open_files,
    overwrite,
    run_script,
    shared_names,
)

import allcores as ac
from allcores.futures import ProcessPoolExecutor, channel, pickling, segments, shared
from allcores.futures.cluster import Courier

SIZE = 1 << 16  # 512 KiB of float64: above every threshold
STRUCTURED = np.dtype([("a", "f8"), ("b", "i8"), ("c", "f8", (2,))])


@pytest.fixture(autouse=True)
def nothing_is_left():
    gc.collect()
    before, names = len(memory_files()), shared_names()
    yield
    collect()
    assert len(memory_files()) <= before
    assert not left_names(names)


@pytest.fixture(params=everyday(["memfd", "named"], ["memfd"]))
def kind(request, monkeypatch):
    """Each kind of segments: the system's own, and those with names."""
    if request.param == "named":
        gc.collect()
        monkeypatch.setattr(segments, "_decided", False)
    return request.param


@pytest.fixture
def pool(kind):
    with ProcessPoolExecutor(1) as pool:
        pool.submit(nothing).result(timeout=60)
        yield pool


# ---- views


def by_pointer(x):
    """Memory that leads to nothing but an address."""
    pointer = ctypes.cast(x.ctypes.data, ctypes.POINTER(ctypes.c_double))
    return np.ctypeslib.as_array(pointer, (x.size,))


class Exporter:
    """Somebody's array, in NumPy's protocol."""

    def __init__(self, x):
        self.__array_interface__, self.x = x.__array_interface__, x


def fields(x):
    return x[: SIZE // 4 * 4].view(STRUCTURED)


VIEWS = {
    "itself": lambda x: x,
    "slice": lambda x: x[3:9],
    "one element": lambda x: x[5:6].reshape(()),
    "every third": lambda x: x[::3],
    "reversed": lambda x: x[::-1],
    "transposed": lambda x: x.reshape(64, -1).T,
    "reversed both": lambda x: x.reshape(64, -1)[::-1, ::-1],
    "diagonal": lambda x: np.einsum("ii->i", x.reshape(256, 256)),
    "other bytes": lambda x: x.view("u1").view("f8"),
    "unaligned": lambda x: x.view("u1")[3:-5].view("f8"),
    "swapped": lambda x: x.view(">f8"),
    "real": lambda x: x.view("c16").real,
    "imaginary": lambda x: x.view("c16").imag,
    "field": lambda x: fields(x)["a"],
    "field of subarrays": lambda x: fields(x)["c"],
    "several fields": lambda x: fields(x)[["a", "c"]]["c"],
    "frombuffer": lambda x: np.frombuffer(x, x.dtype),
    "memoryview": lambda x: np.asarray(memoryview(x)),
    "memoryview of bytes": lambda x: np.frombuffer(memoryview(x).cast("B")[16:64]),
    "ndarray(buffer=)": lambda x: np.ndarray(5, x.dtype, x, 8),
    "ctypes": lambda x: np.ctypeslib.as_array(np.ctypeslib.as_ctypes(x)),
    "pointer": by_pointer,
    "array interface": lambda x: np.asarray(Exporter(x)),
    "as_strided": lambda x: as_strided(x, (10, 2), (80, 8)),
    "as_strided, overlapping": lambda x: as_strided(x, (10, 4), (8, 8)),
    "windows": lambda x: sliding_window_view(x, 4, writeable=True),
    "dlpack": np.from_dlpack,
    "dlpack of a slice": lambda x: np.from_dlpack(x[7:]),
    "view of a strided view": lambda x: as_strided(x, (10, 2), (80, 8))[::2].T,
    "matrix": lambda x: x.view(np.matrix),
    "recarray": lambda x: x.view(np.recarray),
    "chararray": lambda x: x.view("S8").view(np.char.chararray).view(np.ndarray).view("f8"),
    "subclass": lambda x: x.view(Tagged),
    "subclass of a strided view": lambda x: as_strided(x, (10, 2), (80, 8), subok=True).view(Tagged),
    "masked": lambda x: np.ma.array(x, copy=False),
    "masked.data": lambda x: np.ma.array(x, mask=x > 0, copy=False).data,
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, x)[0],
    "require": lambda x: np.require(x, requirements="W"),
}


def put(view, value=9.0):
    view[...] = value


def test_what_a_worker_writes_to_a_view_is_there(pool):
    wrong = []
    for name, make in VIEWS.items():
        x = ac.share(np.zeros(SIZE))
        view, want = make(x), np.zeros(SIZE)
        assert np.shares_memory(view, x), name
        if not view.flags.writeable:  # so NumPy 2.0 makes arrays by DLPack
            continue
        put(make(want))
        before = pool.transfer_stats()["bytes_pickled"]
        pool.submit(put, view).result(timeout=60)
        if x.tobytes() != want.tobytes() or pool.transfer_stats()["bytes_pickled"] - before > 4096:
            wrong.append(name)
        del x, view
    assert not wrong


@pytest.mark.parametrize("make", [lambda x: x[5:5], lambda x: x[SIZE:], lambda x: x.reshape(-1, 1)[:, :0]])
def test_views_without_elements(pool, make):
    x = ac.share(np.zeros(SIZE))
    view = make(x)
    back = pool.submit(echo, view).result(timeout=60)
    assert (back.shape, back.dtype) == (view.shape, view.dtype)


def test_read_only_views_stay_so(pool):
    x = ac.share(np.zeros(SIZE))
    for make in (lambda x: np.broadcast_to(x, (2, SIZE)), lambda x: sliding_window_view(x, 4), read_only):
        with pytest.raises(ValueError, match="read-only"):
            pool.submit(put, make(x)).result(timeout=60)
    assert not x.any()


def read_only(x):
    x = x[:]
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "name",
    everyday(["dlpack", "ctypes", "as_strided", "pointer", "array interface", "frombuffer"], ("ctypes", "dlpack")),
)
def test_what_share_and_blocks_make_of_a_view(pool, name):
    """Neither copies what is in shared memory, and neither makes the caller's array read-only."""
    x = ac.share(np.zeros(SIZE))
    view = VIEWS[name](x)
    assert ac.share(view) is view
    out = ac.map_blocks(np.positive, np.ones(view.shape), out=view, executor=pool)
    assert out is view
    assert (view == 1).all()
    ac.map_blocks(weighed, np.ones((4, 3)), weights=view, executor=pool)
    assert view.flags.writeable


def weighed(x, weights):
    return x * float(weights.ravel()[0])


@pytest.mark.extended
def test_memory_that_is_not_shared_any_more():
    """Nothing is found at an address whose array has died, and nothing is missed in one of many."""
    for _ in range(20):
        begin = shared.address(ac.share(np.zeros(SIZE)))
        gc.collect()
        assert not any(known.begin <= begin < known.end for known in shared._owners.values())
    many = [ac.share(np.full(100, i)) for i in range(50)]
    for i, x in enumerate(many):
        owner, known, _ = shared.find(by_pointer(x.view(float)))
        assert known.begin <= shared.address(x) < known.end
        assert np.shares_memory(owner, x)
        assert x[0] == i
    assert shared.find(np.zeros(3)[1:]) is None
    assert shared.find(np.frombuffer(bytearray(80))) is None
    del x, owner, known, many
    collect()
    assert not shared._owners


# ---- where there is only a copy


def test_a_copy_that_can_not_be_avoided_is_read_only(pool):
    """Of a subclass that pickles itself, and of an array that is pickled for another machine."""
    x = ac.share(np.zeros(SIZE))
    array = x.view(Measured)
    array.unit = "m"
    back = pool.submit(echo, array).result(timeout=60)
    assert (type(back), back.unit, back.shape) == (Measured, "m", (SIZE,))
    with pytest.raises(ValueError, match="read-only"):
        pool.submit(put, array).result(timeout=60)
    own = x.copy().view(Measured)
    own.unit = "m"
    pool.submit(put, own).result(timeout=60)  # nobody else sees it: as ever
    for name, make in VIEWS.items():
        pickled = pickling.dumps(make(x), handles=False)
        assert not pickled.kept
        copy = pickling.loads(pickled.data, pickled.inline())
        assert not copy.flags.writeable, name
        np.testing.assert_array_equal(copy, make(x))
    assert pickling.loads(pickling.dumps(x.copy(), handles=False).data, ()).flags.writeable


@pytest.mark.parametrize("name", ["stdlib", "loky"])
def test_other_executors_get_a_copy(name):
    x = ac.share(np.zeros(SIZE))
    with ENGINES[name](1) as executor, Courier(executor) as courier:
        assert courier.submit(total, x).result(timeout=60) == 0
        with pytest.raises(ValueError, match="read-only"):
            courier.submit(put, x).result(timeout=60)
        with pytest.raises(ValueError, match="read-only"):
            ac.map_blocks(put, x, executor=executor)


def total(x):
    return float(x.sum())


# ---- handed on


def make_shared(value=7.0, size=SIZE):
    x = ac.shared_empty(size)
    x[...] = value
    return x


MINE = []


def make_and_keep(value):
    MINE.append(make_shared(value))
    return MINE[-1][10:]


def the_kept(which=-1):
    return MINE[which]


def test_a_task_returns_a_shared_array(pool):
    x = pool.submit(make_shared).result(timeout=60)
    assert (x == 7).all()
    pool.submit(overwrite, x, 3).result(timeout=60)
    assert (x == 3).all()
    assert pool.transfer_stats()["fallbacks"] == 0


def test_a_worker_keeps_what_it_returns(pool):
    """Both see the same memory, for as long as either has it."""
    x = pool.submit(make_and_keep, 1.0).result(timeout=60)
    x[:] = 5
    kept = pool.submit(the_kept).result(timeout=60)
    assert kept[0] == 1
    assert (kept[10:] == 5).all()
    assert np.shares_memory(kept, x)
    pool.submit(MINE.clear).result(timeout=60)


def test_a_worker_returns_what_the_parent_has_forgotten():
    """A handle names who has the memory, not who has made it."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(keep_the_argument, ac.share(np.arange(5.0))).result(timeout=60)
        collect()
        assert pool.submit(the_kept).result(timeout=60).tolist() == [0, 1, 2, 3, 4]


def keep_the_argument(x):
    MINE.append(x)


def test_the_maker_has_ended(kind):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        first = pool.submit(make_shared, 1.0).result(timeout=60)
        second = pool.submit(make_shared, 2.0).result(timeout=60)
        pool.submit(overwrite, first[5:], 4.0).result(timeout=60)
    assert first[4:6].tolist() == [1, 4]
    assert (second == 2).all()
    with ProcessPoolExecutor(1) as pool:
        pool.submit(overwrite, second, 5.0).result(timeout=60)
    assert (second == 5).all()


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_start_methods(method):
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        x = ac.share(np.zeros(SIZE))
        pool.submit(put, np.from_dlpack(x), 1.0).result(timeout=60)
        assert (x == 1).all()
        x = pool.submit(make_shared).result(timeout=60)
        pool.submit(put, x, 2.0).result(timeout=60)
        assert (x == 2).all()


def test_many_in_one_result(pool):
    """More than go with one message, among others that are not shared."""
    things = pool.submit(make_many, 300).result(timeout=60)
    for i, (small, large) in enumerate(things):
        assert small.tolist() == [i] * 3
        assert large is None or (large == i).all()
    pool.submit(put, things[7][0], -1).result(timeout=60)
    assert things[7][0].tolist() == [-1] * 3


def test_descriptors_that_are_under_way():
    """Linux lets a user have no more of them than may be open: who sends waits until some have arrived."""

    class Full:
        def __init__(self, end):
            self.end, self.refusals = end, 3

        def __getattr__(self, name):
            return getattr(self.end, name)

        def sendmsg(self, *args):
            if self.refusals:
                self.refusals -= 1
                raise OSError(errno.ETOOMANYREFS, "Too many references: cannot splice")
            return self.end.sendmsg(*args)

    receiver, sender = channel.pair()
    segment = segments.Segment.create(100)
    ends = sender.end, receiver.end
    sender.end = Full(sender.end)
    sender.send("head", b"body", [segment.fd] * 3)
    message = receiver.receive(channel.Reserve())
    assert (message.head, bytes(message.body), len(message.fds)) == ("head", b"body", 3)
    for fd in message.fds:
        assert os.path.samestat(os.fstat(fd), os.fstat(segment.fd))
        os.close(fd)
    for end in ends:
        end.close()


def make_many(count):
    return [(make_shared(i, 3), None if i % 100 else np.full(SIZE, i)) for i in range(count)]


def test_an_exception_with_a_shared_array(pool):
    with pytest.raises(ValueError, match="made there") as caught:
        pool.submit(raise_with_shared).result(timeout=60)
    x = caught.value.args[1]
    pool.submit(overwrite, x, 3).result(timeout=60)
    assert (x == 3).all()
    caught.value.args = ()


def raise_with_shared():
    raise ValueError("made there", make_shared())


def test_nested_blocks_of_a_worker(pool):
    got = pool.submit(blocks_in_a_pool_of_its_own, SIZE).result(timeout=60)
    assert got.tolist() == (np.arange(SIZE) * 2.0).tolist()


def blocks_in_a_pool_of_its_own(size):
    with ProcessPoolExecutor(1) as inner:
        return ac.map_blocks(doubled, np.arange(float(size)), executor=inner)


def doubled(x):
    return 2 * x


def test_through_three_generations(pool):
    """Made in the innermost pool, written to by all, and outliving them."""
    x = ac.shared_empty(5)
    deepest = pool.submit(descend, 3, x).result(timeout=120)
    assert x.tolist() == [1, 2, 3, 0, 0]
    assert deepest[:3].tolist() == [1, 2, 3]
    pool.submit(put, deepest, 8.0).result(timeout=60)
    assert (deepest == 8).all()


def descend(depth, x):
    x[depth - 1] = depth
    if depth == 1:
        made = make_shared(1.0)
    else:
        with ProcessPoolExecutor(1) as inner:
            made = inner.submit(descend, depth - 1, x).result(timeout=60)
    made[depth - 1] = depth
    return made


def forked(function, *args):
    """Call a function in a child of this process by `os.fork`, and return what it says."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(function(*args))
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(theirs, said.encode()[:4000])
        os._exit(0)
    os.close(theirs)
    said = b""
    while piece := os.read(ours, 4096):
        said += piece
    os.close(ours)
    os.waitpid(child, 0)
    return said.decode()


def send(x, value):
    """Have a pool of this process's own write to an array; what happened, in words."""
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(put, x, value).result(timeout=60)
        return f"{x.min()} {x.max()}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.skipif(not GIL, reason="forks while there are threads")
def test_a_forked_child_hands_on_what_it_has_inherited(kind):
    x = ac.share(np.zeros(SIZE))
    assert forked(send, np.from_dlpack(x), 3.0) == "3.0 3.0"
    assert (x == 3).all()
    child = multiprocessing.get_context("fork").Process(target=send, args=(x[5:], 4.0))
    child.start()
    child.join(60)
    assert x[3:7].tolist() == [3, 3, 4, 4]
    assert child.exitcode == 0


DAEMON = """
    from test_pool_shared import *
    reader, writer = os.pipe()
    if os.fork() == 0:
        x = ac.share(np.zeros(SIZE))
        maker = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == maker:
            time.sleep(0.01)
        {before}
        os.write(writer, send(x, 4.0).encode())
        os._exit(0)
    os.wait()
    os.close(writer)
    print(os.read(reader, 4096).decode())
"""


def close_all(but):
    """As daemons do; and have others take the numbers."""
    os.closerange(3, but)
    os.closerange(but + 1, 100)
    for _ in range(20):
        os.open(os.devnull, os.O_RDONLY)


def test_a_daemon_hands_on_what_it_made_before(tmp_path):
    """The maker has ended, and is no longer in /proc."""
    assert run_script(tmp_path, DAEMON.format(before="pass")) == (["4.0", "4.0"], "", 0)


def test_a_daemon_that_closes_all_descriptors(tmp_path):
    """It can't hand the array on, says so, and does not close what is nowadays under the number."""
    out, err, code = run_script(tmp_path, DAEMON.format(before="close_all(writer)"))
    assert out[0] == "Unreachable:"
    assert "descriptor was closed" in " ".join(out)
    assert (err, code) == ("", 0)


def test_a_number_that_is_another_file_is_not_closed():
    x = ac.share(np.zeros(SIZE))
    fd = shared.find(x).known.segment.fd
    os.dup2(0, fd)  # as after a daemon has closed all that it had
    with ProcessPoolExecutor(1) as pool, pytest.raises(shared.Unreachable, match="descriptor was closed"):
        pool.submit(put, x).result(timeout=60)
    del x
    collect()
    assert os.path.samestat(os.fstat(fd), os.fstat(0))
    os.close(fd)


def test_no_descriptors_for_shared_arrays():
    """What can't be received is that future's error, and what had come along is closed again."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ProcessPoolExecutor(1) as pool:
        pool.submit(make_many, 3).result(timeout=60)
        collect()
        before, taken = len(open_files()), []
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, limits[0]), limits[1]))
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(6):
                os.close(taken.pop())
            with pytest.raises(OSError, match=r"mapped here|Too many"):
                pool.submit(make_many, 10).result(timeout=60)
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        collect()
        assert len(open_files()) <= before
        assert len(pool.submit(make_many, 10).result(timeout=60)) == 10


@pytest.mark.extended
def test_nothing_grows(pool):
    """Descriptors, mappings and names of this process and of a worker, after hundreds of arrays that went and came."""
    for i in range(450):
        if i == 50:
            before, there = open_now(), pool.submit(open_now).result(timeout=60)
        x = ac.share(np.full(100, i))
        assert pool.submit(total, as_strided(x, (50,), (16,))).result(timeout=60) == 50 * i
        made = pool.submit(make_shared, i, 100).result(timeout=60)
        assert pool.submit(total, made).result(timeout=60) == 100 * i
        assert pool.submit(echo, x).result(timeout=60)[3] == i
    del x, made
    collect()
    assert all(now <= then + 3 for now, then in zip(open_now(), before, strict=True)), (before, open_now())
    after = pool.submit(open_now).result(timeout=60)
    assert all(now <= then + 3 for now, then in zip(after, there, strict=True)), (there, after)


def open_now():
    gc.collect()
    maps = [
        line for line in Path("/proc/self/maps").read_text().splitlines() if "allcores" in line and ".so" not in line
    ]
    return len(os.listdir("/proc/self/fd")), len(maps), len(memory_files()), len(shared_names())
