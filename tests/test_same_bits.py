"""Every function gives the same bits for any number of workers, size of chunks, level, backend, door and process."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from call_helpers import ARRAYS, LONG, OPTIONS, OTHERS, all_bits, arguments, engine, takes_axes, variants
from helpers import (
    ALL_BACKENDS,
    BACKENDS,
    COMPUTING,
    FUNCTIONS,
    bits,
    last_chunks_first,
    open_doors,
    outcome,
    plain_call,
    python,
    salted,
    sample,
    unaligned,
)

import allcores as ac
from allcores._engine import execute, grid, settings
from allcores._engine.registry import FUNCTIONS as ROWS
from allcores._families import reduction_passes
from allcores.futures import ProcessPoolExecutor

pytestmark = pytest.mark.thread_unsafe(reason="changes modules")

CHUNKS = (1, 100, 5000, 131_072, 10**9)


def cases():
    """(array, axis): all kinds of layouts, with several leaves and chunks each; no line of nothing but NaN."""
    rng = np.random.default_rng(0)
    line = salted(sample((2 * 4096 + 5,), "d") * 10.0 ** sample((2 * 4096 + 5,), "b").clip(-8, 8), "some")
    line[700:2500] = np.nan
    line[3000:4000] = sample((1000,), "d")
    table = salted(sample((150, 70), "d") + 100, "some")
    table[60:] = sample((90, 70), "d")
    clean = sample((33, 130), "d") ** 3
    block = salted(sample((70, 3, 40), "d") * 1e3 + 1e5, "some")
    block[:, 0] = 5.0
    ties = rng.integers(-3, 4, 900) * rng.choice([0.0, -1.0, 1.0], 900)
    large = np.arange(600) * 7 % 101
    large[100:250] += 2**62
    large[400:404] = -(2**63)
    return {
        "line": (line, 0),
        "line, reversed and strided": (line[::-2], 0),
        "line, unaligned": (unaligned(line[:600]), 0),
        "ties and zeros": (ties, 0),
        "columns": (table, 0),
        "columns, F": (np.asfortranarray(table[:, :20]), 0),
        "columns, strided": (clean[:, ::2], 0),
        "columns, single": (salted(sample((200, 9), "f") + 100, "some"), 0),
        "few long columns": (np.stack([line[2000:3100], line[4000:5100]], axis=1), 0),
        "rows, reversed": (clean[::-1, ::-1], 1),
        "short rows": (table[:, :6], 1),
        "block, middle": (block, 1),
        "block, transposed": (block.transpose(2, 0, 1), 0),
        "block, two": (block[:, :, :39], (0, 2)),
        "block, all": (block, None),
        "integers": (sample((65, 50), "h"), 0),
        "large integers": (large, 0),
        "bytes": (sample((900,), "B"), 0),
        "truth": (sample((65, 50), "?"), 0),
        "infinities": (salted(clean, "both"), 0),
        "small": (sample((5, 6), "d"), 1),
    }


CASES = cases()


@cache
def others(label):
    """A second operand, which is missing in other places."""
    a, _ = CASES[label]
    b = np.roll(np.ascontiguousarray(a), 7).reshape(a.shape)
    if b.dtype.kind == "f":
        b.reshape(-1)[3::41] = np.nan
    return b


def results(name, turn=None, cases=CASES, **more):
    """Of up to three calls on each array, whose arguments differ; or of one of these in turn."""
    return {
        (label, i): outcome(plain_call, name, a, others(label), **kwargs, **more)
        for number, (label, (a, axis)) in enumerate(cases.items())
        if isinstance(axis, int) or takes_axes(name)
        for calls in [variants(name, a, axis)]
        for i, kwargs in enumerate(calls)
        if turn is None or i == (turn + number) % len(calls)
    }


@cache
def reference(name):
    """One worker, no door, chunks as they are, nothing long."""
    with settings.use_backend(BACKENDS[-1]), pytest.MonkeyPatch.context() as patch, engine(patch, 1, grid.CHUNK):
        return {label: all_bits(result) for label, result in results(name).items()}


def compare(got, name, message):
    want = reference(name)
    assert got
    for label, result in got.items():
        assert all_bits(result) == want[label], (name, label, message)


# Workers, elements of a chunk, and what else is changed in modules: of every function, and of those of some modules.
WAYS = {
    "the last chunks first": (3, 700, {(execute, "run"): last_chunks_first}),
}
PARTIALS = {
    f"partial results of {size} bytes": (3, 64, {(grid, "PARTIALS"): size, (reduction_passes, "PARTIALS"): size})
    for size in (1, 1000)
}
LONG_LINES = {"long lines": (3, 5000, LONG)}
SOME = {"reductions": PARTIALS, "quantiles": LONG_LINES, "selection": LONG_LINES, "sorting": LONG_LINES}
# What is of compiled code alone, or takes the fallback too long.
COMPILED = {
    "one worker": (1, grid.CHUNK, {}),
    "chunks of one element": (2, 1, LONG),
    "chunks of some elements": (3, 100, {}),
    "large chunks": (4, 20_000, {}),
    "one chunk": (8, 10**9, {}),
}


@pytest.mark.parametrize("name", COMPUTING)
def test_ways(name, backend):
    """Of fallback and kernels, in chunks of any size in any order, by any number of workers."""
    slow = backend == "fallback"
    ways = {**WAYS, **SOME.get(ROWS[name].module, {}), **({} if slow else COMPILED)}
    for turn, (way, how) in enumerate(ways.items()):
        with pytest.MonkeyPatch.context() as patch, engine(patch, *how):
            compare(results(name, turn if slow else None), name, (backend, way))
    if not slow:
        with pytest.MonkeyPatch.context() as patch:
            open_doors(patch, backend)
            patch.setattr(settings, "doors", 1)
            compare(results(name), name, (backend, "door"))


@pytest.mark.parametrize("name", COMPUTING)
def test_the_fallback_namespace(name):
    """`ac.fallback.f` is f on the fallback."""
    few = {label: CASES[label] for label in ("columns, single", "integers")}
    compare(results(name, cases=few, namespace=ac.fallback), name, "ac.fallback")
    assert settings.backend() == ac._kernels.DEFAULT


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.executor])
def test_executors(name, pool):
    """In pieces, by other processes."""
    compare(results(name, 0, executor=pool), name, "other processes")


def test_another_process():
    """Which has another seed of hashes, and another number of workers."""
    code = """
        import json
        from test_same_bits import COMPUTING, all_bits, results
        print(json.dumps([all_bits(result).hex() for name in COMPUTING for result in results(name, 0).values()]))
    """
    environment = {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))}
    done = python(code, env={**environment, "PYTHONHASHSEED": "5", "ALLCORES_WORKERS": "3"})
    assert done.returncode == 0, done.stderr
    want = [reference(name)[label].hex() for name in COMPUTING for label in results(name, 0)]
    assert json.loads(done.stdout) == want


def test_every_argument_is_used():
    every = {argument for name in COMPUTING for argument in arguments(name)}
    assert every - set(OPTIONS) - OTHERS - ARRAYS == set()


@pytest.mark.parametrize("name", COMPUTING)
def test_calls_have_results(name):
    """Errors would be the same in every way."""
    wrong = {label for (label, _), result in reference(name).items() if not result.startswith(b"(")}
    assert wrong <= ({"truth"} if name == "ptp" else set())


@pytest.mark.parametrize("built", ALL_BACKENDS)
def test_every_level_runs_here(built):
    """Tests of levels that this CPU lacks are left out: it is said here, once."""
    if built not in BACKENDS:
        pytest.skip(f"this CPU does not run {built}")
    assert BACKENDS[0] == "fallback"


# ---- what reductions promise besides


@pytest.mark.parametrize("name", ["sum", "nansum", "ss", "nanmean", "nanvar"])
def test_whole_blocks_of_the_last_leaf(name, backend, engine_only):
    """Where a line ends with a block, in a leaf that does not."""
    for n in [4096 * leaves + 256 * blocks for leaves in (1, 2) for blocks in range(1, 16)]:
        a = sample((n,), "d", n) * 10.0 ** np.random.default_rng(n).integers(0, 6, n)
        got = bits(getattr(ac, name)(a))
        with settings.use_backend("fallback"):
            assert got == bits(getattr(ac, name)(a)), n


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


# ---- grids


def covered(cut) -> bool:
    """Whether each element is in one chunk, once."""
    seen = np.zeros((cut.outer, cut.n, cut.inner), dtype=np.int8)
    for number in range(cut.chunks):
        _, first, last, begin, end, left, right = cut.chunk(number)
        seen[first:last, begin:end, left:right] += 1
    return bool((seen == 1).all())


SHAPES = ((1, 10_000, 1), (3, 100_000, 1), (7, 500, 30), (1, 33, 5000), (2, 3, 5, 2), (1, 1, 1))


@pytest.mark.parametrize("partials", [grid.PARTIALS, 72, 24])
def test_a_chunk_is_a_subtree(partials, monkeypatch):
    """Chunks are a power of two of whole leaves, and cover everything once, however little may be kept of each."""
    monkeypatch.setattr(grid, "PARTIALS", partials)
    for shape in (*SHAPES, (100, 50, 1), (41, 3, 5)):
        for chunk in CHUNKS:
            cut = grid.cut(shape, chunk)
            assert cut.leaves & (cut.leaves - 1) == 0
            assert all(cut.chunk(number)[3] % cut.run == 0 for number in range(cut.chunks))
            assert covered(cut)


def test_chunks_of_windows_cover_everything_once():
    for shape in SHAPES:
        for chunk in (1, 100, 10_000, 10**9):
            for window in (1, 3, shape[-2]):
                for workers in (1, 4):
                    cut = grid.cut_windows(shape, window, chunk, workers)
                    if cut.chunks > 20_000:
                        continue
                    assert covered(cut)
                    assert cut.parts == 1 or cut.run >= min(4 * window, cut.n)


def test_chunks_of_scans_cover_everything_once():
    for shape in ((1, 100_000, 1), (3, 100_000, 1), (300, 500, 1), (7, 500, 30), (1, 33, 5000), (1, 9000, 100)):
        leaf = grid.scan_leaf(shape[0] * shape[2], shape[1])
        for chunk in (1, 100, 10_000, 10**9):
            for workers in (1, 4):
                cut = grid.cut_scans(shape, leaf, chunk, workers)
                assert cut.run % leaf == 0 or cut.run == cut.n
                assert grid.leaves_of(cut, leaf).chunks == cut.chunks
                assert covered(cut)
