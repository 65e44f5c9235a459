"""Bad arguments of large arrays: found before anything is computed, with NumPy's type of error, and briefly told."""

from __future__ import annotations

import inspect
import mmap
import sys
import traceback
import warnings
from fractions import Fraction

import numpy as np
import pytest
from helpers import COMPUTING, bits, outcome, plain_call

import allcores as ac
from allcores._engine import delegation, settings

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="pages can't be given back here")

SHAPE = (2048, 2048)
PAGES = SHAPE[0] * SHAPE[1] * 8 // mmap.PAGESIZE


def results(a, axis=0):
    return a.shape[:axis] + a.shape[axis + 1 :]


NO_WEIGHTS = (np.nan, np.inf, 0.0)

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
    "weights": [lambda a: np.ones(3), lambda a: "x", *(lambda a, w=w: np.full(len(a), w) for w in NO_WEIGHTS)],
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
        if argument == "weights" and name.startswith("nan") and np.shape(bad) == (len(a),):
            continue  # which of them matter depends on the elements
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults of a thread")
@pytest.mark.parametrize("kind", ["masked", "longdouble"])
def test_nothing_is_converted(kind):
    """Before all arguments are known to be good."""
    whole = Untouched("d" if kind == "masked" else "g")
    a = whole.array.view(np.ma.MaskedArray) if kind == "masked" else whole.array
    calls = [
        lambda: ac.move_mean(a, 0),
        lambda: ac.move_var(a, 3, axis=7),
        lambda: ac.move_corr(a, a, 3, out=np.ones(3)),
        lambda: ac.move_exp_nanmean(a, 0.5, axis=7),
        lambda: ac.move_exp_nanvar(a, 0.5, out=np.ones(3)),
        lambda: ac.nanmean(a, axis=7),
        lambda: ac.sort(a, axis=7),
        lambda: ac.nanmedian(a, axis=0, out=np.ones(3)),
    ]
    for call in calls:
        whole.memory.madvise(mmap.MADV_DONTNEED)
        faults = whole.faults()
        with pytest.raises(ValueError, match=r"axis|window|out|shape"):
            call()
        assert whole.faults() - faults < PAGES // 16


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


class Holder:
    """Elements that only `numpy.asarray` knows of."""

    def __init__(self, a):
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return np.array(self.a, dtype)


FORMS = {
    "array": np.asarray,
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())),
    "array-like": Holder,
    "pandas": lambda a: pytest.importorskip("pandas").DataFrame(a),
    "xarray": lambda a: pytest.importorskip("xarray").DataArray(a),
}


def told(function, *args, **kwargs):
    """What a call returns, or the type of its error; and what it warns of."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            result = type(error)
    return result, sorted(str(entry.message).split(" encountered")[0].strip(".") for entry in record)


def same(name, a, given, of_numpy):
    (got, warned), (want, expected) = told(getattr(ac, name), a, **given), told(getattr(np, name), a, **of_numpy)
    if isinstance(want, type):
        assert got is want, (name, given)
        return
    if a.dtype == np.float64:  # which kernels tell of once
        warned, expected = sorted(set(warned)), sorted(set(expected))
    assert warned == expected, (name, given)
    assert type(got) is type(want), (name, given)
    assert np.asarray(got).dtype == np.asarray(want).dtype, (name, given)
    if np.asarray(want).dtype.kind in "fc":
        np.testing.assert_allclose(got, want, 1e-12, err_msg=f"{name} {given}")
    else:
        assert str(got) == str(want), (name, given)  # NaN of objects is not equal


@pytest.fixture(params=[True, False], ids=["rehearsed", "small"])
def rehearsed(request, monkeypatch):
    """Small arrays, as if they were large."""
    if request.param:
        monkeypatch.setattr(delegation, "LARGE", 1)


@pytest.mark.thread_unsafe(reason="counts warnings")
@pytest.mark.parametrize("char", "edgMO")
@pytest.mark.parametrize("form", FORMS)
def test_operands_of_any_form(form, char, rehearsed):
    """As NumPy has them of arrays; of any length, since nothing tells a small call from a rehearsal."""
    a = (np.arange(120) % 7).reshape(40, 3).astype("M8[s]" if char == "M" else char)
    kept, centre, weights = np.array([[True, False, True]]), np.array([[1, 2, 3]]), np.arange(120).reshape(40, 3) % 5
    for name in COMPUTING:
        taken = inspect.signature(getattr(ac, name)).parameters
        cases = []
        if "where" in taken:
            cases += [({}, "where", kept), ({}, "where", kept[:, :2])]
            if "initial" in taken:
                cases.append(({"initial": a[0, 0]}, "where", kept))
        if "mean" in taken:
            cases += [({"axis": 0}, "mean", centre), ({"axis": 1}, "mean", centre)]
        if "weights" in taken and char in "edO":
            cases.append(({"q": 0.3, "axis": 0, "method": "inverted_cdf"}, "weights", weights))
        for more, argument, value in cases if hasattr(np, name) else ():
            for axis in (0, 1, None) if argument == "where" else (more["axis"],):
                given = more | {"axis": axis}
                same(name, a, given | {argument: FORMS[form](value)}, given | {argument: value})


@pytest.mark.thread_unsafe(reason="counts warnings")
@pytest.mark.parametrize("char", "edgD")
def test_an_out_in_a_tuple(char, rehearsed, door):
    a = (np.arange(120) % 7).reshape(40, 3).astype(char)
    for name in COMPUTING:
        if hasattr(np, name) and {"out", "axis"} <= set(inspect.signature(getattr(ac, name)).parameters):
            more = {"q": 0.3} if "q" in inspect.signature(getattr(ac, name)).parameters else {}
            dtype = outcome(lambda name=name, more=more: getattr(np, name)(a, axis=0, **more).dtype)
            if isinstance(dtype, np.dtype):
                out, expected = np.zeros(3, dtype), np.zeros(3, dtype)
                same(name, a, {"axis": 0, "out": (out,), **more}, {"axis": 0, "out": (expected,), **more})
                np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("name", ["sum", "max", "nansum", "any"])
def test_an_out_of_another_library(name, rehearsed):
    """NumPy has it put the result there, of which no rehearsal may leave a trace."""
    pandas = pytest.importorskip("pandas")
    a = (np.arange(120) % 7).reshape(40, 3).astype("e")
    out, expected = pandas.Series(np.zeros(3)), pandas.Series(np.zeros(3))
    got, want = outcome(getattr(ac, name), a, axis=0, out=out), outcome(getattr(np, name), a, axis=0, out=expected)
    assert str(got) == str(want)
    assert out.equals(expected)


@pytest.mark.thread_unsafe(reason="counts warnings")
@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
def test_degrees_of_freedom_of_any_form(name, monkeypatch, way):
    """Numbers, arrays of none or one for each lane, lists; and what C has no integers for."""
    few = [0, 1, 2, 3, True, np.int64(2), np.float32(2), np.array(2), np.array(2.5), Fraction(2), 10**30, -5]
    few += [[1], np.array([1]), np.array([[1]]), np.array([1, 2, 3, 4]), (2, 2, 2, 2), np.ones((2, 2)), "x", None, 1j]
    monkeypatch.setattr(delegation, "LARGE", 1)
    chars = "fd" if way != "v3" else "qfdegD"  # where NumPy answers, it is the same whatever the way
    for char, dtype in (*((char, None) for char in chars), ("d", "g")):
        a = (np.arange(12) % 5).reshape(3, 4).astype(char)
        for ddof in few:
            for key in ("ddof", "correction") if name.startswith("nan") or np.ndim(ddof) == 0 else ("ddof",):
                for axis in (0, 1):
                    (got, warned), (want, expected) = (
                        told(getattr(module, name), a, axis=axis, dtype=dtype, **{key: ddof}) for module in (ac, np)
                    )
                    assert warned == expected, (char, ddof, key, axis)
                    if isinstance(want, type):
                        assert got is want or issubclass(want, got), (char, ddof, key, axis, got, want)
                    else:
                        assert np.asarray(got).dtype == np.asarray(want).dtype, (char, ddof, key, axis)
                        np.testing.assert_allclose(got, want, 1e-6 if char != "e" else 1e-2, err_msg=f"{ddof!r}")


@pytest.mark.thread_unsafe(reason="counts warnings")
def test_imaginary_parts_are_lost_once(rehearsed):
    a = np.arange(12).reshape(3, 4) + 1j
    for given in ({"dtype": "d"}, {"out": np.empty(4)}):
        for name in ("sum", "mean"):
            same(name, a, {"axis": 0, **given}, {"axis": 0, **given})


def test_numbers_that_c_does_not_have(way):
    a = np.arange(12.0).reshape(3, 4)
    for number in (-(2**63), 2**63, -(2**31) - 1, 2**31, 10**30):
        for axis in (number, (0, number)):
            for name in ("sum", "nanvar", "max", "argmax", "any", "median", "sort"):
                want = outcome(getattr(np, name), a, axis=axis)
                assert outcome(getattr(ac, name), a, axis=axis) is want, (name, axis)
        if abs(number) >= 2**63 and number != -(2**63):
            for name in ("move_std", "move_var", "move_cov"):
                with pytest.raises(OverflowError):
                    getattr(ac, name)(*(a,) * (1 + (name == "move_cov")), 2, ddof=number)


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
