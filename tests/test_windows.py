"""Moving windows: by definition, function x dtype x layout x window x min_count x axis x center x pattern x backend."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers import DTYPES, PATTERNS, bits, everyday, near_one, salted, sample
from window_helpers import SORTING, arguments_of, check_move, defined, function, inputs_of, pairs_with_gaps

import allcores as ac
from allcores._engine.registry import WINDOWS
from allcores._families import windows

pytestmark = pytest.mark.kernel("move_sum")

SIZES = (1, 2, 3, 5, 31, 32, 33, 63, 64, 65, 96, 97, 98, 100, 129, 130, 160, 161)


def data(name, shape, char, seed=0):
    """Of integers few values, so that squares are exact and there are ties."""
    a = sample(shape, char, seed)
    if a.dtype.kind in "iu":
        a = (a % 7).astype(char)
    return near_one(a) if name == "move_prod" else a


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday(DTYPES, "?hQfd"))
@pytest.mark.parametrize("name", WINDOWS)
def test_dtypes(name, char, backend, team):
    a = data(name, (3, 37, 5), char)
    for i, axis in enumerate((0, 1, 2, -2)):
        x = salted(a, PATTERNS[i]) if char in "fd" else a
        n = x.shape[axis]
        for window in {1, (n + 1) // 2, n}:
            check_move(name, inputs_of(name, x), window, min(2, window), axis, center=i % 2 == 1)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("df", "d"))
@pytest.mark.parametrize("name", WINDOWS)
def test_lengths(name, char, backend, team):
    for n in (1, 2, 40, 131, 163):
        for i, window in enumerate(sorted({*SIZES, n - 1, n})):
            if not 1 <= window <= n or (char == "f" and i % 3):
                continue
            a = salted(data(name, (n, 3), char, seed=i), PATTERNS[i % len(PATTERNS)])
            for min_count in {None, 1, (window + 1) // 2}:
                for axis, x in ((0, a), (1, np.ascontiguousarray(a.T)), (-1, a[:, 1])):
                    check_move(name, inputs_of(name, x), window, min_count, axis, center=bool(i % 2))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("pattern", everyday(PATTERNS, ("some", "inf", "zeros")))
@pytest.mark.parametrize("name", WINDOWS)
def test_patterns(name, pattern, backend, team):
    for shape, axis in (((200,), 0), ((130, 4), 0), ((4, 130), 1)):
        a = salted(data(name, shape, "d"), pattern)
        for window in (1, 2, 20, 70, 129):
            for center in (False, True):
                for ddof in (0, 2):
                    if ddof == 0 or arguments_of(name, ddof):
                        kwargs = {"center": center, **arguments_of(name, ddof)}
                        check_move(name, inputs_of(name, a), window, max(1, window // 3), axis, **kwargs)


@pytest.mark.parametrize("name", [name for name in WINDOWS if WINDOWS[name].inputs == 2])
def test_one_of_a_pair_is_missing(name, backend, team):
    """Then the pair is: the bits are those of pairs without either."""
    for only, given, neither in pairs_with_gaps((300, 5)):
        for axis, window in ((0, 1), (0, 7), (0, 64), (0, 150), (1, 3)):
            check_move(name, given, window, max(1, window // 2), axis, message=only)
            got, want = (function(name)(*v, window, max(1, window // 2), axis) for v in (given, neither))
            assert bits(got) == bits(want), (only, axis, window)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("dfb", "d"))
@pytest.mark.parametrize("name", WINDOWS)
def test_as_users_call_them(name, char, backend):
    """Above every threshold, with the team and the chunks that users get."""
    # The fallback sorts every window.
    a = data(name, (30_000 if name in SORTING and backend == "fallback" else 300_000,), char)
    for x, axis, window in ((a, 0, 1000), (a.reshape(-1, 100), 0, 20), (a.reshape(-1, 100), 1, 7)):
        inputs = inputs_of(name, x)
        got = function(name)(*inputs, window, 1, axis)
        # The definition of a part: the whole takes gigabytes.
        part = (
            (slice(1500, 3000),) if x.ndim == 1 else (slice(None), slice(0, 100, 9)) if axis == 0 else (slice(0, 99),)
        )
        want, scale = defined(name, [i[part] for i in inputs], window, 1, axis)
        far = slice(window, None) if x.ndim == 1 else slice(None)
        tolerance = 1e-5 if char == "f" else 1e-8
        bad = ~(np.abs(got[part] - want) <= tolerance * (np.abs(want) + scale))[far]
        assert not (bad & ~np.isnan(want[far])).any()


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", WINDOWS)
def test_agrees_with_bottleneck(name, backend):
    bottleneck = pytest.importorskip("bottleneck")
    if not hasattr(bottleneck, name):
        pytest.skip("not in bottleneck")
    for char in "dfiq":
        for pattern in ("plain", "some", "slice") if char in "df" else ("plain",):
            a = data(name, (40, 60), char)
            a = salted(a, pattern) if char in "df" else a
            for axis in (0, 1, -1):
                for window, min_count in ((1, None), (5, 2), (7, None), (40, 1)):
                    got = function(name)(a, window, min_count, axis)
                    want = getattr(bottleneck, name)(a, window, min_count, axis)
                    assert got.dtype == want.dtype
                    tolerance = 1e-2 if char == "f" else 1e-6  # bottleneck adds and subtracts, of float32 in float32
                    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


PANDAS = {
    **{f"move_{name}": name for name in ("sum", "mean", "std", "var", "min", "max", "skew", "kurt", "cov", "corr")},
    "move_count": "count",
}


@pytest.mark.parametrize("name", PANDAS)
def test_agrees_with_pandas(name, backend):
    pandas = pytest.importorskip("pandas")
    a, b = salted(sample((300,), "d"), "some"), sample((300,), "d", 5)
    inputs = (a, b)[: WINDOWS[name].inputs]
    series = [pandas.Series(v) for v in inputs]
    for window, least in ((5, 3), (50, 4), (100, 60)):
        min_count = None if name == "move_count" else least  # pandas counts NaN there
        for center in (False, True):
            rolling = series[0].rolling(window, min_periods=min_count or 0, center=center)
            want = getattr(rolling, PANDAS[name])(*series[1:])
            got = function(name)(*inputs, window, min_count, center=center, **arguments_of(name, 1))
            np.testing.assert_allclose(got, want.to_numpy(), rtol=1e-7, atol=1e-9, err_msg=f"{window} {center}")
    for x in (pandas.Series(np.ones(20)),):
        got = function(name)(*(x,) * WINDOWS[name].inputs, 5, **arguments_of(name, 1))
        with np.errstate(all="ignore"):
            want = getattr(x.rolling(5), PANDAS[name])(*(x,) * (WINDOWS[name].inputs - 1))
        if name in ("move_skew", "move_kurt"):  # pandas has 0 and -3 before 3.1
            assert np.isnan(got).all()
        elif name != "move_count":  # without min_periods pandas, too, counts
            np.testing.assert_array_equal(got, want.to_numpy())


def test_other_dtypes(backend):
    a = np.arange(1.0, 9.0)
    want = ac.move_sum(a, 3)
    for x in (a.astype(">f8"), a.astype(np.longdouble), a.astype(object), a.tolist(), np.ma.array(a), a.astype(">i4")):
        np.testing.assert_array_equal(ac.move_sum(x, 3), want)
    for char in "ef":
        got = ac.move_sum(a.astype(char), 3)
        assert got.dtype == char
        np.testing.assert_array_equal(got, want)
    masked = np.ma.array(a, mask=[0, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(ac.move_sum(masked, 2), [np.nan, np.nan, np.nan, 7, 9, 11, 13, 15])
    for x in (a.astype(complex), a.astype("M8[s]"), a.astype(str)):
        with pytest.raises(TypeError, match=re.escape(f"not of dtype {x.dtype}")):
            ac.move_sum(x, 3)


def test_broadcast_pairs(backend, team):
    a, b = sample((4, 30), "d"), sample((30,), "f")
    got = ac.move_cov(a, b, 5)
    np.testing.assert_array_equal(got, ac.move_cov(a, np.broadcast_to(b, a.shape).copy(), 5))
    assert got.dtype == np.float64
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        ac.move_cov(a, b[:7], 5)


def test_empty(backend):
    assert ac.move_sum(np.empty((0, 3)), 2).shape == (0, 3)
    with pytest.raises(ValueError, match="window must be between 1 and 0"):
        ac.move_sum(np.empty((0, 3)), 2, axis=0)


# ---- bad arguments, out

BAD = [
    ({"window": 0}, ValueError, "window must be between 1 and 6, .* got 0"),
    ({"window": 7}, ValueError, "window must be between 1 and 6, .* got 7"),
    ({"window": 2.0}, TypeError, "window must be an integer, got 2.0"),
    ({"window": True}, TypeError, "window must be an integer, not bool"),
    ({"window": None}, TypeError, "window must be an integer"),
    ({"min_count": 0}, ValueError, "min_count must be greater than zero, got 0"),
    ({"min_count": -1}, ValueError, "min_count must be greater than zero, got -1"),
    ({"min_count": 4}, ValueError, r"min_count must not be greater than window \(3\), got 4"),
    ({"min_count": 1.0}, TypeError, "min_count must be an integer, got 1.0"),
    ({"axis": 2}, ValueError, "axis 2 is out of bounds"),
    ({"axis": -3}, ValueError, "axis -3 is out of bounds"),
    ({"axis": None}, TypeError, "axis must be an integer, got None"),
    ({"axis": 1.0}, TypeError, "axis must be an integer, got 1.0"),
    ({"workers": 0}, ValueError, "workers must be"),
    ({"ddof": 1.0}, TypeError, "ddof must be an integer, got 1.0"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD, ids=[str(case[0]) for case in BAD])
@pytest.mark.parametrize("name", WINDOWS)
def test_bad_arguments(name, bad, error, message):
    if "ddof" in bad and not arguments_of(name, 0):
        return
    inputs = inputs_of(name, np.arange(30.0).reshape(5, 6))
    out = np.full((5, 6), 7.0)
    with pytest.raises(error, match=message):
        function(name)(*inputs, **{"window": 3, "out": out, **bad})
    assert (out == 7).all()
    bottleneck = pytest.importorskip("bottleneck")
    if hasattr(bottleneck, name) and "workers" not in bad:
        with pytest.raises(error):
            getattr(bottleneck, name)(*inputs, **{"window": 3, **bad})


def test_a_new_result_is_laid_out_as_its_input(backend):
    a = sample((4, 5, 6), "d")
    for x in (a, np.asfortranarray(a), a.transpose(1, 0, 2), a.transpose(2, 0, 1)):
        result = ac.move_mean(x, 2)
        order = np.argsort(x.strides)
        assert (np.argsort(result.strides) == order).all()


@pytest.mark.parametrize("char", DTYPES)
def test_cells_are_not_copied(char):
    from allcores._engine.arguments import numbers

    a = sample((3, 4), char)
    for x in (a, a.T, a[::-1], a[:, ::2]):
        assert numbers("a", x) is x


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["move_argmin", "move_argmax", "move_count"])
def test_counts_and_positions_fit_their_dtype(name, order, way):
    """float16 has every integer up to 2048; larger ones come as float64, unless `out` says otherwise."""
    x = np.ones(5000, "e")
    x[1999::2000] = 0 if name == "move_argmin" else 2
    x[4100:4110] = np.nan
    a = x.astype(order + "f2")
    for window, char in ((2048, "e"), (2049, "d"), (4500, "d")):
        want = getattr(ac, name)(x.astype("d"), window, 1)
        got = getattr(ac, name)(a, window, 1)
        assert got.dtype == char
        np.testing.assert_array_equal(got, want)
        columns = getattr(ac, name)(np.stack([a, a, a], axis=1), window, 1, 0)
        assert columns.dtype == char
        np.testing.assert_array_equal(columns[:, 1], want)
        for out in (np.empty(len(x), "e"), np.empty(len(x), char)):
            assert getattr(ac, name)(a, window, 1, out=out) is out
            np.testing.assert_array_equal(out, want.astype(out.dtype))
    assert windows.counting_dtype(np.dtype("f"), 2**24).char == "f"
    assert windows.counting_dtype(np.dtype("f"), 2**24 + 1).char == "d"
    assert windows.counting_dtype(np.dtype("d"), 2**50).char == "d"
