"""The pool where segments have names and there are no sockets for packets: what macOS and Windows get, forced here."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import everyday
from pool_helpers import (
    METHODS,
    Fails,
    arrays,
    assert_same,
    echo,
    filled,
    first_and_last,
    keep,
    kept,
    kill_self,
    left_names,
    make_fails,
    memory_files,
    nothing,
    overwrite,
    path_of_programs,
    raises,
    run_script,
    shared_names,
)

import allcores as ac
from allcores.futures import BrokenProcessPool, ProcessPoolExecutor, named, portable, segments

LARGE = np.arange(1 << 17)


@pytest.fixture(autouse=True)
def with_names(monkeypatch):
    gc.collect()
    before, files = shared_names(), len(memory_files())
    monkeypatch.setattr(segments, "_decided", False)
    yield
    gc.collect()
    assert not left_names(before)
    assert len(memory_files()) <= files


@pytest.fixture
def pool():
    with ProcessPoolExecutor(2, threshold=0) as pool:
        assert isinstance(pool._calls, portable.QueuedCalls)
        yield pool


@pytest.mark.parametrize("method", everyday(METHODS, ["forkserver"]))
def test_start_methods(method):
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        for i in range(5):
            np.testing.assert_array_equal(pool.submit(echo, LARGE + i).result(), LARGE + i)
        stats = pool.transfer_stats()
        assert stats["bytes_shared"] == 10 * LARGE.nbytes
        assert stats["segments_made"] <= 4
        assert stats["fallbacks"] == 0


def test_arrays_come_back_equal(pool):
    for want in arrays().values():
        assert_same(pool.submit(echo, want).result(), want)


def test_a_copy(pool):
    for _ in range(3):
        assert pool.submit(overwrite, LARGE).result() == (0, -1)
    assert LARGE[0] == 0
    assert pool.submit(first_and_last, LARGE).result() == (0, len(LARGE) - 1)


def test_a_worker_that_keeps_its_argument():
    with ProcessPoolExecutor(1, threshold=0) as pool:
        for i in range(3):
            pool.submit(keep, np.full(1000, i)).result()
        for _ in range(4):
            pool.submit(first_and_last, np.full(1000, 99)).result()
        for i in range(3):
            assert (pool.submit(kept, i).result() == i).all()


def test_results_outlive_the_pool():
    with ProcessPoolExecutor(1) as pool:
        results = [pool.submit(filled, 1 << 17, i).result() for i in range(6)]
    for i, result in enumerate(results):
        assert (result == i).all()
        result += 1


def test_share(pool):
    x = ac.shared_empty(10)
    assert len(shared_names()) >= 1
    list(pool.map(overwrite, [x[:5], x[5:]], [1, 2]))
    assert x.tolist() == [1] * 5 + [2] * 5
    back = pool.submit(echo, x[2:]).result()
    assert np.shares_memory(back, x)


def test_faults(pool):
    with pytest.raises(ValueError, match="one"):
        pool.submit(echo, Fails("pickle", raises, ValueError, "one")).result()
    with pytest.raises(ValueError, match="two"):
        pool.submit(echo, Fails("unpickle", raises, ValueError, "two")).result()
    with pytest.raises(ValueError, match="three"):
        pool.submit(make_fails, "pickle", raises, ValueError, "three").result()
    with pytest.raises(ValueError, match="four"):
        pool.submit(make_fails, "unpickle", raises, ValueError, "four").result()
    assert pool.submit(echo, "a" * 1_000_000).result() == "a" * 1_000_000
    futures = [pool.submit(echo, LARGE + i) for i in range(5)]
    future = pool.submit(kill_self)
    with pytest.raises(BrokenProcessPool, match="SIGKILL"):
        future.result(timeout=30)
    del futures


def test_the_initializer():
    x = ac.shared_empty(3)
    with ProcessPoolExecutor(1, initializer=overwrite, initargs=(x, 4)) as pool:
        pool.submit(nothing).result()
    assert x.tolist() == [4] * 3


def test_handles():
    segment = named.NamedSegment.create(100)
    assert named.map_named(segment.handle, private=True)
    for change in ({"token": b"0" * 16}, {"name": "allcoresnone"}, {"size": 10_000_000}):
        with pytest.raises(segments.Refused):
            segments.map_handle(segment.handle._replace(**change))
    assert segment.read()[:16] == segment.token


def test_at_exit(tmp_path):
    code = """
        kept = ac.share(np.arange(10))
        pool = ProcessPoolExecutor(2, threshold=0)
        result = pool.submit(echo, np.ones(100000)).result()
        print(result.sum())
    """
    assert run_script(tmp_path, code, env={"ALLCORES_SEGMENTS": "named"}) == (["100000.0"], "", 0)


def test_unknown_kind(tmp_path):
    out, err, code = run_script(tmp_path, "ac.shared_empty(3)", env={"ALLCORES_SEGMENTS": "magic"})
    assert (out, code) == ([], 1)
    assert "must be memfd or named" in err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small /dev/shm")
def test_a_small_dev_shm(tmp_path):
    """8 MiB: what does not fit is pickled, nobody is killed by SIGBUS."""
    code = """
        import sys, warnings
        import numpy as np
        from allcores.futures import ProcessPoolExecutor
        from pool_helpers import echo
        if __name__ == "__main__":
            warnings.simplefilter("ignore")
            with ProcessPoolExecutor(2) as pool:
                for size in (1 << 17, 1 << 21, 1 << 17):
                    for i in range(3):
                        x = np.arange(size) + i
                        assert (pool.submit(echo, x).result() == x).all()
                stats = pool.transfer_stats()
            assert stats["fallbacks"] and stats["bytes_shared"], stats
            print("fine")
    """
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(code))
    mount = f"mount -t tmpfs -o size=8m tmpfs /dev/shm && exec {sys.executable} {path}"
    environment = {**os.environ, "ALLCORES_SEGMENTS": "named", "PYTHONPATH": path_of_programs()}
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    if "unshare" in result.stderr or "mount:" in result.stderr:
        pytest.skip(f"no mount namespace here: {result.stderr.strip()}")
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("fine", "", 0)
