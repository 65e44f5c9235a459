"""Elements in the other byte order: what a function does with an array, it does with its twin of the other order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import FUNCTIONS, LAYOUTS, bits, outcome, salted, takes
from helpers import sample as elements
from test_pinned_bits import sample

import allcores as ac
from allcores._families import scans

CHARS = "hiQlfd"


def in_one_order(a):
    """An array in the machine's byte order."""
    return a.astype(a.dtype.newbyteorder("="))


def twins(char, layout, shape=(3, 37, 50)):
    """An array in a layout, and its twin."""
    a = elements(shape, char)
    if a.dtype.kind == "f":
        a = salted(a, "some")
    lay = LAYOUTS[layout]
    native, swapped = lay(a), lay(a.byteswap().view(f"u{a.itemsize}")).view(a.dtype.newbyteorder())
    assert native.strides == swapped.strides
    assert not swapped.dtype.isnative
    return native, swapped


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("shape", [(300_001,), (600, 500)], ids=str)
def test_reductions_by_a_team(name, shape, team):
    """And in tasks for an executor."""
    for char in "id":
        native, swapped = twins(char, "C" if len(shape) == 1 else "F", shape)
        for axis in (None, 0):
            want = outcome(getattr(ac, name), native, axis=axis)
            assert bits(outcome(getattr(ac, name), swapped, axis=axis)) == bits(want)
            with ThreadPoolExecutor(2) as pool, ac.set_executor(pool):
                assert bits(outcome(getattr(ac, name), swapped, axis=axis)) == bits(want)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if takes(name, "where")])
def test_masks_and_results(name, way):
    """`where`, and an `out` in the other byte order, of elements in either."""
    where = np.random.default_rng(0).random((3, 37, 50)) < 0.6
    for char in CHARS:
        native, swapped = twins(char, "C")
        initial = {"initial": 1} if name in ("min", "max", "nanmin", "nanmax") else {}
        for axis in (None, 0, 2, (0, 2)):
            want = outcome(getattr(ac, name), native, axis=axis, where=where, **initial)
            assert bits(outcome(getattr(ac, name), swapped, axis=axis, where=where, **initial)) == bits(want)
            if isinstance(want, type):
                continue
            out = np.empty_like(np.asarray(want), np.asarray(want).dtype.newbyteorder())
            for a in (native, swapped):
                assert outcome(getattr(ac, name), a, axis=axis, where=where, out=out, **initial) is out
                np.testing.assert_array_equal(out, want)


def test_byte_orders_of_results():
    """NumPy's: sorted and selected elements keep that of the argument, what is computed has the machine's."""
    a = np.arange(12.0).reshape(3, 4).astype(np.dtype(float).newbyteorder())
    for name in ("sort", "unique"):
        assert getattr(ac, name)(a).dtype == getattr(np, name)(a).dtype == a.dtype
    assert ac.partition(a, 1).dtype == a.dtype
    assert ac.ffill(a).dtype == a.dtype
    for name in ("sum", "max", "median", "nanmin", "ptp"):
        assert getattr(ac, name)(a, axis=0).dtype == getattr(np, name)(a, axis=0).dtype == np.float64
    line = a.ravel()[::-1].copy()
    assert ac.sort(line, out=line) is line
    np.testing.assert_array_equal(line, np.arange(12.0))
    assert type(ac.max(np.arange(3, dtype=np.dtype(np.longlong).newbyteorder()))) is type(
        np.max(np.arange(3, dtype=np.longlong))
    )


def test_keys_and_points():
    a = np.random.default_rng(0).integers(0, 5, (2, 3000)).astype(np.dtype("i4").newbyteorder())
    np.testing.assert_array_equal(ac.lexsort(list(a)), np.lexsort(list(a)))
    np.testing.assert_array_equal(ac.argsort(a, axis=1), np.argsort(a, axis=1, kind="stable"))
    q = np.array([0.2, 0.5]).astype(np.dtype(float).newbyteorder())
    np.testing.assert_array_equal(ac.quantile(a, q, axis=1), np.quantile(a, q, axis=1))
    found, want = (unique(a, return_index=True, return_counts=True) for unique in (ac.unique, np.unique))
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("kind", ["U3", "c8", "c16", "G", "M8[s]", "m8[s]", "g", "e", "S3", "i4,f4"])
def test_keys_of_lexsort_that_have_no_kernel(kind):
    """NumPy's own takes strings and complex numbers for what their bytes are in the machine's order."""
    a = np.random.default_rng(0).integers(-50, 50, (2, 60)) / 7
    native = a.astype("i8" if kind.startswith("M") else "c16" if kind == "G" else "f4" if "," in kind else kind).astype(
        kind
    )
    swapped = native.astype(native.dtype.newbyteorder())
    for key, same in zip(swapped, native, strict=True):
        np.testing.assert_array_equal(ac.lexsort((key,)), np.argsort(same, kind="stable"))
        np.testing.assert_array_equal(ac.lexsort((key, a[0])), np.lexsort((same, a[0])))
    for axis in (0, -1):
        np.testing.assert_array_equal(ac.lexsort(swapped[:, None], axis), np.lexsort(native[:, None], axis))


@pytest.mark.parametrize("what", ["push_blocks", "copyto"])
def test_gaps_are_filled_and_values_replaced_by_kernels(what, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    a = sample("f8", (20_011,), True, 1)
    b = a.astype(a.dtype.newbyteorder())
    want = ac.ffill(a), ac.bfill(a), ac.replace(a.copy(), np.nan, 0.5)
    monkeypatch.setattr(*((scans, what) if what == "push_blocks" else (scans.np, what)), refuse)
    assert bits(in_one_order(ac.ffill(b))) == bits(want[0])
    assert bits(in_one_order(ac.bfill(b))) == bits(want[1])
    assert ac.replace(b, np.nan, 0.5) is b
    assert bits(in_one_order(b)) == bits(want[2])
