"""Arguments: dtype, out, where, initial, ddof, mean, keepdims, axis and workers give what NumPy gives, or its error."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import DTYPES, FUNCTIONS, agree, axes_of, bits, check, everyday, expected, outcome, sample, takes

import allcores as ac

MASKED = [name for name in FUNCTIONS if takes(name, "where")]


WITH_INITIAL = [name for name in FUNCTIONS if takes(name, "initial")]
WITH_DTYPE = [name for name in FUNCTIONS if takes(name, "dtype")]
VARIANCES = [name for name in FUNCTIONS if takes(name, "ddof")]


def same(name, a, message="", **kwargs):
    """Our outcome is NumPy's, errors included."""
    got = outcome(getattr(ac, name), a, **kwargs)
    known = {key: kwargs[key] for key in ("axis", "keepdims", "where") if key in kwargs}
    agree(name, got, expected(name, np.asarray(a), **kwargs), np.asarray(a), **known, message=(kwargs, message))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("?bHqQfd", "qd"))
@pytest.mark.parametrize("name", MASKED)
def test_where(name, char, backend, team):
    a = np.abs(sample((4, 35, 6), char)) if char in "fd" else sample((4, 35, 6), char)
    rng = np.random.default_rng(2)
    initial = {"initial": 1} if name in ("min", "max", "nanmin", "nanmax") else {}
    some = rng.random(a.shape) < 0.7
    masks = {
        "full": some,
        "row": some[0, 0],
        "column": some[0, :, :1],
        "plane": some[:1],
        "scalar": True,
        "false scalar": False,
        "none": np.zeros(a.shape, dtype=bool),
        "list": some[0, 0].tolist(),
        "strided": np.repeat(some, 2, axis=2)[..., ::2],
        "reversed": some[::-1, ::-1],
        "F": np.asfortranarray(some),
        "integers": some.astype(np.int8),
    }
    for label, where in masks.items():
        for axis in (None, 0, 1, 2, (0, 2)):
            check(name, a, axis=axis, where=where, message=label, **initial)
    check(name, a.transpose(2, 0, 1)[:, ::-1], axis=1, where=some.transpose(2, 0, 1), **initial)


@pytest.mark.parametrize("name", [name for name in MASKED if name not in ("min", "max", "nanmin", "nanmax")])
def test_where_hides_nan(name, backend, team):
    a = sample((40, 6), "d")
    some = np.random.default_rng(3).random(a.shape) < 0.3
    a[some] = np.nan
    for axis in (None, 0, 1):
        check(name, a, axis=axis, where=~some)
        check(name, a, axis=axis, where=some)


@pytest.mark.parametrize("name", MASKED)
def test_bad_where(name, team):
    a = sample((3, 4), "d")
    for where in (np.ones(3, dtype=bool), np.ones((2, 3, 4), dtype=bool), "x", [[True], [False]], 1, 0.5, None):
        same(name, a, where=where)


@pytest.mark.parametrize("name", ["min", "max", "nanmin", "nanmax"])
def test_where_needs_initial(name, door):
    same(name, sample((3, 4), "d"), where=np.ones(4, dtype=bool))


@pytest.mark.parametrize("char", everyday(DTYPES, "?qfd"))
@pytest.mark.parametrize("name", WITH_DTYPE)
def test_dtype(name, char, backend, team):
    a = sample((3, 40), char)
    a = np.exp(a / 8) if char in "fd" and "prod" in name else a
    for wanted in (*DTYPES, float, int, "f8", ">f8", "e", "g", "D", "O", "U3", "M8[s]", "nonsense", 3):
        if wanted in ("e", "f", "F") or (name in ("prod", "nanprod") and wanted in ("d", "f8", float, ">f8", "g", "D")):
            # Roundings at every step, and products of the whole range of a type: NumPy overflows or is inaccurate.
            a_ = np.abs(a) % 3 if char not in "?fd" else a
        else:
            a_ = a
        got = outcome(getattr(ac, name), a_, axis=1, dtype=wanted)
        want = outcome(getattr(np, name), a_, axis=1, dtype=wanted)
        if isinstance(want, type) or isinstance(got, type):
            assert got is want, (wanted, got, want)
            continue
        assert got.dtype == want.dtype, wanted
        if want.dtype.kind in "biu":
            np.testing.assert_array_equal(got, want, err_msg=str(wanted))
        elif want.dtype.kind in "fc":
            tolerance = {"e": 2e-2, "f": 1e-5}.get(want.dtype.char, 1e-11)
            if name.startswith("nan") and char == "f":
                tolerance = 1e-5  # NumPy keeps deviations from the mean in float32
            scale = 1 + np.abs(np.asarray(a_, dtype=float)).sum(axis=1)
            scale = scale**2 if "var" in name else scale
            np.testing.assert_array_less(np.abs(got - want) / scale, tolerance, err_msg=str(wanted))


@pytest.mark.parametrize("char", "?bBqQfd")
@pytest.mark.parametrize("name", WITH_INITIAL)
def test_initial(name, char, backend, team):
    a = sample((3, 40), char)
    a = np.exp(a / 8) if char in "fd" and "prod" in name else a
    values = (
        0,
        1,
        -1,
        2,
        5.5,
        -3,
        300,
        True,
        np.int8(3),
        np.float32(1.5),
        np.nan,
        np.inf,
        1 << 40,
        None,
        "x",
        1j,
        [1, 2],
    )
    for initial in values:
        for axis in (None, 1):
            same(name, a, axis=axis, initial=initial)
    with_nan = sample((3, 40), "d")
    with_nan[1] = np.nan
    for initial in (0, -10.0, 10.0, np.nan):
        same(name, with_nan, axis=1, initial=initial)


@pytest.mark.parametrize("name", WITH_INITIAL)
def test_initial_of_empty_arrays(name, door):
    for shape, axis in (((0,), None), ((0, 3), 0), ((0, 3), 1), ((2, 0, 3), (0, 1)), ((3, 0), 1)):
        for char in "qfd?":
            same(name, np.zeros(shape, dtype=char), axis=axis, initial=3)
            same(name, np.zeros(shape, dtype=char), axis=axis)


@pytest.mark.parametrize("char", "?bQfd")
@pytest.mark.parametrize("name", VARIANCES)
def test_ddof(name, char, backend, team):
    a = sample((5, 40), char)
    some = np.random.default_rng(4).random(a.shape) < 0.5
    for ddof in (0, 1, 2, 0.5, -1, 5, 6, 40, 1000, np.int64(1), np.float32(1.5), True, "x", None, 1j):
        for axis in (None, 0, 1):
            same(name, a, axis=axis, ddof=ddof)
        same(name, a, axis=0, ddof=ddof, where=some)
        if takes(name, "correction") and hasattr(np, "astype"):
            same(name, a, axis=0, correction=ddof)
    with_nan = sample((5, 40), "d")
    with_nan[some] = np.nan
    for ddof in (0, 1, 2, 3, 5):
        same(name, with_nan, axis=0, ddof=ddof)


@pytest.mark.parametrize("name", VARIANCES)
def test_ddof_and_correction(name, door):
    a = sample((5, 4), "d")
    for ddof, correction in ((1, 1), (1, 0), (0, 1), (2, 1)):
        same(name, a, ddof=ddof, correction=correction)
        same(name, a[:0], ddof=ddof, correction=correction)


@pytest.mark.parametrize("char", "?bQfd")
@pytest.mark.parametrize("name", VARIANCES)
def test_given_mean(name, char, backend, team):
    a = sample((5, 40), char)
    some = np.random.default_rng(4).random(a.shape) < 0.7
    kept = {0: (1, 40), 1: (5, 1), None: (1, 1)}
    for axis, shape in kept.items():
        for mean in (
            a.mean(axis=axis, keepdims=True),
            np.zeros(shape),
            np.full(shape, 2.5),
            a.mean(axis=axis),
            1.5,
            "x",
        ):
            for options in ({}, {"keepdims": True}, {"ddof": 1}, {"where": some}):
                same(name, a, axis=axis, mean=mean, message=str(mean), **options)


AXES = (
    5,
    -6,
    "x",
    1.0,
    0.5,
    (0, 0),
    (0, 7),
    (5, 0),
    (0, -3),
    (1, 0),
    (-1, 0),
    (2, 0, 1),
    (True, 0),
    ([0], 1),
    [0],
    np.int64(0),
    np.array(0),
    True,
    (),
    (0.0,),
    b"",
    {},
)


@pytest.mark.parametrize("axis", everyday(AXES, (5, -6, "x", (0, 0), (1, 0))), ids=repr)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_axes(name, axis, door):
    for shape in ((5,), (3, 4), (2, 3, 4), (0, 3)):
        for char in "dq":
            same(name, sample(shape, char), axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_axes(name, backend, team):
    a = sample((2, 3, 4, 5), "d")
    for axis in axes_of(4):
        check(name, a, axis=axis)
        check(name, a.transpose(3, 1, 0, 2), axis=axis)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if takes(name, "keepdims")])
def test_odd_keepdims(name, door):
    a = sample((4, 5), "d")
    for keepdims in (1, 0, np.True_, np.False_):
        same(name, a, axis=0, keepdims=keepdims)


@pytest.mark.parametrize("a", [np.ones((3, 4)), np.ones(0), np.ones(3, dtype=complex), [1, 2]], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_workers(name, a, door):
    """Whatever computes in the end."""
    for bad in (0, -2, -100):
        with pytest.raises(ValueError, match="workers"):
            getattr(ac, name)(a, workers=bad)
    for bad in (1.5, "a", True, np.True_, [1], np.ones(2)):
        with pytest.raises(TypeError, match="workers"):
            getattr(ac, name)(a, workers=bad)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_workers(name, door):
    a = sample((40, 5), "d")
    for workers in (None, -1, 1, 2, 100, np.int8(2)):
        check(name, a, axis=0)
        assert bits(getattr(ac, name)(a, axis=0, workers=workers)) == bits(getattr(ac, name)(a, axis=0))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_unknown_arguments(name):
    with pytest.raises(TypeError):
        getattr(ac, name)(np.ones(3), nonsense=1)
    with pytest.raises(TypeError):
        getattr(ac, name)()
