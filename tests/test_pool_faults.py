"""What users do to a pool. For each fault: what the future gets, whether the pool goes on, and that nothing is left.

The table in docs/process-pool.md says the same in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import gc
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import wait
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
from helpers import everyday
from pool_helpers import (
    METHODS,
    ODD,
    Awkward,
    Fails,
    Frozen,
    Script,
    Wordless,
    alive,
    become_nobody,
    cause_of,
    check_odd,
    echo,
    first_and_last,
    hang_up,
    kill_self,
    leave,
    left_names,
    length_later,
    make_fails,
    memory_files,
    nothing,
    open_files,
    overwrite,
    path_of_programs,
    raise_odd,
    raises,
    run_script,
    segfault,
    set_one,
    shared_names,
    slow_pid,
    wait_for,
)

import allcores as ac
from allcores.futures import BrokenProcessPool, ProcessPoolExecutor, calls, channel, segments
from allcores.futures.manager import Manager, Wakeup

LARGE = np.arange(1 << 17)


@pytest.fixture(scope="module")
def server_stderr(tmp_path_factory):
    """A file to which the stderr of the fork server goes, and so that of its workers. (Other workers have pytest's.)"""
    forkserver._forkserver._stop()
    yield tmp_path_factory.mktemp("server") / "stderr"
    forkserver._forkserver._stop()


@pytest.fixture(autouse=True)
def stderr(server_stderr):
    """No descriptor, no segment, no name, no thread may be left, and nothing on the workers' stderr: in this file.

    The fork server stays, and so does the resource tracker.
    """
    path = server_stderr
    ours, theirs = os.dup(2), os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_TRUNC)
    os.dup2(theirs, 2)
    try:
        with ProcessPoolExecutor(1) as first:
            first.submit(nothing).result()
    finally:
        os.dup2(ours, 2)
        os.close(ours)
        os.close(theirs)
    gc.collect()
    before, names, threads = len(open_files()), shared_names(), threading.active_count()
    files = len(memory_files())
    yield path
    # pytest.raises and the tests themselves make cycles.
    assert wait_for(lambda: gc.collect() >= 0 and len(open_files()) <= before), "\n".join(sorted(open_files()))
    assert len(memory_files()) <= files
    assert not left_names(names)
    assert wait_for(lambda: threading.active_count() <= threads)
    assert path.read_text() == ""


@pytest.fixture
def pool():
    with ProcessPoolExecutor(2) as pool:
        pids = set(pool.map(slow_pid, [0.05] * 4))
        yield pool
    assert not any(alive(pid) for pid in pids)


def fine(pool):
    return pool.submit(first_and_last, LARGE).result() == (0, len(LARGE) - 1)


def broken(pool, future, words):
    with pytest.raises(BrokenProcessPool, match=words):
        future.result(timeout=30)
    with pytest.raises(BrokenProcessPool, match=words):
        pool.submit(nothing)


# ---- a worker dies


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (segfault, "killed by SIGSEGV"),
        (kill_self, "killed by SIGKILL"),
        (hang_up, "exited with code 0 in the middle"),
    ],
)
def test_a_worker_dies(method, fault, words):
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        assert fine(pool)
        others = [pool.submit(first_and_last, LARGE) for _ in range(3)]
        future = pool.submit(fault)
        broken(pool, future, words)
        wait(others)


def test_sys_exit_is_an_exception(pool):
    """As in the standard library."""
    with pytest.raises(SystemExit):
        pool.submit(leave, 3).result()
    assert fine(pool)


@pytest.mark.parametrize("tasks", [1, 2, 5, 13])
def test_workers_kill_each_other(tasks):
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(slow_pid, [0.05] * 8))
        with pytest.raises(BrokenProcessPool, match="SIGKILL"):
            list(pool.map(kill_the_others, [list(pool._processes)] * tasks))


def kill_the_others(pids):
    for pid in pids:
        if pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("size", [1 << 16, 10 << 16, 10 << 20])
def test_death_while_the_pipe_is_full(pool, size):
    """Tasks of ten times what the pipe holds, pickled in it."""
    futures = [pool.submit(kill_self_with, "a" * size) for _ in range(10)]
    for future in futures:
        with pytest.raises(BrokenProcessPool):
            future.result(timeout=30)


def kill_self_with(data):
    kill_self()


def test_death_in_the_middle_of_an_answer(pool):
    """Nobody waits for the rest of a result."""
    future = pool.submit(answer_and_die)
    broken(pool, future, "SIGKILL")


def answer_and_die():
    pid = os.getpid()
    threading.Timer(0.05, os.kill, (pid, signal.SIGKILL)).start()
    return ["a" * (1 << 20)] * 2000 + list(range(20_000_000))


def test_idle_worker_dies(pool):
    victim = next(iter(pool._processes))
    os.kill(victim, signal.SIGKILL)
    assert wait_for(lambda: pool._broken)
    with pytest.raises(BrokenProcessPool, match=f"{victim} was killed by SIGKILL"):
        pool.submit(nothing)


def test_memory_error(pool):
    """No address space: the function's, and that of the arguments."""
    with ProcessPoolExecutor(1) as limited:
        limited.submit(limit_memory, 1 << 30).result()
        with pytest.raises(MemoryError):
            limited.submit(np.ones, 1 << 28).result()
        with pytest.raises(MemoryError):
            limited.submit(first_and_last, np.zeros(1 << 28)).result()
        assert fine(limited)
    assert fine(pool)


def limit_memory(more):
    import resource

    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_death_while_a_child_of_the_worker_lives(method):
    """It has inherited what was open, also the pipe by which multiprocessing notices a death."""
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        child = ac.shared_empty(1, int)
        broken(pool, pool.submit(fork_and_die, child), "SIGKILL")
        assert alive(child[0])
    os.kill(child[0], signal.SIGKILL)


def fork_and_die(child):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    child[0] = pid
    threading.Timer(0.1, kill_self).start()
    return ["a" * (1 << 20)] * 2000 + list(range(20_000_000))  # in the middle of the answer


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_what_a_task_starts_can_be_terminated(method):
    """Though the worker takes no notice of a SIGTERM."""
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        assert pool.submit(terminate_a_program_and_a_child).result(timeout=30) == (-15, -15, "SIGTERM")
        assert fine(pool)


def terminate_a_program_and_a_child():
    import subprocess

    program = subprocess.Popen(["sleep", "60"])
    program.terminate()
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.kill(os.getpid(), signal.SIGTERM)
    return program.wait(), status, "SIGTERM"


# ---- more tasks than a pipe holds messages

MANY = 17_000


def test_a_wakeup_never_waits():
    wakeup = Wakeup()
    for _ in range(2):
        for _ in range(MANY):
            wakeup.wakeup()
        assert multiprocessing.connection.wait([wakeup.reader], 0)
        while multiprocessing.connection.wait([wakeup.reader], 0):
            wakeup.clear()
        wakeup.clear()
    wakeup.close()
    wakeup.wakeup()


def test_thousands_of_tasks_from_one_callback(pool):
    """The callback runs in the thread that is to be woken."""
    futures, done = [], threading.Event()

    def burst(_):
        futures.extend(pool.submit(nothing) for _ in range(MANY))
        done.set()

    pool.submit(nothing).add_done_callback(burst)
    try:
        assert done.wait(60)
    finally:
        for future in futures:
            future.cancel()
    assert fine(pool)


class Held:
    """A number of seconds. Pickling it takes as long as the test likes: the manager thread is busy for so long."""

    begun, go = threading.Event(), threading.Event()

    def __init__(self, seconds):
        self.seconds = seconds

    def __reduce__(self):
        self.begun.set()
        assert self.go.wait(60)
        return float, (self.seconds,)


@pytest.mark.parametrize("meanwhile", ["a callback submits", "a worker dies", "a worker is replaced"])
def test_thousands_of_tasks_while_the_manager_is_busy(meanwhile):
    Held.begun.clear()
    Held.go.clear()
    most = 2 if "replaced" in meanwhile else None
    futures, more = [], []
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver"), max_tasks_per_child=most) as pool:
        pids = [future.result() for future in [pool.submit(slow_pid, 0.1) for _ in range(2)]]
        first = pool.submit(slow_pid, 0.1)
        if "callback" in meanwhile:
            first.add_done_callback(lambda _: more.append(pool.submit(nothing)))
        # The other worker must not be done with it before the manager thread notices a death.
        held = pool.submit(slow_pid, Held(30 if "dies" in meanwhile else 0))
        assert Held.begun.wait(30)
        if "dies" in meanwhile:
            os.kill(pids[0], signal.SIGKILL)
        thread = threading.Thread(target=lambda: futures.extend(pool.submit(nothing) for _ in range(MANY)))
        thread.start()
        try:
            thread.join(60)
            assert len(futures) == MANY
        finally:
            Held.go.set()
            thread.join()
            for future in futures:
                future.cancel()
        if "dies" in meanwhile:
            broken(pool, held, "SIGKILL")
            wait([first, *futures])
        else:
            assert held.result(timeout=30) not in [None, os.getpid()]
            assert first.result(timeout=30) in pids
            assert wait_for(lambda: len(more) == ("callback" in meanwhile))
            assert [future.result(timeout=30) for future in more] == [None] * len(more)
            assert fine(pool)


# ---- pickling


def test_pickling_the_arguments_fails(pool):
    tasks = pool.transfer_stats()["tasks"]
    with pytest.raises(ValueError, match="no pickle"):
        pool.submit(echo, Fails("pickle", raises, ValueError, "no pickle")).result()
    with pytest.raises(pickle.PicklingError, match="SystemExit while pickling the arguments"):
        pool.submit(echo, Fails("pickle", leave)).result()
    with pytest.raises(TypeError):
        pool.submit(echo, threading.Lock()).result()
    assert pool.transfer_stats()["tasks"] == tasks
    assert fine(pool)


def test_unpickling_the_arguments_fails(pool):
    for _ in range(3):
        with pytest.raises(ValueError, match="no unpickle"):
            pool.submit(echo, Fails("unpickle", raises, ValueError, "no unpickle")).result()
        with pytest.raises(SystemExit):
            pool.submit(echo, Fails("unpickle", leave)).result()
        with pytest.raises(ValueError, match="no unpickle"):
            pool.submit(echo, (LARGE, Fails("unpickle", raises, ValueError, "no unpickle"))).result()
    assert fine(pool)
    broken(pool, pool.submit(echo, Fails("unpickle", segfault)), "SIGSEGV")


def test_pickling_the_result_fails(pool):
    for _ in range(3):
        with pytest.raises(ValueError, match="no pickle"):
            pool.submit(make_fails, "pickle", raises, ValueError, "no pickle").result()
        with pytest.raises(SystemExit):
            pool.submit(make_fails, "pickle", leave).result()
        with pytest.raises(TypeError):
            pool.submit(threading.Lock).result()
    assert fine(pool)
    broken(pool, pool.submit(make_fails, "pickle", segfault), "SIGSEGV")


def test_unpickling_the_result_fails(pool):
    bad = [pool.submit(make_fails, "unpickle", raises, ValueError, f"bad {i}") for i in range(100)]
    good = [pool.submit(echo, LARGE + i) for i in range(100)]
    for i, future in enumerate(bad):
        with pytest.raises(ValueError, match=f"bad {i}$"):
            future.result()
    for i, future in enumerate(good):
        assert future.result()[0] == i
    with pytest.raises(pickle.PicklingError, match="SystemExit while unpickling the result"):
        pool.submit(make_fails, "unpickle", leave).result()


def test_exceptions_that_are_hard_to_send(pool):
    """Each arrives as one of its class, and says where it was raised; a worker goes on, and so does the pool."""
    for name in ODD:
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            pool.submit(raise_odd, name).result(timeout=60)
        check_odd(name, caught.value)
        assert "raise_odd" in cause_of(caught.value) or name in ("wordless", "speechless", "closed")
        assert "the cause" in cause_of(caught.value) or not name.startswith("chained")
    assert pool.transfer_stats()["bytes_shared"] == LARGE.nbytes
    assert fine(pool)


def test_an_exception_of_a_class_that_can_not_be_sent(pool):
    """Without cloudpickle the first of its bases that can be."""
    with ProcessPoolExecutor(1) as plain:
        plain.submit(without_cloudpickle).result()
        with pytest.raises(Awkward) as caught:
            plain.submit(raise_local).result(timeout=60)
        assert caught.value.two == "two"
        assert "raise_local.<locals>.Local, which can't be pickled" in caught.value.__notes__[0]
        assert fine(plain)
    assert fine(pool)


def without_cloudpickle():
    from allcores.futures import pickling

    pickling.has_cloudpickle = lambda: False


def raise_local():
    class Local(Awkward):
        pass

    raise Local("one", "two")


def test_exceptions_of_arguments_and_results(pool):
    """Raised while something is pickled or unpickled, on either side."""
    for when in ("pickle", "unpickle"):
        with pytest.raises(Frozen):
            pool.submit(echo, Fails(when, raises, Frozen, 3)).result(timeout=60)
        with pytest.raises(Frozen):
            pool.submit(make_fails, when, raises, Frozen, 3).result(timeout=60)
        with pytest.raises(Wordless):
            pool.submit(echo, Fails(when, raises, Wordless)).result(timeout=60)
    assert fine(pool)


def test_the_traceback_of_the_worker(pool):
    with pytest.raises(ValueError, match="reason") as caught:
        pool.submit(raises, ValueError, "reason").result()
    assert "in raises" in str(caught.value.__cause__)


# ---- life cycle


def test_death_after_shutdown_without_waiting():
    pool = ProcessPoolExecutor(2)
    future = pool.submit(kill_self_later)
    others = [pool.submit(slow_pid) for _ in range(5)]
    pool.shutdown(wait=False)
    with pytest.raises(BrokenProcessPool, match="SIGKILL"):
        future.result(timeout=30)
    wait(others)


def kill_self_later():
    time.sleep(0.2)
    kill_self()


def test_shutdown_without_waiting_finishes():
    pool = ProcessPoolExecutor(2)
    futures = [pool.submit(echo, LARGE + i) for i in range(10)]
    pool.shutdown(wait=False)
    assert [future.result()[0] for future in futures] == list(range(10))
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(nothing)


def test_shutdown_that_cancels(tmp_path):
    """In a program of its own, which ends where this does not."""
    code = """
        pool = ProcessPoolExecutor(1)
        futures = [pool.submit(slow_pid, 0.1) for _ in range(20)]
        futures.append(pool.submit(echo, Fails("pickle", raises)))
        pool.shutdown(cancel_futures=True)
        print(sum(future.cancelled() for future in futures) >= 15, all(future.done() for future in futures))
    """
    assert run_script(tmp_path, code, timeout=30) == (["True", "True"], "", 0)


def test_collected_with_pending_work():
    pool = ProcessPoolExecutor(2)
    futures = [pool.submit(echo, LARGE + i) for i in range(10)]
    del pool
    assert [future.result()[0] for future in futures] == list(range(10))


def test_collected_while_its_lock_is_held():
    """By the collector, which runs in any thread at any time."""
    pool = ProcessPoolExecutor(1)
    assert fine(pool)
    held = [pool]
    del pool

    def drop():
        with held[0]._shutdown_lock:
            held.clear()

    thread = threading.Thread(target=drop, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_worker_can_not_be_started(pool, monkeypatch):
    """One is there: it does the work. None is there: `submit` says so, and what it was given will not be done."""
    with ProcessPoolExecutor(2) as small:
        small.submit(nothing).result()
        with monkeypatch.context() as patch:
            patch.setattr(small, "_spawn_process", lambda: os.open("/nowhere", os.O_RDONLY))
            assert [future.result() for future in [small.submit(echo, i) for i in range(20)]] == list(range(20))
            assert len(small._processes) == 1
    x = ac.shared_empty(1)
    with ProcessPoolExecutor(1) as none:
        with monkeypatch.context() as patch:
            patch.setattr(none._mp_context, "Process", lambda **_: os.open("/nowhere", os.O_RDONLY), raising=False)
            for _ in range(2):
                with pytest.raises(FileNotFoundError):
                    none.submit(overwrite, x)
        assert none.submit(nothing).result() is None
    assert x[0] == 0
    with ProcessPoolExecutor(1, initializer=echo, initargs=(threading.Lock(),)) as none:
        for _ in range(2):
            with pytest.raises(TypeError, match="pickle"):
                none.submit(nothing)


@pytest.mark.parametrize("method", ["add_call_item_to_queue", "process_result_item", "wait_result_broken_or_wakeup"])
def test_the_manager_fails(method, monkeypatch):
    """With what nobody expects: futures say so, and so does the pool."""

    def fails(*_):
        raise ZeroDivisionError("nobody expects it")

    others = set(multiprocessing.active_children())
    try:
        with ProcessPoolExecutor(1) as pool:
            assert pool.submit(echo, 1).result() == 1
            monkeypatch.setattr(Manager, method, fails)
            futures = [pool.submit(slow_pid, 0.01)]
            with contextlib.suppress(BrokenProcessPool):  # it may have failed by now
                futures += [pool.submit(slow_pid, 0.01) for _ in range(2)]
            for future in futures:
                with pytest.raises(BrokenProcessPool, match="its manager failed") as caught:
                    future.result(timeout=15)
                assert "ZeroDivisionError: nobody expects it" in str(caught.value.__cause__)
            with pytest.raises(BrokenProcessPool):
                pool.submit(nothing)
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()  # or pytest would wait for it


def test_a_cancelled_task_is_not_run():
    gate, marks = ac.shared_empty(1), ac.shared_empty(8)
    gate[0], marks[...] = 0, 0
    with ProcessPoolExecutor(1) as pool:
        first = pool.submit(length_later, marks, gate)
        others = [pool.submit(set_one, marks, i) for i in range(8)]
        cancelled = [future.cancel() for future in others]
        gate[0] = 1
        assert first.result(timeout=30) == 8
        wait(others, timeout=30)
        assert pool.submit(nothing).result(timeout=30) is None
    assert sum(cancelled) > 3
    assert [mark == 0 for mark in marks] == cancelled


def test_arguments_are_let_go_of_once_they_are_sent(pool):
    gate, x = ac.shared_empty(1), LARGE + 1
    gate[0], held = 0, weakref.ref(x)
    future = pool.submit(length_later, x, gate)
    del x
    try:
        assert wait_for(lambda: gc.collect() >= 0 and held() is None)
        assert not future.done()
    finally:
        gate[0] = 1
    assert future.result(timeout=30) == len(LARGE)


def test_a_pool_is_not_sent_or_copied(pool):
    for make in (pickle.dumps, copy.copy, copy.deepcopy, lambda pool: pool.submit(echo, pool).result()):
        with pytest.raises(TypeError, match="can't be copied or sent"):
            make(pool)
    assert fine(pool)


def test_the_initializer_fails(stderr):
    with ProcessPoolExecutor(2, initializer=raises, initargs=(ValueError, "not today")) as pool:
        with pytest.raises(BrokenProcessPool, match="initializer failed") as caught:
            pool.submit(nothing).result()
        assert "not today" in str(caught.value.__cause__)
    assert "Exception in initializer" in stderr.read_text()  # logged, as by the standard library
    stderr.write_text("")


def test_nested_three_deep(pool):
    assert pool.submit(nested, 3, LARGE).result() == 3 * LARGE.sum()


def nested(depth, array):
    if depth == 0:
        return 0
    with ProcessPoolExecutor(1) as pool:
        return int(array.sum()) + pool.submit(nested, depth - 1, array).result()


def test_ten_threads_map_submit_and_cancel(pool):
    errors = []

    def work(i):
        try:
            for j in range(5):
                assert list(pool.map(echo, range(20), chunksize=1 + i % 3)) == list(range(20))
                futures = [pool.submit(echo, LARGE + k) for k in range(4)]
                futures[3].cancel()
                futures[j % 3].cancel()
                for k, future in enumerate(futures):
                    assert future.cancelled() or future.result()[0] == k
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert fine(pool)


def test_callbacks_that_submit(pool):
    more = []
    done = threading.Event()

    def again(future):
        more.append(pool.submit(echo, len(more)))
        more[-1].add_done_callback(again if len(more) < 5 else lambda _: done.set())

    pool.submit(nothing).add_done_callback(again)
    assert done.wait(30)
    assert [future.result() for future in more] == list(range(5))


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_callbacks_that_raise(kind, pool, caplog):
    """It is logged; other callbacks are called, and all results arrive."""
    called, go = threading.Semaphore(0), ac.shared_empty(1)

    def fails(future):
        raise kind("from a callback")

    go[0] = 0
    futures = [pool.submit(wait_until, go)] + [pool.submit(echo, number) for number in range(20)]
    for callback in (fails, lambda _: called.release(), fails, lambda _: called.release()):
        futures[0].add_done_callback(callback)
    go[0] = 1
    assert called.acquire(timeout=30)
    assert called.acquire(timeout=30)
    assert [future.result(timeout=30) for future in futures] == [None, *range(20)]
    assert wait_for(lambda: caplog.text.count("exception calling callback") == 2)
    caplog.clear()  # it refers to the frames
    assert fine(pool)


def wait_until(go):
    while not go[0]:
        time.sleep(0.001)


def test_callbacks_that_submit_to_a_broken_pool(pool):
    seen = []

    def again(future):
        try:
            pool.submit(nothing)
        except BrokenProcessPool as error:
            seen.append(error)

    future = pool.submit(kill_self)
    future.add_done_callback(again)
    with pytest.raises(BrokenProcessPool):
        future.result()
    assert wait_for(lambda: seen)


def test_max_tasks_per_child():
    with ProcessPoolExecutor(2, multiprocessing.get_context("forkserver"), max_tasks_per_child=2) as pool:
        results = list(pool.map(pid_and_array, [LARGE] * 12))
        assert len({pid for pid, _ in results}) >= 5
        assert all(array[5] == 5 for _, array in results)


def pid_and_array(array):
    return os.getpid(), array


def test_fork_in_the_parent_while_the_pool_is_busy(pool):
    futures = [pool.submit(echo, LARGE + i) for i in range(20)]
    for _ in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    assert [future.result()[0] for future in futures] == list(range(20))


def test_futures_of_the_parent_in_a_child():
    """Nobody does anything for them there, and they say so."""
    gate = ac.shared_empty(1)
    gate[0] = 0
    with ProcessPoolExecutor(1) as pool:
        futures = [pool.submit(length_later, LARGE, gate) for _ in range(5)]
        assert wait_for(futures[0].running)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                told = [future.exception(timeout=10) for future in futures]
                code = 0 if all("belong to process" in str(error) for error in told) else 2
            finally:
                os._exit(code)
        try:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            gate[0] = 1
        assert [future.result(timeout=30) for future in futures] == [len(LARGE)] * 5


def test_fork_while_there_are_results():
    """What a forked child holds is not used again for something else."""
    with ProcessPoolExecutor(1) as pool:
        result = pool.submit(echo, LARGE).result()
        ours, theirs = os.pipe()
        go, gone = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.read(go, 1)
            os.write(theirs, b"same" if (result == LARGE).all() else b"other")
            os._exit(0)
        del result
        for _ in range(5):
            pool.submit(echo, -LARGE).result()
        os.write(gone, b"!")
        assert os.read(ours, 10) == b"same"
        os.waitpid(child, 0)
        for fd in (ours, theirs, go, gone):
            os.close(fd)


def test_a_task_that_forks():
    """Nor is what a task's own child holds."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(nothing).result()
        pool.submit(fork, LARGE).result()
        for _ in range(5):
            pool.submit(first_and_last, -LARGE).result()
        assert pool.transfer_stats()["segments_abandoned"] == 1


def fork(array):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def test_subprocesses_of_workers(pool):
    assert pool.submit(run_true).result() == 0


def run_true():
    import subprocess

    return subprocess.run([sys.executable, "-c", ""], check=False).returncode


# ---- memory


@pytest.mark.extended
def test_more_than_2_gib(pool):
    big = np.zeros((1 << 28) + (1 << 20))
    big[-1] = 7
    assert pool.submit(first_and_last, big).result() == (0, 7)
    assert pool.transfer_stats()["fallbacks"] == 0


@pytest.mark.parametrize("free", [0, 1, 2, 3])
def test_no_descriptors_left_in_the_parent(pool, free):
    import resource

    pool.submit(echo, LARGE[:1]).result()
    if not free:
        assert fine(pool)
        pool.submit(echo, LARGE).result()
    segments.boot.cache_clear()  # as at the first array of a program
    segments._started_here.cache_clear()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, limits[0]), limits[1]))
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for _ in range(free):
            os.close(taken.pop())
        results = [pool.submit(echo, LARGE + i) for i in range(5)]
        results = [future.result() for future in results]
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, LARGE + i)


def test_no_descriptors_left_in_a_worker():
    with ProcessPoolExecutor(1) as pool:
        pool.submit(use_up_descriptors).result()
        with pytest.warns(RuntimeWarning, match="arrays are pickled"):
            np.testing.assert_array_equal(pool.submit(echo, LARGE).result(), LARGE)
        for i in range(2):
            np.testing.assert_array_equal(pool.submit(echo, LARGE + i).result(), LARGE + i)
        assert pool.transfer_stats()["fallbacks"] >= 3


def use_up_descriptors():
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    global taken
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return None


def test_many_results_do_not_take_all_descriptors(pool):
    small = np.arange(1 << 15)
    results = list(pool.map(echo, [small + i for i in range(600)]))
    assert len(memory_files()) < 300
    for i, result in enumerate(results):
        assert result[0] == i
        assert result[-1] == i + len(small) - 1
    del results, result


def test_a_refused_segment_is_pickled(pool):
    """A worker of another user may not look into this process."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(become_nobody).result()
        try:
            with pytest.warns(RuntimeWarning, match="arrays are pickled"):
                # More than have places.
                got = [future.result(timeout=20) for future in [pool.submit(first_and_last, LARGE) for _ in range(4)]]
        except TimeoutError:
            for process in list(pool._processes.values()):
                process.kill()  # or it would be waited for
            raise
        assert got == [(0, LARGE[-1])] * 4
        stats = pool.transfer_stats()
        assert (stats["fallbacks"], stats["bytes_shared"]) == (4, 0)
        assert stats["bytes_pickled"] >= 4 * LARGE.nbytes
        for i in range(2):
            np.testing.assert_array_equal(pool.submit(echo, LARGE + i).result(), LARGE + i)
        assert pool.submit(overwrite, LARGE).result() == (0, -1)
        assert pool.transfer_stats()["fallbacks"] >= 7
        with pytest.raises(PermissionError, match="shared"):
            pool.submit(overwrite, ac.shared_empty(3)).result()


if os.getuid() != 0:
    test_a_refused_segment_is_pickled = pytest.mark.skip(reason="only root can become another user")(
        test_a_refused_segment_is_pickled
    )


def test_no_shared_memory(pool, monkeypatch):
    """ENOSPC: pickled, a warning, once."""

    def no_space(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.warns(RuntimeWarning, match="no shared memory") as caught:
        results = [pool.submit(echo, LARGE + i).result() for i in range(3)]
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, LARGE + i)
    del results, result
    assert len(caught) == 1
    assert pool.transfer_stats()["fallbacks"] == 3
    with pytest.raises(OSError, match="No space"):
        ac.shared_empty(5)


def test_results_are_used_after_the_pool_is_gone():
    with ProcessPoolExecutor(1) as pool:
        results = [pool.submit(echo, LARGE + i).result() for i in range(5)]
    with ProcessPoolExecutor(1) as pool:
        future = pool.submit(kill_self)
        with pytest.raises(BrokenProcessPool):
            future.result()
    for i, result in enumerate(results):
        result += 1
        assert result[0] == i + 1
    del results, result


def test_an_argument_is_used_after_the_pool_is_gone():
    x = ac.share(LARGE)
    y = LARGE.copy()
    with ProcessPoolExecutor(1) as pool:
        pool.submit(overwrite, x).result()
        pool.submit(overwrite, y).result()
    assert (x == -1).all()
    assert (y == LARGE).all()
    del x


@pytest.mark.extended
def test_a_thousand_lives():
    """Descriptors, memory and threads of a thousand pools."""
    import resource

    for i in range(1000):
        pool = ProcessPoolExecutor(1)
        if i % 10 == 0:
            pool.submit(first_and_last, LARGE).result()
        pool.shutdown()
        if i == 100:
            files, memory = len(open_files()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(open_files()) <= files
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < memory + 20_000


# ---- whole programs


def test_exit_with_running_futures(tmp_path):
    code = """
        pool = ProcessPoolExecutor(2)
        futures = [pool.submit(slow_pid, 0.3) for _ in range(4)]
        futures[3].add_done_callback(lambda _: print("done", flush=True))
        print("main ends", flush=True)
    """
    assert run_script(tmp_path, code) == (["main", "ends", "done"], "", 0)


def test_submit_at_exit(tmp_path):
    code = """
        pool = ProcessPoolExecutor(2)
        @atexit.register
        def late():
            try:
                pool.submit(nothing)
            except RuntimeError as error:
                print(error)
        pool.submit(echo, np.ones(100000)).result()
    """
    out, err, code = run_script(tmp_path, code)
    assert " ".join(out).startswith("cannot schedule new futures after")
    assert (err, code) == ("", 0)


def test_results_and_shared_arrays_at_exit(tmp_path):
    code = """
        pool = ProcessPoolExecutor(2)
        result = pool.submit(echo, np.ones(100000)).result()
        shared = ac.share(result)
        class Late:
            def __del__(self, write=os.write):
                write(1, b"late")
        late = Late()
        late.result, late.shared, late.pool = result, shared, pool
    """
    assert run_script(tmp_path, code) == (["late"], "", 0)


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
@pytest.mark.parametrize("also", ["", "sibling", "sibling, no pidfd"])
def test_the_parent_is_killed(tmp_path, method, also):
    """Also where it has forked a child, which holds the pipes that it had open."""
    code = f"""
        import multiprocessing
        with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
            futures = [pool.submit(slow_pid, 60) for _ in range(4)]
            pool.submit(echo, np.ones(100000))
            time.sleep(0.5)
            child = os.fork() if "{also}" else None
            if child == 0:
                time.sleep(60)
                os._exit(0)
            print(child or "", *pool._processes, flush=True)
            time.sleep(60)
    """
    (tmp_path / "sitecustomize.py").write_text("import os\ndel os.pidfd_open\n" if "pidfd" in also else "")
    names = shared_names()
    with Script(tmp_path, code, env={"PYTHONPATH": path_of_programs(tmp_path)}) as script:
        *sibling, _, _ = pids = [int(word) for word in script.line().split()]
        assert len(pids) == 2 + bool(also)
        assert all(alive(pid) for pid in pids)
        script.process.kill()
        workers = set(pids) - set(sibling)
        # A second is what is promised, where the machine has nothing else to do.
        assert wait_for(lambda: not any(alive(pid) for pid in workers), 5)
        for pid in sibling:
            # The fork server ends, too. multiprocessing's resource tracker waits for the last of the family.
            assert wait_for(lambda: not [pid for pid in script.processes() if b"forkserver" in command(pid)])
            os.kill(pid, signal.SIGKILL)
        assert script.gone()
        assert script.process.stderr.read() == ""
    assert not left_names(names)


def command(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
@pytest.mark.parametrize("block", [True, False], ids=["with", "no with"])
def test_interrupt_of_the_group(tmp_path, method, block):
    """Ctrl-C in a terminal goes to the workers too."""
    make = f"""ProcessPoolExecutor(2, multiprocessing.get_context("{method}"))"""
    body = "for pid in pool.map(slow_pid, [0.3] + [60] * 20): print('ready', flush=True)"
    code = f"import multiprocessing\nwith {make} as pool:\n    {body}" if block else None
    code = code or f"import multiprocessing\npool = {make}\n{body}"
    with Script(tmp_path, code) as script:
        assert script.line() == "ready"
        time.sleep(0.1)
        begin = time.monotonic()
        os.killpg(script.process.pid, signal.SIGINT)
        _, err, status = script.finish()
        assert time.monotonic() - begin < 20  # the tasks take a minute
        assert script.gone()
    assert status == -signal.SIGINT
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_script_without_guard(tmp_path, method):
    code = f"""
import multiprocessing
with ProcessPoolExecutor(2, multiprocessing.get_context("{method}")) as pool:
    print(pool.submit(echo, 5).result())
"""
    out, err, status = run_script(tmp_path, code, guard=False)
    assert out == []
    assert status == 1
    assert err.count("Traceback (most recent call last)") == 1
    assert 'if __name__ == "__main__":' in err
    assert re.search("BrokenProcessPool: .*must not run on import", err, re.DOTALL)


def test_warnings_are_errors(tmp_path):
    """Nothing that Python or NumPy might warn about is done, in the parent or in a worker."""
    code = """
        with ProcessPoolExecutor(2) as pool:
            print(pool.submit(echo, np.ones(100000)).result().sum())
    """
    assert run_script(tmp_path, code, env={"PYTHONWARNINGS": "error"}) == (["100000.0"], "", 0)


# ---- what programs inherit that are started


def inheritable(within=None):
    """Descriptors that a program would get, of sockets and segments."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            what = os.readlink(f"/proc/self/fd/{name}")
            if os.get_inheritable(int(name)) and what.startswith(("socket:", "/memfd:allcores")):
                found.append(what)
    return found, within


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="nobody tells which descriptors there are")
@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_no_descriptor_is_inherited(method):
    """A worker's ends of its pipes, and what crosses them."""
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        before = inheritable()[0]
        mine = ac.share(LARGE)
        found, result = pool.submit(inheritable, [LARGE, mine]).result()
        made = pool.submit(ac.share, LARGE).result()
        assert not [what for what in found if what not in before]
        assert inheritable()[0] == before
        assert (result[0] == made).all()


def starts_a_program_and_dies(pid, method):
    """In the middle of a long answer."""
    pid[0] = subprocess.Popen(["sleep", "60"], close_fds=False).pid if method != "system" else by_the_shell()
    whole = channel.Sender._send

    def part(self, data):
        whole(self, data[: channel.PACKET])
        os.kill(os.getpid(), signal.SIGKILL)

    channel.Sender._send = part
    return list(range(1_000_000))


def by_the_shell():
    with os.popen("sleep 60 > /dev/null & echo $!") as shell:
        return int(shell.read())


@pytest.mark.parametrize("how", ["popen", "system"])
@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_death_in_an_answer_while_a_program_lives(method, how):
    if not segments.without_names():
        pytest.skip("there are no packets")
    pid = ac.shared_empty(1, np.int64)
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        future = pool.submit(starts_a_program_and_dies, pid, how)
        try:
            broken(pool, future, "SIGKILL")
            assert alive(int(pid[0]))
        finally:
            os.kill(int(pid[0]), signal.SIGKILL)


def test_death_while_another_worker_starts():
    """What the new one is handed is not closed meanwhile."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        future = pool.submit(time.sleep, 60)
        pid = next(iter(pool._processes))
        context = pool._mp_context

        class Slow:
            @staticmethod
            def Process(**how):
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.3)  # the manager has noticed
                return context.Process(**how)

        pool._mp_context = Slow
        second = pool.submit(nothing)
        for each in (future, second):
            broken(pool, each, "SIGKILL")


@pytest.mark.extended
def test_no_descriptors_for_a_queue(monkeypatch):
    errors = []

    def none(*_):
        raise OSError(errno.EMFILE, "no descriptors")

    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    monkeypatch.setattr(calls.socket, "socketpair", none)
    with pytest.raises(OSError, match="no descriptors"):
        calls.CallQueue(3)
    gc.collect()
    assert errors == []
