"""Tasks of a call that an executor has: some at a time, handed out as they are done.

caller                                                executor
add  --- future, and what it is of --->                 task
 ^                                                       |
 +--- next <--- SimpleQueue <--- done callback <---------+
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Flight(Generic[Item]):
    """`count` tasks in all. A part of a job: see jobs.py."""

    def __init__(self, count: int) -> None:
        self.count, self.done, self.stopped = count, 0, False
        self._items: dict[Future[Any], Item] = {}
        self._arrived: queue.SimpleQueue[Future[Any] | None] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, future: Future[Any]) -> None:
        self._items[future] = item
        future.add_done_callback(self._arrived.put)

    def next(self) -> tuple[Item, Future[Any]] | None:
        """The next one that is done, in the order in which they are; None once after `stop`."""
        while True:
            try:
                future = self._arrived.get(
                    timeout=0.1
                )  # with an eye on signals, which Windows does not notice otherwise
            except queue.Empty:
                continue
            return None if future is None else (self._items.pop(future), future)

    def cancel(self, which: Callable[[Item], bool] = lambda _: True) -> list[Future[Any]]:
        """Cancel those that have not begun, perhaps some only; return those that have."""
        chosen = [future for future, item in list(self._items.items()) if which(item)]
        return [future for future in chosen if not future.cancel()]

    def clear(self) -> None:
        """What is still under way is nobody's."""
        self._items.clear()

    def stop(self) -> None:
        self.stopped = True
        self._arrived.put(None)

    def progress(self) -> tuple[int, int]:
        return self.done, self.count
