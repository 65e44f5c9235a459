"""Medians and quantiles against NumPy: every method, dtype, layout and axis; long lanes; the same bits everywhere."""

from __future__ import annotations

import itertools
import sys
import warnings

import hypothesis
import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from helpers import BACKENDS, DTYPES, axes_of, bits, outcome, salted, sample
from hypothesis import given
from hypothesis import strategies as st

import allcores as ac
from allcores import _kernels
from allcores._engine import settings
from allcores._families import selection
from allcores._kernels.common import QUANTILE_METHODS

pytestmark = pytest.mark.kernel("pick")

METHODS = QUANTILE_METHODS[:-1]
DISCRETE = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
SIZES = (1, 2, 3, 31, 32, 33, 64, 65, 95, 96, 97, 128, 300)


@pytest.fixture
def long_lanes(monkeypatch):
    """Lanes of a few elements are long ones, with samples and budgets to match."""
    monkeypatch.setattr(selection, "longest", 1)
    monkeypatch.setattr(selection, "sample_size", 64)
    monkeypatch.setattr(selection, "budget", 50)


def same(got, want, message: object = "") -> None:
    """The same type, dtype, shape and values; or the same class of error."""
    if isinstance(want, type) or isinstance(got, type):
        assert got is want, (message, got, want)
        return
    if want.ndim == 0 and np.isnan(want) and np.isnan(got) and want.dtype.kind == got.dtype.kind:
        return  # NumPy's dtype of a single quantile depends on whether there is a NaN
    assert type(got) is type(want), (message, type(got), type(want))
    assert got.dtype == want.dtype, (message, got.dtype, want.dtype)
    np.testing.assert_array_equal(got, want, err_msg=repr(message))
    zero = np.signbit(got) & (np.asarray(got) == 0) if got.dtype.kind == "f" else np.zeros(1, bool)
    assert not zero.any() or np.signbit(want).any(), message


def check(name: str, a, *args, **kwargs) -> None:
    got, want = outcome(getattr(ac, name), a, *args, **kwargs), outcome(getattr(np, name), a, *args, **kwargs)
    same(got, want, (name, a.dtype.str, a.shape, args, kwargs))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_medians(char, n, backend):
    for shape in ((n,), (n, 3), (5, n), (2, n, 35)):
        a = sample(shape, char)
        for pattern in ("plain", "some", "inf", "zeros") if char in "fd" else ("plain",):
            x = salted(a, pattern) if pattern != "plain" else a
            axis = 1 if shape[0] in (2, 5) else 0
            check("median", x, axis=axis)
            check("nanmedian", x, axis=axis, keepdims=True)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("method", METHODS)
def test_methods(method, backend):
    quantiles = (
        0.3,
        0,
        1,
        0.5,
        [0.1, 0.5, 0.9, 0.5],
        [[0.2, 1.0]],
        [0, 1],
        np.float32([0.2, 0.7]),
        np.array(0.4),
        True,
    )
    for char in "fdiBQ?":
        a = sample((33, 4), char)
        a = a // 4 if char in "i" else a // 2 + 1 if char == "Q" else a  # differences that fit
        for pattern in ("plain", "some", "inf", "both") if char in "fd" else ("plain",):
            x = salted(a, pattern) if pattern != "plain" else a
            for q in quantiles:
                check("nanquantile", x, q, axis=0, method=method)
                if pattern != "some":
                    check("quantile", x, q, axis=0, method=method)
                    check("quantile", x, q, method=method)
            check("percentile", a, [5, 50.5], axis=1, method=method)
            check("nanpercentile", a, 75, axis=1, method=method)


def test_axes(backend):
    a = salted(sample((5, 9, 7), "d"), "some")
    for axis in axes_of(3):
        check("nanmedian", a, axis=axis)
        check("median", a, axis=axis, keepdims=True)
        check("nanquantile", a, [0.2, 0.9], axis=axis, keepdims=True)


def test_differences_of_integers_do_not_wrap_around(backend):
    """NumPy's do."""
    for char in "bhilq":
        info = np.iinfo(char)
        a = np.array([info.min, info.max], dtype=char)
        want = info.min * 0.75 + info.max * 0.25
        assert ac.quantile(a, 0.25) == pytest.approx(want, rel=1e-12), char
    assert ac.median(np.array([2**64 - 1, 2**64 - 1], np.uint64)) == 2.0**64


def test_what_underflows_is_a_positive_zero(backend):
    a = np.array([-5e-324, 0.0])
    for name in ("median", "nanmedian"):
        for x, axis in ((a, 0), (a[:, None] * np.ones(3), 0), (np.ones((3, 1)) * a, 1)):
            got = np.asarray(getattr(ac, name)(x, axis=axis))
            assert not got.any(), (name, x.shape)
            assert not np.signbit(got).any(), (name, x.shape)


def test_other_dtypes(backend):
    for dtype in ("e", ">f8", ">f4", ">i4", "g", "F", "O", "m8[s]"):
        a = sample((9, 4), "d") * 10
        a = a.astype(dtype)
        check("median", a, axis=0)
        if dtype != "O":
            check("nanmedian", a, axis=1)
            check("quantile", a, [0.2, 0.5], axis=0)
            check("quantile", a, 0.3, axis=0, method="lower")
    with pytest.warns(UserWarning, match="'partition' will ignore the 'mask'"):
        masked = ac.median(np.ma.array([1.0, 2.0, 50.0], mask=[False, False, True]))
    assert masked == 2.0  # as NumPy has it


@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
@pytest.mark.parametrize("dtype", [">i8", ">f8", ">f2"])
def test_byte_order(name, dtype):
    """Of what is picked as it is NumPy's results have a's byte order, or the machine's."""
    a = (sample((9, 4), "d") * 10).astype(dtype)
    for x in (a, *((salted(a, "some"),) if a.dtype.kind == "f" else ())):
        for axis, keepdims in itertools.product((None, 0, (0, 1)), (False, True)):
            for q in (0.3, [0.2, 0.7]):
                check(name, x, q, axis=axis, keepdims=keepdims, method="lower")
                weights = {"weights": np.ones(x.shape), "method": "inverted_cdf"}
                check(name, x, q, axis=axis, keepdims=keepdims, **weights)
            check(name, x, 0, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("median", (), {"axis": 2}),
        ("median", (), {"axis": (0, 0)}),
        ("median", (), {"axis": 1.0}),
        ("median", (), {"axis": ()}),
        ("median", (), {"out": np.empty(3)}),
        ("median", (), {"axis": 0, "out": np.empty(4, "f")}),
        ("median", (), {"axis": 0, "out": np.empty(4, "i")}),
        ("quantile", (1.5,), {}),
        ("quantile", (np.nan,), {}),
        ("quantile", ("a",), {}),
        ("quantile", (0.5,), {"method": "cubic"}),
        ("quantile", (0.5,), {"method": None}),
        ("quantile", ([],), {"axis": 0}),
        ("quantile", (np.zeros((1, 1, 1)),), {}),
        ("percentile", (101,), {}),
        ("nanquantile", (0.5,), {"weights": np.ones(9), "axis": 0}),
        ("quantile", (0.5,), {"weights": np.ones(9), "axis": 0, "method": "inverted_cdf"}),
        ("nanquantile", ([0.5, 0.7],), {"weights": np.ones((9, 4)), "axis": 0, "method": "inverted_cdf"}),
        ("quantile", (0.5,), {"out": np.empty((), "d")}),
        ("quantile", ([0.5, 0.25],), {"axis": 0, "out": np.empty((2, 4))}),
        ("nanquantile", (0.5,), {"axis": 0, "out": np.empty((1, 4)), "keepdims": True}),
    ],
)
def test_arguments(name, args, kwargs, backend):
    check(name, sample((9, 4), "d"), *args, **kwargs)


def test_out_and_the_input_stays(backend):
    a = sample((9, 4), "d")
    before = a.copy()
    out = np.empty(4)
    assert ac.median(a, 0, out, overwrite_input=True) is out
    np.testing.assert_array_equal(out, np.median(a, axis=0))
    x = a.copy()
    assert ac.quantile(x, 0.3, axis=0, out=x[0], overwrite_input=True).base is x
    np.testing.assert_array_equal(x[0], np.quantile(a, 0.3, axis=0))
    assert bits(a) == bits(before)


@pytest.mark.parametrize("name", ["median", "nanmedian", "quantile", "nanquantile"])
def test_warnings(name):
    args = () if "median" in name else (0.4,)
    for a in (np.full((2, 3), np.nan), np.array([[np.nan, 1.0], [np.nan, 2.0]]), np.ones((2, 2)), np.ones((2, 2), int)):
        with warnings.catch_warnings(record=True) as ours:
            warnings.simplefilter("always")
            getattr(ac, name)(a, *args, axis=0)
        with warnings.catch_warnings(record=True) as theirs:
            warnings.simplefilter("always")
            getattr(np, name)(a, *args, axis=0)
        assert {str(w.message) for w in ours} == {str(w.message) for w in theirs}
        assert len(ours) <= 1
        assert all(w.filename == __file__ for w in ours)


# ---- long lanes

DATA = {
    "normal": lambda rng, n: rng.normal(size=n),
    "float32": lambda rng, n: rng.normal(size=n).astype("f"),
    "sorted": lambda rng, n: np.sort(rng.normal(size=n)),
    "reversed": lambda rng, n: np.sort(rng.normal(size=n))[::-1],
    "constant": lambda rng, n: np.full(n, 3.5),
    "two values": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "two halves": lambda rng, n: np.where(np.arange(n) < n // 2, 1.0, 2.0),
    "few values": lambda rng, n: rng.integers(0, 10, n).astype(float),
    "sawtooth": lambda rng, n: np.arange(n) % 97.0,
    "all magnitudes": lambda rng, n: 10 ** rng.uniform(-300, 300, n) * rng.choice((-1, 1), n),
    "denormals": lambda rng, n: rng.random(n) * 1e-310,
    "one cluster": lambda rng, n: np.where(rng.random(n) < 0.999, 1 + rng.random(n) * 1e-14, 1e300),
    "half missing": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)),
    "nearly all missing": lambda rng, n: np.where(rng.random(n) < 0.999, np.nan, rng.normal(size=n)),
    "infinities": lambda rng, n: np.where(rng.random(n) < 0.5, np.inf, -np.inf),
    "bytes": lambda rng, n: rng.integers(0, 256, n).astype("B"),
    "short": lambda rng, n: rng.integers(-300, 3, n).astype("h"),
    "int64": lambda rng, n: rng.integers(-(2**62), 2**62, n),
    "uint64": lambda rng, n: rng.integers(0, 2**64, n, dtype=np.uint64) // 2,
    "bool": lambda rng, n: rng.random(n) < 0.3,
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(("budget", "sample_size"), [(1 << 20, 1 << 14), (2000, 64), (5, 5)])
def test_long_lanes(kind, budget, sample_size, backend, monkeypatch):
    """Whatever a sample says, and however little may be kept."""
    monkeypatch.setattr(selection, "longest", 1000)
    monkeypatch.setattr(selection, "budget", budget)
    monkeypatch.setattr(selection, "sample_size", sample_size)
    n = 4000 if backend == "fallback" or budget == 5 else 60_000
    a = np.ascontiguousarray(DATA[kind](np.random.default_rng(3), n))
    for x in (a, np.repeat(a, 2)[::2]):
        check("median", x)
        check("nanmedian", x)
    if a.dtype != bool:
        check("quantile", a, [0.001, 0.3, 0.31, 0.99])
        check("nanquantile", a, np.linspace(0, 1, 13))


@pytest.mark.parametrize("kind", DATA)
def test_few_passes(kind, monkeypatch):
    """Ties and outliers, quantiles on the border between two values, and the extremes among others."""
    passes = []
    run_selection_pass = selection.run_selection_pass
    monkeypatch.setattr(selection, "run_selection_pass", lambda *args: passes.append(1) or run_selection_pass(*args))
    a = DATA[kind](np.random.default_rng(0), 150_000)
    for q in (0.5, [0.1, 0.2, 0.3, 0.4, 0.5], [0, 0.5, 1], np.linspace(0, 1, 101)):
        passes.clear()
        same(ac.nanquantile(a, q, method="lower"), np.nanquantile(a, q, method="lower"))
        assert len(passes) <= 4, q


@pytest.mark.parametrize("kind", DATA)
def test_few_passes_for_many_quantiles(kind, monkeypatch):
    """So dense that the brackets around them meet, and no sample leaves anything out."""
    passes = []
    run_selection_pass = selection.run_selection_pass
    monkeypatch.setattr(selection, "run_selection_pass", lambda *args: passes.append(1) or run_selection_pass(*args))
    monkeypatch.setattr(selection, "budget", 20_000)
    a = DATA[kind](np.random.default_rng(0), 300_000)
    q = np.linspace(0, 1, 400)
    same(ac.nanquantile(a, q, method="lower"), np.nanquantile(a, q, method="lower"))
    assert len(passes) <= 9


def test_several_long_lanes(backend, long_lanes, team):
    a = salted(sample((3, 40, 5), "d"), "some")
    for axis in axes_of(3):
        check("nanmedian", a, axis=axis)
        check("quantile", a, [0.2, 0.9], axis=axis)


@pytest.mark.thread_unsafe(reason="counts the memory of all threads")
@pytest.mark.parametrize("name", ["median", "nanmedian", "quantile", "nanquantile", "percentile", "nanpercentile"])
def test_small_arrays_with_nan(name, door):
    """As users call them."""
    args = () if "median" in name else (0.3,)
    for char in "df":
        for n in (1, 2, 5, 64, 1000):
            for at in {0, n // 2, n - 1}:
                a = sample((n,), char)
                a[at] = np.nan
                got, want = (outcome(getattr(each, name), a, *args) for each in (ac, np))
                assert bits(got) == bits(want), (char, n, at)


@pytest.mark.parametrize("groups", [1, 6])
def test_no_more_keys_are_kept_than_there_is_room_for(groups, backend):
    """Whatever a sample has said of how many they would be."""
    x = np.arange(5000).astype("q")
    ends = np.linspace(-1, 5000, 2 * groups).astype("q").reshape(-1, 2)
    begin, room = np.array([0, 20]), np.array([10, 3])
    counts, kept = np.empty((2, 1 + 4 * groups), "q"), np.full(60, -7, "q")
    cursor = np.array([0, 2, 0, 0, 1, 2500, 1, 0])  # of two chunks of 2500 elements
    while cursor[0] < cursor[1]:
        _kernels.load(settings.backend()).selection_pass(x, ends, begin, room, cursor, counts, kept)
    assert counts[:, 0].tolist() == [2500, 2500]
    assert counts[:, 3::4].sum() > 1000
    assert kept[10:20].tolist() == [-7] * 10
    assert kept[23:].tolist() == [-7] * 37


def test_little_is_copied():
    """16 MB at most for a contiguous array along one axis or all of them."""
    import tracemalloc

    a = np.random.default_rng(0).normal(size=4_000_000)
    ordered = np.sort(a)
    for call in (lambda: ac.median(a), lambda: ac.nanquantile(a, [0.1, 0.5, 0.9]), lambda: ac.median(ordered)):
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 6e6, peak  # and two or three times what is kept, in the kernel's scratch


# ---- inside lanes


def killer(n: int):
    """A permutation on which quickselect with the median of three is quadratic."""
    half = n // 2
    a = np.empty(2 * half)
    a[:half:2] = np.arange(1, half + 1, 2)
    a[1:half:2] = half + np.arange(1, half, 2)
    a[half:] = 2 * np.arange(1, half + 1)
    return a


def misleading(n: int):
    """An input of which each sample of ext/narrow.pxd has the smallest elements, as long as samples are trusted."""
    values, left, base, following = np.full(n, np.inf), np.arange(n), 0, 0
    while len(left) > n // 2 + 600:
        i, m = np.arange(64), len(left)
        sampled = left[(m * i + m * ((i * 41 + 19) & 63) // 64) // 64]
        new = sampled[np.isinf(values[sampled])]
        values[new] = np.arange(following, following + len(new))
        following += len(new)
        high = np.sort(values[sampled])[int((n // 2 - base + 0.5) * 64 / m) + 8]
        left = left[values[left] > high]
        base = n - len(left)
    rest = np.isinf(values)
    values[rest] = following + np.random.default_rng(0).permutation(np.count_nonzero(rest))
    return values


def test_no_input_is_quadratic():
    """Each pass keeps a quarter, or halves the range of keys: what a bad order costs is bounded."""
    from time import perf_counter

    n = 1 << 17
    rng = np.random.default_rng(0)
    inputs = {
        "random": rng.normal(size=n),
        "killer": killer(n),
        "misleading": misleading(n),
        "organ pipe": np.minimum(np.arange(n), np.arange(n)[::-1]).astype(float),
        "powers": 2.0 ** (np.arange(n) % 2000 - 1000.0),
        "nearly equal": 1.0 + (rng.random(n) < 1e-4) * rng.normal(size=n),
    }
    times = {}
    for name, a in inputs.items():
        assert ac.median(a, workers=1) == np.median(a), name
        times[name] = min(-perf_counter() + (ac.median(a, workers=1), perf_counter())[1] for _ in range(5))
    assert max(times.values()) < 12 * times["random"] + 2e-3, times


@pytest.mark.parametrize("backend_name", BACKENDS)
def test_anything(backend_name, monkeypatch):
    """Hypothesis looks for the rest: shapes, values, quantiles; lanes as short and as long ones."""

    @given(
        a=npst.arrays(
            st.sampled_from(["f4", "f8", "i2", "u8"]),
            npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9),
            elements=st.integers(0, 9),
        ),
        repeats=st.sampled_from([1, 11, 40]),
        gaps=st.integers(0, 3),
        q=st.lists(st.floats(0, 1), min_size=1, max_size=4),
        method=st.sampled_from(METHODS),
        longest=st.sampled_from([1, 1 << 17]),
    )
    @hypothesis.settings(max_examples=60, derandomize=True, deadline=None, database=None)
    def anything(a, repeats, gaps, q, method, longest):
        a = np.repeat(a, repeats, axis=-1)
        if a.dtype.kind == "f":
            a.reshape(-1)[:: 7 - gaps] *= np.nan if gaps else 1.5
        monkeypatch.setattr(selection, "longest", longest)
        for axis in (None, -1):
            check("nanmedian", a, axis=axis)
            check("nanquantile", a, q, axis=axis, method=method)
            check("quantile", a, q, axis=axis, method=method)
        k = a.shape[-1] // 2
        np.testing.assert_array_equal(ac.partition(a, k)[..., k], np.sort(a)[..., k])
        np.testing.assert_array_equal(ac.topk(a, k, largest=False)[0], np.sort(a)[..., :k])

    with settings.use_backend(backend_name):
        anything()


# ---- no delegation

NAMES = ("median", "nanmedian", "quantile", "percentile", "nanquantile", "nanpercentile")


class OtherNumPy:
    """NumPy without the functions that are computed here."""

    def __getattr__(self, name):
        if name in NAMES or name in ("sort", "argsort", "partition", "argpartition"):
            raise AssertionError(f"np.{name} is used")
        return getattr(np, name)


@pytest.mark.parametrize("char", DTYPES)
def test_cells_are_computed_here(char, monkeypatch):
    a = sample((7, 37, 5), char)
    q = {"q": 0.3} if char != "?" else {"q": 0.3, "method": "lower"}
    want = {name: getattr(np, name)(a, axis=1, **(q if "ile" in name else {})) for name in NAMES}
    for name, module in list(sys.modules.items()):
        if name.startswith("allcores.") and "_kernels" not in name and getattr(module, "np", None) is np:
            monkeypatch.setattr(module, "np", OtherNumPy())
    for name in NAMES:
        same(getattr(ac, name)(a, axis=1, **(q if "ile" in name else {})), want[name], name)
    with pytest.raises(AssertionError, match="is used"):
        ac.median(a.astype("F"))
