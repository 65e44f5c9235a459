"""Any executor as a cluster: what every task needs travels once a worker, not once a task.

    caller                                                     worker (of a process pool, Dask, MPI, Ray ...)
    courier.once(value) ----> Held: a placeholder
    courier.submit(f, held)
        |  version, (f, args) in a Package, tokens --------->  run: the version? are all tokens in `_kept`?
        |  [+ the value itself: to the first tasks]              |      yes: unpickle, call
        |                                                        |      no: Missing, and who says so
        +<---------------- result, or Missing -------------------+
        |
    Missing: the same task once more, with the value. The caller's future only ends with the result.

Dask and Ray have stores of their own, so there the value goes as one of their futures, and nothing is ever missing.
Threads get the object itself, workers of `allcores.futures.ProcessPoolExecutor` a view of shared memory.

A Package pickles only where an executor asks for it, so what runs in this process costs nothing; and it is unpickled
within the task: after the version was compared, and so that what goes wrong is this task's error.

This module knows no pools, and imports none: it looks at the class of the executor that it is given.
"""

from __future__ import annotations

import itertools
import os
import pickle
import platform
import sys
import threading
import traceback
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from .._engine import settings
from . import shared

__all__ = ["Courier", "Held", "RayExecutor", "check_executor", "transfer_stats"]

LEAST = 1 << 14  # bytes of a value from which it is worth a token: below, it goes with each task
SHARED = 1 << 18  # bytes from which memory is worth sharing with a process pool of our own
BESIDE = 1 << 16  # bytes of a buffer that goes beside the pickle, where the executor can take it so
ATTEMPTS = 10  # then a task carries what it needs
COURIERS, KEPT = 4, 1 << 28  # of how many couriers a worker keeps values, and how many bytes of those before the last

Function = Callable[..., Any]


# ---- which executor


def check_executor(executor: Any) -> Any:
    """An executor that tasks can be sent to: a Dask client's own where that client was given.

    Raises
    ------
    TypeError
        If it has no method ``submit``, or is a pool of interpreters.
    """
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {executor!r}")
    if any(base.__name__ == "InterpreterPoolExecutor" for base in type(executor).__mro__):
        raise TypeError(
            "executor must not be an InterpreterPoolExecutor: NumPy can't be imported in subinterpreters. "
            "Use threads or processes"
        )
    if package_of(executor) == "distributed" and callable(getattr(executor, "get_executor", None)):
        return executor.get_executor()
    return executor


def package_of(executor: Any) -> str:
    """The package that defines an executor's class; of a subclass, the one that it extends."""
    known = ("distributed", "ray", "loky", "mpi4py", "ipyparallel", "executorlib")
    packages = [base.__module__.partition(".")[0] for base in type(executor).__mro__]
    return next((package for package in packages if package in known), packages[0])


def is_ours(executor: Any) -> bool:
    process = sys.modules.get("allcores.futures.process")
    return process is not None and isinstance(executor, process.ProcessPoolExecutor)


def name_of(executor: Any) -> str:
    return f"{type(executor).__module__}.{type(executor).__qualname__}"


def workers_of(executor: Any) -> int:
    """How many tasks an executor runs at a time, as far as it says."""
    count = getattr(executor, "_max_workers", None)
    if count is None and hasattr(executor, "view"):  # ipyparallel's
        count = len(executor.view.client)
    return max(1, int(count)) if count is not None else settings.cores()


def shares_main(executor: Any) -> bool:
    """Whether workers have what this process's `__main__` defines: those of multiprocessing and of mpi4py."""
    context = getattr(executor, "_mp_context", None)
    if context is None and package_of(executor) != "mpi4py":
        return False
    from . import pickling

    forked = context is not None and context.get_start_method() == "fork"
    return pickling.main_is_a_file() or (forked and not pickling.has_cloudpickle())


# ---- what is sent


class Stats:
    """What has crossed between this process and an executor's workers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts = dict.fromkeys(("tasks", "resent", "bytes_sent", "bytes_received"), 0)

    def add(self, name: str, number: int) -> None:
        with self.lock:
            self.counts[name] += number


class Package:
    """An object as it is in this process, and a pickle of it in others: made when an executor asks for it."""

    __slots__ = ("_due", "_lock", "_pickled", "main", "once", "stats", "value")

    def __init__(self, value: Any, stats: Stats, main: bool, *, once: bool = False) -> None:
        self.value, self.stats, self.main, self.once = value, stats, main, once
        self._pickled: Any = None
        self._due = 0  # how often it was sent, but not yet counted: Dask pickles twice what it sends once
        self._lock = threading.Lock()

    def sent(self) -> Package:
        with self._lock:
            self._due += 1
        return self

    def pickled(self) -> Any:
        from . import pickling

        with self._lock:  # executors pickle in threads of theirs
            if self._pickled is None:
                pickled = pickling.dumps(self.value, BESIDE, self.main, handles=False)
                if not self.once:
                    return pickled  # once is enough: it need not be kept
                self._pickled = pickled
            return self._pickled

    @property
    def size(self) -> int:
        pickled = self.pickled()
        return int(len(pickled.data) + sum(pickled.sizes))

    def open(self) -> Any:
        return self.value

    def __reduce_ex__(self, protocol: Any) -> Any:
        pickled = self.pickled()
        with self._lock:
            due, self._due = self._due > 0, max(0, self._due - 1)
        if due:
            self.stats.add("bytes_sent", len(pickled.data) + sum(pickled.sizes))
        if protocol >= 5:
            buffers = [_contiguous(source) for source in pickled.sources]
            writable = [not memoryview(buffer).readonly for buffer in buffers]
            return Received, (pickled.data, writable, [pickle.PickleBuffer(buffer) for buffer in buffers], self.once)
        return Received, (pickled.data, [False] * len(pickled.sources), pickled.inline(), self.once)


def _contiguous(source: Any) -> Any:
    if not isinstance(source, np.ndarray):
        return source
    copy = np.ascontiguousarray(source).reshape(-1).view(np.uint8)
    copy.flags.writeable = source.flags.writeable
    return copy


def _aligned(buffer: Any) -> Any:
    """Memory at a multiple of 16 bytes, as NumPy allocates it: of other memory it computes sums with other last bits.
    Dask's messages begin anywhere."""
    array = np.frombuffer(buffer, np.uint8)
    if shared.address(array) % 16 == 0:
        return buffer
    copy = array.copy()
    copy.flags.writeable = array.flags.writeable
    return copy


class Received:
    """A package that has arrived. Each task unpickles it anew: only the memory of large arrays is common to tasks, and
    of what travels once nobody may write to it."""

    __slots__ = ("buffers", "data", "once", "writable")

    def __init__(self, data: bytes, writable: list[bool], buffers: list[Any], once: bool) -> None:
        self.data, self.writable, self.buffers, self.once = data, writable, buffers, once

    @property
    def size(self) -> int:
        return len(self.data) + sum(memoryview(buffer).nbytes for buffer in self.buffers)

    def open(self) -> Any:
        self.buffers = [_aligned(buffer) for buffer in self.buffers]
        buffers: list[Any] = [memoryview(buffer) for buffer in self.buffers]
        if self.once:
            buffers = [buffer.toreadonly() for buffer in buffers]
        else:  # as with any pickle: who may write still may, also where the executor hands out memory read-only
            buffers = [
                bytearray(buffer) if writable and buffer.readonly else buffer
                for buffer, writable in zip(buffers, self.writable, strict=True)
            ]
        return pickle.loads(self.data, buffers=buffers)

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind = pickle.PickleBuffer if protocol >= 5 else bytes
        return Received, (self.data, self.writable, [kind(buffer) for buffer in self.buffers], self.once)


class Held:
    """A placeholder for a value: what `Courier.once` returns. Among the arguments of a task it stands for the value."""

    __slots__ = ("package", "stored", "token")

    def __init__(self, token: Any, package: Package, stored: Any) -> None:
        self.token, self.package, self.stored = token, package, stored


class Place(int):
    """In a task, where a placeholder was: the number of the value."""


class Missing:
    """The answer of a worker that has not received what a task needs."""

    def __init__(self, worker: str, tokens: list[Any]) -> None:
        self.worker, self.tokens = worker, tokens


# ---- in a worker

_kept: OrderedDict[str, dict[int, Any]] = OrderedDict()  # by courier, the one used last at the end
_keeping = threading.Lock()


def _version() -> str:
    import allcores

    return allcores.__version__


def _me() -> str:
    return f"{platform.node()} {os.getpid()}"


def _other_version(version: str, here: str) -> str:
    return f"the task is from allcores {version}, this worker has {here}: install the same version there"


def run(version: str, package: Any, tokens: list[Any], *packages: Any) -> Any:
    """What a worker runs: a task, or it answers Missing. Its arguments are the same in every version."""
    here = _version()
    if version != here:
        raise RuntimeError(_other_version(version, here))
    main = False
    try:
        found = [_look(token, received) for token, received in zip(tokens, packages, strict=True)]
        missing = [token for token, received in zip(tokens, found, strict=True) if received is None]
        if missing:
            return Missing(_me(), missing)
        main, function, args, kwargs = package.open()
        result = _called(function, args, kwargs, found)
        return Swapped(result) if type(result) is np.ndarray and not result.dtype.isnative else result
    except BaseException as error:
        failed = _failed(error, main)
        if failed is None:
            raise
        return failed


def _called(function: Any, args: Any, kwargs: Any, found: list[Any]) -> Any:
    if found:
        values = [received.open() for received in found]
        function = _fill(function, values)
        args = [_fill(value, values) for value in args]
        kwargs = {name: _fill(value, values) for name, value in kwargs.items()}
    return function(*args, **kwargs)


class Swapped:
    """The answer of a worker whose task's result is an array in the other byte order. NumPy forgets that in pickles of
    protocols before 5, which executors use."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.bytes, self.dtype = array.view(array.dtype.newbyteorder("=")), array.dtype

    def array(self) -> np.ndarray[Any, Any]:
        array: np.ndarray[Any, Any] = self.bytes.view(self.dtype)
        return array


class Failed:
    """The answer of a worker whose task has raised what an executor may not bring: the standard library's and loky's
    are broken by an exception that does not come out of its pickle."""

    def __init__(self, data: bytes, parts: Any, text: str) -> None:
        self.data, self.parts, self.text = data, parts, text

    def exception(self) -> BaseException:
        from . import exceptions

        return exceptions.unpack(partial(pickle.loads, self.data), self.parts, self.text)


def _failed(error: BaseException, main: bool) -> Failed | None:
    """None where an exception is brought by any executor; `main` as for pickling it."""
    from . import exceptions

    packed = exceptions.pack(error, main=main, handles=False)
    if packed.ordinary and _brought(error):
        return None
    text = exceptions.text_of(error)
    exceptions.forget_frames(error)
    return Failed(packed.pickled.data, packed.parts, text)


def _brought(error: BaseException) -> bool:
    """Whether executors can print and pickle an exception, as they do it."""
    try:
        traceback.format_exception(error)
        pickle.dumps(error)
    except BaseException:
        return False
    return True


def _fill(value: Any, values: list[Any]) -> Any:
    return values[value] if type(value) is Place else value


def _look(token: Any, received: Any) -> Any:
    """A value by its token; what has come with the task is kept for the next ones."""
    if token is None:
        return received
    courier, number = token
    with _keeping:
        values = _kept.get(courier)
        if values is None:
            if received is None:
                return None
            values = _kept[courier] = {}
        _kept.move_to_end(courier)
        if received is None or number in values:
            return values.get(number)
        values[number] = received
        # Of the courier at hand nothing is dropped: its next task would ask for it again.
        while len(_kept) > 1 and (
            len(_kept) > COURIERS or sum(v.size for kept in [*_kept.values()][:-1] for v in kept.values()) > KEPT
        ):
            _kept.popitem(last=False)
        return received


def _same(value: Any) -> Any:
    return value


# ---- the courier


class _Outer(Future[Any]):
    """What the caller holds, while a task may be submitted several times."""

    inner: Future[Any] | None = None

    def cancel(self) -> bool:
        inner = self.inner
        if inner is not None and not self.done():
            return inner.cancel()  # whose callback ends this future too
        return super().cancel()


class _Task:
    __slots__ = ("attempts", "call", "held", "outer", "package", "serves", "sharing")

    def __init__(self, call: Any, package: Any, held: list[Held], outer: _Outer) -> None:
        self.call, self.package, self.held, self.outer = call, package, held, outer
        self.attempts, self.sharing = 0, False
        self.serves: set[tuple[str, int]] = set()  # workers that get a value with it


class Courier:
    """Sends tasks to an executor; what every task needs travels once a worker.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Where the tasks run. Not shut down when the courier is closed.

    Notes
    -----
    Large arrays that travel once are read-only in other processes: all tasks of a worker see the same memory.
    """

    def __init__(self, executor: Any) -> None:
        self.executor = check_executor(executor)
        self.name = name_of(self.executor)
        self.ours = is_ours(self.executor)
        self.direct = self.ours or isinstance(self.executor, ThreadPoolExecutor)
        self.sharing = self.ours
        self.stats = _stats_of(self.executor)
        self._package = package_of(self.executor)
        self._main = shares_main(self.executor)
        self._workers: int | None = None
        self._token = os.urandom(16).hex()
        self._numbers = itertools.count()
        self._carried: dict[int, int] = {}  # how many tasks have carried a value
        self._serving: set[tuple[str, int]] = set()  # to which worker a value is on its way since it was missing
        self._options: dict[str, Any] = {}
        if self._package == "distributed":
            self._options["pure"] = False  # Dask would hash the arguments, and compute equal tasks once
            self._workers = max(1, _check_dask(self.executor._client, self.name))

    @property
    def workers(self) -> int:
        """How many tasks the executor runs at a time."""
        if self._workers is None:
            self._workers = workers_of(self.executor)
        return self._workers

    def __enter__(self) -> Courier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release values. Tasks under way are not waited for."""
        with _keeping:
            _kept.pop(self._token, None)

    # -- values

    def once(self, value: Any) -> Any:
        """A placeholder for a value that many tasks need; the value itself where there is nothing to gain."""
        if self.ours:
            return Sharable(value) if _is_large(value) else value
        if self.direct or value is None or isinstance(value, (bool, int, float, complex, np.generic, Held)):
            return value
        if type(value) is np.ndarray and value.nbytes < LEAST:
            return value
        if type(value) is str and len(value) < LEAST:
            return value
        package = Package(value, self.stats, self._main, once=True)
        try:
            size = package.size
        except Exception:  # it can't be pickled, and may not have to be; if it has, the task's future says so
            return value
        if size < LEAST:
            return Held(None, package, None)  # with each task, but pickled once
        if self._package == "distributed":
            return Held(None, package, _without_warning(self._to_dask, package.sent()))
        if isinstance(self.executor, RayExecutor):
            return Held(None, package, self.executor.put(package.sent()))
        number = next(self._numbers)
        self._carried[number] = 0
        return Held((self._token, number), package, None)

    def opened(self, value: Any) -> Any:
        """What tasks of our own pool get for a placeholder."""
        return Sharable.open(value) if self.sharing else Sharable.raw(value)

    def stop_sharing(self) -> None:
        """Workers of our own pool can't open shared memory: from now on they get copies."""
        self.sharing = False

    def _to_dask(self, package: Package) -> Any:
        # Not scattered: what is lost with its worker Dask makes anew from the graph.
        return self.executor._client.submit(_same, package, pure=False)

    # -- tasks

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker call a function. Placeholders among its arguments stand for values."""
        self.stats.add("tasks", 1)
        call = (function, args, kwargs)
        if self.direct and not self.sharing:
            return self._plain(call)
        held: list[Held] = []
        outer = _Outer()
        if self.ours:
            task = _Task(call, None, held, outer)
        else:
            function = _place(function, held)
            args = tuple(_place(value, held) for value in args)
            kwargs = {name: _place(value, held) for name, value in kwargs.items()}
            task = _Task(None, Package((self._main, function, args, kwargs), self.stats, self._main), held, outer)
        self._send(task, ())
        return outer

    def _plain(self, call: Any) -> Future[Any]:
        return self._submit(call, Sharable.raw)

    def _submit(self, call: Any, convert: Function) -> Future[Any]:
        function, args, kwargs = call
        function = convert(function)
        if kwargs:  # not as submit's own: an executor may have some that mean something to it
            function = partial(function, **{name: convert(value) for name, value in kwargs.items()})
        future: Future[Any] = self.executor.submit(function, *map(convert, args))
        return future

    def _send(self, task: _Task, with_values: Iterable[int]) -> None:
        task.attempts += 1
        if self.ours:
            task.sharing = self.sharing
            inner = self._submit(task.call, self.opened)
        else:
            packages = [self._carry(held, with_values) for held in task.held]
            tokens = [held.token for held in task.held]
            inner = self.executor.submit(run, _version(), task.package.sent(), tokens, *packages, **self._options)
        task.outer.inner = inner
        inner.add_done_callback(lambda inner: self._arrived(task, inner))

    def _carry(self, held: Held, with_values: Iterable[int]) -> Any:
        """What goes with a task for a placeholder: the value, or nothing."""
        if held.token is None:
            return held.package.sent() if held.stored is None else held.stored
        number = held.token[1]
        if number in with_values:
            return held.package.sent()
        if self._carried[number] < self.workers:
            self._carried[number] += 1
            return held.package.sent()
        return None

    def _arrived(self, task: _Task, inner: Future[Any]) -> None:
        """Called in whatever thread the executor ends a future."""
        outer = task.outer
        self._serving -= task.serves
        task.serves.clear()
        try:
            if inner.cancelled():
                self._end(outer)
                Future.cancel(outer)
                outer.set_running_or_notify_cancel()
                return
            error = inner.exception()
            if error is None:
                result = inner.result()
                if type(result) is Missing:
                    self._again(task, result)
                    return
                if type(result) is Failed:
                    raised = result.exception()
                    self._end(outer)
                    outer.set_exception(raised)
                    return
                if type(result) is Swapped:
                    result = result.array()
                self.stats.add("bytes_received", array_bytes(result))
                self._end(outer)
                outer.set_result(result)
                return
            if issubclass(type(error), shared.Unreachable) and task.sharing:
                self.stop_sharing()
                self._send(task, ())
                return
            self._end(outer)
            outer.set_exception(self.explained(error))
        except BaseException as error:  # the pool was shut down, say
            self._end(outer)
            if not outer.done():
                outer.set_exception(error)

    def _end(self, outer: _Outer) -> None:
        outer.inner = None  # they refer to each other

    def _again(self, task: _Task, missing: Missing) -> None:
        """Send a task once more. A worker that asks on behalf of several tasks gets a value with one of them, ahead of
        the others in the queue; with another one if some other worker has taken that."""
        self.stats.add("resent", 1)
        wanted = {(missing.worker, number) for _, number in missing.tokens}
        task.serves = wanted if task.attempts > ATTEMPTS else wanted - self._serving
        self._serving |= task.serves
        self._send(task, [number for _, number in task.serves])

    # -- errors

    def explained(self, error: BaseException) -> BaseException:
        """An exception of a task; where a worker was lost or has no allcores, one that says so."""
        from . import exceptions

        kind = type(error)
        if self.ours or not issubclass(kind, Exception):
            return error
        text = f"{kind.__name__}: {exceptions.message(error)}"
        if "No module named 'allcores" in text:
            found: Exception = _absent(f"a worker of {self.name}")
        elif issubclass(kind, BrokenExecutor) or kind.__name__ in ("KilledWorker", "WorkerCrashedError"):
            from concurrent.futures.process import BrokenProcessPool

            found = BrokenProcessPool(f"a worker of {self.name} was lost: {text}")
        else:
            return error
        found.__cause__ = error
        return found

    def transfer_stats(self) -> dict[str, int]:
        """What has crossed between this process and the executor's workers so far."""
        return transfer_stats(self.executor)


def _place(value: Any, held: list[Held]) -> Any:
    if type(value) is not Held:
        return value
    if value not in held:
        held.append(value)
    return Place(held.index(value))


_checked: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()


def _check_dask(client: Any, name: str) -> int:
    """Ask Dask's workers for their allcores before they are sent anything of it: a worker that can't import what a
    message refers to drops its connection, and the task waits for ever. How many threads they have."""
    checked = _checked.setdefault(client, set())
    threads: dict[str, int] = client.nthreads()
    new = [worker for worker in threads if worker not in checked]
    version = "__import__('allcores.futures.cluster').__version__"
    answers = client.run(eval, version, workers=new, on_error="return") if new else {}
    for worker, found in answers.items():
        if isinstance(found, OSError):  # the worker is gone
            continue
        if isinstance(found, Exception):
            raise _absent(f"worker {worker} of {name}") from found
        if found != _version():
            raise RuntimeError(_other_version(_version(), found))
        checked.add(worker)
    return sum(threads.values())


def _absent(who: str) -> ModuleNotFoundError:
    version = _version()
    return ModuleNotFoundError(f"{who} can't import allcores: install allcores {version} there", name="allcores")


def _without_warning(send: Callable[[Any], Any], package: Any) -> Any:
    """Dask warns of large objects in its graph and recommends what is being done here."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
        return send(package)


def array_bytes(thing: Any) -> int:
    """Bytes of arrays in a result."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, (tuple, list)):
        return sum(map(array_bytes, thing))
    return 0


# ---- statistics

_stats: weakref.WeakKeyDictionary[Any, Stats] = weakref.WeakKeyDictionary()
_stats_lock = threading.Lock()


def _stats_of(executor: Any) -> Stats:
    with _stats_lock:
        try:
            return _stats.setdefault(executor, Stats())
        except TypeError:  # of a class without weak references
            return Stats()


def transfer_stats(executor: Any) -> dict[str, int]:
    """What has crossed between this process and the workers of an executor so far.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Any that calls of allcores were given.

    Returns
    -------
    dict
        ``tasks``; ``resent``, those that were sent once more since their worker lacked a value; ``bytes_sent``, of
        pickles and arrays in arguments, and ``bytes_received``, of arrays in results. Of an
        `allcores.futures.ProcessPoolExecutor` what its own method of this name says.
    """
    if is_ours(executor):
        counts: dict[str, int] = executor.transfer_stats()
        return counts
    return dict(_stats_of(executor).counts)


# ---- our own process pool


class Sharable:
    """A large array that tasks of our own pool see in shared memory, read-only: what one writes to it others would
    see."""

    __slots__ = ("shared", "value")

    def __init__(self, value: Any) -> None:
        self.value, self.shared = value, readable(value)

    def open(self: Any) -> Any:
        return self.shared if type(self) is Sharable else self

    def raw(self: Any) -> Any:
        return self.value if type(self) is Sharable else self


def _is_large(value: Any) -> bool:
    if type(value) is not np.ndarray or value.dtype.hasobject or value.nbytes < SHARED or 0 in value.strides:
        return False
    return shared.find(value) is None


def readable(value: Any) -> Any:
    """A copy in shared memory, read-only; the value itself where there is no memory."""
    try:
        copy = shared.share(value)
    except OSError:
        return value
    copy.flags.writeable = False
    return copy


# ---- Ray


class _RayFuture(Future[Any]):
    reference: Any = None

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled and self.reference is not None:
            import ray

            reference, self.reference = self.reference, None
            ray.cancel(reference, force=False)
        return cancelled


def _unwrapped(error: BaseException) -> BaseException:
    """The exception that a function raised, without Ray's own around it."""
    cause = getattr(error, "cause", None)
    if type(error).__name__.startswith("RayTaskError") and isinstance(cause, BaseException):
        cause.__cause__ = RuntimeError(str(error))  # with the worker's traceback
        return cause
    return error


def _call(function: Any, kwargs: dict[str, Any], *args: Any) -> Any:
    return function(*args, **kwargs)


class RayExecutor(Executor):
    """Tasks of `concurrent.futures` as tasks of Ray, on the cluster that `ray.init` has connected to.

    Parameters
    ----------
    max_workers : int, optional
        How many tasks the cluster is taken to run at a time. By default its number of CPUs.
    **options
        Of each task, as Ray's ``options`` takes them: ``num_cpus``, ``max_retries``, ...

    Notes
    -----
    Where a function raises, the future has its exception, not Ray's. Cancelling asks Ray to; what runs already gets a
    KeyboardInterrupt there.

    Examples
    --------
    >>> import ray                                                  # doctest: +SKIP
    >>> ray.init()                                                  # doctest: +SKIP
    >>> with RayExecutor() as executor:                             # doctest: +SKIP
    ...     ac.map_blocks(np.sort, x, executor=executor)
    """

    def __init__(self, max_workers: int | None = None, **options: Any) -> None:
        import ray

        if not ray.is_initialized():
            raise RuntimeError("there is no connection to Ray: call ray.init() first")
        if max_workers is not None and max_workers <= 0:
            raise ValueError(f"max_workers must be positive, got {max_workers}")
        self._max_workers = max_workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        remote = ray.remote(_call)
        self._remote = remote.options(**options) if options else remote
        self._futures: set[_RayFuture] = set()
        self._lock = threading.Lock()
        self._closed = False

    def put(self, value: Any) -> Any:
        """Store a value in the cluster.

        Parameters
        ----------
        value : object
            What many tasks need.

        Returns
        -------
        ray.ObjectRef
            Tasks that have it as an argument get the value.
        """
        import ray

        return ray.put(value)

    def submit(self, function: Function, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As that of `concurrent.futures.Executor`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            future = _RayFuture()
            self._futures.add(future)
        try:
            future.reference = self._remote.remote(function, kwargs, *args)
        except BaseException:
            self._futures.discard(future)
            raise
        future.reference.future().add_done_callback(lambda done: self._done(future, done))
        return future

    def _done(self, future: _RayFuture, done: Future[Any]) -> None:
        future.reference = None
        with self._lock:
            self._futures.discard(future)
        if not future.set_running_or_notify_cancel():
            return
        try:
            error = CancelledError() if done.cancelled() else done.exception()
            if error is None:
                future.set_result(done.result())
            else:
                future.set_exception(_unwrapped(error))
        except BaseException as error:
            future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As that of `concurrent.futures.Executor`. Ray goes on."""
        with self._lock:
            self._closed = True
            futures = list(self._futures)
        if cancel_futures:
            for future in futures:
                future.cancel()
        if wait:
            from concurrent.futures import wait as wait_for

            wait_for(futures)
