"""What runs in a worker process: see process.py for the whole.

A task arrives pickled, and is unpickled inside the `try` that also surrounds the call: whatever goes wrong there is
the answer to this task. The arrays of its arguments lie in a private mapping, which the worker may write to and which
dies with the last of them. Whether it has died when the answer leaves is part of the answer.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import types
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import _base
from functools import partial
from multiprocessing import process, spawn
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from .._engine import settings
from . import blas, exceptions, pickling, release, segments, shared, signals, store
from .globals import Marks, home

# How a task ended; how a worker's start did; or, that the rest of a large task is wanted, or a segment for the result.
RESULT, ERROR, REFUSED, STARTED, NO_MAIN, NO_START, FETCH, ROOM = range(8)

# What the parent says of names in an answer: that they are its own now, or that it could not open them.
ADOPTED, NOT_ADOPTED = b"\1", b"\0"

NAME = "allcores-worker-"  # and a number
FILE = "init_main_from_path"  # what multiprocessing calls the path of the main script

Spans = Sequence[tuple[int, int]]


class Call(NamedTuple):
    """A task on its way to a worker: pickles and handles, nothing that could fail to unpickle."""

    number: int
    data: bytes
    handle: segments.AnyHandle | None  # where the buffers of the arguments are
    spans: Spans
    inline: Sequence[bytes | bytearray]  # or the buffers themselves
    room: segments.AnyHandle | None  # where buffers of the result may go


class Answer(NamedTuple):
    """The head of a message from a worker; its body is a pickle."""

    number: int
    kind: int
    spans: Spans = ()
    size: int = 0  # of the segment whose descriptor comes along
    token: bytes = b""
    in_room: bool = False  # the buffers are where the call had room for them
    shared: Sequence[segments.AnyHandle] = ()  # segments of shared arrays; their descriptors come along, the last ones
    inline: Sequence[bytes | bytearray] = ()
    text: str = ""  # a traceback
    parts: exceptions.Parts | None = None  # of an exception
    released: bool = True  # no view of the arguments is left
    exit_pid: int | None = None


class Setup:
    """What a worker gets when it starts."""

    def __init__(
        self,
        calls: Any,
        sender: Any,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        threshold: float,
        share: bool,
        without_names: bool,
        processes: int,
        max_tasks: int | None,
        main: bool,
        script: dict[str, Any],
        source: bytes | None,
        marks: Marks,
    ) -> None:
        self.calls, self.sender, self.threshold, self.share = calls, sender, threshold, share
        self.without_names = without_names
        self.processes, self.max_tasks = processes, max_tasks
        self.script = script  # what multiprocessing would import as the main module, and how
        self.source = source  # of that file, which may be gone before a worker comes to it
        self.parent_began: int | None = None
        with contextlib.suppress(OSError):
            self.parent_began = segments.started(os.getpid())
        self._main, self._marks = main, marks
        self._forked = True
        self._start: Any = None if initializer is None else (initializer, initargs)
        if not main:
            # As tasks will come, so that they find what it does; a fork can do without.
            with contextlib.suppress(Exception):
                self.pickle_start()

    def import_main(self) -> None:
        """As multiprocessing does it before anything else; here, so that the parent is told what goes wrong."""
        current: Any = process.current_process()
        current._inheriting = True  # what starts processes now lacks a guard
        try:
            spawn.prepare(self.script)
        except FileNotFoundError as error:
            if self.source is None or error.filename != os.path.abspath(self.script[FILE]):
                raise
            become_main(error.filename, self.source)
        finally:
            del current._inheriting
        if self.script or self._forked:
            home.has_main(imported=not self._forked)

    def initialize(self) -> None:
        start = pickle.loads(self._start) if isinstance(self._start, bytes) else self._start
        home.settle()
        self._start = None
        if start is not None:
            initializer, initargs = start
            initializer(*initargs)

    def __getstate__(self) -> dict[str, Any]:
        self.pickle_start()
        return self.__dict__ | {"_forked": False, "_marks": None}

    def pickle_start(self) -> None:
        """Pickle the initializer by itself: what fails to unpickle then fails where it is reported."""
        if self._start is not None and not isinstance(self._start, bytes):
            self._start = pickling.dumps(self._start, main=self._main, marks=self._marks).data


def pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when a process ends; None where there is none to be had.

    The sentinels of multiprocessing are ends of pipes. The other end is inherited by all that the process forks, and as
    long as one of them lives nobody learns of its death.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def watch_parent(began: int | None) -> None:
    """End this process when its parent dies: nobody would ever tell it to."""
    parent = process.parent_process()
    if parent is None:
        return
    pid: Any = parent.pid
    ends: list[Any] = [parent.sentinel]  # on Windows the process itself
    interval = None
    if sys.platform != "win32":
        descriptor = pidfd(pid)
        if descriptor is None:
            interval = 0.5  # seconds between two looks
        else:
            ends.append(descriptor)
    child = os.getppid() == pid  # the fork server's children are not the parent's

    def watch() -> None:
        while _lives(pid, began, child) and not wait(ends, interval):
            pass
        os._exit(1)

    threading.Thread(target=watch, name="allcores-parent", daemon=True).start()


def _lives(pid: int, began: int | None, child: bool) -> bool:
    """Whether the parent is there, and not another process of its number. Where the system does not tell, it is."""
    if sys.platform == "win32":
        return True
    if child:
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # this process has changed its user
        pass
    try:
        state, when = segments.status(pid)
    except OSError:
        return True
    return state not in "ZX" and began in (when, None)


def _is_no_worker(sender: Any, calls: Any) -> None:
    """In a child that a task has forked: it has no part in the worker's connections."""
    sender.close()
    calls.forget()


def main(setup: Setup) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.leave_to_the_parent()
    signals.let_through()
    watch_parent(setup.parent_began)
    segments.decide(setup.without_names)
    sender, calls = setup.sender, setup.calls.worker_end()
    if sys.platform != "win32":
        # They came here through programs that were started. Those that tasks start would keep them open, and the pool
        # wait for the rest of a message until the last of these has ended.
        for end in (sender.end, calls._reader):
            os.set_inheritable(end.fileno(), False)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=partial(_is_no_worker, sender, calls))
    if not start(setup, sender):
        return
    rooms = Rooms()
    done = 0
    while True:
        try:
            call = calls.next_call(sender, Answer(-1, FETCH))
        except queue.Empty:
            rooms.clear()
            continue
        if call is None:
            return
        views, forks = None, store.forks()
        try:
            buffers: list[Any] = list(call.inline)
            if call.handle is not None:
                mapping = segments.map_handle(call.handle)
                views = weakref.ref(mapping)
                memory = memoryview(mapping)
                buffers = [memory[begin:end] for begin, end in call.spans]
                del mapping, memory
        except segments.Refused as error:
            sender.send(Answer(call.number, REFUSED, text=str(error)))
            continue
        except Exception as error:
            reply = _failure(call, error, setup, rooms)
        else:
            reply = _run(call, buffers, setup, rooms)
        del buffers
        home.let_go()
        done += 1
        last = done == setup.max_tasks
        answer = reply.answer._replace(
            # A child that the task has forked may look into the mapping for as long as it lives.
            released=views is None or (views() is None and forks == store.forks()),
            exit_pid=os.getpid() if last else None,
        )
        try:
            reply.send(answer, sender)
        except (OSError, EOFError):
            return  # the parent is gone
        del call, answer, reply
        if last:
            return


def become_main(path: str, source: bytes) -> None:
    """What `spawn.prepare` does with a script's file, with its contents."""
    module = types.ModuleType("__mp_main__")
    module.__file__ = path
    code = compile(source, path, "exec", dont_inherit=True)
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    exec(code, vars(module))


def start(setup: Setup, sender: Any) -> bool:
    """Make this process ready for tasks, and tell the parent so, or what went wrong."""
    failed = NO_MAIN
    try:
        setup.import_main()
        threads = max(1, settings.cores() // setup.processes)
        blas.limit(threads)
        settings.limit_workers(threads)
        failed = NO_START
        setup.initialize()
    except BaseException as error:
        if failed == NO_START:
            _base.LOGGER.critical("Exception in initializer:", exc_info=True)
        with contextlib.suppress(OSError):
            sender.send(Answer(-1, failed, text=exceptions.text_of(error)))
        return False
    with contextlib.suppress(OSError):
        sender.send(Answer(-1, STARTED))
    return True


class Reply(NamedTuple):
    """An answer, and what has to live until it is there."""

    answer: Answer
    body: bytes
    result: segments.Segment | None  # of which the parent gets the descriptor
    kept: list[shared.Found]  # shared arrays

    def send(self, answer: Answer, sender: Any) -> None:
        """Hand everything over: the parent needs nothing of this process afterwards."""
        held = [found.known.segment for found in self.kept]
        files = [segment for segment in (self.result, *held) if isinstance(segment, segments.Segment)]
        sender.send(answer, self.body, [file.fd for file in files])
        if self.result is not None:
            self.result.close()
        if held and not files:
            # A name goes with the segment that it belongs to: this one stays until the parent has it.
            adopted = sender.receive_bytes() == ADOPTED
            for segment in held if adopted else ():
                segment.give_away()  # type: ignore[union-attr]


def _run(call: Call, buffers: list[Any], setup: Setup, rooms: Rooms) -> Reply:
    try:
        function, args, kwargs = pickling.loads(call.data, buffers)
        home.settle()
        buffers.clear()
        box = [function(*args, **kwargs)]
        del function, args, kwargs
        # Nobody else is to refer to the result, so that its pages can go while they are copied.
        return _reply(call, RESULT, pickling.dumps(box.pop(), setup.threshold), setup, rooms)
    except BaseException as error:
        return _failure(call, error, setup, rooms)


def _reply(call: Call, kind: int, pickled: pickling.Pickled, setup: Setup, rooms: Rooms, text: str = "") -> Reply:
    """An answer, its buffers laid out."""
    handles = [found.known.handle for found in pickled.kept]
    answer = Answer(call.number, kind, text=text, shared=handles)
    if not pickled.sources:
        return Reply(answer, pickled.data, None, pickled.kept)
    if setup.share:
        spans, size = store.lay_out(pickled.sources)
        try:
            handle = call.room
            if handle is None or not size <= handle.size <= 2 * size + store.SLACK:
                handle = None if segments.without_names() else _ask(call.number, size, setup.sender)
            if handle is not None:
                store.fill(rooms.get(handle), pickled.sources, spans)
                return Reply(answer._replace(spans=spans, in_room=True), pickled.data, None, pickled.kept)
            if not segments.without_names():
                raise MemoryError
            segment = release.move_pages(pickled.sources, spans, size)
            if segment is None:
                segment = segments.Segment.create(size)
                store.fill(segment, pickled.sources, spans)
            answer = answer._replace(spans=spans, size=size, token=segment.token)
            return Reply(answer, pickled.data, segment, pickled.kept)
        except (OSError, MemoryError, segments.Refused):
            pass  # no memory or no descriptor to be had
    return Reply(answer._replace(inline=pickled.inline()), pickled.data, None, pickled.kept)


def _ask(number: int, size: int, sender: Any) -> Any:
    """The handle of a segment for a result, or None."""
    sender.send(Answer(number, ROOM, size=size))
    return pickle.loads(sender.receive_bytes())


def _failure(call: Call, error: BaseException, setup: Setup, rooms: Rooms) -> Reply:
    text = exceptions.text_of(error)
    exceptions.forget_frames(error)  # they hold the arguments
    packed = exceptions.pack(error, setup.threshold)
    try:
        reply = _reply(call, ERROR, packed.pickled, setup, rooms, text)
    except Exception:  # no memory
        packed = exceptions.pack(exceptions.in_words(error))
        reply = _reply(call, ERROR, packed.pickled, setup, rooms, text)
    return reply._replace(answer=reply.answer._replace(parts=packed.parts))


class Rooms:
    """Segments of the parent that stay mapped here, since they tend to come again: to map 128 MiB costs 50 ms."""

    def __init__(self) -> None:
        self._mapped: dict[bytes, segments.AnySegment] = {}

    def get(self, handle: segments.AnyHandle) -> segments.AnySegment:
        room = self._mapped.pop(handle.token, None) or segments.open_segment(handle)
        self._mapped[handle.token] = room
        while len(self._mapped) > 2:
            del self._mapped[next(iter(self._mapped))]
        return room

    def clear(self) -> None:
        self._mapped.clear()
