"""Calls and channels where there are no SOCK_SEQPACKET sockets: a queue and pipes of multiprocessing's."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from multiprocessing import connection, queues
from typing import TYPE_CHECKING, Any

from .calls import PATIENCE
from .channel import LENGTH, Message, Reserve

if TYPE_CHECKING:
    from .worker import Answer, Call


class PipeSender:
    """The worker's end of a channel."""

    def __init__(self, end: Any) -> None:
        self.end = end

    def send(self, head: object, body: bytes = b"", fds: Sequence[int] = ()) -> None:
        start = pickle.dumps(head, 5)
        self.end.send_bytes(LENGTH.pack(len(start)) + start + body)

    def receive_bytes(self) -> bytes:
        data: bytes = self.end.recv_bytes()
        return data

    def close(self) -> None:
        self.end.close()


class PipeReceiver:
    """The pool's end."""

    def __init__(self, end: Any) -> None:
        self.end = end

    def receive(self, reserve: Reserve) -> Message | None:
        try:
            data = memoryview(self.end.recv_bytes())
        except (EOFError, OSError):
            return None
        (start,) = LENGTH.unpack_from(data)
        head = LENGTH.size + start
        return Message(pickle.loads(data[LENGTH.size : head]), data[head:], [])

    def send_bytes(self, data: bytes) -> None:
        self.end.send_bytes(data)

    def close(self) -> None:
        self.end.close()


def pair() -> tuple[PipeReceiver, PipeSender]:
    """The two ends of a new channel."""
    ours, theirs = connection.Pipe(duplex=True)
    return PipeReceiver(ours), PipeSender(theirs)


class QueuedCalls(queues.Queue):  # type: ignore[type-arg]
    """The call queue."""

    _reader: Any
    _writer: Any

    def __init__(self, most: int, context: Any) -> None:
        super().__init__(most, ctx=context)
        self._ignore_epipe = True  # of workers that have died, which is noticed by itself

    def flush(self) -> None:
        """There is a thread for this."""

    def answered(self) -> None:
        """What is in the queue is counted by a semaphore."""

    def fetch(self, number: int) -> bytes:
        raise KeyError(number)

    def forget(self) -> None:
        """In a forked child, which does not have the queue's thread."""
        self._reader.close()
        self._writer.close()

    def worker_end(self) -> QueuedCalls:
        return self

    def next_call(self, sender: Any, ask: Answer) -> Call | None:
        call: Call | None = self.get(timeout=PATIENCE)
        return call
