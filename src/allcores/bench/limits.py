"""What the machine allows in this run: how fast it reads memory, and what a second core adds.

The read is the plain C loop of ext/bandwidth.pyx, by the caller and `workers` - 1 threads that claim chunks of 1 MiB,
as the kernels do. There are two: one hardware stream, and with software prefetch 16 KiB ahead (on one machine 28 and
45-50 GB/s). The faster of the two is the limit. Where nothing is compiled, np.sum takes their place.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np

from .cases import Array
from .machine import largest_cache
from .timing import Contender, interleave, ratio

CHUNK = 1 << 17  # words: WORDS of ext/bandwidth.pyx
NUMPY = "np.sum"


@cache
def compiled() -> Any:
    """The module with the C loop, or None."""
    try:
        return import_module("allcores._kernels.bandwidth")
    except ImportError:
        return None


def loops() -> tuple[str, ...]:
    return (NUMPY,) if compiled() is None else ("plain C loop", "C loop with prefetch")


@cache
def pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="allcores-bench")


def as_words(base: Array) -> Array:
    """The memory of a contiguous array as 64-bit words; bytes past the last whole word are left out."""
    octets = base.reshape(-1).view(np.uint8)
    return octets[: octets.size // 8 * 8].view(np.uint64)


@dataclass(frozen=True)
class Reader:
    """Reads words with one of the loops and a number of threads, and returns their sum modulo 2**64."""

    loop: str
    workers: int

    def __call__(self, words: Array, times: int = 1) -> int:
        if self.loop == NUMPY:
            # np.sum can't claim chunks: everybody gets a share.
            first, *others = (Share(part, times) for part in np.array_split(words, self.workers))
            helpers = [pool(self.workers).submit(share) for share in others]
            total = first()
        else:
            cursor = np.zeros(8, dtype=np.int64)
            cursor[1] = max(1, -(-words.size // CHUNK)) * times
            read, ahead = compiled().read, self.loop == loops()[-1]
            helpers = [pool(self.workers).submit(read, words, cursor, ahead) for _ in range(self.workers - 1)]
            total = read(words, cursor, ahead)
        # As in a team: who has not started when all is read is not waited for.
        if self.loop != NUMPY:
            helpers = [helper for helper in helpers if not helper.cancel()]
        return (total + sum(helper.result() for helper in helpers)) % 2**64


@dataclass(frozen=True)
class Share:
    """What one thread reads by np.sum."""

    words: Array
    times: int

    def __call__(self) -> int:
        return sum(int(np.sum(self.words)) for _ in range(self.times))


@dataclass(frozen=True)
class Limits:
    """GB/s of every loop and number of workers, the best of them, and the speed-up by all cores in cache."""

    nbytes: int
    bandwidth: dict[str, dict[int, float]]
    reader: Reader
    speed_up: float

    @property
    def best(self) -> float:
        return self.bandwidth[self.reader.loop][self.reader.workers]

    def as_json(self) -> dict[str, Any]:
        return {
            "bytes": self.nbytes,
            "GB/s": {
                loop: {str(workers): speed for workers, speed in speeds.items()}
                for loop, speeds in self.bandwidth.items()
            },
            "limit": {"loop": self.reader.loop, "workers": self.reader.workers, "GB/s": self.best},
            "speed_up_in_cache": self.speed_up,
        }


def measure(workers: int, rounds: int, nbytes: int | None = None, times: int = 2000) -> Limits:
    """Read an array four times as large as the largest cache (or of `nbytes`), and 256 KiB over and over."""
    size = max(4 * largest_cache(), 1 << 26) if nbytes is None else nbytes
    words = np.random.default_rng(0).integers(0, 2**64, size // 8, dtype=np.uint64)
    readers = [Reader(loop, count) for loop in loops() for count in sorted({1, workers})]
    for reader in readers:
        check(reader, words)
    samples = interleave([contender(str(i), reader, words) for i, reader in enumerate(readers)], rounds)
    bandwidth: dict[str, dict[int, float]] = {loop: {} for loop in loops()}
    for i, reader in enumerate(readers):
        bandwidth[reader.loop][reader.workers] = words.nbytes / median(samples[str(i)]) / 1e9
    best = max(readers, key=lambda reader: bandwidth[reader.loop][reader.workers])
    return Limits(words.nbytes, bandwidth, best, scaling(workers, rounds, words[: 1 << 15].copy(), times))


def check(reader: Reader, words: Array) -> None:
    """A loop that does not read everything must not be called a limit."""
    found, expected = reader(words), int(np.sum(words))
    if found != expected:
        raise RuntimeError(f"{reader} gives {found}, np.sum {expected}")


def contender(name: str, reader: Reader, words: Array) -> Contender:
    return Contender(name, "read(words)", {"read": reader, "words": words})


def scaling(workers: int, rounds: int, words: Array, times: int) -> float:
    """How many times as fast all cores work as one where memory plays no part: what of a machine one really has."""
    one, every = (
        Contender(name, "read(words, times)", {"read": Reader(loops()[0], count), "words": words, "times": times})
        for name, count in (("one", 1), ("all", workers))
    )
    samples = interleave([one, every], rounds)
    return ratio(samples["one"], samples["all"])
