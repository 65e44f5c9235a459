"""The thread that sends the tasks of a pool and receives the answers: see process.py for the whole."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import socket
import threading
import time
import traceback
import weakref
from collections import deque
from concurrent.futures import Future, InvalidStateError, _base
from concurrent.futures import process as _process
from functools import partial
from multiprocessing import process as _multiprocessing
from multiprocessing.connection import wait
from typing import Any

from .._engine.threads import call_back
from . import exceptions, store
from .traffic import Received
from .worker import ERROR, FETCH, NO_MAIN, NO_START, REFUSED, ROOM, STARTED

# Parts of the standard library without a public name, the same from Python 3.11 to 3.14. CPython's own tests, which
# tests/test_pool_cpython.py runs with our class, would notice a change.
base: Any = _process

NO_GUARD = 93  # exit code of a worker that finds itself starting a pool while it imports the main script
GUARD = """\
a script that starts processes is imported by each of them, so what starts them must not run on import. Write

    if __name__ == "__main__":
        main()

around the part that uses the pool"""

FAILED = {
    NO_MAIN: "the main script can't be imported in worker process",
    NO_START: "the initializer failed in worker process",
}
ELSEWHERE = "this pool and its futures belong to process {}, which has forked this one: make a pool of its own here"


class Wakeup:
    """Tells the manager thread that there is something to do; never waits, needs no lock.

    The standard library writes a message a call into a pipe and waits where it is full: in `submit`, holding a lock
    without which the manager thread may not come to empty it. Here a byte that finds no room is left out, since bytes
    before it are still to be read.
    """

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.setblocking(False)
        self._writer.setblocking(False)

    def wakeup(self) -> None:
        with contextlib.suppress(OSError):  # no room; or closed, and nobody is there to be woken
            self._writer.send(b"\0")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.reader.recv(1 << 16)

    def close(self) -> None:
        self._writer.close()
        self.reader.close()


class Manager(base._ExecutorManagerThread):  # type: ignore[misc]
    """The standard library's manager thread, with other ways of sending, receiving and dying."""

    pending_work_items: dict[int, Any]
    executor_reference: Any

    def __init__(self, executor: Any) -> None:
        self.traffic = executor._traffic
        self.channels = executor._channels
        self.pidfds = executor._pidfds
        self.initargs = executor._initargs  # shared arrays among them have to live until the last worker has started
        self.ready: deque[int] = deque()
        self.started: set[int] = set()  # workers that have said so
        self.finishing: list[Any] = []  # items that are no longer pending, but whose futures may not be done yet
        self.shutdown_lock = executor._shutdown_lock
        super().__init__(executor)
        # The standard library's callback takes a lock, which this thread may hold when the collector runs in it.
        wakeup = self.thread_wakeup.wakeup
        self.executor_reference = weakref.ref(executor, lambda _: wakeup())

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            # For instance there are no more threads, because the interpreter goes down.
            self.terminate_broken(traceback.format_exception(error))
        finally:
            self._hang_up(list(self.channels))
            self.processes.clear()
            self.traffic.close()

    def add_call_item_to_queue(self) -> None:
        """Fill the call queue. Never waits."""
        self.call_queue.flush()
        while not self.call_queue.full():
            if self.traffic.again:
                self.call_queue.put(self.traffic.again.popleft())
                continue
            if self.traffic.full:
                return
            try:
                number = self.work_ids_queue.get(block=False)
            except queue.Empty:
                return
            item = self.pending_work_items[number]
            if not item.future.set_running_or_notify_cancel():
                del self.pending_work_items[number]
                continue
            try:
                call = self.traffic.pack(number, item.fn, item.args, item.kwargs)
            except BaseException as error:
                self._finish(number, _told(_catchable(error, "pickling the arguments")), True)
                del item
                continue
            # The future may be kept for long; its arguments have been sent.
            item.fn, item.args, item.kwargs = None, (), {}
            del item
            self.call_queue.put(call)

    def wait_result_broken_or_wakeup(self) -> tuple[Any, bool, Any]:
        """The next answer, or a death and its cause. Neither where something else is to be done first."""
        while True:
            while self.ready:
                pid = self.ready.popleft()
                receiver = self.channels.get(pid)
                if receiver is None:
                    continue
                message = receiver.receive(self.traffic.reserve)
                if message is None:
                    return None, True, self._post_mortem(pid)
                if message.head.kind == STARTED:
                    self.started.add(pid)
                    continue
                if message.head.kind in FAILED:
                    if process := self.processes.get(pid):
                        process.join(5)  # it may have more to say, for instance to a log
                    return None, True, (f"{FAILED[message.head.kind]} {pid}", message.head.text)
                if message.head.kind == FETCH:
                    with contextlib.suppress(OSError):  # its death is noticed by itself
                        receiver.send_bytes(self.call_queue.fetch(message.head.number))
                    continue
                if message.head.kind == ROOM:
                    with contextlib.suppress(OSError):
                        receiver.send_bytes(self.traffic.room(message.head.number, message.head.size))
                    continue
                self.call_queue.answered()
                return Received(message.head, message.body, message.fds, receiver), False, None
            # These belong to workers that have done their number of tasks.
            self._hang_up([pid for pid in list(self.channels) if pid not in self.processes])
            wakeup = self.thread_wakeup.reader
            receivers = {receiver.end: pid for pid, receiver in list(self.channels.items())}
            processes = list(self.processes.items())
            sentinels = {self.pidfds.get(pid, process.sentinel): pid for pid, process in processes}
            timeout = store.IDLE if self.traffic.store.idle else None
            found = wait([wakeup, *receivers, *sentinels], timeout)
            self.ready.extend(receivers[end] for end in found if end in receivers)
            woken = wakeup in found
            if woken:
                self.thread_wakeup.clear()
            dead = next((sentinels[end] for end in found if end in sentinels), None)
            if dead is not None and not self.ready:
                return None, True, self._post_mortem(dead)
            if woken:
                return None, False, None  # answers that have come as well are read afterwards
            if not found:
                self.traffic.store.trim()

    def _hang_up(self, pids: list[int]) -> None:
        """Close the connections to workers."""
        for pid in pids:
            self.channels.pop(pid).close()
            if pid in self.pidfds:
                os.close(self.pidfds.pop(pid))

    def process_result_item(self, result_item: Any) -> None:
        """Unpickle an answer, and finish its future."""
        answer = result_item.answer
        if answer.kind == REFUSED:
            self.traffic.refused(answer.number, answer.text)
            return
        failed = answer.kind == ERROR
        try:
            if failed:
                value = exceptions.unpack(partial(self.traffic.unpack, result_item), answer.parts, answer.text)
            else:
                value = self.traffic.unpack(result_item)
        except BaseException as error:
            value, failed = _catchable(error, "unpickling the result"), True
            exceptions.forget_frames(value)
        self.traffic.reserve.refill()
        self._finish(answer.number, value, failed)

    def _finish(self, number: int, value: Any, failed: bool) -> None:
        """Take an item off the list. A child that is forked meanwhile finds its future either here or there."""
        item = self.pending_work_items.get(number)
        if item is None:  # cancelled, and forgotten
            return
        self.finishing = [item]
        del self.pending_work_items[number]
        _finish(item.future, value, failed)
        self.finishing = []

    def _replace_dead_worker(self) -> tuple[tuple[str, str], None] | None:
        """Start a worker in place of one that has done its number of tasks. Python 3.14.10 has the manager do so, with
        the standard library's function; earlier versions ask the executor."""
        executor, why = self.executor_reference(), "its executor was garbage collected"
        if executor is not None:
            executor._adjust_process_count()
            why = "it was forcefully shut down"
        if self.processes or not self.pending_work_items:
            return None
        return (f"its last worker has ended, and {why}", ""), None

    def _post_mortem(self, pid: int) -> tuple[str, str]:
        """What became of a worker, in words."""
        process = self.processes.get(pid)
        if process is None:
            return f"worker process {pid} is gone", ""
        if process.exitcode is None:  # joining waits for what it has forked, too
            process.join(1)
        code = process.exitcode
        if code == NO_GUARD:
            return GUARD, ""
        if code is None:
            return f"worker process {pid} closed its connection", ""
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"worker process {pid} was killed by {name}", ""
        if pid not in self.started:
            return f"worker process {pid} exited with code {code} while it started: see what it wrote to stderr", ""
        return f"worker process {pid} exited with code {code} in the middle of its work", ""

    def terminate_broken(self, cause: Any, _: object = None) -> None:
        """Fail all futures, end all workers. (Python 3.14.10 has a message of its own for some causes.)"""
        why, text = cause if isinstance(cause, tuple) else ("its manager failed", "".join(cause or ()))
        message = f"the process pool is broken: {why}"
        executor = self.executor_reference()
        # Who submits has this lock while it starts a worker, and hands it what is closed here.
        with self.shutdown_lock:
            if executor is not None:
                executor._broken = message
                executor._shutdown_thread = True
        del executor
        # The standard library would replace the message by its own.
        self.executor_reference = lambda: None
        items = self.finishing = list(self.pending_work_items.values())
        self.pending_work_items.clear()
        end(list(self.processes.values()))
        for item in items:
            error = base.BrokenProcessPool(message)
            if text:
                exceptions.set_cause(error, text)
            _finish(item.future, error, True)
        items.clear()
        super().terminate_broken(None)

    def flag_executor_shutting_down(self) -> None:
        # With `cancel_futures` the standard library puts another dictionary in the place of this one.
        pending = self.pending_work_items
        super().flag_executor_shutting_down()
        if self.pending_work_items is not pending:
            left = self.pending_work_items
            pending.clear()
            pending.update(left)
            self.pending_work_items = pending

    def forget(self) -> None:
        """In a forked child, where this thread does not run: the pool, its workers and its futures are the parent's.

        What was copied of it is let go of: descriptors, memory, and workers that multiprocessing would wait for. A
        future that was pending will never be done here, so it fails; callbacks are the parent's.
        """
        _multiprocessing._children.difference_update(self.processes.values())  # type: ignore[attr-defined]
        self.thread_wakeup.close()
        self.call_queue.forget()
        self._hang_up(list(self.channels))
        self.traffic.close()
        for item in [*self.pending_work_items.values(), *self.finishing]:
            future = item.future
            future._condition = threading.Condition()  # the other one may have been held while it was copied
            if future._state in (_base.PENDING, _base.RUNNING):
                future._state, future._exception = _base.FINISHED, RuntimeError(ELSEWHERE.format(os.getppid()))


def _finish(future: Future[Any], value: Any, failed: bool) -> None:
    """End a future. What its callbacks raise, even an exit, does not end this thread."""
    future._invoke_callbacks = partial(call_back, future)  # type: ignore[attr-defined]
    try:
        # A pending future may have been cancelled a moment ago.
        with contextlib.suppress(InvalidStateError):
            if failed:
                future.set_exception(value)
            else:
                future.set_result(value)
    finally:
        del future._invoke_callbacks  # type: ignore[attr-defined]


def _told(error: Exception) -> Exception:
    """An error with its traceback as text, since the frames refer to all that was to be pickled."""
    cause = error.__cause__
    text = exceptions.text_of(error)
    exceptions.forget_frames(error)
    if cause is not None:
        exceptions.forget_frames(cause)
    exceptions.set_cause(error, text)
    return error


def _catchable(error: BaseException, when: str) -> Exception:
    """An exit that somebody's `__reduce__` asks for is that future's error, not the end of this process."""
    if isinstance(error, Exception):
        return error
    caught = pickle.PicklingError(f"{type(error).__name__} while {when}")
    caught.__cause__ = error
    return caught


def end(processes: list[Any]) -> None:
    """Kill processes. Workers leave SIGTERM to their parent."""
    for process in processes:
        process.kill()
    end = time.monotonic() + 1
    for process in processes:
        while process.exitcode is None and time.monotonic() < end:
            process.join(0.01)  # not longer: it waits for what they have forked, too
