"""NumPy is the oracle: every public reduction x dtype x layout x axis x backend."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    DTYPES,
    FUNCTIONS,
    PATTERNS,
    axes_of,
    check,
    everyday,
    near_one,
    outcome,
    salted,
    sample,
    takes,
)

import allcores as ac
from allcores._engine import execute

LINES = (1, 2, 31, 32, 33, 511, 512, 513, 1280, 2816, 4095, 4096, 4097, 3 * 4096 + 5)
ROWS = (1, 2, 31, 32, 33, 64, 65, 200)


def data(name, shape, char, seed=0):
    a = sample(shape, char, seed)
    return near_one(a) if name in ("prod", "nanprod") else a


@pytest.mark.parametrize("char", everyday(DTYPES, "?hQfd"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtypes(name, char, backend, team):
    a = data(name, (3, 37, 5), char)
    for axis in axes_of(3):
        check(name, a, axis=axis)
        check(name, a.T, axis=axis)


@pytest.mark.parametrize("char", everyday("?bhILqfd", "?qfd"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_lengths_of_lines(name, char, backend, team):
    for i, n in enumerate(LINES):
        a = data(name, (2, n), char, seed=i)
        check(name, a[0])
        check(name, a, axis=1)
        check(name, np.repeat(a[1], 2)[::2])
        if char in "fd":
            check(name, salted(a, PATTERNS[i % len(PATTERNS)]), axis=1)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("?BhiQfd", "?ifd"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_lengths_of_columns(name, char, backend, team):
    for i, n in enumerate(ROWS):
        a = data(name, (n, 7), char, seed=i)
        check(name, a, axis=0)
        check(name, np.repeat(a, 2, axis=1)[:, ::2], axis=0)
        check(name, a[:, ::-1], axis=0)
        if char in "fd":
            check(name, salted(a, PATTERNS[i % len(PATTERNS)]), axis=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wide_columns(name, backend, engine_only):
    """More columns than a tile, and than the inner tiles of variances and positions."""
    for char, shape in (("d", (40, 4099)), ("f", (3, 9000)), ("h", (33, 1025))):
        a = data(name, shape, char)
        check(name, a if char == "h" else salted(a, "some"), axis=0)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("char", everyday("fd", "d"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_and_infinities(name, char, pattern, backend, team):
    a = salted(data(name, (4, 70, 3), char), pattern)
    for view in (a, a.transpose(2, 1, 0), np.asfortranarray(a), a[:, ::-2]):
        for axis in axes_of(3):
            check(name, view, axis=axis, message=pattern)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if takes(name, "keepdims")])
def test_keepdims(name, backend, team):
    for char in "d?Bq":
        a = data(name, (3, 37, 5), char)
        for axis in axes_of(3):
            for keepdims in (True, False):
                check(name, a, axis=axis, keepdims=keepdims)
                check(name, a.transpose(1, 2, 0)[::-1], axis=axis, keepdims=keepdims)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("?bQfd", "?d"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_small_arrays(name, char, way):
    """As users call it: nothing is forced."""
    for shape in ((1,), (2,), (10,), (1000,), (5000,), (1, 1), (3, 4), (40, 50), (2, 3, 4), (2, 2, 2, 2)):
        a = data(name, shape, char)
        for x in (a, salted(a, "some") if char in "fd" else a, np.asfortranarray(a), a[::-1]):
            check(name, x)
            for axis in range(-a.ndim, a.ndim):
                check(name, x, axis=axis)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("?bQfd", "Qd"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_large_arrays(name, char, backend):
    """Above every threshold, with the team and the chunks that users get."""
    a = data(name, (700, 1500), char)
    for x in (a, a.T[::-1]):
        for axis in (None, 0, 1):
            check(name, x, axis=axis)


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", ["min", "max", "nanmin", "nanmax"])
def test_the_first_of_equal_zeros(name, char, backend, team):
    """NumPy leaves open which zero it is: here it is the first."""
    sign = -1.0 if name.endswith("min") else 1.0
    for n in (2, 3, 31, 33, 64, 4095, 4097, 9000):
        for at in {0, 1, n // 2, n - 2}:
            for first in (0.0, -0.0):
                line = np.full(n, -sign, dtype=char)
                line[at], line[at + 1 :] = first, -first
                for x, axis in ((line, None), (np.stack([line, line], axis=1), 0), (np.stack([line, line]), 1)):
                    result = np.asarray(getattr(ac, name)(x, axis=axis))
                    assert (np.signbit(result) == np.signbit(first)).all(), (n, at, first, axis)


@pytest.mark.parametrize("char", "fd")
@pytest.mark.parametrize("name", ["nanmin", "nanmax", "nanargmin", "nanargmax"])
@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_one_number_among_nan(name, char, chunk, backend, team, monkeypatch):
    """At each place; also where it is what stands for NaN, an infinity."""
    monkeypatch.setattr(execute, "chunk_size", chunk)
    for number in (np.inf, -np.inf, 1.0):
        for n in (1, 2, 33, 70, 300):
            a = np.full((n, n), np.nan, char)
            np.fill_diagonal(a, number)
            want = np.arange(n) if "arg" in name else np.full(n, number, char)  # NumPy finds a NaN instead of infinity
            for axis in (0, 1):
                np.testing.assert_array_equal(getattr(ac, name)(a, axis=axis), want, err_msg=f"{number} {n} {axis}")
        for at in (0, 255, 4095, 4096, 8999):
            line = np.full(9000, np.nan, char)
            line[at] = number
            assert getattr(ac, name)(line) == (at if "arg" in name else number), at


def test_sums_of_negative_zero(backend, team):
    for name in ("sum", "mean", "prod", "nansum", "nanmean"):
        for a in (np.full(5, -0.0), np.full((40, 3), -0.0), np.full(4097, -0.0, "f")):
            for axis in (None, 0):
                got, want = getattr(ac, name)(a, axis=axis), outcome(getattr(np, name), a, axis=axis)
                np.testing.assert_array_equal(np.signbit(got), np.signbit(want), err_msg=f"{name} {a.shape} {axis}")
