"""Blocks on an executor: tasks in flight, in order.

    caller                                                         executor
    submit(func, block's arguments)   --- in flight: `workers` --->  func
        ^                                                              |
        +-- SimpleQueue <-- done callback <---------------------- result
        |
    the first result: dtype, shape, `out`; then each into its place

A process pool of this package needs no results: `out` is shared memory, its workers write to it, and what every block
needs whole is shared once. Where there is no shared memory, or workers can't open it, results come back as elsewhere.
"""

from __future__ import annotations

import queue
import sys
from concurrent.futures import CancelledError, Executor, Future, wait
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from .._engine import jobs, settings
from ..futures import shared
from .failures import Failures
from .gather import Gather
from .plan import Array, Function, Plan, Slices
from .results import Form, Partials, Whole, trimmed
from .watching import Tell

# Bytes from which memory is worth sharing.
SHARED = 1 << 18

STOP = -1  # in the queue of arrivals: see Arrivals.stop


def write(
    func: Function, keywords: dict[str, Any], trim: Slices | None, form: Form, number: int, to: Array, *arguments: Any
) -> None:
    """What a worker of our own runs: a block whose result goes straight to where it belongs."""
    form.put(number, trimmed(func(*arguments, **keywords), trim), to)


def failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def is_ours(executor: Executor) -> bool:
    process = sys.modules.get("allcores.futures.process")
    return process is not None and isinstance(executor, process.ProcessPoolExecutor)


def in_flight(executor: Executor, workers: Any) -> int:
    """Tasks that are submitted at a time: so many that a worker finds one when it has finished another."""
    if workers is not None:
        return settings.check_workers(workers)
    return 2 * int(getattr(executor, "_max_workers", None) or settings.cores())


class Arrivals:
    """Blocks whose futures are done, as they come."""

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0
        self.queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.stopped = False

    def get(self) -> int:
        while True:
            try:  # with an eye on signals, which Windows does not notice otherwise
                return self.queue.get(timeout=0.1)
            except queue.Empty:
                pass

    def stop(self) -> None:
        self.stopped = True
        self.queue.put(STOP)

    def progress(self) -> tuple[int, int]:
        return self.done, self.count


def run(plan: Plan, sink: Whole | Partials, failures: Failures, executor: Executor, workers: Any, tell: Tell) -> None:
    arrivals = Arrivals(plan.count)
    job = jobs.current.get()
    call = _Call(plan, sink, failures, executor, in_flight(executor, workers), tell, arrivals)
    with nullcontext() if job is None else job.part(arrivals):
        call.run()


class _Call:
    def __init__(
        self,
        plan: Plan,
        sink: Whole | Partials,
        failures: Failures,
        executor: Executor,
        flight: int,
        tell: Tell,
        arrivals: Arrivals,
    ) -> None:
        self.plan, self.sink, self.failures, self.executor = plan, sink, failures, executor
        self.flight, self.tell, self.arrivals = flight, tell, arrivals
        self.futures: dict[int, Future[Any]] = {}
        self.written: set[int] = set()  # blocks of which the worker writes the result
        self.trusting: set[int] = set()  # blocks that were sent with memory of ours
        self.again: list[int] = []
        self.sharing = is_ours(executor)
        self.gather = Gather(sink, failures)
        self.gather.new = self.room if self.sharing else None
        self.whole = {  # arguments that every block needs
            position: readable(value) if self.sharing else value
            for position, (value, cut) in enumerate(zip(plan.arguments, plan.cuts, strict=True))
            if cut is None
        }
        self.common = {name: readable(value) for name, value in plan.keywords.items()} if self.sharing else {}

    def run(self) -> None:
        following, count = 0, self.plan.count
        self.tell(0, count)
        try:
            while following < count or self.futures or self.again:
                while not self.over() and len(self.futures) < self.flight and (self.again or following < count):
                    if self.again:
                        self.submit(self.again.pop())
                    else:
                        self.submit(following)
                        following += 1
                if not self.futures:
                    break
                number = self.arrivals.get()
                if number == STOP:
                    self.cancel()
                    continue
                future = self.futures.pop(number)
                if future.cancelled() and self.over():
                    continue
                self.arrived(number, future)
                if not self.over():
                    self.tell(self.arrivals.done, count)
        except BaseException as error:
            self.cancel()
            if isinstance(error, Exception):
                # Nobody may write to `out` any more.
                wait([future for future in self.futures.values() if not future.cancel()])
            raise
        finally:
            self.futures.clear()
            self.gather.new = None  # refers to this object

    def over(self) -> bool:
        """Whether no more blocks are wanted."""
        return self.arrivals.stopped or self.failures.fatal

    def cancel(self) -> None:
        for future in list(self.futures.values()):
            future.cancel()

    def submit(self, number: int) -> None:
        plan, sink = self.plan, self.sink
        arguments = plan.take(number)
        if self.whole:
            arguments = tuple(self.whole.get(i, value) for i, value in enumerate(arguments))
        keywords = plan.keywords_of(number) | self.common
        if self.sharing and sink.form is not None and shared.find(sink.array) is not None:
            to = sink.target(number)
            call: Function = partial(write, plan.func, keywords, plan.trim(number), sink.form, number, to)
            self.written.add(number)
        else:
            call = partial(plan.func, **keywords) if keywords else plan.func
            self.written.discard(number)
        if self.sharing:
            self.trusting.add(number)
        else:
            self.trusting.discard(number)
        try:
            future = self.executor.submit(call, *arguments)
        except Exception as error:  # the pool is broken, or shut down
            self.arrived(number, failed(error))
            return
        self.futures[number] = future
        future.add_done_callback(lambda _: self.arrivals.queue.put(number))

    def arrived(self, number: int, future: Future[Any]) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        if isinstance(error, shared.Unreachable) and number in self.trusting:
            self.stop_sharing()
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
            self.cancel()
        else:
            self.arrivals.done += 1

    def room(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array that workers can write to, where that is worth it and there is memory."""
        if np.prod(shape, dtype=object) * np.dtype(dtype).itemsize >= SHARED:
            try:
                return shared.shared_empty(shape, dtype)
            except OSError:
                pass
        return np.empty(shape, dtype)

    def stop_sharing(self) -> None:
        """Workers can't open our memory: send them copies."""
        self.sharing, self.gather.new = False, None
        self.whole = {i: value for i, value in enumerate(self.plan.arguments) if i in self.whole}
        self.common = {}


def readable(value: Any) -> Any:
    """A large array in shared memory, read-only: what one block wrote to it others would see."""
    if type(value) is not np.ndarray or value.dtype.hasobject or value.nbytes < SHARED or 0 in value.strides:
        return value
    if shared.find(value) is not None:
        return value
    try:
        copy = shared.share(value)
    except OSError:
        return value
    copy.flags.writeable = False
    return copy
