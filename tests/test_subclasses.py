"""Masks, units and other meanings of arrays: one rule, for every operand of every function, on all paths."""

from __future__ import annotations

import inspect
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from helpers import COMPUTING, MOVES, SELECTED

import allcores as ac

NAMES = COMPUTING
BY_NUMPY = ("anynan", "allnan", "nancount", "ss")  # expressions of NumPy's functions
OWN = tuple(name for name in NAMES if not hasattr(np, name) and name not in BY_NUMPY)

X = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0])
Y = np.array([2.0, 7.0, 1.0, 8.0, 2.5, 8.5, 1.25, 8.25])
GIVEN = {"a": X, "ar": X, "x": X, "keys": (X, Y), "b": Y, "v": Y, "q": 0.3, "window": 3, "kth": 2, "k": 2}
GIVEN |= {"alpha": 0.3, "old": 4.0, "new": 5.0}
# What takes the place of an operand, besides those above: arrays that it may be.
ARRAYS = {"a": X, "ar": X, "x": X, "b": Y, "v": Y, "q": np.array([0.25, 0.5]), "kth": np.array([2, 4]), "alpha": Y / 20}
ARRAYS |= {"weights": Y, "where": Y > 2, "out": np.array(0.0), "mean": np.array([4.0]), "sorter": np.argsort(X)}
OVERWRITING = [name for name in SELECTED if "overwrite_input" in inspect.signature(getattr(ac, name)).parameters]


class Length(np.ndarray):
    """Says which of NumPy's functions it was asked for."""

    def __array_function__(self, func, types, args, kwargs):
        return "asked", func.__name__

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return "asked", ufunc.__name__


class Quantity(np.ndarray):
    """Has a unit, which products multiply."""

    unit = ""

    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", "")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [np.asarray(x) for x in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc in (np.not_equal, np.isnan):
            return result
        result = np.asarray(result).view(Quantity)
        result.unit = self.unit * (2 if ufunc is np.multiply else 1)
        return result


def operands_of(name):
    parameters = inspect.signature(getattr(ac, name)).parameters
    return [operand for operand in ARRAYS if operand in parameters]


def arguments(name, operand, value):
    parameters = inspect.signature(getattr(ac, name)).parameters
    given = {key: GIVEN[key] for key, p in parameters.items() if p.default is p.empty}
    if operand == "weights":
        given["method"] = "inverted_cdf"
    if operand == "where" and "initial" in parameters:
        given["initial"] = 1.0
    if name == "replace":
        given["a"] = X.copy()
    return {**given, operand: value}


def outcome(function, given):
    """What a call returns, or the type of its error."""
    first, *rest = given.items()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(first[1], **dict(rest))
        except Exception as error:
            return type(error)


def same(got, want):
    if isinstance(want, np.ma.MaskedArray) and not isinstance(want, np.ma.core.MaskedConstant):
        assert type(got) is type(want)
        np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want))
        np.testing.assert_array_equal(got.compressed(), want.compressed())
    elif isinstance(want, (np.ndarray, np.generic)):
        assert type(got) is type(want)
        compare = np.testing.assert_array_equal if np.asarray(want).dtype.kind in "OM" else np.testing.assert_allclose
        compare(np.asarray(got), np.asarray(want), **({} if np.asarray(want).dtype.kind in "OM" else {"rtol": 1e-14}))
    elif isinstance(want, tuple):
        assert len(got) == len(want)
        for part, of_want in zip(got, want, strict=True):
            same(part, of_want)
    else:
        assert got is want or got == want


CASES = [(name, operand) for name in NAMES for operand in operands_of(name)]


@pytest.mark.parametrize(("name", "operand"), CASES)
def test_a_meaning_is_never_lost(name, operand, door):
    value = ARRAYS[operand].copy().view(Length)
    got = outcome(getattr(ac, name), arguments(name, operand, value))
    if hasattr(np, name) and operand in inspect.signature(getattr(np, name)).parameters:
        want = outcome(getattr(np, name), arguments(name, operand, value))
        if name in ("unique_counts", "unique_values"):
            want = ("asked", "unique")  # all that these two do
        same(got, want)
    elif name not in BY_NUMPY:
        assert got is TypeError


def test_units(door):
    metres = X.copy().view(Quantity)
    metres.unit = "m"
    for name in ("sum", "max", "min"):
        assert getattr(ac, name)(metres).unit == "m"
    assert ac.ss(metres).unit == "mm"
    assert ac.nancount(metres) == 8
    assert not ac.anynan(metres)
    assert not ac.allnan(metres)
    for name in ("move_mean", "move_exp_nanmean"):
        with pytest.raises(TypeError, match=r"a is of type Quantity, .* give numpy.asarray\(a\)"):
            getattr(ac, name)(metres, 0.5)
    with pytest.raises(TypeError, match="b is of type Quantity"):
        ac.move_cov(X, metres, 3)


@pytest.mark.parametrize(("name", "operand"), [case for case in CASES if case[1] != "out"])
def test_masks(name, operand, door):
    values = ARRAYS[operand].copy()
    masked = np.ma.array(values, mask=np.arange(values.size).reshape(values.shape) == 1)
    given = arguments(name, operand, masked)
    got = outcome(getattr(ac, name), given)
    if hasattr(np, name):
        same(got, outcome(getattr(np, name), given))
    elif name == "replace":
        assert got is masked
        np.testing.assert_array_equal(got.mask, np.arange(8) == 1)
    elif operand in ("a", "b"):
        # Masked elements are missing.
        want = outcome(getattr(ac, name), arguments(name, operand, masked.filled(np.nan)))
        for part, of_filled in zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]:
            if name in BY_NUMPY:
                assert name != "nancount" or part == of_filled
            else:
                assert type(part) is type(of_filled)
                np.testing.assert_array_equal(part, of_filled)
    else:
        assert got is ValueError  # a share or a quantile that is missing is not between 0 and 1


@pytest.mark.parametrize(("name", "operand"), [case for case in CASES if case[1] not in ("out", "mean")])
def test_series(name, operand, door):
    """What is not an array at all is converted, second operands as well."""
    pandas = pytest.importorskip("pandas")
    if name == "replace":
        pytest.skip("changes an ndarray in place")
    values = ARRAYS[operand]
    for char in "d" if operand in ("a", "ar", "x", "v") else "degDOM":
        first = {
            key: X.astype("M8[s]" if char == "M" else char) for key in ("a",) if key in arguments(name, operand, values)
        }
        for make in (pandas.Series, pytest.importorskip("xarray").DataArray):
            want = outcome(getattr(ac, name), arguments(name, operand, values) | first)
            got = outcome(getattr(ac, name), arguments(name, operand, make(values)) | first)
            for part, of_array in zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]:
                same(part, of_array)


@pytest.mark.parametrize("name", BY_NUMPY)
def test_expressions_of_any_subclass(name, door):
    """Of matrices, and where nothing is left that is not masked."""
    values = [[1.0, np.nan], [3.0, 4.0]]
    matrix = np.array(values).view(np.matrix)
    for axis in (None, 0, 1):
        got, want = getattr(ac, name)(matrix, axis=axis), getattr(ac, name)(np.array(values), axis=axis)
        np.testing.assert_array_equal(np.ravel(got), np.ravel(want))
    for nothing in (np.ma.masked, np.ma.array(5.0, mask=True), np.ma.array([5, 6], mask=True)):
        assert getattr(ac, name)(nothing) is np.ma.masked


@pytest.mark.parametrize("name", ["replace", "push", "topk", "move_max", "nanrankdata"])
def test_masked_integers(name):
    masked = np.ma.array([3, 999, 5, 4], mask=[0, 1, 0, 0])
    if name == "replace":
        assert ac.replace(masked, 999, 0) is masked
        assert masked.data.tolist() == [3, 999, 5, 4]
        return
    given = {"topk": (2,), "move_max": (1,)}.get(name, ())
    results = getattr(ac, name)(masked, *given)
    want = getattr(ac, name)(np.array([3, np.nan, 5, 4]), *given)
    for got, of_floats in zip(results, want, strict=True):
        np.testing.assert_array_equal(got, of_floats)


BIG = [2**60 + 1, 2**60, 2**60 + 3, 2**60 + 2, 2**60, 2**60 + 1, 5, 4]
TAKERS = [name for name in OWN if "a" in operands_of(name) and name != "replace"]


@pytest.mark.parametrize("dtype", ["i8", "u8", "?", ">i4", "M8[ns]"])
@pytest.mark.parametrize("name", TAKERS)
def test_masks_that_mask_nothing(name, dtype, door):
    """Nothing is missing, so nothing is converted; where something is, integers become float64."""
    a = np.array(BIG).astype(dtype)
    want = outcome(getattr(ac, name), arguments(name, "a", a))
    for mask in (np.ma.nomask, False):
        same_parts(outcome(getattr(ac, name), arguments(name, "a", np.ma.array(a, mask=mask))), want)
    if a.dtype.kind in "biu":
        masked = np.ma.array(a, mask=np.arange(8) == 2)
        floats = np.where(masked.mask, np.nan, a.astype(float))
        want = outcome(getattr(ac, name), arguments(name, "a", floats))
        same_parts(outcome(getattr(ac, name), arguments(name, "a", masked)), want)


def same_parts(got, want):
    for part, other in zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]:
        if isinstance(other, type):
            assert part is other
            continue
        assert type(part) is type(other)
        assert np.asarray(part).dtype == np.asarray(other).dtype
        np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("name", MOVES)
def test_objects_that_are_integers(name, door):
    """As int64 or uint64, whichever has them all; results are float64, as those of all objects."""
    for integers, dtype in (
        (BIG, "i8"),
        ([2**64 - 1, 2**64 - 2, *BIG], "u8"),
        ([2**70, *BIG], "f8"),
        ([True, *BIG], "f8"),
    ):
        want = outcome(getattr(ac, name), arguments(name, "a", np.array(integers, object).astype(dtype)))
        given = arguments(name, "a", np.array(integers, object))
        if "b" in given:
            want = outcome(
                getattr(ac, name), {**given, "a": given["a"].astype(dtype), "b": np.resize(Y, len(integers))}
            )
            given["b"] = np.resize(Y, len(integers))
        same_parts(outcome(getattr(ac, name), given), want)


@pytest.mark.parametrize("name", [name for name in (*MOVES, "push") if name != "replace"])
def test_objects_of_which_some_are_missing(name, door):
    """Whatever numbers they are, and however they are marked; in both operands."""
    pandas = pytest.importorskip("pandas")
    kinds = (float, int, bool, np.float64, np.float32, np.int64, np.uint8, np.bool_, Decimal, Fraction)
    for operand in set(operands_of(name)) & {"a", "b"}:
        numbers = np.array([1, 2, np.nan, 1, 3, 4, 2, 1])
        want = outcome(getattr(ac, name), arguments(name, operand, numbers))
        for kind in kinds:
            for missing in (None, pandas.NA, pandas.NaT):
                a = np.array([missing if v != v else kind(int(v)) for v in numbers], object)
                of_kind = want
                if kind in (bool, np.bool_):
                    truth = np.where(numbers == numbers, 1.0, np.nan)
                    of_kind = outcome(getattr(ac, name), arguments(name, operand, truth))
                series = pandas.Series(a, dtype=object)
                for given in (series,) if name == "push" else (a, series):
                    same_parts(outcome(getattr(ac, name), arguments(name, operand, given)), of_kind)


@pytest.mark.parametrize("top", [2**63 - 1, 2**63, 2**64 - 1, 2**64])
def test_objects_at_the_ends_of_integers(top):
    for low in (0, -1):
        got = ac.move_max(np.array([low, top], dtype=object), 1)
        np.testing.assert_array_equal(got, np.array([low, top], float))


def test_times_that_are_all_missing():
    """They are times still; beside numbers they are missing numbers."""
    pandas = pytest.importorskip("pandas")
    times = pandas.Series([pandas.NaT, pandas.NaT], dtype=object)
    assert ac.median(times) is pandas.NaT
    np.testing.assert_array_equal(ac.median(pandas.Series([pandas.NaT, 1, 2], dtype=object)), np.nan)


def test_parameters_of_windows_are_real_and_there():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for q in (0.5 + 7j, np.array([0.5 + 0j]), np.complex64(0.5)):
            with pytest.raises(TypeError, match="q must be of real numbers"):
                ac.move_quantile(X, 2, q)
            with pytest.raises(TypeError, match="alpha must be"):
                ac.move_exp_nanmean(X, q)
        with pytest.raises(ValueError, match="min_weight must be between 0 and 1"):
            ac.move_exp_nanmean(X, 0.5, np.ma.masked)


@pytest.mark.parametrize("name", MOVES)
def test_results_into_an_array_with_a_meaning(name):
    given = {key: value for key, value in arguments(name, "a", X).items() if key != "a"}
    with pytest.raises(TypeError, match="out is of type Length"):
        getattr(ac, name)(X, **given, out=np.zeros(8).view(Length))


@pytest.mark.parametrize("name", OVERWRITING)
@pytest.mark.parametrize("kind", ["d", "O", "g", "masked", "several axes"])
def test_inputs_are_never_overwritten(name, kind, door):
    a = np.random.default_rng(0).permutation(60).astype(kind if len(kind) == 1 else "d").reshape(5, 12)
    a = np.ma.array(a, mask=a == 7) if kind == "masked" else a
    before = a.copy()
    q = {} if "median" in name else {"q": 0.3}
    for axis in (None, 0, 1, (0, 1)):
        outcome(getattr(ac, name), {"a": a, **q, "axis": axis, "overwrite_input": True})
    np.testing.assert_array_equal(np.asarray(a), np.asarray(before))


# ---- strings, generators, integers with fields


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="from NumPy 2.0 on")
def test_strings():
    dtypes = [np.dtypes.StringDType(), *(np.dtypes.StringDType(na_object=na) for na in (np.nan, None, "missing"))]
    for dtype in dtypes:
        absent = getattr(dtype, "na_object", "")
        missing = absent is None or absent != absent
        a = np.array(["b", absent if missing else "d", "a", "a longer string, not in the array", "c"], dtype)
        assert ac.anynan(a) == missing
        assert not ac.allnan(a)
        assert ac.nancount(a) == 5 - missing
        assert ac.allnan(a[1:2]) == missing
        np.testing.assert_array_equal(ac.nancount(a.reshape(1, 5), axis=0), [1, 1 - missing, 1, 1, 1])
        for name in (*MOVES, "move_exp_nanmean", "push"):
            with pytest.raises(TypeError, match="numbers"):
                getattr(ac, name)(a, **{k: v for k, v in arguments(name, "a", a).items() if k != "a"})
        order = [2, 3, 0, 4, 1]
        ranks = np.argsort(order) + 1.0
        np.testing.assert_array_equal(ac.rankdata(a), ranks)
        ranks[1] = np.nan if missing else 5
        np.testing.assert_array_equal(ac.nanrankdata(a), ranks)
        for largest, wanted in ((False, order), (True, [4, 0, 3, 2, 1] if missing else order[::-1])):
            values, indices = ac.topk(a, 5, largest=largest)
            assert list(indices) == wanted
            assert [str(s) for s in values] == [str(s) for s in a[wanted]]
        if absent is None:
            continue  # NumPy has no order for these
        np.testing.assert_array_equal(np.argsort(a, kind="stable"), order)
        np.testing.assert_array_equal(ac.argsort(a), order)
        for kth in (2, [0, 4], -1):
            for got in (ac.partition(a, kth), a[ac.argpartition(a, kth)]):
                ranks = np.atleast_1d(kth)
                assert [str(s) for s in got[ranks]] == [str(s) for s in a[order][ranks]]


@pytest.mark.parametrize("dtype", ["object", "string", "string[pyarrow]"])
def test_objects_that_pandas_calls_missing(dtype):
    pandas = pytest.importorskip("pandas")
    values = [1.5, pandas.NA, 0.5] if dtype == "object" else ["b", None, "a"]
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    for a in (pandas.Series(values, dtype=dtype), np.array(pandas.Series(values, dtype=dtype), object)):
        assert (ac.anynan(a), ac.allnan(a), ac.nancount(a)) == (True, False, 2)
        np.testing.assert_array_equal(ac.rankdata(a), [2, 3, 1])
        np.testing.assert_array_equal(ac.nanrankdata(a), [2, np.nan, 1])


def test_a_generator_is_no_array():
    for function in (ac.sum, ac.fallback.sum):
        assert outcome(function, {"a": (i for i in range(3))}) is outcome(np.sum, {"a": (i for i in range(3))})


@pytest.mark.parametrize("name", NAMES)
def test_integers_with_fields(name, door):
    dtype = np.dtype((np.int32, {"low": (np.int16, 0), "high": (np.int16, 2)}))
    plain = np.arange(8, dtype=np.int32)[::-1].copy()
    operand = next(key for key in ("a", "ar", "x", "keys") if key in inspect.signature(getattr(ac, name)).parameters)
    value, alike = plain.view(dtype), plain.copy()
    if operand == "keys":
        value, alike = (value, plain), (alike, plain)
    of_plain = outcome(getattr(ac, name), arguments(name, operand, alike))
    got = outcome(getattr(ac, name), arguments(name, operand, value))
    for part, want in zip(got, of_plain, strict=True) if isinstance(of_plain, tuple) else [(got, of_plain)]:
        assert not isinstance(part, type)
        if "partition" in name:
            part, want = np.sort(part), np.sort(want)  # NumPy has an arrangement of its own
        np.testing.assert_array_equal(np.asarray(part).view(np.asarray(want).dtype), want)


@pytest.mark.parametrize("kind", [np.ma.MaskedArray, Length, Quantity], ids=lambda kind: kind.__name__)
def test_sources_have_no_meaning_beside_their_elements(kind):
    for options in ({}, {"chunks": (3,)}):
        with pytest.raises(TypeError, match="source is "):
            ac.open(X.view(kind), **options)
    for plain in (
        X.astype([("a", float)]).view(np.recarray)["a"],
        X.view(type("Own", (np.ndarray,), {})),
    ):
        for source in (ac.open(plain), ac.open(plain, chunks=plain.shape)):
            assert ac.sum(source) == X.sum()
            assert type(source[...]) is type(ac.sum(source, axis=0, keepdims=True)) is np.ndarray
