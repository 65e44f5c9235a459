"""What may be reduced: empties, 0-d, every dtype, subclasses, lists, pandas, xarray: NumPy's answer, or its error."""

from __future__ import annotations

import contextlib
import inspect
import mmap
import sys

import numpy as np
import pytest
from helpers import (
    COMPUTING,
    FUNCTIONS,
    MOVES,
    SCANNED,
    SORTED,
    bits,
    oracle,
    outcome,
    sample,
    takes,
)

import allcores as ac
from allcores import _kernels


def same(name, a, message="", **kwargs):
    """The same type, dtype, shape and values, or the same class of error: NumPy itself has answered."""
    got, want = outcome(getattr(ac, name), a, **kwargs), outcome(oracle(name), a, **kwargs)
    context = f"{name} {message} {kwargs}: {got!r} instead of {want!r}"
    if isinstance(want, type) or isinstance(got, type):
        assert got is want, context
        return
    assert type(got) is type(want), context
    if isinstance(want, (np.ndarray, np.generic)):
        assert got.dtype == want.dtype, context
        assert got.shape == want.shape, context
    if isinstance(want, np.ma.MaskedArray):
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want), err_msg=context)
        got, want = np.ma.filled(got, 0), np.ma.filled(want, 0)
    got, want = np.asarray(got), np.asarray(want)
    if want.dtype.kind in "fc":
        np.testing.assert_allclose(got, want, rtol=1e-2 if want.dtype.char == "e" else 1e-5, err_msg=context)
    else:
        assert got.tolist() == want.tolist(), context


OTHERS = {
    "complex64": sample((4, 5), "f").astype("F") + 1j,
    "complex128": sample((4, 5), "d") * 1j,
    "complex nan": np.array([[1 + 1j, np.nan], [complex(0, np.nan), 2]]),
    "float16": sample((4, 5), "f").astype("e"),
    "longdouble": sample((4, 5), "d").astype("g"),
    "object": np.array([[1, 2.5, 3], [4, 5, 6]], dtype=object),
    "object of strings": np.array([["a", "b"], ["c", "d"]], dtype=object),
    "strings": np.array([["a", "b"], ["c", "d"]]),
    "bytes": np.array([b"a", b"b"]),
    "datetime64": np.array([["2020-01-01", "2021-01-01"], ["2022-05-05", "2019-01-01"]], dtype="M8[D]"),
    "NaT": np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    "timedelta64": np.array([[1, 2], [5, 4]], dtype="m8[s]"),
    "structured": np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]),
    "void": np.zeros(3, dtype="V5"),
}


@pytest.mark.parametrize("label", OTHERS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_dtypes(name, label, door):
    a = OTHERS[label]
    if name in ("anynan", "allnan", "nancount") and a.dtype.kind not in "fc":
        pytest.skip("the expression that stands for NumPy does not cover it")
    for axis in (None, 0, -1):
        same(name, a, axis=axis, message=label)
        same(name, a[:0], axis=axis, message=label)
    same(name, a.reshape(-1)[0], message=label)


SUBCLASSES = {
    "masked": np.ma.MaskedArray(np.arange(12.0).reshape(3, 4), mask=np.arange(12).reshape(3, 4) % 3 == 0),
    "masked, all": np.ma.MaskedArray(np.ones((2, 3)), mask=True),
    "masked, none": np.ma.MaskedArray(np.arange(6.0).reshape(2, 3)),
    "masked integers": np.ma.MaskedArray(np.arange(6).reshape(2, 3), mask=[[0, 1, 0], [1, 0, 0]]),
    "matrix": np.arange(6.0).reshape(2, 3).view(np.matrix),
    "recarray": np.arange(6.0).view(np.recarray),
    "subclass": np.arange(6.0).reshape(2, 3).view(type("Mine", (np.ndarray,), {})),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("label", SUBCLASSES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_subclasses(name, label, door):
    a = SUBCLASSES[label]
    if name in ("anynan", "allnan", "nancount", "ss"):
        pytest.skip("the expression that stands for NumPy does not cover it")
    for axis in (None, 0, -1):
        same(name, a, axis=axis, message=label)


def test_array_function(door):
    """Objects with __array_function__ are asked as NumPy asks them."""
    with np.errstate(all="ignore"):
        result = ac.sum(SUBCLASSES["subclass"], axis=0)
    assert type(result) is type(SUBCLASSES["subclass"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_memmap(name, tmp_path, door):
    a = sample((40, 5), "d")
    mapped = np.memmap(tmp_path / "a", dtype="d", mode="w+", shape=a.shape)
    mapped[...] = a
    for axis in (None, 0):
        got = getattr(ac, name)(mapped, axis=axis)
        assert type(got) is not np.memmap
        assert bits(got) == bits(getattr(ac, name)(a, axis=axis))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_array_likes(name, door):
    for a in (
        [1.0, 2.0, 3.0],
        [[1, 2], [3, 4]],
        (1, 2),
        [True, False],
        5,
        2.5,
        True,
        np.float32(3),
        range(4),
        memoryview(np.arange(4.0)),
        bytearray(b"abc"),
        [],
        [[]],
    ):
        for axis in (None, 0, -1, 1):
            got, want = outcome(getattr(ac, name), a, axis=axis), outcome(oracle(name), a, axis=axis)
            assert bits(got) == bits(want), (a, axis, got, want)
    for a in ("abc", None, [[1], [1, 2]], {1, 2}, object(), mmap):
        if name not in ("anynan", "allnan", "nancount", "ss"):
            got, want = outcome(getattr(ac, name), a), outcome(oracle(name), a)
            assert got is want or type(got) is type(want), (a, got, want)


def test_array_protocol(door):
    class Thing:
        def __array__(self, dtype=None, copy=None):
            return np.arange(6.0).reshape(2, 3)

    for name in FUNCTIONS:
        assert bits(getattr(ac, name)(Thing(), axis=0)) == bits(getattr(ac, name)(np.arange(6.0).reshape(2, 3), axis=0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_pandas(name, door):
    """ndarray results, of NumPy's rules: NaN is not skipped unless the name says so."""
    pandas = pytest.importorskip("pandas")
    a = sample((40, 5), "d")
    a[3, 2] = np.nan
    frame = pandas.DataFrame(a, columns=list("abcde"))
    for axis in (None, 0, 1):
        got = outcome(getattr(ac, name), frame, axis=axis)
        assert bits(got) == bits(outcome(getattr(ac, name), frame.to_numpy(), axis=axis))
    series = pandas.Series(a[:, 2], index=np.arange(40)[::-1])
    got = outcome(getattr(ac, name), series)
    assert not isinstance(got, (pandas.Series, pandas.DataFrame))
    assert bits(got) == bits(outcome(getattr(ac, name), a[:, 2]))
    integers = pandas.Series(np.arange(10), dtype="int32")
    assert bits(getattr(ac, name)(integers)) == bits(getattr(ac, name)(np.arange(10, dtype="int32")))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_xarray(name, door):
    xarray = pytest.importorskip("xarray")
    a = sample((6, 5), "d")
    array = xarray.DataArray(a, dims=("x", "y"))
    for axis in (None, 0, 1):
        got = getattr(ac, name)(array, axis=axis)
        assert not isinstance(got, xarray.DataArray)
        assert bits(got) == bits(getattr(ac, name)(a, axis=axis))


def test_inputs_are_unchanged(backend, team):
    for char in "?bqfd":
        a = sample((40, 5), char)
        before = a.tobytes()
        for name in FUNCTIONS:
            outcome(getattr(ac, name), a, axis=0)
            outcome(getattr(ac, name), a[::-1, ::-1])
        assert a.tobytes() == before


SPELLED_OUT = np.dtype(float).newbyteorder("<" if sys.byteorder == "little" else ">")


@pytest.mark.parametrize(
    "name", [name for name in ac.fallback.__all__ if name not in ("searchsorted", "lexsort", "replace")]
)
def test_a_byte_order_that_is_spelled_out(name):
    """The buffer protocol marks it, although it is the machine's own; zarr and HDF5 have such arrays."""
    more = {"move_exp": (0.5,), "move_quantile": (5, 0.3), "move_": (5,), "quantile": (0.3,), "percentile": (30,)}
    more |= {"partition": (7,), "topk": (5,), "rankdata": ()}
    key = next((key for key in more if key in name), None)
    function = getattr(ac, name)
    for n in (40, 200_003 if _kernels.DEFAULT != "fallback" else 5003):
        a = np.random.default_rng(0).normal(size=n)
        b = np.ndarray(n, SPELLED_OUT, a.tobytes())
        arrays = 2 if name.endswith(("cov", "corr")) else 1
        for x, y in ((a, b), (a[::2], b[::2]), (a.reshape(1, -1), b.reshape(1, -1))):
            got = function(*[y] * arrays, *more.get(key, ()))
            want = function(*[x] * arrays, *more.get(key, ()))
            parts = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
            for one, other in parts:
                np.testing.assert_array_equal(one, other)


# ---- truth values among which some are missing, and results put into subclasses


def called(name, x, **kwargs):
    """A call of any function on one array, with the arguments that it needs."""
    needed = {"alpha": 0.5, "window": 2, "k": 1, "kth": 1, "q": 0.5, "old": 1.0, "new": 2.0}
    arguments = {key: value for key, value in needed.items() if takes(name, key)}
    second = {key: x for key in ("b", "v") if takes(name, key)}
    first = next(iter(inspect.signature(getattr(ac, name)).parameters))
    return getattr(ac, name)(**{first: x}, **second, **arguments, **kwargs)


def nullable():
    values = [True, None, False, True, None]
    found = {}
    try:
        import pandas as pd
    except ImportError:
        pass
    else:
        found["Series"] = pd.Series(values, dtype="boolean")
        found["array"] = pd.array(values, dtype="boolean")
        found["Index"] = pd.Index(pd.array(values, dtype="boolean"))
        found["DataFrame"] = pd.DataFrame({"a": pd.array(values, dtype="boolean")})
        found["integers"] = pd.Series([1, None, 0, 1, None], dtype="Int64")
        found["floats"] = pd.Series([1.0, None, 0.0, 1.0, None], dtype="Float64")
        with contextlib.suppress(ImportError):
            found["arrow"] = pd.Series(values, dtype="bool[pyarrow]")
    with contextlib.suppress(ImportError):
        import polars as pl

        found["polars"] = pl.Series(values)
    with contextlib.suppress(ImportError):
        import pyarrow as pa

        found["pyarrow"] = pa.array(values)
    return found


NULLABLE = nullable()


@pytest.mark.skipif(not NULLABLE, reason="no library with missing truth values")
@pytest.mark.parametrize("name", COMPUTING)
def test_missing_truth_values_are_nan(name):
    if name in ("replace", "lexsort"):
        pytest.skip("takes an ndarray, or several arrays")
    x = np.array([1, np.nan, 0, 1, np.nan])
    for label, a in NULLABLE.items():
        like = x[:, None] if label == "DataFrame" else x
        got, want = outcome(called, name, a), outcome(called, name, like)
        assert bits(got) == bits(want), (label, got, want)


def test_other_objects_keep_their_meaning():
    pd = pytest.importorskip("pandas")
    same("sum", pd.Series(["a", "b"], dtype=object))
    same("sum", pd.Series([1, 2**70], dtype=object))
    same("sum", [True, None])
    same("max", pd.Series([True, False], dtype="boolean"))


@pytest.mark.parametrize("name", [name for name in (*MOVES, *SCANNED, *SORTED) if takes(name, "out")])
def test_out_of_a_subclass(name, door):
    """It is returned itself, and assigned to: in a masked array nothing is masked then, unless its mask is hard."""
    x = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    want = called(name, x)
    masked = np.ma.array(np.zeros(5), mask=[1, 0, 0, 1, 0])
    assert called(name, x, out=masked) is masked
    assert not masked.mask.any()
    np.testing.assert_array_equal(masked.data, want)
    hard = np.ma.array(np.zeros(5), mask=[1, 0, 0, 1, 0], hard_mask=True)
    assert called(name, x, out=hard) is hard
    np.testing.assert_array_equal(hard.data, np.where(hard.mask, 0, want))
    mapped = np.zeros(5).view(np.memmap)
    assert called(name, x, out=mapped) is mapped
    np.testing.assert_array_equal(mapped, want)
    over = np.ma.array(x.copy())
    assert called(name, over.data, out=over) is over
    np.testing.assert_array_equal(over.data, want)
    bad = np.ma.array(np.full(4, 7.0))
    with pytest.raises(ValueError, match="shape"):
        called(name, x, out=bad)
    assert (bad.data == 7).all()
