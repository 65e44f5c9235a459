"""A process pool to which arrays are handed in shared memory.

    |================ parent ================|                          |======== worker ========|

    submit --> work items --> manager thread                               main thread
                                  |
                              pickle: a stream, and                            unpickle, call
                              large buffers ------------> segment ----------> private mapping
                                  |                       (memfd)              (its writes stay)
                                  v                                               |
                              Call: stream, handle -----> call queue --------> loads, function
                                                                                  |
                              room for the result ------> segment <---------- result's buffers,
                                                             |                 or a memfd of its own
                              Answer: stream, spans <---- channel <------------- pickle
                                  |                    (one a worker,
                                  v                   descriptors too)
    future <----------------- unpickle: arrays are views of the segment

The work items, the ids, the call queue, the processes and their replacement, shutdown, and what happens at exit are the
standard library's. Here are three parts of it: the manager thread puts calls into the call queue, receives answers, and
says what became of a dead worker.

A task enters the call queue when at most `max_workers` others have arguments in segments. Then, in the manager thread,
its function and arguments are pickled: large buffers go out of the stream (pickle protocol 5) and are copied to a
segment. An error there is this future's, and nothing was sent. The call is bytes and handles, so that a worker can
always unpickle it; the rest is unpickled inside the task.

The worker maps the segment privately, and answers with a pickle and the place of its buffers: in the segment that the
call had room in, or in a new one whose descriptor comes along. The answer also says whether any view of the arguments
is left. If there is none, the segment will be used again; otherwise the parent lets go of it, and it lives as long as
the worker's mapping.

Shared arrays cross as handles. Those of a result come with the descriptors of their segments, for the worker may have
made them itself, and may end at once.

The arrays of a result are views of the segment. When the last of them dies, it too will be used again.

A worker that can't open a segment (another user, another namespace) refuses the call, which is sent once more with its
buffers pickled. From then on all are.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import queue
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, process
from concurrent.futures.process import BrokenProcessPool
from contextvars import Context
from multiprocessing import resource_tracker, spawn
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from .._engine import settings
from . import calls, channel, pickling, portable, segments, signals, worker
from .manager import ELSEWHERE, GUARD, NO_GUARD, Manager, Wakeup, base, end
from .traffic import Traffic

__all__ = ["BrokenProcessPool", "ProcessPoolExecutor"]

P = ParamSpec("P")
T = TypeVar("T")

THRESHOLD = 1 << 18  # below 256 KiB the pipe is as fast

_numbers = itertools.count(1)


def default_context() -> BaseContext:
    """The fork server where there is one: a worker is there in 15 ms, with spawn in 250."""
    if sys.platform == "linux":
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def _preload() -> None:
    """Have the fork server import NumPy once for all workers, unless it runs already.

    Not the main script: Python 3.14.10 ends the fork server where that fails, and nobody learns of a missing guard.
    """
    from multiprocessing import forkserver

    server, ours = forkserver._forkserver, f"{__package__}.preload"
    modules = getattr(server, "_preload_modules", [])
    if getattr(server, "_forkserver_pid", 0) is None and ours not in modules:
        forkserver.set_forkserver_preload([ours] if modules == ["__main__"] else [*modules, ours])


class _WithoutQueues:
    """A context for the standard library's constructor, whose queues are not used here.

    Their semaphores have names, and those need a /dev/shm that may be written to.
    """

    Lock = staticmethod(threading.Lock)
    BoundedSemaphore = staticmethod(threading.BoundedSemaphore)

    def __init__(self, context: BaseContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def SimpleQueue(self) -> None:
        """None."""


# ---- the main script

_preparation = spawn.get_preparation_data


def _prepare(name: str) -> dict[str, Any]:
    """What multiprocessing tells a new process; not of the main script if that is a worker, which imports it later."""
    data: dict[str, Any] = _preparation(name)
    return {key: data[key] for key in data if not (name.startswith(worker.NAME) and key.startswith(MAIN))}


MAIN = "init_main_from_"
spawn.get_preparation_data = _prepare


class ProcessPoolExecutor(process.ProcessPoolExecutor):
    """An executor like `concurrent.futures.ProcessPoolExecutor` that hands arrays over in shared memory.

    Parameters
    ----------
    max_workers : int, optional
        Number of worker processes. By default the number of cores that this process may use.
    mp_context : multiprocessing context, optional
        How workers are started. By default by a fork server on Linux and by spawning elsewhere, whatever Python's own
        default is.
    initializer : callable, optional
        Called in each worker before its first task.
    initargs : tuple, optional
        Its arguments.
    max_tasks_per_child : int, optional
        Number of tasks after which a worker is replaced.
    threshold : int, optional
        Buffers of at least so many bytes go through shared memory, others through a pipe. By default 256 KiB.

    See Also
    --------
    allcores.share : Arrays that are not even copied.

    Notes
    -----
    NumPy arrays, wherever they are in arguments and results, and other objects that pickle with out-of-band buffers
    (pickle protocol 5) cross in shared memory. A worker gets its own copy, as with pickling: it may write to it.

    Different from the standard library: what goes wrong in pickling or unpickling fails one future, and only the death
    of a worker breaks the pool; workers end when the parent dies; they take no notice of Ctrl-C, SIGTERM and SIGHUP,
    which are the parent's to answer, and a KeyboardInterrupt that leaves the ``with`` block ends them; a forked child
    makes pools of its own, and using the parent's there is a RuntimeError; BLAS, OpenMP and allcores use cores /
    `max_workers` threads in each; functions that can't be imported (lambdas, notebooks) are sent with cloudpickle where
    it is installed. See docs/process-pool.md.

    Examples
    --------
    >>> import numpy as np
    >>> from allcores.futures import ProcessPoolExecutor
    >>> with ProcessPoolExecutor(2) as pool:
    ...     pool.submit(np.cumsum, np.ones(4)).result()
    array([1., 2., 3., 4.])
    """

    _call_queue: Any
    _executor_manager_thread: Any
    _executor_manager_thread_wakeup: Any
    _max_tasks_per_child: int | None
    _max_workers: int
    _mp_context: Any
    _idle_worker_semaphore: threading.Semaphore
    _pending_work_items: dict[int, Any]
    _result_queue: Any
    _safe_to_dynamically_spawn_children: bool
    _work_ids: Any
    _launch_processes: Callable[[], None]

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        threshold: int | None = None,
    ) -> None:
        if max_workers is None:
            max_workers = min(settings.cores(), 61) if sys.platform == "win32" else settings.cores()
        if mp_context is None:
            mp_context = default_context() if max_tasks_per_child is None else multiprocessing.get_context("spawn")
        without: Any = _WithoutQueues(mp_context)
        super().__init__(max_workers, without, initializer, initargs, max_tasks_per_child=max_tasks_per_child)
        self._mp_context = mp_context
        self._executor_manager_thread_wakeup.close()
        self._executor_manager_thread_wakeup = self._wakeup = Wakeup()
        self._pid = os.getpid()
        self._method = mp_context.get_start_method()
        if self._method == "forkserver":
            _preload()
        # The same under names of our own: shutdown without waiting forgets its own while workers may yet be replaced.
        self._workers = self._processes
        self._calls: Any
        if segments.without_names():
            self._calls = calls.CallQueue(2 * max_workers + 1)
        else:
            self._calls = portable.QueuedCalls(max_workers + 1, self._mp_context)
        self._call_queue = self._calls
        self._traffic = Traffic(
            max_workers + 1, THRESHOLD if threshold is None else threshold, self._workers_have_main()
        )
        self._channels: dict[int, channel.Receiver | portable.PipeReceiver] = {}
        self._pidfds: dict[int, int] = {}
        self._started = False
        self._source: bytes | None = None  # of the main script

    def _workers_have_main(self) -> bool:
        """Whether what `__main__` defines can be sent by its name."""
        # A forked worker has this process's `__main__` as it was; cloudpickle also brings what was defined since.
        return pickling.main_is_a_file() or (self._method == "fork" and not pickling.has_cloudpickle())

    def __reduce__(self) -> Any:
        raise TypeError("a process pool can't be copied or sent to another process: make one there")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in a worker, and return the future of its result.

        See `concurrent.futures.Executor.submit`.
        """
        if os.getpid() != self._pid:
            raise RuntimeError(ELSEWHERE.format(self._pid))
        return super().submit(fn, *args, **kwargs)

    def transfer_stats(self) -> dict[str, int]:
        """What has crossed between this pool and its workers so far.

        Returns
        -------
        dict
            ``tasks``; ``bytes_pickled`` and ``bytes_shared``, of arguments and results together; ``segments_made`` and
            ``segments_reused``, pieces of shared memory; ``segments_abandoned``, those whose arrays a worker kept;
            ``fallbacks``, the number of times that buffers were pickled since there was no shared memory for them.

        Examples
        --------
        >>> import numpy as np
        >>> from allcores.futures import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(1) as pool:
        ...     total = pool.submit(np.sum, np.ones(1_000_000)).result()
        ...     pool.transfer_stats()["bytes_shared"]
        8000000
        """
        return self._traffic.statistics()

    def _start_executor_manager_thread(self) -> None:
        if self._executor_manager_thread is None:
            if not self._safe_to_dynamically_spawn_children:  # forking: all workers before there is a thread
                self._launch_processes()
            self._executor_manager_thread = Manager(self)
            # From an empty context: free-threaded Python 3.14 hands it to the thread, which keeps what is in it.
            Context().run(self._executor_manager_thread.start)
            # Who is in this dictionary is waited for at exit.
            base._threads_wakeups[self._executor_manager_thread] = self._executor_manager_thread_wakeup
            _pools[id(self)] = self
            self._started = True

    def _adjust_process_count(self) -> None:
        """Start a worker unless one is idle.

        The standard library's count of idle workers includes those that have since reached `max_tasks_per_child`, and
        then nobody takes their place (CPython #115634). So what waits is looked at too.
        """
        if getattr(self, "_force_shutting_down", False):  # from Python 3.14 on: terminate_workers, kill_workers
            return
        idle = self._idle_worker_semaphore.acquire(blocking=False)
        workers = len(self._workers)
        if workers < self._max_workers and (not idle or workers < len(self._pending_work_items)):
            try:
                self._spawn_process()
            except OSError:  # no descriptor or no process to be had: those that are there do the work
                if not workers:
                    raise

    def _script(self) -> dict[str, Any]:
        """What multiprocessing would import as the main module of a worker, and how.

        A script may be deleted while it runs. Workers that come to it too late have its contents; where it was gone
        before there was a worker, what it defines goes by value.
        """
        if self._source is None:
            self._traffic.main = self._traffic.main and self._workers_have_main()
        if self._method == "fork" or not self._traffic.main:
            return {}
        script = {key: value for key, value in _preparation("").items() if key.startswith(MAIN)}
        if self._source is None and worker.FILE in script:
            try:
                self._source = Path(script[worker.FILE]).read_bytes()
            except OSError:  # an executable finds its script in itself
                if not getattr(sys, "frozen", False):
                    self._traffic.main = False
                    return {}
        return script

    def _spawn_process(self) -> None:
        current = multiprocessing.current_process()
        if getattr(current, "_inheriting", False):
            # This process is itself being started, and imports the main script.
            if current.name.startswith(worker.NAME):
                os._exit(NO_GUARD)
            raise RuntimeError(GUARD)
        receiver, sender = channel.pair() if segments.without_names() else portable.pair()
        try:
            script = self._script()
            setup = worker.Setup(
                self._calls,
                sender,
                self._initializer,
                self._initargs,
                self._traffic.threshold,
                self._traffic.share,
                segments.without_names(),
                self._max_workers,
                self._max_tasks_per_child,
                self._traffic.main,
                script,
                self._source,
                self._traffic.marks,
            )
            name = f"{worker.NAME}{next(_numbers)}"
            child: Any = self._mp_context.Process(target=worker.main, args=(setup,), name=name)
            with _without_signals(self._method):
                child.start()
        except BaseException:
            receiver.close()
            if self._executor_manager_thread is None:
                # This is raised by `submit`: nobody will wait for what it has put into the queue.
                self._pending_work_items.clear()
                self._work_ids = queue.Queue()
            raise
        finally:
            sender.close()
        child.terminate = child._popen.kill  # workers leave SIGTERM to their parent
        if (pidfd := worker.pidfd(child.pid)) is not None:
            self._pidfds[child.pid] = pidfd
        # In this order: the manager thread closes channels of which there is no worker.
        self._workers[child.pid] = child
        self._channels[child.pid] = receiver
        if self._executor_manager_thread is not None:
            # It is waiting for the others.
            self._executor_manager_thread_wakeup.wakeup()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if os.getpid() != self._pid:
            return
        super().shutdown(wait, cancel_futures=cancel_futures)
        if not self._started:
            # Otherwise the manager thread does this as its last act.
            end(list(self._workers.values()))  # forked ones, if one could be started, but not all
            for receiver in self._channels.values():
                receiver.close()
            for pidfd in self._pidfds.values():
                os.close(pidfd)
            self._channels.clear()
            self._pidfds.clear()
            self._calls.close()
            self._wakeup.close()
            self._traffic.close()

    shutdown.__doc__ = process.ProcessPoolExecutor.shutdown.__doc__

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> bool | None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._abandon()
        return super().__exit__(kind, *rest)

    def _abandon(self) -> None:
        """End the workers, whatever they are doing."""
        if os.getpid() != self._pid:
            return
        processes, thread = list((self._processes or {}).values()), self._executor_manager_thread
        self.shutdown(wait=False, cancel_futures=True)
        end(processes)
        if thread is not None:
            thread.join()


@contextlib.contextmanager
def _without_signals(method: str) -> Iterator[None]:
    """Start a worker that signals to the group do not reach before it is ready for them, and the fork server
    likewise."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signals.hold_back()
    try:
        if method != "fork":
            # Now, or it is started with the worker, and lets signals through. It would be so again if it ended, as it
            # does at a SIGHUP: one that is started here never sees any, since it lets through only what it ignores.
            resource_tracker.ensure_running()
            signals.hold_back()
        if method == "forkserver":
            from multiprocessing import forkserver

            forkserver.ensure_running()
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in forked children


def _after_fork() -> None:
    """The parent's pools are not this process's, nor is multiprocessing's fork server."""
    for manager in list(base._threads_wakeups):
        if isinstance(manager, Manager):
            manager.forget()
    tracker: Any = resource_tracker._resource_tracker
    tracker._lock._at_fork_reinit()  # which another thread of the parent may have held
    module: Any = sys.modules.get("multiprocessing.forkserver")
    if module is not None:
        server = module._forkserver
        server._lock._at_fork_reinit()
        if server._forkserver_pid is not None:
            # It lives as long as somebody holds this descriptor, and is not this process's child.
            os.close(server._forkserver_alive_fd)
            server._forkserver_address = server._forkserver_alive_fd = server._forkserver_pid = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- at exit

# By their id. Not a set: it can't be looked through while other threads add to it.
_pools: weakref.WeakValueDictionary[int, ProcessPoolExecutor] = weakref.WeakValueDictionary()


def _at_exit() -> None:
    """Where an interrupt ends the program nobody wants to wait for what the workers are doing."""
    error = getattr(sys, "last_type", None)
    if error is not None and issubclass(error, KeyboardInterrupt) and not hasattr(sys, "ps1"):
        for reference in _pools.valuerefs():
            if (pool := reference()) is not None:
                pool._abandon()


# Before the standard library's own function, which waits: the last to be registered is called first.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(_at_exit)
