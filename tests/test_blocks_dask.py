"""map_blocks, map_overlap and reduction give what dask.array gives."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import allcores as ac

da = pytest.importorskip("dask.array")


@pytest.fixture(autouse=True)
def in_this_thread():
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


X = np.random.default_rng(0).normal(size=(23, 6, 4))


def chunked(x, axis, size):
    return da.from_array(x, chunks=tuple(size if i == axis % x.ndim else -1 for i in range(x.ndim)))


def same(got, want):
    np.testing.assert_array_equal(got, want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype


# ---- map_blocks


def rank(x):
    return np.argsort(x, axis=0)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("func", [np.sqrt, rank, lambda x: x > 0, lambda x: x.astype("f4")], ids=range(4))
def test_map_blocks(func, axis, size):
    """Of functions too whose result depends on the blocks."""
    with np.errstate(invalid="ignore"):
        want = da.map_blocks(func, chunked(X, axis, size), dtype=float).compute()
        same(ac.map_blocks(func, X, block_axis=axis, block_size=size), want)


@pytest.mark.parametrize("other", [X[0], X[:, :1], X[:1], X[0, 0, 0], X[0, :, :1]], ids=lambda a: str(np.shape(a)))
def test_map_blocks_broadcasts(other):
    x = chunked(X, 0, 5)
    if np.ndim(other):
        y = chunked(other, 0, 5) if other.shape[0] == len(X) else da.from_array(other, chunks=-1)
    else:
        y = other
    want = da.map_blocks(np.subtract, x, y, dtype=float).compute()
    same(ac.map_blocks(np.subtract, X, other, block_size=5), want)
    same(ac.map_blocks(np.subtract, other, X, block_size=5), -want)


@pytest.mark.parametrize(
    ("func", "drop", "new", "chunks"),
    [
        (partial(np.sum, axis=1), 1, None, ((5, 5, 5, 5, 3), (4,))),
        (partial(np.sum, axis=(1, 2)), [1, 2], None, ((5, 5, 5, 5, 3),)),
        (lambda x: x[:, None], None, 1, ((5, 5, 5, 5, 3), (1,), (6,), (4,))),
        (lambda x: x[None, ..., None], None, [0, 4], ((1,), (5, 5, 5, 5, 3), (6,), (4,), (1,))),
        (lambda x: np.stack([x.sum(2)] * 3), 2, 0, ((3,), (5, 5, 5, 5, 3), (6,))),
        (lambda x: np.stack([x.sum(1)] * 2, axis=1), 1, 1, ((5, 5, 5, 5, 3), (2,), (4,))),
    ],
)
def test_map_blocks_axes(func, drop, new, chunks):
    want = da.map_blocks(func, chunked(X, 0, 5), drop_axis=drop, new_axis=new, chunks=chunks, dtype=float).compute()
    same(ac.map_blocks(func, X, drop_axis=drop, new_axis=new, block_size=5), want)


def test_block_info_of_dask():
    def func(x, seen, block_info=None, block_id=None):
        if block_info and x.size:
            seen.append((block_id, {key: block_info[0][key] for key in ("shape", "array-location", "chunk-location")}))
        return x

    theirs, ours = [], []
    da.map_blocks(func, chunked(X, 1, 4), seen=theirs, dtype=float, meta=X[:0]).compute()
    ac.map_blocks(func, X, block_axis=1, block_size=4, seen=ours, workers=1)

    def plain(seen):
        return sorted((number, {key: [*map(str, value)] for key, value in info.items()}) for number, info in seen)

    assert [number for number, _ in plain(ours)] == [(0, 0, 0), (0, 1, 0)]
    assert str(plain(ours)) == str(plain(theirs)).replace("np.int64", "")


# ---- map_overlap


def smooth(x):
    """A function of neighbours along all axes, of which the ends are not special."""
    for axis in range(x.ndim):
        x = x + np.roll(x, 1, axis) * 2 + np.roll(x, -1, axis) * 3
    return x


@pytest.mark.parametrize("boundary", ["reflect", "periodic", "nearest", "none", 0, 2.5, None])
@pytest.mark.parametrize("depth", [0, 1, 2, (1, 0, 2), {0: 3}, {1: 1, -1: 1}], ids=str)
def test_map_overlap(depth, boundary):
    theirs = {axis % 3: d for axis, d in depth.items()} if isinstance(depth, dict) else depth
    for axis, size in [(0, 5), (1, 3), (2, 4)]:
        want = da.map_overlap(smooth, chunked(X, axis, size), depth=theirs, boundary=boundary, dtype=float).compute()
        same(ac.map_overlap(smooth, X, depth, boundary, block_axis=axis, block_size=size), want)


@pytest.mark.parametrize(
    "boundary",
    [
        ("reflect", 0, "none"),
        (0, 1, 2),
        (1, "nearest", 2),
        {0: "periodic", 2: 7},
        {1: "none"},
        ("none", "none", 3),
        (4, "none", "periodic"),
    ],
    ids=str,
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_map_overlap_corners(boundary, axis):
    size = (3, 3, 2)[axis]  # dask.array cuts anew where a block is shorter than the halo
    want = da.map_overlap(smooth, chunked(X, axis, size), depth=2, boundary=boundary, dtype=float).compute()
    same(ac.map_overlap(smooth, X, 2, boundary, block_axis=axis, block_size=size), want)


@pytest.mark.parametrize("boundary", ["reflect", "none", 1])
def test_map_overlap_untrimmed(boundary):
    """The function has trimmed, or wants what belongs to its neighbours."""
    options = {"depth": {0: 2, 1: 1}, "boundary": boundary, "trim": False}
    want = da.map_overlap(smooth, chunked(X, 0, 5), dtype=float, **options).compute()
    same(ac.map_overlap(smooth, X, block_size=5, **options), want)


def test_map_overlap_of_sides_that_differ():
    depth = {0: (3, 1), 1: (0, 2)}
    want = da.map_overlap(smooth, chunked(X, 0, 5), depth=depth, boundary="none", dtype=float).compute()
    same(ac.map_overlap(smooth, X, depth, "none", block_size=5), want)


# ---- reduction


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("split_every", [None, 2, 3])
def test_reduction(axis, keepdims, split_every):
    def combine(x, axis, keepdims):
        return np.max(x, axis=axis, keepdims=keepdims) + 1  # counts the levels

    for along, size in [(0, 2), (1, 6), (1, 2), (2, 1)]:
        reduced = range(3) if axis is None else [a % 3 for a in np.atleast_1d(axis)]
        options = {"axis": axis, "keepdims": keepdims, "split_every": {0: split_every, 1: split_every, 2: split_every}}
        if split_every is None:
            options["split_every"] = {0: 16, 1: 16, 2: 16}
        if along not in reduced:
            options["split_every"] = 16
        want = da.reduction(chunked(X, along, size), np.max, np.max, combine=combine, dtype=float, **options).compute()
        got = ac.reduction(X, np.max, np.max, combine=combine, block_axis=along, block_size=size, **options)
        np.testing.assert_array_equal(got, want)
        assert np.shape(got) == np.shape(want)


def test_reduction_of_a_mean():
    """What a function gets, and how often: the same as from dask.array."""

    def calls(reduction, x, **options):
        seen = []

        def chunk(x, axis, keepdims):
            seen.append(("chunk", x.shape, axis, keepdims))
            return np.stack([np.sum(x, axis, keepdims=keepdims), np.full(1, x.shape[0])[:, None, None] + 0 * x[:1]], -1)

        def combine(x, axis, keepdims):
            seen.append(("combine", x.shape, axis, keepdims))
            return x.sum(axis=axis, keepdims=keepdims)

        def aggregate(x, axis, keepdims):
            seen.append(("aggregate", x.shape, axis, keepdims))
            total, count = np.moveaxis(x.sum(axis=axis, keepdims=keepdims), -1, 0)
            return total / count

        result = reduction(x, chunk, aggregate, axis=0, combine=combine, split_every=3, dtype=float, **options)
        result = result.compute() if hasattr(result, "compute") else result
        return result, sorted(call for call in seen if 0 not in call[1])

    want, theirs = calls(da.reduction, chunked(X, 0, 2), meta=X[:0, 0])
    got, ours = calls(ac.reduction, X, block_size=2)
    np.testing.assert_allclose(got, X.mean(axis=0))
    same(got, want)
    assert ours == theirs
