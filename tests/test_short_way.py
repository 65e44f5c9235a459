"""Small arrays: what the compiled door takes besides a plain call, and that it gives the engine's bits."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import (
    COMPILED,
    DTYPES,
    FUNCTIONS,
    POSITIONS,
    SCANNED,
    axes_of,
    bits,
    cells,
    check,
    everyday,
    outcome,
    salted,
    sample,
    takes,
    unaligned,
)

import allcores as ac
from allcores import _kernels
from allcores._engine import settings
from allcores._engine import view as views
from allcores._engine.registry import SCANS
from allcores._families import reduction_passes as engine
from allcores._families import reductions, scans

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


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("?bQqfd", "qd"))
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


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", [name for name in MASKED if takes(name, "ddof")])
def test_where_selects_too_few(name, way):
    a = salted(sample((6, 5), "d"), "some")
    for where in masks((6, 5)).values():
        for ddof in (0, 1, 2.5, 5, 6):
            for axis in (None, 0, 1):
                same(name, a, "few", axis=axis, where=where, ddof=ddof)
                same(name, a, "none", axis=axis, where=where & (np.arange(5) > 2), ddof=ddof)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("?bHqQfd", "qd"))
@pytest.mark.parametrize("name", STARTED)
def test_initial(name, char, way):
    a = sample((6, 9), char)
    for initial in (0, -0.0, 1, -3, 2.5, 2**63, 10**400, True, np.float32(0.1), np.int8(7), np.inf, np.nan, "1"):
        for axis in (None, 0, 1, (0, 1)):
            same(name, a, "initial", axis=axis, initial=initial)
            same(name, -np.zeros((2, 3), dtype=char) if char in "fd" else a, "zeros", axis=axis, initial=initial)
        same(name, a, "initial", where=a > 0, initial=initial)


@pytest.mark.extended
@pytest.mark.parametrize("char", "?Qfd")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_planes(name, char, way):
    """Of two dimensions, neither of which adjoins."""
    wide = sample((14, 36), char)
    views = wide[::2], wide[:, :11], wide[::-1, ::3], wide[1:-1, 2:-2].T, wide[::-2, 30::-1], wide[:7, :7], wide[:2, :9]
    for a in views:
        for axis in axes_of(2):
            if name not in POSITIONS or not isinstance(axis, tuple):
                same(name, a, "plane", axis=axis)
                check(name, a, axis=axis)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sizes_around_the_limit(name, engine_only):
    """Up to `SMALL` bytes scattered arrays are copied, beyond they are not: in both ways the engine must be right."""
    for rows in (views.SMALL // 60, views.SMALL // 60 + 1):
        a = sample((rows, 3, 40), "d")[:, :, ::2]
        assert views.scattered(a, (1,), None, False) == (a.size <= views.SMALL)
        for axis in (0, 1, 2, None):
            check(name, a, axis=axis)


@pytest.mark.parametrize("name", ["sum", "nansum", "prod", "nanprod"])
def test_long_long(name):
    """Equal to long, but its scalars are of another type."""
    for char in "lqLQ":
        a = np.arange(1, 5, dtype=char)
        for dtype in "lqLQ":
            assert type(getattr(ac, name)(a, dtype=dtype)) is type(getattr(np, name)(a, dtype=dtype)), (char, dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_taken(name, monkeypatch):
    """By the door: the engine is not asked."""

    def refuse(*args, **kwargs):
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(engine, "reduce", refuse)
    monkeypatch.setattr(settings, "doors", 1)
    monkeypatch.setattr(reductions, "prepare", refuse)
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


# ---- gaps and exponential weights

FILLS = ("push", "ffill", "bfill")
EXPONENTIAL = [name for name, row in SCANS.items() if row.fields]


def inputs_of(name, a):
    if name not in SCANS or SCANS[name].inputs == 1:
        return (a,)
    return a, np.asfortranarray(np.roll(a, 7, axis=-1))


def gappy(shape, char):
    a = sample(shape, np.dtype(char).newbyteorder("=")).astype(char)
    if np.dtype(char).kind == "f":
        a[np.random.default_rng(5).random(shape) < 0.3] = np.nan
    return a


def tables(char):
    """Every way that a door takes an array: lines, columns, few columns, leaves of some series, in any order."""
    line, table = gappy((16_384,), char), gappy((70, 80), char)
    few = gappy((3, 2000), char)
    views = [line[:1], line[:37], line[:512], line[:513], line, line[::-3], unaligned(line[:600])]
    views += [table, table.T, table[::3, ::-1], table[:, :1], table[:1], table[:, :15], table[:, :16], unaligned(table)]
    return [
        *views,
        few,
        few.T,
        few[:, ::-2],
        np.broadcast_to(line[:20], (18, 20)),
        np.broadcast_to(table[:, :1], (70, 9)),
    ]


@pytest.fixture(params=COMPILED)
def level(request):
    """The engine has this level's kernels. Its doors are called by name."""
    with settings.use_backend(request.param):
        yield request.param


@pytest.mark.parametrize("name", FILLS)
def test_gaps(name, level):
    door = getattr(_kernels.load(level), f"small_{name}")
    for char in "fd":
        for a in tables(char):
            for axis in range(-a.ndim, a.ndim):
                for limit in (None, 0, 1, 3, 100, 1 << 70):
                    got, want = door(a, limit, axis), getattr(ac, name)(a, limit, axis)
                    assert got.strides == want.strides
                    assert bits(got) == bits(want), (a.shape, a.strides, axis, limit)


@pytest.mark.parametrize("name", everyday(EXPONENTIAL, ("move_exp_nanmean", "move_exp_nancorr")))
def test_exponential(name, level):
    door = getattr(_kernels.load(level), f"small_{name}")
    for char in (*DTYPES, "e", ">i4"):
        for a in tables(char):
            inputs = inputs_of(name, a)
            for axis in range(-a.ndim, a.ndim):
                for alpha, least in ((0.2, 0), (np.float64(0.01), 0.5), (0, 0), (1, 0), (1.0, 0.1)):
                    got, want = door(*inputs, alpha, least, axis), getattr(ac, name)(*inputs, alpha, least, axis)
                    if got is None:  # counts that float16 does not have
                        assert (name, char, want.dtype) == ("move_exp_nancount", "e", np.float64)
                        assert a.shape[axis] > 2048
                        continue
                    assert (got.dtype, got.strides) == (want.dtype, want.strides)
                    assert bits(got) == bits(want), (char, a.shape, a.strides, axis, alpha, least)


@pytest.mark.parametrize("name", [name for name in EXPONENTIAL if SCANS[name].inputs == 2])
def test_exponential_of_two_dtypes(name, level):
    door = getattr(_kernels.load(level), f"small_{name}")
    for chars in ("df", "fd", "fe", "hf", "dh", "ff", "ee"):
        inputs = [gappy((40,), char) for char in chars]
        got, want = door(*inputs, 0.1, 0, 0), getattr(ac, name)(*inputs, 0.1)
        assert got.dtype == want.dtype
        assert bits(got) == bits(want), chars
    a = np.ones((2, 3))
    assert door(a, a[0], 0.1, 0, 0) is None
    assert door(a, a[:1], 0.1, 0, 0) is None
    assert door(a, [1.0], 0.1, 0, 0) is None


def test_replace(level):
    door = _kernels.load(level).small_replace
    for char in DTYPES.replace("?", ""):
        for view in tables(char):
            old = np.nan if char in "fd" else view.flat[view.size // 2].item()
            got, want = view.copy("K"), view.copy("K")
            for before, after in ((old, 3), (3, 4)):
                done = door(got, before, after)
                if done is None:
                    assert abs(got.strides[0]) < abs(got.strides[1])
                    break
                assert done is got
                ac.replace(want, before, after)
                assert bits(got) == bits(want)
    lines = np.ones((4, 9))[::2, ::-3]
    assert door(lines, 1, 2) is lines
    assert (lines.base == np.array([[1, 1, 2, 1, 1, 2, 1, 1, 2], [1] * 9] * 2)).all()


def test_what_is_left_to_the_engine():
    kernels = _kernels.load(_kernels.DEFAULT)
    a = np.ones(20)
    others = [np.ones(20, char) for char in ("F", "O", "M8[s]", "g", ">f8", ">f4", "S1")]
    others += [np.float64(1), np.ones(()), np.ones(0), np.ones((2, 2, 2)), np.ones(1 << 15), [1.0, 2.0]]
    for name in FILLS:
        door = getattr(kernels, f"small_{name}")
        assert door(a, 3, -1) is not None
        for limit, axis in ((-1, 0), (True, 0), (2.0, 0), (np.int64(2), 0), (1, 1), (1, -2), (1, None), (1, 0.0)):
            assert door(a, limit, axis) is None
        for other in (*others, np.ones(20, "e"), np.ones(20, "i")):
            assert door(other, None, 0) is None
    for name in EXPONENTIAL:
        door = getattr(kernels, f"small_{name}")
        given = inputs_of(name, a)
        assert door(*given, 0.5, 0, -1) is not None
        for bad in (-0.1, 1.1, np.nan, True, 2, "0.5", None, a, np.float32(0.5), 1 << 2000):
            assert door(*given, bad, 0, 0) is None
            assert door(*given, 0.5, bad, 0) is None
        for axis in (1, -2, None, 0.0, True, 1 << 70):
            assert door(*given, 0.5, 0, axis) is None
        for other in others:
            assert door(*[other] * len(given), 0.5, 0, 0) is None
    readonly = a[:]
    readonly.flags.writeable = False
    for other in (*others, readonly, np.ones(20, "e"), np.ones(20, "?")):
        assert kernels.small_replace(other, 1, 2) is None
    for char, value in (
        *(("d", value) for value in (1 + 0j, "1", None, np.float32(1), True, (1 << 24) + 1)),
        *(("f", value) for value in (1e39, -1e300)),
        *(("i", value) for value in (1.0, 1 << 31, np.nan, np.int64(1), False)),
        *(("B", value) for value in (-1, 256)),
    ):
        x = np.ones(9, char)
        assert kernels.small_replace(x, 1, value) is None
        assert kernels.small_replace(x, value, 1) is None
        assert (x == 1).all()


@pytest.mark.parametrize("name", SCANNED)
def test_scans_take_the_short_way(name, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(settings, "doors", 1)
    monkeypatch.setattr(scans.execute, "run", refuse)
    monkeypatch.setattr(scans, "check_axis", refuse)
    for char in "fd":
        a = gappy((12, 30), char)
        given = inputs_of(name, a)
        arguments = (0, 1) if name == "replace" else (2,) if name in FILLS else (0.5,)
        getattr(ac, name)(*given, *arguments)
        getattr(ac, name)(*given, *arguments, workers=2)
        with pytest.raises(AssertionError, match="the engine was asked"):
            getattr(ac, name)(*(x[None] for x in given), *arguments)
