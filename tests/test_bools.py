"""Bools of which any byte but 0 is true, as views of other numbers have them: every function takes them for True."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from helpers import LAYOUTS, bits, outcome
from test_pinned_bits import CALLS

import allcores as ac

SHAPES = [(1,), (31,), (6001,), (70_001,), (40, 100), (7, 9, 8)]


def bytes_of(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Half of them 0, the others anything."""
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 256, shape) * (rng.random(shape) < 0.5)).astype(np.uint8)


def plain(result):
    """Results that are bools may have NumPy's bytes: what they mean is compared."""
    array = np.asarray(result)
    return array.view(np.uint8) != 0 if array.dtype == np.bool_ and array.ndim else result


def results_of(name: str, x: np.ndarray, y: np.ndarray) -> list[bytes]:
    results = outcome(lambda: list(CALLS[name](x, y)))
    return [bits(plain(result)) for result in results] if isinstance(results, list) else [bits(results)]


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", CALLS)
def test_any_byte_but_zero_is_true(name, way):
    if name in ("push", "ffill", "bfill", "ptp"):
        pytest.skip("not of bools")
    for shape in SHAPES:
        if min(shape) < 7 and name.startswith(("move_", "part", "argpart", "topk")):  # windows are 7, k is 5
            continue
        if np.prod(shape) > 10_000 and (way == "fallback" or name.startswith("move_")):
            continue
        x, y = bytes_of(shape), bytes_of(shape, 1)
        want = results_of(name, x != 0, y != 0)
        assert results_of(name, x.view(bool), y.view(bool)) == want, (name, shape)


@pytest.mark.extended
@pytest.mark.parametrize("name", CALLS)
def test_in_every_layout(name, backend, team):
    if name in ("push", "ffill", "bfill", "ptp"):
        pytest.skip("not of bools")
    x, y = bytes_of((9, 8, 7)), bytes_of((9, 8, 7), 1)
    for label, laid in LAYOUTS.items():
        a, b = laid(x), laid(y)
        if (name == "replace" and not a.flags.writeable) or min(a.shape) < 7:
            continue
        # The clean ones have the same strides, on which the order of operations depends.
        clean, other = laid((x != 0).view(np.uint8)).view(bool), laid((y != 0).view(np.uint8)).view(bool)
        assert results_of(name, a.view(bool), b.view(bool)) == results_of(name, clean, other), (name, label)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", "?d")
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ac.__all__
        if callable(getattr(ac, name)) and "where" in inspect.signature(getattr(ac, name)).parameters
    ],
)
def test_where(name, char, way):
    for shape in SHAPES:
        x = bytes_of(shape, 2)
        a = np.random.default_rng(3).integers(-3, 4, shape).astype(char)
        more = {"initial": 0} if "initial" in inspect.signature(getattr(ac, name)).parameters else {}
        for axis in (None, *range(len(shape))):
            got = outcome(getattr(ac, name), a, axis=axis, where=x.view(bool), **more)
            assert bits(got) == bits(outcome(getattr(ac, name), a, axis=axis, where=x != 0, **more)), (
                name,
                shape,
                axis,
            )


@pytest.mark.slow_fallback
@pytest.mark.parametrize("old", [0, 1, 2, 255, True, False, 1.0, np.uint8(7)])
def test_what_is_replaced(old, way):
    """Only what `a == old` finds: True is 1, whatever its byte."""
    for shape in SHAPES[:4]:
        x = bytes_of(shape)
        for new in (0, 1, 7):
            for a in (x.view(bool).copy(), x != 0, np.flip(x.view(bool).copy()), np.repeat(x, 2).view(bool)[::2]):
                want = np.where((a.view(np.uint8) != 0) == old, bool(new), a.view(np.uint8) != 0)
                assert ac.replace(a, old, new) is a
                assert bits(plain(a)) == bits(want), (shape, new)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", ["unique", "rankdata", "searchsorted", "nanrankdata"])
def test_equal_ones_are_one(name, way):
    for n in (3, 300, 70_000):
        x = bytes_of((n,))
        for options in {
            "unique": ({"return_index": True, "return_inverse": True, "return_counts": True},),
            "searchsorted": ({"side": "left"}, {"side": "right"}),
        }.get(name, tuple({"method": method} for method in ("average", "min", "max", "dense", "ordinal"))):
            second = (bytes_of((50,), 4),) if name == "searchsorted" else ()
            first = np.sort(x) if second else x
            got = outcome(getattr(ac, name), first.view(bool), *(v.view(bool) for v in second), **options)
            want = outcome(getattr(ac, name), first != 0, *(v != 0 for v in second), **options)
            for one, other in zip(*(v if isinstance(v, tuple) else (v,) for v in (got, want)), strict=True):
                assert bits(plain(one)) == bits(plain(other)), (name, n, options)
