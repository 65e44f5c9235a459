"""Workers, backends and what decides them: environment variables, control groups, context."""

from __future__ import annotations

import logging
import os
import platform
import sys

import numpy as np
import pytest
from helpers import BACKENDS, COMPILED, python

import allcores as ac
from allcores._engine import settings

SHOW = "import allcores as ac; print(ac.get_workers(), ac.show_config('dicts')['backend']['name'])"


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("3", 3), (" 5 ", 5), ("-1", settings.cores()), ("", settings.cores())]
)
def test_environment_workers(text, number):
    result = python(SHOW, env={"ALLCORES_WORKERS": text})
    assert result.stdout.split()[0] == str(number), result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize("text", ["0", "-2", "two", "1.5", "None"])
def test_bad_environment_workers(text):
    result = python(SHOW, env={"ALLCORES_WORKERS": text})
    assert result.returncode == 1
    assert f"ImportError: ALLCORES_WORKERS={text!r}" in result.stderr


@pytest.mark.parametrize("name", BACKENDS)
def test_environment_backend(name):
    result = python(SHOW + "; print(ac.sum([1.0, 2.0]))", env={"ALLCORES_BACKEND": name})
    assert result.stdout.split()[1:] == [name, "3.0"], result.stderr
    assert result.stderr == ""


@pytest.mark.parametrize("name", ["nonsense", "V3", "v9", "base", "v4"])
def test_unknown_environment_backend(name):
    if name in BACKENDS:
        pytest.skip(f"{name} is available here")
    result = python(SHOW, env={"ALLCORES_BACKEND": name})
    assert result.returncode == 1
    assert f"ImportError: ALLCORES_BACKEND={name!r}" in result.stderr
    assert ", ".join(BACKENDS) in result.stderr


def test_a_level_that_the_cpu_lacks():
    """Built, but not run here: not chosen, and an error where it is asked for."""
    if not COMPILED or "v3" not in COMPILED:
        pytest.skip("v3 does not run here")
    pretend = """
        import sys, types
        cpu = types.ModuleType("allcores._kernels.cpu"); cpu.level = lambda: 2
        sys.modules["allcores._kernels.cpu"] = cpu
        import allcores as ac
        print(ac.show_config("dicts")["backend"])
    """
    result = python(pretend)
    assert "'name': 'v2'" in result.stdout, result.stderr
    assert "'v3'" in result.stdout
    result = python(pretend, env={"ALLCORES_BACKEND": "v3"})
    assert "ImportError: ALLCORES_BACKEND='v3'" in result.stderr


def test_without_kernels():
    """Users of a pure-Python installation are told, once."""
    code = """
        import os
        real = os.listdir
        os.listdir = lambda path: [name for name in real(path) if not name.startswith("reduce.")]
        import allcores as ac
        print(ac.show_config("dicts")["backend"]["name"], ac.sum([1.0, 2.0]))
    """
    result = python(code)
    assert result.stdout.split() == ["fallback", "3.0"], result.stderr
    if platform.python_implementation() == "CPython":  # others have no kernels
        assert result.stderr.count("RuntimeWarning") == 1
        assert "ALLCORES_BACKEND=fallback" in result.stderr
    result = python(code, env={"ALLCORES_BACKEND": "fallback"})
    assert (result.stdout.split(), result.stderr) == (["fallback", "3.0"], "")


# ---- control groups


@pytest.fixture
def groups(tmp_path):
    """Write a tree of control groups; return what `quota` makes of it."""

    def quota(membership, **files):
        settings.quota.cache_clear()
        for path, text in files.items():
            file = tmp_path / "root" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tmp_path / "membership").write_text(membership)
        return settings.quota(str(tmp_path / "root"), str(tmp_path / "membership"))

    yield quota
    settings.quota.cache_clear()


def test_quota_v2(groups):
    assert groups("0::/\n", **{"cpu.max": "150000 100000\n"}) == 1.5


def test_quota_v2_unlimited(groups):
    assert groups("0::/\n", **{"cpu.max": "max 100000\n"}) is None


def test_quota_v2_of_a_parent(groups):
    """The least along the path holds."""
    files = {"cpu.max": "max 100000\n", "a/cpu.max": "200000 100000\n", "a/b/cpu.max": "300000 100000\n"}
    assert groups("0::/a/b\n", **files) == 2.0


def test_quota_v2_of_this_group(groups):
    files = {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "50000 100000\n", "c/cpu.max": "1 100000\n"}
    assert groups("0::/a/b\n", **files) == 0.5


def test_quota_v2_in_a_container(groups):
    """Only the root can be seen, under a path of the host."""
    assert groups("0::/docker/abc\n", **{"cpu.max": "300000 100000\n"}) == 3.0
    assert groups("0::/../../other\n", **{"cpu.max": "300000 100000\n"}) == 3.0


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpu"])
def test_quota_v1(groups, controllers):
    files = {
        f"{controllers}/a/cpu.cfs_quota_us": "250000\n",
        f"{controllers}/a/cpu.cfs_period_us": "100000\n",
        f"{controllers}/cpu.cfs_quota_us": "-1\n",
        f"{controllers}/cpu.cfs_period_us": "100000\n",
    }
    assert groups(f"5:memory:/a\n4:{controllers}:/a\n1:name=systemd:/a\n", **files) == 2.5


def test_quota_v1_by_the_short_name(groups):
    files = {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "50000\n"}
    assert groups("4:cpuacct,cpu:/\n", **files) == 2.0


def test_quota_v1_unlimited(groups):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert groups("4:cpu:/\n", **files) is None


@pytest.mark.parametrize("text", ["", "nonsense\n", "a b c\n", "100000\n", "100000 0\n"])
def test_quota_that_makes_no_sense(groups, text):
    assert groups("0::/\n", **{"cpu.max": text}) is None


def test_quota_elsewhere(tmp_path):
    settings.quota.cache_clear()
    assert settings.quota(str(tmp_path), str(tmp_path / "nothing")) is None
    settings.quota.cache_clear()


@pytest.mark.parametrize(("limit", "cores"), [(None, 8), (0.5, 1), (1.0, 1), (1.5, 2), (3.2, 4), (100.0, 8)])
def test_cores(monkeypatch, limit, cores):
    monkeypatch.setattr(settings, "affinity", lambda: 8)
    monkeypatch.setattr(settings, "quota", lambda: limit)
    assert settings.cores() == cores
    assert ac.get_workers() == cores
    with ac.set_workers(-1):
        assert ac.get_workers() == cores
    with ac.set_workers(20):
        assert ac.get_workers() == 20


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python is not told there")
def test_the_number_that_python_was_told():
    result = python(SHOW, env={"PYTHON_CPU_COUNT": "1"})
    assert result.stdout.split()[0] == "1", result.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity():
    result = python("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + SHOW)
    assert result.stdout.split()[0] == "1", result.stderr


# ---- context


@pytest.mark.parametrize("bad", [0, -2, -100])
def test_bad_set_workers(bad):
    with pytest.raises(ValueError, match="workers"), ac.set_workers(bad):
        pass


@pytest.mark.parametrize("bad", [1.5, "2", True, [1]])
def test_set_workers_of_a_wrong_type(bad):
    with pytest.raises(TypeError, match="workers"), ac.set_workers(bad):
        pass


def test_set_workers_restores():
    before = ac.get_workers()
    with ac.set_workers(5):
        assert ac.get_workers() == 5
        assert settings.workers_and_source() == (5, "set_workers")
    assert ac.get_workers() == before


def test_use_backend_restores():
    before, doors = settings.backend(), settings.doors
    for name in BACKENDS:
        with settings.use_backend(name):
            assert settings.backend() == name
        with pytest.raises(ZeroDivisionError), settings.use_backend(name):
            raise ZeroDivisionError
    with pytest.raises(ValueError, match="nonsense"), settings.use_backend("nonsense"):
        pass
    assert (settings.backend(), settings.doors) == (before, doors)


# ---- show_config


def test_show_config(capsys):
    assert ac.show_config() is None
    out = capsys.readouterr().out
    for part in (ac.__version__, np.__version__, settings.backend(), "workers", *BACKENDS):
        assert part in out


def test_show_config_dicts(capsys):
    config = ac.show_config(mode="dicts")
    assert config["allcores"] == ac.__version__
    assert config["backend"]["name"] == settings.backend()
    assert tuple(config["backend"]["available"]) == BACKENDS
    assert config["workers"]["number"] == ac.get_workers()
    assert capsys.readouterr().out == ""
    with ac.set_workers(7):
        assert (
            ac.show_config(mode="dicts")["workers"] | {"number": 7, "source": "set_workers"}
            == ac.show_config(mode="dicts")["workers"]
        )


def test_show_config_bad_mode():
    with pytest.raises(AttributeError, match="nonsense"):
        ac.show_config(mode="nonsense")


# ---- logging


def test_debug_log(caplog, backend, team):
    """One line a call, with kernel, chunks, placement and time."""
    with caplog.at_level(logging.DEBUG, logger="allcores"):
        ac.nansum(np.ones((300, 70)), axis=0, workers=3)
    (record,) = caplog.records
    assert record.name == "allcores"
    message = record.getMessage()
    for part in ("nansum", backend, "float64", "chunks", "team of 3", "ms"):
        assert part in message, message


def test_debug_log_inline(caplog, engine_only):
    with caplog.at_level(logging.DEBUG, logger="allcores"):
        ac.var(np.ones(30))
    (record,) = caplog.records
    assert "inline" in record.getMessage()


def test_no_log(caplog, team):
    with caplog.at_level(logging.INFO, logger="allcores"):
        ac.sum(np.ones(300))
    assert not caplog.records
