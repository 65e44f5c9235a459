"""What the suites share: functions and their oracles, data, layouts, and comparisons."""

from __future__ import annotations

import contextlib
import gc
import inspect
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest

import allcores as ac
from allcores import _kernels
from allcores._engine import doors, execute, registry, settings
from allcores._engine.registry import REDUCTIONS
from allcores._engine.threads import Threads


def of(*modules: str) -> tuple[str, ...]:
    """The public functions of some modules."""
    return tuple(name for name, row in registry.FUNCTIONS.items() if row.module in modules)


# Every function that computes on arrays, and those of each family.
COMPUTING = tuple(registry.FUNCTIONS)
FUNCTIONS = of("reductions")
MOVES = of("windows")
SCANNED = of("scans")
SELECTED = of("quantiles", "selection")
SORTED = of("sorting")
BACKENDS = _kernels.available()
ALL_BACKENDS = ("fallback", *_kernels.built())
COMPILED = tuple(name for name in BACKENDS if name != "fallback")
MISSING = tuple(name for name in ALL_BACKENDS if name not in BACKENDS)

INTEGERS = "bhilqBHILQ"
FLOATS = "fd"
DTYPES = "?" + INTEGERS + FLOATS

# Functions whose results are equal, not merely close.
EXACT = {
    *("min", "max", "nanmin", "nanmax", "ptp", "argmin", "argmax", "nanargmin", "nanargmax"),
    *("any", "all", "anynan", "allnan", "count_nonzero", "nancount"),
}
POSITIONS = tuple(name for name in FUNCTIONS if registry.FUNCTIONS[name].positions)


def takes(name: str, argument: str) -> bool:
    return argument in inspect.signature(getattr(ac, name)).parameters


def plain_call(name: str, a, b=None, *, namespace=ac, **more):
    """The call of any of these functions on `a`, and on `b` where it takes two, with whatever it needs."""
    row = registry.FUNCTIONS[name]
    names = {"x": a, "y": a if b is None else b}
    if "sorted_x" in row.inputs:
        names["sorted_x"] = np.sort(a, axis=None)
    inputs = eval(f"({row.inputs},)", names)
    return getattr(namespace, name)(*inputs, **{**dict(row.needs), **more})


def home_of(kernel: str, level: str) -> str:
    """The backend from which a level has a kernel: itself, or a lower level."""
    return getattr(_kernels.load(level), kernel).__module__.split(".")[2]


def open_doors(monkeypatch, level: str) -> None:
    """Doors for small arrays lead to the kernels of this level; `settings.doors` opens them."""
    kernels = vars(_kernels.load(level))
    for name in COMPUTING:
        monkeypatch.setattr(doors, name, kernels.get(f"small_{name}", doors.closed), raising=False)


def everyday(values: Iterable[Any], few: Iterable[Any]) -> list[Any]:
    """Values of a parameter: tests of the few are for every day, those of the others for the extended run."""
    kept = {repr(value) for value in few}  # some are arrays, of which none is in a set
    assert kept, "what is never tested every day has the mark itself"
    return [value if repr(value) in kept else pytest.param(value, marks=pytest.mark.extended) for value in values]


def cells(name: str) -> str:
    """The dtypes for which the row of this name, or of the function's kernel, is compiled."""
    return REDUCTIONS[name].cells if name in REDUCTIONS else DTYPES


# ---- oracles


def oracle(name: str):
    """NumPy's function, or the NumPy expression where NumPy has none."""
    return getattr(np, name) if "numpy" in registry.FUNCTIONS[name].elsewhere else EXPRESSIONS[name]


def _nan(a):
    a = np.asarray(a)
    return np.isnan(a) if a.dtype.kind in "fc" else np.zeros(a.shape, dtype=bool)


def _ss(a, axis=None):
    a = np.asarray(a)
    if a.dtype.kind in "biu":
        a = a.astype(np.sum(a[:0].ravel()).dtype if a.ndim else np.sum(a).dtype)
    return np.sum(a * a, axis=axis)


EXPRESSIONS = {
    "ss": _ss,
    "anynan": lambda a, axis=None: np.any(_nan(a), axis=axis),
    "allnan": lambda a, axis=None: np.all(_nan(a), axis=axis),
    "nancount": lambda a, axis=None, keepdims=False: np.sum(~_nan(a), axis=axis, keepdims=keepdims, dtype=np.intp),
}


# Threads run each test side by side (pytest-run-parallel, see conftest.py): nobody warns then.
side_by_side = False


def silence():
    """No warnings in a block. Before Python 3.14 that holds for all threads, and goes wrong in several."""
    return contextlib.nullcontext() if side_by_side else _quiet()


@contextlib.contextmanager
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_a_mistake(error: Exception, function, args, kwargs) -> bool:
    """Whether an exception is of a test that is written wrong, or of code that is: nobody's answer to a good call."""
    if isinstance(error, (NameError, ImportError, AssertionError, SyntaxError)):
        return True
    if not isinstance(error, TypeError):
        return False
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # it says nothing of its arguments
        return False
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return True
    return False


def outcome(function, *args, **kwargs):
    """What a call returns, or the class of what it raises, unless that is a mistake: both sides would agree on it.

    Warnings are another test's matter.
    """
    with silence(), np.errstate(all="ignore"):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if is_a_mistake(error, function, args, kwargs):
                raise
            return type(error)


# Whether there is one: free-threaded CPython does without.
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def collect() -> None:
    """Collect garbage; without a GIL also what other threads have made and nobody has any more."""
    for _ in range(1 if GIL else 3):
        gc.collect()


# ---- comparisons


def exactly(name: str, want) -> bool:
    return name in EXACT or want.dtype.kind in "biu"


def scale(name: str, a, axis, keepdims: bool, where=True):
    """By what the error of a result is measured."""
    v = np.abs(np.where(np.isfinite(a), a, 0).astype(np.float64)) if a.dtype.kind == "f" else np.abs(a.astype(float))
    options = {"axis": axis, "keepdims": bool(keepdims)}
    if name in ("sum", "nansum"):
        return np.sum(v, where=where, **options)
    if name in ("mean", "nanmean"):
        return np.max(v, where=where, initial=0, **options)
    if name in ("var", "nanvar"):
        return np.max(v, where=where, initial=0, **options) ** 2
    if name in ("std", "nanstd"):
        return np.max(v, where=where, initial=0, **options)
    return 0.0


def expected(name: str, a, **kwargs):
    """NumPy's answer. For float32 computed in float64 and rounded: NumPy's own float32 sums are the less accurate."""
    want = outcome(oracle(name), a, **kwargs)
    if isinstance(want, type) or a.dtype != np.float32 or name in EXACT:
        return want
    with np.errstate(all="ignore"):
        wide = outcome(oracle(name), a.astype(np.float64), **kwargs)
        return wide.astype(want.dtype) if isinstance(want, np.ndarray) else want.dtype.type(wide)


def agree(name: str, got, want, a, *, axis=None, keepdims=False, where=True, message: object = "") -> None:
    """The same class of error; or the same type, dtype, shape, NaN, infinities, and values up to rounding."""
    if isinstance(want, type) or isinstance(got, type):
        assert got is want, f"{name} {message}: {got} instead of {want}"
        return
    assert type(got) is type(want), f"{name} {message}: {type(got)} instead of {type(want)}"
    if not isinstance(want, (np.ndarray, np.generic)):
        assert got == want, f"{name} {message}"
        return
    assert got.dtype == want.dtype, f"{name} {message}: {got.dtype} instead of {want.dtype}"
    assert got.shape == want.shape, f"{name} {message}: {got.shape} instead of {want.shape}"
    if exactly(name, want):
        np.testing.assert_array_equal(got, want, err_msg=f"{name} {message}")
        return
    rtol = 1e-6 if want.dtype == np.float32 else 1e-12
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(finite, 0, got), np.where(finite, 0, want), err_msg=f"{name} {message}")
    with np.errstate(all="ignore"):
        bound = rtol * (np.abs(want) + scale(name, a, axis, keepdims, where))
        error = np.abs(np.subtract(got, want, dtype=np.float64))
    bad = finite & ~(error <= bound)
    assert not bad.any(), f"{name} {message}: {got} instead of {want}, error {error}, bound {bound}"


def check(name: str, a, *, message: object = "", **kwargs) -> None:
    """Our function against the oracle."""
    got = outcome(getattr(ac, name), a, **kwargs)
    want = expected(name, a, **kwargs)
    known = {key: kwargs[key] for key in ("axis", "keepdims", "where") if key in kwargs}
    agree(name, got, want, a, **known, message=(a.dtype.char, a.shape, a.strides, kwargs, message))


def bits(result) -> bytes:
    """The bits of a result, but for the sign and payload of NaN, and with its type."""
    if isinstance(result, type):
        return result.__name__.encode()
    array = np.array(result)
    if array.dtype.kind == "f":
        array[np.isnan(array)] = np.nan
    return repr((type(result), array.dtype.str, array.shape)).encode() + array.tobytes()


# ---- data

PATTERNS = ("plain", "some", "slice", "all", "inf", "-inf", "both", "zeros")


def sample(shape, char: str, seed: int = 0):
    """Elements over the whole range of an integer type; of floats, around zero, NaN and infinities left out."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(char)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True).astype(
            dtype
        )  # "q", not its equal "l"
        values[rng.random(shape) < 0.1] = 0
        return values
    return rng.normal(size=shape).astype(dtype)


def near_one(a):
    """The same, for products: neither over- nor underflow."""
    return a if a.dtype.kind != "f" else np.exp(a.astype(np.float64) / 16).astype(a.dtype) * np.sign(a)


def salted(a, pattern: str, seed: int = 1):
    """`a` with NaN and infinities."""
    rng = np.random.default_rng(seed)
    a = a.copy()
    flat = a.reshape(-1)
    if pattern == "some":
        flat[rng.random(a.size) < 0.1] = np.nan
    elif pattern == "slice":
        a[(slice(None),) * (a.ndim - 1) + (0,)] = np.nan
        a[0] = np.nan
    elif pattern == "all":
        a[...] = np.nan
    elif pattern == "inf":
        flat[a.size // 2] = np.inf
        flat[-1] = np.nan
    elif pattern == "-inf":
        flat[a.size // 3] = -np.inf
    elif pattern == "both":
        flat[rng.integers(a.size)] = np.inf
        flat[rng.integers(a.size)] = -np.inf
    elif pattern == "zeros":
        flat[rng.random(a.size) < 0.3] = 0.0
        flat[rng.random(a.size) < 0.6] = -0.0
    return a


# ---- layouts


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, dtype=np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def readonly(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def strided(a, axis: int):
    """Every second element of a longer array."""
    wide = np.repeat(a, 2, axis=axis)
    return wide[(slice(None),) * axis + (slice(None, None, 2),)]


def part(a):
    """The first columns of wider rows: axes that don't coalesce."""
    return np.concatenate([a, a[..., :3]], axis=-1)[..., : a.shape[-1]]


def stretched(a):
    """Stride 0 along the second axis."""
    return np.broadcast_to(a[:, :1], a.shape)


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided 0": lambda a: strided(a, 0),
    "strided 1": lambda a: strided(a, 1),
    "strided 2": lambda a: strided(a, 2),
    "reversed 0": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "reversed 1": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "reversed 2": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "reversed all": lambda a: np.ascontiguousarray(a[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
    "transposed 021": lambda a: np.ascontiguousarray(a.transpose(0, 2, 1)).transpose(0, 2, 1),
    "transposed 102": lambda a: np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2),
    "transposed 120": lambda a: np.ascontiguousarray(a.transpose(1, 2, 0)).transpose(2, 0, 1),
    "transposed 201": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "unaligned": unaligned,
    "read-only": readonly,
    "broadcast": stretched,
    "part of rows": part,
    "part of all": lambda a: np.pad(a, 1)[1:-1, 1:-1, 1:-1],
    "length one": lambda a: a[:, :1],
    "length one, last": lambda a: a[..., :1],
}


def axes_of(ndim: int) -> list:
    """None, every axis from both ends, and every tuple of axes."""
    tuples = chain.from_iterable(combinations(range(ndim), k) for k in range(1, ndim + 1))
    return [None, *range(ndim), *range(-ndim, 0), *tuples]


# ---- sources


class CountingSource(ac.Source):
    """A source of ones that knows how many of its parts were read at a time, at most."""

    def __init__(self, length: int, chunk: int) -> None:
        self.name, self.shape, self.dtype, self.chunks = "counting", (length,), np.dtype(float), (chunk,)
        self.now = self.most = 0
        self.lock = threading.Lock()

    def read(self, region):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.002)
        with self.lock:
            self.now -= 1
        return np.ones(region[0].stop - region[0].start)


# ---- other processes


def on_thread(threads: Threads, function: Callable[..., Any], *args: Any, most: int = 1) -> Future[Any]:
    """Have one of the package's own threads call a function."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    threads.call([call], most)
    return future


def python(code: str, *, timeout: float = 60, env: dict[str, str] | None = None, **options):
    """Run a script in a fresh interpreter; return the finished process."""
    import os

    environment = {key: value for key, value in os.environ.items() if not key.startswith("ALLCORES_")}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**environment, **(env or {})},
        check=False,
        **options,
    )


def last_chunks_first(kernel, operands, parameters, grid, outputs, workers, ns):
    """In the place of `execute.run`: the second half of the chunks, then the first."""
    status = 0
    for begin, end in ((grid.chunks // 2, grid.chunks), (0, grid.chunks // 2)):
        cursor = execute.cursor_of(grid, begin, end)
        status |= execute.compute(settings.backend(), kernel, operands, parameters, cursor, outputs)
    return status
