"""threadpoolctl sees allcores: registered in either order of imports, limited in the with block, restored after it."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from helpers import python

import allcores as ac
from allcores._engine import execute, settings

threadpoolctl = pytest.importorskip("threadpoolctl", "3.5")
pytest.importorskip("allcores.threadpool")


def ours() -> dict:
    (row,) = [row for row in threadpoolctl.threadpool_info() if row["internal_api"] == "allcores"]
    return row


def test_info():
    row = ours()
    assert row["user_api"] == "allcores"
    assert row["num_threads"] == ac.get_workers()
    assert row["version"] == ac.__version__
    assert row["backend"] == ac.show_config("dicts")["backend"]["name"]
    assert "allcores" in row["filepath"] or not ac.show_config("dicts")["backend"]["built"]


@pytest.mark.parametrize("arguments", [(2,), (2, "allcores"), ({"allcores": 2},)])
def test_limits_are_restored(arguments):
    before = settings.workers_and_source()
    with threadpoolctl.threadpool_limits(*arguments):
        assert ac.get_workers() == ours()["num_threads"] == 2
        with threadpoolctl.threadpool_limits(1, user_api="allcores"):
            assert ac.get_workers() == 1
        assert ac.get_workers() == 2
    assert settings.workers_and_source() == before


@pytest.mark.parametrize("arguments", [(1, "blas"), (None,), ({"blas": 1},)])
def test_limits_of_others(arguments):
    with ac.set_workers(3), threadpoolctl.threadpool_limits(*arguments):
        assert ac.get_workers() == 3


def test_saved_limits_can_be_set_again():
    with ac.set_workers(3):
        saved = threadpoolctl.threadpool_info()
    with threadpoolctl.threadpool_limits(saved):
        assert ac.get_workers() == 3


def test_restored_to_what_set_workers_said():
    before = settings.workers_and_source()
    with ac.set_workers(3):
        with threadpoolctl.threadpool_limits(1):
            with ac.set_workers(5):  # said later, and by name
                assert ac.get_workers() == 5
            assert ac.get_workers() == 1
        assert ac.get_workers() == 3
    assert settings.workers_and_source() == before


def test_a_limit_of_nothing_is_one_worker():
    with threadpoolctl.threadpool_limits(0, user_api="allcores"):
        assert ac.get_workers() == 1


def test_calls_are_limited(monkeypatch):
    """Which says nothing runs on so many workers; a call that says `workers=` means it."""
    monkeypatch.setattr(execute, "threshold", 0)
    teams = []
    together = execute.team.together
    monkeypatch.setattr(execute.team, "together", lambda *args: teams.append(args[1]) or together(*args))
    x = np.ones(5_000_000)
    with threadpoolctl.threadpool_limits(1):
        ac.nansum(x)
        assert teams == []
        ac.nansum(x, workers=2)
        assert teams == [2]
    with threadpoolctl.threadpool_limits(3):
        ac.nansum(x)
    assert teams == [2, 3]


def test_a_limit_is_that_of_a_context():
    """Another thread does not see it; a call in the background does."""
    default = ac.get_workers()
    seen = []
    with threadpoolctl.threadpool_limits(default + 1):
        thread = threading.Thread(target=lambda: seen.append(ac.get_workers()))
        thread.start()
        thread.join()
        seen.append(ac.submit(ac.get_workers).result())
    assert seen[1] == default + 1
    if not getattr(sys.flags, "thread_inherit_context", False):
        assert seen[0] == default


COUNT = "print([row['num_threads'] for row in threadpoolctl.threadpool_info() if row['user_api'] == 'allcores'])"


@pytest.mark.parametrize(
    ("imports", "rows"),
    [
        ("import threadpoolctl, allcores", 1),
        ("import allcores, threadpoolctl", 0),
        ("import allcores.threadpool, threadpoolctl", 1),
        ("import allcores, threadpoolctl, allcores.threadpool", 1),
        ("import threadpoolctl, allcores.threadpool", 1),
    ],
)
def test_when_it_is_registered(imports, rows):
    result = python(f"{imports}\n{COUNT}", env={"ALLCORES_WORKERS": "7"})
    assert (result.stdout, result.stderr) == (f"{[7] * rows}\n", "")


def test_limits_as_a_process_starts():
    """With what the environment says, as in a worker of a pool."""
    code = """
        import threadpoolctl, allcores as ac
        with threadpoolctl.threadpool_limits(1):
            print(ac.get_workers())
        print(ac.get_workers(), ac.show_config("dicts")["workers"]["source"])
    """
    assert python(code, env={"ALLCORES_WORKERS": "7"}).stdout == "1\n7 ALLCORES_WORKERS\n"


def test_a_version_without_controllers():
    """Or one that does not import: as if there were none."""
    code = """
        import sys, types
        sys.modules["threadpoolctl"] = {module}
        import allcores as ac
        print("allcores.threadpool" in sys.modules, ac.sum([1.0, 2.0]))
    """
    for module in ("types.ModuleType('threadpoolctl')", "None"):
        result = python(code.format(module=module))
        assert (result.stdout, result.stderr) == ("False 3.0\n", "")


def test_without_kernels():
    """NumPy's library is the one whose loops our threads run then."""
    code = """
        import os
        real = os.listdir
        os.listdir = lambda path: [name for name in real(path) if not name.startswith("reduce.")]
        import threadpoolctl, allcores as ac
        (row,) = [row for row in threadpoolctl.threadpool_info() if row["internal_api"] == "allcores"]
        with threadpoolctl.threadpool_limits(1):
            print(row["backend"], row["prefix"], ac.get_workers())
    """
    result = python(code, env={"ALLCORES_BACKEND": "fallback", "ALLCORES_WORKERS": "7"})
    assert (result.stdout, result.stderr) == ("fallback _multiarray_umath. 1\n", "")
