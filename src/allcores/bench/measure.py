"""One row: everybody computes the same function of the same array, agrees first, and is timed then."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

import allcores as ac

from . import limits, peers
from .cases import Array, Case, Function, arrays
from .timing import Contender, interleave, ratio

ONE, ALL, FALLBACK, NUMPY, READ = "1 worker", "all workers", "fallback", "numpy", "read"
OURS = (ONE, ALL, FALLBACK, READ)

# Below this nobody reads memory: caches and the price of a call decide, and bandwidth means nothing.
LARGE = 4 << 20


@dataclass(frozen=True)
class Effort:
    """How often is measured, and the shortest sample in seconds."""

    rounds: int = 15
    slow_rounds: int = 3  # of the fallback
    patience: float = 1.0  # seconds, after which the fallback is not called again
    least: float = 2e-3


@dataclass
class Row:
    """What was measured. Seconds a call, one for each round, by contender."""

    family: str
    case: Case
    function: str
    nbytes: int
    samples: dict[str, list[float]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # contenders that were not timed, and why

    def seconds(self, name: str) -> float | None:
        return median(self.samples[name]) if name in self.samples else None

    def over(self, name: str) -> float | None:
        """How many times as long as allcores on all workers `name` takes."""
        theirs, ours = self.samples.get(name), self.samples.get(ALL)
        if theirs is None or ours is None:
            return None
        if len(theirs) != len(ours):  # the fallback's, which were not interleaved
            return median(theirs) / median(ours)
        return ratio(theirs, ours)

    @property
    def best(self) -> str:
        """The fastest that is not ours: NumPy or a peer."""
        others = [name for name in self.samples if name not in OURS]
        return min(others, key=lambda name: median(self.samples[name]))

    @property
    def bandwidth(self) -> float | None:
        """GB/s of allcores on all workers, where that is more than a number."""
        seconds = self.seconds(ALL)
        return None if seconds is None or READ not in self.samples else self.nbytes / seconds / 1e9

    @property
    def share(self) -> float | None:
        """Of the speed at which the plain loop reads the same memory in the same rounds."""
        return self.over(READ)


def contenders(case: Case, function: Function, x: Array) -> list[Contender]:
    """NumPy first: it is the reference. The fallback is not among them."""
    found = [
        Contender(NUMPY, case.fill(function.reference), {"np": np, "x": x}),
        Contender(ONE, case.fill(function.allcores), {"ac": ac, "x": x}, one_worker),
        Contender(ALL, case.fill(function.allcores), {"ac": ac, "x": x}),
    ]
    for peer in function.peers_for(case):
        module = peers.load(peer.name)
        if module is not None:
            names = {peers.PEERS[peer.name]: module, "x": x}
            if peer.one_dimensional:
                names["s"] = module.Series(x)
            found.append(Contender(peer.name, case.fill(peer.statement), names))
    return found


def one_worker() -> AbstractContextManager[Any]:
    """Not the keyword: a call with all arguments at their defaults may take a shorter way."""
    return ac.set_workers(1)


def fallback(case: Case, function: Function, x: Array) -> Contender:
    return Contender(FALLBACK, case.fill(function.allcores), {"ac": ac.fallback, "x": x})


# ---- agreement


def error(result: Any, reference: Any) -> float:
    """The largest relative error; infinite where shapes, integers or the places of NaN differ."""
    found, wanted = np.asarray(result), np.asarray(reference)
    if found.shape != wanted.shape or found.dtype == object:
        return float("inf")
    if wanted.dtype.kind != "f":
        return 0.0 if np.array_equal(found, wanted) else float("inf")
    found = found.astype(np.float64)
    if not np.array_equal(np.isnan(found), np.isnan(wanted)):
        return float("inf")
    with np.errstate(all="ignore"):
        errors = np.where(found == wanted, 0.0, np.abs(found - wanted) / np.abs(wanted))
    return float(np.nanmax(errors, initial=0.0))


def reference(case: Case, function: Function, x: Array) -> Any:
    """NumPy's answer, in float64 also for float32: there NumPy's own errors are as large as others'."""
    exact = x.astype(np.float64) if x.dtype == np.float32 else x
    return Contender(NUMPY, case.fill(function.reference), {"np": np, "x": exact}).result()


def objection(result: Any, wanted: Any, tolerance: float) -> str:
    """Why a result is not accepted, or nothing."""
    found = error(result, wanted)
    if found <= tolerance:
        return ""
    return "another result" if found == float("inf") else f"relative error {found:.0e}"


def tolerance(case: Case, by_numpy: Any, wanted: Any) -> float:
    """float32 has seven digits; where NumPy's own error is larger (long columns), twice that."""
    return max(1e-6 if case.dtype == "float32" else 1e-9, 2 * error(by_numpy, wanted))


# ---- measuring


def accepted(timed: list[Contender], case: Case, wanted: Any, refused: dict[str, str]) -> list[Contender]:
    """Those that agree with NumPy, which comes first; why the others don't goes into `refused`."""
    first, *others = timed
    enough = tolerance(case, first.result(), wanted)
    for contender in others:
        try:
            problem = objection(contender.result(), wanted, enough)
        except Exception as exception:  # whatever it is, it is that package's: no reason to end the run
            problem = f"{type(exception).__name__}: {exception}"
        if problem:
            refused[contender.name] = problem
    return [contender for contender in timed if contender.name not in refused]


def slow_samples(contender: Contender, first: float, effort: Effort) -> list[float]:
    """Some calls of the fallback, alone: next to the others they would take most of the time."""
    if first < 10 * effort.least:
        return interleave([contender], effort.slow_rounds, effort.least)[contender.name]
    seconds = [first]
    while len(seconds) < effort.slow_rounds and sum(seconds) < effort.patience:
        seconds.append(contender.sample())
    return seconds


def row(family: str, case: Case, function: Function, reader: limits.Reader, effort: Effort) -> Row:
    x, base = arrays(case.layout, case.dtype, case.shape, function.content)
    result = Row(family, case, function.name, base.nbytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = reference(case, function, x)
        timed = accepted(contenders(case, function, x), case, wanted, result.refused)
        if base.nbytes >= LARGE:
            timed.append(limits.contender(READ, reader, limits.as_words(base)))
        result.samples = interleave(timed, effort.rounds, effort.least)
        last = fallback(case, function, x)
        begin = last.clock()
        problem = objection(last.result(), wanted, tolerance(case, wanted, wanted))
        if problem:
            result.refused[FALLBACK] = problem
        else:
            result.samples[FALLBACK] = slow_samples(last, last.clock() - begin, effort)
    return result
