"""Fixtures: a team on small arrays, the door for small arrays open or closed, and every backend."""

from __future__ import annotations

import inspect
import os
import shlex
import signal
import sys
import threading
from contextvars import copy_context
from types import SimpleNamespace

import helpers
import pytest
from helpers import ALL_BACKENDS, BACKENDS, MISSING, home_of, open_doors

from allcores import _kernels
from allcores._engine import execute, registry, settings
from allcores.bench import cases, peers
from allcores.describe import blocks, tables

try:
    import fcntl
except ImportError:  # Windows, where names are not counted
    fcntl = None


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Where pytest-run-parallel has threads run each test side by side."""
    config.addinivalue_line("markers", "thread_unsafe(reason): not in several threads side by side, by design")
    # Who names a test wants it, whether or not it is one of every day.
    asked = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.invocation_params.args]
    if any("::" in str(each) for each in asked) and not any(str(each).startswith("-m") for each in asked):
        config.option.markexpr = ""
    # Where a script started pytest in the background: the programs that tests interrupt would ignore it, too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    side_by_side = config.pluginmanager.get_plugin("_run-parallel")
    if side_by_side is None or config.getoption("parallel_threads") in (1, "1"):
        return
    # In the context of the fixtures, as in Python 3.14: `use_backend`, `set_workers`.
    sys.modules[type(side_by_side).__module__].threading = SimpleNamespace(Thread=Heir, Barrier=threading.Barrier)
    # Our fixtures change modules before the threads begin. What a test changes itself, it may not.
    side_by_side.unsafe_fixtures -= {"monkeypatch"}
    # Before 3.14 filters of warnings are the process's.
    helpers.side_by_side = True
    config.addinivalue_line("filterwarnings", "ignore")


# Fixtures of tests that can't run side by side.
UNSAFE = {"monkeypatch": "changes modules", "caplog": "reads a log of all threads", "groups": "writes one directory"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    kept = []
    for item in items:
        arguments = inspect.signature(item.obj).parameters if isinstance(item, pytest.Function) else ()
        for fixture, reason in UNSAFE.items():
            if fixture in arguments:
                item.add_marker(pytest.mark.thread_unsafe(reason=reason))
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        level = next(
            (str(parameters[key]) for key in ("backend", "way", "level") if key in parameters), ""
        ).removeprefix("door ")
        if level in ALL_BACKENDS:
            homes = homes_of(item, parameters.get("name"))
            if homes.get(level) != level:
                continue
            few = item.get_closest_marker("slow_fallback") is not None
            if level != homes[_kernels.DEFAULT] and (few or level != "fallback"):
                item.add_marker(pytest.mark.extended)
        kept.append(item)
    items[:] = kept


def homes_of(item: pytest.Item, name: object) -> dict[str, str]:
    """Of each backend that runs here, from which one it has the kernel that a test is about.

    What a level takes from another one is tested there, and is no test of its own. Without a kernel that a mark or the
    parameter `name` tells, each has its own.
    """
    mark, row = item.get_closest_marker("kernel"), registry.FUNCTIONS.get(str(name))
    kernel = mark.args[0] if mark else row.kernel if row else None
    return {level: home_of(kernel, level) if kernel else level for level in BACKENDS}


class Heir(threading.Thread):
    """A thread that has the context of who made it."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.context = copy_context()

    def run(self) -> None:
        self.context.run(super().run)


def pytest_report_header() -> str:
    return f"allcores backends: {', '.join(BACKENDS)}; built, but not for this CPU: {', '.join(MISSING) or 'none'}"


@pytest.fixture(autouse=True)
def names_of_its_own(request, tmp_path_factory):
    """What counts the names in /dev/shm waits for whoever else does, where tests are spread over processes."""
    if not request.path.name.startswith(("test_pool", "test_blocks_executors")) or fcntl is None:
        yield
        return
    with open(tmp_path_factory.getbasetemp().parent / "names.lock", "w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)  # which forked children do not inherit
        yield


@pytest.fixture(autouse=True)
def door_as_it_was():
    """What leaves the door for small arrays closed would keep all later tests from it."""
    before = settings.doors
    yield
    assert settings.doors == before


@pytest.fixture
def team(monkeypatch):
    """Three workers on any array, in chunks of about 64 elements, and never the door for small arrays."""
    monkeypatch.setattr(execute, "threshold", 0)
    monkeypatch.setattr(execute, "chunk_size", 64)
    monkeypatch.setattr(execute, "output_chunk", 256)
    monkeypatch.setattr(settings, "doors", False, raising=False)
    with settings.set_workers(3):
        yield


@pytest.fixture
def engine_only(monkeypatch):
    """No door for small arrays: calls go through the engine."""
    monkeypatch.setattr(settings, "doors", False, raising=False)


@pytest.fixture(params=[True, False], ids=["door", "no-door"])
def door(request, monkeypatch):
    """As users call it: small arrays through the compiled door where there is one; and not."""
    monkeypatch.setattr(settings, "doors", int(request.param), raising=False)
    return request.param


@pytest.fixture(params=[*ALL_BACKENDS, *(f"door {name}" for name in ALL_BACKENDS if name != "fallback")])
def way(request, monkeypatch):
    """Each backend through the engine, and the doors of each compiled one."""
    name = request.param.removeprefix("door ")
    if name != request.param:
        open_doors(monkeypatch, name)
    # The door belongs to the default backend: switching closes it, and opens it when this patch is undone.
    with settings.use_backend(name), monkeypatch.context() as patch:
        patch.setattr(settings, "doors", int(name != request.param))
        yield request.param


@pytest.fixture(params=ALL_BACKENDS)
def backend(request):
    """Each backend that is installed and runs here."""
    with settings.use_backend(request.param):
        yield request.param


@pytest.fixture(scope="session")
def zarr():
    return pytest.importorskip("zarr")


@pytest.fixture(scope="session")
def h5py():
    return pytest.importorskip("h5py")


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few elements, so that there are many to merge."""
    monkeypatch.setattr(blocks, "BLOCK", 1024)
    monkeypatch.setattr(blocks, "PIECE", 100)
    monkeypatch.setattr(tables, "TEXT", 64)
    monkeypatch.setattr(tables, "ROWS", (64, 200))


@pytest.fixture
def no_peers(monkeypatch):
    """Peers compile and warn on their own account; those tests that are about peers bring one of their own."""
    monkeypatch.setattr(peers, "PEERS", {})
    monkeypatch.setattr(peers, "load", lambda name: None)
    yield
    cases.arrays.cache_clear()
