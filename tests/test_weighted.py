"""Quantiles with weights against NumPy: axes, dtypes, NaN, zero weights, ties, layouts, errors; the same bits."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from helpers import LAYOUTS, axes_of, everyday, outcome, salted, sample

import allcores as ac
from allcores._engine import execute
from allcores._families import sort_passes, weighted_quantiles

pytestmark = pytest.mark.kernel("argsort")

NAMES = ("quantile", "percentile", "nanquantile", "nanpercentile")
POINTS = (0.3, 0, 1.0, [0.0, 0.25, 0.5, 1.0], [[0.2, 0.9]], [0, 1], np.float32([0.1, 0.7]))


@pytest.fixture(autouse=True)
def none_is_too_small(monkeypatch):
    monkeypatch.setattr(weighted_quantiles, "few", 0)


@pytest.fixture(params=["blocks", "long"])
def way(request, monkeypatch):
    """All lanes in blocks of a few elements; or one by one, as long ones."""
    monkeypatch.setattr(weighted_quantiles, "block", 40)
    monkeypatch.setattr(execute, "threshold", 0)
    if request.param == "long":
        monkeypatch.setattr(sort_passes, "LONG", 2)


@pytest.fixture
def computed(monkeypatch):
    """Whether NumPy was asked for the last result."""
    asked = []
    original = weighted_quantiles.quantiles

    def counting(*args):
        result = original(*args)
        asked.append(True)
        return result

    monkeypatch.setattr(weighted_quantiles, "quantiles", counting)
    return asked


def check(name: str, a, q, **kwargs) -> object:
    kwargs.setdefault("method", "inverted_cdf")
    if "percent" in name:
        q = np.asarray(q) * 100 if np.ndim(q) else q * 100
    want = outcome(getattr(np, name), a, q, **kwargs)
    got = outcome(getattr(ac, name), a, q, workers=2, **kwargs)
    message = (name, np.asarray(a).dtype.str, np.shape(a), q, kwargs)
    if isinstance(want, type) or isinstance(got, type):
        assert got is want, message
        return got
    assert type(got) is type(want), message
    assert got.dtype == want.dtype, message
    np.testing.assert_array_equal(got, want, err_msg=repr(message))
    return got


def whole(shape, seed=0):
    """Weights whose sums are exact in any order, some of them zero."""
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.float64)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("char", "?bHiQefd")
def test_dtypes_and_points(name, char, way, backend, computed):
    a = sample((13, 6), char) if char != "e" else sample((13, 6), "f").astype("e")
    weights = whole(a.shape)
    for x in (a, salted(a, "some")) if char in "fd" else (a,):
        for q in POINTS:
            for axis in (0, 1, None):
                check(name, x, q, axis=axis, weights=weights)
    assert len(computed) >= 3 * len(POINTS)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("layout", everyday(LAYOUTS, ("C", "reversed all", "broadcast")))
def test_layouts_and_axes(layout, way, backend):
    a = LAYOUTS[layout](salted(sample((5, 9, 4), "d"), "some"))
    for axis in axes_of(3):
        for name in ("quantile", "nanquantile"):
            check(name, a, [0.2, 0.9], axis=axis, weights=LAYOUTS[layout](whole(a.shape)), keepdims=True)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), (2, 0), (1, -1), (2, 1, 0)])
def test_weights_of_the_reduced_axes(axis, way, backend, computed):
    a = sample((5, 9, 4), "d")
    axes = axis if isinstance(axis, tuple) else (axis,)
    weights = whole(tuple(a.shape[which] for which in axes))
    check("quantile", a, [0.2, 0.9], axis=axis, weights=weights)
    assert computed


@pytest.mark.parametrize("char", "?BhlQefd")
def test_dtypes_of_weights(char, way, computed):
    a = sample((40, 3), "d")
    check("quantile", a, [0.0, 0.4, 1.0], axis=0, weights=whole(a.shape).astype(char))
    assert computed


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_sums_are_rounded_as_in_numpy(name, way):
    """No ties: there is one order, and quantiles on the very sums."""
    rng = np.random.default_rng(1)
    for char in "df":
        a = rng.permutation(60).reshape(3, 20).astype(char)
        weights = rng.random(a.shape)
        sums = np.take_along_axis(weights, a.argsort(1), 1).cumsum(1)
        for q in (sums / sums[:, -1:])[0], np.float32((sums / sums[:, -1:])[1]):
            check(name, a, np.minimum(q, 1), axis=1, weights=weights)


def test_ties_and_zero_weights(way, backend):
    rng = np.random.default_rng(2)
    for seed in range(20):
        a = rng.integers(0, 4, (30, 4)).astype(float)
        weights = whole(a.shape, seed) * (a > seed % 4)  # the least have none
        for name in ("quantile", "nanquantile"):
            check(name, a, [0, 0.25, 0.5, 1], axis=0, weights=weights)
            check(name, a, 0, weights=weights)


def test_lanes_of_missing_elements(way, backend):
    a = sample((4, 30), "d")
    a[1, :7] = a[2] = np.nan
    with pytest.warns(RuntimeWarning, match="All-NaN slice encountered"):
        ac.nanquantile(a, 0.5, axis=1, weights=whole(a.shape), method="inverted_cdf")
    weights = whole(a.shape)
    weights[1, :7] = np.inf, np.nan, 1, 2, 3, 4, 5  # of no element
    for q in (0.5, [0, 0.5, 1]):
        check("nanquantile", a, q, axis=1, weights=weights)
        check("quantile", a, q, axis=1, weights=whole(a.shape))
        check("nanquantile", a[2], q, weights=weights[2])


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"weights": -np.ones((9, 4))},
        {"weights": np.zeros((9, 4))},
        {"weights": np.full((9, 4), np.nan)},
        {"weights": np.full((9, 4), np.inf)},
        {"weights": np.full((9, 4), 1e308)},
        {"weights": np.ones(9)},
        {"weights": np.ones(9), "axis": 1},
        {"weights": np.ones((4, 9)), "axis": (0, 1)},
        {"weights": np.ones(9), "axis": 0},
        {"weights": 1.0},
        {"weights": [["a"] * 4] * 9},
        {"weights": np.ones((9, 4)), "method": "linear"},
        {"weights": np.ones((9, 4), "D"), "axis": 0},
        {"weights": np.ones((9, 4), "O"), "axis": 0},
        {"weights": np.ones((9, 4), "g"), "axis": 0},
        {"weights": np.ones((9, 4), ">f8"), "axis": 0},
        {"weights": np.ma.ones((9, 4)), "axis": 0},
        {"weights": np.ones((9, 4)), "axis": 2},
    ],
)
def test_arguments(name, kwargs, way):
    check(name, sample((9, 4), "d"), 0.5, **kwargs)


def test_out_and_empty_arrays(way):
    a = sample((9, 4), "d")
    out = np.empty((2, 4))
    got = ac.quantile(a, [0.1, 0.9], axis=0, weights=whole(a.shape), method="inverted_cdf", out=out)
    assert got is out
    np.testing.assert_array_equal(
        out, np.quantile(a, [0.1, 0.9], axis=0, weights=whole(a.shape), method="inverted_cdf")
    )
    for shape in ((0,), (0, 3), (3, 0), ()):
        check("quantile", np.empty(shape), 0.5, axis=None, weights=np.ones(shape))


def test_memory():
    """A long lane takes 26 bytes an element, and blocks of short ones little."""
    for shape, most in (((300_000,), 30 * 300_000), ((3000, 100), 6_000_000)):
        a, weights = np.random.default_rng(4).random((2, *shape))
        peaks = []
        for _ in range(3):  # other threads of the process may have allocated something meanwhile
            tracemalloc.start()
            ac.quantile(a, 0.5, axis=-1, weights=weights, method="inverted_cdf", workers=2)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert min(peaks) < most, (shape, peaks)


def test_few_elements_are_left_to_numpy(monkeypatch):
    """Which is quicker, and the same."""
    a, weights = sample((100,), "d"), whole((100,))
    want = ac.quantile(a, [0.2, 0.9], weights=weights, method="inverted_cdf")
    monkeypatch.undo()
    monkeypatch.setattr(weighted_quantiles, "quantiles", None)
    got = ac.quantile(a, [0.2, 0.9], weights=weights, method="inverted_cdf")
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4"])
def test_an_out_without_axes_is_what_is_returned(backend, tmp_path, name, dtype):
    a, weights = sample((90,), "d").astype(dtype), np.arange(90) % 7 + 1.0
    q = 30 if "percentile" in name else 0.3
    want = getattr(np, name)(a, q, weights=weights, method="inverted_cdf")
    for number, kind in enumerate((">f8", "f8", "f4")):
        for out in (np.zeros((), kind), np.memmap(tmp_path / f"{number}", kind, "w+", shape=())):
            assert getattr(ac, name)(a, q, weights=weights, method="inverted_cdf", out=out) is out
            assert out == want.astype(kind)
