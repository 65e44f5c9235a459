"""How much memory a reduction takes beyond its result: the peak over arrays of about 1 GB, in any layout (Linux).

    python benchmarks/memory.py --gigabytes 1 --functions nansum,nanvar

Every call runs in a forked child that shares the array. The kernel's own record of the largest resident set (VmHWM) is
reset just before the call, so that no peak is missed between two samples; where that is not allowed, a thread samples
RssAnon every millisecond.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # no threads in the process that forks

import numpy as np

import allcores as ac
from allcores.bench import cli
from allcores.bench.tables import names_of

LIMIT = 16.0  # MB: what the documentation promises
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Layout:
    name: str
    axis: int | None
    view: Callable[[Array], Array]  # from contiguous rows of 4096


LAYOUTS = (
    Layout("contiguous", None, lambda base: base.reshape(-1)),
    Layout("contiguous", 0, lambda base: base),
    Layout("contiguous", 1, lambda base: base),
    Layout("few columns", 0, lambda base: base.reshape(-1, 8)),
    Layout("short rows", 1, lambda base: base.reshape(-1, 64)),
    Layout("strided", None, lambda base: base.reshape(-1)[::2]),
    Layout("strided", 0, lambda base: base[:, ::2]),
    Layout("strided", 1, lambda base: base[:, ::2]),
    Layout("transposed", None, lambda base: base.T),
    Layout("transposed", 0, lambda base: base.T),
    Layout("transposed", 1, lambda base: base.T),
    Layout("three axes", 1, lambda base: base.reshape(64, -1, 4096)),
    Layout("three, swapped", 0, lambda base: base.reshape(64, -1, 4096).transpose(2, 0, 1)),
)


def status(field: str) -> int:
    """Bytes, from /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise SystemExit(f"/proc/self/status has no {field}: this needs Linux")


def return_freed_memory() -> None:
    """Let glibc give back at once what is freed: what it kept from earlier calls would hide what a call takes."""
    with contextlib.suppress(OSError, AttributeError):
        mmap_threshold, trim_threshold = -3, -1
        ctypes.CDLL(None).mallopt(mmap_threshold, 1 << 16)
        ctypes.CDLL(None).mallopt(trim_threshold, 0)


def reset_peak() -> bool:
    """Let VmHWM begin anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def sampled(peak: list[int]) -> Iterator[None]:
    """The largest RssAnon while the block runs, in `peak`."""
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.001):
            peak[0] = max(peak[0], status("RssAnon"))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def growth(function: Callable[..., Any], x: Array, axis: int | None) -> int:
    """Bytes by which a call's peak exceeds what was there before and its result."""
    warnings.simplefilter("ignore")
    return_freed_memory()
    for warm in (x[:2], x[:2].copy()):  # modules, threads and stacks are not the call's
        function(warm, axis=axis)
        ac.sum(np.ones(1 << 21))
    if reset_peak():
        before = status("VmRSS")
        result = function(x, axis=axis)
        peak = status("VmHWM")
    else:
        before = status("RssAnon")
        highest = [before]
        with sampled(highest):
            result = function(x, axis=axis)
        peak = highest[0]
    return peak - before - int(np.asarray(result).nbytes)


def in_child(function: Callable[..., Any], x: Array, axis: int | None) -> float:
    """Megabytes, measured where no earlier call has left memory to the allocator."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(writer, str(growth(function, x, axis)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError(f"{function.__name__} failed")
    return int(text) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the array in memory (default: 1)")
    parser.add_argument("--functions", type=cli.functions, default=names_of("reductions"), metavar="NAME,...")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    args = parser.parse_args()
    itemsize = np.dtype(args.dtype).itemsize
    rows = max(64, int(args.gigabytes * 1e9 / itemsize / 4096) // 64 * 64)
    base = np.random.default_rng(0).random((rows, 4096), dtype=args.dtype)
    print(f"MB beyond the result at the peak of a call, {ac.get_workers()} workers")
    print(f"the array: {base.nbytes / 1e9:.2f} GB of {args.dtype}\n")
    views = [layout.view(base) for layout in LAYOUTS]
    for layout, x in zip(LAYOUTS, views, strict=True):
        print(f"- {layout.name}: {x.shape}, axis {layout.axis}")
    print("\n| function | " + " | ".join(f"{layout.name}, {layout.axis}" for layout in LAYOUTS) + " |")
    print("|---" + "|--:" * len(LAYOUTS) + "|")
    worst = (0.0, "", "")
    for name in args.functions:
        call = getattr(ac, name)
        found = [in_child(call, x, layout.axis) for layout, x in zip(LAYOUTS, views, strict=True)]
        worst = max(worst, *((mb, name, layout.name) for layout, mb in zip(LAYOUTS, found, strict=True)))
        print(f"| {name} | " + " | ".join(f"{mb:.1f}" for mb in found) + " |", flush=True)
    print(f"\nthe largest: {worst[0]:.1f} MB, {worst[1]} of {worst[2]}; promised: at most {LIMIT:.0f}")
    return 0 if worst[0] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
