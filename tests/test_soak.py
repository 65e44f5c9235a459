"""A short part of tests/soak.py: what was there before is there after, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc")
def test_nothing_is_left_behind():
    script = Path(__file__).with_name("soak.py")
    run = subprocess.run([sys.executable, script, "0.03"], capture_output=True, text=True, timeout=180, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
