"""Gaps, replacing, and the exponential family: by definition, against their peers, and the same bits in every way."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from helpers import (
    ALL_BACKENDS,
    BACKENDS,
    DTYPES,
    LAYOUTS,
    PATTERNS,
    bits,
    everyday,
    salted,
    sample,
)
from hypothesis import given
from hypothesis import strategies as st
from test_windows_bits import FEW
from window_helpers import pairs_with_gaps

import allcores as ac
from allcores._engine import execute, settings
from allcores._engine.registry import SCANS

EXPONENTIAL = [name for name, row in SCANS.items() if row.fields]
FILLS = ("push", "ffill", "bfill")


def inputs_of(name, a):
    if SCANS[name].inputs == 1:
        return (a,)
    a = np.asarray(a)
    return a, np.asarray(np.random.default_rng(99).normal(size=a.shape) * 3 + np.where(a == a, a, 0).astype(float))


# ---- definitions


def filled(a, limit=None, axis=-1):
    """One element after another."""
    out = np.moveaxis(a.copy(), axis, -1)
    for index in np.ndindex(out.shape[:-1]):
        line, last, ago = out[index], None, 0
        for i, v in enumerate(line):
            if v == v:
                last, ago = v, 0
            else:
                ago += 1
                if last is not None and (limit is None or ago <= limit):
                    line[i] = last
    return np.moveaxis(out, -1, axis)


def defined(name, inputs, alpha, min_weight=0.0, axis=-1):
    """The recurrence in longdouble, of sums of squares around the mean of all that is finite."""
    v = [np.moveaxis(np.asarray(a, dtype=np.longdouble), axis, 0) for a in inputs]
    alpha = np.asarray(alpha, dtype=np.longdouble)
    if alpha.ndim > 1:
        alpha = np.moveaxis(alpha, axis, 0)
    alpha = np.broadcast_to(alpha.T, v[0].shape[::-1]).T if alpha.ndim == 1 else np.broadcast_to(alpha, v[0].shape)
    kind = name.removeprefix("move_exp_nan")
    with np.errstate(all="ignore"):
        if kind in ("var", "std", "cov", "corr"):
            v = [x - np.mean(x, where=np.isfinite(x)) if np.isfinite(x).any() else x for x in v]
        x, y = v[0], v[-1]
        zero = np.zeros(x.shape[1:], dtype=np.longdouble)
        n, n2, weight, sx, sy, sxy, sxx, syy = (zero,) * 8
        rows = []
        for i in range(len(x)):
            here = ~(np.isnan(x[i]) | np.isnan(y[i]))
            d, a, b = 1 - alpha[i], np.where(here, x[i], 0), np.where(here, y[i], 0)
            n, n2, weight = d * n + here, d * d * n2 + here, d * weight + np.where(here, alpha[i], 0)
            sx, sy, sxy, sxx, syy = d * sx + a, d * sy + b, d * sxy + a * b, d * sxx + a * a, d * syy + b * b
            bias = 1 - n2 / n**2
            many = bias > 1e-15
            cov = sxy / n - sx / n * (sy / n)
            if kind == "count":
                row = n
            elif kind == "sum":
                row = np.where(n > 0, sx, np.nan)
            elif kind == "mean":
                row = sx / n
            elif kind == "corr":
                p, q = sxx / n - (sx / n) ** 2, syy / n - (sy / n) ** 2
                row = np.where(many & (p > 1e-14) & (q > 1e-14), cov / np.sqrt(p * q), np.nan)
            else:
                row = np.where(many, cov / bias, np.nan)
                row = np.sqrt(np.maximum(row, 0)) if kind == "std" else row
            rows.append(np.where(weight >= min_weight, row, np.nan))
    return np.moveaxis(np.array(rows, dtype=np.longdouble), 0, axis).astype(np.float64)


def check_exponential(name, inputs, alpha, min_weight=0.0, axis=-1, message=""):
    got = getattr(ac, name)(*inputs, alpha, min_weight, axis)
    want = defined(name, inputs, alpha, min_weight, axis)
    where = (name, [(a.dtype.char, a.shape, a.strides) for a in inputs], np.shape(alpha), min_weight, axis, message)
    small = all(a.dtype == np.float32 for a in inputs)
    assert got.dtype == (np.float32 if small else np.float64), where
    rtol = 1e-5 if small else 1e-7 if name.endswith(("var", "std", "cov", "corr")) else 1e-11
    size = max(float(np.abs(np.where(np.isfinite(a), a, 0)).max(initial=0)) for a in inputs)
    atol = 1e-9 if name.endswith("corr") else rtol * (size * size if name.endswith(("var", "cov")) else size)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=max(atol, 1e-12), err_msg=repr(where))


# ---- by definition


@pytest.mark.parametrize("char", "df")
@pytest.mark.parametrize("name", FILLS)
def test_gaps(name, char, backend, team):
    key = "n" if name == "push" else "limit"
    for seed in range(3):
        x = sample((3, 37, 5), char, seed)
        x[np.random.default_rng(seed).random(x.shape) < 0.6] = np.nan
        for axis in (0, 1, 2, -2):
            for limit in (None, 0, 1, 3, 100):
                got = getattr(ac, name)(x, axis=axis, **{key: limit})
                turned = np.flip(x, axis) if name == "bfill" else x
                want = filled(turned, limit, axis)
                want = np.flip(want, axis) if name == "bfill" else want
                assert got.dtype == x.dtype
                np.testing.assert_array_equal(got, want, err_msg=f"{axis} {limit}")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_gaps_of_one_line(pattern, backend, team):
    a = salted(sample((2000,), "d"), pattern)
    a[600:1500] = a[[700]] if pattern == "plain" else np.nan
    for limit in (None, 2, 700, 901):
        np.testing.assert_array_equal(ac.push(a, limit), filled(a, limit))
        np.testing.assert_array_equal(ac.bfill(a, limit), filled(a[::-1], limit)[::-1])


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", ["move_exp_nanvar", "move_exp_nanstd", "move_exp_nancov", "move_exp_nancorr"])
def test_gaps_in_which_the_weight_ends(name, backend, team):
    """A half, 4000 times, is 0; what is relative to the weight stays, however a series is cut."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6000))
    x[:, 700:4900] = np.nan
    given = x if "cov" in name or "corr" in name else x[:1]
    move = getattr(ac, name)
    alone = move(*given, 0.5)
    assert (alone[700:4900] == alone[699]).all()
    series = 300 if backend != "fallback" else 30
    for y in move(*(np.repeat(row[None], series, 0) for row in given), 0.5, axis=1)[:: series // 3]:
        np.testing.assert_allclose(y, alone, rtol=1e-9)
    np.testing.assert_allclose(alone[4910:], move(*given[:, 4900:], 0.5)[10:], rtol=1e-9)


@pytest.mark.parametrize("name", ["move_exp_nanvar", "move_exp_nanstd", "move_exp_nancov", "move_exp_nancorr"])
def test_what_is_nearly_forgotten(name, team):
    """After a gap that leaves less weight than an element's last digit has, all that counts is the next one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 20)) * 10.0 ** rng.integers(0, 12, (120, 20))
    for gap in (50, 60):
        x[30 : 30 + gap] = np.nan
        for view, axis in ((x, 0), (x[:, 0], 0)):
            found = set()
            for level in BACKENDS:
                with settings.use_backend(level):
                    found.add(bits(getattr(ac, name)(*inputs_of(name, view), 0.5, axis=axis)))
            assert len(found) == 1, (gap, view.shape)


def test_gaps_that_grow_rare(backend):
    """Many in the first words of 64 elements, then few, the first of them at the beginning of a word."""
    for char in "df":
        a = sample((20_000,), char)
        a[: 5 * 64 : 3] = np.nan
        a[320::64] = np.nan
        for limit in (None, 1):
            np.testing.assert_array_equal(ac.push(a, limit, workers=1), filled(a, limit))


def test_gaps_of_other_dtypes(backend):
    for char in DTYPES:
        a = sample((4, 5), char)
        got = ac.push(a, axis=0)
        assert got is not a
        assert bits(got) == bits(a)
    a = np.array([np.nan, 1, np.nan, np.nan, 2, np.nan])
    for char in ("e", "g", ">f8", "F", "D", ">f4"):
        got = ac.push(a.astype(char), 1)
        assert got.dtype == char
        np.testing.assert_array_equal(got, np.array([np.nan, 1, 1, np.nan, 2, 2]).astype(char))
    times = np.array(["NaT", "2000", "NaT"], "M8[D]")
    np.testing.assert_array_equal(ac.push(times), np.array(["NaT", "2000", "2000"], "M8[D]"))
    np.testing.assert_array_equal(ac.ffill(np.ma.array([1.0, 2.0], mask=[0, 1])), [1, 1])
    with pytest.raises(TypeError, match="not of dtype object"):
        ac.push(a.astype(object))
    assert ac.push(np.empty((0, 3))).shape == (0, 3)
    payload = np.array([0x7FF8000000000123, 0], dtype=np.uint64).view(float)
    assert ac.push(payload).view(np.uint64)[0] == 0x7FF8000000000123


@pytest.mark.parametrize("char", everyday(DTYPES, "?hQfd"))
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_dtypes(name, char, backend, team):
    a = sample((3, 37, 5), char)
    a = (a % 7).astype(char) if a.dtype.kind in "iu" else a
    for i, axis in enumerate((0, 1, 2, -1, 1, -3)):
        x = salted(a, "some") if char in "fd" and i % 2 else a
        shape = ((), (x.shape[axis],), x.shape)[(i + i // 3) % 3]
        alpha = np.random.default_rng(i).random(shape) * 0.5 + 0.1
        check_exponential(name, inputs_of(name, x), alpha, (0, 0.3)[i % 2], axis)


@pytest.mark.parametrize("name", [name for name in EXPONENTIAL if SCANS[name].inputs == 2])
def test_one_of_a_pair_is_missing(name, backend):
    """Then the pair is: the bits are those of pairs without either."""
    each = np.random.default_rng(1).random(600) * 0.4
    for shape, axis, alpha in (((600,), 0, 0.2), ((30, 260), 0, 0.2), ((2, 600), 1, each)):
        for only, pairs, neither in pairs_with_gaps(shape):
            check_exponential(name, pairs, alpha, 0.5, axis, only)
            got, want = (getattr(ac, name)(*v, alpha, 0.5, axis) for v in (pairs, neither))
            assert bits(got) == bits(want), (only, shape, axis)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_lengths(name, backend, team):
    for i, n in enumerate((1, 2, 31, 512, 513, 1500)):
        alphas = (0.0, 0.05, 0.5, np.random.default_rng(n).random(n) * 0.2)
        for j, (shape, axis) in enumerate((((n,), 0), ((n, 2), 0), ((n, 20), 0), ((2, n), 1))):
            a = salted(sample(shape, "d", n), "some")
            for alpha in alphas if n < 100 else (alphas[(i + j) % 3], alphas[3]):
                check_exponential(name, inputs_of(name, a), alpha, 0.01, axis)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_forgetting_everything(name, backend, team):
    """alpha = 1: every element is the first, and where it is once, all before it is gone."""
    a = sample((2000,), "d")
    inputs = inputs_of(name, a)
    got = getattr(ac, name)(*inputs, 1.0)
    want = {"count": np.ones(2000), "sum": a, "mean": a}.get(name.removeprefix("move_exp_nan"), np.full(2000, np.nan))
    np.testing.assert_array_equal(got, want)
    alpha = np.full(2000, 0.1)
    alpha[1300] = 1
    got = getattr(ac, name)(*inputs, alpha)[1300:]
    np.testing.assert_allclose(got, getattr(ac, name)(*(x[1300:] for x in inputs), 0.1), rtol=1e-9, atol=1e-12)


# ---- long gaps


def of_few(name, pairs):
    """The statistic of elements [(weight, x, y)] as rational numbers have it; the last element has the weight 1."""
    weights = [w for w, *_ in pairs]
    s = sum(weights)
    if name.endswith("count"):
        return float(s)
    if name.endswith("sum"):
        return float(sum(w * x for w, x, _ in pairs)) if pairs else np.nan
    if not pairs:
        return np.nan
    xm, ym = sum(w * x for w, x, _ in pairs) / s, sum(w * y for w, _, y in pairs) / s
    if name.endswith("mean"):
        return float(xm)
    p, q, c = (
        sum(w * (f(x, y) - fm) * (g(x, y) - gm) for w, x, y in pairs)
        for f, fm, g, gm in (
            (lambda x, y: x, xm, lambda x, y: x, xm),
            (lambda x, y: y, ym, lambda x, y: y, ym),
            (lambda x, y: x, xm, lambda x, y: y, ym),
        )
    )
    if name.endswith("corr"):
        return float(c * c / (p * q)) ** 0.5 * (1 if c > 0 else -1) if p and q else np.nan
    bias = s - sum(w * w for w in weights) / s
    value = float((c if name.endswith("cov") else p) / bias) if bias else np.nan
    return value**0.5 if name.endswith("std") else value


@cache
def gaps_in_a_line(name, alpha):
    """Two series of long gaps, positions to look at, and what the statistic is there."""
    rng = np.random.default_rng(8)
    x = np.full(1400, np.nan)
    for first, many in ((100, 2), (142, 1), (1240, 2), (1300, 3)):
        x[first : first + many] = rng.normal(size=many) + 3
    y = rng.normal(size=x.size)
    here, decay = np.flatnonzero(x == x), Fraction(1 - alpha)
    wanted, known, before = {}, [], -1
    for i in sorted({*here, *(here + 1), x.size - 1}):
        known = [(w * decay ** int(i - before), a, b) for w, a, b in known]
        if x[i] == x[i]:
            known.append((Fraction(1), Fraction(x[i]), Fraction(y[i])))
        wanted[i], before = of_few(name, known), i
    return x, y, np.array(list(wanted)), np.array(list(wanted.values()))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
@pytest.mark.parametrize("alpha", [0.125, 0.5, 0.9375])
def test_long_gaps(name, alpha, backend, team):
    """Means and moments outlast gaps in which all weights underflow: of one line, of many, of columns, with alphas."""
    if backend == "fallback" and alpha != 0.5:
        pytest.skip("takes seconds")
    x, y, at, want = gaps_in_a_line(name, alpha)
    many, others = np.random.default_rng(9).normal(size=(2, 70, x.size))
    many[:, 1::3] = np.nan
    many[[0, 33, 66]], others[[0, 33, 66]] = x, y
    for rows, axis in ((1, 1),) if backend == "fallback" else ((1, 1), (70, 1), (70, 0)):
        inputs = (many[:rows], others[:rows])[: SCANS[name].inputs]
        inputs = [v if axis else np.ascontiguousarray(v.T) for v in inputs]
        for shares in (alpha, np.full(x.size, alpha)) if alpha == 0.5 else (alpha,):
            got = getattr(ac, name)(*inputs, shares, axis=axis)
            for row in {0, min(33, rows - 1)}:
                line = got[row] if axis else got[:, row]
                # Of a series that is constant since all that weighs anything there may be no correlation.
                known = line[at] == line[at] if name.endswith("corr") else slice(None)
                np.testing.assert_allclose(line[at][known], want[known], rtol=1e-9, atol=1e-290)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_gaps_of_any_length(name, backend):
    """Two elements around a gap: the mean between them goes to the second one, the variance is half of the square."""
    for gap in (10, 1100):
        a = np.concatenate([[10.0], np.full(gap, np.nan), [12.0], np.full(gap, np.nan)])
        inputs = (a, 3 - a)[: SCANS[name].inputs]
        want = {"var": 2, "std": 2**0.5, "cov": -2, "corr": -1}.get(name.removeprefix("move_exp_nan"))
        if want is None:
            continue
        for rows in (1, 70):
            got = getattr(ac, name)(*(np.tile(v, (rows, 1)) for v in inputs), 0.5)
            np.testing.assert_allclose(got[:, gap + 1 :], want, rtol=1e-12)
            assert np.isnan(got[:, : gap + 1]).all()


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_alpha_one_begins_anew(name, backend, team):
    """Whatever was known before has no weight: neither an infinity nor what it made; and nothing is known at a gap."""
    kind = name.removeprefix("move_exp_nan")
    for n, first in ((40, 7), (1500, 1030)):
        for bad in (np.inf, np.nan):
            x = sample((n,), "d") + 2
            x[first - 3], x[first - 2] = bad, -bad
            inputs = inputs_of(name, x)
            alpha = np.full(n, 0.25)
            alpha[first] = 1
            want = getattr(ac, name)(*(v[first:] for v in inputs), 0.25)
            got = getattr(ac, name)(*inputs, alpha)
            np.testing.assert_allclose(got[first:], want, rtol=1e-9, atol=1e-12)
            x[first : first + 2] = np.nan
            got = getattr(ac, name)(*inputs, alpha)[first : first + 2]
            np.testing.assert_array_equal(got, 0 if kind in ("sum", "count") else np.nan)
            whole = getattr(ac, name)(*inputs, 1.0)
            here = x == x
            want = {"count": here * 1.0, "sum": np.where(here, x, 0.0), "mean": np.where(here, x, np.nan)}.get(
                kind, np.nan
            )
            np.testing.assert_array_equal(whole, np.broadcast_to(want, whole.shape))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_infinities_stay(name, backend, team):
    a = sample((1500,), "d")
    a[300] = np.inf
    got = getattr(ac, name)(*inputs_of(name, a), 0.9)
    want = {"count": 0, "sum": np.inf, "mean": np.inf}.get(name.removeprefix("move_exp_nan"), np.nan)
    if name != "move_exp_nancount":
        np.testing.assert_array_equal(got[300:], want)
        assert np.isfinite(got[1:300]).all()


@pytest.mark.slow_fallback
def test_ill_conditioned(backend):
    """1e8 plus noise, against rational numbers."""
    a = 1e8 + sample((700,), "d")
    for alpha in (0.5, 0.125):
        got = ac.move_exp_nanvar(a, alpha)
        w = sw = sx = sww = Fraction(0)
        values, d = [Fraction(float(v)) for v in a], 1 - Fraction(alpha)
        recent = values[-200:]
        for back, v in enumerate(reversed(recent)):
            w = d**back
            sw, sww, sx = sw + w, sww + w * w, sx + w * v
        mean = sx / sw
        biased = sum(d**back * (v - mean) ** 2 for back, v in enumerate(reversed(recent))) / sw
        want = float(biased / (1 - sww / sw**2))
        assert abs(got[-1] - want) <= 1e-6 * want
        assert not (got < 0).any()


@pytest.mark.slow_fallback
def test_constant_series(backend):
    a = np.full(3000, 0.1)
    a[sample((3000,), "?")] = np.nan
    first = np.flatnonzero(a == a)[1]
    for alpha in (0.0, 0.01, 0.7):
        assert (ac.move_exp_nanvar(a, alpha)[first:] == 0).all()
        assert (ac.move_exp_nanstd(a, alpha)[first:] == 0).all()
        assert np.isnan(ac.move_exp_nancorr(a, a, alpha)).all()


# ---- peers


@pytest.mark.extended
@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", EXPONENTIAL)
def test_agrees_with_numbagg(name, backend):
    numbagg = pytest.importorskip("numbagg")
    rng = np.random.default_rng(3)
    for shape, axis in (((700,), 0), ((30, 40), 0), ((30, 40), 1)):
        a = salted(sample(shape, "d"), "some")
        inputs = inputs_of(name, a)
        for alpha in (0.1, 0.9, rng.random(shape[axis]) * 0.9 + 0.05, rng.random(shape) * 0.9 + 0.05):
            for least in (0, 0.3, 1):
                got = getattr(ac, name)(*inputs, alpha, least, axis)
                want = getattr(numbagg, name)(*inputs, alpha=alpha, min_weight=least, axis=axis)
                if name.endswith(("var", "std", "cov", "corr")):
                    # numbagg's bias of a single element is sometimes 1e-16 instead of 0.
                    want = np.where(np.isnan(got), got, want)
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["mean", "var", "std", "cov", "corr"])
def test_agrees_with_pandas(name, backend):
    pandas = pytest.importorskip("pandas")
    a, b = salted(sample((900,), "d"), "some"), sample((900,), "d", 5)
    inputs = (a, b) if name[:2] == "co" else (a,)
    series = [pandas.Series(v) for v in inputs]
    for alpha in (0.05, 0.6):
        want = getattr(series[0].ewm(alpha=alpha), name)(*series[1:]).to_numpy()
        got = getattr(ac, f"move_exp_nan{name}")(*inputs, alpha)
        known = ~np.isnan(want)
        np.testing.assert_allclose(got[known], want[known], rtol=1e-8, atol=1e-10)


def test_fills_agree_with_peers(backend):
    a = salted(sample((50, 60), "d"), "some")
    a[a > 0.5] = np.nan
    for limit in (None, 0, 1, 4):
        for axis in (0, 1):
            bottleneck, numbagg = pytest.importorskip("bottleneck"), pytest.importorskip("numbagg")
            np.testing.assert_array_equal(ac.push(a, limit, axis), bottleneck.push(a, limit, axis))
            np.testing.assert_array_equal(ac.ffill(a, limit, axis), numbagg.ffill(a, limit=limit, axis=axis))
            np.testing.assert_array_equal(ac.bfill(a, limit, axis), numbagg.bfill(a, limit=limit, axis=axis))


# ---- replace


@pytest.mark.parametrize("char", [*DTYPES, "e", "g", ">f8", ">i4", "D"])
def test_replace(char, backend, team):
    for layout, view in LAYOUTS.items():
        if layout in ("read-only", "broadcast"):
            continue
        a = (np.arange(3 * 37 * 5) % 7).reshape(3, 37, 5).astype(char)
        x = view(a.copy())
        want = np.where(x == x.dtype.type(1), x.dtype.type(0), x)
        assert ac.replace(x, 1, 0) is x
        np.testing.assert_array_equal(x, want, err_msg=layout)
    if np.dtype(char).kind in "fc":
        a = np.arange(5).astype(char)
        a[2] = np.nan
        np.testing.assert_array_equal(ac.replace(a, np.nan, -1), np.array([0, 1, -1, 3, 4]).astype(char))
        np.testing.assert_array_equal(ac.replace(a, -1, np.nan), np.array([0, 1, np.nan, 3, 4]).astype(char))


def test_replace_like_bottleneck(backend):
    bottleneck = pytest.importorskip("bottleneck")
    cases = [("d", np.nan, 0), ("i", np.nan, 0), ("l", 1.0, 2.0), ("f", 0.1, 1), ("d", True, 9), ("l", 1, 0.5)]
    cases += [("l", 0.5, 1), ("i", 1, 2**40), ("l", np.inf, 1), ("l", 1, np.nan), ("d", "a", 1), ("d", 1, None)]
    for char, old, new in cases:
        a = np.arange(6).astype(char)
        b = a.copy()
        try:
            bottleneck.replace(b, old, new)
        except Exception as error:
            with pytest.raises(type(error), match=r"old|new"):
                ac.replace(a, old, new)
        else:
            ac.replace(a, old, new)
        np.testing.assert_array_equal(a, b)


def test_replace_errors(backend):
    with pytest.raises(TypeError, match=r"a must be an ndarray, .* not list"):
        ac.replace([1, 2], 1, 2)
    a = np.arange(3.0)
    a.flags.writeable = False
    with pytest.raises(ValueError, match="a must be writeable"):
        ac.replace(a, 1, 2)
    with pytest.raises(ValueError, match="new cannot safely be cast to int8, got 200"):
        ac.replace(np.arange(3, dtype="b"), 1, 200)
    for a in (np.array(3.0), np.empty((0, 2))):
        assert ac.replace(a, 3, 4) is a
        assert (a == 4).all()


# ---- bad arguments, out

BAD = [
    ({"axis": 2}, ValueError, "axis 2 is out of bounds"),
    ({"axis": None}, TypeError, "axis must be an integer, got None"),
    ({"axis": 1.0}, TypeError, "axis must be an integer, got 1.0"),
    ({"workers": 0}, ValueError, "workers must be"),
    ({"out": np.zeros(3)}, ValueError, "out must have the shape"),
    ({"out": np.zeros((5, 6), "q")}, TypeError, "out must have the dtype float64, got int64"),
]
BAD_LIMIT = [(-1, ValueError, "must be nonnegative, got -1"), (1.5, TypeError, "must be an integer, got 1.5")]
BAD_WEIGHTS = [
    ({"alpha": 1.5}, ValueError, "alpha must be between 0 and 1, got 1.5"),
    ({"alpha": -0.5}, ValueError, "alpha must be between 0 and 1, got -0.5"),
    ({"alpha": np.nan}, ValueError, "alpha must be between 0 and 1, got nan"),
    ({"alpha": [0.5, 2, 0.5, 0.5, 0.5, 0.5]}, ValueError, "alpha must be between 0 and 1, got 2.0"),
    ({"alpha": "a"}, TypeError, r"alpha must be a number .*, got 'a'"),
    ({"alpha": [0.5] * 4}, ValueError, r"alpha must have the length of the axis \(6\), got 4"),
    ({"alpha": np.full((6, 5), 0.5)}, ValueError, r"alpha must have the shape of the input \(5, 6\)"),
    ({"min_weight": 2}, ValueError, "min_weight must be between 0 and 1, got 2.0"),
    ({"min_weight": -0.1}, ValueError, "min_weight must be between 0 and 1, got -0.1"),
    ({"min_weight": "a"}, TypeError, "min_weight must be a number, got 'a'"),
]


@pytest.mark.parametrize("name", [*FILLS, *EXPONENTIAL])
def test_bad_arguments(name):
    a, cases = np.arange(30.0).reshape(5, 6), list(BAD)
    if name in FILLS:
        key, arguments = "n" if name == "push" else "limit", {}
        cases += [({key: value}, error, f"{key} {text}") for value, error, text in BAD_LIMIT]
    else:
        cases += BAD_WEIGHTS
        arguments = {"alpha": 0.5}
    for bad, error, message in cases:
        out = np.full((5, 6), 7.0)
        inputs = (a,) if name in FILLS else inputs_of(name, a)
        with pytest.raises(error, match=message):
            getattr(ac, name)(*inputs, **{**arguments, "out": out, **bad})
        assert (out == 7).all()
    with pytest.raises(ValueError, match="at least one dimension"):
        getattr(ac, name)(*inputs_of(name, np.array(1.0)) if name not in FILLS else (1.0,), **arguments)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("state", ["ignore", "warn", "raise"])
def test_no_warnings(state, backend, team):
    a = np.array([0.0, np.inf, -np.inf, 1e308, 1e308, -1e308, np.nan, 5e-324] * 200)
    with np.errstate(all=state):
        for name in EXPONENTIAL:
            getattr(ac, name)(*(a,) * SCANS[name].inputs, 0.3, 0.1)
        ac.push(a, 1)


# ---- the same bits


ALL = ["push", "bfill", *EXPONENTIAL]


@pytest.mark.parametrize("alpha", everyday([0.0, 0.4, 1 - 2.0**-53, 1.0], [0.4]))
@pytest.mark.parametrize("name", [name for name in EXPONENTIAL if not SCANS[name].decays])
@pytest.mark.parametrize("backend", [name for name in ALL_BACKENDS if name != "fallback"], indirect=True)
def test_complete_and_gappy_lanes(name, alpha, backend):
    """Lanes with the same count share what depends on it alone; a gap, an infinity or another count ends that."""
    for shape, axis in (((130, 36), 0), ((20, 130), 1), ((9000,), 0)):
        a = sample(shape, "d")
        a.flat[a.size // 3] = np.nan
        a.flat[a.size // 2 + 7] = np.inf
        inputs = inputs_of(name, a)
        inputs[-1].flat[a.size // 5] = np.nan
        got = getattr(ac, name)(*inputs, alpha, axis=axis)
        with settings.use_backend("fallback"):
            assert bits(got) == bits(getattr(ac, name)(*inputs, alpha, axis=axis)), shape


def test_a_series_of_nan_is_read_twice_at_most(monkeypatch):
    """Not once for each chunk: the first pass notes where its last number is."""
    monkeypatch.setattr(execute, "output_chunk", 1000)
    a = np.full(3_000_000, np.nan)
    a[0] = 1
    assert (ac.push(a) == 1).all()  # 3000 chunks: 4.5e9 steps backwards, were it otherwise


# ---- anything


@pytest.mark.thread_unsafe(reason="changes modules")
@given(data=st.data())
@FEW
def test_any_arguments(data):
    name = data.draw(st.sampled_from(ALL))
    dtype = np.dtype(data.draw(st.sampled_from("dfbQ?")))
    shape = data.draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))
    values = st.integers(-1000, 1000).map(lambda i: i / 8) | st.sampled_from((np.nan, 0.0, -0.0))
    elements = values if dtype.kind == "f" else None if dtype.kind == "b" else st.integers(0, 9)
    a = data.draw(npst.arrays(dtype, shape, elements=elements))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    if data.draw(st.booleans()):
        a = np.repeat(a, data.draw(st.sampled_from((9, 300))), axis=axis)
    a = a.transpose(data.draw(st.permutations(range(a.ndim))))
    if name in FILLS:
        limit = data.draw(st.none() | st.integers(0, 9))
        args = (a, limit, axis)
        if name == "push":
            np.testing.assert_array_equal(ac.push(*args), filled(a, limit, axis))
    else:
        alpha, least = data.draw(st.floats(0.01, 0.99)), data.draw(st.sampled_from((0, 0.25)))
        args = (*inputs_of(name, a), alpha, least, axis)
    found = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "threshold", 0)
        for backend in BACKENDS:
            for chunk in (1, 10**6):
                patch.setattr(execute, "output_chunk", chunk)
                with settings.use_backend(backend):
                    found.add(bits(getattr(ac, name)(*args, workers=2)))
    assert len(found) == 1


def test_counts_of_float16_fit_their_dtype(way):
    for n, char in ((2048, "e"), (2049, "d"), (70_000, "d")):
        x = np.ones(n, "e")
        got = ac.move_exp_nancount(x, 0.0)
        assert (got.dtype, got[-1]) == (char, n)
        assert ac.move_exp_nancount(np.stack([x, x]), 0.0)[1, -1] == n
        out = np.empty(n, "e")
        assert ac.move_exp_nancount(x, 0.0, out=out) is out
    assert ac.move_exp_nansum(np.ones(3000, "e"), 0.5).dtype == "e"
