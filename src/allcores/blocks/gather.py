"""Results and exceptions as they come, from whatever worker, until the first block is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .failures import Failures
from .results import Partials, Whole


class Gather:
    """Puts results into the sink. The first block that does not fail says what all results are like: those that come
    earlier wait for it."""

    def __init__(self, sink: Whole | Partials, failures: Failures) -> None:
        self.sink, self.failures = sink, failures
        self.new: Callable[[tuple[int, ...], Any], Any] | None = None  # how memory for all is made
        self._first = 0  # the first block that has not failed
        self._early: dict[int, Any] = {}
        self._changed = threading.Condition()

    def put(self, number: int, result: Any) -> None:
        try:
            if self.sink.form is not None:
                self.sink.put(number, result)
                return
        except Exception as error:
            self.fail(number, error)
            return
        with self._changed:
            self._early[number] = result
            self._go_on()

    def fail(self, number: int, error: Exception) -> None:
        with self._changed:
            self.failures.add(number, error)
            self._go_on()

    def _go_on(self) -> None:
        """Begin, if the first block is there, and put what has waited for it."""
        while self.sink.form is None:
            while self._first in self.failures.found:
                self._first += 1
            if self._first not in self._early:
                break
            try:
                self.sink.begin(self._first, self._early.pop(self._first), self.new)
            except Exception as error:
                self.failures.add(self._first, error)
        if self.sink.form is not None:
            while self._early:
                number, result = self._early.popitem()
                try:
                    self.sink.put(number, result)
                except Exception as error:
                    self.failures.add(number, error)
        self._changed.notify_all()

    def wait_for_the_first(self, over: Callable[[], bool]) -> None:
        """Until results can be put, or it is all over: whoever comes early has one result in hand, and not more."""
        with self._changed:
            # The timeout is for an interrupt of the caller, after which nobody notifies.
            while self.sink.form is None and self._early and not over():
                self._changed.wait(0.02)
