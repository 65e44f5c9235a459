"""Small arrays: what the compiled door takes besides a plain call, and that it gives the engine's bits."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import COMPILED, FUNCTIONS, LAYOUTS, POSITIONS, axes_of, bits, cells, check, outcome, salted, sample, takes

import allcores as ac
from allcores._engine import arguments, operands, settings
from allcores._engine import reduction as engine

MASKED = [name for name in FUNCTIONS if takes(name, "where")]
STARTED = [name for name in FUNCTIONS if takes(name, "initial")]
EXTREMA = ("min", "max", "nanmin", "nanmax")

pytestmark = pytest.mark.skipif(not COMPILED, reason="no compiled kernels in this installation")


def masks(shape):
    some = np.random.default_rng(2).random(shape) < 0.7
    return {
        "full": some,
        "row": some[(0,) * (len(shape) - 1)],
        "column": some[..., :1],
        "plane": some[:1],
        "scalar": np.array(True),
        "strided": np.repeat(some, 2, axis=-1)[..., ::2],
        "reversed": some[::-1],
        "transposed": np.asfortranarray(some),
        "unaligned": np.concatenate([[True], some.reshape(-1)])[1:].reshape(shape),
    }


def both(name, a, **kwargs):
    """By the door, and by the engine."""
    found = outcome(getattr(ac, name), a, **kwargs)
    settings.doors, doors = 0, settings.doors
    try:
        return found, outcome(getattr(ac, name), a, **kwargs)
    finally:
        settings.doors = doors


def same(name, a, message, **kwargs):
    short, long = both(name, a, **kwargs)
    assert bits(short) == bits(long), (name, a.dtype.char, a.shape, a.strides, message, kwargs, short, long)


@pytest.mark.parametrize("char", "?bQqfd")
@pytest.mark.parametrize("name", MASKED)
def test_where(name, char, way):
    started = {"initial": 1} if name in EXTREMA else {}
    for shape in ((45,), (7, 40), (5, 6, 7)):
        a = sample(shape, char)
        for i, (label, where) in enumerate(masks(shape).items()):
            views = [a, a[::-1], np.asfortranarray(a), np.repeat(a, 2, axis=0)[::2]]
            if char in "fd":
                views.append(salted(a, "some"))
            for view in views:
                for axis in [None, *range(len(shape)), (0, -1)[: len(shape)]]:
                    same(name, view, label, axis=axis, where=where, keepdims=bool(i % 2), **started)
            check(name, a, axis=i % len(shape), where=where, message=label, **started)


@pytest.mark.parametrize("name", [name for name in MASKED if takes(name, "ddof")])
def test_where_selects_too_few(name, way):
    a = salted(sample((6, 5), "d"), "some")
    for where in masks((6, 5)).values():
        for ddof in (0, 1, 2.5, 5, 6):
            for axis in (None, 0, 1):
                same(name, a, "few", axis=axis, where=where, ddof=ddof)
                same(name, a, "none", axis=axis, where=where & (np.arange(5) > 2), ddof=ddof)


@pytest.mark.parametrize("char", "?bHqQfd")
@pytest.mark.parametrize("name", STARTED)
def test_initial(name, char, way):
    a = sample((6, 9), char)
    for initial in (0, -0.0, 1, -3, 2.5, 2**63, 10**400, True, np.float32(0.1), np.int8(7), np.inf, np.nan, "1"):
        for axis in (None, 0, 1, (0, 1)):
            same(name, a, "initial", axis=axis, initial=initial)
            same(name, -np.zeros((2, 3), dtype=char) if char in "fd" else a, "zeros", axis=axis, initial=initial)
        same(name, a, "initial", where=a > 0, initial=initial)


@pytest.mark.parametrize("char", "?Qfd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_layouts_and_axes(name, char, way):
    a = sample((4, 37, 5), char)
    for layout, view in LAYOUTS.items():
        for axis in axes_of(3):
            if name not in POSITIONS or not isinstance(axis, tuple):
                same(name, view(a), layout, axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sizes_around_the_limit(name, engine_only):
    """Up to `SMALL` bytes scattered arrays are copied, beyond they are not: in both ways the engine must be right."""
    for rows in (operands.SMALL // 60, operands.SMALL // 60 + 1):
        a = sample((rows, 3, 40), "d")[:, :, ::2]
        assert operands.scattered(a, (1,), None, False) == (a.size <= operands.SMALL)
        for axis in (0, 1, 2, None):
            check(name, a, axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_taken(name, monkeypatch):
    """By the door: the engine is not asked."""

    def refuse(*args, **kwargs):
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(arguments, "prepare", refuse)
    monkeypatch.setattr(engine, "reduce", refuse)
    monkeypatch.setattr(settings, "doors", 1)
    for module in ("statistics",):
        monkeypatch.setattr(f"allcores._engine.{module}.prepare", refuse)
    function = getattr(ac, name)
    for char in sorted(set(cells(name)) - set("qQ")):  # long long: its scalars are not those of long
        a = np.abs(sample((2, 3, 4), char)) if char in "fd" else sample((2, 3, 4), char)
        function(a.transpose(1, 0, 2), axis=1)
        function(a[:, ::2, ::-1])
        if takes(name, "keepdims"):
            function(a[:, ::2, ::-1], axis=-1, keepdims=True)
        if name not in POSITIONS:
            function(a, axis=(0, 2))
            function(a, axis=(2, 0, 1))
        started = {"initial": char == "?" or 1} if takes(name, "initial") else {}
        function(a, **started)
        if takes(name, "where"):
            where = np.ones((2, 3, 4), dtype=bool)
            for axis in (None, 0, (0, 1)):
                function(a, axis=axis, where=where, **started)
                function(a[0], axis=0, where=where[0, 0], **started)
