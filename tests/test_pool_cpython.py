"""CPython's own tests of process pools, with this package's class.

They are in the package `test`, which many installations leave out (Debian: libpython3-testsuite). Where it is in
another place, ALLCORES_CPYTHON_TESTS names that directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# They want a broken pool where here one future fails: see docs/process-pool.md.
DIFFERENT = {
    "test_error_at_task_unpickle",
    "test_exit_at_task_unpickle",
    "test_error_during_result_unpickle_in_result_handler",
    "test_exit_during_result_unpickle_in_result_handler",
}
# The first two start programs that make the standard library's executor. The third wants the pool to break where there
# is no second thread to be had: here none is needed. The last one patches a function that is not called here.
ELSEWHERE = {
    "test_interpreter_shutdown",
    "test_submit_after_interpreter_shutdown",
    "test_python_finalization_error",
    "test_failed_worker_replacement_breaks_pool",
}

RUN = """
import concurrent.futures, importlib, os, sys, unittest
import test
from allcores.futures import ProcessPoolExecutor

place, method, *different = sys.argv[1:]
if place:
    test.__path__.append(place)

def tests():
    found = importlib.import_module("test.test_concurrent_futures")
    names = ("process_pool", "deadlock", "shutdown", "init", "wait", "as_completed")
    modules = [found]
    if hasattr(found, "__path__"):
        modules = [importlib.import_module(f"test.test_concurrent_futures.test_{name}") for name in names]
    for module in modules:
        for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
            for case in suite:
                name = case.id()
                if f"ProcessPool{method}" in name and name.rpartition(".")[2] not in different:
                    yield case

if __name__ == "__main__":
    concurrent.futures.ProcessPoolExecutor = ProcessPoolExecutor
    suite = unittest.TestSuite(tests())
    print("found", suite.countTestCases())
    result = unittest.TextTestRunner(sys.stdout, verbosity=2).run(suite)
    sys.exit(not result.wasSuccessful())
"""


def place() -> str | None:
    """Where the tests are: "" for the package itself, None where there are none."""
    try:
        if find_spec("test.test_concurrent_futures"):
            return ""
    except ImportError:
        return None
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for folder in (os.environ.get("ALLCORES_CPYTHON_TESTS", ""), f"/usr/lib/{version}/test"):
        if folder and list(Path(folder).glob("test_concurrent_futures*")):
            return folder
    return None


@pytest.mark.extended
@pytest.mark.parametrize("method", os.environ.get("ALLCORES_CPYTHON_METHODS", "Forkserver").split())
def test_cpythons_own(tmp_path, method):
    where = place()
    if where is None:
        pytest.skip("CPython's own tests are not installed (Debian: libpython3-testsuite; or ALLCORES_CPYTHON_TESTS)")
    path = tmp_path / "run.py"
    path.write_text(RUN)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(path), where, method]
    result = subprocess.run(
        [*command, *DIFFERENT, *ELSEWHERE], capture_output=True, text=True, timeout=400, check=False
    )
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2_000:]
    assert int(result.stdout.split()[1]) > 30


def test_what_is_different_is_in_the_docs():
    text = (Path(__file__).parent.parent / "docs" / "process-pool.md").read_text()
    assert all(f"`{name}`" in text for name in DIFFERENT)
