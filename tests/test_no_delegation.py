"""Delegation can't pass for a kernel: NumPy's own function raises while every compiled cell is called."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from helpers import FUNCTIONS, agree, bits, cells, everyday, expected, outcome, sample, takes

import allcores as ac
from allcores._engine import settings
from allcores._engine.registry import REALS
from allcores._families import sort_passes, sorting

CELLS = [(name, char) for name in FUNCTIONS for char in cells(name)]


class Delegated(Exception):
    pass


class OtherNumPy:
    """NumPy without its reductions. The engine's own bookkeeping, `np.any(empty)`, names no axis; delegation does."""

    def __getattr__(self, name):
        found = getattr(np, name)
        if name not in FUNCTIONS:
            return found

        def reduction(*args, **kwargs):
            if "axis" in kwargs:
                raise Delegated
            return found(*args, **kwargs)

        return reduction


@pytest.fixture
def alone(monkeypatch):
    """Public functions and the engine see a NumPy without reductions; the kernels of the fallback see the real one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("allcores.") and "_kernels" not in name and getattr(module, "np", None) is np:
            monkeypatch.setattr(module, "np", OtherNumPy())


def calls(name, a):
    """Arguments for every way into a kernel."""
    first = True if a.dtype == bool else 1
    some = np.random.default_rng(0).random(a.shape) < 0.7
    axes = (None, 0, 1, -1) + (() if "arg" in name else ((0, 2), (0, 1, 2)))
    for axis in axes:
        yield {"axis": axis}
        if takes(name, "keepdims"):
            yield {"axis": axis, "keepdims": True}
        if takes(name, "initial"):
            yield {"axis": axis, "initial": first}
        if takes(name, "where"):
            initial = {"initial": first} if name in ("min", "max", "nanmin", "nanmax") else {}
            yield {"axis": axis, "where": some, **initial}
            yield {"axis": axis, "where": some[0, 0], **initial}
        if takes(name, "ddof"):
            yield {"axis": axis, "ddof": 1}
        if takes(name, "dtype"):
            yield {"axis": axis, "dtype": np.float64}


@pytest.mark.slow_fallback
@pytest.mark.parametrize(
    ("name", "char"),
    [cell if cell[1] in "?hQfd" else pytest.param(*cell, marks=pytest.mark.extended) for cell in CELLS],
)
def test_cells_are_computed_here(name, char, way, alone):
    a = sample((3, 37, 5), char)
    a = np.exp(a / 16) if char in "fd" and "prod" in name else a
    for kwargs in calls(name, a):
        want = expected(name, a, **kwargs)
        got = outcome(getattr(ac, name), a, **kwargs)
        assert got is not Delegated, kwargs
        # As float64, products of integers overflow: in another order, to another infinity.
        if not (kwargs.get("dtype") and "prod" in name and char not in "?fd"):
            known = {key: kwargs[key] for key in ("axis", "keepdims", "where") if key in kwargs}
            agree(name, got, want, a, **known, message=kwargs)
        if takes(name, "out") and not isinstance(want, type):
            out = np.empty_like(np.asarray(got))
            assert outcome(getattr(ac, name), a, out=out, **kwargs) is out, kwargs
            np.testing.assert_array_equal(out, got)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("hiQlfd", "id"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_other_byte_order_is_computed_here(name, char, way, alone):
    """Also into an `out` of the other order."""
    if char not in cells(name):
        pytest.skip("no cell")
    a = sample((3, 37, 5), char)
    swapped = a.astype(a.dtype.newbyteorder())
    for kwargs in calls(name, a):
        want = outcome(getattr(ac, name), a, **kwargs)
        assert want is not Delegated
        assert bits(outcome(getattr(ac, name), swapped, **kwargs)) == bits(want), kwargs
        if takes(name, "out") and not isinstance(want, type):
            out = np.empty_like(np.asarray(want), np.asarray(want).dtype.newbyteorder())
            assert outcome(getattr(ac, name), swapped, out=out, **kwargs) is out, kwargs
            np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_layouts_are_computed_here(name, way, alone):
    a = np.abs(sample((6, 7, 8), "d")) / 8 + 1
    wide = np.concatenate([a, a], axis=2)
    for x in (a.T, a[::-1], a[:, ::2, ::-1], wide[..., :8], np.asfortranarray(a), a[:1], a[..., :1], a[0, 0]):
        for axis in (None, 0, -1):
            assert outcome(getattr(ac, name), x, axis=axis) is not Delegated


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_switch_works(name, alone):
    """What no kernel covers does run into it."""
    a = np.ones(3, dtype=np.float16)
    assert outcome(getattr(ac, name), a) is Delegated


SORTED = ("sort", "argsort", "lexsort", "unique", "searchsorted", "partition", "argpartition", "median", "quantile")
SWAPPED = ">" if sys.byteorder == "little" else "<"
MINE = ("sort", "argsort", "unique", "partition", "median")


class Unsorted:
    """NumPy without what sorts, selects or searches more than `most` elements."""

    def __init__(self, most):
        self.most = most

    def __getattr__(self, name):
        found = getattr(np, name)
        if name not in SORTED:
            return found

        def function(a, *args, **kwargs):
            if np.size(a) > self.most:
                raise Delegated
            return found(a, *args, **kwargs)

        return function


@pytest.fixture
def unsorted(monkeypatch):
    """The engine may sort its samples, and the short way a few elements; not a call's array."""
    for name, module in list(sys.modules.items()):
        if name.startswith("allcores.") and "_kernels" not in name and getattr(module, "np", None) is np:
            monkeypatch.setattr(module, "np", Unsorted(sort_passes.SAMPLE))


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday([*REALS, *(f"{SWAPPED}{char}" for char in "hiQfd")], "?qd"))
@pytest.mark.parametrize("name", MINE)
def test_long_lines_are_sorted_here(name, char, way, unsorted):
    a = sample((sort_passes.LONG + 1,), char[-1]).astype(char)
    arguments = (len(a) // 2,) if name == "partition" else ()
    got = outcome(getattr(ac, name), a, *arguments)
    assert got is not Delegated
    if name in ("sort", "unique"):
        np.testing.assert_array_equal(got, getattr(np, name)(a))


def test_the_short_way_sorts_a_few(unsorted):
    """It is NumPy's sort, by intention: up to SMALL elements and no more."""
    few = np.arange(sorting.SMALL)[::-1].copy()
    np.testing.assert_array_equal(ac.sort(few), few[::-1])
    assert sorting.SMALL <= sort_passes.SAMPLE
    assert outcome(ac.sort, np.ones(sort_passes.SAMPLE + 1, np.float16)) is Delegated


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_class_that_numpy_sorts_is_the_line(workers, monkeypatch):
    """Long lines of float32 are sorted by NumPy in classes, two at least, and two for each worker."""
    monkeypatch.setattr(sort_passes, "CLASSED", (settings.backend(),))
    parts = []
    one_pass = sort_passes.one_pass

    def noted(name, operands, parameters, grid, *rest):
        parts.append((name, grid.parts))
        one_pass(name, operands, parameters, grid, *rest)

    monkeypatch.setattr(sort_passes, "one_pass", noted)
    ac.sort(sample((sort_passes.LONG + 1,), "f"), workers=workers)
    assert dict(parts)["sort_classes"] >= 2 * workers
