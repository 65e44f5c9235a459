"""map_blocks, map_overlap, reduction and apply_along_axis on threads: results, shapes, errors, and what is left."""

from __future__ import annotations

import builtins
import gc
import os
import threading
import time
import weakref
from contextvars import ContextVar
from functools import partial

import numpy as np
import pytest
from helpers import GIL, collect, python
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_helpers import Frozen, Speechless

import allcores as ac
from allcores._engine import block_grid, execute
from allcores._engine import team as team_module
from allcores.blocks import BlockFailure


@pytest.fixture
def threads(monkeypatch):
    """Three threads for any work."""
    monkeypatch.setattr(execute, "threshold", 0)
    with ac.set_workers(3):
        yield


def pause(x):
    """Long enough for every thread to take a block."""
    time.sleep(0.002)
    return x


# ---- arithmetic


@given(st.integers(0, 500), st.integers(1, 600))
def test_blocks_cover_all(n, size):
    blocks = block_grid.Blocks(n, size)
    spans = [blocks.span(i) for i in range(blocks.count)]
    assert [i for begin, end in spans for i in range(begin, end)] == list(range(n))
    assert spans
    assert all(begin < end <= begin + size for begin, end in spans) or n == 0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_default_blocks(n, row):
    for blocks in (block_grid.for_threads(n, row), block_grid.for_executor(n, row)):
        assert blocks.count * blocks.size >= n
        assert blocks.n == n
    few = block_grid.for_threads(n, row)
    assert few.count >= min(n, block_grid.FEW) / 2
    assert few.size == 1 or few.size * row <= 2 * block_grid.CACHE
    assert min(n, block_grid.LEAST) / 2 <= max(1, block_grid.for_executor(n, row).count) <= block_grid.MOST


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.data())
def test_any_shape_axis_and_size(shape, data):
    x = np.arange(np.prod(shape)).reshape(shape)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = data.draw(st.none() | st.integers(1, 6))
    y = data.draw(st.sampled_from([3, np.float32(0.5), x, x[:1] if shape[0] else x, x[0] if shape[0] else x]))
    np.testing.assert_array_equal(ac.map_blocks(np.add, x, y, block_axis=axis, block_size=size), x + y)
    assert ac.map_blocks(np.add, x, y, block_axis=axis, block_size=size).dtype == (x + y).dtype


@settings(max_examples=200)
@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
    st.sampled_from(["reflect", "periodic", "nearest", "none", 7]),
    st.data(),
)
def test_any_overlap(shape, boundary, data):
    """A window around each element, of the padded whole and of blocks with their halo."""
    x = np.arange(np.prod(shape)).reshape(shape)
    depth = [data.draw(st.integers(0, length)) for length in shape]
    axis = data.draw(st.integers(0, len(shape) - 1))
    mode = {"reflect": "symmetric", "periodic": "wrap", "nearest": "edge"}.get(boundary, "constant")
    value = {"constant_values": -1 if boundary == "none" else boundary} if mode == "constant" else {}
    whole = np.pad(x, [(d, d) for d in depth], mode, **value)

    def window_sums(padded):
        for along, d in enumerate(depth):
            views = np.lib.stride_tricks.sliding_window_view(padded, 2 * d + 1, axis=along)
            padded = views.sum(axis=-1)
        return padded

    def func(block):
        if boundary == "none":  # beyond the ends of the array there is nothing: of the whole, and of no block
            return block * 2
        return np.pad(window_sums(block), [(d, d) for d in depth])

    want = 2 * x if boundary == "none" else window_sums(whole)
    got = ac.map_overlap(
        func, x, tuple(depth), boundary, block_axis=axis, block_size=data.draw(st.integers(1, 8)), workers=1
    )
    np.testing.assert_array_equal(got, want)


def test_numbers_of_blocks_do_not_depend_on_workers(threads):
    def spans(workers, **options):
        seen = []
        ac.map_blocks(lambda x: (seen.append((x[0], x.size)), pause(x))[1], np.arange(1000), workers=workers, **options)
        return sorted(seen)

    assert spans(1) == spans(2) == spans(7)
    assert len(spans(1)) == 16
    assert [size for _, size in spans(3, block_size=300)] == [300, 300, 300, 100]


# ---- what a function gets


def test_arguments(threads):
    """Views of the arrays, in the caller's order; scalars as they are."""
    x, row, column = np.zeros((6, 4), np.float32), np.ones(4, np.float32), np.arange(6.0)[:, None]
    seen = []

    def func(x, row, column, number, *, more):
        seen.append((x.shape, row.shape, column.shape, type(number), more is kept))
        assert np.shares_memory(x, base)
        return x + row * number

    base, kept = x, np.arange(3)
    got = ac.map_blocks(func, x, row, column, 2.0, block_size=4, more=kept)
    assert got.dtype == np.float32  # as `x + row * 2.0` has it
    assert sorted(seen) == [((2, 4), (4,), (2, 1), float, True), ((4, 4), (4,), (4, 1), float, True)]
    ac.map_blocks(lambda x, row: seen.append(row.shape) or x, x, row, block_axis=1, block_size=3)
    assert sorted(seen[2:]) == [(1,), (3,)]


def test_array_likes():
    pandas = pytest.importorskip("pandas")
    assert ac.map_blocks(np.negative, [1, 2, 3], block_size=2).tolist() == [-1, -2, -3]
    assert ac.map_blocks(np.negative, pandas.Series([1, 2, 3]), block_size=2).tolist() == [-1, -2, -3]
    assert ac.map_blocks(lambda x: x.tolist(), (1.5, 2.5)).tolist() == [1.5, 2.5]
    assert ac.map_blocks(lambda x: pandas.Series(x), np.arange(3), block_size=2).tolist() == [0, 1, 2]
    assert ac.map_blocks(np.negative, 3.0) == -3.0
    assert ac.map_blocks(np.negative, np.array(3.0)).shape == ()


def test_block_id_and_info():
    seen = {}

    def func(x, y, block_id=None, block_info=None):
        seen[block_id] = block_info
        return x + y

    ac.map_blocks(func, np.zeros((2, 5)), np.zeros((2, 1)), block_axis=1, block_size=3)
    assert sorted(seen) == [(0, 0), (0, 1)]
    assert seen[0, 1] == {
        0: {"shape": (2, 5), "num-chunks": (1, 2), "array-location": [(0, 2), (3, 5)], "chunk-location": (0, 1)},
        1: {"shape": (2, 1), "num-chunks": (1, 1), "array-location": [(0, 2), (0, 1)], "chunk-location": (0, 0)},
    }
    ac.map_blocks(func, [1, 2], 1, block_id="mine", block_size=5)
    assert "mine" in seen


def test_the_caller_s_context_holds_in_threads(threads):
    variable = ContextVar("variable", default=0)
    variable.set(5)
    where = set()

    def func(x):
        where.add(threading.get_ident())
        pause(x)
        return np.divide(variable.get(), x)

    with np.errstate(divide="ignore"):
        assert np.isinf(ac.map_blocks(func, np.zeros(50), block_size=1)).all()
    assert len(where) == 3
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        ac.map_blocks(func, np.zeros(50), block_size=1)


def test_calls_in_a_block_run_where_they_are(threads):
    """No deadlock, however deep."""
    where = []

    def func(x):
        pause(x)
        here = threading.get_ident()
        inner = ac.map_blocks(lambda y: (where.append(threading.get_ident() == here), y)[1], x, block_size=1)
        return inner + ac.sum(np.ones((100, 30))) + ac.submit(ac.sum, np.ones(1000), workers=3).result(timeout=20)

    got = ac.map_blocks(func, np.arange(60.0), block_size=2)
    np.testing.assert_array_equal(got, np.arange(60) + 4000)
    assert all(where)
    assert len(where) == 60
    assert not team_module.here.worker


# ---- results


def test_dtype_and_memory_order(threads):
    x = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    assert ac.map_blocks(lambda x: x * 2, x, block_size=2).flags.f_contiguous
    got = ac.map_blocks(np.sqrt, x, dtype=np.float32, block_size=2)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.sqrt(x), rtol=1e-6)
    with pytest.raises(TypeError, match="Cannot cast") as caught:
        ac.map_blocks(np.sqrt, x, dtype=int, block_size=2)
    assert "block 0 of 2" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match=r"block 1 gave an array of dtype float64, but block 0 one of int64; dtype="):
        ac.map_blocks(lambda x: x.astype(float) if x[0] else x, np.arange(4), block_size=2)
    assert ac.map_blocks(lambda x: x.astype(float) if x[0] else x, np.arange(4), block_size=2, dtype=float).sum() == 6


@pytest.mark.parametrize("block_size", [1, 2, 5, None])
def test_kinds_of_arrays(threads, block_size):
    from pool_helpers import arrays, assert_same

    for name, x in arrays().items():
        if x.ndim == 0 or (x.dtype.hasobject and x.dtype.names):
            continue
        got = ac.map_blocks(lambda x: x.copy(), x, block_size=block_size)
        want = x.copy()
        if isinstance(x, np.ma.MaskedArray):
            np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(want), err_msg=name)
            assert (got == want).all()
            assert type(got) is type(want)
        elif isinstance(x, np.ndarray) and type(x).__name__ in ("Tagged", "matrix", "recarray"):
            assert type(got) is type(want), name
            np.testing.assert_array_equal(np.asarray(got), np.asarray(want), err_msg=name)
        else:
            got.flags.writeable = want.flags.writeable
            assert_same(got, want)


def test_masked_results_keep_their_masks(threads):
    x = np.ma.masked_greater(np.arange(100), 70)
    got = ac.map_blocks(lambda x: pause(x) + 1, x, block_size=7)
    assert type(got) is np.ma.MaskedArray
    assert got.sum() == (x + 1).sum()
    with pytest.raises(TypeError, match="block 1 gave an array of type MaskedArray, but block 0 one of type ndarray"):
        ac.map_blocks(lambda x: np.ma.array(x) if x[0] else x, np.arange(4), block_size=2)
    with pytest.raises(TypeError, match="block 0 gave a masked array, but out is not"):
        ac.map_blocks(lambda x: x, x, out=np.empty(100, int))


def test_mapped_files(tmp_path, threads):
    x = np.memmap(tmp_path / "x", float, "w+", shape=100)
    x[:] = np.arange(100)
    assert type(ac.map_blocks(np.sqrt, x, block_size=7)) is np.ndarray
    y = np.memmap(tmp_path / "y", float, "w+", shape=100)
    assert ac.map_blocks(np.sqrt, x, block_size=7, out=y) is y
    np.testing.assert_array_equal(y, np.sqrt(np.arange(100)))


def test_axes_lost_and_made():
    x = np.arange(24.0).reshape(4, 3, 2)

    def same(got, want):
        np.testing.assert_array_equal(got, want)

    same(ac.map_blocks(partial(np.sum, axis=1), x, block_size=3), x.sum(axis=1))
    same(ac.map_blocks(np.sum, x, axis=1, drop_axis=1, block_size=3), x.sum(axis=1))
    same(ac.map_blocks(np.sum, x, axis=(0, 1), drop_axis=(0, 1), block_axis=2, block_size=1), x.sum(axis=(0, 1)))
    same(ac.map_blocks(np.sum, x, axis=0, drop_axis=-3, block_axis=-1, block_size=1), x.sum(axis=0))
    same(ac.map_blocks(np.expand_dims, x, axis=0, new_axis=0, block_size=3), x[None])
    same(
        ac.map_blocks(np.expand_dims, x, axis=(0, 3), new_axis=[0, 3], block_axis=2, block_size=1), x[None, :, :, None]
    )
    same(ac.map_blocks(lambda x: np.stack([x, -x]), x, new_axis=0, block_size=3), np.stack([x, -x]))
    # One lost, one made in another place.
    same(ac.map_blocks(lambda x: x.sum(2)[None], x, drop_axis=2, new_axis=0, block_size=3), x.sum(2)[None])
    with pytest.raises(ValueError, match="axis 0, along which blocks are cut, can't be dropped"):
        ac.map_blocks(np.sum, x, axis=0, drop_axis=0)
    with pytest.raises(ValueError, match=r"of 3 dimensions: by drop_axis and new_axis it has 2"):
        ac.map_blocks(lambda x: x, x, drop_axis=1)


def test_out(threads):
    x = np.arange(100.0)
    out = np.full(100, -1.0)
    assert ac.map_blocks(lambda x: pause(x) * 2, x, block_size=7, out=out) is out
    np.testing.assert_array_equal(out, 2 * x)
    # Every second element, another dtype.
    wide = np.zeros(200, np.float32)
    ac.map_blocks(np.sqrt, x, block_size=7, out=wide[::2])
    np.testing.assert_allclose(wide[::2], np.sqrt(x), rtol=1e-6)
    assert not wide[1::2].any()
    # In place; and where a block's result would change what another reads.
    assert ac.map_blocks(lambda x: pause(x) + 1, x, block_size=7, out=x) is x
    np.testing.assert_array_equal(x, np.arange(100) + 1)
    y = np.arange(101.0)
    ac.map_blocks(lambda x: pause(x) + 0, y[:-1], block_size=7, out=y[1:])
    np.testing.assert_array_equal(y, [0, *range(100)])
    y = np.arange(100.0)
    ac.map_blocks(lambda x, whole: pause(x) + whole, y, y[:1], block_size=7, out=y)
    np.testing.assert_array_equal(y, np.arange(100))
    y = np.arange(100.0)
    ac.map_blocks(lambda x, whole: pause(x) + whole[0], y, whole=y, block_size=7, out=y)
    np.testing.assert_array_equal(y, np.arange(100))
    y = np.arange(100.0)
    ac.map_overlap(lambda x: pause(x) + np.roll(x, 1), y, 1, "periodic", block_size=7, out=y)
    np.testing.assert_array_equal(y, np.arange(100) + np.roll(np.arange(100), 1))
    for bad, error, text in [
        (np.empty(99), ValueError, r"out must have 100 elements along axis 0, got .*99"),
        ([0.0] * 100, TypeError, "out must be an ndarray"),
        (np.empty(100, int), TypeError, "Cannot cast"),
        (np.broadcast_to(1.0, 100), ValueError, "out must be writeable"),
    ]:
        with pytest.raises(error, match=text):
            ac.map_blocks(np.sqrt, np.arange(100.0), out=bad)


def test_disagreeing_shapes():
    with pytest.raises(ValueError, match=r"block 2 gave an array of shape \(3,\) instead of \(4,\), by block 0"):
        ac.map_blocks(lambda x: x[1:] if x[0] == 8 else x, np.arange(16), block_size=4)
    with pytest.raises(ValueError, match=r"block 1 gave an array of shape \(2, 3\) instead of \(2, 2\)"):
        ac.map_blocks(lambda x: np.ones((x.size, 2 + x[0] // 2)), np.arange(4), block_size=2)
    with pytest.raises(ValueError, match=r"block 0 gave an array of shape \(2, 3\) instead of \(2, 2\), by out"):
        ac.map_blocks(lambda x: np.ones((x.size, 3)), np.arange(4), block_size=2, out=np.empty((4, 2)))
    with pytest.raises(ValueError, match=r"block 0 gave an array of shape \(\): it needs 4 elements"):
        ac.map_blocks(np.sum, np.arange(16), block_size=4)
    with pytest.raises(ValueError, match=r"block 0 gave an array of shape \(\)"):
        ac.map_blocks(lambda x: None, np.arange(16), block_size=4)


def test_nothing_to_do():
    assert ac.map_blocks(np.sqrt, np.empty((0, 3))).shape == (0, 3)
    assert ac.map_blocks(np.sum, np.empty((0, 3)), axis=1, drop_axis=1).shape == (0,)
    assert ac.map_blocks(np.sqrt, np.empty((3, 0)), block_axis=1).shape == (3, 0)
    assert ac.map_overlap(np.sqrt, np.empty(0), 0).shape == (0,)
    assert ac.reduction(np.empty(0), np.sum, np.sum) == 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ac.map_blocks(np.sqrt), TypeError, "at least one array"),
        (lambda: ac.map_blocks(3, [1]), TypeError, "func must be callable"),
        (lambda: ac.map_blocks(np.sqrt, [1], block_axis=1), ValueError, "block_axis: axis 1 is out of bounds"),
        (lambda: ac.map_blocks(np.sqrt, [1], block_size=0), ValueError, "block_size must be positive"),
        (lambda: ac.map_blocks(np.sqrt, [1], block_size=1.5), TypeError, "block_size must be an integer"),
        (lambda: ac.map_blocks(np.sqrt, [1], block_size=True), TypeError, "not bool"),
        (lambda: ac.map_blocks(np.add, [1, 2], [1, 2, 3]), ValueError, "do not go together: .* keyword argument"),
        (lambda: ac.map_blocks(np.sqrt, [1], workers=0), ValueError, "workers must be a positive number"),
        (lambda: ac.map_blocks(np.sqrt, [1], errors="ignore"), ValueError, "errors must be 'raise' or 'collect'"),
        (lambda: ac.map_blocks(np.sqrt, [1], executor=3), TypeError, "executor must be"),
        (lambda: ac.apply_along_axis(np.sum, 0, [[1]], executor=3), TypeError, "executor must be"),
        (lambda: ac.map_blocks(np.sqrt, [[1]], drop_axis=2), ValueError, "drop_axis: axis 2 is out of bounds"),
        (lambda: ac.map_blocks(np.sqrt, [[1]], new_axis=3), ValueError, "new_axis: axis 3 is out of bounds"),
        (lambda: ac.map_overlap(np.sqrt, [1, 2], 3), ValueError, "depth 3 is more than the 2 elements of axis 0"),
        (lambda: ac.map_overlap(np.sqrt, [1, 2], -1), ValueError, "nonnegative"),
        (lambda: ac.map_overlap(np.sqrt, [1, 2], (1, 1)), ValueError, "depth must have a value for each of 1 axes"),
        (lambda: ac.map_overlap(np.sqrt, [1, 2], 1, "wrap"), ValueError, "boundary must be reflect, periodic"),
        (lambda: ac.reduction([1], np.sum, 3), TypeError, "must be callable"),
        (lambda: ac.reduction([1], np.sum, np.sum, split_every=1), ValueError, "split_every must be at least 2"),
        (lambda: ac.apply_along_axis(np.sum, 2, [[1]]), ValueError, "axis 2 is out of bounds"),
        (lambda: ac.submit(3), TypeError, "fn must be callable"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()


# ---- overlap


@pytest.mark.parametrize("boundary", ["reflect", "periodic", "nearest", "none", 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_overlap_of_masked_arrays(boundary, axis):
    x = np.ma.masked_greater(np.random.default_rng(0).random((9, 8)), 0.7)
    plain = x.filled(np.nan)
    sums = partial(ac.map_overlap, depth=2, boundary=boundary, block_axis=axis, block_size=2)
    got = sums(lambda y: y[:] + np.ma.concatenate([y[1:], y[:1]]) + np.ma.concatenate([y[:, 1:], y[:, :1]], axis=1), x)
    want = sums(lambda y: y[:] + np.concatenate([y[1:], y[:1]]) + np.concatenate([y[:, 1:], y[:, :1]], axis=1), plain)
    assert type(got) is np.ma.MaskedArray
    np.testing.assert_array_equal(got.filled(np.nan), want)


def test_reduction_of_masked_arrays():
    x = np.ma.masked_greater(np.arange(20.0), 11)
    for split_every in (2, 16):
        assert ac.reduction(x, np.ma.sum, np.ma.sum, block_size=3, split_every=split_every) == 66
    assert ac.reduction(x, np.ma.max, np.ma.max, block_size=3) == 11


def test_halos_are_views():
    """No block is copied but at the ends."""
    x = np.arange(20)
    inside = []
    ac.map_overlap(lambda y: (inside.append(np.shares_memory(x, y)), y)[1], x, 2, "reflect", block_size=5, workers=1)
    assert inside == [False, True, True, False]
    inside.clear()
    ac.map_overlap(lambda y: (inside.append(np.shares_memory(x, y)), y)[1], x, 2, block_size=5, workers=1)
    assert inside == [True] * 4


def test_overlap_of_axes_lost_and_made():
    x = np.arange(20.0).reshape(10, 2)
    got = ac.map_overlap(lambda y: np.stack([y.sum(1)] * 3), x, {0: 1}, 0, drop_axis=1, new_axis=0, block_size=4)
    np.testing.assert_array_equal(got, np.stack([x.sum(1)] * 3))


def test_wide_halo_and_sides_that_differ():
    x = np.arange(10)
    lag = partial(ac.map_overlap, lambda y: np.concatenate([np.zeros(min(3, y.size), int), y[:-3]]), x, block_size=2)
    np.testing.assert_array_equal(lag(((3, 0),)), [0, 0, 0, *range(7)])
    np.testing.assert_array_equal(lag({0: (3, 0)}, "periodic"), np.roll(x, 3))


# ---- reductions


def test_reduction_in_order(threads):
    """Partial results are put together in the order of blocks, in groups that split_every says."""
    x = np.arange(40)

    def chunk(x, axis, keepdims):
        pause(x)
        return np.array([str(x[0])], dtype=object)

    def combine(x, axis, keepdims):
        assert keepdims
        return np.array(["(" + " ".join(x) + ")"], dtype=object)

    def aggregate(x, axis, keepdims):
        assert not keepdims
        assert axis == (0,)
        return " ".join(x)

    def call(**options):
        return ac.reduction(x, chunk, aggregate, combine=combine, block_size=5, **options)

    assert call(split_every=3) == "(0 5 10) (15 20 25) (30 35)"
    assert call(split_every=2) == "((0 5) (10 15)) ((20 25) (30 35))"
    assert call(split_every={0: 4}, workers=1) == "(0 5 10 15) (20 25 30 35)"
    assert call() == "0 5 10 15 20 25 30 35"


def test_reduction_with_partials_of_any_kind(threads):
    """The mean by pairs, which are no arrays."""
    x = np.random.default_rng(0).normal(size=(50, 4))

    def chunk(x, axis, keepdims):
        return {"n": np.full(x.shape[1], len(x)), "total": x.sum(axis)}

    def combine(parts, axis, keepdims):
        return {key: sum(part[key] for part in parts) for key in ("n", "total")}

    def aggregate(parts, axis, keepdims):
        whole = combine(parts, axis, keepdims)
        return whole["total"] / whole["n"]

    for block_axis in (0, 1):
        got = ac.reduction(
            x,
            chunk,
            aggregate,
            0,
            combine=combine,
            concatenate=False,
            block_size=3,
            split_every=3,
            block_axis=block_axis,
        )
        np.testing.assert_allclose(got, x.mean(axis=0), rtol=1e-12)


def test_reduction_dtype_and_keepdims():
    x = np.arange(12, dtype=np.int16).reshape(3, 4)
    assert ac.reduction(x, np.sum, np.sum, dtype=np.float32).dtype == np.float32
    assert ac.reduction(x, np.max, np.max, 1, True, block_size=2).tolist() == [[3], [7], [11]]
    assert ac.reduction(x, np.max, np.max, -1, block_size=2).tolist() == [3, 7, 11]
    assert ac.reduction(x, np.max, np.max, 0, True, block_size=2).tolist() == [[8, 9, 10, 11]]
    assert ac.reduction(np.float64(3), np.max, np.max) == 3


# ---- lines


@pytest.mark.parametrize("shape", [(5,), (7, 3), (2, 9), (3, 1, 4), (2, 3, 4, 5), (1, 1)])
def test_apply_along_axis(shape, threads):
    x = np.random.default_rng(0).normal(size=shape)
    functions = [
        np.sum,
        np.cumsum,
        lambda line: np.outer(line, line[:2]),
        lambda line: line[0] > 0,
        lambda line: int(line[0] * 10) if line[0] > 0 else line[0],  # NumPy casts to what the first line gave
        lambda line: str(line[0])[:4],
        lambda line: [line[0], None],
    ]
    for axis in range(-len(shape), len(shape)):
        for function in functions:
            try:
                want = np.apply_along_axis(function, axis, x)
            except Exception as error:
                with pytest.raises(type(error)):
                    ac.apply_along_axis(function, axis, x, block_size=2)
                continue
            got = ac.apply_along_axis(function, axis, x, block_size=2)
            np.testing.assert_array_equal(got, want)
            assert got.dtype == want.dtype


def test_apply_along_axis_arguments():
    x = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(ac.apply_along_axis(np.percentile, 1, x, 50, method="lower"), [1, 5, 9])
    masked = np.ma.masked_greater(x, 5)
    np.testing.assert_array_equal(ac.apply_along_axis(np.sum, 0, masked), np.apply_along_axis(np.sum, 0, masked))
    with pytest.raises(ValueError, match="Cannot apply_along_axis"):
        ac.apply_along_axis(np.sum, 0, np.empty((3, 0)))
    with pytest.raises(ZeroDivisionError) as caught:
        ac.apply_along_axis(lambda line: 1 / 0, 0, x)
    assert caught.value.__notes__ == ["in block 0 of 4 of allcores.apply_along_axis, [0:3, 0:1]"]


# ---- errors


class Own(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


def test_an_error_names_its_block(threads):
    def func(x):
        if x[0, 0] >= 30:
            raise Own(int(x[0, 0]), 2)
        return pause(x)

    for _ in range(20):
        with pytest.raises(Own) as caught:
            ac.map_blocks(func, np.arange(80).reshape(40, 2), block_size=5)
        assert caught.value.args == (30, 2)  # the first one that fails, whoever was faster
        assert caught.value.__notes__ == ["in block 3 of 8 of allcores.map_blocks, [15:20, 0:2]"]
    with pytest.raises(Own) as caught:
        ac.map_overlap(func, np.arange(80).reshape(40, 2), 0, block_size=5)
    assert "allcores.map_overlap" in caught.value.__notes__[0]
    with pytest.raises(TypeError) as caught:
        ac.reduction([1, 2], lambda x: x, np.sum)
    assert "allcores.reduction" in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", [Frozen, Speechless])
def test_errors_that_refuse_attributes(threads, kind):
    """contextlib answers a frozen one with another error; no context manager here does."""

    x = np.zeros((4, 30))

    def fails(*_, **__):
        raise kind(7)

    calls = [
        lambda: ac.map_blocks(fails, x, block_size=2),
        lambda: ac.map_overlap(fails, x, 1, block_size=2),
        lambda: ac.reduction(x, fails, fails, axis=0),
        lambda: ac.apply_along_axis(fails, 0, x),
        lambda: ac.submit(ac.map_blocks, fails, x).result(timeout=60),
        lambda: ac.map_blocks(np.negative, x, progress=fails),
    ]
    for context in (ac.set_workers(1), ac.set_memory_budget(1 << 28), ac.set_executor(None)):
        calls.append(context(fails))
    for call in calls:
        with pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind


def test_context_managers_decorate_functions():
    @ac.set_workers(1)
    def workers():
        return ac.get_workers()

    before = ac.get_workers()
    assert (workers(), workers(), ac.get_workers()) == (1, 1, before)
    with pytest.raises(ValueError, match="workers"), ac.set_workers(0):
        pass
    assert ac.get_workers() == before


def test_an_error_cancels_the_rest(threads):
    begun = []

    def fails(x):
        begun.append(x[0])
        pause(x)
        if x[0] >= 3:
            raise ValueError(int(x[0]))
        return x

    with pytest.raises(ValueError, match="3"):
        ac.map_blocks(fails, np.arange(1000), block_size=1)
    assert len(begun) < 20


def test_errors_are_collected(threads):
    def func(x, bad):
        pause(x)
        if int(x[0]) // 5 in bad:
            raise ValueError(int(x[0]))
        return x

    for bad in ({2, 5}, {0}, {0, 1, 7}, set()):
        result, failures = ac.map_blocks(func, np.arange(40.0), block_size=5, errors="collect", bad=bad)
        assert [failure.index for failure in failures] == sorted(bad)
        for failure in failures:
            assert isinstance(failure, BlockFailure)
            assert failure.slices == (slice(5 * failure.index, 5 * failure.index + 5),)
            assert failure.exception.args == (5 * failure.index,)
            assert np.isnan(result[failure.slices]).all()
        assert np.nansum(result) == sum(i for i in range(40) if i // 5 not in bad)
    result, failures = ac.map_blocks(func, np.arange(40), block_size=5, errors="collect", bad=range(8))
    assert result is None
    assert len(failures) == 8
    out = np.full(40, -1)
    result, failures = ac.map_blocks(func, np.arange(40), block_size=5, errors="collect", bad={1}, out=out)
    assert result is out
    assert (out[5:10] == -1).all()
    for dtype, blank in [("M8[s]", np.datetime64("NaT", "s")), (int, 0), ("U3", ""), (object, None), (complex, np.nan)]:
        result, _ = ac.map_blocks(
            lambda x, dtype=dtype: func(x.astype(int), {1}).astype(dtype), np.arange(10), block_size=5, errors="collect"
        )
        np.testing.assert_array_equal(result[5:], np.full(5, blank, dtype))
    result, _ = ac.map_blocks(func, np.ma.arange(10), block_size=5, errors="collect", bad={1})
    assert result.mask.tolist() == [False] * 5 + [True] * 5


def test_disagreement_is_collected():
    result, failures = ac.map_blocks(lambda x: x[x != 7], np.arange(12.0), block_size=4, errors="collect")
    assert [failure.index for failure in failures] == [1]
    assert "instead of" in str(failures[0].exception)
    assert np.isnan(result[4:8]).all()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_ends_the_call(kind, threads):
    begun = []

    def func(x):
        begun.append(x[0])
        pause(x)
        if x[0] == 10:
            raise kind
        return x

    with pytest.raises(kind):
        ac.map_blocks(func, np.arange(1000), block_size=1, errors="collect")
    assert len(begun) < 50
    assert ac.map_blocks(pause, np.arange(10), block_size=1).sum() == 45


def test_nothing_is_kept(threads):
    """Neither by results nor by errors that have been handled."""

    class Kept(np.ndarray):
        pass

    for fails in (False, True):
        x = np.arange(100.0).view(Kept)
        reference = weakref.ref(x)

        def func(y, fails=fails):
            pause(y)
            if fails and y[0] > 50:
                raise ValueError
            return y

        gc.disable()
        try:
            if fails:
                with pytest.raises(ValueError):  # noqa: PT011
                    ac.map_blocks(func, x, block_size=5)
            else:
                ac.map_blocks(func, x, block_size=5)
            del x
            if not GIL:
                collect()  # what a thread has made that waits now is freed by nobody else
            assert reference() is None
        finally:
            gc.enable()


# ---- progress


def test_progress_is_told(threads):
    told, where = [], set()

    def tell(done, total):
        told.append((done, total))
        where.add(threading.get_ident())

    for errors in ("raise", "collect"):
        told.clear()
        ac.map_blocks(pause, np.arange(50), block_size=1, progress=tell, errors=errors)
        assert told[0] == (0, 50)
        assert told[-1] == (50, 50)
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert len(told) > 10
    assert where == {threading.get_ident()}
    told.clear()
    ac.reduction(np.arange(10), np.sum, np.sum, block_size=5, progress=tell, workers=1)
    assert told == [(0, 2), (1, 2), (2, 2)]
    told.clear()
    ac.apply_along_axis(np.sum, 1, np.ones((4, 3)), block_size=2, progress=tell, workers=1)
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_an_error_in_progress_ends_the_call(threads):
    begun = []

    def tell(done, total):
        if done > 3:
            raise Own("stop", done)

    with pytest.raises(Own):
        ac.map_blocks(lambda x: (begun.append(1), pause(x))[1], np.arange(1000), block_size=1, progress=tell)
    assert len(begun) < 100


def test_progress_bar(capsys, threads):
    pytest.importorskip("tqdm")
    ac.map_blocks(pause, np.arange(50), block_size=1, progress=True)
    shown = capsys.readouterr().err
    assert "map_blocks" in shown
    assert "50/50" in shown


def test_progress_bar_needs_tqdm(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'allcores\[progress\]'"):
        ac.map_blocks(pytest.fail, np.arange(10), progress=True)


# ---- interrupts, exit


@pytest.mark.parametrize("who", ["caller", "threads"])
def test_ctrl_c(who):
    """Back soon, nobody still writing, and the next call works."""
    result = python(f"""
        import _thread, signal, threading, time
        import numpy as np, allcores as ac
        from allcores._engine import execute
        execute.threshold = 0
        main, begun = threading.main_thread(), []
        out = np.zeros(3000)
        def func(x):
            begun.append(1)
            if len(begun) == 20 and (threading.current_thread() is main) == ({who!r} == "caller"):
                signal.raise_signal(signal.SIGINT) if {who!r} == "caller" else _thread.interrupt_main()
            elif len(begun) == 20:
                begun.pop()
            time.sleep(0.002)
            return x + 1
        try:
            ac.map_blocks(func, np.zeros(3000), block_size=1, out=out, workers=3)
        except KeyboardInterrupt:
            print("interrupted", len(begun) < 1500)
        done = out.sum()
        time.sleep(0.05)
        print(out.sum() == done, ac.map_blocks(np.sqrt, np.arange(10.0), workers=3).shape)
    """)
    assert (result.stdout.split(), result.stderr, result.returncode) == (
        ["interrupted", "True", "True", "(10,)"],
        "",
        0,
    )


def test_at_exit_and_in_a_forked_child():
    result = python("""
        import atexit, os, warnings
        import numpy as np, allcores as ac
        from allcores._engine import execute
        execute.threshold = 0
        warnings.simplefilter("ignore", DeprecationWarning)
        x = np.arange(100.0)
        atexit.register(lambda: print(ac.map_blocks(np.sqrt, x, block_size=3, workers=3).shape, flush=True))
        print(ac.map_blocks(np.sqrt, x, block_size=3, workers=3).shape, ac.submit(ac.sum, x).result(), flush=True)
        child = os.fork()
        if child == 0:
            print(ac.map_blocks(np.sqrt, x, block_size=3, workers=3).shape, ac.submit(ac.sum, x).result(), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    """)
    assert (result.stdout.split(), result.stderr, result.returncode) == (
        ["(100,)", "4950.0"] * 2 + ["(100,)"],
        "",
        0,
    )


# ---- overhead


def test_a_slow_first_block_holds_up_one_result_of_each_worker(threads):
    """Others compute theirs meanwhile, but don't pile them up."""
    begun = []

    def func(x):
        begun.append(x[0])
        if x[0] == 0:
            end = time.monotonic() + 20
            while len(begun) < 3 and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(0.05)  # in which the others could begin more
            begun.append("done")
        return x

    np.testing.assert_array_equal(ac.map_blocks(func, np.arange(50), block_size=1), np.arange(50))
    assert begun.index("done") == 3


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="this is about glibc")
def test_memory_of_temporaries_is_kept():
    """Not returned to the system after each block, and faulted in again."""
    result = python("""
        import resource, numpy as np, allcores as ac
        x, out = np.ones(1_000_000), np.empty(1_000_000)
        def many(a):
            return (a + 1) * (a - 1) / (a * a + 1) + (a * a) / (a * a + (a + 1) * (a + 1))
        def faults(size, workers):
            for _ in range(2):
                ac.map_blocks(many, x, out=out, block_size=size, workers=workers)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(5):
                ac.map_blocks(many, x, out=out, block_size=size, workers=workers)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        print(sum(faults(size, workers) for size in (16384, 32768, 65536) for workers in (1, 2)))
    """)
    assert (result.stderr, result.returncode) == ("", 0)
    assert int(result.stdout) < 1000


def test_overhead_of_a_block():
    """Some us, however many there are."""

    def seconds(blocks):
        x, times = np.zeros(blocks), []
        for _ in range(5):
            begin = time.perf_counter()
            ac.map_blocks(lambda x: x, x, block_size=1, workers=1)
            times.append(time.perf_counter() - begin)
        return min(times)

    assert seconds(32_000) < 16 * 4 * seconds(2000)
