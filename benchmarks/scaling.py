"""What more workers would bring: measured chunk times replayed on 1 to 64 simulated workers.

    python benchmarks/scaling.py --functions nansum,nanvar --elements 7300000 --bandwidth 200

Measured on one core of this machine: the time of every chunk of a 1-D reduction, what the call does before and after
its chunks, one submit, and the dispatch latency. Simulated: the caller submits workers - 1 times; a helper
begins half a round trip later, one submit after its predecessor, because all of them need the GIL; whoever is free
claims the next chunk; half a round trip after the last chunk the caller knows. Workers that together ask for more than
--bandwidth are slowed down alike. Cores are taken to be equal and free: this is what the dispatch allows, not what a
machine gives.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import allcores as ac
from allcores._engine import execute, settings, team
from allcores._engine.grid import CHUNK, cut
from allcores._engine.registry import REDUCTIONS
from allcores._engine.view import canonical
from allcores.bench import cli, limits
from allcores.bench.cases import arrays
from allcores.bench.functions import FUNCTIONS

WORKERS = (1, 2, 4, 8, 16, 32, 64)
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Profile:
    """Seconds of a call on one core, in its parts."""

    chunks: tuple[float, ...]
    nbytes: float  # a chunk
    serial: float  # before and after the chunks
    submit: float
    dispatch_latency: float


# ---- measuring


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@contextmanager
def placements() -> Iterator[list[float]]:
    """The seconds that calls in the block spend between their first and last chunk, from the log."""
    found: list[float] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert isinstance(record.args, tuple)
            found.append(float(str(record.args[-1])) / 1e3)

    logger, handler = logging.getLogger("allcores"), Handler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def submit_time(repeat: int = 64) -> float:
    team.threads.call([int], 1)
    return median(seconds(lambda: team.threads.call([int], 1)) for _ in range(repeat))


def profile(kernel: str, function: Callable[..., Any], x: Array, repeat: int) -> Profile:
    row = REDUCTIONS[kernel]
    view = canonical(x, (0,), ordered=row.ordered).x
    fields = row.partial(x.dtype)
    grid = cut(view.shape, CHUNK, sum(field.dtype.itemsize for field in fields), max(WORKERS))
    partials = execute.partials(fields, grid)

    def chunk(number: int) -> float:
        cursor = execute.cursor_of(grid, number, number + 1)
        return seconds(lambda: execute.compute(settings.backend(), kernel, (view, None), (), cursor, partials))

    chunks, together, around = [], [], []
    with placements() as placed:
        for _ in range(repeat):
            # Round by round, so that every chunk comes from memory, as in a call.
            chunks.append([chunk(number) for number in range(grid.chunks)])
            whole = seconds(lambda: function(x, workers=1))
            together.append(placed[-1])
            around.append(whole - placed[-1])
    alone = [median(samples) for samples in zip(*chunks, strict=True)]
    # A chunk alone pays for a call of the kernel; in a call of all chunks that is paid once.
    correction = median(together) / sum(alone)
    return Profile(
        tuple(value * correction for value in alone),
        x.nbytes / grid.chunks,
        median(around),
        submit_time(),
        team.dispatch_latency(),
    )


# ---- simulating


def makespan(chunks: Sequence[float], starts: Sequence[float], nbytes: float, bandwidth: float | None) -> float:
    """When the last chunk is finished, where worker i begins at starts[i] and claims chunks in order.

    `chunks` are the seconds each would take alone; `bandwidth` in bytes a second caps what all read together, but not
    below what one of them was seen to read.
    """
    if bandwidth is not None:
        bandwidth = max(bandwidth, nbytes / min(chunks))
    waiting = sorted(starts, reverse=True)
    left = list(reversed(chunks))
    running: list[tuple[float, float]] = []  # seconds that remain if alone, bytes a second if alone
    now = 0.0
    while left or running:
        while left and waiting and waiting[-1] <= now:
            waiting.pop()
            alone = left.pop()
            running.append((alone, nbytes / alone))
        demand = sum(rate for _, rate in running)
        speed = 1.0 if bandwidth is None or demand <= bandwidth else bandwidth / demand
        until_finish = min((remaining for remaining, _ in running), default=float("inf")) / speed
        until_start = waiting[-1] - now if left and waiting else float("inf")
        step = min(until_finish, until_start)
        now = waiting[-1] if step == until_start else now + step
        running = [(remaining - step * speed, rate) for remaining, rate in running]
        free = sum(remaining <= 1e-12 for remaining, _ in running)
        running = [(remaining, rate) for remaining, rate in running if remaining > 1e-12]
        waiting += [now] * free
    return now


def call_time(found: Profile, workers: int, bandwidth: float | None) -> float:
    workers = min(workers, len(found.chunks))
    if workers == 1:
        return found.serial + makespan(found.chunks, [0.0], found.nbytes, bandwidth)
    begin = (workers - 1) * found.submit
    helpers = [begin + found.dispatch_latency / 2 + i * found.submit for i in range(workers - 1)]
    return (
        found.serial + makespan(found.chunks, [begin, *helpers], found.nbytes, bandwidth) + found.dispatch_latency / 2
    )


# ---- showing


def show(name: str, elements: int, found: Profile, bandwidth: float) -> None:
    print(
        f"\n**{name}**, {elements:,} float64: {len(found.chunks)} chunks of {1e6 * median(found.chunks):.0f} µs, "
        f"{1e6 * found.serial:.0f} µs before and after, submit {1e6 * found.submit:.0f} µs, "
        f"dispatch latency {1e6 * found.dispatch_latency:.0f} µs\n"
    )
    print(f"| workers | ms | speed-up | ms, at most {bandwidth:.0f} GB/s | speed-up |")
    print("|--:|--:|--:|--:|--:|")
    alone = call_time(found, 1, None)
    for workers in WORKERS:
        free, capped = call_time(found, workers, None), call_time(found, workers, 1e9 * bandwidth)
        print(f"| {workers} | {1e3 * free:.3f} | {alone / free:.1f} | {1e3 * capped:.3f} | {alone / capped:.1f} |")


def elements(text: str) -> tuple[int, ...]:
    return tuple(cli.count(number) for number in text.split(","))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=cli.functions, default=("nansum", "nanvar"), metavar="NAME,...")
    parser.add_argument("--elements", type=elements, default=(7_300_000, 73_000_000), metavar="N,...")
    parser.add_argument("--bandwidth", type=float, help="GB/s that all cores share (default: measured here)")
    parser.add_argument("--repeat", type=cli.count, default=9)
    args = parser.parse_args()
    unknown = [name for name in args.functions if name not in REDUCTIONS]
    if unknown:
        parser.error(
            f"functions with a kernel of another name: {', '.join(unknown)} (choose from {', '.join(REDUCTIONS)})"
        )
    bandwidth = args.bandwidth or limits.measure(ac.get_workers(), args.repeat).best
    for size in args.elements:
        for name in args.functions:
            x, _ = arrays("C", "float64", (size,), FUNCTIONS[name].content)
            show(name, size, profile(name, getattr(ac, name), x, args.repeat), bandwidth)
    return 0


if __name__ == "__main__":
    sys.exit(main())
