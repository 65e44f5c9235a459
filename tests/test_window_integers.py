"""Moving windows of integers that float64 can't tell apart, against definitions in Python's integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers import bits, unaligned

import allcores as ac
from allcores._engine import settings

pytestmark = pytest.mark.kernel("move_sum")

NAMES = ("move_sum", "move_mean", "move_min", "move_max", "move_argmin", "move_argmax", "move_rank", "move_median")
WIDE = ("i8", "u8")
SHAPES = ((40, 5, False, 5), (200, 64, True, 1), (400, 66, False, 20), (700, 310, True, 310))
METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "hazen", "averaged_inverted_cdf")
STAMP = 1_700_000_000_000_000_000  # nanoseconds: float64 has every 256th


def series(dtype: str, n: int) -> dict[str, np.ndarray]:
    """Integers of each kind: from end to end, neighbours, ends alone, and a few large ones among small ones."""
    rng = np.random.default_rng(n)
    ends = np.iinfo(dtype)
    mixed = rng.integers(0, 100, n).astype(dtype)
    mixed[n // 2 : n // 2 + 3] = ends.max
    mixed[-1] = ends.min
    return {
        "any": rng.integers(ends.min, ends.max, n, dtype=dtype, endpoint=True),
        "stamps": (STAMP + rng.integers(0, 4, n)).astype(dtype),
        "ends": rng.choice(np.array([ends.min, ends.max, ends.min + 1, ends.max - 1], dtype), n),
        "mixed": mixed,
        "at the limit": np.array(2**53 - 2 + rng.integers(0, 5, n), dtype),
        "descending": np.sort(rng.integers(STAMP, STAMP + n, n)).astype(dtype)[::-1],
    }


def of_window(name: str, w: list[int], newest: int, end: int) -> float:
    """The value of one window; `end` is how far beyond its last element it would reach."""
    if name in ("move_sum", "move_mean"):
        return float(sum(w)) / (len(w) if name == "move_mean" else 1)
    if name in ("move_min", "move_max"):
        return float({"move_min": min, "move_max": max}[name](w))
    if name in ("move_argmin", "move_argmax"):
        best = (min if name == "move_argmin" else max)(w)
        return float(w[::-1].index(best) + end)
    if name == "move_median":
        ordered = sorted(w)
        return float(Fraction(ordered[(len(w) - 1) // 2] + ordered[len(w) // 2], 2))
    below = sum(v < newest for v in w) + sum(v <= newest for v in w)
    return 2.0 * (0.5 * (below - 1.0) / (len(w) - 1.0) - 0.5) if len(w) > 1 else 0.0


def defined(name: str, x: np.ndarray, window: int, least: int, center: bool) -> np.ndarray:
    values = x.tolist()
    n, result = len(values), []
    for i in range(n):
        last = i + ((window - 1) // 2 if center else 0)
        w = values[max(0, last - window + 1) : last + 1]
        newest = values[min(last, n - 1)]
        result.append(of_window(name, w, newest, max(last - (n - 1), 0)) if len(w) >= least else np.nan)
    return np.array(result)


def layouts(x: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """The same series as a line of memory, and otherwise; and its axis."""
    apart = np.zeros((len(x), 3), x.dtype)
    apart[:, 1] = x
    return {
        "line": (x, 0),
        "backwards": (x[::-1].copy()[::-1], 0),
        "apart": (apart[:, 1], 0),
        "unaligned": (unaligned(x), 0),
        "other byte order": (x.astype(x.dtype.newbyteorder()), 0),
        "short lines": (np.stack([x, x[::-1]]), 1),
        "columns": (np.stack([x, x[::-1], x], axis=1), 0),
        "columns, other byte order": (np.stack([x, x[::-1]], axis=1).astype(x.dtype.newbyteorder()), 0),
    }


@pytest.mark.slow_fallback
@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("name", NAMES)
def test_exact(name, dtype, way):
    for n, window, center, least in SHAPES:
        for label, x in series(dtype, n).items():
            want = defined(name, x, window, least, center)
            for layout, (a, axis) in layouts(x).items():
                if way == "fallback" and layout not in ("line", "columns"):
                    continue
                got = getattr(ac, name)(a, window, least, axis, center=center)
                got = got if got.ndim == 1 else np.moveaxis(got, axis, -1)[0]
                assert bits(got) == bits(want), (label, layout, n, window)


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("name", NAMES)
def test_chunks(name, dtype, backend, team):
    for window in (7, 65, 300):
        x = series(dtype, 1000)["mixed"]
        assert bits(getattr(ac, name)(x, window)) == bits(defined(name, x, window, window, False))


@pytest.mark.parametrize("name", NAMES)
def test_long_series(name, backend):
    """Parts of a series are small integers, others are not: that must not show where one meets the other."""
    if backend == "fallback":
        return
    x = np.random.default_rng(3).integers(-50, 50, 150_000)
    x[70_000:70_040] += STAMP
    for window in (5, 900) if name != "move_median" else (5, 51, 900):
        result = getattr(ac, name)(x, window)
        for begin in (0, 69_000, 149_000):
            part = x[max(begin - window, 0) : begin + 1000 + window]
            want = getattr(ac, name)(part, window)
            skip = begin and window
            assert bits(result[begin + skip : begin + 1000]) == bits(want[2 * skip : 1000 + skip]), (window, begin)
        near = slice(69_900, 70_100)
        want = defined(name, x[69_900 - window : 70_100], window, window, False)
        assert bits(result[near]) == bits(want[window:]), window


def test_sums_of_narrow_integers():
    """So many that float64 no longer holds their sum."""
    x = np.full(2**22 + 3, 2**31 - 1, np.int32)
    x[-1] = -1
    want = [float(2**22 * (2**31 - 1)), float(2**22 * (2**31 - 1)), float((2**22 - 1) * (2**31 - 1) - 1)]
    assert ac.move_sum(x, 2**22)[-3:].tolist() == want
    assert ac.move_mean(x, 2**22)[-3:].tolist() == [v / 2**22 for v in want]


@pytest.mark.parametrize("dtype", WIDE)
def test_sums_beyond_64_bits(dtype, way):
    """They are rounded once as well: nothing wraps around."""
    ends = np.iinfo(dtype)
    x = np.array([ends.max, ends.max, ends.max, 1, ends.min, ends.min, ends.min, 3, 2], dtype)
    for window in range(1, len(x) + 1):
        assert bits(ac.move_sum(x, window)) == bits(defined("move_sum", x, window, window, False))
    halves = np.array([2**62, 2**62, 2**62, 2**62 + 1024, 1, 2], dtype)  # half a unit of the last place, and a bit more
    assert bits(ac.move_sum(halves, 5)) == bits(defined("move_sum", halves, 5, 5, False))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", WIDE)
def test_quantiles(dtype, method, way):
    points = [0.0, 0.25, 0.5, 0.71, 1.0]
    for window in (2, 5, 30, 310):
        for label, x in series(dtype, 400).items():
            got = ac.move_quantile(x, window, points, 1, method=method)
            at = [i for i in (0, 1, window, 399) if i < len(x)]
            for i in at:
                ordered = sorted(x[max(0, i - window + 1) : i + 1].tolist())
                for j, q in enumerate(points):
                    lies = place_of(q, len(ordered), method)
                    low = ordered[int(lies)]
                    high = ordered[min(int(lies) + 1, len(ordered) - 1)]
                    exact = low + (high - low) * Fraction(lies - int(lies))
                    if lies % 0.5 == 0:
                        assert got[j, i] == float(exact), (label, window, i, q)
                    else:
                        error = abs(Fraction(got[j, i]) - exact)
                        assert error <= 2 * Fraction(np.spacing(float(max(abs(low), abs(high)))))
            if method == "linear":
                with settings.use_backend("fallback"):
                    assert bits(ac.move_quantile(x, window, points, 1, method=method)) == bits(got), (label, window)


def place_of(q: float, n: int, method: str) -> float:
    """Where a quantile lies among n sorted elements."""
    index = (n - 1) * q
    if method == "hazen":
        return min(max(n * q - 0.5, 0), n - 1)
    if method == "averaged_inverted_cdf":
        index = n * q - 1
        return min(max(index + 0.5 if index % 1 == 0 else np.ceil(index), 0), n - 1)
    if method == "midpoint":
        return 0.5 * (np.floor(index) + np.ceil(index))
    return float({"lower": np.floor, "higher": np.ceil, "nearest": np.rint}.get(method, float)(index))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_every_width(dtype, way):
    """The ends of each dtype."""
    x = np.random.default_rng(5).integers(0, 2, 90).astype(dtype)
    if dtype != "?":
        x = np.where(x == 1, np.iinfo(dtype).max, np.iinfo(dtype).min).astype(dtype)
    for name in NAMES:
        for window in (4, 70):
            want = defined(name, x.astype(np.int64) if dtype == "?" else x, window, 1, False)
            assert bits(getattr(ac, name)(x, window, 1)) == bits(want), (name, window)


@pytest.mark.parametrize("dtype", WIDE)
def test_gaps_keep_integers(dtype, way):
    """What fills gaps or replaces values returns integers as they are."""
    x = series(dtype, 60)["any"]
    for function in (ac.push, ac.ffill, ac.bfill):
        got = function(x)
        assert got.dtype == x.dtype
        assert (got == x).all()
    changed = x.copy()
    ac.replace(changed, int(x[7]), int(x[8]))
    assert (changed == np.where(x == x[7], x[8], x)).all()
