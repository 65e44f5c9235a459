"""Moving medians, quantiles and ranks: NumPy's methods, several quantiles, long windows, data of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import bits, everyday, salted, sample, silence
from window_helpers import windows_of

import allcores as ac
from allcores._kernels.common import QUANTILE_METHODS

pytestmark = pytest.mark.kernel("move_median")

METHODS = QUANTILE_METHODS[:-1]
QUANTILES = (0, 0.1, 0.25, 0.5, 0.77, 1)


def quantiles(a, window, q, min_count, axis, method, center):
    v = windows_of(a, window, axis, center)
    few = np.count_nonzero(~np.isnan(v), axis=-1) < min_count
    with silence(), np.errstate(all="ignore"):
        return np.moveaxis(np.where(few, np.nan, np.nanquantile(v, q, axis=-1, method=method)), -1, axis)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("method", everyday(METHODS, ("linear", "inverted_cdf", "hazen")))
def test_methods(method, backend, team):
    for pattern in ("some", "inf"):
        for shape, axis in (((60,), 0), ((50, 3), 0), ((2, 42), 1)):
            a = salted(sample(shape, "d").round(1), pattern)
            for window, min_count, center in ((1, 1, False), (6, 2, True), (33, 33, False), (40, 5, True)):
                got = ac.move_quantile(a, window, QUANTILES, min_count, axis, method=method, center=center)
                assert got.shape == (len(QUANTILES), *shape)
                for q, result in zip(QUANTILES, got, strict=True):
                    want = quantiles(a, window, float(q), min_count, axis, method, center)
                    np.testing.assert_array_equal(result, want, err_msg=f"{pattern} {shape} {window} {q}")


def test_shapes_of_q(backend):
    a = sample((30, 4), "d")
    one = ac.move_quantile(a, 5, 0.25, axis=0)
    assert one.shape == (30, 4)
    assert ac.move_quantile(a, 5, [[0.25, 1.0, 0.0]], axis=0).shape == (1, 3, 30, 4)
    assert bits(ac.move_quantile(a, 5, [[0.25, 1.0, 0.0]], axis=0)[0, 0]) == bits(one)
    assert ac.move_quantile(a, 5, [], axis=0).shape == (0, 30, 4)
    assert ac.move_quantile(a.astype("f"), 5, [0.5], axis=0).dtype == np.float32
    assert bits(ac.move_quantile(a, 5, 0.5, axis=0)) == bits(ac.move_median(a, 5, axis=0))


def test_bad_out_for_several():
    for bad in (np.empty((30, 8)), np.empty((1, 30, 8))):
        with pytest.raises(ValueError, match=r"out must have the shape \(2, 30, 8\)"):
            ac.move_quantile(sample((30, 8), "d"), 5, [0.1, 0.9], axis=0, out=bad)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"q": 1.5}, "q must be between 0 and 1, got 1.5"),
        ({"q": [0.5, -0.1]}, "q must be between 0 and 1, got -0.1"),
        ({"q": np.nan}, "q must be between 0 and 1, got nan"),
        ({"q": 0.5, "method": "cubic"}, "method must be one of .*linear.*, got 'cubic'"),
        ({"q": 0.5, "method": "median"}, "method must be one of .*, got 'median'"),
    ],
)
def test_bad_quantiles(bad, message):
    out = np.full(9, 7.0)
    with pytest.raises(ValueError, match=message):
        ac.move_quantile(np.arange(9.0), 3, out=out, **bad)
    assert (out == 7).all()


DATA = {
    "normal": lambda rng, n: rng.normal(size=n),
    "sorted": lambda rng, n: np.sort(rng.normal(size=n)),
    "reversed": lambda rng, n: np.sort(rng.normal(size=n))[::-1],
    "constant": lambda rng, n: np.full(n, 3.5),
    "two values": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "few values": lambda rng, n: rng.integers(0, 10, n).astype(float),
    "sawtooth": lambda rng, n: np.arange(n) % 97.0,
    "random walk": lambda rng, n: np.cumsum(rng.normal(size=n)),
    "all magnitudes": lambda rng, n: 10 ** rng.uniform(-300, 300, n) * rng.choice((-1, 1), n),
    "half missing": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)),
    "missing stretch": lambda rng, n: np.where(np.arange(n) // 1000 % 2 == 0, rng.normal(size=n), np.nan),
    "infinities": lambda rng, n: np.where(rng.random(n) < 0.3, np.inf, rng.normal(size=n)),
}


@pytest.mark.slow_fallback
@pytest.mark.parametrize("kind", DATA)
def test_long_windows(kind, backend):
    """Both sides of every threshold; the definition looks at some of the windows."""
    n = 4000 if backend == "fallback" else 30_000
    a = np.ascontiguousarray(DATA[kind](np.random.default_rng(3), n))
    for window in (9, 128, 129, 192, 193, 300, 301, 1001, 2500, n // 2, n):
        ends = np.unique(np.linspace(0, n - 1, 40).astype(int))
        medians, ranks = ac.move_median(a, window, 1), ac.move_rank(a, window, 1)
        for end in ends:
            v = a[max(0, end - window + 1) : end + 1]
            v, newest = v[~np.isnan(v)], a[end]
            with np.errstate(all="ignore"):
                want = np.median(v) if v.size else np.nan
            assert medians[end] == want or (np.isnan(want) and np.isnan(medians[end])), (window, end)
            if np.isnan(newest):
                assert np.isnan(ranks[end]), (window, end)
            else:
                rank = 2 * (0.5 * ((v < newest).sum() + (v <= newest).sum() - 1.0) / max(v.size - 1.0, 1) - 0.5)
                assert ranks[end] == (rank if v.size > 1 else 0), (window, end)


def test_agrees_with_pandas(backend):
    pandas = pytest.importorskip("pandas")
    a = salted(sample((200,), "d"), "some")
    for window, least in ((5, 3), (50, 4)):
        for center in (False, True):
            rolling = pandas.Series(a).rolling(window, min_periods=least, center=center)
            np.testing.assert_array_equal(ac.move_median(a, window, least, center=center), rolling.median().to_numpy())
            for method in ("linear", "lower", "higher", "midpoint"):
                got = ac.move_quantile(a, window, 0.3, least, method=method, center=center)
                want = rolling.quantile(0.3, interpolation=method).to_numpy()
                np.testing.assert_allclose(got, want, rtol=1e-13)
            if center:
                continue  # pandas 3.0 repeats a rank where nothing comes in
            # pandas ranks from 1 to the number of elements.
            rank, count = rolling.rank().to_numpy(), rolling.count().to_numpy()
            want = np.where(count == 1, 0.0 * rank, 2 * (rank - 1) / np.maximum(count - 1, 1) - 1)
            np.testing.assert_allclose(ac.move_rank(a, window, least, center=center), want, rtol=1e-12, atol=1e-12)
