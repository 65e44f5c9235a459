"""Children forked while other threads make calls, their first ones among them."""

from __future__ import annotations

import os
import threading
import time
import warnings
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from helpers import python

import allcores as ac
from allcores._engine import team as team_module

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

FIRST_CALLS = {
    "map_blocks": "ac.map_blocks(np.abs, x)",
    "map_overlap": "ac.map_overlap(np.abs, x, 1)",
    "reduction": "ac.reduction(x, np.sum, np.sum)",
    "apply_along_axis": "ac.apply_along_axis(np.sum, 0, x[:, :3])",
    "submit": "ac.submit(ac.map_blocks, np.abs, x).result()",
    "BlockFailure": "ac.blocks.BlockFailure",
    "share": "ac.share(x)",
    "shared_empty": "ac.shared_empty(3)",
    "executor": "ac.sum(x, executor=standard)",
    "pool": "ac.futures.ProcessPoolExecutor",
    "set_executor": "ac.set_executor(standard).__enter__()",
    "move_mean": "ac.move_mean(x.astype('f2'), 5)",
    "rankdata": "ac.rankdata(x)",
    "ffill": "ac.ffill(x.astype('f2'))",
    "fallback": "ac.fallback.nansum(x)",
}


@pytest.mark.parametrize("call", FIRST_CALLS.values(), ids=FIRST_CALLS)
def test_a_child_forked_during_the_first_call(call):
    """Its imports take a while, and the child makes the same call: no lock of an import may be left to it."""
    result = python(f"""
        import faulthandler, os, sys, threading, time, warnings
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np, allcores as ac, allcores.futures
        warnings.simplefilter("ignore", DeprecationWarning)
        x, standard, begun = np.ones((300, 400)), ThreadPoolExecutor(1), threading.Event()
        class Slow:
            def find_spec(self, name, path, target=None):
                if not begun.is_set():
                    begun.set()
                    time.sleep(0.3)
        sys.meta_path.insert(0, Slow())
        first = threading.Thread(target=lambda: {call})
        first.start()
        begun.wait(0.2)
        pid = os.fork()
        if not pid:
            faulthandler.dump_traceback_later(10, exit=True)
            standard = ThreadPoolExecutor(1)
            {call}
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        first.join()
    """)
    assert (result.stdout.strip(), result.returncode) == ("0", 0), result.stderr[-3000:]


@pytest.mark.parametrize(
    "need", ["logging.getLogger('new')", "pool.submit(int).result()", "later_lock.acquire(timeout=20)"]
)
def test_an_import_needs_a_lock_that_a_fork_takes(need):
    """Of logging, of thread pools, or of a library that was imported after this package."""
    result = python(f"""
        import allcores  # before those whose locks are needed
        import faulthandler, logging, os, threading, time, warnings
        from concurrent.futures import ThreadPoolExecutor
        from allcores._engine import imports
        imports._PATIENCE = 0.5
        warnings.simplefilter("ignore", DeprecationWarning)
        faulthandler.dump_traceback_later(10, exit=True)
        later_lock, begun, pool = threading.Lock(), threading.Event(), ThreadPoolExecutor(1)
        os.register_at_fork(before=later_lock.acquire, after_in_parent=later_lock.release)
        def first():
            with imports.importing:
                begun.set()
                time.sleep(0.2)  # the fork is under way
                {need}
        thread = threading.Thread(target=first)
        thread.start()
        begun.wait()
        pid = os.fork()
        if not pid:
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        thread.join()
    """)
    assert (result.stdout.strip(), result.returncode) == ("0", 0), result.stderr[-3000:]


def test_what_calls_import_a_fork_waits_for():
    """Every function, of arrays that kernels take and of others: whoever imports holds one of the two locks."""
    result = python(f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import numpy as np, allcores as ac
        import inspect, json  # pytest's helpers, not ours
        from helpers import COMPUTING, plain_call, outcome, silence
        from allcores._engine import imports
        from allcores.futures import shared
        found = set()
        def listen(event, arguments):
            locked = imports.importing._is_owned() or shared.importing._is_owned()
            if event == "import" and not locked:
                found.add((what, arguments[0]))
        a = np.random.default_rng(0).normal(size=(30, 40))
        big = np.random.default_rng(0).normal(size=(700, 400))
        sys.addaudithook(listen)
        for name in COMPUTING:
            for array in (a, big, a.astype("f2"), a.astype(">f8"), a.astype("i4"), a.astype("g"), a > 0):
                what = name, array.dtype.str
                outcome(plain_call, name, array)
        with silence():
            what = "blocks"
            ac.map_blocks(np.abs, a, block_size=3)
            ac.map_overlap(np.abs, a, 1, boundary="reflect")
            ac.reduction(a, np.sum, np.sum)
            ac.apply_along_axis(np.sum, 0, a)
            ac.map_blocks(lambda x: 1 / 0, a, errors="collect")
            what = "others"
            ac.submit(ac.sum, a).result()
            ac.quantile(big, 0.5, axis=0, weights=big > 0, method="inverted_cdf")
            ac.fallback.sum(a)
            ac.share(a)
        print(sorted(found))
    """)
    assert (result.stdout.strip(), result.returncode) == ("[]", 0), result.stderr[-3000:]


def forked(function) -> int:
    """The exit code of a child that calls `function`: 0 where it returns something true."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if function() else 2
        finally:
            os._exit(code)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


def test_a_call_of_the_parent_in_a_child():
    """Nobody makes it there: who asks is told, whether it runs or waits; what has ended, has."""
    gate = threading.Event()
    ended = ac.submit(np.sum, np.ones(3))
    assert ended.result(timeout=30) == 3
    futures = [ac.submit(gate.wait, 30) for _ in range(40)]
    called = []
    futures[0].add_done_callback(called.append)

    def in_child():
        for future in (futures[0], futures[-1]):
            told = False
            assert future.done()
            assert not future.running()
            try:
                future.result()
            except RuntimeError as error:
                told = "forked" in str(error)
            if not told:
                return False
            assert not future.cancel()
        mine = ac.submit(np.sum, np.ones(4)).result()
        return ended.result() == 3 and mine == 4 and not called

    try:
        assert forked(in_child) == 0
    finally:
        gate.set()
    assert all(future.result(timeout=30) for future in futures)
    assert called == futures[:1]


def test_a_child_forked_in_a_block(team):
    """It is no worker, belongs to no call, and has the workers that it is set to have."""

    def function(block):
        def in_child():
            x = np.ones((2000, 50))
            free = not team_module.here.worker and ac.get_workers() == 3
            return free and ac.sum(x) == x.size and ac.submit(ac.sum, x).result() == x.size

        return block + forked(in_child)

    x = np.zeros(4)
    for workers in (1, 2):
        future = ac.submit(ac.map_blocks, function, x, block_size=2, workers=workers)
        while not future.done():  # takes the locks of its job
            future.progress()
        assert not future.result().any()


def test_cancelled_in_the_parent_is_cancelled_in_a_child():
    gate = threading.Event()
    held = [ac.submit(gate.wait, 30) for _ in range(8)]
    late = ac.submit(gate.wait, 30)
    assert late.cancel()

    def in_child():
        try:
            late.result()
        except CancelledError:
            return True

    try:
        assert forked(in_child) == 0
    finally:
        gate.set()
    assert all(future.result(timeout=30) for future in held)
