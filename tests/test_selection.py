"""Partitions by their property and by their definition, topk by sorting; long lanes; the same bits everywhere."""

from __future__ import annotations

import os
import sys
import warnings

import numpy as np
import pytest
from helpers import DTYPES, bits, outcome, python, salted, sample
from test_quantiles import DATA, OtherNumPy, killer, long_lanes

import allcores as ac
from allcores._engine import execute
from allcores._families import selection

pytestmark = pytest.mark.kernel("pick")

__all__ = ["long_lanes"]  # a fixture


def classes(a, kth, axis: int):
    """The class of each element: twice the number of pivots below it, and one more for each that it equals."""
    n = a.shape[axis]
    pivots = np.take(np.sort(a, axis=axis), np.unique(np.asarray(kth, np.intp).ravel() % n), axis=axis)
    result = np.zeros(a.shape, np.int64)
    for j in range(pivots.shape[axis]):
        pivot = np.take(pivots, [j], axis=axis)
        missing = pivot != pivot
        above = (a > pivot) | ((a != a) & ~missing)
        result += 2 * above + ((a == pivot) | ((a != a) & missing))
    return result


def expected(a, kth, axis: int):
    """Positions, by the definition."""
    return np.argsort(classes(a, kth, axis), axis=axis, kind="stable")


def check(a, kth, axis: int = -1) -> None:
    got, where = ac.partition(a, kth, axis), ac.argpartition(a, kth, axis)
    want = expected(a, kth, axis)
    message = repr((a.dtype.str, a.shape, a.strides, kth, axis))
    assert got.dtype == a.dtype, message
    assert where.dtype == np.intp, message
    np.testing.assert_array_equal(where, want, err_msg=message)
    # Bit for bit the elements themselves, of zeros the sign, too.
    assert bits(got) == bits(np.take_along_axis(a, want, axis).astype(a.dtype, copy=False)), message
    in_order = np.sort(a, axis=axis)
    for k in np.asarray(kth).ravel():
        np.testing.assert_array_equal(np.take(got, k, axis), np.take(in_order, k, axis), err_msg=message)
        np.testing.assert_array_equal(np.take(got, k, axis), np.take(np.partition(a, k, axis), k, axis))


@pytest.mark.parametrize("char", DTYPES)
def test_partitions(char, backend):
    for n in (1, 2, 33, 64, 65, 300):
        for shape in ((n,), (n, 3), (2, n, 9), (4, n, 1)):
            axis = 0 if len(shape) < 3 else 1
            a = sample(shape, char)
            few = (a.astype("d") % 3).astype(char)
            for x in (a, few, *((salted(a, "some"), salted(a, "zeros")) if char in "fd" else ())):
                for kth in (0, n // 2, -1, [n // 3, n // 2], [0, n // 2, n - 1, n // 2, -n]):
                    check(x, kth, axis)


def test_axes(backend):
    a = salted(sample((5, 9, 7), "d").round(1), "some")
    for axis in range(-3, 3):
        kth = a.shape[axis] // 2
        check(a, kth, axis)
        check_topk(a, kth, axis)
    np.testing.assert_array_equal(ac.partition(a, 20, None)[20], np.sort(a, axis=None)[20])


def test_many_pivots(backend):
    a = salted(sample((700,), "d").round(2), "some")
    check(a, np.arange(0, 700, 3))
    assert bits(ac.partition(a, np.array([], int))) == bits(np.partition(a, np.array([], int)))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((9,), {}),
        ((-10,), {}),
        (([1, 9],), {}),
        ((1.5,), {}),
        (("a",), {}),
        (([[1]],), {}),
        ((1, 3), {}),
        ((1, 1.0), {}),
        ((1,), {"kind": "quick"}),
        ((1,), {"order": "x"}),
    ],
)
def test_bad_arguments(args, kwargs, backend):
    a = sample((9,), "d")
    for name in ("partition", "argpartition"):
        want = outcome(getattr(np, name), a, *args, **kwargs)
        assert isinstance(want, type)
        assert outcome(getattr(ac, name), a, *args, **kwargs) is want


def test_other_dtypes(backend):
    for dtype in ("e", ">f8", ">i4", "g", "F", "O", "m8[s]"):
        a = (sample((40,), "d") * 10).astype(dtype)
        got = ac.partition(a, 13)
        assert got.dtype == a.dtype
        assert got[13] == np.sort(a)[13]
        assert a[ac.argpartition(a, 13)][13] == got[13]
        if dtype != "O":
            check_topk(a, 5, 0)
    for a in (np.empty(0), np.empty((0, 3)), np.empty((3, 0))):
        for axis in (-1, None):
            want = outcome(np.partition, a, 0, axis)
            got = outcome(ac.partition, a, 0, axis)
            assert got is want or got.shape == want.shape
    masked = np.ma.array([3.0, 2.0, 1.0], mask=[False, False, True])
    assert type(outcome(ac.partition, masked, 1)) is type(outcome(np.partition, masked, 1))


def laid_out(char: str, shape: tuple[int, ...]):
    """Elements with many equals that can be told apart, by the sign of a zero or a NaN, or their bytes."""
    rng = np.random.default_rng(0)
    a = rng.integers(-3, 4, shape)
    if char == "O":
        return np.array([1, 1.0, True, 0, 0.0, False, -1.0], dtype=object)[a + 3]
    if char == "?":
        return np.where(a > 0, rng.integers(1, 256, shape), 0).astype("u1").view(bool)
    if char == "V":
        return np.array([*zip(a.flat, rng.random(a.size), strict=True)], dtype="i4,f8").reshape(shape)
    a = a.astype(f"{char}8[s]" if char in "mM" else "U2" if char == "U" else char)
    if char in "efdgFD":
        a = np.where(rng.random(shape) < 0.2, np.array(np.nan, char), np.copysign(a.real, rng.normal(size=shape)))
    elif char in "mM":
        a[rng.random(shape) < 0.2] = "NaT"
    return a.astype(char) if char in "efdgFD" else a


@pytest.mark.parametrize("char", [*DTYPES, *"egFDOmMUV"])
def test_elements_and_positions_have_one_arrangement(char, backend):
    """Also where NumPy computes, and however the axis is said."""
    for shape, axis in (((1,), 0), ((40,), -1), ((3000,), 0), ((7, 300), 1), ((300, 7), 0), ((5, 6, 7), 1)):
        if char in "OV" and np.prod(shape) > 1000:
            continue  # which NumPy takes seconds to compare
        a = laid_out(char, shape)
        n = shape[axis]
        for x in (a, a[::-1], np.asfortranarray(a)):
            for kth in (n // 2, [n // 3, -1, n // 2], np.arange(0, n, n // 9 + 1)):
                for number in (axis, np.int64(axis), np.int8(axis)):
                    got, where = ac.partition(x, kth, number), ac.argpartition(x, kth, number)
                    want = np.take_along_axis(x, where, axis)
                    message = (char, shape, axis, kth)
                    if char in "OV":
                        assert [*map(repr, got.flat)] == [*map(repr, want.flat)], message
                    elif char in "gFD":  # there is padding between some of them, and a NaN is never equal
                        np.testing.assert_array_equal(got, want, err_msg=repr(message))
                        np.testing.assert_array_equal(np.signbit(got.real), np.signbit(want.real))
                    else:
                        assert got.tobytes() == want.tobytes(), message
        flat = ac.partition(a, n // 2, None)
        assert [*map(repr, flat)] == [*map(repr, a.reshape(-1)[ac.argpartition(a, n // 2, None)])]


# ---- topk


def best(a, axis: int, largest: bool):
    """Positions in order: the best first, equal ones by position, what is missing last."""
    n = a.shape[axis]
    lines = np.moveaxis(a, axis, -1)
    result = np.empty(lines.shape, np.intp)
    for at in np.ndindex(lines.shape[:-1]):
        line = lines[at].tolist() if a.dtype.kind != "m" else lines[at].astype("q").tolist()
        numbers = [i for i in range(n) if line[i] == line[i]]
        key = [(line[i].real, line[i].imag) if isinstance(line[i], complex) else line[i] for i in range(n)]
        numbers.sort(key=key.__getitem__, reverse=largest)  # Python's sort is stable, backwards, too
        result[at] = numbers + [i for i in range(n) if line[i] != line[i]]
    return np.moveaxis(result, -1, axis)


def check_topk(a, k: int, axis: int) -> None:
    for largest in (True, False):
        want = np.take(best(a, axis, largest), np.arange(k), axis)
        values, indices = ac.topk(a, k, axis, largest=largest)
        assert values.dtype == a.dtype
        assert indices.dtype == np.intp
        np.testing.assert_array_equal(indices, want, err_msg=repr((a.dtype.str, a.shape, a.strides, k, axis, largest)))
        np.testing.assert_array_equal(values, np.take_along_axis(a, want, axis))
        values, indices = ac.topk(a, k, axis, largest=largest, sorted=False)
        np.testing.assert_array_equal(np.sort(indices, axis=axis), np.sort(want, axis=axis))
        np.testing.assert_array_equal(values, np.take_along_axis(a, indices, axis))


@pytest.mark.parametrize("char", DTYPES)
def test_topk(char, backend):
    for shape, axis in (((1,), 0), ((40,), 0), ((70, 3), 0), ((3, 130), 1)):
        a = sample(shape, char)
        if char in "bhilq":
            a.flat[0] = np.iinfo(char).min  # what is turned into the largest key
        few = (a.astype("d") % 3).astype(char)
        for x in (a, few, *((salted(a, "some"), salted(a, "all"), salted(a, "zeros")) if char in "fd" else ())):
            for k in sorted({0, 1, min(5, a.shape[axis]), a.shape[axis] - 1, a.shape[axis]}):
                check_topk(x, k, axis)


def test_order_of_unsorted(backend):
    a = np.array([5.0, 1.0, 7.0, 5.0, 9.0, 5.0])
    assert ac.topk(a, 4, sorted=False)[1].tolist() == [2, 4, 0, 3]
    assert ac.topk(a, 3, largest=False, sorted=False)[1].tolist() == [1, 0, 3]
    assert ac.topk([[1, 2], [3, 4]], 2, None)[1].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("k", "axis", "error"),
    [(10, 0, ValueError), (-1, 0, ValueError), (1.5, 0, TypeError), (True, 0, TypeError), (1, 1, ValueError)],
)
def test_bad_k(k, axis, error):
    with pytest.raises(error):
        ac.topk(np.arange(9.0), k, axis)


# ---- long lanes, and the same bits


@pytest.mark.parametrize("kind", DATA)
def test_long_lanes(kind, backend, monkeypatch):
    monkeypatch.setattr(selection, "longest", 1000)
    monkeypatch.setattr(selection, "budget", 2000)
    monkeypatch.setattr(selection, "sample_size", 256)
    n = 3000
    a = np.ascontiguousarray(DATA[kind](np.random.default_rng(3), n))
    for x in (a, np.repeat(a, 2)[::2]):
        check(x, n // 3)
        check(x, [5, n // 2, -2])
    check_topk(a, 20, 0)
    check_topk(a, n - 5, 0)


def test_many_pivots_of_a_long_lane(backend, monkeypatch):
    """So many that the last pass for their values has larger chunks."""
    monkeypatch.setattr(selection, "longest", 1000)
    monkeypatch.setattr(execute, "output_chunk", 64)
    monkeypatch.setattr(selection, "budget", 100)
    a = np.random.default_rng(0).permutation(np.repeat(np.arange(600.0), 10))
    check(a, np.arange(50) * 120 + 5)


@pytest.mark.parametrize("char", "qQdf?")
def test_few_of_a_long_lane(char, backend, monkeypatch):
    """Ties, order, extremes of the range: where a sample helps, and where it misleads."""
    monkeypatch.setattr(selection, "longest", 500)
    monkeypatch.setattr(selection, "sample_size", 128)
    n = 2000
    dtype = np.dtype(char)
    limits = {"q": (-(2**63), 2**63 - 1), "Q": (0, 2**64 - 1), "?": (0, 1)}.get(char, (-np.inf, np.inf))
    rng = np.random.default_rng(0)
    for a in (
        *(np.full(n, limit, dtype) for limit in limits),
        np.where(rng.random(n) < 0.01, *(np.array(limit, dtype) for limit in limits)),
        np.sort(sample((n,), char)),
        np.sort(sample((n,), char))[::-1],
        *((salted(sample((n,), char), "all"), np.where(rng.random(n) < 0.99, np.nan, 1)) if char in "df" else ()),
    ):
        check_topk(a.astype(dtype), 7, 0)


def test_killer():
    a = killer(1 << 17)
    assert ac.partition(a, len(a) // 2)[len(a) // 2] == np.sort(a)[len(a) // 2]


@pytest.mark.parametrize("char", DTYPES)
def test_cells_are_computed_here(char, monkeypatch):
    a = sample((7, 137), char)
    want = np.sort(a, axis=1)[:, 30]
    for name, module in list(sys.modules.items()):
        if name.startswith("allcores.") and "_kernels" not in name and getattr(module, "np", None) is np:
            monkeypatch.setattr(module, "np", OtherNumPy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(ac.partition(a, 30)[:, 30], want)
        np.testing.assert_array_equal(np.take_along_axis(a, ac.argpartition(a, 30), 1)[:, 30], want)
        ac.topk(a, 9, sorted=False)
    with pytest.raises(AssertionError, match="is used"):
        ac.partition(a.astype("F"), 3)


MEMORY = """
import numpy as np
import allcores as ac

def status(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1000

ac.partition(np.ones(100), 3, workers=2)
table = (2_000, 2_000)
for shape, axis in (((4_000_000,), 0), ((100_000, 40), 0), ((40, 100_000), 1), (table, 0), (table, 1)):
    for name in ("partition", "argpartition"):
        a = np.random.default_rng(0).random(shape)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = status("VmRSS")
        result = getattr(ac, name)(a, shape[axis] // 2, axis=axis, workers=2)
        print(shape, f"{status('VmHWM') - before - result.nbytes / 1e6:.1f}", sep=";")
        del a, result
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs /proc")
def test_memory():
    """Of two workers, beyond the result of 32 MB: 10 MB each for columns, 3 for lines."""
    done = python(MEMORY)
    if "PermissionError" in done.stderr:
        pytest.skip("no access to /proc/self/clear_refs")
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 10
    for line in done.stdout.splitlines():
        shape, beyond = line.split(";")
        assert float(beyond) < {"(4000000,)": 12, "(100000, 40)": 22}.get(shape, 8), line
