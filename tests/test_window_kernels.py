"""Windows and scans: other dtypes than kernels compute in, what a call needs beyond its result, and who computes it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from types import FunctionType

import numpy as np
import pytest
from helpers import BACKENDS, DTYPES, everyday
from window_helpers import SORTING, function, inputs_of

import allcores as ac
from allcores import _kernels
from allcores._engine import settings
from allcores._engine.registry import SCANS, WINDOWS

pytestmark = pytest.mark.kernel("move_sum")

OTHERS = ("e", ">f2", ">f4", ">f8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8")
EXPONENTIAL = [name for name in SCANS if name.startswith("move_exp")]


def some(char, n=700):
    rng = np.random.default_rng(3)
    a = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, size=n)
    if np.dtype(char).kind == "f":
        a[rng.random(n) < 0.03] = np.nan
        return a.astype(np.float32).astype(char)
    return np.abs(a).clip(max=30_000).astype(char)


def narrow(result, char):
    """What a float64 result is in the dtype that the input gives."""
    dtype = np.dtype(char).newbyteorder("=")
    with np.errstate(all="ignore"):
        return result.astype(dtype if dtype.kind == "f" else np.float64)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday(OTHERS, ("e", ">f8", ">i2")))
def test_other_dtypes(char, backend):
    a = some(char)
    for name in WINDOWS:
        for window in (1, 20, 90) if name not in ("move_skew", "move_kurt") else (20,):
            x = (a.astype(np.float64) % 2 + 0.5).astype(char) if name == "move_prod" else a
            inputs = [v.astype(char) for v in inputs_of(name, x)]
            want = narrow(function(name)(*(v.astype(np.float64) for v in inputs), window, 1), char)
            got = function(name)(*inputs, window, 1)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want, err_msg=name)
            out = np.empty(a.shape, got.dtype.newbyteorder(">"))
            assert function(name)(*inputs, window, 1, out=out) is out
            np.testing.assert_array_equal(out, want, err_msg=name)
    for name in EXPONENTIAL:
        inputs = (a, a[::-1].astype(char)) if SCANS[name].inputs == 2 else (a,)
        want = narrow(getattr(ac, name)(*(v.astype(np.float64) for v in inputs), alpha=0.25), char)
        np.testing.assert_array_equal(getattr(ac, name)(*inputs, alpha=0.25), want, err_msg=name)


def test_all_halves(backend):
    """All values of float16, to float64 and back; and what lies between two of them is rounded once, ties to even."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    for a in (halves, halves.astype(">f2")):
        np.testing.assert_array_equal(ac.move_max(a, 1), halves)
        np.testing.assert_array_equal(np.signbit(ac.move_sum(a, 1)[1:100]), False)
    numbers = np.sort(halves[np.isfinite(halves)].astype(np.float64))
    between = [numbers]
    for share in (0.25, 0.5, 0.75):
        between.append(numbers[:-1] + np.diff(numbers) * share)
    between.append(np.array([65519.999, 65520.0, 1e300, 2.0**-25, 2.0**-25 * 1.0001, 1e-300]))
    # Means of three halves, which float16 rarely has.
    x = np.concatenate(between)
    with np.errstate(over="ignore"):
        y = x.astype(np.float16)
        want = ac.move_mean(y.astype(np.float64), 3).astype(np.float16)
    np.testing.assert_array_equal(ac.move_mean(y, 3), want)


@pytest.mark.parametrize("char", [">f8", ">f4", "e"])
@pytest.mark.parametrize("limit", [None, 1])
def test_push_into_another_byte_order(char, limit):
    a = some(char)
    want = ac.push(a.astype(np.float64), limit)
    out = np.empty(a.shape, np.dtype(char).newbyteorder(">"))
    assert ac.push(a, limit, out=out) is out
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("limit", [0, 1, 5, None])
@pytest.mark.parametrize("char", ["M8[s]", "m8[D]", "e", "g", "D", ">f8"])
def test_push_without_a_kernel_by_blocks(char, limit, team):
    """Gaps that begin in one block and end in another one."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(900, 3)) * 100
    a[rng.random(a.shape) < 0.7] = np.nan
    a[100:400, 1] = np.nan
    want = ac.push(a, limit, axis=0)
    if char[0] in "mM":
        nothing, whole = np.isnan(a), np.isnan(want)
        x = np.where(nothing, 0, a).astype(np.int64).astype(char)
        x[nothing] = np.array("NaT", char)
        expected = np.where(whole, 0, want).astype(np.int64).astype(char)
        expected[whole] = np.array("NaT", char)
    else:
        x, expected = a.astype(char), want.astype(char)
    for axis, v, e in ((0, x, expected), (1, x.T, expected.T)):
        np.testing.assert_array_equal(ac.push(v, limit, axis=axis), e)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("dfi?", "di"))
def test_columns_are_lines(char, backend):
    """Widths around those that kernels take side by side; an array of which other columns must not change."""
    slow = settings.backend() == "fallback"
    for width in (16, 65) if slow else (1, 15, 16, 17, 32, 48, 63, 64, 65, 80, 128, 144):
        a = some(char, 230 * width).reshape(230, width)
        for name in ("move_sum", "move_max", "move_var", "move_argmin", "move_skew"):
            for window in (1, 5, 20, 64, 70, 200):
                wide = np.full((230, width + 40), -7.0 if char != "f" else np.float32(-7))
                out = wide[:, 20:-20]
                function(name)(a, window, 1, 0, out=out)
                want = function(name)(np.ascontiguousarray(a.T), window, 1)
                np.testing.assert_array_equal(out, want.T, err_msg=f"{name} {width} {window}")
                assert (wide[:, :20] == -7).all()
                assert (wide[:, -20:] == -7).all()


# ---- the short way for small arrays

SHORT = [name for name, row in WINDOWS.items() if row.inputs == 1 and name not in SORTING]


@pytest.mark.parametrize("level", [name for name in BACKENDS if name != "fallback"])
@pytest.mark.parametrize("name", SHORT)
def test_the_short_way(name, level):
    """The engine's bits, for one and two dimensions, any dtype, layout and axis."""
    door = getattr(_kernels.load(level), f"small_{name}")
    more = (1,) if "ddof" in WINDOWS[name].parameters else ()
    rng = np.random.default_rng(0)
    for char in (*DTYPES, "e", ">i4"):
        line = some(char, 200)
        table = some(char, 70 * 80)[rng.permutation(5600)].reshape(70, 80)
        arrays = (
            line,
            line[::-2],
            table,
            table.T,
            table[::3, ::-1],
            table[:, :1],
            table[:1],
            table[:65, :65].copy("F"),
        )
        for i, a in enumerate(arrays):
            for axis in range(-a.ndim, a.ndim):
                window = min(a.shape[axis], (1, 7, 20, 66)[i % 4])
                for least, center in ((None, False), (1, True), (window, False)):
                    got = door(a, window, least, axis, center, *more)
                    with settings.use_backend(level):
                        want = function(name)(
                            a, window, least, axis, center=center, **dict.fromkeys(["ddof"][: len(more)], 1)
                        )
                    assert got.dtype == want.dtype
                    assert got.strides == want.strides
                    np.testing.assert_array_equal(got.view(f"u{got.itemsize}"), want.view(f"u{got.itemsize}"))


@pytest.mark.parametrize("name", SHORT)
def test_what_the_short_way_leaves_to_the_engine(name):
    door = getattr(_kernels.load(_kernels.DEFAULT), f"small_{name}", None)
    if door is None:
        pytest.skip("no compiled kernels")
    more = (1,) if "ddof" in WINDOWS[name].parameters else ()
    a = np.ones(20)
    assert door(a, 3, None, -1, False, *more) is not None
    for window, least, axis in (
        *((window, None, -1) for window in (0, -1, 21, 3.0, True, None, 1 << 70)),
        *((3, least, -1) for least in (0, 4, -1, 2.0, True, 1 << 70)),
        *((3, None, axis) for axis in (1, -2, None, 0.0, 1 << 70)),
    ):
        assert door(a, window, least, axis, False, *more) is None
    for other in (
        *(np.ones(20, char) for char in ("F", "O", "M8[s]", "g", ">f8", ">f4", "S1")),
        np.float64(1),
        np.ones(()),
        np.ones(0),
        np.ones((2, 2, 2)),
        np.ones(1 << 15),
        [1.0, 2.0],
    ):
        assert door(other, 1, None, -1, False, *more) is None


# ---- who computes


class Delegated(Exception):
    pass


@pytest.fixture
def compiled_only(monkeypatch):
    """A fallback of which every function raises, and a NumPy without views of windows."""

    def refuse(*args, **kwargs):
        raise Delegated

    for name, module in list(sys.modules.items()):
        if name.startswith("allcores._kernels.fallback"):
            for attribute, value in list(vars(module).items()):
                if isinstance(value, FunctionType) and value.__module__.startswith("allcores"):
                    monkeypatch.setattr(module, attribute, refuse)
    monkeypatch.setattr(np.lib.stride_tricks, "sliding_window_view", refuse)


def calls():
    for name, row in WINDOWS.items():
        for char in row.cells + "e":
            yield name, char
    for name, row in SCANS.items():
        for char in row.cells:
            yield name, char


def call(name, a):
    if name == "push":
        return ac.push(a)
    if name == "replace":
        return ac.replace(a.copy(), 1, 0)
    if name in WINDOWS:
        return function(name)(*inputs_of(name, a), 20, 1)
    return getattr(ac, name)(*((a, a) if SCANS[name].inputs == 2 else (a,)), alpha=0.5)


@pytest.mark.parametrize("level", [name for name in BACKENDS if name != "fallback"])
def test_compiled_cells_are_compiled(level, request):
    arrays = {(name, char): some(char, 300) for name, char in calls()}
    with settings.use_backend("fallback"):
        want = {cell: call(cell[0], a) for cell, a in arrays.items()}
    request.getfixturevalue("compiled_only")
    with settings.use_backend(level):
        for cell, a in arrays.items():
            np.testing.assert_array_equal(call(cell[0], a), want[cell], err_msg=repr(cell))


def test_the_fallback_is_not_compiled(compiled_only):
    with settings.use_backend("fallback"):
        for name in (*WINDOWS, *SCANS):
            with pytest.raises(Delegated):
                call(name, some("d", 300))


# ---- memory

MEMORY = """
    import re, sys
    import numpy as np
    import allcores as ac

    def status(field):
        with open("/proc/self/status") as file:
            return int(re.search(field + r":\\s+(\\d+) kB", file.read())[1]) / 1024

    def beyond(call, shape, dtype):
        x = np.zeros(shape, dtype)
        x[::3] = 1
        out = np.zeros(shape, "f4" if dtype == ">f4" else dtype)  # a result in the native byte order
        out[...] = 1
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = status("VmRSS")
        call(x, out)
        return status("VmHWM") - before

    w = 5000
    calls = {
        "move_sum": lambda x, out: ac.move_sum(x, w, axis=0, out=out, workers=2),
        "move_var": lambda x, out: ac.move_var(x, w, axis=0, out=out, workers=2),
        "move_median": lambda x, out: ac.move_median(x, w, axis=0, out=out, workers=2),
        "move_exp_nanvar": lambda x, out: ac.move_exp_nanvar(x, alpha=0.1, axis=0, out=out, workers=2),
        "push": lambda x, out: ac.push(x, axis=0, out=out, workers=2),
    }
    ac.move_sum(np.ones(100), 3, workers=2)
    for name, call in calls.items():
        for dtype in ("f8", "f4", ">f4", "e"):
            for shape in ((6_000_000,), (6_000, 1_000)):
                if name == "move_median" and (len(shape) == 2 or dtype != "f8"):
                    continue
                print(name, dtype, len(shape), f"{beyond(call, shape, dtype):.1f}")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs /proc")
def test_memory():
    """The result, and a few chunks: 10 MiB a worker; float64 of all elements would be 46."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEMORY)], capture_output=True, text=True, timeout=120, check=False
    )
    if "PermissionError" in done.stderr:
        pytest.skip("no access to /proc/self/clear_refs")
    assert done.stderr == ""
    found = [line.split() for line in done.stdout.splitlines()]
    assert len(found) == 4 * 2 * 4 + 1
    assert not [line for line in found if float(line[3]) > 20]
