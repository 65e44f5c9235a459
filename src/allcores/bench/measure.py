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
from .cases import Array, Case, Function, operands
from .timing import Contender, interleave, ratio

ONE, ALL, FALLBACK, NUMPY, READ = "1 worker", "all workers", "fallback", "numpy", "read"
OURS = (ONE, ALL, FALLBACK, READ)

# Below this nobody reads memory: caches and the price of a call decide, and bandwidth means nothing.
LARGE = 4 << 20

# Relative: what running sums lose, and still is the same function.
OTHERS_ERROR = 1e-6


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
        """The fastest that is not ours, NumPy or a peer; nothing where nobody else has it."""
        others = [name for name in self.samples if name not in OURS]
        return min(others, key=lambda name: median(self.samples[name]), default="")

    @property
    def bandwidth(self) -> float | None:
        """GB/s of allcores on all workers, where that is more than a number."""
        seconds = self.seconds(ALL)
        return None if seconds is None or READ not in self.samples else self.nbytes / seconds / 1e9

    @property
    def share(self) -> float | None:
        """Of the speed at which the plain loop reads the same memory in the same rounds."""
        return self.over(READ)


def contenders(case: Case, function: Function, given: dict[str, Array]) -> list[Contender]:
    """The fallback is not among them."""
    found = [
        Contender(ONE, case.fill(function.allcores), {"ac": ac, **given}, one_worker),
        Contender(ALL, case.fill(function.allcores), {"ac": ac, **given}),
    ]
    if function.numpy:
        found.append(Contender(NUMPY, case.fill(function.numpy), {"np": np, **given}))
    for peer in function.peers_for(case):
        module = peers.load(peer.name)
        if module is not None:
            names = {peers.PEERS[peer.name]: module, **given}
            if peer.one_dimensional:
                names["s"] = module.Series(given["x"])
            found.append(Contender(peer.name, case.fill(peer.statement), names))
    return found


def one_worker() -> AbstractContextManager[Any]:
    """Not the keyword: a call with all arguments at their defaults may take a shorter way."""
    return ac.set_workers(1)


def fallback(case: Case, function: Function, given: dict[str, Array]) -> Contender:
    return Contender(FALLBACK, case.fill(function.allcores), {"ac": ac.fallback, **given})


# ---- agreement


def error(result: Any, reference: Any) -> float:
    """The largest relative error; infinite where shapes, integers or the places of NaN differ."""
    if isinstance(reference, tuple):
        pairs = zip(result, reference, strict=True) if isinstance(result, tuple) else ()
        return max((error(*pair) for pair in pairs), default=float("inf"))
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


@dataclass(frozen=True)
class Reference:
    """What everybody has to give: NumPy's answer or, where NumPy has none, the fallback's; and how exactly.

    In float64 also for float32: there NumPy's own errors are as large as others'.
    """

    expression: str  # what of a result is compared
    given: dict[str, Array]
    wanted: Any
    tolerance: float

    def objection(self, contender: Contender) -> str:
        """Why a contender's result is not accepted, or nothing. Others may be less accurate, within reason."""
        found = error(compared(self.expression, contender.result(), self.given), self.wanted)
        if found <= (self.tolerance if contender.name in OURS else max(self.tolerance, OTHERS_ERROR)):
            return ""
        return "another result" if found == float("inf") else f"relative error {found:.0e}"


def compared(expression: str, result: Any, given: dict[str, Array]) -> Any:
    return eval(expression, {"np": np, "r": result, **given}) if expression else result


def reference(case: Case, function: Function, given: dict[str, Array]) -> Reference:
    """float32 has seven digits; where NumPy's own error is larger (long columns), twice that is allowed."""
    exact = {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in given.items()}
    expression, tolerance = case.fill(function.compared), 1e-6 if case.dtype == "float32" else 1e-9
    if not function.numpy:
        wanted = compared(expression, fallback(case, function, exact).result(), given)
        return Reference(expression, given, wanted, tolerance)
    call = case.fill(function.numpy)
    results = (Contender(NUMPY, call, {"np": np, **names}).result() for names in (exact, given))
    wanted, by_numpy = (compared(expression, result, given) for result in results)
    return Reference(expression, given, wanted, max(tolerance, 2 * error(by_numpy, wanted)))


# ---- measuring


def accepted(timed: list[Contender], wanted: Reference, refused: dict[str, str]) -> list[Contender]:
    """Those that agree; why the others don't goes into `refused`. NumPy's errors are in what is allowed."""
    for contender in timed:
        try:
            problem = "" if contender.name == NUMPY else wanted.objection(contender)
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
    given, bases = operands(case, function)
    result = Row(family, case, function.name, sum(base.nbytes for base in bases))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = reference(case, function, given)
        timed = accepted(contenders(case, function, given), wanted, result.refused)
        if result.nbytes >= LARGE and len(bases) == 1:
            timed.append(limits.contender(READ, reader, limits.as_words(bases[0])))
        result.samples = interleave(timed, effort.rounds, effort.least)
        last = fallback(case, function, given)
        begin = last.clock()
        problem = wanted.objection(last)
        if problem:
            result.refused[FALLBACK] = problem
        else:
            result.samples[FALLBACK] = slow_samples(last, last.clock() - begin, effort)
    return result
