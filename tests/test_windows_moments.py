"""Moments of moving windows: against exact fractions, and whatever stands outside of a window."""

from __future__ import annotations

import functools
import math
import operator
import time
from fractions import Fraction

import numpy as np
import pytest
from helpers import bits, sample
from window_helpers import SORTING, function, inputs_of

import allcores as ac
from allcores._engine import execute
from allcores._engine.registry import WINDOWS

pytestmark = pytest.mark.kernel("move_sum")

MOMENTS = ("move_var", "move_std", "move_skew", "move_kurt", "move_cov", "move_corr")
SIZES = (5, 32, 50, 64, 65, 130, 400)


# ---- by definition


def root(v: Fraction) -> float:
    """The square root of a fraction that may be far beyond float64."""
    digits = 2 * ((v.denominator.bit_length() - v.numerator.bit_length() + 160) // 2)
    return math.ldexp(math.isqrt(int(v * Fraction(2) ** digits)), -digits // 2) if v else 0.0


def signed(v: int, square: Fraction) -> float:
    return -root(square) if v < 0 else root(square)


def whole(values):
    """Elements as integers, n * (element - mean), and the power of two by which they were multiplied."""
    parts = [float(v).as_integer_ratio() for v in values]
    most = max(below for _, below in parts)
    v = [above * (most // below) for above, below in parts]
    total = sum(v)
    return [len(v) * x - total for x in v], most


@functools.cache
def exact(name: str, kind: str, window: int, at: int):
    """The value of the window that ends there, and what its error is relative to."""
    inputs = inputs_of_kind(name, kind)
    together = [pair for pair in zip(*(v[at - window + 1 : at + 1] for v in inputs), strict=True) if pair[0] == pair[0]]
    (dx, p), (dy, q) = (whole([pair[f] for pair in together]) for f in (0, len(inputs) - 1))
    n = len(dx)
    xx, yy, xy = (sum(map(operator.mul, *pair)) for pair in ((dx, dx), (dy, dy), (dx, dy)))
    if name == "move_cov":
        return float(Fraction(xy, n**3 * p * q)), root(Fraction(xx * yy, (n**3 * p * q) ** 2))
    if name == "move_corr":
        return signed(xy, Fraction(xy * xy, xx * yy)), 1
    variance = Fraction(xx, n**3 * p * p)
    if name == "move_var":
        return float(variance), float(variance)
    if name == "move_std":
        return root(variance), root(variance)
    if name == "move_skew":
        third = sum(v**3 for v in dx)
        want = math.sqrt(n * (n - 1)) / (n - 2) * signed(third, Fraction(third**2 * n, xx**3))
        return want, 1 + abs(want)
    ratio = float(Fraction(sum(v**4 for v in dx) * n, xx**2))
    return ((n * n - 1) * ratio - 3 * (n - 1) ** 2) / ((n - 2) * (n - 3)), 1 + abs(ratio)


def kinds():
    rng = np.random.default_rng(4)
    noise = rng.normal(size=1000)
    gaps = noise + 1e8
    gaps[rng.random(1000) < 0.1] = np.nan
    walk = np.cumsum(noise) + 1e6
    mixed = noise * 10.0 ** rng.integers(-9, 9, size=1000)
    return {
        "noise": noise,
        "an offset": noise + 1e8,
        "a larger one": noise.round(3) * 8 + 1e12,
        "behind 1e17": np.concatenate([[1e17], noise[1:]]),
        "behind 1e300": np.concatenate([[-1e300], noise[1:]]),
        "gaps": gaps,
        "a walk": walk,
        "mixed": mixed,
        "1e-61": noise * 1e-61,
        "1e-150": noise * 1e-150,
        "1e-80, far from zero": (noise + 1e6) * 1e-80,
        "1e150": noise * 1e150,
        "single": (noise + 300).astype("f"),
    }


KINDS = kinds()


def inputs_of_kind(name: str, kind: str):
    a = KINDS[kind]
    return (a, sample((1000,), "d", 5) + 1e8) if WINDOWS[name].inputs == 2 else (a,)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MOMENTS)
def test_exact(name, kind, backend):
    inputs = inputs_of_kind(name, kind)
    for window in SIZES:
        lines = function(name)(*inputs, window, 4)
        columns = function(name)(*(np.stack([v] * 17, 1) for v in inputs), window, 4, 0)
        assert bits(columns[:, 3].copy()) == bits(lines)
        for at in (window + 3, 700, 999):
            want, scale = exact(name, kind, window, at)
            bound = 1e-14 * max(1, window / 50) * (10 if name in ("move_skew", "move_kurt") else 1)
            bound = 1e-7 if lines.dtype == np.float32 else bound
            assert abs(lines[at] - want) <= bound * scale, (window, at, lines[at], want)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("window", [2, 3, 40, 64, 65, 200])
@pytest.mark.parametrize("char", "dfl")
def test_constant_windows(window, char, backend):
    """Exactly 0, whatever the constant and its neighbours, and whether or not some are missing."""
    for value in (0.1, 1e8 + 0.1, -1 / 3, 1e300, 5e-324, 7.0):
        with np.errstate(all="ignore"):
            a = np.full(900, value).astype(char)
        if not np.isfinite(a[0]):
            continue
        a[:300] = a[700:] = 100 if char == "l" else 1e30
        missing = np.zeros(900, bool)
        missing[310:690:3] = char != "l"
        for inputs in ((a,), (np.where(missing, np.nan, a).astype(a.dtype),)):
            inside = slice(299 + window, 700)
            for name in ("move_var", "move_std"):
                assert (function(name)(*inputs, window, 1)[inside] == 0).all()
            other = sample((900,), "d")
            assert (ac.move_cov(*inputs, other, window, 1)[inside] == 0).all()
            assert np.isnan(ac.move_corr(*inputs, other, window, 1)[inside]).all()
            for name in ("move_skew", "move_kurt"):
                assert np.isnan(function(name)(*inputs, window, 1)[inside]).all()


# ---- what stands outside

OUTSIDE = (1e12, -1e17, 1e100, 1e300, -1.7e308, np.inf, -np.inf, np.nan, 5e-324)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", WINDOWS)
def test_what_stands_outside_has_no_part_in_it(name, backend):
    """Before and after, of one input or of both: not in a bit of the windows between, with and without gaps."""
    rng = np.random.default_rng(8)
    low, high, n = 437, 801, 1100
    for shape, axis in (((n,), 0), ((n, 17), 0), ((2, n), 1)):
        for gaps in (0, 0.05):
            clean = rng.normal(size=shape) + (1 if name == "move_prod" else 300)
            clean[rng.random(shape) < gaps] = np.nan
            inputs = inputs_of(name, clean)
            outside = [slice(None)] * len(shape)
            for window in (3, 65) if name in SORTING or backend == "fallback" else (3, 64, 65, 200):
                want = function(name)(*inputs, window, 1, axis)
                for junk in (*OUTSIDE, rng.choice(OUTSIDE, size=n)):
                    if backend == "fallback" and np.ndim(junk) == 0 and name not in MOMENTS:
                        continue
                    dirty = [v.copy() for v in inputs]
                    for v in dirty[int(rng.integers(2)) * (len(dirty) - 1) :]:
                        for part in (slice(0, low), slice(high, n)):
                            outside[axis] = part
                            values = np.broadcast_to(junk, n)[part]
                            v[tuple(outside)] = values if len(shape) == 1 or axis == 1 else values[:, None]
                    got = function(name)(*dirty, window, 1, axis)
                    outside[axis] = slice(low + window - 1, high)
                    assert bits(got[tuple(outside)]) == bits(want[tuple(outside)]), (shape, gaps, window, junk)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", ["move_skew", "move_kurt"])
def test_each_window_has_its_own_scale(name, backend, team, monkeypatch):
    """Neighbours that are tiny or huge don't change the bits, nor do chunks."""
    noise = sample((1500,), "d")
    scales = np.repeat([1.0, 1e-140, 1e140, 1.0, 1e-100, 1e-170], 250)
    mixed = noise * scales
    mixed[700] = np.nan
    for window in (7, 64, 100):
        got = function(name)(mixed, window, 1)
        for chunk in (100, 10**6):
            monkeypatch.setattr(execute, "output_chunk", chunk)
            assert bits(function(name)(mixed, window, 1)) == bits(got)
            columns = function(name)(np.stack([mixed] * 5, 1), window, 1, 0)
            assert bits(columns[:, 2].copy()) == bits(got)
        for begin in range(0, 1500, 250):
            alone = noise * scales[begin]
            alone[700] = np.nan
            inside = slice(begin + window - 1, begin + 250)
            want = function(name)(alone, window, 1)[inside]
            assert bits(got[inside]) == bits(want)
            if begin < 1250:  # the variance of 1e-170 is no float64
                assert not np.isnan(want).any()
                near = function(name)(np.where(np.arange(1500) == 700, np.nan, noise), window, 1)[inside]
                np.testing.assert_allclose(want, near, rtol=1e-9, atol=1e-12)
            else:
                assert np.isnan(want).all()


# ---- cost


def seconds(call) -> float:
    found = []
    for _ in range(3):
        begin = time.thread_time()
        call()
        found.append(time.thread_time() - begin)
    return min(found)


@pytest.mark.parametrize("name", ["move_var", "move_skew", "move_cov"])
def test_a_series_that_begins_with_gaps_costs_what_others_do(name, backend, monkeypatch):
    """Nothing is looked up from the beginning of the line, by each of a thousand chunks."""
    monkeypatch.setattr(execute, "output_chunk", 1000)
    noise = sample((300_000 if backend != "fallback" else 30_000,), "d")
    gaps = noise.copy()
    gaps[:-10] = np.nan
    plain, late, none = (
        seconds(lambda a=a: function(name)(*inputs_of(name, a), 20, 1, workers=1))
        for a in (noise, gaps, np.full_like(noise, np.nan))
    )
    assert late < 15 * plain
    assert none < 15 * plain


def test_tiny_numbers_cost_no_more_with_longer_windows(backend):
    tiny = sample((100_000 if backend != "fallback" else 20_000,), "d") * 1e-120
    short, long = (seconds(lambda w=w: ac.move_kurt(tiny, w, workers=1)) for w in (20, 5000))
    assert long < 15 * short


@pytest.mark.parametrize("home", [ac, ac.fallback], ids=["compiled", "fallback"])
@pytest.mark.parametrize("window", [5, 32, 90])
def test_correlations_at_every_scale(home, window):
    """A series times a power of two is correlated as before, with the same bits, whatever its neighbours' scales."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 200))
    x[20:40], y[70] = np.nan, np.nan
    want = ac.move_corr(x, y, window, 3)
    exponents = (-1000, -600, -539, -530, -450, -300, 0, 300, 505, 512, 530, 1000)
    for first in exponents:
        for second in (0, -first, first, 1000):
            got = home.move_corr(np.ldexp(x, first), np.ldexp(y, second), window, 3)
            np.testing.assert_array_equal(got, want)
            if home is ac.fallback and window > 5:
                break
    mixed = np.concatenate([np.ldexp(x, e) for e in exponents])
    other = np.concatenate([np.ldexp(y, e) for e in exponents[::-1]])
    both = [function(mixed, other, window, 3) for function in (ac.move_corr, ac.fallback.move_corr)]
    assert bits(both[0]) == bits(both[1])
    for at in range(len(exponents)):
        here = slice(200 * at + window - 1, 200 * at + 200)
        np.testing.assert_allclose(both[0][here], want[window - 1 :], rtol=0, atol=1e-13)
    constant = np.where(np.arange(200) < 100, 0.0, 5e-324)
    for a in (constant, np.full(200, 1e-200), np.full(200, 1e200)):
        got = home.move_corr(a, y, 5)
        assert np.isnan(got[:99]).all()
        assert np.isnan(got[105:]).all()
    assert home.move_corr([5e-324, 0.0, -5e-324], [1.0, 5.0, 1.0], 3)[-1] == 0
    assert home.move_corr([1.7e308, -1.7e308], [1e-300, 5e-324], 2)[-1] == 1


@pytest.mark.parametrize("home", [ac, ac.fallback], ids=["compiled", "fallback"])
@pytest.mark.parametrize("shape", [(300,), (300, 40)])
def test_exponential_correlations_are_right_or_missing(home, shape):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, *shape))
    x[20:25] = np.nan
    want = ac.move_exp_nancorr(x, y, 0.1, axis=0)
    for exponent in (-600, -540, -530, -450, -300, 0, 300, 508, 515, 530):
        for first, second in ((exponent, 0), (0, exponent)):
            got = home.move_exp_nancorr(np.ldexp(x, first), np.ldexp(y, second), 0.1, axis=0)
            there = np.isfinite(got)
            np.testing.assert_array_equal(got[there], want[there])
            assert there.sum() == (np.isfinite(want).sum() if -450 <= exponent <= 508 else 0)
