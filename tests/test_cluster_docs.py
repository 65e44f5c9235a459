"""The programs of docs/clusters.md, each run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pool_helpers import Script
from test_cluster_engines import mpiexec

PAGE = Path(__file__).parent.parent / "docs" / "clusters.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if PAGE.exists() else []


def engine_of(program):
    return re.search(r"\b(loky|distributed|mpi4py|ray)\b", program)[1]


def test_each_engine_has_a_program():
    if not PAGE.exists():
        pytest.skip("the documentation is not here")
    assert [engine_of(program) for program in PROGRAMS] == ["loky", "distributed", "mpi4py", "ray", "loky"]
    for program in PROGRAMS:
        assert len(program.split('__main__":\n')[1].splitlines()) <= 5


@pytest.mark.parametrize("program", PROGRAMS, ids=map(engine_of, PROGRAMS))
def test_program(tmp_path, program):
    engine = engine_of(program)
    pytest.importorskip(engine)
    if engine == "mpi4py":
        script = tmp_path / "script.py"
        script.write_text(program)
        result = mpiexec(script, 2)
        assert (result.stdout.strip(), result.returncode) == ("(1000, 50)", 0), result.stderr
        return
    with Script(tmp_path, program, guard=False) as script:
        out, err, code = script.finish(60)
        assert (out, code) == (["(1000,", "50)"], 0), err
        assert script.gone(10), "processes are left"
