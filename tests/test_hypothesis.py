"""Hypothesis looks for the rest: shapes, views, values and arguments at random.

ALLCORES_HYPOTHESIS=1000 looks at a thousand examples a function, at random; without it the examples are few and fixed.
"""

from __future__ import annotations

import os

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from helpers import BACKENDS, DTYPES, FUNCTIONS, agree, bits, expected, outcome, takes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allcores as ac
from allcores._engine import execute
from allcores._engine import settings as engine_settings

EXAMPLES = int(os.environ.get("ALLCORES_HYPOTHESIS", "0"))
FEW = settings(
    max_examples=EXAMPLES or 80,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0)


def elements(dtype, kind):
    if dtype.kind != "f":
        return npst.from_dtype(dtype)
    width = 8 * dtype.itemsize
    if kind == "any":
        return st.floats(width=width)
    if kind == "factors":
        # No product of these over- or underflows: an infinity times what has underflown would depend on the order.
        return st.integers(-16, 16).map(lambda i: 1 + i / 4096) | st.sampled_from((np.nan, np.inf, -np.inf, -1.0))
    return st.integers(-1000, 1000).map(lambda i: i / 8) | st.sampled_from(SPECIAL)


@st.composite
def views(draw, kind):
    """An array, seen through transposition, slices, reversal, broadcasting."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7))
    a = draw(npst.arrays(dtype, shape, elements=elements(dtype, kind), fill=st.just(dtype.type(1))))
    if shape and draw(st.integers(0, 3)) == 0:
        # Longer than a leaf.
        a = np.repeat(a, draw(st.sampled_from((33, 65, 520))), axis=draw(st.integers(0, a.ndim - 1)))
    if a.ndim:
        a = a.transpose(draw(st.permutations(range(a.ndim))))
        steps = draw(st.tuples(*[st.sampled_from((None, None, -1, 2, -2, slice(0, -1), slice(1, None)))] * a.ndim))
        a = a[tuple(step if isinstance(step, slice) else slice(None, None, step) for step in steps)]
        if draw(st.integers(0, 5)) == 0:
            a = np.broadcast_to(a, (draw(st.integers(1, 4)), *a.shape))
        elif draw(st.integers(0, 5)) == 0:
            a = np.expand_dims(a, draw(st.integers(0, a.ndim)))
    return a


@st.composite
def arguments(draw, name, a):
    kwargs = {}
    if draw(st.booleans()):
        axis = draw(st.none() | npst.valid_tuple_axes(a.ndim, min_size=1) if a.ndim else st.none())
        if axis is not None and (len(axis) == 1 or "arg" in name):
            axis = axis[0]
        kwargs["axis"] = axis
    if takes(name, "keepdims") and draw(st.booleans()):
        kwargs["keepdims"] = draw(st.booleans())
    if takes(name, "where") and draw(st.integers(0, 2)) == 0:
        shape = draw(npst.broadcastable_shapes(a.shape, max_dims=a.ndim, max_side=1)) if a.ndim else ()
        shape = tuple(n if n == 1 else m for n, m in zip(shape, a.shape[a.ndim - len(shape) :], strict=True))
        kwargs["where"] = draw(npst.arrays(bool, shape))
        if name in ("min", "max", "nanmin", "nanmax"):
            kwargs["initial"] = False if a.dtype == bool else 1
    if takes(name, "ddof") and draw(st.booleans()):
        kwargs["ddof"] = draw(st.integers(0, 4))
    return kwargs


def kinds(name):
    return "factors" if "prod" in name else "moderate"


@pytest.mark.extended
@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
@FEW
def test_numpy_is_the_oracle(name, data):
    a = data.draw(views(kinds(name)))
    kwargs = data.draw(arguments(name, a))
    if takes(name, "ddof") and a.dtype.kind != "f" and a.dtype.itemsize == 8:
        a = a % 1000  # NumPy's own squares of larger ones are inaccurate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_settings, "doors", int(data.draw(st.booleans())), raising=False)
        got = outcome(getattr(ac, name), a, **kwargs)
    want = expected(name, a, **kwargs)
    known = {key: kwargs[key] for key in ("axis", "keepdims", "where") if key in kwargs}
    agree(name, got, want, a, **known, message=(a.dtype.char, a.shape, a.strides, kwargs))


@pytest.mark.extended
@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
@FEW
def test_same_bits(name, data):
    """Of all backends, with and without a team and the door, on any values."""
    a = data.draw(views("any"))
    kwargs = data.draw(arguments(name, a))
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for backend in BACKENDS:
            with engine_settings.use_backend(backend):
                found[backend] = outcome(getattr(ac, name), a, **kwargs)
        patch.setattr(engine_settings, "doors", False, raising=False)
        patch.setattr(execute, "threshold", 0)
        for backend in BACKENDS:
            for chunk in (1, 64, 10**6):
                patch.setattr(execute, "chunk_size", chunk)
                with engine_settings.use_backend(backend):
                    found[backend, chunk] = outcome(getattr(ac, name), a, workers=2, **kwargs)
    assert len({bits(result) for result in found.values()}) == 1, found
