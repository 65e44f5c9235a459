"""Every function, of arrays in any layout: the results of the same elements in a plain array. Of none, and of one."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from call_helpers import LONG, all_bits, arguments, parts, takes_axes, variants
from helpers import (
    COMPUTING,
    LAYOUTS,
    agree,
    axes_of,
    everyday,
    open_doors,
    outcome,
    plain_call,
    salted,
    sample,
)

from allcores._engine import settings, view
from allcores._engine.registry import FUNCTIONS as ROWS

SHAPE = (3, 37, 5)


@cache
def elements(char, seed):
    a = sample(SHAPE, char, seed)
    return salted(salted(a, "zeros", seed), "some", seed + 7) if char in "fd" else a


def swapped(a, lay):
    """The same elements, laid out, in the other byte order."""
    return lay(a.byteswap().view(f"u{a.itemsize}")).view(a.dtype.newbyteorder())


def native(result):
    """A result in the machine's byte order."""
    if isinstance(result, type):
        return result
    return tuple(np.asarray(part).astype(np.asarray(part).dtype.newbyteorder("=")) for part in parts(result))


def compare_bits(name, got, want, message):
    assert all_bits(got) == all_bits(want), (name, message, got, want)


def axes(name, turn: int) -> list:
    """Each direction; and of the other ways to say axes one, in turn."""
    if "axis" not in arguments(name):
        return [None]
    if not takes_axes(name):
        return [0, 1, 2, (-1, -2, -3)[turn % 3]]
    every = axes_of(3)
    return [None, 0, 1, 2, every[4 + turn % (len(every) - 4)]]


def compare(name, got, want, x, more, message):
    """By bits; sums, whose order is that of the memory, up to rounding."""
    if ROWS[name].module != "reductions" or isinstance(want, type) or isinstance(got, type):
        compare_bits(name, got, want, (message, more))
        return
    known = {key: more[key] for key in ("axis", "keepdims", "where") if key in more}
    agree(name, got, want, x, **known, message=(message, more))


@pytest.mark.parametrize("chars", everyday(("?hQfd", "bilqBHIL"), ("?hQfd",)))
@pytest.mark.parametrize("name", COMPUTING)
def test_layouts(name, chars, backend, team, monkeypatch):
    """By a team and by the doors, along every axis, with other arguments, in both byte orders.

    Every second time lines are long ones, and what would be copied first, since it is small, is computed where it is.
    """
    if backend != "fallback":
        open_doors(monkeypatch, backend)
    for number, char in enumerate(chars):
        a, b = elements(char, 0), elements(char, 1)
        for i, (layout, lay) in enumerate(LAYOUTS.items()):
            x, y = lay(a), lay(b)
            plain = np.ascontiguousarray(x), np.ascontiguousarray(y)
            for j, axis in enumerate(axes(name, i)):
                if backend == "fallback" and (i + j + number) % 16:
                    continue
                calls = variants(name, x, axis)
                more = calls[(i + j) % len(calls)]
                message = (char, layout)
                want = outcome(plain_call, name, *plain, **more)
                with monkeypatch.context() as patch:
                    for (module, key), value in {**LONG, (view, "SMALL"): 0}.items() if j % 2 else ():
                        patch.setattr(module, key, value)
                    here = outcome(plain_call, name, x, y, **more)
                    compare(name, here, want, x, more, message)
                    if a.itemsize > 1 and (i + j // 2) % 2:
                        other = outcome(plain_call, name, swapped(a, lay), swapped(b, lay), **more)
                        compare_bits(name, native(other), native(here), ("the other byte order", message, more))
                if backend != "fallback" and j % 2 == 0:
                    with monkeypatch.context() as patch:
                        patch.setattr(settings, "doors", 1)
                        compare_bits(name, outcome(plain_call, name, x, y, **more), here, ("door", message, more))


def by_numpy(name, a, **more):
    """NumPy's answer, where it has the function."""
    return outcome(plain_call, name, a, namespace=np, **more) if hasattr(np, name) else None


@pytest.mark.parametrize("name", COMPUTING)
def test_none_and_one(name, backend):
    """No element, one element, no axis: NumPy's answer or error, or that of the fallback."""
    few = {key: value for key, value in (("kth", 0), ("k", 1), ("window", 1)) if key in arguments(name)}
    along = [{"axis": axis} for axis in (None, 0, -1)] if "axis" in arguments(name) else [{}]
    shapes = ((), (0,), (1,), (0, 3), (3, 0), (2, 0, 3), (1, 1), (1, 5), (5, 1), (1, 4, 1))
    for char, shape, axis in product("?Qfd", shapes, along):
        a, more = np.full(shape, 3, char), {**few, **axis}
        got, want = outcome(plain_call, name, a, **more), by_numpy(name, a, **more)
        message = (name, char, shape, more, got, want)
        if want is None:
            with settings.use_backend("fallback"):
                assert all_bits(got) == all_bits(outcome(plain_call, name, a, **more)), message
        elif isinstance(want, type) or isinstance(got, type):
            assert got is want, message
        else:
            for one, other in zip(parts(got), parts(want), strict=True):
                assert type(one) is type(other), message
                assert np.asarray(one).dtype == np.asarray(other).dtype, message
                np.testing.assert_array_equal(one, other, err_msg=str(message))
