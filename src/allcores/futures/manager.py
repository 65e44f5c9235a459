"""The thread that sends the tasks of a pool and receives the answers: see process.py for the whole."""

from __future__ import annotations

import contextlib
import pickle
import queue
import signal
import time
import traceback
from collections import deque
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import process as _process
from multiprocessing.connection import wait
from typing import Any

from . import exceptions, store
from .traffic import Received
from .worker import ERROR, FETCH, NO_START, REFUSED, ROOM

# Parts of the standard library without a public name, the same from Python 3.11 to 3.14. CPython's own tests, which
# tests/test_pool_cpython.py runs with our class, would notice a change.
base: Any = _process

NO_GUARD = 93  # exit code of a worker that finds itself starting a pool while it imports the main script
GUARD = """\
a script that starts processes is imported by each of them, so what starts them must not run on import. Write

    if __name__ == "__main__":
        main()

around the part that uses the pool"""


class Manager(base._ExecutorManagerThread):  # type: ignore[misc]
    """The standard library's manager thread, with other ways of sending, receiving and dying."""

    pending_work_items: dict[int, Any]
    executor_reference: Any

    def __init__(self, executor: Any) -> None:
        self.traffic = executor._traffic
        self.channels = executor._channels
        self.initargs = executor._initargs  # shared arrays among them have to live until the last worker has started
        self.ready: deque[int] = deque()
        super().__init__(executor)

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            # For instance: no more threads, since the interpreter goes down.
            self.terminate_broken(traceback.format_exception(error))
        finally:
            for receiver in list(self.channels.values()):
                receiver.close()
            self.channels.clear()
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
                del self.pending_work_items[number]
                _finish(item.future, _told(_catchable(error, "pickling the arguments")), True)
                del item
                continue
            # The future may be kept for long; its arguments have been sent.
            item.fn, item.args, item.kwargs = None, (), {}
            del item
            self.call_queue.put(call)

    def wait_result_broken_or_wakeup(self) -> tuple[Any, bool, Any]:
        """The next answer; or a death, and its cause; or neither, when something else is to be done."""
        while True:
            while self.ready:
                pid = self.ready.popleft()
                receiver = self.channels.get(pid)
                if receiver is None:
                    continue
                message = receiver.receive(self.traffic.reserve)
                if message is None:
                    return None, True, self._post_mortem(pid)
                if message.head.kind == NO_START:
                    if process := self.processes.get(pid):
                        process.join(5)  # it may have more to say, for instance to a log
                    return None, True, (f"the initializer failed in worker process {pid}", message.head.text)
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
            self._forget_replaced()
            wakeup = self.thread_wakeup._reader
            receivers = {receiver.end: pid for pid, receiver in list(self.channels.items())}
            sentinels = {process.sentinel: pid for pid, process in list(self.processes.items())}
            timeout = store.IDLE if self.traffic.store.idle else None
            found = wait([wakeup, *receivers, *sentinels], timeout)
            self.ready.extend(receivers[end] for end in found if end in receivers)
            if not found:
                self.traffic.store.trim()
            elif not self.ready:
                if wakeup in found:
                    self.thread_wakeup.clear()
                    return None, False, None
                return None, True, self._post_mortem(next(sentinels[end] for end in found if end in sentinels))

    def _forget_replaced(self) -> None:
        """Close the channels of workers that have done their number of tasks."""
        for pid in [pid for pid in list(self.channels) if pid not in self.processes]:
            self.channels.pop(pid).close()

    def process_result_item(self, result_item: Any) -> None:
        """Unpickle an answer, and finish its future."""
        answer = result_item.answer
        if answer.kind == REFUSED:
            self.traffic.refused(answer.number, answer.text)
            return
        item = self.pending_work_items.pop(answer.number, None)
        try:
            value = self.traffic.unpack(result_item)
            failed = answer.kind == ERROR
        except BaseException as error:
            value, failed = _catchable(error, "unpickling the result"), True
            exceptions.forget_frames(value)
        self.traffic.reserve.refill()
        if failed and answer.text:
            exceptions.set_cause(value, answer.text)
        if item is not None:
            _finish(item.future, value, failed)

    def _replace_dead_worker(self) -> tuple[tuple[str, str], None] | None:
        """In the place of a worker that has done its number of tasks. Python 3.14.10 has the manager start it, with the
        standard library's function; earlier versions ask the executor."""
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
        return f"worker process {pid} exited with code {code} in the middle of its work", ""

    def terminate_broken(self, cause: Any, _: object = None) -> None:
        """Fail all futures, end all workers. (Python 3.14.10 has a message of its own for some causes.)"""
        why, text = cause if isinstance(cause, tuple) else ("its manager failed", "".join(cause or ()))
        message = f"the process pool is broken: {why}"
        executor = self.executor_reference()
        if executor is not None:
            executor._broken = message
            executor._shutdown_thread = True
        del executor
        # The standard library would replace the message by its own.
        self.executor_reference = lambda: None
        items = list(self.pending_work_items.values())
        self.pending_work_items.clear()
        end(list(self.processes.values()))
        for item in items:
            error = base.BrokenProcessPool(message)
            if text:
                exceptions.set_cause(error, text)
            _finish(item.future, error, True)
        del items
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


def _finish(future: Future[Any], value: Any, failed: bool) -> None:
    # A pending future may have been cancelled a moment ago.
    with contextlib.suppress(InvalidStateError):
        if failed:
            future.set_exception(value)
        else:
            future.set_result(value)


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
    """Terminate processes, and kill those that take more than a second over it."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + 1
    for process in processes:
        process.join(max(0, end - time.monotonic()))
    for process in processes:
        if process.exitcode is None:
            process.kill()
