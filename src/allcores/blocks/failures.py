"""What becomes of exceptions in blocks."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from .plan import Plan, Slices


@dataclass(frozen=True, slots=True, eq=False)
class BlockFailure:
    """A block that failed, as ``errors="collect"`` returns it.

    Attributes
    ----------
    index : int
        Number of the block along the axis.
    slices : tuple of slice
        The part of the arrays, broadcast together, that it is.
    exception : Exception
        What the function raised, with a note that says the same.
    """

    index: int
    slices: Slices
    exception: Exception


def note(error: BaseException, plan: Plan, number: int) -> None:
    """Add to an exception in which block it was raised."""
    slices = ", ".join(f"{part.start}:{part.stop}" for part in plan.slices(number))
    with contextlib.suppress(Exception, SystemExit):  # an exception may refuse attributes, or worse
        error.add_note(f"in block {number} of {plan.count} of allcores.{plan.name}, [{slices}]")


class Failures:
    """Exceptions by the number of their block."""

    def __init__(self, plan: Plan, errors: str) -> None:
        if errors not in ("raise", "collect"):
            raise ValueError(f"errors must be 'raise' or 'collect', got {errors!r}")
        self.plan, self.collect = plan, errors == "collect"
        self.found: dict[int, Exception] = {}

    def add(self, number: int, error: Exception) -> None:
        note(error, self.plan, number)
        self.found[number] = error

    @property
    def fatal(self) -> bool:
        """Whether the other blocks are not wanted any more."""
        return bool(self.found) and not self.collect

    def raise_first(self) -> None:
        """Raise the exception of the first block that failed: the same one each time, since blocks begin in order."""
        if self.fatal:
            try:
                raise self.found[min(self.found)]
            finally:
                self.found.clear()  # its traceback refers to this frame

    def list(self) -> list[BlockFailure]:
        return [BlockFailure(number, self.plan.slices(number), error) for number, error in sorted(self.found.items())]
