"""Every kernel on arrays that end, or begin, at a page that nobody may touch: a read beyond them is a crash.

A sweep runs in a process of its own, one a family, and notes each call before it makes it, so that a crash has a name.
`python tests/test_guard_pages.py windows` runs one without pytest.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

import allcores as ac
from allcores import _kernels, reductions, windows
from allcores._engine import execute, settings
from allcores._engine.registry import REDUCTIONS, SCANS, SELECTIONS, SORTS, WINDOWS
from allcores._families import sort_passes

DTYPES = "?bBhHiIlLfd"
# Around vectors, rows of lanes, strips and leaves.
LENGTHS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 511, 513, 4095, 4096, 4097)
FEW_LENGTHS = (1, 8, 9, 33, 65, 513, 4097)
# Longer than what is sorted, searched or scanned whole.
LONG = (65_537, 140_001)
# (rows, columns), reduced along either axis: tiles, strips of 64 columns, groups of lines, leaves of 32 rows.
SHAPES = (
    (1, 9),
    (7, 3),
    (9, 1),
    (8, 16),
    (33, 17),
    (31, 65),
    (65, 33),
    (5, 129),
    (300, 3),
    (3, 513),
    (2, 4097),
    (4097, 2),
)
FEW_SHAPES = ((9, 1), (33, 17), (31, 65), (3, 513), (4097, 2))


class Guarded:
    """Room for one array between two forbidden pages."""

    def __init__(self, size: int = 1 << 21) -> None:
        page = mmap.PAGESIZE
        self.map = mmap.mmap(-1, size + 2 * page)
        self.begin = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + page
        self.end = self.begin + size
        libc = ctypes.CDLL(None, use_errno=True)
        for address in (self.begin - page, self.end):
            if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(page), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, a: np.ndarray, side: str) -> np.ndarray:
        """A copy of `a` that ends, or begins, where the room does; in C order, or in that of Fortran if `a` is."""
        order = "F" if a.flags.f_contiguous and not a.flags.c_contiguous else "C"
        offset = mmap.PAGESIZE + (self.end - self.begin - a.nbytes if side == "end" else 0)
        copy = np.frombuffer(self.map, a.dtype, a.size, offset).reshape(a.shape, order=order)
        copy[...] = a
        return copy


class Sweep:
    """Calls, each noted in a file before it is made."""

    def __init__(self, note: str) -> None:
        self.rooms = [Guarded() for _ in range(4)]
        self.note = os.open(note, os.O_RDWR | os.O_CREAT)
        self.mode = self.side = ""
        self.calls = 0

    def put(self, a: np.ndarray, room: int = 0) -> np.ndarray:
        return self.rooms[room].put(a, self.side)

    def call(self, function: Callable, *args, **kwargs):
        arrays = [(a.dtype.char, a.shape, a.strides) for a in (*args, *kwargs.values()) if isinstance(a, np.ndarray)]
        rest = [a for a in args if not isinstance(a, np.ndarray)]
        names = {key: "array" if isinstance(value, np.ndarray) else value for key, value in kwargs.items()}
        text = f"{function.__name__} {arrays} {rest} {names} {self.side} {self.mode}"
        os.pwrite(self.note, text.encode().ljust(600)[:600], 0)
        self.calls += 1
        try:
            return function(*args, **kwargs)
        except (ValueError, TypeError):  # no such function of this dtype, or of nothing but NaN
            return None


def data(shape, char: str, *, missing: bool) -> np.ndarray:
    rng = np.random.default_rng(7)
    dtype = np.dtype(char)
    if dtype.kind != "f":
        return rng.integers(0, 2 if char == "?" else 100, size=shape).astype(dtype)
    a = rng.normal(size=shape).astype(dtype)
    if missing:
        a.flat[:: 3 if a.size > 3 else 4] = np.nan
        a.flat[-1] = np.nan
    return a


def arrays(lengths, shapes, dtypes: str = DTYPES) -> Iterator[tuple[np.ndarray, int]]:
    """Arrays, and an axis of each: lines, both axes, columns in the other order."""
    for char in dtypes:
        for missing in (False, True) if char in "fd" else (False,):
            for n in lengths:
                yield data(n, char, missing=missing), 0
            for shape in shapes:
                a = data(shape, char, missing=missing)
                yield a, 0
                yield a, 1
            yield np.asfortranarray(data((33, 17), char, missing=missing)), 1


def strided(sweep: Sweep, a: np.ndarray) -> Iterator[np.ndarray]:
    """Every second element, the last (or first) of them at the border, and backwards."""
    wide = sweep.put(np.repeat(a, 2, axis=-1))
    yield wide[..., 1::2] if sweep.side == "end" else wide[..., ::2]
    yield sweep.put(a)[..., ::-1]


# ---- families


def sweep_reductions(sweep: Sweep, few: bool) -> None:
    functions = [getattr(ac, name) for name in reductions.__all__]
    lengths, shapes = (FEW_LENGTHS, FEW_SHAPES) if few else (LENGTHS, SHAPES)
    for a, axis in arrays(lengths, shapes):
        x = sweep.put(a)
        for function in functions:
            result = sweep.call(function, x, axis)
            if a.size in (9, 561, 4097) and result is not None:
                if function.__name__ not in ("ss", "anynan", "allnan", "count_nonzero", "nancount"):
                    sweep.call(function, x, axis, out=sweep.put(np.asarray(result), 1))
                for view in strided(sweep, a):
                    sweep.call(function, view, axis)
                x = sweep.put(a)
        if a.ndim == 2:
            # Whole, and with a mask that ends there, too.
            mask = sweep.put(np.arange(a.size).reshape(a.shape) % 3 != 1, 2)
            for function in functions:
                sweep.call(function, x, None)
                if function.__name__ in ("sum", "nansum", "prod", "mean", "nanmean", "var", "nanvar", "any", "all"):
                    sweep.call(function, x, axis, where=mask)
                elif function.__name__ in ("min", "max", "nanmin", "nanmax"):
                    sweep.call(function, x, axis, where=mask, initial=0)


def sweep_windows(sweep: Sweep, few: bool) -> None:
    dtypes = "d" if few else "bHifd"
    for a, axis in arrays(FEW_LENGTHS if few else LENGTHS, FEW_SHAPES if few else SHAPES, dtypes):
        n = a.shape[axis]
        x, y = sweep.put(a), sweep.put(a[::-1].copy(), 1)
        result = sweep.put(np.empty(a.shape, np.float32 if a.dtype.char == "f" else np.float64), 2)
        costly = a.size > 4000
        for window in {w for w in ((2, 40, 301) if costly else (1, 3, 5, 32, 40, 64, 65, 301, n)) if w <= n}:
            for name in windows.__all__:
                function = getattr(ac, name)
                inputs = (x, y) if WINDOWS[name].inputs == 2 else (x,)
                q = {"q": 0.3} if name == "move_quantile" else {}
                center = {"center": True} if window == 5 else {}
                sweep.call(function, *inputs, window, **q, min_count=1, axis=axis, out=result, **center)
    for view in strided(sweep, data(65, "d", missing=True)):
        for name in windows.__all__:
            if WINDOWS[name].inputs == 1 and name != "move_quantile":
                sweep.call(getattr(ac, name), view, 5, min_count=1)


def sweep_scans(sweep: Sweep, few: bool) -> None:
    lengths, shapes = (FEW_LENGTHS, FEW_SHAPES) if few else ((*LENGTHS, LONG[0]), (*SHAPES, (3, 300), (2, 1025)))
    for a, axis in arrays(lengths, shapes):
        x, y = sweep.put(a), sweep.put(a[::-1].copy(), 1)
        result = sweep.put(np.empty(a.shape, np.float32 if a.dtype.char == "f" else np.float64), 2)
        alpha = sweep.put(np.linspace(0.1, 0.5, a.shape[axis]), 3)
        same = sweep.put(a, 2) if a.dtype.kind == "f" else None
        for function in (ac.push, ac.ffill, ac.bfill):
            sweep.call(function, x, axis=axis)
            sweep.call(function, x, 2, axis=axis, out=same)
        sweep.call(ac.replace, x, np.nan if a.dtype.kind == "f" else 1, 1)
        x = sweep.put(a)
        result = sweep.put(np.empty(a.shape, result.dtype), 2)
        for name in (name for name in SCANS if name.startswith("move_exp")):
            inputs = (x, y) if SCANS[name].inputs == 2 else (x,)
            sweep.call(getattr(ac, name), *inputs, 0.2, axis=axis, out=result)
            sweep.call(getattr(ac, name), *inputs, alpha, 0.1, axis=axis, out=result)


def sweep_order(sweep: Sweep, few: bool) -> None:
    lengths, shapes = (FEW_LENGTHS, FEW_SHAPES) if few else ((*LENGTHS, 80, 81), SHAPES)
    short = arrays(lengths, shapes)
    long = ((data(n, char, missing=False), 0) for char in ("d" if few else "?bIfd") for n in LONG)
    for a, axis in itertools.chain(short, long):
        x, n = sweep.put(a), a.shape[axis]
        sweep.call(ac.median, x, axis)
        sweep.call(ac.nanmedian, x, axis)
        sweep.call(ac.nanquantile, x, [0.1, 0.5, 1.0], axis)
        result = np.asarray(np.quantile(data(a.shape, "d", missing=False), 0.3, axis))
        sweep.call(ac.quantile, x, 0.3, axis, out=sweep.put(result, 1))
        for kth in {0, n // 2, n - 1}:
            sweep.call(ac.partition, x, kth, axis)
            sweep.call(ac.argpartition, x, kth, axis)
        for k in {1, min(5, n), n // 2}:
            sweep.call(ac.topk, x, k, axis)
            sweep.call(ac.topk, x, k, axis, largest=False, sorted=False)
        if n == 33:
            for view in strided(sweep, a):
                sweep.call(ac.median, view, axis)
                sweep.call(ac.partition, view, 5, axis)
                sweep.call(ac.topk, view, 5, axis)


def sweep_sorting(sweep: Sweep, few: bool) -> None:
    lengths, shapes = (FEW_LENGTHS, FEW_SHAPES) if few else ((*LENGTHS, 383, 385, 769), SHAPES)
    short = arrays(lengths, shapes)
    long = ((data(n, char, missing=False), 0) for char in ("bdf" if few else "?bIlfd") for n in LONG)
    for a, axis in itertools.chain(short, long):
        x = sweep.put(a)
        sweep.call(ac.sort, x, axis, out=sweep.put(a, 1))
        sweep.call(ac.argsort, x, axis)
        sweep.call(ac.rankdata, x, axis)
        sweep.call(ac.nanrankdata, x, axis, method="dense")
        with by_numpy():
            sweep.call(ac.sort, x, axis, out=sweep.put(a, 1))
        if a.ndim == 1:
            sweep.call(ac.unique, x)
            sweep.call(ac.unique, x, return_index=True, return_inverse=True, return_counts=True)
            sweep.call(ac.lexsort, (x, sweep.put(a[::-1].copy(), 1)))
            sweep.call(ac.sort, sweep.put(np.sort(a)), 0)
            sweep.call(ac.sort, sweep.put(np.sort(a)[::-1].copy()), 0)
            x = sweep.put(a)
            # Positions of elements, among elements, by way of an order: three arrays at a border.
            order = sweep.put(np.argsort(a), 1)
            values = sweep.put(a[:4097][::-1].copy(), 2)
            sweep.call(ac.searchsorted, x, values, sorter=order)
            sweep.call(ac.searchsorted, sweep.put(np.sort(a)), values, side="right")
        elif a.shape == (33, 17):
            for view in strided(sweep, a):
                sweep.call(ac.sort, view, axis)
                sweep.call(ac.argsort, view, axis)


FAMILIES = {
    "reductions": (sweep_reductions, REDUCTIONS),
    "windows": (sweep_windows, WINDOWS),
    "scans": (sweep_scans, SCANS),
    "order": (sweep_order, SELECTIONS),
    "sorting": (sweep_sorting, SORTS),
}


@contextmanager
def by_numpy() -> Iterator[None]:
    """What NumPy sorts, at all levels, those too at which it is none the faster."""
    before = sort_passes.CLASSED, sort_passes.BY_NUMPY
    sort_passes.CLASSED = _kernels.available()
    sort_passes.BY_NUMPY = dict.fromkeys(sort_passes.CLASSED, sort_passes.BY_NUMPY["v4"])
    try:
        yield
    finally:
        sort_passes.CLASSED, sort_passes.BY_NUMPY = before


@contextmanager
def small_chunks() -> Iterator[None]:
    """Of some 64 elements, and a team for any number of them."""
    before = execute.chunk_size, execute.output_chunk
    execute.threshold, execute.chunk_size, execute.output_chunk = 0, 64, 256
    try:
        yield
    finally:
        execute.threshold, (execute.chunk_size, execute.output_chunk) = None, before


def main(family: str, note: str, how: str = "whole") -> None:
    """All calls of a family: as users make them; without the door; in small chunks on a team; at the other levels.

    "brief" makes few of the first kind, "team" those on a team only: for sanitizers.
    """
    warnings.simplefilter("ignore")
    function, rows = FAMILIES[family]
    sweep, seen, run = Sweep(note), set(), execute.run

    def watched(kernel, *args):
        seen.add(kernel)
        return run(kernel, *args)

    execute.run = watched
    others = [name for name in _kernels.available() if name not in ("fallback", _kernels.DEFAULT)]
    with np.errstate(all="ignore"):
        for sweep.side in ("end",) if how == "team" else ("end", "begin"):
            if how != "team":
                sweep.mode = "as called"
                function(sweep, how == "brief")
            settings.doors = False
            if how == "whole":
                sweep.mode = "without the door"
                function(sweep, True)
            if how == "team" or sweep.side == "end":
                sweep.mode = "on a team"
                with small_chunks(), settings.set_workers(2):
                    function(sweep, True)
            if how == "whole":
                for sweep.mode in others:
                    with settings.use_backend(sweep.mode):
                        function(sweep, True)
            settings.doors = 1
    missed = set(rows) - seen
    assert not missed, f"no call came to {missed}"
    print(f"{family}: {sweep.calls} calls")


if __name__ == "__main__":
    main(sys.argv[1], *(sys.argv[2:] or [tempfile.mkstemp()[1]]))
else:
    import pytest
    from helpers import everyday, home_of

    pytestmark = pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="needs mprotect")

    def run(*args: str, level: str = _kernels.DEFAULT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-X", "faulthandler", *args],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "ALLCORES_BACKEND": level},
            check=False,
        )

    @pytest.mark.parametrize("how", everyday(("brief", "whole"), ("brief",)))
    @pytest.mark.parametrize("family", FAMILIES)
    def test_nothing_beyond_an_array_is_touched(family, how, tmp_path):
        # What NumPy sorts at the highest level does not come to all of our kernels.
        level = home_of("sort", _kernels.DEFAULT) if how == "brief" else _kernels.DEFAULT
        done = run(__file__, family, str(tmp_path / "note"), how, level=level)
        call = (tmp_path / "note").read_text().strip() if (tmp_path / "note").exists() else "none"
        assert done.returncode == 0, f"exit {done.returncode}, last call: {call}\n{done.stderr[-3000:]}"

    @pytest.mark.parametrize("side", ["end", "begin"])
    def test_a_read_beyond_is_a_crash(side):
        code = f"""if True:
            import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})
            import ctypes, numpy as np, test_guard_pages as guard
            a = guard.Guarded().put(np.arange(33), {side!r})
            at = a.ctypes.data
            print(ctypes.string_at(at, a.nbytes) == a.tobytes(), flush=True)
            ctypes.string_at(at + a.nbytes if {side!r} == "end" else at - 1, 1)"""
        done = run("-c", code)
        assert done.stdout == "True\n"
        assert done.returncode < 0, done.stderr
        assert "egmentation fault" in done.stderr or "Bus error" in done.stderr
