"""The call queue: from a pool to whichever worker is free.

One SOCK_SEQPACKET socket that all workers read: a packet goes to one of them, whole, so that there is no lock that a
dying worker could leave locked, and no semaphore with a name that a killed parent would leave behind. What does not fit
into a packet stays here until the worker that got the call asks for it, over its own channel.
"""

from __future__ import annotations

import pickle
import queue
import socket
import struct
from collections import deque
from multiprocessing import context, reduction
from typing import TYPE_CHECKING, Any

from .channel import Sender

if TYPE_CHECKING:
    from .worker import Answer, Call

PACKET = 1 << 13  # small, so that the calls of many workers fit into the socket's buffer
PATIENCE = 10  # seconds without a call, after which a worker may let go of what it keeps
STOP, CALL, FETCH = b"\0", b"\1", b"\2"
NUMBER = struct.Struct("=Q")


class CallQueue:
    """The pool's end. The methods are those of `multiprocessing.Queue` that the standard library's manager calls."""

    _ends: tuple[socket.socket, ...] = ()  # there may be no descriptors left for them

    def __init__(self, most: int) -> None:
        self._most = most
        self._writer, self._reader = self._ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # This holds for all readers. Waiting with `select` would wake all of them for each call, which takes 30 us.
        self._reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", PATIENCE, 0))
        self._unsent: deque[bytes] = deque()
        self._large: dict[int, bytes] = {}
        self._under_way = 0

    def full(self) -> bool:
        return self._under_way >= self._most

    def put(self, call: Call) -> None:
        """Send a call, now or when there is room."""
        packet = CALL + pickle.dumps(call, 5)
        if len(packet) > PACKET:
            self._large[call.number] = packet[1:]
            packet = FETCH + NUMBER.pack(call.number)
        self._under_way += 1
        self._unsent.append(packet)
        self.flush()

    def flush(self) -> None:
        while self._unsent:
            try:
                self._writer.send(self._unsent[0], socket.MSG_DONTWAIT)
            except OSError:
                return  # no room: the next answer brings us here again; or closed by an interrupt
            self._unsent.popleft()

    def fetch(self, number: int) -> bytes:
        return self._large.pop(number)

    def answered(self) -> None:
        self._under_way -= 1

    def put_nowait(self, _: None) -> None:
        """Ask one worker to end."""
        try:
            self._writer.send(STOP, socket.MSG_DONTWAIT)
        except OSError:
            # No room; or an interrupt has closed the queue, and the workers are being terminated.
            raise queue.Full from None

    def close(self) -> None:
        for end in self._ends:
            end.close()

    _terminate_broken = forget = __del__ = close

    def join_thread(self) -> None:
        """There is no feeder thread to wait for."""

    def __reduce__(self) -> Any:
        context.assert_spawning(self)
        return _calls, (reduction.DupFd(self._reader.fileno()),)

    def worker_end(self) -> Calls:
        """The end that a forked worker gets."""
        return Calls(self._reader)


def _calls(duplicate: Any) -> Calls:
    return Calls(socket.socket(fileno=duplicate.detach()))


class Calls:
    """A worker's end."""

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader

    def worker_end(self) -> Calls:
        return self

    def forget(self) -> None:
        """Close this end in a forked child."""
        self._reader.close()

    def next_call(self, sender: Sender, ask: Answer) -> Call | None:
        """The next call, or None if there will be no more. `queue.Empty` where there was none for some seconds.

        `ask` is the message that asks for the rest of a large one.
        """
        try:
            packet = self._reader.recv(PACKET)
        except BlockingIOError:
            raise queue.Empty from None
        if packet[:1] == CALL:
            call: Call = pickle.loads(memoryview(packet)[1:])
            return call
        if packet[:1] != FETCH:
            return None
        sender.send(ask._replace(number=NUMBER.unpack(packet[1:])[0]))
        fetched: Call = pickle.loads(sender.receive_bytes())
        return fetched
