"""The same bits for every number of workers, chunk size, level, backend and placement, in other processes too."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import ALL_BACKENDS, BACKENDS, FUNCTIONS, bits, last_chunks_first, outcome, salted, sample, unaligned

import allcores as ac
from allcores._engine import execute, grid, settings
from allcores._families import reduction_passes

CHUNKS = (1, 100, 5000, 131_072, 10**9)


def arrays():
    """(array, axis), in all kinds of layouts, with several leaves and chunks each."""
    line = salted(sample((3 * 4096 + 5,), "d") * 10.0 ** sample((3 * 4096 + 5,), "b").clip(-8, 8), "some")
    block = salted(sample((70, 3, 40), "d") * 1e3 + 1e5, "some")
    single = salted(sample((200, 9), "f") + 100, "some")
    clean = sample((33, 130), "d") ** 3
    small = sample((5, 6), "d")
    return {
        "line": (line, None),
        "line, reversed and strided": (line[::-2], 0),
        "line, unaligned": (unaligned(line), None),
        "short line": (sample((600,), "f"), None),
        "columns": (single, 0),
        "columns, F": (np.asfortranarray(single), 0),
        "columns, strided": (clean[:, ::2], 0),
        "rows": (clean, 1),
        "rows, reversed": (clean[::-1, ::-1], 1),
        "block, middle": (block, 1),
        "block, outer": (block, 0),
        "block, inner": (block, 2),
        "block, all": (block, None),
        "block, two": (block[:, :, :39], (0, 2)),
        "block, transposed": (block.transpose(2, 0, 1), (1, 2)),
        "integers": (sample((65, 50), "h"), 0),
        "integers, all": (sample((65, 50), "q"), None),
        "bytes": (sample((9000,), "B"), None),
        "truth": (sample((65, 50), "?"), 0),
        "small": (small, None),
        "small, columns": (small, 0),
        "infinities": (salted(clean, "both"), 0),
    }


ARRAYS = arrays()


def results(name):
    return {label: outcome(getattr(ac, name), a, axis=axis) for label, (a, axis) in ARRAYS.items()}


def compare(got, want, message):
    for label in got:
        assert bits(got[label]) == bits(want[label]), f"{label}, {message}: {got[label]} instead of {want[label]}"


@pytest.fixture(scope="module")
def reference():
    """One worker, the fallback, no door, chunks as they are."""
    with settings.use_backend("fallback"), settings.set_workers(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "doors", False, raising=False)
        return {name: results(name) for name in FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_backends(name, way, reference):
    compare(results(name), reference[name], way)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_workers(name, backend, reference, team):
    for workers in range(1, 9):
        with settings.set_workers(workers):
            compare(results(name), reference[name], f"{workers} workers")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_chunk_sizes(name, backend, reference, team, monkeypatch):
    for chunk in CHUNKS:
        monkeypatch.setattr(execute, "chunk_size", chunk)
        compare(results(name), reference[name], f"chunks of {chunk}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_slabs(name, backend, reference, team, monkeypatch):
    """However little is kept of the partial results at a time."""
    for size in (1, 64, 1000, 100_000):
        monkeypatch.setattr(grid, "PARTIALS", size)
        monkeypatch.setattr(reduction_passes, "PARTIALS", size)
        compare(results(name), reference[name], f"partials of {size} bytes")


@pytest.mark.parametrize("name", ["sum", "nansum", "ss", "nanmean", "nanvar"])
def test_whole_blocks_of_the_last_leaf(name, backend, engine_only):
    """Where a line ends with a block, in a leaf that does not."""
    for n in [4096 * leaves + 256 * blocks for leaves in (1, 2) for blocks in range(1, 16)]:
        a = sample((n,), "d", n) * 10.0 ** np.random.default_rng(n).integers(0, 6, n)
        got = bits(getattr(ac, name)(a))
        with settings.use_backend("fallback"):
            assert got == bits(getattr(ac, name)(a)), n


@pytest.mark.parametrize("partials", [grid.PARTIALS, 72, 24])
def test_a_chunk_is_a_subtree(partials, monkeypatch):
    """Chunks are a power of two of whole leaves, and cover everything once, however little may be kept of each."""
    monkeypatch.setattr(grid, "PARTIALS", partials)
    shapes = ((1, 10_000, 1), (3, 100_000, 1), (7, 500, 30), (1, 33, 5000), (2, 3, 5, 2), (1, 1, 1), (100, 50, 1))
    for shape in (*shapes, (41, 3, 5)):
        for chunk in CHUNKS:
            cut = grid.cut(shape, chunk)
            assert cut.leaves & (cut.leaves - 1) == 0
            seen = np.zeros((cut.outer, cut.n, cut.inner), dtype=int)
            for number in range(cut.chunks):
                _, first, last, begin, end, left, right = cut.chunk(number)
                assert begin % cut.run == 0
                seen[first:last, begin:end, left:right] += 1
            assert (seen == 1).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_last_chunks_first(name, backend, reference, team, monkeypatch):
    monkeypatch.setattr(execute, "run", last_chunks_first)
    monkeypatch.setattr(execute, "chunk_size", 5000)
    compare(results(name), reference[name], "the last chunks first")


def test_where_and_parameters(team):
    """The same for masks, ddof and dtype."""
    a = salted(sample((65, 50), "d") + 10, "some")
    where = sample((65, 50), "?")
    calls = [
        ("sum", {"where": where}),
        ("nansum", {"where": where, "axis": 0}),
        ("prod", {"where": where, "axis": 1}),
        ("mean", {"where": where, "axis": 0}),
        ("nanmean", {"where": where, "axis": 1}),
        ("var", {"where": where, "axis": 0, "ddof": 1}),
        ("nanvar", {"where": where, "axis": 1, "ddof": 2}),
        ("nanstd", {"where": where[:1], "axis": None}),
        ("max", {"where": where, "axis": 0, "initial": 0.0}),
        ("nanmin", {"where": where, "axis": 1, "initial": 50.0}),
        ("any", {"where": where, "axis": 0}),
        ("all", {"where": where, "axis": 1}),
    ]
    for name, kwargs in calls:
        for x in (a, a.astype("f"), (a * 10).astype("f").view(np.int32)):
            found = set()
            for backend in BACKENDS:
                for workers in (1, 3):
                    with settings.use_backend(backend), settings.set_workers(workers):
                        found.add(bits(outcome(getattr(ac, name), x, **kwargs)))
            assert len(found) == 1, (name, kwargs, x.dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fallback_namespace(name, reference, engine_only):
    """``ac.fallback.f`` is f on the fallback."""
    got = {label: outcome(getattr(ac.fallback, name), a, axis=axis) for label, (a, axis) in ARRAYS.items()}
    compare(got, reference[name], "ac.fallback")
    assert settings.backend() == ac._kernels.DEFAULT


@pytest.mark.parametrize("name", FUNCTIONS)
def test_memory_order_decides(name, backend, team):
    """Views that read the same memory in the same order give the same bits, however their axes are named."""
    a = salted(sample((40, 6, 50), "d") * 1e3 + 1, "some")
    want = bits(outcome(getattr(ac, name), a, axis=1))
    # NumPy's own order of the axes of the result:
    for order in ((1, 0, 2), (0, 2, 1), (2, 1, 0)):
        x = a.transpose(order)
        got = outcome(getattr(ac, name), x, axis=order.index(1))
        kept = [axis for axis in order if axis != 1]
        assert bits(np.ascontiguousarray(got if kept == [0, 2] else got.T)) == want
    for x in (a[:, None], a[None], np.ascontiguousarray(a), unaligned(a)):
        axis = {4: {40: 2, 1: 2}, 3: {40: 1}}[x.ndim][x.shape[0]]
        assert bits(np.reshape(outcome(getattr(ac, name), x, axis=axis), (40, 50))) == want


def test_backends_are_all_here():
    assert set(BACKENDS) <= set(ALL_BACKENDS)
    assert BACKENDS[0] == "fallback"
