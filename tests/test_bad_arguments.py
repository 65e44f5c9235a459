"""Bad arguments of large arrays: found before anything is computed, with NumPy's type of error, and briefly told."""

from __future__ import annotations

import inspect
import mmap
import sys
import traceback

import numpy as np
import pytest
from helpers import COMPUTING, bits, outcome, plain_call

import allcores as ac
from allcores._engine import settings

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="pages can't be given back here")

SHAPE = (2048, 2048)
PAGES = SHAPE[0] * SHAPE[1] * 8 // mmap.PAGESIZE


def results(a, axis=0):
    return a.shape[:axis] + a.shape[axis + 1 :]


# Of each argument, what is wrong with it, given the array.
BAD = {
    "axis": [lambda a: 7, lambda a: -3, lambda a: "x", lambda a: (0, 0), lambda a: 1.5],
    "dtype": [lambda a: "nonsense", lambda a: 3.5],
    "out": [
        lambda a: np.ones(3),
        lambda a: np.ones((2, *results(a))),
        lambda a: np.ones(results(a), "S3"),
        lambda a: "abc",
        lambda a: [1.0],
    ],
    "where": [lambda a: np.ones(3, bool), lambda a: np.ones((2, *a.shape), bool), lambda a: "x"],
    "ddof": [lambda a: "x"],
    "keepdims": [lambda a: "x"],
    "initial": [lambda a: "x"],
    "mean": [lambda a: np.ones((3, 3))],
    "q": [lambda a: 2.0, lambda a: [0.5, -1], lambda a: 1000, lambda a: "x"],
    "method": [lambda a: "nonsense", lambda a: 3],
    "weights": [lambda a: np.ones(3), lambda a: "x"],
    "kth": [lambda a: 10**9, lambda a: -(10**9), lambda a: [0, 10**9], lambda a: 1.5, lambda a: "x"],
    "k": [lambda a: -1, lambda a: 10**9, lambda a: 1.5],
    "window": [lambda a: 0, lambda a: 10**9, lambda a: "x", lambda a: 1.5],
    "min_count": [lambda a: 0, lambda a: 10**9, lambda a: "x"],
    "alpha": [lambda a: 2.0, lambda a: -1.0, lambda a: "x", lambda a: np.ones(3)],
    "min_weight": [lambda a: 2.0, lambda a: "x"],
    "limit": [lambda a: -1, lambda a: "x"],
    "n": [lambda a: -1, lambda a: "x"],
    "kind": [lambda a: "nonsense", lambda a: 3],
    "side": [lambda a: "nonsense"],
    "sorter": [lambda a: np.zeros(3, int)],
    "nan_policy": [lambda a: "nonsense"],
    "old": [lambda a: "x"],
    "new": [lambda a: "x"],
    "workers": [lambda a: 0, lambda a: -2, lambda a: "x", lambda a: 1.5, lambda a: True],
}
CASES = [
    (name, argument)
    for name in COMPUTING
    for argument in inspect.signature(getattr(ac, name)).parameters
    if argument in BAD
]
OTHERS = {
    "executor",
    "overwrite_input",
    "correction",
    "stable",
    "descending",
    "order",
    "center",
    "equal_nan",
    "largest",
}
OTHERS |= {"return_index", "return_inverse", "return_counts", "sorted", "return_inverse_and_index"}


def test_every_argument_is_here():
    """But for the arrays themselves, and for what is true or false, or has a test of its own."""
    arrays = {"a", "a1", "a2", "b", "v", "x", "keys", "ar"}
    every = {each for name in COMPUTING for each in inspect.signature(getattr(ac, name)).parameters}
    assert every - set(BAD) - OTHERS - arrays == set()


class Untouched:
    """An array of zeros which knows how many of its pages have been looked at."""

    def __init__(self, char: str):
        self.memory = mmap.mmap(-1, SHAPE[0] * SHAPE[1] * 8, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self.memory.madvise(mmap.MADV_NOHUGEPAGE)
        size = np.dtype(char).itemsize
        self.array = np.frombuffer(self.memory, char, SHAPE[0] * SHAPE[1] * 8 // size).reshape(SHAPE[0], -1)

    @staticmethod
    def faults() -> int:
        import resource

        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


@pytest.fixture(scope="module", params=["d", "D"], ids=["kernels", "numpy"])
def untouched(request):
    """Of elements that kernels take, and of others."""
    return Untouched(request.param)


def expected(name, a, argument, bad, more):
    """The error of NumPy, where it has the function."""
    if argument == "workers" or not hasattr(np, name) or name in ("lexsort", "searchsorted"):
        return (TypeError, ValueError)
    wanted = {"q": 0.3, "kth": 2} | more | {argument: bad}
    taken = inspect.signature(getattr(np, name)).parameters
    error = outcome(getattr(np, name), a, **{key: value for key, value in wanted.items() if key in taken})
    # Those of ufuncs are private kinds of it.
    return TypeError if isinstance(error, type) and issubclass(error, TypeError) else error


def call(name, a, **arguments):
    if name == "searchsorted":
        return ac.searchsorted(a[0], a, **arguments)
    if name == "replace":  # of what is not copied
        return ac.replace(a, **({"old": 1.0, "new": 2.0} | arguments))
    return plain_call(name, a, **arguments)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults of a thread")
@pytest.mark.parametrize(("name", "argument"), CASES, ids=[f"{name}-{argument}" for name, argument in CASES])
def test_nothing_is_computed(name, argument, untouched):
    a = untouched.array
    tiny = np.zeros((4, 5), a.dtype)
    taken = inspect.signature(getattr(ac, name)).parameters
    for make in BAD[argument]:
        more = {"axis": 0} if argument in ("out", "kth", "window", "min_count") and "axis" in taken else {}
        more |= {"method": "inverted_cdf", "axis": 0} if argument == "weights" else {}
        bad = make(a)
        want = expected(name, tiny, argument, make(tiny), more)
        if not isinstance(want, (type, tuple)):
            continue  # it is not bad to NumPy
        before = bits(bad) if isinstance(bad, np.ndarray) else None
        untouched.memory.madvise(mmap.MADV_DONTNEED)
        faults = untouched.faults()
        with pytest.raises(want) as caught, np.errstate(all="ignore"):
            call(name, a, **{**more, argument: bad})
        faults = untouched.faults() - faults
        assert faults < PAGES // 16, (bad, faults)
        assert before is None or bits(bad) == before, "out has changed"
        frames = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert sum("allcores" in name and "tests" not in name for name in frames) <= 5, frames
        assert caught.value.__cause__ is None


def test_errors_name_the_argument():
    a = np.zeros((2048, 1024))
    for call, words in {
        (lambda: ac.nanmean(a, axis=7)): "axis 7 is out of bounds for array of dimension 2",
        (lambda: ac.nanstd(a, axis=0, out=np.ones(3))): r"out has the shape \(3,\).* axis 0 .*\(2048, 1024\)",
        (lambda: ac.var(a, where=np.ones(3, bool))): r"where has the shape \(3,\)",
        (lambda: ac.partition(a, 2000, axis=1)): r"kth\(=2000\) out of bounds \(1024\)",
        (lambda: ac.sum(a, workers=0)): "workers must be a positive number",
    }.items():
        with pytest.raises((ValueError, TypeError), match=words):
            call()


def test_what_is_good_is_not_refused():
    """Rehearsed, and then computed."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(1500, 800)) + 1j
    kept = rng.random(a.shape) < 0.5
    out = np.empty(800, complex)
    assert ac.sum(a, axis=0, out=out, where=kept) is out
    np.testing.assert_array_equal(out, np.sum(a, axis=0, where=kept))
    np.testing.assert_array_equal(ac.var(a, axis=1, ddof=5), np.var(a, axis=1, ddof=5))
    np.testing.assert_array_equal(ac.partition(a, [3, -2], axis=0), np.partition(a, [3, -2], axis=0))
    np.testing.assert_array_equal(ac.sort(a, axis=0), np.sort(a, axis=0, kind="stable"))
    times = (a.real * 1e6).astype("M8[s]")
    np.testing.assert_array_equal(ac.max(times, axis=1), np.max(times, axis=1))
    x = a.real.astype("f8")
    weights = rng.random(800)
    got = ac.quantile(x, [0.2, 0.9], axis=1, weights=weights, method="inverted_cdf", keepdims=True)
    np.testing.assert_array_equal(
        got, np.quantile(x, [0.2, 0.9], axis=1, weights=weights, method="inverted_cdf", keepdims=True)
    )


def test_a_source_is_not_read_for_an_error(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((2048, 600)))
    source = ac.open(path)
    monkeypatch.setattr(type(source), "load", lambda self: pytest.fail("it was read"))
    for name in ("nanmean", "std", "median", "nanquantile"):
        with pytest.raises(np.exceptions.AxisError):
            plain_call(name, source, axis=7)


def test_settings_are_checked_first():
    with pytest.raises(ValueError, match="workers"):
        ac.map_blocks(lambda x: pytest.fail("it was called"), np.zeros(10), workers=0)
    assert settings.get_workers() >= 1
