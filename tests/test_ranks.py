"""Moving medians, quantiles and ranks of one line, by definition: NumPy's function on every window."""

import numpy as np
import pytest

from allcores._kernels.common import QUANTILE_METHODS
from allcores._kernels.fallback import ranks as fallback

METHODS = list(enumerate(QUANTILE_METHODS))


def by_definition(v, w, min_count, function):
    out = []
    for end in range(len(v)):
        window = v[max(0, end - w + 1) : end + 1]
        numbers = window[~np.isnan(window)]
        with np.errstate(all="ignore"):
            out.append(function(numbers, v[end]) if numbers.size >= max(min_count, 1) else np.nan)
    return np.array(out)


def normalised_rank(numbers, newest):
    if np.isnan(newest):
        return np.nan
    if numbers.size == 1:
        return 0.0
    below = np.count_nonzero(numbers < newest)
    equal = np.count_nonzero(numbers == newest)
    return 2.0 * (0.5 * (2 * below + equal - 1.0) / (numbers.size - 1.0) - 0.5)


def lines():
    rng = np.random.default_rng(7)
    n = 60
    x = rng.standard_normal(n)
    with_nan = np.where(rng.random(n) < 0.3, np.nan, x)
    yield "random", x
    yield "few values", rng.integers(0, 4, n).astype(float)
    yield "sorted", np.sort(x)
    yield "reversed", np.sort(x)[::-1].copy()
    yield "constant", np.ones(n)
    yield "zeros of both signs", np.where(rng.random(n) < 0.5, 0.0, -0.0)
    yield "gaps", with_nan
    yield "nothing else than gaps", np.full(n, np.nan)
    yield "infinities", np.where(rng.random(n) < 0.2, np.inf, np.where(rng.random(n) < 0.2, -np.inf, with_nan))
    yield "sums overflow", rng.choice([1.7e308, -1.7e308, 1.0], n)
    yield "600 decades", 10.0 ** rng.uniform(-300, 300, n)


LINES = dict(lines())


@pytest.mark.parametrize("v", list(LINES.values()), ids=LINES)
@pytest.mark.parametrize(("method", "title"), METHODS, ids=QUANTILE_METHODS)
def test_quantiles(v, method, title):
    q = np.array([0.5]) if title == "median" else np.array([0.0, 1 / 3, 0.9, 1.0])
    for w, min_count in (1, 1), (2, 0), (5, 3), (30, 1), (len(v), len(v) // 2):
        got = fallback.quantiles(v, 0, w, min_count, q, method)
        for row, share in zip(got, q, strict=True):
            if title == "median":
                want = by_definition(v, w, min_count, lambda numbers, _: np.median(numbers))
            else:
                want = by_definition(
                    v, w, min_count, lambda numbers, _, share=share: np.quantile(numbers, share, method=title)
                )
            np.testing.assert_array_equal(row, want)


@pytest.mark.parametrize("v", list(LINES.values()), ids=LINES)
def test_ranks(v):
    for w, min_count in (1, 1), (2, 0), (5, 3), (30, 1), (len(v), len(v) // 2):
        got = fallback.ranks(v, 0, w, min_count, len(v) - 1)
        np.testing.assert_array_equal(got, by_definition(v, w, min_count, normalised_rank))


def test_zeros_are_positive():
    v = np.array([-0.0, -0.0, 0.0, -0.0])
    assert not np.signbit(fallback.quantiles(v, 0, 2, 1, np.array([0.5]), QUANTILE_METHODS.index("median"))).any()


@pytest.mark.parametrize("w", [1, 7, 40])
def test_pieces(w):
    """A piece with its halo gives what the whole line gives there."""
    v = LINES["random"]
    q = np.array([0.3, 0.5])
    whole = fallback.quantiles(v, 0, w, 1, q, QUANTILE_METHODS.index("linear"))
    ranks = fallback.ranks(v, 0, w, 1, len(v) - 1)
    for begin in range(w - 1, len(v), 17):
        piece = v[begin - (w - 1) : begin + 20]
        got = fallback.quantiles(piece, w - 1, w, 1, q, QUANTILE_METHODS.index("linear"))
        np.testing.assert_array_equal(got, whole[:, begin : begin + 20])
        np.testing.assert_array_equal(fallback.ranks(piece, w - 1, w, 1, len(piece) - 1), ranks[begin : begin + 20])
