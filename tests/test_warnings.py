"""Warnings as NumPy gives them, under the caller's `np.errstate`, and none where NumPy is quiet."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers import FUNCTIONS, bits, oracle, sample

import allcores as ac


def caught(function, *args, **kwargs):
    """The categories of the warnings of a call, or what it raises."""
    with warnings.catch_warnings(record=True) as record, np.errstate(divide="warn", over="warn", invalid="warn"):
        warnings.simplefilter("always")
        try:
            function(*args, **kwargs)
        except Exception as error:
            return type(error)
    return sorted({entry.category for entry in record}, key=str)


def same(name, a, message="", **kwargs):
    got, want = caught(getattr(ac, name), a, **kwargs), caught(oracle(name), a, **kwargs)
    assert got == want, f"{name} {message} {kwargs}: {got} instead of {want}"


def views(a):
    """An array and its reductions along lines and columns, large and small."""
    return [(a, axis) for axis in (None, 0, 1)] + [(a.T, 0), (a[:, ::-1], 1), (a[::2], 0)]


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_quiet_nan(name, char, backend, team):
    """NaN in the input is not an invalid operation."""
    for shape in ((40, 7), (200, 100)):
        a = (sample(shape, char) + 8) / 8
        a[3, 5] = a[0, 0] = np.nan
        a[np.random.default_rng(0).random(shape) < 0.1] = np.nan
        for x, axis in views(a):
            with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
                warnings.simplefilter("error")
                getattr(ac, name)(x, axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_quiet_on_large_arrays(name, backend):
    a = sample((1000, 777), "d")
    a = np.exp(a / 1000) if "prod" in name else a
    a[np.random.default_rng(0).random(a.shape) < 0.1] = np.nan
    for axis in (0, 1, None):
        with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")
            getattr(ac, name)(a, axis=axis)


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_quiet_on_numbers(name, char, way):
    for n in (1, 3, 31, 100, 5000):
        a = sample((n,), char)
        with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")
            getattr(ac, name)(a)
            getattr(ac, name)(np.zeros_like(a))


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_but_nan(name, char, backend, team):
    a = np.abs(sample((40, 7), char)) / 8 + 1
    a[:, 2] = np.nan
    a[5] = np.nan
    for x, axis in views(a):
        same(name, x, axis=axis)
    same(name, np.full(5, np.nan, dtype=char))
    same(name, np.full((1, 5), np.nan, dtype=char), axis=0)


@pytest.mark.parametrize("char", "?qfd")
@pytest.mark.parametrize("name", ["mean", "nanmean", "var", "nanvar", "std", "nanstd"])
def test_nothing_selected(name, char, backend, team):
    a = sample((40, 7), char)
    some = np.ones((40, 7), dtype=bool)
    some[:, 2] = False
    some[5] = False
    for axis in (None, 0, 1):
        same(name, a, axis=axis, where=some)
        same(name, a, axis=axis, where=np.zeros(7, dtype=bool))


@pytest.mark.parametrize("char", "?qfd")
@pytest.mark.parametrize("name", ["var", "nanvar", "std", "nanstd"])
def test_degrees_of_freedom(name, char, backend, team):
    a = sample((3, 40), char)
    for ddof in (0, 1, 2, 3, 4, 40, 120, 121):
        for axis in (None, 0, 1):
            same(name, a, axis=axis, ddof=ddof)
    if char in "fd":
        a[:2, 5] = np.nan
        a[2, 6] = np.nan
        for ddof in (0, 1, 2, 3):
            same(name, a, axis=0, ddof=ddof)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_empty(name, door):
    for shape, axis in (((0,), None), ((0, 3), 0), ((0, 3), 1), ((3, 0), 1)):
        for char in "qfd":
            same(name, np.zeros(shape, dtype=char), axis=axis)


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "nansum", "nanmean", "nanprod", "var", "nanvar", "ptp", "ss"])
def test_infinities(name, char, backend, team):
    """inf - inf is invalid, inf + inf is not."""
    for values in ([np.inf, -np.inf], [np.inf, np.inf], [np.inf], [-np.inf, np.nan], [np.inf, 0.0]):
        a = np.ones((40, 33), dtype=char)
        a[1 : 1 + len(values), 4] = values
        for axis in (None, 0):
            same(name, a, axis=axis, message=str(values))
        same(name, a.T, axis=1, message=str(values))
        same(name, a[:, 4], message=str(values))


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "nansum", "nanmean", "nanprod", "var", "nanvar", "ss", "std"])
def test_overflow(name, backend, team):
    """Of results: sums of float32 are kept in float64 on the way, so only what NumPy's result can't hold overflows."""
    for char, huge in (("d", 1.7e308), ("f", 3e38)):
        if char == "f" and name in ("mean", "nanmean", "var", "nanvar", "std"):
            continue  # finite here, where NumPy's float32 overflows on the way
        a = np.full((40, 33), huge, dtype=char)
        a[::2] /= 2
        for axis in (None, 0, 1):
            same(name, a, axis=axis, message=char)
        b = np.ones((40, 33), dtype=char)
        b[7, 3] = huge
        if name in ("sum", "mean", "nansum", "nanmean", "prod", "nanprod"):
            same(name, b, axis=0, message=char)


@pytest.mark.parametrize("kind", ["raise", "ignore", "warn"])
@pytest.mark.parametrize("name", ["sum", "nansum", "prod", "ss", "var", "mean"])
def test_errstate(name, kind, backend, team):
    """What the caller's errstate says happens, also where another thread has computed."""
    for a in (np.full((300, 50), 1.7e308), np.array([np.inf, -np.inf] * 40)):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = oracle(name)(a)
        invalid = bool(np.isnan(want))
        with np.errstate(all=kind, under="ignore"), warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            if kind == "raise" and not (name in ("prod", "ss") and np.isinf(a).any()):
                with pytest.raises(FloatingPointError):
                    getattr(ac, name)(a)
                continue
            np.testing.assert_array_equal(np.isnan(getattr(ac, name)(a)), invalid)
        quiet = kind == "ignore" or (name in ("prod", "ss") and np.isinf(a).any())
        assert bool(record) is not quiet, [str(entry.message) for entry in record]


def test_errstate_call(backend, team):
    raised = []
    with np.errstate(all="call", call=lambda kind, flag: raised.append(kind)):
        ac.sum(np.full((300, 50), 1.7e308))
    assert "overflow" in raised


@pytest.mark.filterwarnings("error")  # also where threads run tests side by side
@pytest.mark.thread_unsafe(reason="warnings are errors")
def test_out_is_untouched_where_a_warning_raises(backend, team):
    out = np.full(50, 1.0)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        ac.sum(np.full((300, 50), 1.7e308), axis=0, out=out)
    assert (out == 1).all()
    for name in ("nanmean", "nanvar", "nanmax"):
        # Warnings are errors in these tests.
        with pytest.raises(RuntimeWarning):
            getattr(ac, name)(np.full((300, 50), np.nan), axis=0, out=out)
        assert (out == 1).all()


@pytest.mark.parametrize("name", ["mean", "nanmean", "var", "nanvar", "nanmax", "nanmin"])
def test_warnings_point_at_the_caller(name, backend, team):
    a = np.full((40, 7), np.nan)
    options = {"where": np.zeros(7, dtype=bool)} if name in ("mean", "var") else {}
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        getattr(ac, name)(a, **options)
    told = [entry for entry in record if "slice" in str(entry.message)]
    assert told
    assert {entry.filename for entry in told} == {__file__}


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_neighbours_in_memory(name, char, backend, door):
    """What follows a row in memory may be read with it, but raises no flag."""
    base = np.full((50, 100), 1e30 if char == "f" else 1e300, char)
    base[:, 40:60] = np.array([np.inf, -np.inf, np.nan, 0, -base[0, 0]] * 4)
    base[:, :28] = sample((50, 28), char)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        got = getattr(ac, name)(base[:, :28], axis=1)
        assert bits(got) == bits(getattr(ac, name)(base[:, :28].copy(), axis=1))
