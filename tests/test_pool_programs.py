"""The pool in whole programs: those that fork, that come without a file, whose group is sent signals.

The table in docs/process-pool.md says the same in words.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import threading
import time
import traceback
import warnings

import numpy as np
import pytest
from helpers import everyday
from pool_helpers import METHODS, Script, echo, memory_files, nothing, run_script, wait_for

import allcores as ac
from allcores.futures import ProcessPoolExecutor

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")

LARGE = np.arange(1 << 17)


def fork(child):
    """Run a function in a forked child, and return what goes wrong there."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(ours)
        try:
            signal.alarm(60)
            child()
        except BaseException:
            os.write(theirs, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        words = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), words


# ---- programs that fork


@pytest.mark.parametrize(("method", "names"), [*((method, "memfd") for method in METHODS), ("forkserver", "named")])
def test_pools_in_forked_children(tmp_path, method, names):
    """As servers do that fork: the program has used a pool, and goes on using it; each child makes one of its own."""
    code = f"""
        import multiprocessing
        context = multiprocessing.get_context("{method}")

        def serve():
            with ProcessPoolExecutor(1, context) as mine:
                assert mine.submit(echo, ones).result(timeout=30).sum() == 200_000

        ones = np.ones(200_000)
        with ProcessPoolExecutor(1, context) as pool:
            result = pool.submit(echo, ones).result()
            running = pool.submit(slow_pid, 0.5)
            child = os.fork()
            if child == 0:
                with ProcessPoolExecutor(1, context) as mine:
                    serve()
                sys.exit()  # to its end, with all that is done at exit
            other = multiprocessing.get_context("fork").Process(target=serve)
            other.start()
            other.join()
            print(os.waitpid(child, 0)[1], other.exitcode, running.result() in pool._processes)
            print(pool.submit(echo, ones).result().sum())
    """
    out, err, status = run_script(tmp_path, code, env={"ALLCORES_SEGMENTS": names, "PYTHONWARNINGS": "ignore"})
    assert (out, err, status) == (["0", "0", "True", "200000.0"], "", 0)


def test_the_parents_pool_in_a_forked_child():
    """An error at once, from all that would wait for ever; the parent's pool is none the worse."""
    called = []
    with ProcessPoolExecutor(2) as pool:
        done = pool.submit(echo, LARGE)
        array = done.result()
        go = ac.shared_empty(1)
        running = [pool.submit(pid_later, go) for _ in range(2)]
        queued = pool.submit(echo, LARGE)
        last = [pool.submit(nothing) for _ in range(20)][-1]
        assert last.cancel()
        queued.add_done_callback(lambda _: called.append(os.getpid()))

        def child():
            for use in (
                lambda: pool.submit(nothing),
                lambda: pool.map(nothing, []),
                lambda: list(pool.map(echo, [1])),
                lambda: ac.map_blocks(np.negative, LARGE, executor=pool),
                running[0].result,
                queued.result,
            ):
                with contextlib.suppress(StopIteration), pytest.raises(RuntimeError, match="make a pool of its own"):
                    next(iter(use() or iter(())))
            assert isinstance(queued.exception(), RuntimeError)
            assert last.cancelled()
            assert (done.result() == LARGE).all()
            assert (array == LARGE).all()
            with pytest.raises(KeyboardInterrupt), pool:
                raise KeyboardInterrupt
            pool.shutdown()
            assert called == []
            assert len(memory_files()) <= 3  # that of `go`; before Python 3.13 mappings keep theirs
            assert multiprocessing.active_children() == []

        # Whatever other threads hold at this moment.
        try:
            with pool._shutdown_lock, queued._condition:
                assert fork(child) == (0, "")
        finally:
            go[0] = 1
        assert {future.result() for future in running} == set(pool._processes)
        assert (queued.result() == LARGE).all()
        assert wait_for(lambda: called == [os.getpid()])


def pid_later(go):
    while not go[0]:
        time.sleep(0.01)
    return os.getpid()


class Unpickled:
    """Arrives when the test likes; the pool's thread waits."""

    begun, go = threading.Event(), threading.Event()

    def __reduce__(self):
        return unpickle, ()


def unpickle():
    Unpickled.begun.set()
    assert Unpickled.go.wait(60)


class Refused:
    told = threading.Event()

    def __reduce__(self):
        assert Refused.told.wait(60)
        raise TypeError("no pickle")


def not_yet(*_):
    Unpickled.begun.set()
    assert Unpickled.go.wait(60)


@pytest.mark.parametrize("when", ["a result is unpickled", "the pool has broken", "pickling has failed"])
def test_a_fork_while_futures_end(when):
    """Those that the pool's thread has in hand, and is not done with, end in the child too."""
    Unpickled.begun.clear()
    Unpickled.go.clear()
    with ProcessPoolExecutor(1) as pool:
        pool.submit(nothing).result()
        if "unpickled" in when:
            futures = [pool.submit(Unpickled), pool.submit(nothing)]
        elif "broken" in when:
            futures = [pool.submit(time.sleep, 60) for _ in range(3)]
            futures[0].add_done_callback(not_yet)
            os.kill(next(iter(pool._processes)), signal.SIGKILL)
        else:
            Refused.told.clear()
            futures = [pool.submit(echo, Refused()), pool.submit(time.sleep, 0.1)]
            futures[0].add_done_callback(not_yet)
            Refused.told.set()
        assert Unpickled.begun.wait(30)

        def child():
            for future in futures:
                assert isinstance(future.exception(timeout=10), (RuntimeError, TypeError))

        try:
            assert fork(child) == (0, "")
        finally:
            Unpickled.go.set()
        if "unpickled" in when:
            assert [future.result(timeout=30) for future in futures] == [None, None]


def test_a_pool_that_was_not_used_in_a_forked_child():
    """It is the parent's all the same: two children would share one queue of calls."""
    with ProcessPoolExecutor(1) as pool:

        def child():
            with pytest.raises(RuntimeError, match="make a pool of its own"):
                pool.submit(nothing)

        assert fork(child) == (0, "")
        assert pool.submit(echo, 3).result() == 3


def test_a_fork_while_locks_are_held():
    """Of multiprocessing's resource tracker and fork server, by other threads of the parent."""
    from multiprocessing import forkserver, resource_tracker

    def child():
        with ProcessPoolExecutor(1) as mine:
            assert mine.submit(echo, 3).result(timeout=30) == 3

    locks = (resource_tracker._resource_tracker._lock, forkserver._forkserver._lock)
    held, go = threading.Event(), threading.Event()

    def hold():
        with locks[0], locks[1]:
            held.set()
            go.wait(90)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert fork(child) == (0, "")
    finally:
        go.set()
        thread.join()


def test_processes_of_the_fork_server_can_be_terminated():
    """It takes no notice of a SIGTERM; what others start by it does, from its first moment."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(nothing).result()
    for _ in range(20):
        process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join(30)
        assert process.exitcode == -signal.SIGTERM


# ---- signals to the group


@pytest.mark.parametrize(
    ("method", "number"), [*((method, signal.SIGTERM) for method in METHODS), ("forkserver", signal.SIGHUP)]
)
def test_a_signal_to_the_group(tmp_path, method, number):
    """The program handles it, and gets all its results."""
    code = f"""
        import multiprocessing
        got = []
        with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
            pool.submit(nothing).result()
            signal.signal({number}, lambda *_: got.append("got"))
            futures = [pool.submit(slow_pid, 0.2) for _ in range(8)]
            print("ready", flush=True)
            while not got:
                time.sleep(0.01)
            print(sum(future.result() > 0 for future in futures), *got, pool.submit(echo, 5).result())
    """
    with Script(tmp_path, code) as script:
        assert script.line() == "ready"
        time.sleep(0.1)
        os.killpg(script.process.pid, number)
        assert script.finish() == (["8", "got", "5"], "", 0)
        assert script.gone()


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_signals_to_the_group_while_workers_start(tmp_path, method):
    """And the fork server, and the resource tracker: at any moment, the first ones included."""
    code = f"""
        import multiprocessing, threading
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        done = threading.Event()
        def send():
            while not done.wait(0.003):
                os.killpg(0, signal.SIGTERM)
                done.wait(0.003)
                os.killpg(0, signal.SIGHUP)
        thread = threading.Thread(target=send)
        thread.start()
        with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
            print(*[future.result() for future in [pool.submit(echo, number) for number in range(6)]])
        done.set()
        thread.join()
    """
    with Script(tmp_path, code) as script:
        assert script.finish() == (["0", "1", "2", "3", "4", "5"], "", 0)
        assert script.gone()


# ---- programs without a file

MAPS = """
    with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
        print(*pool.map(plus, [1, 2]), flush=True)
        {then}
        print(*pool.map(plus, [3, 4]))
"""
DEFINES = """
import multiprocessing
from pathlib import Path

class Number:
    def __init__(self, value):
        self.value = value

def plus(x):
    return Number(x + 5).value

if __name__ == "__main__":
"""


@pytest.mark.parametrize(
    ("command", "then", "method"),
    [
        ("{python} - < {path}", "", "forkserver"),
        ("{python} - < {path}", "", "spawn"),
        ("cat {path} | {python}", "", "forkserver"),
        ("cat {path} | {python} /dev/stdin", "", "forkserver"),
        ("{python} /dev/stdin < {path}", "", "forkserver"),
        ("{python} <(cat {path})", "", "spawn"),
        ('{python} -c "$(cat {path})"', "", "forkserver"),
        ("{python} {path}", "Path(__file__).unlink()", "spawn"),
    ],
)
def test_a_program_without_a_file(tmp_path, command, then, method):
    pytest.importorskip("cloudpickle")
    code = DEFINES + MAPS.format(method=method, then=then)
    assert run_script(tmp_path, code, guard=False, command=command) == (["6", "7", "8", "9"], "", 0)


def test_a_script_that_is_deleted_before_there_is_a_worker(tmp_path):
    pytest.importorskip("cloudpickle")
    code = DEFINES + "    Path(__file__).unlink()\n" + MAPS.format(method="forkserver", then="")
    assert run_script(tmp_path, code, guard=False) == (["6", "7", "8", "9"], "", 0)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_that_is_deleted_while_workers_start(tmp_path, method):
    """Tasks that go by name find what they name, though a worker comes to the script too late."""
    code = f"""
    with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
        found = pool.map(plus, [1, 2, 3, 4])
        Path(__file__).unlink()
        print(*found)
    """
    assert run_script(tmp_path, DEFINES + code, guard=False) == (["6", "7", "8", "9"], "", 0)


def test_workers_that_come_after_the_script_is_deleted(tmp_path):
    pytest.importorskip("cloudpickle")
    code = """
    with ProcessPoolExecutor(1, max_tasks_per_child=1) as pool:
        print(pool.submit(plus, 1).result())
        Path(__file__).unlink()
        print(*pool.map(plus, [2, 3, 4]))
    """
    assert run_script(tmp_path, DEFINES + code, guard=False) == (["6", "7", "8", "9"], "", 0)


COUNTS = """
import multiprocessing
from pathlib import Path

given, kept, many = 0, [], {}

def init(value):
    global given, made
    given = made = value
    many["key"] = value

def use():
    kept.append(1)
    return given, made, many.get("key"), len(kept)

def used(pool, function=None):
    return [pool.submit(function or use).result() for _ in range(3)]

if __name__ == "__main__":
"""


@pytest.mark.parametrize("command", ["{python} - < {path}", '{python} -c "$(cat {path})"', "{python} {path}"])
@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_globals_live_as_long_as_their_worker(tmp_path, method, command):
    """What the initializer has set, names that the parent does not have, and what tasks collect.

    Until the parent has another value, where it is the parent's script that sends values.
    """
    pytest.importorskip("cloudpickle")
    code = (
        COUNTS
        + f"""
    with ProcessPoolExecutor(1, multiprocessing.get_context("{method}"), init, (7,)) as pool:
        first = used(pool)
        assert [each[:3] for each in first] == [(7, 7, 7)] * 3, first
        assert [each[3] for each in first] == [1, 2, 3], first
        given = 8
        print(*used(pool, lambda: (given, made))[0])
        def use():
            return "anew", given
        print(*used(pool, lambda: use())[2])
    """
    )
    given = "7" if command == "{python} {path}" else "8"
    assert run_script(tmp_path, code, guard=False, command=command) == ([given, "7", "anew", given], "", 0)


CHANGES = """
import functools, multiprocessing, random

missing, log, numbers, large = object(), [], random.Random(0), np.zeros(50_000)

class State:
    value = 0

state = State()

def plus(x):
    return x + plus.more

plus.more = 1

def counter():
    count = [0]
    def value():
        return count[0]
    def put(number):
        count[0] = number
    return value, put

value, put = counter()

def remembers(x, known={}):
    return known.setdefault(x, len(known))

def init():
    state.connection = lambda: 5

def same(x, default=missing):
    return x is missing and default is missing and remembers_missing() is missing

def remembers_missing(it=missing):
    return it

def look():
    log.append(value())
    return plus(1), value(), remembers(len(log)), state.connection(), state.value, numbers.random(), len(log)

def itself(function):
    return function is look and look.__globals__ is plus.__globals__

if __name__ == "__main__":
    result = lambda function, *args: pool.submit(function, *args).result()
"""


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_globals_that_are_changed_in_place(tmp_path, method):
    """By the parent: they are new. By the worker: they stay. By nobody: they are what else comes with a task."""
    pytest.importorskip("cloudpickle")
    code = (
        CHANGES
        + f"""
    with ProcessPoolExecutor(1, multiprocessing.get_context("{method}"), init) as pool:
        for _ in range(3):
            assert result(same, missing) and result(functools.partial(same, missing)) and result(itself, look)
            assert result(lambda x: x is missing, missing)
        first, second = result(look), result(look)
        draws = random.Random(0)
        assert first == (2, 0, 0, 5, 0, draws.random(), 1), first
        assert second == (2, 0, 1, 5, 0, draws.random(), 2), second
        plus.more = 2
        put(3)
        third = result(look)
        assert third == (3, 3, 2, 5, 0, draws.random(), 3), third
        state.value, state.connection = 7, lambda: 6
        fourth = result(look)
        assert fourth == (3, 3, 3, 6, 7, draws.random(), 4), fourth
        for _ in range(3):
            assert result(lambda: large.sum()) == 0
        assert pool.transfer_stats()["segments_abandoned"] == 0, pool.transfer_stats()
"""
    )
    assert run_script(tmp_path, code, guard=False, command="{python} - < {path}") == ([], "", 0)


@pytest.mark.parametrize("tasks", [None, 2])
def test_globals_of_a_script_that_is_deleted(tmp_path, tasks):
    """Workers that have imported it go on; others are initialized like them."""
    pytest.importorskip("cloudpickle")
    code = (
        COUNTS
        + f"""
    with ProcessPoolExecutor(1, None, init, (7,), max_tasks_per_child={tasks}) as pool:
        first = used(pool)
        Path(__file__).unlink()
        second = used(pool)
        assert {{each[:3] for each in first + second}} == {{(7, 7, 7)}}, (first, second)
        assert {tasks} or [each[3] for each in first + second] == list(range(1, 7)), (first, second)
    """
    )
    assert run_script(tmp_path, code, guard=False) == ([], "", 0)


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_exceptions_of_the_script_on_a_standard_pool(tmp_path, method):
    """They are of the script's own class, as on the pool of allcores."""
    code = f"""
import concurrent.futures, multiprocessing

class Own(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two

def fails(block):
    raise Own("one", "two")

if __name__ == "__main__":
    for kind in (concurrent.futures.ProcessPoolExecutor, ProcessPoolExecutor):
        with kind(1, multiprocessing.get_context("{method}")) as pool:
            try:
                ac.map_blocks(fails, np.ones(4), executor=pool)
            except Own as error:
                print(error, error.two)
"""
    assert run_script(tmp_path, code, guard=False) == (["one", "two"] * 2, "", 0)


# ---- workers that do not start


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("raise OSError('not today')", r"OSError: not today.*can't be imported in worker process \d+"),
        ("sys.exit(7)", r"SystemExit: 7.*can't be imported in worker process \d+"),
        ("multiprocessing.get_context('spawn').Process().start()", r"RuntimeError.*bootstrapping phase.*can't be"),
        ("os._exit(7)", r"exited with code 7 while it started: see what it wrote to stderr"),
    ],
)
def test_the_script_fails_in_a_worker(tmp_path, method, statement, words):
    code = f"""
import multiprocessing
if __name__ != "__main__":
    {statement}
if __name__ == "__main__":
    with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
        print(pool.submit(nothing).result())
"""
    out, err, status = run_script(tmp_path, code, guard=False)
    assert (out, status) == ([], 1)
    assert re.search(words, err, re.DOTALL)
    assert "BrokenProcessPool: " in err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a /dev/shm of its own")
@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_dev_shm_is_read_only(tmp_path, method):
    code = f"""
        import multiprocessing
        with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
            print(pool.submit(echo, ac.share(np.ones(200_000))).result().sum(), pool.transfer_stats()["fallbacks"])
    """
    mount = "mount -t tmpfs -o ro tmpfs /dev/shm"
    if subprocess.run(["unshare", "--mount", "bash", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace here")
    command = f"exec unshare --mount bash -c '{mount} && exec {{python}} {{path}}'"
    assert run_script(tmp_path, code, command=command) == (["200000.0", "0"], "", 0)
