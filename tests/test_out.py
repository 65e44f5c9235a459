"""`out=` of every function that has it: any layout, in place, overlapping; and as it was where something is wrong."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from call_helpers import LONG, all_bits, arguments, takes_axes, variants
from helpers import COMPUTING, bits, everyday, outcome, plain_call, salted, sample, unaligned

import allcores as ac
from allcores._engine.registry import FUNCTIONS as ROWS

WITH_OUT = [name for name in COMPUTING if "out" in arguments(name)]
BY_NUMPY = [name for name in WITH_OUT if "out" in inspect.signature(getattr(np, name, lambda: None)).parameters]


def operands(name, char, shape=(4, 33, 6)):
    a, b = sample(shape, char), sample(shape, char, 1)
    return (salted(a, "some"), salted(b, "some", 5)) if char in "fd" and ROWS[name].skips_nan else (a, b)


def axes(name, ndim: int) -> tuple:
    return (None, 0, 1, -1, (0, ndim - 1)) if takes_axes(name) else (0, 1, -1)


@pytest.fixture
def long(monkeypatch, team):
    for (module, key), value in LONG.items():
        monkeypatch.setattr(module, key, value)


def places(like):
    """What a result can be written into: (name, `out`, the memory that it is in, which of it is `out`)."""
    shape, dtype = like.shape, like.dtype
    yield "C", np.ones(shape, dtype), None, None
    yield "the other byte order", np.ones(shape, dtype.newbyteorder()), None, None
    if like.ndim:
        yield "F", np.ones(shape[::-1], dtype).T, None, None
        yield "unaligned", unaligned(np.ones(shape, dtype)), None, None
        for label, step in (("every second", 2), ("backwards", -1), ("every second, backwards", -2)):
            memory = np.ones([abs(step) * n for n in shape], dtype)
            at = (slice(None, None, step),) * like.ndim
            yield label, memory[at], memory, at


@pytest.mark.parametrize("chars", everyday(("?qd", "bhQf"), ("?qd",)))
@pytest.mark.parametrize("name", WITH_OUT)
def test_out(name, chars, backend, long):
    """Of any layout and byte order; what lies between its elements stays."""
    for char in chars.replace("?" if name == "ptp" else " ", ""):
        x, y = operands(name, char)
        calls = [more for axis in axes(name, x.ndim) for more in variants(name, x, axis)]
        for turn, more in enumerate(calls):
            if backend == "fallback" and turn % 4:
                continue
            want = outcome(plain_call, name, x, y, **more)
            assert not isinstance(want, type), more
            for i, (label, out, memory, at) in enumerate(places(np.asarray(want))):
                if backend == "fallback" and (i + turn) % 3:
                    continue
                assert outcome(plain_call, name, x, y, out=out, **more) is out
                result = np.asarray(want).copy()
                result[...] = out
                assert bits(result) == bits(np.asarray(want)), (label, more)
                if memory is not None:
                    memory[at] = 1
                    assert (memory == 1).all(), (label, more)


@pytest.mark.parametrize("name", WITH_OUT)
def test_out_overlaps_an_operand(name, backend, long):
    """It is one of them, lies across it, or is a part of it: the result is that of a copy."""
    for char in "?qd":
        if name == "ptp" and char == "?":
            continue
        a, b = operands(name, char, (3, 130))
        a[1] = np.sort(a[1])[::-1]
        for axis in axes(name, 2):
            more = variants(name, a, axis)[0]
            want = np.asarray(outcome(plain_call, name, a, b, **more))
            if want.dtype != a.dtype:
                continue
            for shift in (0, 1) if backend == "fallback" else (0, 1, -1, 130, -30, 100):
                memory = np.zeros(3 * a.size, a.dtype)
                for operand in (0, 1):
                    given = [a.copy(), b.copy()]
                    given[operand] = memory[a.size : 2 * a.size].reshape(a.shape)
                    given[operand][...] = (a, b)[operand]
                    out = memory[a.size + shift :][: want.size].reshape(want.shape)
                    for place in (out, out[::-1]) if want.ndim else (out,):
                        given[operand][...] = (a, b)[operand]
                        assert plain_call(name, *given, out=place, **more) is place
                        assert bits(place.copy()) == bits(want), (axis, shift, operand)


def bad_outs(shape, dtype):
    frozen = np.full(shape, 1, dtype)
    frozen.flags.writeable = False
    return {
        "short": np.full((shape[0] - 1, *shape[1:]), 1, dtype),
        "long": np.full((1, *shape), 1, dtype),
        "0-d": np.full((), 1, dtype),
        "read-only": frozen,
        "broadcast": np.broadcast_to(np.full(shape[-1:], 1, dtype), (7, *shape[-1:])),
        "int16": np.full(shape, 1, np.int16),
        "float32": np.full(shape, 1, np.float32),
        "complex": np.full(shape, 1, complex),
        "object": np.full(shape, 1, object),
        "swapped": np.full(shape, 1, dtype.newbyteorder()),
        "list": [1.0] * shape[0],
        "tuple": (np.full(shape, 1, dtype),),
        "string": "abc",
    }


@pytest.mark.parametrize("name", WITH_OUT)
def test_bad_out(name, door):
    """The error that NumPy gives, and `out` is as it was."""
    a, b = np.abs(sample((6, 5), "d")) + 1, np.abs(sample((6, 5), "d", 1)) + 1
    good = np.asarray(plain_call(name, a, b, axis=0))
    for label, out in bad_outs(good.shape, good.dtype).items():
        if label == "object" and name in ("any", "all"):
            continue  # NumPy corrupts their reference counts (2.4.6)
        theirs = np.array(out, copy=True) if isinstance(out, np.ndarray) else out
        want, errors = good, (ValueError, TypeError)
        if name in BY_NUMPY:
            want = outcome(plain_call, name, a, b, namespace=np, axis=0, out=theirs)
            errors = (want,) if isinstance(want, type) else ()
        elif label == "swapped":
            errors = ()
        if label in ("read-only", "broadcast"):
            errors = (ValueError,)
        before = all_bits(out) if isinstance(out, np.ndarray) else None
        got = outcome(plain_call, name, a, b, axis=0, out=out)
        if errors:
            assert got in errors, (label, got)
            assert before is None or all_bits(out) == before, label
        else:
            # Where NumPy's own functions see `out` first, it is what is returned.
            assert got is out or got is out[0], label
            np.testing.assert_allclose(np.asarray(got, complex), np.asarray(want, complex), rtol=1e-6)


@pytest.mark.parametrize("name", WITH_OUT)
def test_out_is_untouched_by_bad_arguments(name, door):
    a, b = np.abs(sample((6, 5), "d")) + 1, np.abs(sample((6, 5), "d", 1)) + 1
    good = np.asarray(plain_call(name, a, b, axis=0))
    for bad in ({"axis": 2}, {"axis": "x"}, {"axis": 0, "workers": 0}, {"axis": 0, "workers": "a"}):
        out = np.full(good.shape, 1, good.dtype)
        with pytest.raises((ValueError, TypeError)):
            plain_call(name, a, b, out=out, **bad)
        assert (out == 1).all()
    if name.startswith("nanarg"):
        out = np.full(good.shape, 1, good.dtype)
        a[:, 2] = np.nan
        with pytest.raises(ValueError, match="All-NaN slice"):
            getattr(ac, name)(a, axis=0, out=out)
        assert (out == 1).all()
