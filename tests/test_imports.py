"""What `import allcores` loads beyond NumPy, and the budget for it: `python -X importtime`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Of the time that NumPy's own import takes in the same process; it is 0.6 here.
BUDGET = 1.0

# What a call may need later, but not everybody. NumPy, which loads ctypes, inspect and others by itself, is not ours.
LATER = {
    *("argparse", "asyncio", "concurrent.futures.process", "csv", "ctypes", "decimal", "email", "fractions", "http"),
    *("importlib.metadata", "inspect", "json", "mmap", "multiprocessing", "pathlib", "pickle", "random", "select"),
    *("selectors", "shutil", "signal", "socket", "ssl", "statistics", "subprocess", "tempfile", "unittest", "urllib"),
    *("uuid", "zipfile"),
    *("allcores.bench", "allcores.describe", "allcores.threadpool", "allcores.__main__"),
    *("allcores.blocks.calls", "allcores.blocks.plan", "allcores.sources.zarrs", "allcores.sources.hdf5"),
    *("allcores.futures.process", "allcores.futures.cluster", "allcores.futures.segments", "allcores.futures.pickling"),
}
if sys.version_info >= (3, 15):
    LATER.remove("pathlib")  # `traceback`, which `logging` needs, loads it


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Microseconds with and without what it imports, by module, of some interpreters with compiled bytecode."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path_factory.mktemp("bytecode"))
    found = []
    for _ in range(6):
        command = [sys.executable, "-X", "importtime", "-c", "import numpy, allcores"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line][1:]
        found.append({name.strip(): int(cumulative) for _, cumulative, name in rows})
    return found[1:]  # the first one compiled


def test_the_budget(reports):
    """The least of several runs, as far as others leave us alone."""
    ours, numpys = (min(report[name] for report in reports) for name in ("allcores", "numpy"))
    assert ours / numpys < BUDGET


def test_what_is_loaded_later(reports):
    """The report is in the order in which imports end: what comes before NumPy's end is NumPy's."""
    names = list(reports[0])
    beyond = set(names[names.index("numpy") + 1 :])
    assert "allcores._engine.settings" in beyond
    assert not LATER & beyond
