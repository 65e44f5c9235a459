"""Moving windows: the same bits however they are computed, and how exact they are."""

from __future__ import annotations

import math
import os
from fractions import Fraction

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from helpers import BACKENDS, bits, everyday, salted, sample
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from window_helpers import SORTING, arguments_of, check_move, function, inputs_of

import allcores as ac
from allcores._engine import execute, settings
from allcores._engine.registry import WINDOWS

pytestmark = pytest.mark.kernel("move_sum")


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("window", [5, 40, 64, 65, 200])
def test_missing_elsewhere_changes_nothing(name, window, backend):
    """Blocks with and without missing elements take different ways: to the same bits."""
    for shape, axis in (((1200,), 0), ((1200, 3), 0), ((3, 600), 1)):
        clean = sample(shape, "d") * 100 + 7
        dirty = clean.copy()
        n = shape[axis]
        index = [slice(None)] * len(shape)
        for i in range(n // 2, n, 150):
            index[axis] = i
            dirty[tuple(index)] = np.nan
        got = function(name)(*inputs_of(name, dirty), window, axis=axis)
        want = function(name)(*inputs_of(name, clean), window, axis=axis)
        touched = ac.move_count(dirty, window, axis=axis) < window
        if name != "move_count":
            assert bits(np.where(touched, 0, got)) == bits(np.where(touched, 0, want))


@pytest.mark.parametrize("name", ["move_min", "move_max", "move_argmin", "move_argmax"])
def test_zeros_of_both_signs(name, backend, team):
    """Which of equal ones it is does not depend on who looks for it."""
    a = np.random.default_rng(0).choice([0.0, -0.0, np.nan], (300, 5), p=(0.45, 0.45, 0.1))
    for axis, window in ((0, 2), (0, 7), (0, 64), (0, 150), (1, 3)):
        got = bits(function(name)(a, window, 1, axis))
        with settings.use_backend("fallback"):
            assert got == bits(function(name)(a, window, 1, axis)), (axis, window)


@pytest.mark.parametrize("name", everyday([name for name in WINDOWS if name not in SORTING], ("move_mean", "move_max")))
def test_long_windows(name):
    """Longer than what a worker keeps: suffixes are scanned twice."""
    a = salted(sample((400_000,), "d") * 100, "plain")
    a[30_000] = np.nan
    for window in (30_000, 150_000):
        inputs = inputs_of(name, a)
        want = function(name)(*inputs, window, 5)
        assert bits(function(name, ac.fallback)(*inputs, window, 5)) == bits(want)


# ---- exactness


@pytest.mark.slow_fallback
def test_a_million_elements(backend):
    """Errors don't grow with the position."""
    a = sample((1_000_000,), "d") * 10.0 ** sample((1_000_000,), "b").clip(-6, 6)
    for window in (50, 1000, 20_001):
        sums, means, variances = ac.move_sum(a, window), ac.move_mean(a, window), ac.move_var(a, window)
        for i in (window - 1, 499_999, 999_990, 999_999):
            part = a[i - window + 1 : i + 1]
            exact = math.fsum(part)
            assert abs(sums[i] - exact) <= 80 * 2**-53 * math.fsum(abs(part))
            assert abs(means[i] - exact / window) <= 80 * 2**-53 * math.fsum(abs(part)) / window
            if i == 999_999 and window <= 1000:
                values = [Fraction(float(v)) for v in part]
                mean = sum(values) / window
                want = float(sum((v - mean) ** 2 for v in values) / window)
                assert abs(variances[i] - want) <= 1e-13 * want


@pytest.mark.slow_fallback
def test_a_large_offset(backend):
    """1e12 plus noise: the noise is what the variance is about."""
    noise = sample((20_000,), "d").round(3) * 8
    a = 1e12 + noise
    back = a - 1e12
    for window in (5, 50, 1000):
        want = ac.move_var(back, window)[window:]
        np.testing.assert_allclose(ac.move_var(a, window)[window:], want, rtol=1e-12)
        np.testing.assert_allclose(ac.move_std(a, window)[window:], np.sqrt(want), rtol=1e-12)
        got = ac.move_cov(a, a[::-1].copy(), window)[window:]
        np.testing.assert_allclose(got, ac.move_cov(back, back[::-1].copy(), window)[window:], rtol=1e-9, atol=1e-9)


def test_constant_windows(backend):
    a = sample((5000,), "d") * 1e9
    a[1000:3000] = 0.1
    for window in (2, 40, 64, 65, 700):
        inside = slice(1000 + window, 3000)
        assert (ac.move_var(a, window)[inside] == 0).all()
        assert (ac.move_std(a, window)[inside] == 0).all()
        assert (ac.move_cov(a, a[::-1].copy(), window)[inside] == 0).all()
        assert np.isnan(ac.move_corr(a, a[::-1].copy(), window)[inside]).all()
        assert not (ac.move_var(a, window) < 0).any()


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", WINDOWS)
def test_what_has_left_leaves_no_trace(name, backend):
    a = sample((3000,), "d")
    b = a.copy()
    b[[500, 501, 502]] = np.inf, -np.inf, 1e300
    for window in (10, 64, 300):
        got = function(name)(*inputs_of(name, b), window)
        want = function(name)(*inputs_of(name, a), window)
        for part in (slice(0, 500), slice(502 + window, None)):
            assert bits(got[part]) == bits(want[part])


def test_correlations_are_within_their_limits(backend):
    a = sample((20_000,), "d") ** 3
    for window in (2, 3, 50, 100):
        got = ac.move_corr(a, 2 * a + 3, window)[window:]
        assert (np.abs(got) <= 1).all()
        assert (got > 0.999999).all()


@pytest.mark.parametrize("state", ["ignore", "warn", "raise"])
def test_no_warnings(state, backend, team):
    a = np.array([0.0, np.inf, -np.inf, 1e308, 1e308, -1e308, np.nan, 5e-324] * 20)
    with np.errstate(all=state):
        for name in WINDOWS:
            for window in (1, 3, 70):
                function(name)(*(a,) * WINDOWS[name].inputs, window, 1)


@pytest.mark.extended
def test_a_hundred_million_elements():
    a = np.random.default_rng(0).normal(size=100_000_000)
    a += 1e6
    for window in (50, 20_001):
        tail = a[-30_000:].copy()
        got, want = ac.move_var(a, window)[-5000:], ac.move_var(tail, window)[-5000:]
        np.testing.assert_allclose(got, want, rtol=1e-11)


# ---- anything

EXAMPLES = int(os.environ.get("ALLCORES_HYPOTHESIS", "0"))
FEW = hypothesis_settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.thread_unsafe(reason="changes modules")
@pytest.mark.parametrize("name", everyday(WINDOWS, ("move_var", "move_argmin", "move_quantile")))
@given(data=st.data())
@FEW
def test_any_arguments(name, data):
    dtype = np.dtype(data.draw(st.sampled_from("dfbQ?")))
    shape = data.draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))
    values = st.integers(-1000, 1000).map(lambda i: i / 8) | st.sampled_from((np.nan, np.inf, -np.inf, 0.0, -0.0))
    if name == "move_prod":
        values = st.integers(-16, 16).map(lambda i: 1 + i / 4096) | st.sampled_from((np.nan, -1.0))
    elements = values if dtype.kind == "f" else None if dtype.kind == "b" else st.integers(0, 9)
    a = data.draw(npst.arrays(dtype, shape, elements=elements))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    if data.draw(st.booleans()):
        a = np.repeat(a, data.draw(st.sampled_from((9, 30))), axis=axis)
    a = a.transpose(data.draw(st.permutations(range(a.ndim))))
    window = data.draw(st.integers(1, a.shape[axis]))
    min_count = data.draw(st.none() | st.integers(1, window))
    kwargs = {"center": data.draw(st.booleans()), **arguments_of(name, data.draw(st.integers(0, 3)))}
    inputs = inputs_of(name, a)
    check_move(name, inputs, window, min_count, axis, **kwargs)
    found = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "threshold", 0)
        for backend in BACKENDS:
            for chunk in (1, 10**6):
                patch.setattr(execute, "output_chunk", chunk)
                with settings.use_backend(backend):
                    found.add(bits(function(name)(*inputs, window, min_count, axis, workers=2, **kwargs)))
    assert len(found) == 1
