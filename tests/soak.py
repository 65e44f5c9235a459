"""A long run that has to leave a process as it was: memory, descriptors, threads, child processes, shared memory.

    python tests/soak.py            20,000 calls, 300 pools, 200,000 tiny tasks
    python tests/soak.py 0.1        a tenth of it

Prints what there was before and after each part; exits with 1 where something has grown.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from helpers import collect

import allcores as ac
from allcores.futures import ProcessPoolExecutor

MEGABYTES = 24  # that may stay beyond what there was: arenas of malloc, caches of the interpreter


def state() -> dict[str, int]:
    """What a part may not leave more of."""
    collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "MB": (int(status["RssAnon"].split()[0]) + int(status["RssShmem"].split()[0])) >> 10,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
        "children": len(children),
        "names in /dev/shm": len(os.listdir("/dev/shm")),
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
    }


def settled(before: dict[str, int]) -> dict[str, int]:
    """The state once what ends in the background has ended."""
    for _ in range(200):
        after = state()
        if not grown(before, after):
            break
        time.sleep(0.1)
    return after


def grown(before: dict[str, int], after: dict[str, int]) -> list[str]:
    room = {"MB": MEGABYTES, "mappings": 60}  # arenas come and go
    # A thread is started when one more is wanted than there are, which may happen late: that many a process has.
    threads = 1 + 2 * max(2, ac.get_workers())
    least = before | {"threads": max(before["threads"], threads)}
    return [name for name in before if after[name] > least[name] + room.get(name, 0)]


def calls(count: int) -> None:
    """Functions of all families, small arrays and large ones, in turn; some in the background, some that raise."""
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(20, 30)), rng.normal(size=(400, 1500))
    small[3], large[::7] = np.nan, np.nan
    functions: list[Callable[[np.ndarray], object]] = [
        ac.nansum,
        ac.nanvar,
        ac.nanargmax,
        ac.nanmedian,
        lambda x: ac.sort(x, axis=0),
        lambda x: ac.argpartition(x, 3),
        ac.unique,
        lambda x: ac.move_std(x, 7, min_count=1),
        lambda x: ac.move_median(x, 7),
        lambda x: ac.move_exp_nanmean(x, 0.3),
        ac.push,
        lambda x: ac.map_blocks(np.negative, x, block_size=1000),
        lambda x: ac.submit(ac.nanmean, x, axis=0).result(),
        lambda x: ac.submit(ac.nanmean, x, axis=0).cancel(),
    ]
    with np.errstate(all="ignore"):
        for number in range(count):
            function = functions[number % len(functions)]
            function(large if number % 50 == 0 else small)
            if number % 10 == 0:
                try:
                    ac.nansum(small, axis=7)
                except ValueError:
                    continue
                raise AssertionError("an axis out of bounds")


def pools(count: int) -> None:
    """Pools that are made, used and closed; every tenth is dropped, every tenth loses a worker."""
    x = np.ones(50_000)
    for number in range(count):
        pool = ProcessPoolExecutor(2)
        try:
            assert pool.submit(np.sum, x).result() == x.size
            assert pool.submit(np.negative, x).result()[0] == -1
            if number % 10 == 1:
                with contextlib.suppress(RuntimeError):
                    pool.submit(os._exit, 1).result()
            shared = ac.share(x)
            if number % 10 != 1:
                assert pool.submit(np.sum, shared).result() == x.size
        finally:
            if number % 10:
                pool.shutdown()
            del pool


def tasks(count: int) -> None:
    """Tiny tasks of one pool."""
    with ProcessPoolExecutor(2) as pool:
        for begin in range(0, count, 5000):
            numbers = range(begin, min(begin + 5000, count))
            assert sum(pool.map(abs, numbers)) == sum(numbers)


def soak(scale: float) -> list[str]:
    wrong = []
    parts: list[tuple[Callable[[int], None], int]] = [(calls, 20_000), (pools, 300), (tasks, 200_000)]
    for part, count in parts:
        number = max(20, int(count * scale))
        part(max(20, number // 10))  # what is made once a process
        before, begin = state(), time.perf_counter()
        part(number)
        after = settled(before)
        print(f"{part.__name__} {number:,} in {time.perf_counter() - begin:.0f} s: {before} -> {after}", flush=True)
        wrong += [f"{part.__name__}: {name}" for name in grown(before, after)]
    return wrong


if __name__ == "__main__":
    found = soak(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    print("; ".join(found) + " grown" if found else "as it was")
    sys.exit(bool(found))
