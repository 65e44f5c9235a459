"""Blocks on an executor: tasks in flight, in order.

    caller                                                         executor
    submit(func, block's arguments)   --- in flight: `workers` --->  func
        ^                                                              |
        +-- Flight.next <----------------------------------------- result
        |
    the first result: dtype, shape, `out`; then each into its place

What every block needs whole, the function among it, travels once a worker: see allcores.futures.cluster. A process pool
of this package needs no results either: `out` is shared memory, and its workers write to it. Where there is no shared
memory, or workers can't open it, results come back as elsewhere.
"""

from __future__ import annotations

from concurrent.futures import CancelledError, Executor, Future, wait
from contextlib import nullcontext
from typing import Any

import numpy as np

from .._engine import jobs, settings
from .._engine.flight import Flight
from .._engine.sources import Source
from ..futures import cluster, shared
from .failures import Failures
from .gather import Gather
from .plan import Array, Function, Plan, Slices
from .progress import Tell
from .results import Form, Partials, Whole, trimmed

SHARED = cluster.SHARED


def write(
    func: Function, keywords: dict[str, Any], trim: Slices | None, form: Form, number: int, to: Array, *arguments: Any
) -> None:
    """What a worker of our own runs: a block whose result goes straight to where it belongs."""
    form.put(number, trimmed(func(*arguments, **keywords), trim), to)


class Reader:
    """A function of a plan's blocks, where some have to be read: the worker does that, too."""

    def __init__(self, func: Function) -> None:
        self.func = func

    def __call__(self, plan: Plan, number: int, **keywords: Any) -> Any:
        return self.func(*plan.take(number), **keywords)


def failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def in_flight(courier: cluster.Courier, workers: Any) -> int:
    """Tasks that are submitted at a time: so many that a worker finds one when it has finished another."""
    return 2 * courier.workers if workers is None else settings.check_workers(workers)


def run(plan: Plan, sink: Whole | Partials, failures: Failures, executor: Executor, workers: Any, tell: Tell) -> None:
    flight: Flight[int] = Flight(plan.count)
    job = jobs.current.get()
    with cluster.Courier(executor) as courier, nullcontext() if job is None else job.part(flight):
        _Call(plan, sink, failures, courier, in_flight(courier, workers), tell, flight).run()


class _Call:
    def __init__(
        self,
        plan: Plan,
        sink: Whole | Partials,
        failures: Failures,
        courier: cluster.Courier,
        most: int,
        tell: Tell,
        flight: Flight[int],
    ) -> None:
        self.plan, self.sink, self.failures, self.courier = plan, sink, failures, courier
        self.most, self.tell, self.flight = most, tell, flight
        self.written: set[int] = set()  # blocks of which the worker writes the result
        self.again: list[int] = []
        self.gather = Gather(sink, failures)
        self.gather.new = self.room if courier.sharing else None
        self.read_there = None
        self.function: Function = plan.func
        self.whole: dict[int, Any] = {}  # arguments that every block needs
        if any(isinstance(value, Source) for value in plan.arguments):
            self.function, self.read_there = Reader(plan.func), courier.once(plan)
        else:
            self.whole = {
                position: courier.once(value)
                for position, (value, cut) in enumerate(zip(plan.arguments, plan.cuts, strict=True))
                if cut is None
            }
        self.func = courier.once(self.function)
        self.common = {name: courier.once(value) for name, value in plan.keywords.items()}

    def run(self) -> None:
        following, count = 0, self.plan.count
        self.tell(0, count)
        try:
            while following < count or self.flight or self.again:
                while not self.over() and len(self.flight) < self.most and (self.again or following < count):
                    if self.again:
                        self.submit(self.again.pop())
                    else:
                        self.submit(following)
                        following += 1
                if not self.flight:
                    break
                arrived = self.flight.next()
                if arrived is None:
                    self.flight.cancel()
                    continue
                number, future = arrived
                if future.cancelled() and self.over():
                    continue
                self.arrived(number, future)
                if not self.over():
                    self.tell(self.flight.done, count)
        except BaseException as error:
            begun = self.flight.cancel()
            if isinstance(error, Exception):
                wait(begun)  # nobody may write to `out` any more
            raise
        finally:
            self.flight.clear()
            self.gather.new = None  # refers to this object

    def over(self) -> bool:
        """Whether no more blocks are wanted."""
        return self.flight.stopped or self.failures.fatal

    def submit(self, number: int) -> None:
        plan, sink = self.plan, self.sink
        if self.read_there is not None:
            arguments: tuple[Any, ...] = (self.read_there, number)
        else:
            arguments = tuple(self.whole.get(i, value) for i, value in enumerate(plan.take(number)))
        keywords = plan.keywords_of(number) | self.common
        try:
            if self.courier.sharing and self.is_shared(sink):
                to, opened = sink.target(number), self.courier.opened
                keywords = {name: opened(value) for name, value in keywords.items()}
                self.written.add(number)
                future = self.courier.submit(
                    write, self.function, keywords, plan.trim(number), sink.form, number, to, *arguments
                )
            else:
                self.written.discard(number)
                future = self.courier.submit(self.func, *arguments, **keywords)
        except Exception as error:  # the pool is broken, or shut down
            self.arrived(number, failed(error))
            return
        self.flight.add(number, future)

    def is_shared(self, sink: Whole | Partials) -> bool:
        """Whether workers can write to where results belong."""
        return sink.form is not None and sink.array is not None and shared.find(sink.array) is not None

    def arrived(self, number: int, future: Future[Any]) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        if issubclass(type(error), shared.Unreachable) and number in self.written:
            # Workers can't open our memory: results have to come back.
            self.courier.stop_sharing()
            self.gather.new = None
            self.again.append(number)
            return
        if error is not None and not isinstance(error, Exception):
            raise error
        if error is None and number not in self.written:
            try:
                self.gather.put(number, trimmed(future.result(), self.plan.trim(number)))
            except Exception as wrong:  # a result that can't be trimmed
                error = wrong
        if error is not None:
            self.gather.fail(number, error)
        if self.failures.fatal:
            # Not those before: a cluster may begin them later, and the first that fails is to be the same each time.
            first = min(self.failures.found)
            self.flight.cancel(lambda number: number > first)
        else:
            self.flight.done += 1

    def room(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array that workers can write to, where that is worth it and there is memory."""
        if self.courier.sharing and np.prod(shape, dtype=object) * np.dtype(dtype).itemsize >= SHARED:
            try:
                return shared.shared_empty(shape, dtype)
            except OSError:
                pass
        return np.empty(shape, dtype)
