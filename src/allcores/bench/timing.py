"""Interleaved timing: in each round every contender runs once, so that what disturbs the machine disturbs all of them.

Medians over the rounds are times; ratios are medians of the ratios within each round, which are steadier than ratios of
medians where the machine's speed changes during a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, exp, log
from statistics import median, quantiles
from timeit import Timer
from typing import Any

Clock = Callable[[], float]


@dataclass
class Contender:
    """A statement as a user would write it, and the names in it.

    Run by `timeit.Timer`, whose loop costs some 10 ns and which turns the garbage collector off. `context` is entered
    outside of what is timed.
    """

    name: str
    statement: str
    names: dict[str, Any]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    clock: Clock = time.perf_counter
    loops: int = field(default=1, init=False)

    @cached_property
    def timer(self) -> Timer:
        return Timer(self.statement, timer=self.clock, globals=self.names)

    def result(self) -> Any:
        with self.context():
            return eval(self.statement, self.names)

    def sample(self) -> float:
        """Seconds a call."""
        with self.context():
            return self.timer.timeit(self.loops) / self.loops

    def calibrate(self, least: float) -> None:
        """Choose the number of calls so that one sample takes at least `least` seconds."""
        self.loops = 1
        while True:
            seconds = self.sample()
            if seconds * self.loops >= least / 4:
                # Long enough to extrapolate from.
                self.loops = max(1, ceil(least / seconds))
                return
            self.loops *= 4


def rotated(contenders: Sequence[Contender], turn: int) -> list[Contender]:
    """The order of a round: everybody is first in turn, and every second round runs backwards.

    Without the latter everybody would always follow the same one, and find the caches and threads as that leaves them.
    """
    step = -1 if turn % 2 else 1
    return [contenders[(turn + step * i) % len(contenders)] for i in range(len(contenders))]


def interleave(contenders: Sequence[Contender], rounds: int, least: float = 2e-3) -> dict[str, list[float]]:
    """Seconds a call of every contender in every round."""
    for contender in contenders:
        contender.calibrate(least)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds):
        for contender in rotated(contenders, turn):
            seconds[contender.name].append(contender.sample())
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times `slow` takes as long as `fast`: the median over the rounds."""
    return median(a / b for a, b in zip(slow, fast, strict=True))


def spread(samples: Sequence[float]) -> tuple[float, float]:
    """The lower and upper quartile."""
    if len(samples) < 2:
        return samples[0], samples[0]
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return low, high


def geometric_mean(values: Sequence[float]) -> float:
    return exp(sum(map(log, values)) / len(values))
