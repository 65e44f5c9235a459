"""Sorting, order, ranks, distinct values, searching: by NumPy and SciPy, and the same bits in every way."""

from __future__ import annotations

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from helpers import BACKENDS, DTYPES, bits, everyday, outcome, python, salted, sample
from hypothesis import given
from hypothesis import strategies as st
from test_windows_bits import FEW

import allcores as ac
from allcores import _kernels
from allcores._engine import execute, settings
from allcores._engine.execute import cursor_of
from allcores._families import sort_passes

pytestmark = pytest.mark.kernel("sort_lines")

METHODS = ("average", "min", "max", "dense", "ordinal")


@pytest.fixture
def passes(monkeypatch, team):
    """Lines of more than 100 elements in passes, over many small runs and buckets."""
    monkeypatch.setattr(sort_passes, "LONG", 100)
    monkeypatch.setattr(sort_passes, "RUN", 64)
    monkeypatch.setattr(sort_passes, "BUCKET", 40)
    monkeypatch.setattr(sort_passes, "BINS", 1 << 10)


def exactly(got, want, message: object = "") -> None:
    """With the signs of zeros; NaN is NaN."""
    assert got.dtype == want.dtype, message
    assert got.shape == want.shape, message
    assert bits(np.ascontiguousarray(got)) == bits(np.ascontiguousarray(want)), message


def check(a, axis=-1, message: object = "") -> None:
    exactly(ac.sort(a, axis), np.sort(a, axis, kind="stable"), (message, a.dtype, a.shape, axis, "sort"))
    got = ac.argsort(a, axis)
    np.testing.assert_array_equal(got, np.argsort(a, axis, kind="stable"), err_msg=str((message, a.dtype, axis)))
    assert got.dtype == np.intp


def patterns(n: int, char: str):
    """Lines that are in order, nearly, in another one, or hard for some way of sorting."""
    rng = np.random.default_rng(n)
    i = np.arange(n)
    killer = np.empty(n)  # of quicksorts that take the median of three
    half = n // 2
    killer[:half] = np.where(i[:half] % 2 == 0, i[:half] + 1, half + i[:half])
    killer[half:] = 2 * (i[half:] - half + 1)
    lines = {
        "ascending": i,
        "descending": i[::-1],
        "descending, with ties": (i // 3)[::-1],
        "constant": np.zeros(n),
        "two": rng.integers(0, 2, n),
        "few": rng.integers(0, 10, n),
        "one else": np.where(rng.random(n) < 0.01, rng.normal(size=n) * 50, 7),
        "sawtooth": i % 7,
        "teeth": i % max(n // 5, 1),
        "organ pipes": np.minimum(i, n - i),
        "nearly": np.where(rng.random(n) < 0.02, rng.integers(0, 100, n), i),
        "killer": killer,
        "cluster": np.where(rng.random(n) < 0.5, 1e6 + rng.normal(size=n), rng.normal(size=n)),
        "decades": np.exp(rng.normal(size=n) * 300 % 700),
        "low bits": np.ldexp(1.0 + rng.integers(0, 4, n) * 2.0**-52, 40 * rng.integers(0, 3, n)),
    }
    for name, line in lines.items():
        with np.errstate(all="ignore"):
            yield name, (line % 100 if char in "bB" else line).astype(char)


# ---- sort and argsort


@pytest.mark.parametrize("char", DTYPES)
def test_dtypes(char, backend, team):
    for shape in ((3, 37, 5), (2, 260, 2)):
        a = sample(shape, char)
        for x in (a, salted(salted(a, "zeros"), "some")) if char in "fd" else (a,):
            for axis in (0, 1, 2, -2, None):
                check(x, axis)


@pytest.mark.parametrize("char", "dfqihB?Q")
def test_patterns(char, backend, team, monkeypatch):
    for n in (33, 64, 700, 5000):
        for name, line in patterns(n, char):
            for long in (sort_passes.LONG, 200):
                with monkeypatch.context() as patch:
                    patch.setattr(sort_passes, "LONG", long)
                    patch.setattr(sort_passes, "RUN", 512)
                    patch.setattr(sort_passes, "BUCKET", 256)
                    check(line, message=(name, long))


@pytest.mark.parametrize("char", "dfib")
def test_lengths(char, backend, passes):
    for n in (0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 99, 100, 101, 127, 128, 129, 200, 201, 257, 600, 601, 1501, 4099):
        a = sample((n,), char, n)
        check(a)
        check(a[:0] if n == 2 else np.broadcast_to(a, (2, n)))
    assert ac.sort(np.empty((3, 0)), 0).shape == (3, 0)
    assert ac.argsort(np.empty((0, 3)), 0).dtype == np.intp


@pytest.mark.parametrize("char", "dfQh")
def test_short_lines(char, backend, team):
    """Side by side: each width, and lines of all lengths up to those that are sorted one by one."""
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 100, 300, 383, 384, 385, 767, 768, 769):
        for lines in (1, 2, 15, 16, 17, 33) if n < 20 else (17,):
            a = sample((lines, n), char, n)
            check(a, 1)
            check(a.T, 0)
            check(np.ascontiguousarray(a.T), 0)


def test_real_thresholds(backend):
    """Without smaller ones for tests."""
    rng = np.random.default_rng(0)
    for n in (4096, 65_536, 65_537, 70_001, 131_072, 300_000):
        check(rng.normal(size=n))
    check(rng.integers(-(2**31), 2**31, 200_000).astype(np.int32))
    check(rng.integers(-(2**15), 2**15, 200_000).astype(np.int16))
    check(salted(salted(rng.normal(size=200_000), "zeros"), "some"))
    check(np.repeat(rng.normal(size=3), 100_000))


@pytest.mark.parametrize("char", "ilqILQ")
def test_narrow_ranges(char, backend, team, monkeypatch):
    """Counted; and an outlier that no sample has."""
    monkeypatch.setattr(sort_passes, "LONG", 100)
    info = np.iinfo(char)
    for low in (info.min, 0, info.max - 40):
        a = (sample((3000,), "B") % 40).astype(char) + np.dtype(char).type(low)
        for outlier in (low, info.min, info.max, low + 30):
            a[2999] = outlier
            check(a)
            for got, want in zip(ac.unique(a, return_counts=True), np.unique(a, return_counts=True), strict=True):
                exactly(got, want)
            again = a.copy()
            exactly(ac.sort(again, out=again), np.sort(a))


@pytest.mark.parametrize("char", "fd")
def test_zeros_and_nan(char, backend, team, monkeypatch):
    """Equal zeros keep their order; NaN of any sign and payload comes last."""
    rng = np.random.default_rng(1)
    for n in (20, 300, 3000):
        for share in (0.5, 1.0):
            a = np.where(rng.random(n) < share, 0.0, rng.normal(size=n)).astype(char)
            a[rng.random(n) < 0.5] *= -1
            a[::7] = -np.float64(np.nan)
            a[3] = np.inf
            for long in (10**6, 100):
                with monkeypatch.context() as patch:
                    patch.setattr(sort_passes, "LONG", long)
                    check(a)
                    out = a.copy()
                    ac.sort(out, out=out)
                    exactly(out, np.sort(a, kind="stable"))


def descending(line) -> list[int]:
    """Positions, the greatest element first, equal ones in order of position, NaN last."""
    keys = [(x == x, x if x == x else 0) for x in line.tolist()]
    return sorted(range(len(line)), key=keys.__getitem__, reverse=True)


@pytest.mark.parametrize("char", DTYPES)
def test_descending(char, backend, passes):
    """As NumPy 2.5 has it, with any NumPy."""
    for shape, axis in [((0,), -1), ((7,), 0), ((3, 50), 1), ((50, 3), 0), ((4, 300), -1), ((300, 4), None)]:
        a = sample(shape, char)
        if char in "fd":
            a.reshape(-1)[::3] = 0.0
            a.reshape(-1)[::6] *= -1
            a.reshape(-1)[::5] = np.nan
        axes = {"axis": axis, "descending": True}
        line = a.reshape(-1) if axis is None else a
        want = np.apply_along_axis(descending, axis or 0, line) if line.size else np.empty(0, int)
        np.testing.assert_array_equal(ac.argsort(a, **axes), want)
        values = np.take_along_axis(line, want.astype(int), axis or 0)
        exactly(ac.sort(a, **axes), values)
        exactly(ac.sort(a, stable=False, **axes), values)
        out = line.copy()
        assert ac.sort(out, axis or 0, descending=True, out=out) is out
        exactly(out, values)
    for no in (None, False):
        exactly(ac.sort(a, descending=no), np.sort(a, kind="stable"))
        np.testing.assert_array_equal(ac.argsort(a, descending=no), np.argsort(a, kind="stable"))


def test_descending_by_numpy(backend):
    """What has no kernel is NumPy's, which knows it from 2.5 on."""
    for a in (np.array([1, 3, np.nan, 3, 2], "e"), np.array(["b", "c", "a"])):
        for ours, theirs in ((ac.sort, np.sort), (ac.argsort, np.argsort)):
            if np.lib.NumpyVersion(np.__version__) < "2.5.0":
                with pytest.raises(TypeError, match="descending"):
                    ours(a, descending=True)
            else:
                np.testing.assert_array_equal(ours(a, descending=True), theirs(a, stable=True, descending=True))


def test_bad_arguments(backend):
    a = np.array([3.0, 1.0, 2.0])
    out = np.zeros(3)
    for kwargs in (
        {"axis": 1},
        {"axis": "x"},
        {"kind": "x"},
        {"kind": "stable", "stable": True},
        {"kind": "stable", "descending": True},
        {"kind": "quicksort", "descending": False},
        {"order": "f"},
        {"workers": 0},
    ):
        for function in (ac.sort, ac.argsort):
            with pytest.raises((ValueError, TypeError)):
                function(a, **kwargs)
        with pytest.raises((ValueError, TypeError)):
            ac.sort(a, out=out, **kwargs)
    for bad in (np.zeros(4), np.zeros(3, "f"), [0, 0, 0]):
        with pytest.raises((ValueError, TypeError)):
            ac.sort(a, out=bad)
    with pytest.raises(np.exceptions.AxisError):
        ac.sort(5.0)
    assert not out.any()
    exactly(ac.sort(5.0, None), np.array([5.0]))
    for kind in ("quicksort", "heapsort", "mergesort", "stable", None):
        np.testing.assert_array_equal(ac.sort(a, kind=kind), [1, 2, 3])
        np.testing.assert_array_equal(ac.argsort([1, 0, 0], kind=kind), [1, 2, 0])
    np.testing.assert_array_equal(ac.argsort([1, 0, 0], stable=False), [1, 2, 0])


def test_other_dtypes(backend):
    a = sample((40,), "d")
    for char in ("e", "g", ">f8", ">i4", "F", "D", "O", "U5", "M8[s]"):
        x = a.astype("i8").astype(char) if char.startswith("M") else a.astype(char)
        np.testing.assert_array_equal(ac.sort(x), np.sort(x, kind="stable"))
        np.testing.assert_array_equal(ac.argsort(x), np.argsort(x, kind="stable"))
        assert ac.sort(x).dtype == x.dtype
    fields = np.array([(2, 1.0), (1, 3.0), (1, 2.0)], [("a", int), ("b", float)])
    np.testing.assert_array_equal(ac.sort(fields, order=["a", "b"]), np.sort(fields, order=["a", "b"]))
    np.testing.assert_array_equal(ac.argsort(fields, order="b"), [0, 2, 1])
    many = np.zeros(300, [("a", "i4"), ("b", ">f4"), ("c", "i8")])  # sorts that are not stable are so in few
    many["a"], many["b"] = np.random.default_rng(0).integers(0, 5, (2, 300))
    many["c"] = np.arange(300)
    for order in ("a", ["b", "a"], None):
        for how in ({}, {"kind": "heapsort"}, {"stable": False}):
            x = many if order else many[["a", "b"]]
            np.testing.assert_array_equal(ac.argsort(x, order=order, **how), np.argsort(x, kind="stable", order=order))
            np.testing.assert_array_equal(ac.sort(x, order=order, **how), np.sort(x, kind="stable", order=order))
    masked = np.ma.array([3, 1, 2], mask=[0, 1, 0])
    assert isinstance(ac.sort(masked), np.ma.MaskedArray)
    assert ac.sort([[3, 1], [2, 4]]).tolist() == [[1, 3], [2, 4]]


# ---- lexsort


def test_lexsort(backend, team, monkeypatch):
    rng = np.random.default_rng(4)
    for long in (10**6, 100):
        monkeypatch.setattr(sort_passes, "LONG", long)
        a, b, c = rng.integers(0, 5, 400), rng.normal(size=400), rng.integers(0, 3, 400).astype("b")
        for keys in ((a,), (b, a), (b, a, c), [a.tolist(), c], np.stack([a, a[::-1]])):
            np.testing.assert_array_equal(ac.lexsort(keys), np.lexsort(keys))
        keys = rng.integers(0, 3, (2, 30, 20))
        for axis in (0, 1, -1, -2):
            np.testing.assert_array_equal(ac.lexsort(keys, axis), np.lexsort(keys, axis))
    for bad in ((), (a, b[:3]), 5):
        with pytest.raises((ValueError, TypeError)):
            ac.lexsort(bad)
    words = (np.array(["b", "a", "b"]), np.array([1, 1, 0]))
    np.testing.assert_array_equal(ac.lexsort(words), np.lexsort(words))


class Keys:
    """A sequence of keys, and no more."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return [[3, 1, 2], [0, 0, 1]][i]


def test_lexsort_takes_sequences_alone(backend):
    """What is none has no last key; of a table NumPy takes the columns, not their labels."""
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    rows = [[3, 1, 2], [0, 0, 1]]
    frame = pandas.DataFrame(rows)
    for keys in (Keys(), frame, xarray.DataArray(rows), (frame[0], frame[1]), pandas.Series([3, 1]), tuple(rows), rows):
        got, want = ac.lexsort(keys), np.lexsort(keys)
        assert np.shape(got) == np.shape(want)
        np.testing.assert_array_equal(got, want)
    for bad in ({1, 2}, {0: [2, 1], 1: [1, 1]}, (key for key in rows), iter(rows), map(list, rows), None, 5):
        assert outcome(np.lexsort, bad) is TypeError
        assert outcome(ac.lexsort, bad) is TypeError


# ---- ranks


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("char", everyday("dfq?H", "dq"))
def test_ranks(method, char, backend, passes):
    stats = pytest.importorskip("scipy.stats")
    for shape in ((1,), (40,), (700,), (6, 130), (130, 3)):
        a = sample(shape, char)
        a = np.round(a * 3) if char in "fd" else a % 7 if char in "qH" else a
        a = a.astype(char)
        for axis in (None, *range(a.ndim)):
            got = ac.rankdata(a, axis, method=method)
            assert got.dtype == np.float64
            np.testing.assert_array_equal(got, stats.rankdata(a, method, axis=axis))
            if char in "fd":
                for policy in ("omit", "propagate"):
                    x = salted(a, "some") if a.size > 6 else a
                    got = ac.rankdata(x, axis, method=method, nan_policy=policy)
                    want = stats.rankdata(x.astype("d"), method, axis=axis, nan_policy=policy)
                    np.testing.assert_array_equal(got, want, err_msg=policy)
                want = stats.rankdata(x.astype("d"), method, axis=axis, nan_policy="omit")
                np.testing.assert_array_equal(ac.nanrankdata(x, axis, method=method), want)


def test_ranks_as_bottleneck(backend, passes):
    bottleneck = pytest.importorskip("bottleneck")
    for shape in ((50,), (500,), (6, 130), (130, 3)):
        a = np.round(sample(shape, "d") * 3)
        x = salted(a, "some")
        for axis in (None, *range(a.ndim)):
            np.testing.assert_array_equal(ac.rankdata(a, axis), bottleneck.rankdata(a, axis=axis))
            np.testing.assert_array_equal(ac.nanrankdata(x, axis), bottleneck.nanrankdata(x, axis=axis))
    # NaN comes last, each with its own rank.
    np.testing.assert_array_equal(ac.rankdata([3, np.nan, 1, 1, np.nan]), [3, 4, 1.5, 1.5, 5])
    np.testing.assert_array_equal(ac.rankdata([np.nan, 1, np.nan], method="dense"), [2, 1, 3])


VALUES = np.array([[3, np.nan, 1, 1, np.nan, 2], [4, 5, 6, 6, 2, 1], [0, 0, 1, np.nan, 1, 1]])
MISSING = np.isnan(VALUES)


def strings(absent):
    made = np.array(["" if v != v else "abcdefg"[int(v)] for v in VALUES.flat], object)
    made[MISSING.ravel()] = absent
    return made.reshape(VALUES.shape).astype(np.dtypes.StringDType(na_object=absent))


def times(char):
    made = np.nan_to_num(VALUES).astype(char)
    made[MISSING] = "NaT"
    return made


def masked(char):
    values = np.nan_to_num(VALUES, nan=9).astype("q")
    return np.ma.array((values % 9 > 1) if char == "?" else values.astype(char), mask=MISSING)


GAPS = {
    **{char: lambda char=char: VALUES.astype(char) for char in ("d", "f", ">f8", "e", "g", "D", "O")},
    **{char: lambda char=char: times(char) for char in ("M8[s]", "m8[s]")},
    **{f"masked {char}": lambda char=char: masked(char) for char in ("d", "q", "B", "?", "D", "O", "M8[s]")},
    "string": lambda: strings(np.nan),
    "string of pandas": lambda: strings(pytest.importorskip("pandas").NA),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", GAPS)
def test_ranks_where_elements_are_missing(kind, method):
    """The same of every dtype, however it says so."""
    a = GAPS[kind]()
    plain = np.where(MISSING, np.nan, np.nan_to_num(VALUES) > 1) if "?" in kind else VALUES
    for axis in (None, 0, 1):
        for policy in (None, "omit", "propagate", "raise"):
            for function in (ac.rankdata, ac.nanrankdata):
                got, want = (outcome(function, x, axis, method=method, nan_policy=policy) for x in (a, plain))
                if policy == "raise":
                    assert got is want is ValueError
                else:
                    np.testing.assert_array_equal(got, want, err_msg=f"{axis} {policy}")
    there = a[1:2].copy()
    np.testing.assert_array_equal(
        ac.rankdata(there, nan_policy="raise", method=method), ac.rankdata(plain[1], method=method)
    )


def test_missing_elements_have_ranks_by_hand():
    np.testing.assert_array_equal(ac.rankdata(strings(np.nan)[0]), [4, 5, 1.5, 1.5, 6, 3])
    np.testing.assert_array_equal(ac.nanrankdata(np.array([3, np.nan, 1], object)), [2, np.nan, 1])
    np.testing.assert_array_equal(ac.rankdata(times("M8[s]"), 1, nan_policy="propagate")[:2, 0], [np.nan, 3])


@pytest.mark.parametrize("equal_nan", [True, False])
@pytest.mark.parametrize("absent", ["nan", "NA"])
def test_unique_strings_some_of_which_are_missing(absent, equal_nan):
    """As NaN among numbers."""
    a = strings(np.nan if absent == "nan" else pytest.importorskip("pandas").NA)
    cuts = (slice(None), np.s_[0], np.s_[0, 1:2], np.s_[0, 2:4], np.s_[:0])
    for part, numbers in ((a[cut], VALUES[cut]) for cut in cuts):
        want = np.unique(numbers, True, True, True, equal_nan=equal_nan)
        got = ac.unique(part, True, True, True, equal_nan=equal_nan)
        assert ["nan" if v != v else "abcdefg"[int(v)] for v in want[0]] == [
            "nan" if missing else str(s) for s, missing in zip(got[0], np.isnan(got[0]), strict=True)
        ]
        for one, other in zip(got[1:], want[1:], strict=True):
            np.testing.assert_array_equal(one, other)
        assert len(ac.unique(part, equal_nan=equal_nan)) == len(want[0])
    assert ac.unique_counts(a[0]).counts.tolist() == [2, 1, 1, 1, 1]


def test_bad_ranks(backend):
    with pytest.raises(ValueError, match="method"):
        ac.rankdata([1], method="x")
    with pytest.raises(ValueError, match="nan_policy"):
        ac.rankdata([1], nan_policy="x")
    with pytest.raises(ValueError, match="nan values"):
        ac.rankdata([1, np.nan], nan_policy="raise")
    with pytest.raises(ValueError, match="out of bounds"):
        ac.rankdata([1], 1)
    np.testing.assert_array_equal(ac.rankdata(np.array(["b", "a"])), [2, 1])
    assert ac.rankdata([]).shape == (0,)


# ---- distinct values


@pytest.mark.parametrize("char", everyday(DTYPES, "?qHd"))
def test_unique(char, backend, passes):
    for n in (0, 1, 50, 300, 3000):
        for share in (5, 10**6):
            a = sample((n,), char, n)
            a = (
                np.round(a * share) / share
                if char in "fd"
                else a % np.dtype(char).type(min(share, 100))
                if char != "?"
                else a
            ).astype(char)
            for x in (a, salted(a, "some") if char in "fd" and n else a, a.reshape(-1, 10) if n % 10 == 0 else a):
                for equal in (True, False):
                    want = np.unique(x, True, True, True, equal_nan=equal)
                    got = ac.unique(x, True, True, True, equal_nan=equal)
                    for g, w in zip(got, want, strict=True):
                        assert g.dtype == w.dtype
                        np.testing.assert_array_equal(g, w)
                    values, counts = ac.unique(x, return_counts=True, equal_nan=equal)
                    np.testing.assert_array_equal(values, want[0])
                    np.testing.assert_array_equal(counts, want[3])
                    np.testing.assert_array_equal(ac.unique(x, equal_nan=equal), want[0])
                    np.testing.assert_array_equal(ac.unique(x, False, True, equal_nan=equal)[1], want[2])
                np.testing.assert_array_equal(ac.unique_values(x), np.unique(x, equal_nan=False))
                np.testing.assert_array_equal(
                    ac.unique_counts(x).counts, np.unique(x, return_counts=True, equal_nan=False)[1]
                )


def test_unique_of_zeros(backend, passes):
    """Of equal zeros the first one."""
    for n in (3, 300):
        for first in (0.0, -0.0):
            a = np.full(n, -first)
            a[0], a[-1] = first, 1
            assert np.signbit(ac.unique(a)[0]) == np.signbit(first)
            assert np.signbit(ac.unique(a, True)[0][0]) == np.signbit(first)
    np.testing.assert_array_equal(ac.unique(["b", "a", "b"]), ["a", "b"])
    rows = np.array([[1, 2], [1, 2], [0, 1]])
    np.testing.assert_array_equal(ac.unique(rows, axis=0), np.unique(rows, axis=0))


# ---- searching


@pytest.mark.parametrize("char", DTYPES)
def test_searchsorted(char, backend, team):
    for n in (0, 1, 2, 3, 17, 1000):
        a = np.sort(salted(sample((n,), char), "some") if char in "fd" and n > 3 else sample((n,), char))
        for v in (
            sample((40,), char, 3),
            sample((3, 700), char, 4)[:, ::2],
            a[:1],
            a[0] if n else np.dtype(char).type(0),
        ):
            if char in "fd" and np.ndim(v):
                v = np.concatenate([v.ravel(), [np.nan, -0.0, 0.0, np.inf]]).astype(char)
            for side in ("left", "right"):
                got, want = ac.searchsorted(a, v, side), np.searchsorted(a, v, side)
                assert type(got) is type(want)
                np.testing.assert_array_equal(got, want)
                order = np.random.default_rng(n).permutation(n)
                shuffled = np.empty_like(a)
                shuffled[order] = a
                np.testing.assert_array_equal(ac.searchsorted(shuffled, v, side, order), want)
                wide = np.repeat(a, 2)[::2]
                np.testing.assert_array_equal(ac.searchsorted(wide, v, side), want)


def test_searchsorted_of_other_arguments(backend):
    a = np.array([1, 3, 5], np.int32)
    for v in (2.5, [1, 2], np.array([2**40]), np.uint64(3), np.nan, True, [], np.float32(3)):
        for side in ("left", "right"):
            np.testing.assert_array_equal(ac.searchsorted(a, v, side), np.searchsorted(a, v, side))
    for bad in (
        (a, 1, "x"),
        (a.reshape(1, 3), 1),
        (a, 1, "left", [0, 1]),
        (a, 9, "left", [0, 1, 9]),
        (a, 1, "left", [0.0] * 3),
    ):
        with pytest.raises((ValueError, TypeError)):
            ac.searchsorted(*bad)
    np.testing.assert_array_equal(ac.searchsorted(["a", "c"], ["b"]), [1])
    big = np.sort(sample((100_000,), "d"))
    v = sample((1000,), "d", 5)
    np.testing.assert_array_equal(ac.searchsorted(big, v), np.searchsorted(big, v))


# ---- the same bits, and by kernels


class Delegated(Exception):
    pass


class OtherNumPy:
    """NumPy without what is computed here; samples may be sorted, which are small."""

    def __getattr__(self, name):
        if name not in ("sort", "argsort", "lexsort", "unique", "searchsorted"):
            return getattr(np, name)

        def function(a, *args, **kwargs):
            if (
                name in ("sort", "unique")
                and not args
                and np.size(a) <= sort_passes.SAMPLE
                and kwargs.keys() <= {"return_counts"}
            ):
                return getattr(np, name)(a, **kwargs)
            raise Delegated

        return function


@pytest.mark.parametrize("char", DTYPES)
def test_cells_are_computed_here(char, backend, monkeypatch):
    from allcores._families import sorting

    for module in (sorting, sort_passes):
        monkeypatch.setattr(module, "np", OtherNumPy())
    # More elements than a sample has.
    a = sample((3, 30_000), char)
    for x in (a, a[0, :50], a[:, ::2], a.T):
        for axis in (0, -1, None):
            ac.sort(x, axis)
            ac.argsort(x, axis)
        ac.unique(x, True, True, True)
    line = np.sort(a[0])
    ac.searchsorted(line, a)
    ac.lexsort(a)
    with pytest.raises(Delegated):
        ac.sort(np.zeros(20_000, "F"))


def test_memory():
    """One copy beyond the result."""
    code = """
        import resource, numpy as np, allcores as ac
        x = np.random.default_rng(0).normal(size=4_000_000)
        ac.sort(x[:200_000])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ac.sort(x)
        y = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((y - before) / 1024)
    """
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 2 * 32 + 14


@pytest.mark.thread_unsafe(reason="changes modules")
@given(data=st.data())
@FEW
def test_any_arguments(data):
    dtype = np.dtype(data.draw(st.sampled_from("dfbQ?h")))
    shape = data.draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=12))
    values = st.integers(-1000, 1000).map(lambda i: i / 8) | st.sampled_from((np.nan, 0.0, -0.0, np.inf, 5e-324))
    a = data.draw(npst.arrays(dtype, shape, elements=values if dtype.kind == "f" else None))
    axis = data.draw(st.integers(-a.ndim, a.ndim - 1))
    if data.draw(st.booleans()):
        a = np.repeat(a, data.draw(st.sampled_from((9, 100))), axis=axis)
    a = a.transpose(data.draw(st.permutations(range(a.ndim))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "threshold", 0)
        for backend in BACKENDS:
            for long in (8, 10**6):
                patch.setattr(sort_passes, "LONG", long)
                patch.setattr(sort_passes, "RUN", 50)
                patch.setattr(sort_passes, "BUCKET", 20)
                patch.setattr(sort_passes, "BINS", 1 << 10)
                with settings.use_backend(backend), settings.set_workers(2):
                    check(a, axis)
                    np.testing.assert_array_equal(ac.unique(a), np.unique(a))


@pytest.mark.parametrize("char", "ilILqQfd")
def test_short_way(char):
    """Small arrays, at the level of the process: the bits of the stable sort, zeros of both signs in order."""
    rng = np.random.default_rng(3)
    for n in (1, 2, 100, 255, 256, 1000, 8192, 8193):
        for spread in (1, 1000):
            a = np.rint(rng.normal(size=n) * spread).astype(np.int64).astype(char)
            if char in "fd":
                a[rng.random(n) < 0.5] *= -1
                assert n < 100 or spread > 1 or len(set(np.signbit(a[a == 0]))) == 2
            kept = a.copy()
            for x in (a, np.repeat(a, 2)[::2], a[::-1]):
                exactly(ac.sort(x), np.sort(x, kind="stable"), (char, n))
                assert ac.sort(x).tobytes() == np.sort(x, kind="stable").tobytes()
            assert a.tobytes() == kept.tobytes()
            if char in "fd":
                a[n // 3] = np.nan
                exactly(ac.sort(a), np.sort(a, kind="stable"), (char, n))


@pytest.mark.parametrize("char", everyday("iIqQbH", "qH"))
@pytest.mark.parametrize("workers", [1, 2])
def test_unique_integers_from_a_range(char, workers, backend, monkeypatch):
    """They are marked, wherever it is among the numbers of a dtype; one that is far away, in no sample, ends that."""
    marks = []
    tally = sort_passes.tally
    monkeypatch.setattr(sort_passes, "tally", lambda *args: marks.append(tally(*args)) or marks[-1])
    rng = np.random.default_rng(0)
    info = np.iinfo(char)
    n = 3 * sort_passes.LONG
    for width in (100, 50_000):
        width = min(width, info.max // 2)
        for least in (info.min, info.max - width, info.max // 3):
            a = (np.array(least, char) + rng.integers(0, width, n).astype(char)).astype(char)
            exactly(ac.unique(a, workers=workers), np.unique(a))
            a[n // 2] = info.max // 3 * 2
            exactly(ac.unique(a, workers=workers), np.unique(a))
    assert marks.count(True) >= 6
    assert a.itemsize <= 2 or marks.count(False) >= 4


@pytest.mark.parametrize("char", "fd")
def test_no_zero_loses_its_sign(char, backend):
    """NumPy's vectors take the lesser and the greater of two elements: of two zeros both may be the same one."""
    rng = np.random.default_rng(0)
    for shape, rounds in (((40, 50), 10), ((1000,), 200), ((2, 9000), 20), ((sort_passes.LONG + 1,), 20)):
        for _ in range(rounds):
            a = rng.normal(size=shape).astype(char)
            a.reshape(-1)[rng.integers(a.size, size=2 + a.size // 100)] = 0
            a.reshape(-1)[rng.integers(a.size, size=1 + a.size // 100)] = -0.0
            for axis in range(-a.ndim, 0):
                exactly(ac.sort(a, axis=axis), np.sort(a, axis=axis, kind="stable"), (shape, axis))


@pytest.mark.parametrize("workers", everyday([1, 2, 3, 8], [3]))
@pytest.mark.parametrize("char", "fdiIqQ")
def test_classes_that_numpy_sorts(char, workers, backend, monkeypatch):
    """Long lines, NaN and zeros of both signs among them, from any memory, and in place."""
    monkeypatch.setattr(sort_passes, "CLASSED", (backend,))
    done = []
    one_pass = sort_passes.one_pass
    monkeypatch.setattr(sort_passes, "one_pass", lambda name, *rest: done.append(name) or one_pass(name, *rest))
    for a in long_lines(char):
        want = np.sort(a, kind="stable")
        unaligned = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype)
        unaligned[:] = a
        inside = a.copy()
        ac.sort(inside, out=inside, workers=workers)
        for got in (ac.sort(a, workers=workers), inside, ac.sort(unaligned, workers=workers)):
            exactly(got, want)
        exactly(ac.sort(np.repeat(a, 2)[::2], workers=workers), want)
        exactly(ac.sort(a[::-1], workers=workers), np.sort(a[::-1], kind="stable"))
    assert done.count("sort_classes") == done.count("to_classes") >= 10


def long_lines(char):
    rng = np.random.default_rng(0)
    n = sort_passes.LONG + 1
    if char not in "fd":
        info = np.iinfo(char)
        yield rng.integers(info.min, info.max, n, char, endpoint=True)
        yield np.where(rng.random(n) < 0.6, np.array(info.max, char), rng.integers(info.min, info.max, n, char))
        yield rng.permutation(n).astype(char)
        return
    a = rng.normal(size=100_003).astype(char)
    yield a.copy()
    a[rng.random(len(a)) < 0.1] = 0
    a[rng.random(len(a)) < 0.1] *= -0.0
    yield a.copy()
    a[rng.random(len(a)) < 0.3] = np.nan
    a[rng.random(len(a)) < 0.1] = np.inf
    yield a.copy()
    a[rng.random(len(a)) < 0.9] = -np.nan
    yield a
    yield np.where(rng.random(n) < 0.5, np.nan, -np.inf).astype(char)


@pytest.mark.parametrize("char", "fdiIqQ")
def test_numbers_that_change_while_they_are_sorted(char, backend):
    """More come to a class than were counted: nothing beyond the result is written."""
    kernel = _kernels.load(backend).to_classes
    a = np.arange(40_000).astype(char)
    room = np.full(len(a) + 1000, 7, char)
    for classes in (2, 3, 4, 8, 16):
        pivots = np.sort(a)[:: len(a) // classes][1:classes].copy()
        next = np.full((1, classes), len(a) - 500)
        kernel(a, pivots, next, cursor_of(sort_passes.runs(len(a), len(a))), room[: len(a)])
        assert (room[len(a) :] == 7).all()
        assert (next <= len(a)).all()
