"""Ctrl-C, and calls while the interpreter goes down. Each in a process of its own: no hang, nothing on stderr."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from helpers import GIL, python

START = """
    import atexit, os, sys, threading, time
    import numpy as np
    import allcores as ac
    from allcores._engine import execute, settings
    execute.threshold = settings.doors = 0    # a team even here, and not the way of small arrays
    x = np.ones((2000, 100))
"""


def script(code):
    return textwrap.dedent(START) + textwrap.dedent(code)


def fine(result, stdout):
    assert (result.stdout.split(), result.stderr, result.returncode) == (stdout.split(), "", 0)


@pytest.mark.parametrize("used_before", [True, False], ids=["used before", "first use"])
@pytest.mark.parametrize("name", ["sum", "nanvar", "argmin"])
def test_at_exit(name, used_before):
    fine(
        python(
            script(f"""
        atexit.register(lambda: print(ac.{name}(x, workers=3)))
        if {used_before}:
            ac.{name}(x, workers=3)
    """)
        ),
        {"sum": "200000.0", "nanvar": "0.0", "argmin": "0"}[name],
    )


def test_a_long_first_call_at_exit():
    """How long a thread takes to come is not known yet, and none comes."""
    code = """
        import atexit, numpy as np, allcores as ac
        x = np.ones(3_000_000)
        atexit.register(lambda: print(ac.sum(x, workers=3), ac.median(x, workers=3), ac.sort(x, workers=3)[0]))
    """
    fine(python(code), "3000000.0 1.0 1.0")


@pytest.mark.skipif(platform.python_implementation() == "PyPy", reason="calls no __del__ at exit")
@pytest.mark.parametrize("used_before", [True, False], ids=["used before", "first use"])
def test_in_del_at_shutdown(used_before):
    if used_before and not GIL:
        pytest.skip("once a thread has run, globals are gone there before the object is: NumPy's sum fails, too")
    fine(
        python(
            script(f"""
        class Late:
            def __init__(self):
                self.sum, self.x, self.write = ac.sum, x, os.write
            def __del__(self):
                self.write(1, str(self.sum(self.x, workers=3)).encode())
        late = Late()
        if {used_before}:
            ac.sum(x, workers=3)
    """)
        ),
        "200000.0",
    )


@pytest.mark.parametrize("daemon", [True, False])
def test_in_a_thread_at_exit(daemon):
    """The main thread ends while another keeps calling."""
    result = python(
        script(f"""
        begun = threading.Event()
        def work():
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                assert ac.sum(x, workers=3) == 200000
                assert ac.nanvar(x, axis=0, workers=3)[0] == 0
                begun.set()
        thread = threading.Thread(target=work, daemon={daemon})
        thread.start()
        begun.wait(20)
        print("main ends")
    """)
    )
    fine(result, "main ends")


def test_in_a_thread_that_starts_at_exit():
    fine(
        python(
            script("""
        def late():
            threading.main_thread().join()
            print(ac.sum(x, workers=3))
        threading.Thread(target=late).start()
    """)
        ),
        "200000.0",
    )


def test_many_threads_at_exit():
    fine(
        python(
            script("""
        def work():
            for _ in range(50):
                ac.sum(x, axis=0, workers=4)
        for _ in range(6):
            threading.Thread(target=work).start()
        print("main ends")
    """)
        ),
        "main ends",
    )


INTERRUPTED = """
    big = np.lib.stride_tricks.as_strided(np.ones(1), (10**12,), (0,))  # minutes of work, in eight bytes

    def inside():
        frame = sys._current_frames()[threading.main_thread().ident]
        while frame is not None and not frame.f_globals["__name__"].startswith("allcores."):
            frame = frame.f_back
        return frame is not None

    def watch():
        for _ in range(5):  # not on its way in
            while not inside():
                time.sleep(0.001)
            time.sleep(0.02)
        print("under way", flush=True)

    threading.Thread(target=watch, daemon=True).start()
    try:
        ac.FUNCTION(big, workers=WORKERS)
        print("ended", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    assert ac.sum(x, workers=3) == 200000
    from allcores._engine import team
    came = threading.Event()
    team.threads.call([came.set], 1)
    assert came.wait(20)
    print("usable", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("name", ["sum", "nanvar", "max"])
def test_interrupt(name, workers):
    """KeyboardInterrupt arrives in the middle of a call of some minutes, and the pool is usable afterwards."""
    code = script(INTERRUPTED.replace("FUNCTION", name).replace("WORKERS", str(workers)))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        late = threading.Timer(30, child.kill)  # which ends the lines that are waited for
        late.start()
        try:
            assert child.stdout.readline() == "under way\n"
            child.send_signal(signal.SIGINT)
            out, err = child.communicate()
        finally:
            child.kill()
            late.cancel()
    assert (out, err, child.returncode) == ("interrupted\nusable\n", "", 0)


def test_interrupt_while_a_thread_is_asked_for():
    """Before and after, with its call in the queue: it comes with the next call, and is woken at exit."""
    code = """
        from allcores._engine import threads

        def interrupted(*args):
            threads._thread.start_new_thread = start
            if after:
                start(*args)
            raise KeyboardInterrupt

        start = threads._thread.start_new_thread
        for after in (False, True):
            threads._thread.start_new_thread = interrupted
            try:
                ac.submit(ac.sum, x) if after else ac.sum(x, workers=2)
            except KeyboardInterrupt:
                print("interrupted")
        print(ac.sum(x, workers=2), ac.submit(ac.sum, x).result())
    """
    fine(python(script(code)), "interrupted interrupted 200000.0 200000.0")
